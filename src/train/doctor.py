"""Prove a run before it costs money: the doctor takes the flags of a run and says, in minutes, what would go wrong.

    python -m src.train.doctor --model_id assets/nano --data_path D.json --lora_enable True --vision_lora True
    python -m src.train.doctor --stage grpo --model_id assets/nano --stage1 OUT --data_path D.jsonl --json doctor.json

It loads data and model as the run does, looks at components, rows, labels and pictures, samples and scores
completions (stage 2) and takes a few optimizer steps with the run's own trainer on the longest and some other rows.
Exit code 1 with the reason where a check fails, 2 for bad input. Nothing is written but the file of --json.

Not covered: several processes and DeepSpeed itself. Of --deepspeed the file is checked and counted in the memory
estimate; the steps are taken by one process without it. Schedules are replaced by a constant learning rate.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch.utils.data import Subset
from transformers import PrinterCallback, set_seed

from src.constants import IMAGE_PAD, VISION_END, VISION_START
from src.dataset.grpo_dataset import build_grpo_dataset
from src.dataset.sft_dataset import SftDataset, count_tokens, plan_lengths
from src.dataset.store import ConversationStore
from src.errors import InputError, run_command
from src.model.load import load_processor
from src.params import DataArguments, GrpoArguments, LoraArguments, ModelArguments, SftArguments
from src.train import doctor_checks as checks
from src.train import doctor_data as data
from src.train import doctor_probes as probes
from src.train import setup, train_grpo, train_sft
from src.train.doctor_report import Check, Report
from src.train.reward_funcs import select_rewards
from src.trainer.param_groups import component_learning_rates

# Overrule the run's own flags: few steps at full learning rate, and no trace on disk.
_OVERRULED = {
    "--save_strategy": "no",
    "--eval_strategy": "no",
    "--logging_strategy": "no",
    "--load_best_model_at_end": "False",
    "--report_to": "none",
    "--disable_tqdm": "True",
    "--lr_scheduler_type": "constant",
    "--warmup_ratio": "0",
    "--warmup_steps": "0",
}
_MODEL_CHECKS = {
    "sft": ("images", "gradients", "movement", "memory"),
    "grpo": ("rewards", "logprobs", "images", "gradients", "movement", "memory"),
}
_STEP_CHECKS = ("gradients", "movement", "memory")


@dataclass
class DoctorArguments:
    """What the doctor adds to a run's flags."""

    stage: str = field(default="", metadata={"help": "sft or grpo; default: grpo with --num_generations or --stage1"})
    json: str = field(default="", metadata={"help": "write the verdicts and their figures to this file"})
    steps: int = field(default=4, metadata={"help": "optimizer steps to take"})
    rows: int = field(default=8, metadata={"help": "rows to look at closely"})

    def __post_init__(self) -> None:
        if self.stage not in ("", "sft", "grpo"):
            raise InputError(f"--stage {self.stage}: expected sft or grpo")
        if self.steps < 2 or self.rows < 1:
            raise InputError(
                f"--steps {self.steps} --rows {self.rows}: expected at least 2 steps (LoRA's A matrices move from the "
                "second one on) and 1 row"
            )


@dataclass
class Run:
    """The run under examination."""

    model_args: ModelArguments
    data_args: DataArguments
    lora_args: LoraArguments
    args: Any
    own: DoctorArguments
    zero: dict[str, Any]
    report: Report


def parse(argv: Sequence[str], scratch: str) -> Run:
    """Read a run's flags as the run does; output goes to a scratch folder, DeepSpeed's file is taken out.

    Raises:
        InputError: a flag is unknown or its value cannot be used.
    """
    launcher = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    launcher.add_argument("--deepspeed")
    launcher.add_argument("--stage")
    launched, flags = launcher.parse_known_args(list(argv))
    names = {flag.split("=")[0] for flag in flags}
    stage = launched.stage or ("grpo" if {"--num_generations", "--stage1"} & names else "sft")
    flags += [part for pair in _OVERRULED.items() for part in pair] + ["--output_dir", scratch, "--stage", stage]
    types = (ModelArguments, DataArguments, LoraArguments, GrpoArguments if stage == "grpo" else SftArguments)
    model_args, data_args, lora_args, args, own = setup.parse_arguments((*types, DoctorArguments), flags)
    args.max_steps = own.steps
    setup.check_deepspeed(SimpleNamespace(deepspeed=launched.deepspeed), model_args)
    zero = {}
    if launched.deepspeed:
        zero = json.loads(Path(launched.deepspeed).read_text(encoding="utf-8")).get("zero_optimization", {})
    setup.checkpointing_mode(args)
    if args.gradient_checkpointing and zero.get("stage") == 3:
        args.gradient_checkpointing_kwargs = {"use_reentrant": True}
    setup.use_liger(model_args, args)
    return Run(model_args, data_args, lora_args, args, own, zero, Report(stage))


def examine_rows(run: Run, processor: Any, media: Any) -> tuple[ConversationStore, data.Survey] | None:
    """Open the data with bad rows left out, and judge what is there; None where no row is usable."""
    options = replace(run.data_args, skip_bad_rows=True)
    path, folder = run.data_args.data_path, run.data_args.image_folder
    store = run.report.attempt("data", setup.open_store, path, folder, options, None)
    if store is None:
        return None
    found = run.report.attempt("data", data.survey, store, media)
    if found is None:
        return None
    rows = data.choose_rows(found.tokens, found.images, run.own.rows, 1)
    run.report.attempt("data", data.check_data, store, found, processor, rows, run.data_args.skip_bad_rows)
    return store, found


def examine_sft(run: Run) -> None:
    """All checks of stage 1."""
    report, args = run.report, run.args
    processor = load_processor(run.model_args.model_id, cache_dir=run.model_args.cache_dir)
    media = setup.media_options(run.data_args, processor)
    opened = examine_rows(run, processor, media)
    later = ("components", *_MODEL_CHECKS["sft"])
    if opened is None:
        return report.not_run(("lengths", "dropped", "labels", *later), "usable rows")
    store, found = opened
    plan = plan_lengths(store, processor, media)
    flag = f"--max_seq_length {run.data_args.max_seq_length}"
    report.add(data.check_lengths(len(store), plan.trimmed, plan.refused, flag))
    report.add(data.check_dropped(len(store) + len(store.rejects), len(store.rejects), plan.refused))
    kept = plan.kept_rows()
    if not len(kept):
        return report.not_run(("labels", *later), f"rows that fit into {flag}")
    dataset = SftDataset(store, processor, media, plan)
    batch = args.per_device_train_batch_size
    rows = data.choose_rows(found.tokens[kept], found.images[kept], run.own.rows, batch)
    report.attempt("labels", data.check_labels, dataset, rows)
    model = report.attempt("components", train_sft.build_model, run.model_args, run.lora_args, args)
    if model is None:
        return report.not_run(_MODEL_CHECKS["sft"], "a model")
    trainer = train_sft.build_trainer(model, args, processor, Subset(dataset, rows))
    report.attempt("components", _components, run, trainer)
    report.attempt("images", _sft_images, trainer, dataset, rows, processor)
    longest = max(count_tokens(dataset.conversation(row), processor, media) for row in rows)
    take_steps(run, trainer, batch * longest)
    return None


def _components(run: Run, trainer: Any) -> Check:
    rates = component_learning_rates(run.args)
    return checks.check_components(trainer.model, run.model_args, run.lora_args, rates)


def _vision_tokens(processor: Any) -> list[int]:
    return processor.tokenizer.convert_tokens_to_ids([VISION_START, VISION_END, IMAGE_PAD])


def _sft_images(trainer: Any, dataset: SftDataset, rows: Sequence[int], processor: Any) -> Check:
    """Take each row the way the trainer does: its dataset, its collator."""
    shown = [
        checks.ShownRow(f"row {row}", dataset.conversation(row).images, trainer.data_collator([sample]))
        for row, sample in zip(rows, trainer.train_dataset, strict=True)
    ]
    return checks.check_images(trainer.model, shown, _vision_tokens(processor))


def examine_grpo(run: Run) -> None:
    """All checks of stage 2."""
    report, args = run.report, run.args
    rewards = select_rewards(args.rewards.split(","))
    processor = load_processor(run.model_args.model_id, cache_dir=run.model_args.cache_dir)
    media = setup.media_options(run.data_args, processor)
    opened = examine_rows(run, processor, media)
    later = ("components", *_MODEL_CHECKS["grpo"])
    if opened is None:
        return report.not_run(("lengths", "dropped", "labels", *later), "usable rows")
    store, _ = opened
    train_set = report.attempt("lengths", build_grpo_dataset, store, processor, media, args.max_prompt_length)
    if train_set is None:
        return report.not_run(("dropped", "labels", *later), "rows whose prompts fit")
    raw = train_set.with_format(None)
    left_out = len(store) - len(train_set)
    report.attempt("lengths", _grpo_lengths, run, raw, left_out, processor)
    report.add(data.check_dropped(len(store) + len(store.rejects), len(store.rejects), left_out))
    prompts = max(1, args.generation_batch_size // args.num_generations)
    rows = report.attempt("batch", _grpo_rows, raw, media, run.own.rows, prompts)
    if rows is None:
        return report.not_run(("labels", *later), "as many rows as a generation batch has prompts")
    report.attempt("labels", data.check_references, [train_set[row] for row in rows])
    build = (run.model_args, run.lora_args, args, rewards, processor, train_set.select(rows))
    trainer = report.attempt("components", train_grpo.build_trainer, *build)
    if trainer is None:
        return report.not_run(_MODEL_CHECKS["grpo"], "a model")
    report.attempt("components", _components, run, trainer)
    longest = _examine_sampling(run, trainer, [raw[row]["images"] for row in rows], processor)
    with probes.fixed_advantages(trainer):
        take_steps(run, trainer, args.per_device_train_batch_size * (longest + args.max_completion_length))
    return None


def _grpo_lengths(run: Run, raw: Any, left_out: int, processor: Any) -> Check:
    """Prompts against --max_prompt_length, references against --max_completion_length."""
    limit = run.args.max_completion_length
    lengths = [len(ids) for ids in processor.tokenizer(list(raw["answer"]))["input_ids"]]
    too_long = sum(length >= limit for length in lengths)
    odd = [f"{too_long} of {len(lengths)} references are too long for --max_completion_length {limit}"]
    flag = f"--max_prompt_length {run.args.max_prompt_length or '(no limit)'}"
    return data.check_lengths(len(raw) + left_out, 0, left_out, flag, odd if too_long else ())


def _grpo_rows(raw: Any, media: Any, count: int, prompts: int) -> list[int]:
    """Rows for sampling and steps; at least as many as one generation batch has prompts.

    Raises:
        InputError: the data hold fewer.
    """
    if len(raw) < prompts:
        raise InputError(
            f"{len(raw)} rows, but one generation batch takes {prompts} prompts (batch x accumulation / generations): "
            "the trainer would take no step. Lower --gradient_accumulation_steps or give more rows"
        )
    images = [len(paths) for paths in raw["images"]]
    tokens = [
        len(prompt.encode()) // 3 + sum(media.image_tokens(path) for path in paths)
        for prompt, paths in zip(raw["prompt"], raw["images"], strict=True)
    ]
    return data.choose_rows(np.array(tokens), np.array(images), max(count, prompts), 1)


def _examine_sampling(run: Run, trainer: Any, images: list[list[str]], processor: Any) -> int:
    """Rewards, log-probabilities and pictures on sampled completions; returns the longest prompt in tokens."""
    report = run.report
    batches = report.attempt("rewards", probes.sample_groups, trainer, range(len(images)))
    if batches is None:
        report.not_run(("logprobs", "images"), "sampled completions")
        return 0
    group = trainer.num_generations
    report.attempt("rewards", checks.check_rewards, batches, group, trainer.reward_weights)
    # 8-bit layers round activations by the rows that they see together, so passes differ as in half precision.
    dtype = torch.bfloat16 if run.model_args.bits == 8 else setup.model_dtype(run.args)
    report.attempt("logprobs", checks.check_logprobs, batches, dtype)
    report.attempt("images", _grpo_images, trainer, batches, images, _vision_tokens(processor))
    return max(batch.output["prompt_ids"].size(1) for batch in batches)


def _grpo_images(trainer: Any, batches: Sequence[Any], images: list[list[str]], vision_tokens: list[int]) -> Check:
    """Take the first completion of each group, with the pixels that the trainer gave to its forward pass."""
    group = trainer.num_generations
    firsts = [batch.row_batch(index) for batch in batches for index in range(0, len(batch.rows), group)]
    shown = [
        checks.ShownRow(f"row {row}", tuple(paths), first)
        for row, (paths, first) in enumerate(zip(images, firsts, strict=True))
    ]
    return checks.check_images(trainer.model, shown, vision_tokens)


def take_steps(run: Run, trainer: Any, configured_tokens: int) -> None:
    """A few optimizer steps of the run's own loop: gradients, movement, memory. The weights are put back."""
    report, model = run.report, trainer.model
    device = next(model.parameters()).device
    if not any(parameter.requires_grad for parameter in model.parameters()):
        return report.not_run(_STEP_CHECKS, "a trainable weight")
    trainer.remove_callback(PrinterCallback)
    before, gradients = probes.Weights.of(model), probes.GradientWatch()
    with probes.PeakMemory(model) as memory, probes.watched_tokens(model) as sizes:
        taken = report.attempt(_STEP_CHECKS[0], _steps, trainer, gradients)
    if not isinstance(taken, int):
        if isinstance(taken, Check):
            report.not_run(_STEP_CHECKS[:2], "steps that fit into memory")
        else:
            report.not_run(_STEP_CHECKS[1:], "optimizer steps")
        return None
    rates = component_learning_rates(run.args)
    report.attempt("gradients", checks.check_gradients, model, gradients)
    report.attempt("movement", checks.check_movement, model, before, taken, rates, bool(run.zero))
    use = _memory_use(run, trainer, memory, max(sizes), configured_tokens)
    report.attempt("memory", checks.check_memory, use, device)
    before.restore(model)
    return None


def _steps(trainer: Any, gradients: probes.GradientWatch) -> int | Check:
    try:
        probes.run_steps(trainer, gradients)
    except torch.OutOfMemoryError as error:
        advice = "lower --per_device_train_batch_size, --image_max_pixels or --max_seq_length"
        return Check("memory", "fail", f"out of memory in an optimizer step: {advice} ({error})")
    return int(trainer.state.global_step)


def _memory_use(
    run: Run, trainer: Any, memory: probes.PeakMemory, tokens: int, configured_tokens: int
) -> checks.MemoryUse:
    trainable = [parameter for parameter in trainer.model.parameters() if parameter.requires_grad]
    states = [value for state in trainer.optimizer.state.values() for value in state.values()]
    gradients = sum(parameter.nbytes for parameter in trainable)
    optimizer = sum(value.nbytes for value in states if isinstance(value, torch.Tensor))
    offloaded = set()
    if run.zero.get("offload_optimizer", {}).get("device") == "cpu":
        offloaded |= {"optimizer", "masters"}
    if run.zero.get("offload_param", {}).get("device") == "cpu":
        offloaded.add("weights")
    half = [parameter for parameter in trainable if parameter.dtype != torch.float32]
    return checks.MemoryUse(
        weights=sum(parameter.nbytes for parameter in trainer.model.parameters()),
        gradients=gradients,
        optimizer=optimizer,
        activations=max(0, memory.peak - gradients - optimizer),
        tokens=tokens,
        configured_tokens=configured_tokens,
        masters=4 * sum(parameter.numel() for parameter in half) if run.zero else 0,
        offloaded=frozenset(offloaded),
    )


def main() -> int:
    """Examine the run whose flags are given; 0 where nothing fails."""
    with tempfile.TemporaryDirectory() as scratch:
        run = parse(sys.argv[1:], scratch)
        set_seed(run.args.seed)
        print(f"doctor: stage {run.report.stage}, {run.model_args.model_id} on {run.data_args.data_path}", flush=True)
        (examine_grpo if run.report.stage == "grpo" else examine_sft)(run)
    if run.own.json:
        run.report.write(Path(run.own.json), run.args.seed)
    failed = run.report.failed
    print(f"doctor: {'FAILED ' + ', '.join(dict.fromkeys(failed)) if failed else 'no check failed, the run may start'}")
    return 1 if failed else 0


if __name__ == "__main__":
    run_command(main)
