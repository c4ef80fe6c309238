#!/usr/bin/env bash
# Every check that needs no GPU: lint, types, tests with coverage (subprocesses counted).
# usage: bash scripts/test.sh [--all] [pytest arguments]; --all adds the slow tests.
set -euo pipefail
cd "$(dirname "$0")/.."
[ "${1:-}" = --help ] && { sed -n '2,3s/^# //p' "$0"; exit 0; }
bash scripts/setup.sh

selection=(-m "not gpu and not slow")
if [ "${1:-}" = --all ]; then
  selection=(-m "not gpu")
  shift
fi

export OMP_NUM_THREADS=1 TOKENIZERS_PARALLELISM=false DS_ACCELERATOR="${DS_ACCELERATOR:-cpu}" HF_HUB_OFFLINE=1
.venv/bin/ruff check src evaluation tests
.venv/bin/ruff format --check --quiet src evaluation tests
.venv/bin/mypy
.venv/bin/coverage erase
.venv/bin/coverage run -m pytest -n "${TEST_WORKERS:-2}" "${selection[@]}" "$@"
.venv/bin/coverage combine --quiet
.venv/bin/coverage report --include="src/answers/*,src/dataset/*,src/train/*,src/trainer/*,src/model/*" --fail-under=90
.venv/bin/coverage report --format=total
