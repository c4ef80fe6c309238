#!/usr/bin/env bash
# Both stages on real imagery: train on one labelled scene, score held-out land of it and another scene elsewhere.
# usage: REAL_DATA=folder bash scripts/run_real.sh [OUT]   (default output/real); writes OUT/report_{same,other}.json.
# REAL_DATA holds raleigh_landsat7_2000 (Landsat 7, land-cover raster) and slovenia_s2_2015 (Sentinel-2, land-use raster).
# Env: SFT_STEPS (stage 1, default 250), STEPS (stage 2, default 60), DIALOGUES (default 200), LIMIT (scored, default 800).
set -euo pipefail
cd "$(dirname "$0")/.."
[ "${1:-}" = --help ] && { sed -n '2,5s/^# //p' "$0"; exit 0; }
[ -d "${REAL_DATA:-}" ] || { echo "error: REAL_DATA='${REAL_DATA:-}' is no folder; see --help" >&2; exit 2; }
OUT="${1:-output/real}"
bash scripts/setup.sh
export DS_ACCELERATOR=cpu TOKENIZERS_PARALLELISM=false HF_HUB_OFFLINE=1 NUM_DEVICES=1
py() { .venv/bin/python "$@"; }
BUDGET=(--image_min_pixels 12544 --image_max_pixels 78400)
R="$REAL_DATA/raleigh_landsat7_2000" S="$REAL_DATA/slovenia_s2_2015"

py -m src.dataset.landuse_vqa --scene "$R/raleigh_LE07_2000.tif" --date 2000-03-31 --labels "$R/strata.tif" \
  --crosswalk raleigh --chip_px 32 --per_chip 12 --balance --split 0.65,0,0.35 --dialogues "${DIALOGUES:-200}" \
  --out "$OUT/raleigh" --overwrite
scenes=()
for date in 20150711 20150830 20150909; do
  scenes+=(--scene "$S/slovenia_S2L1C_$date.tif" --date "${date:0:4}-${date:4:2}-${date:6:2}")
done
py -m src.dataset.landuse_vqa "${scenes[@]}" --labels "$S/slovenia_LULC_reference.tif" --crosswalk slovenia \
  --chip_px 32 --per_chip 12 --balance --only_split test --out "$OUT/slovenia" --overwrite

train="$OUT/raleigh/mmdu_train.json,$OUT/raleigh/vqa_train.jsonl"
MODEL_NAME=assets/nano DATA_PATH="$train" IMAGE_FOLDER="$OUT/raleigh" OUTPUT_DIR="$OUT/sft" BATCH_PER_DEVICE=8 \
  bash scripts/finetune_lora_vision.sh "${BUDGET[@]}" --dataloader_num_workers 0 --bf16 False --save_steps 50 \
  --gradient_checkpointing False --max_steps "${SFT_STEPS:-250}" --learning_rate 1e-3
MODEL_NAME=assets/nano STAGE1="$OUT/sft" DATA_PATH="$OUT/raleigh/vqa_train.jsonl" IMAGE_FOLDER="$OUT/raleigh" \
  OUTPUT_DIR="$OUT/grpo" DEEPSPEED=scripts/zero2.json BATCH_PER_DEVICE=32 GLOBAL_BATCH_SIZE=128 \
  bash scripts/finetune_grpo.sh "${BUDGET[@]}" --dataloader_num_workers 0 --bf16 False --gradient_checkpointing False \
  --learning_rate 5e-4 --max_steps "${STEPS:-60}"
BASE=assets/nano ADAPTERS="$OUT/sft $OUT/grpo" OUTPUT_DIR="$OUT/merged" bash scripts/merge_lora.sh --report "$OUT/merge.json"

score() { # score NAME ROWS
  py -m evaluation.story --base assets/nano --sft "$OUT/sft" --grpo "$OUT/grpo" --merged "$OUT/merged" --data "$2" \
    --train_data "$OUT/raleigh/vqa_train.jsonl" --merge_report "$OUT/merge.json" --limit "${LIMIT:-800}" \
    --out "$OUT/report_$1.json"
}
score same "$OUT/raleigh/vqa_test.jsonl"
score other "$OUT/slovenia/vqa_test.jsonl"
