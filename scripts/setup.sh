#!/usr/bin/env bash
# Create .venv and install the pins; safe to run again (does nothing while requirements.txt is unchanged).
# Env: PYTHON_BIN (default: the first of python3.11, python3.12, python3 that fits).
set -euo pipefail
cd "$(dirname "$0")/.."

usage() { sed -n '2,3s/^# //p' "$0"; }
[ "${1:-}" = --help ] && { usage; exit 0; }

pick_python() {
  local candidate
  for candidate in ${PYTHON_BIN:-python3.11 python3.12 python3}; do
    if command -v "$candidate" >/dev/null &&
      "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null; then
      echo "$candidate"
      return
    fi
  done
  echo "error: Python 3.11 or 3.12 is needed; install python3.11 with its venv package, or set PYTHON_BIN" >&2
  exit 2
}

command -v g++ >/dev/null || echo "note: no g++ found; DeepSpeed compiles its CPU operators with it" >&2

stamp=.venv/installed.sha256
want=$(cat requirements.txt pyproject.toml | sha256sum | cut -d' ' -f1)
if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$want" ] && .venv/bin/python -c 'import torch, src' 2>/dev/null; then
  exit 0
fi

python=$(pick_python)
[ -x .venv/bin/python ] || "$python" -m venv .venv
echo "installing the pinned packages into .venv (several GB at first) ..."
.venv/bin/python -m pip install --quiet --upgrade pip
.venv/bin/python -m pip install --quiet -r requirements.txt
.venv/bin/python -m pip install --quiet -e . --no-deps
# Where PYTHONDONTWRITEBYTECODE is set nothing would ever be compiled, and each start would take ten times as long.
.venv/bin/python -m compileall -q -j 0 .venv/lib >/dev/null 2>&1 || true
echo "$want" > "$stamp"
.venv/bin/python -c 'import torch; print("ready: torch", torch.__version__, "CUDA" if torch.cuda.is_available() else "CPU only")'
