"""What both stages do before they train: arguments, processes, data, tables."""

import importlib.util
import json
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import HfArgumentParser, TrainingArguments

from src.dataset.sft_dataset import LengthPlan, MediaOptions
from src.dataset.store import ConversationStore
from src.dataset.videos import VideoOptions
from src.errors import InputError, MissingPathError
from src.model.lora import component_table, format_table
from src.params import DataArguments, ModelArguments
from src.trainer.checkpoint import last_complete_checkpoint
from src.trainer.param_groups import component_learning_rates

logger = logging.getLogger(__name__)


def parse_arguments(types: Sequence[Any], argv: Sequence[str] | None = None) -> tuple[Any, ...]:
    """Parse the command line into dataclasses and start the processes of a CPU run.

    DeepSpeed on several CPU processes must open its own communication before
    TrainingArguments exist, else every process believes that it is alone.

    Raises:
        InputError: a flag is unknown or its value cannot be used.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    if int(os.environ.get("WORLD_SIZE", "1")) > 1 and not torch.cuda.is_available():
        import deepspeed

        deepspeed.init_distributed(dist_backend="gloo")
    try:
        parsed = HfArgumentParser(list(types)).parse_args_into_dataclasses(arguments, look_for_args_file=False)
    except InputError:
        raise
    except (ValueError, TypeError) as error:
        raise InputError(str(error)) from error
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    return parsed


def model_dtype(args: TrainingArguments) -> torch.dtype:
    """Dtype the base model is loaded in: what --bf16 or --fp16 asks for, else float32."""
    return torch.bfloat16 if args.bf16 else torch.float16 if args.fp16 else torch.float32


def check_deepspeed(args: Any, model_args: ModelArguments) -> None:
    """Refuse DeepSpeed settings that would silently change the run.

    Raises:
        InputError: an optimizer block that overrules vision_lr and merger_lr, or
            quantised weights under ZeRO-3.
    """
    if not args.deepspeed:
        return
    if not Path(args.deepspeed).is_file():
        raise MissingPathError(f"--deepspeed {args.deepspeed}: no such file; see scripts/zero*.json")
    config = json.loads(Path(args.deepspeed).read_text(encoding="utf-8"))
    if "optimizer" in config:
        raise InputError(
            f"{args.deepspeed} has an optimizer block, which bypasses --vision_lr, --merger_lr and weight decay "
            "groups: remove the block and use --learning_rate, --optim and --weight_decay"
        )
    stage = config.get("zero_optimization", {}).get("stage", 0)
    if stage == 3 and model_args.bits < 16:
        raise InputError(f"--bits {model_args.bits} with ZeRO-3: bitsandbytes weights cannot be split; use zero2.json")


def zero_stage(args: TrainingArguments) -> int:
    """ZeRO stage of the run; 0 without DeepSpeed."""
    plugin = args.deepspeed_plugin
    return int(plugin.zero_stage) if plugin is not None else 0


def checkpointing_mode(args: TrainingArguments) -> None:
    """Choose the checkpointing mode that gives the vision tower gradients and works with ZeRO-3.

    Non-reentrant everywhere but under ZeRO-3 with adapters, where DeepSpeed's
    gathered parameters need the reentrant one (trl issue 2514).
    """
    if args.gradient_checkpointing:
        args.gradient_checkpointing_kwargs = {"use_reentrant": zero_stage(args) == 3}


def media_options(data_args: DataArguments, processor: Any) -> MediaOptions:
    """Apply the pixel budget to the processor and say how media are read."""
    budget = data_args.budget(processor)
    budget.apply(processor)
    video = VideoOptions(
        fps=data_args.fps,
        nframes=data_args.nframes,
        min_pixels=data_args.video_min_pixels,
        max_pixels=data_args.video_max_pixels,
        resized_wh=_pair(data_args.video_resized_width, data_args.video_resized_height),
    )
    resized = _pair(data_args.image_resized_width, data_args.image_resized_height)
    return MediaOptions(budget, resized, video, data_args.allow_remote_images)


def _pair(width: int | None, height: int | None) -> tuple[int, int] | None:
    return (width, height) if width and height else None


def open_store(path: str, folder: str | None, data_args: DataArguments, output_dir: str | None) -> ConversationStore:
    """Open a dataset; rejected rows go to rejects.jsonl in the run's folder."""
    rejects = Path(output_dir) / "rejects.jsonl" if output_dir and data_args.skip_bad_rows else None
    return ConversationStore(
        path,
        folder,
        data_format=data_args.data_format,
        skip_bad_rows=data_args.skip_bad_rows,
        # One unreadable picture must not end an epoch when bad rows are to be left out.
        check_headers=data_args.skip_bad_rows,
        rejects_path=rejects,
        allow_remote_images=data_args.allow_remote_images,
    )


def use_liger(model_args: ModelArguments, args: TrainingArguments) -> None:
    """Turn Liger kernels on where they exist: they are Triton code and need CUDA."""
    if not model_args.use_liger:
        return
    usable = torch.cuda.is_available() and importlib.util.find_spec("liger_kernel") is not None
    args.use_liger_kernel = usable
    if not usable:
        logger.info("--use_liger True: no CUDA device or no liger-kernel here, so the stock layers are used")


def print_plan(model: Any, args: Any, media: MediaOptions, rows: int) -> None:
    """Print what will be trained, on how much data, at which budget; main process only."""
    if args.process_index:
        return
    budget = media.budget
    print(format_table(component_table(model, component_learning_rates(args))))
    print(
        f"rows {rows} | image pixels {budget.image_min_pixels}-{budget.image_max_pixels} "
        f"({budget.image_min_pixels // 784}-{budget.image_max_pixels // 784} visual tokens) | "
        f"tokens per sample <= {budget.max_tokens or 'no limit'} | ZeRO-{zero_stage(args)} | "
        f"{args.world_size} process(es) x {args.per_device_train_batch_size} x "
        f"{args.gradient_accumulation_steps} = global batch "
        f"{args.world_size * args.per_device_train_batch_size * args.gradient_accumulation_steps}",
        flush=True,
    )


def resume_point(args: TrainingArguments) -> str | None:
    """Checkpoint to go on from: the one asked for, else the newest complete one of the output folder."""
    if isinstance(args.resume_from_checkpoint, str):
        return args.resume_from_checkpoint
    found = last_complete_checkpoint(str(args.output_dir))
    if found and not args.process_index:
        print(f"resuming from {found}", flush=True)
    return found


def report_lengths(plan: LengthPlan, store: ConversationStore) -> None:
    """Say how many rows are rejected, trimmed or refused, and name the first ones."""
    if store.rejects:
        logger.warning("%d bad rows skipped, see rejects.jsonl", len(store.rejects))
    if plan.trimmed or plan.refused:
        logger.warning(
            "--max_seq_length: %d rows lose trailing turns, %d rows are refused (first exchange too long)",
            plan.trimmed,
            plan.refused,
        )
