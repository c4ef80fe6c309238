#!/usr/bin/env bash
# Download a model from Hugging Face or ModelScope; run again to continue.
#
#   bash scripts/download_models.sh
#
# Environment:
#   MODEL        name on the hub                (default: Qwen/Qwen2.5-VL-3B-Instruct)
#                also: Qwen/Qwen2.5-VL-7B-Instruct, Qwen/Qwen2-VL-2B-Instruct, Qwen/Qwen2-VL-7B-Instruct
#   HUB          huggingface or modelscope      (default: huggingface)
#   MODEL_DIR    target folder                  (default: models/<name>)
#   HF_ENDPOINT  mirror of Hugging Face, for example https://hf-mirror.com
#   MODELSCOPE_ENDPOINT  mirror of ModelScope (older versions: MODELSCOPE_DOMAIN)
set -euo pipefail
cd "$(dirname "$0")/.."
[ "${1:-}" = --help ] && { sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "$0"; exit 0; }
source scripts/launch.sh
PATH="$PATH:$BIN" # hf and modelscope are installed beside Python

MODEL="${MODEL:-Qwen/Qwen2.5-VL-3B-Instruct}"
HUB="${HUB:-huggingface}"
MODEL_DIR="${MODEL_DIR:-models/${MODEL##*/}}"

echo "downloading $MODEL from $HUB into $MODEL_DIR ..."
case "$HUB" in
  huggingface) hf download "$MODEL" --local-dir "$MODEL_DIR" ;;
  modelscope) modelscope download "$MODEL" --local-dir "$MODEL_DIR" ;;
  *) die "HUB=$HUB: expected huggingface or modelscope" ;;
esac || die "$MODEL could not be downloaded from $HUB: try the other HUB or a mirror (--help)"
[ -f "$MODEL_DIR/config.json" ] || die "$MODEL_DIR has no config.json: the download is incomplete, run again"
echo "ready: MODEL_NAME=$MODEL_DIR"
