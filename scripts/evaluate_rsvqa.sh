#!/usr/bin/env bash
# Answers to RSVQA's questions and their official accuracies with floors and intervals; goes on where it stopped.
#
#   MODEL_NAME=models/Qwen2.5-VL-3B-Instruct ADAPTER=output/grpo bash scripts/evaluate_rsvqa.sh [flags]
#
# Environment:
#   MODEL_NAME  model folder or hub id; unset: the nano model answers questions about a simulated county
#   ADAPTER     adapter on it: the model is evaluated with and without it
#   BENCHMARK   split from scripts/prepare_rsvqa.sh, official questions file, or own set
#                                                          (default: data/rsvqa_lr/test.jsonl)
#   DATASET     rules: rsvqa_lr, rsvqa_hr, rsvqa_xben, landuse (default: rsvqa_lr; landuse for the nano model)
#   IMAGE_FOLDER  where image paths start                  (default: the data file's folder)
#   TRAIN_DATA  training questions, for the majority floor (default: train.jsonl beside BENCHMARK, else none)
#   OUTPUT_DIR  3b-gene, 3b-peft-gene, report.json         (default: output/evaluate_rsvqa)
#   JUDGE_NAME  not used: these answers are scored by rule
#   FLOORS=0    leave out the answers to grey and to other pictures, which cost as much again each
# Further flags go to evaluation.model_generation.generate_answers (such as --limit 500, --bits 4).
# report.json is that of the adapter where there is one; report_3b-gene.json that of the model alone.
# Exit 1: some questions failed; they count as wrong and the report says how many.
set -euo pipefail
cd "$(dirname "$0")/.."
[ "${1:-}" = --help ] && { sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "$0"; exit 0; }
source scripts/launch.sh

OUTPUT_DIR="${OUTPUT_DIR:-output/evaluate_rsvqa}"
if [ -z "${MODEL_NAME:-}" ]; then
  MODEL_NAME=assets/nano
  if [ -z "${BENCHMARK:-}" ]; then
    BENCHMARK="$OUTPUT_DIR/own_set/vqa_test.jsonl" DATASET="${DATASET:-landuse}"
    [ -f "$BENCHMARK" ] || {
      "$PYTHON" -m src.geo.simulate --out "$OUTPUT_DIR/county" --seed 5 --size 256 --dates 2023-09-20,2024-09-25
      "$PYTHON" -m src.dataset.landuse_vqa --county "$OUTPUT_DIR/county" --out "$OUTPUT_DIR/own_set" \
        --only_split test --chip_px 32 --balance
    }
  fi
fi
BENCHMARK="${BENCHMARK:-data/rsvqa_lr/test.jsonl}"
TRAIN_DATA="${TRAIN_DATA:-$(dirname "$BENCHMARK")/train.jsonl}"
[ -e "$BENCHMARK" ] || die "BENCHMARK=$BENCHMARK does not exist: scripts/prepare_rsvqa.sh brings RSVQA's splits"
train=() conditions=(images blank shuffled)
[ -f "$TRAIN_DATA" ] && train=(--train "$TRAIN_DATA")
[ "${FLOORS:-1}" = 0 ] && conditions=(images)

failed=0
evaluate() { # evaluate NAME FLAGS...
  local name=$1; shift
  "$PYTHON" -m evaluation.model_generation.generate_answers --model "$MODEL_NAME" --data "$BENCHMARK" \
    ${IMAGE_FOLDER:+--image_folder "$IMAGE_FOLDER"} --out "$OUTPUT_DIR/$name" --condition "${conditions[@]}" \
    --max_new_tokens 16 "$@" || { local rc=$?; [ $rc -eq 1 ] || exit $rc; failed=1; } # 1: failures that are recorded
  [ -f "$OUTPUT_DIR/$name/predictions.jsonl" ] || exit 1
  local folders=("${conditions[@]/#/$OUTPUT_DIR/$name-}")
  "$PYTHON" -m evaluation.scores.rule_scores --predictions "${folders[@]/%-images/}" \
    --dataset "${DATASET:-rsvqa_lr}" "${train[@]}" --out "$OUTPUT_DIR/report_$name.json"
  cp "$OUTPUT_DIR/report_$name.json" "$OUTPUT_DIR/report.json"
}
evaluate 3b-gene "$@"
[ -z "${ADAPTER:-}" ] || evaluate 3b-peft-gene --adapter "$ADAPTER" "$@"
exit $failed
