#!/usr/bin/env bash
# The whole system on the nano model, no GPU, no network: simulate, train both stages, merge, answer, score.
# usage: bash scripts/run_cpu.sh [OUT]   (default output/cpu); writes OUT/report.json. A finished step is not repeated.
# Env: GRPO_STEPS (600), SFT_TWICE=1 also trains stage 1 for twice the steps and scores it beside stage 2.
set -euo pipefail
cd "$(dirname "$0")/.."
[ "${1:-}" = --help ] && { sed -n '2,4s/^# //p' "$0"; exit 0; }
OUT="${1:-output/cpu}"
bash scripts/setup.sh
export DS_ACCELERATOR=cpu TOKENIZERS_PARALLELISM=false HF_HUB_OFFLINE=1 NUM_DEVICES=1
py() { .venv/bin/python "$@"; }
mkdir -p "$OUT/done"
step() { # step NAME COMMAND...: run once, show and keep the seconds
  local name=$1 start=$SECONDS; shift
  [ -f "$OUT/done/$name" ] && { echo "== $name: done before"; return; }
  echo "== $name"
  "$@"
  echo $((SECONDS - start)) > "$OUT/done/$name"; echo "== $name: $((SECONDS - start)) s"
}
simulate() { printf '%s\n' "$@" | OMP_NUM_THREADS=1 xargs -P 2 -I SEED .venv/bin/python -m src.geo.simulate \
  --out "$OUT/county_SEED" --seed SEED --size 512 --sensor sentinel2_l2a --dates 2023-09-20,2024-09-25; }
questions() { # questions OUT SPLIT DIALOGUES SEEDS...
  local out=$1 split=$2 dialogues=$3 flags=(); shift 3
  for s in "$@"; do flags+=(--county "$OUT/county_$s"); done
  py -m src.dataset.landuse_vqa "${flags[@]}" --out "$out" --only_split "$split" --per_chip 8 \
    --dialogues "$dialogues" --balance --overwrite; }
nano=(--image_min_pixels 12544 --image_max_pixels 78400 --dataloader_num_workers 0 --bf16 False --report_to tensorboard)
grpo=(--learning_rate 7e-4 --beta 0 --temperature 2.0 --max_steps "${GRPO_STEPS:-600}" --gradient_checkpointing False)
stage1() { MODEL_NAME=assets/nano DATA_PATH="$OUT/train/mmdu_train.json" IMAGE_FOLDER="$OUT/train" OUTPUT_DIR="$1" \
  BATCH_PER_DEVICE=8 bash scripts/finetune_lora_vision.sh "${nano[@]}" --save_steps 50 --gradient_checkpointing False \
  --learning_rate 1e-3 --num_train_epochs "$2"; }
stage2() { MODEL_NAME=assets/nano STAGE1="$OUT/sft" DATA_PATH="$OUT/train/vqa_train.jsonl" IMAGE_FOLDER="$OUT/train" \
  OUTPUT_DIR="$OUT/grpo" DEEPSPEED=scripts/zero2.json BATCH_PER_DEVICE=128 GLOBAL_BATCH_SIZE=256 NUM_GENERATIONS=16 \
  bash scripts/finetune_grpo.sh "${nano[@]}" "${grpo[@]}"; }
doctor() { py -m src.train.doctor --model_id assets/nano --use_cpu True --output_dir "$OUT/doctor" --lora_enable True \
  --image_folder "$OUT/train" --json "$OUT/doctor_$1.json" --stage "$@" "${nano[@]}"; }
merge() { BASE=assets/nano ADAPTERS="$OUT/sft $OUT/grpo" OUTPUT_DIR="$OUT/merged" bash scripts/merge_lora.sh \
  --report "$OUT/merge.json"; }
words() { local picture; picture=$(find "$OUT/test/images" -name '*.tif' | sort | sed -n 1p)
  for q in "图中主要的土地类型是什么？" "图中是否有水域？" "What share of the picture is cropland, in percent?"; do
    echo "$q"; py -m src.serve.ask "$q" --image "$picture" --model-path "$OUT/merged"; done; }
twice=(); [ "${SFT_TWICE:-0}" = 1 ] && twice=(--sft_twice "$OUT/sft_twice")
story() { py -m evaluation.story --base assets/nano --sft "$OUT/sft" --grpo "$OUT/grpo" --merged "$OUT/merged" \
  --temperature 2.0 --data "$OUT/test/vqa_test.jsonl" --train_data "$OUT/train/vqa_train.jsonl" "${twice[@]}" \
  --dialogues "$OUT/test/mmdu_test.json" --merge_report "$OUT/merge.json" --timings "$OUT/done" --out "$OUT/report.json"; }

train=(11 12 13 14 15 16 21 22 23 24 25 26 27 28 29 30 31 32)
step simulate simulate "${train[@]}" 91 92 93
step questions_train questions "$OUT/train" train 600 "${train[@]}"
step questions_test questions "$OUT/test" test 100 91 92 93
step validate py -m src.dataset.validate --data_path "$OUT/train/vqa_train.jsonl,$OUT/train/mmdu_train.json" --model_id assets/nano
step doctor_sft doctor sft --data_path "$OUT/train/mmdu_train.json" --vision_lora True --lora_rank 32
step stage1 stage1 "$OUT/sft" 1
[ "${#twice[@]}" = 0 ] || step stage1_twice stage1 "$OUT/sft_twice" 2
step doctor_grpo doctor grpo --stage1 "$OUT/sft" --data_path "$OUT/train/vqa_train.jsonl" --freeze_merger False \
  --lora_rank 8 --num_generations 16 --per_device_train_batch_size 16 --max_completion_length 32 --rows 32 "${grpo[@]}"
step stage2 stage2
step merge merge
step words words
step story story
