#!/usr/bin/env bash
# Stage 1 variant: QLoRA, 4-bit base, LoRA on the language model only. Extra flags pass through.
# Env: MODEL_NAME DATA_PATH IMAGE_FOLDER OUTPUT_DIR NUM_DEVICES GLOBAL_BATCH_SIZE BATCH_PER_DEVICE DEEPSPEED HOSTFILE
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/launch.sh

MODEL_NAME="${MODEL_NAME:-models/Qwen2.5-VL-3B-Instruct}"
DATA_PATH="${DATA_PATH:-data/mmdu/mmdu-45k.json}"
IMAGE_FOLDER="${IMAGE_FOLDER:-data/mmdu}"
OUTPUT_DIR="${OUTPUT_DIR:-output/qlora}"
DEEPSPEED="${DEEPSPEED:-scripts/zero2.json}"
GLOBAL_BATCH_SIZE="${GLOBAL_BATCH_SIZE:-8}"
BATCH_PER_DEVICE="${BATCH_PER_DEVICE:-1}"

launch src.train.train_sft \
  --deepspeed "$DEEPSPEED" \
  --model_id "$MODEL_NAME" \
  --data_path "$DATA_PATH" \
  --image_folder "$IMAGE_FOLDER" \
  --output_dir "$OUTPUT_DIR" \
  --lora_enable True --bits 4 --quant_type nf4 --double_quant True \
  --lora_rank 32 --lora_alpha 16 --lora_dropout 0.05 --num_lora_modules -1 \
  --freeze_vision_tower True --freeze_llm True --freeze_merger True \
  --use_liger False \
  --bf16 True --fp16 False \
  --image_min_pixels $((256 * 28 * 28)) --image_max_pixels $((1280 * 28 * 28)) \
  --learning_rate 2e-4 --weight_decay 0.1 --warmup_ratio 0.03 --lr_scheduler_type cosine \
  --num_train_epochs 1 \
  --gradient_checkpointing True \
  --logging_steps 1 --report_to tensorboard \
  --save_strategy steps --save_steps 20 --save_total_limit 1 \
  --dataloader_num_workers 4 \
  "$@"
