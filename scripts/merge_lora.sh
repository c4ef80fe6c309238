#!/usr/bin/env bash
# Fold LoRA adapters into their base, verify the result, and write one loadable model.
#
#   bash scripts/merge_lora.sh [flags of python -m src.model.merge]
#
# Environment:
#   BASE        base model folder or hub id   (default: read from the first adapter)
#   ADAPTERS    adapter folders, in order     (default: "output/lora_vision output/grpo")
#   OUTPUT_DIR  folder of the merged model    (default: output/merged)
set -euo pipefail
cd "$(dirname "$0")/.."

if [[ "${1:-}" == "--help" || "${1:-}" == "-h" ]]; then
    sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "$0"
    exit 0
fi

PYTHON=python
[[ -x .venv/bin/python ]] && PYTHON=.venv/bin/python

read -r -a adapters <<< "${ADAPTERS:-output/lora_vision output/grpo}"
base=()
[[ -n "${BASE:-}" ]] && base=(--base "$BASE")

"$PYTHON" -m src.model.merge --adapters "${adapters[@]}" ${base[@]+"${base[@]}"} --out "${OUTPUT_DIR:-output/merged}" "$@"
