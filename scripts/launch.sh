#!/usr/bin/env bash
# Shared by the training scripts: starts `deepspeed --module MODULE` on GPUs, on several nodes, or on CPUs.
# Env: NUM_DEVICES (default: all GPUs, or 1 CPU process), HOSTFILE (several nodes), MASTER_PORT,
#      GLOBAL_BATCH_SIZE, BATCH_PER_DEVICE (their ratio becomes the gradient accumulation).
# shellcheck shell=bash

PYTHON="${PYTHON:-$([ -x .venv/bin/python ] && echo .venv/bin/python || command -v python3)}"
BIN="$(dirname "$PYTHON")"

[ "${1:-}" = --help ] && { sed -n '2,5s/^# //p' "$0"; exit 0; }

die() { echo "error: $*" >&2; exit 2; }

count_gpus() { nvidia-smi -L 2>/dev/null | grep -c '^GPU' || true; }

# usage: accumulation GLOBAL PER_DEVICE DEVICES
accumulation() {
  local step=$(($2 * $3))
  [ $(($1 % step)) -eq 0 ] || die "GLOBAL_BATCH_SIZE=$1 is not a multiple of BATCH_PER_DEVICE=$2 x $3 devices"
  echo $(($1 / step))
}

# usage: launch MODULE ARGS...
launch() {
  local module=$1 gpus devices device_flags
  shift
  gpus=$(count_gpus)
  devices=${NUM_DEVICES:-$([ "$gpus" -gt 0 ] && echo "$gpus" || echo 1)}
  device_flags=()
  if [ "$gpus" -eq 0 ]; then
    export DS_ACCELERATOR=cpu
    device_flags=(--use_cpu True)
    [ "$devices" -gt 1 ] && device_flags+=(--ddp_backend gloo)
  elif [ "$devices" -gt "$gpus" ] && [ -z "${HOSTFILE:-}" ]; then
    die "NUM_DEVICES=$devices, but this machine has $gpus GPU(s)"
  fi
  local accumulate nodes=1
  [ -z "${HOSTFILE:-}" ] || nodes=$(grep -c 'slots=' "$HOSTFILE") || die "HOSTFILE=$HOSTFILE names no node (slots=N)"
  accumulate=$(accumulation "$GLOBAL_BATCH_SIZE" "$BATCH_PER_DEVICE" $((devices * nodes))) || exit 2
  export OMP_NUM_THREADS="${OMP_NUM_THREADS:-$(($(nproc) / devices > 0 ? $(nproc) / devices : 1))}"
  export PATH="$BIN:$PATH" TOKENIZERS_PARALLELISM=false
  "$BIN/deepspeed" ${HOSTFILE:+--hostfile "$HOSTFILE"} --num_gpus "$devices" \
    --master_port "${MASTER_PORT:-29500}" --module "$module" \
    --per_device_train_batch_size "$BATCH_PER_DEVICE" --gradient_accumulation_steps "$accumulate" \
    ${device_flags[@]+"${device_flags[@]}"} "$@"
}
