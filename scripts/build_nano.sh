#!/usr/bin/env bash
# Rebuild assets/nano from a seed: simulate counties, make questions, train, record. Finished steps are not repeated.
# Env: OUT (default output/nano_build), NANO_DIR (default assets/nano), SEED, TRAIN_SEEDS, TEST_SEEDS, VISION_STEPS,
#      STEPS, QUESTION_STEPS.
set -euo pipefail
cd "$(dirname "$0")/.."
[ "${1:-}" = --help ] && { sed -n '2,4s/^# //p' "$0"; exit 0; }
bash scripts/setup.sh
PYTHON=.venv/bin/python

OUT="${OUT:-output/nano_build}"
NANO_DIR="${NANO_DIR:-assets/nano}"
SEED="${SEED:-0}"
TRAIN_SEEDS="${TRAIN_SEEDS:-$(seq -s ' ' 1001 1056)}"
TEST_SEEDS="${TEST_SEEDS:-2001 2002 2003 2004}"
VISION_STEPS="${VISION_STEPS:-1500}"
STEPS="${STEPS:-2200}"
QUESTION_STEPS="${QUESTION_STEPS:-1300}"

simulate() { # every sixth county as Landsat sees it; April to October
  local seed sensor month
  for seed in "$@"; do
    [ -f "$OUT/counties/$seed/county.json" ] && continue
    sensor=sentinel2_l2a
    [ $((seed % 6)) -eq 0 ] && sensor=landsat8
    month=$(printf %02d $((seed % 7 + 4)))
    "$PYTHON" -m src.geo.simulate --out "$OUT/counties/$seed" --seed "$seed" --size 512 --sensor "$sensor" \
      --cloud_share 0.01 --dates "2023-$month-20,2024-$month-25"
  done
}

questions() { # questions OUT SPLIT CHIP_PX RENDER_PX DIALOGUES SEEDS...
  local out=$1 split=$2 chip=$3 render=$4 dialogues=$5 flags=() seed
  shift 5
  [ -f "$out/summary.json" ] && return
  for seed in "$@"; do flags+=(--county "$OUT/counties/$seed"); done
  "$PYTHON" -m src.dataset.landuse_vqa "${flags[@]}" --out "$out" --only_split "$split" --chip_px "$chip" \
    --render_px "$render" --per_chip 12 --dialogues "$dialogues" --balance --seed "$SEED" --overwrite
}

simulate $TRAIN_SEEDS $TEST_SEEDS
questions "$OUT/train" train 56 112 500 $TRAIN_SEEDS
questions "$OUT/train_large" train 96 192 300 $(echo $TRAIN_SEEDS | cut -d ' ' -f 1-16)
questions "$OUT/test" test 56 112 300 $TEST_SEEDS
counties=()
for seed in $TRAIN_SEEDS; do counties+=("$OUT/counties/$seed"); done
"$PYTHON" -m src.train.train_nano --data "$OUT/train" "$OUT/train_large" --eval_data "$OUT/test" --out "$NANO_DIR" \
  --run "$OUT/run" --seed "$SEED" --counties "${counties[@]}" --vision_steps "$VISION_STEPS" --steps "$STEPS" \
  --question_steps "$QUESTION_STEPS" --workers 1 --bf16 "$@"
