#!/usr/bin/env bash
# Answers to MMDU's benchmark, marks of a judge on six dimensions, statistics and a report; goes on where it stopped.
#
#   MODEL_NAME=models/Qwen2.5-VL-3B-Instruct ADAPTER=output/lora_vision bash scripts/evaluate_mmdu.sh [flags]
#
# Environment:
#   MODEL_NAME  model folder or hub id; unset: the nano model answers and judges a set made of simulated counties
#   ADAPTER     adapter on it: the model is evaluated with and without it, and both are compared
#   JUDGE_NAME  model that judges                     (default: models/Qwen2.5-VL-3B-Instruct)
#   BENCHMARK   data file, its pictures beside it     (default: data/mmdu_benchmark/benchmark.json)
#   OUTPUT_DIR  3b-gene, 3b-peft-gene, mark, report   (default: output/evaluate_mmdu)
#   DIALOGUES   size of the set made for the nano model (default: 6; 110 is MMDU's size); FLOORS=0 leaves out the
#               answers to grey and to other pictures, which cost as much again each
#   JUDGE_FLAGS flags of evaluation.scores.judge, such as "--strict --bits 4"
# Further flags go to evaluation.model_generation.generate_answers (its --help has advice for each card).
# Writes OUTPUT_DIR/report.json and OUTPUT_DIR/report/report.html. Exit 1: some questions failed, see the report.
set -euo pipefail
cd "$(dirname "$0")/.."
[ "${1:-}" = --help ] && { sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "$0"; exit 0; }
source scripts/launch.sh

OUTPUT_DIR="${OUTPUT_DIR:-output/evaluate_mmdu}" tokens=512
if [ -z "${MODEL_NAME:-}" ]; then
  MODEL_NAME=assets/nano JUDGE_NAME="${JUDGE_NAME:-assets/nano}" tokens=64
  JUDGE_FLAGS="${JUDGE_FLAGS:---explanation_tokens 16}"
  if [ -z "${BENCHMARK:-}" ]; then
    BENCHMARK="$OUTPUT_DIR/own_set/benchmark.json"
    [ -f "$BENCHMARK" ] || "$PYTHON" -m evaluation.model_generation.make_set --out "$OUTPUT_DIR/own_set" \
      --dialogues "${DIALOGUES:-6}"
  fi
fi
BENCHMARK="${BENCHMARK:-data/mmdu_benchmark/benchmark.json}"
JUDGE_NAME="${JUDGE_NAME:-models/Qwen2.5-VL-3B-Instruct}"
[ -f "$BENCHMARK" ] || die "BENCHMARK=$BENCHMARK does not exist: BENCHMARK=1 bash scripts/prepare_mmdu.sh brings MMDU's"
conditions=(images blank shuffled)
[ "${FLOORS:-1}" = 0 ] && conditions=(images)
read -r -a judge_flags <<< "${JUDGE_FLAGS:-}"

failed=0
tolerant() { "$@" || { local rc=$?; [ $rc -eq 1 ] || exit $rc; failed=1; }; } # 1: failures that are recorded
answer() { # answer NAME FLAGS...
  local name=$1 condition; shift
  tolerant "$PYTHON" -m evaluation.model_generation.generate_answers --model "$MODEL_NAME" --data "$BENCHMARK" \
    --out "$OUTPUT_DIR/$name" --condition "${conditions[@]}" --max_new_tokens "$tokens" "$@"
  for condition in "" -blank -shuffled; do
    [ -z "$condition" ] || [ "${FLOORS:-1}" != 0 ] || continue
    [ -f "$OUTPUT_DIR/$name$condition/predictions.jsonl" ] || exit 1
    tolerant "$PYTHON" -m evaluation.scores.judge --answers "$OUTPUT_DIR/$name$condition" --judge "$JUDGE_NAME" \
      --out "$OUTPUT_DIR/mark/$name$condition" --image_folder "$(dirname "$BENCHMARK")" "${judge_flags[@]}"
  done
}
answer 3b-gene "$@"
names=(3b-gene)
[ -z "${ADAPTER:-}" ] || { answer 3b-peft-gene --adapter "$ADAPTER" "$@"; names+=(3b-peft-gene); }
last="${names[-1]}" floors=()
[ "${FLOORS:-1}" = 0 ] || floors=(--blind "$OUTPUT_DIR/mark/$last-blank" --shuffled "$OUTPUT_DIR/mark/$last-shuffled"
  --floor_predictions "$OUTPUT_DIR/$last-blank" "$OUTPUT_DIR/$last-shuffled")
"$PYTHON" -m evaluation.scores.statistic --marks "${names[@]/#/$OUTPUT_DIR/mark/}" \
  --predictions "${names[@]/#/$OUTPUT_DIR/}" "${floors[@]}" --out "$OUTPUT_DIR/report" --report "$OUTPUT_DIR/report.json"
exit $failed
