#!/usr/bin/env bash
# Stage 2: GRPO with rewards routed by question type, from stage 1's policy. Extra flags pass through.
# Env: MODEL_NAME STAGE1 DATA_PATH IMAGE_FOLDER OUTPUT_DIR NUM_DEVICES GLOBAL_BATCH_SIZE BATCH_PER_DEVICE
#      NUM_GENERATIONS DEEPSPEED HOSTFILE. STAGE1=none starts from the base.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/launch.sh

MODEL_NAME="${MODEL_NAME:-models/Qwen2.5-VL-3B-Instruct}"
STAGE1="${STAGE1:-output/lora_vision}"
DATA_PATH="${DATA_PATH:-data/rsvqa_lr/train.jsonl}"
IMAGE_FOLDER="${IMAGE_FOLDER:-data/rsvqa_lr}"
OUTPUT_DIR="${OUTPUT_DIR:-output/grpo}"
DEEPSPEED="${DEEPSPEED:-scripts/zero3_offload.json}"
GLOBAL_BATCH_SIZE="${GLOBAL_BATCH_SIZE:-16}"
BATCH_PER_DEVICE="${BATCH_PER_DEVICE:-1}"
NUM_GENERATIONS="${NUM_GENERATIONS:-8}"

[ "$STAGE1" = none ] || [ -d "$STAGE1" ] || \
  die "STAGE1=$STAGE1 does not exist: run scripts/finetune_lora_vision.sh first, or set STAGE1=none"

launch src.train.train_grpo \
  --deepspeed "$DEEPSPEED" \
  --model_id "$MODEL_NAME" \
  --stage1 "$STAGE1" \
  --data_path "$DATA_PATH" \
  --image_folder "$IMAGE_FOLDER" \
  --output_dir "$OUTPUT_DIR" \
  --lora_enable True --lora_rank 8 --lora_alpha 16 --lora_dropout 0 \
  --freeze_vision_tower True --freeze_llm True --freeze_merger False \
  --bf16 True --fp16 False \
  --image_min_pixels 200704 --image_max_pixels 401408 \
  --num_generations "$NUM_GENERATIONS" --max_completion_length 32 --max_prompt_length 512 \
  --beta 0.04 --temperature 0.9 \
  --learning_rate 5e-6 --weight_decay 0.1 --warmup_ratio 0.03 --lr_scheduler_type cosine \
  --num_train_epochs 1 \
  --gradient_checkpointing True \
  --logging_steps 1 --report_to tensorboard \
  --save_strategy steps --save_steps 100 --save_total_limit 5 \
  --dataloader_num_workers 2 \
  "$@"
