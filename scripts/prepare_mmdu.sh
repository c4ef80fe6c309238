#!/usr/bin/env bash
# Download MMDU-45k (or the MMDU benchmark), unpack its pictures, validate it.
#
#   bash scripts/prepare_mmdu.sh
#
# Environment:
#   HUB          huggingface or modelscope                             (default: huggingface)
#   HF_ENDPOINT  mirror of Hugging Face, for example https://hf-mirror.com
#   MODELSCOPE_ENDPOINT  mirror of ModelScope (older versions: MODELSCOPE_DOMAIN)
#   DATASET      name of the data set on the hub                       (default: laolao77/MMDU)
#   BENCHMARK=1  the 110 dialogues of benchmark.json instead of the training set (1.5 GB)
#   OUTPUT_DIR   what training reads, also its IMAGE_FOLDER (default: data/mmdu, data/mmdu_benchmark)
#   SOURCE_DIR   folder with the files already there; nothing is downloaded then
#   SKIP_BAD_ROWS=1  do not stop at bad rows (written to <data>.rejects.jsonl)
# The data is CC BY-NC 4.0: models trained on it are for research.
set -euo pipefail
cd "$(dirname "$0")/.."
[ "${1:-}" = --help ] && { sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "$0"; exit 0; }
source scripts/launch.sh
PATH="$PATH:$BIN" # hf and modelscope are installed beside Python

HUB="${HUB:-huggingface}"
DATASET="${DATASET:-laolao77/MMDU}"
if [ "${BENCHMARK:-0}" = 1 ]; then
  json=benchmark.json pictures=mmdu_pics.zip flags=(--benchmark)
  OUTPUT_DIR="${OUTPUT_DIR:-data/mmdu_benchmark}"
else
  json=mmdu-45k.json pictures=mmdu-45k_pics.zip flags=()
  OUTPUT_DIR="${OUTPUT_DIR:-data/mmdu}"
fi

if [ -z "${SOURCE_DIR:-}" ]; then
  SOURCE_DIR="$OUTPUT_DIR/download"
  case "$HUB" in
    huggingface) hf download "$DATASET" "$json" "$pictures" --repo-type dataset --local-dir "$SOURCE_DIR" ;;
    modelscope) modelscope download "$DATASET" "$json" "$pictures" --repo-type dataset --local-dir "$SOURCE_DIR" ;;
    *) die "HUB=$HUB: expected huggingface or modelscope" ;;
  esac || die "$DATASET could not be downloaded from $HUB: try the other HUB, a mirror, or SOURCE_DIR"
fi

"$PYTHON" -m src.dataset.prepare mmdu --source "$SOURCE_DIR" --output "$OUTPUT_DIR" ${flags[@]+"${flags[@]}"}
skip=()
[ "${SKIP_BAD_ROWS:-0}" = 1 ] && skip=(--skip_bad_rows)
"$PYTHON" -m src.dataset.validate --data_path "$OUTPUT_DIR/$json" --image_folder "$OUTPUT_DIR" \
  --data_format mmdu ${skip[@]+"${skip[@]}"}
echo "ready: DATA_PATH=$OUTPUT_DIR/$json IMAGE_FOLDER=$OUTPUT_DIR"
