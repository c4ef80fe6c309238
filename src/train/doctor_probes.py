"""What the doctor measures with: watches on a real training loop and on real sampling.

Nothing here judges; ``doctor_checks`` does. Every watch hangs on the trainer
that the run itself would use, so what it sees is what the run would do.
"""

import copy
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only
from transformers import GenerationConfig, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from src.constants import IGNORE_INDEX
from src.errors import TrainingError
from src.model.patches import vision_language_core

# Inputs that belong to the pictures of a row.
_PICTURE_KEYS = ("pixel_values", "image_grid_thw")
# Answer positions looked at per row: their logits are as wide as the vocabulary.
_MAX_POSITIONS = 64


class TensorBytes(TorchDispatchMode):
    """Counts the bytes of tensors made while it is on, each storage once, until it is freed.

    Attributes:
        peak: most bytes alive at once.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.peak = self._now = 0
        self._alive: dict[int, weakref.ref[Any]] = {}
        self._before = {value.untyped_storage().data_ptr() for value in (*model.parameters(), *model.buffers())}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operation and look at what it made."""
        result = func(*args, **(kwargs or {}))
        tree_map_only(torch.Tensor, self._count, result)
        return result

    def _count(self, tensor: torch.Tensor) -> None:
        storage = tensor.untyped_storage()
        key, size = id(storage), storage.nbytes()
        if key in self._alive or storage.data_ptr() in self._before:
            return

        def freed(_: Any) -> None:
            self._alive.pop(key, None)
            self._now -= size

        self._alive[key] = weakref.ref(storage, freed)
        self._now += size
        self.peak = max(self.peak, self._now)


class PeakMemory:
    """Measures the tensor bytes that a block takes beyond a model: by CUDA's allocator, or counted on a CPU.

    Attributes:
        peak: most bytes at once.
    """

    def __init__(self, model: nn.Module) -> None:
        self._cuda = next(model.parameters()).is_cuda
        self._tensors = TensorBytes(model)
        self._base = self.peak = 0

    def __enter__(self) -> "PeakMemory":
        if self._cuda:
            torch.cuda.reset_peak_memory_stats()
            self._base = torch.cuda.memory_allocated()
        else:
            self._tensors.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        if self._cuda:
            self.peak = torch.cuda.max_memory_allocated() - self._base
        else:
            self._tensors.__exit__(*error)
            self.peak = self._tensors.peak


def unit_of(name: str) -> str:
    """The module pair that a LoRA weight belongs to; any other parameter is a unit of its own.

    LoRA's B starts at zero, so A has no gradient at the first step: a pair is
    alive when either of its two matrices is.
    """
    return name.split(".lora_")[0] if ".lora_" in name else name


class GradientWatch(TrainerCallback):
    """Records the gradients of every optimizer step of a run.

    Attributes:
        largest: largest norm of each parameter's gradient over all steps.
        first: the norms at the first step.
        broken: parameters that had a gradient with a NaN or an infinity.
        strays: frozen parameters that had a gradient.
    """

    def __init__(self) -> None:
        self.largest: dict[str, float] = {}
        self.first: dict[str, float] = {}
        self.broken: set[str] = set()
        self.strays: set[str] = set()

    def on_pre_optimizer_step(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        model: nn.Module | None = None,
        **kwargs: Any,
    ) -> None:
        """Look at the gradients that the optimizer is about to apply."""
        assert model is not None
        for name, parameter in model.named_parameters():
            if parameter.grad is None:
                continue
            if not parameter.requires_grad:
                self.strays.add(name)
            norm = float(parameter.grad.float().norm())
            if not np.isfinite(norm):
                self.broken.add(name)
            if state.global_step == 0:
                self.first[name] = norm
            self.largest[name] = max(self.largest.get(name, 0.0), norm)


def checksum(parameter: torch.Tensor) -> int:
    """Sum of the bytes of a tensor: tells whether any of its values changed."""
    return int(parameter.detach().contiguous().reshape(-1).view(torch.uint8).sum(dtype=torch.int64))


@dataclass(frozen=True)
class Weights:
    """A model's weights as they were: checksums of the frozen ones, copies of the trainable ones."""

    frozen: dict[str, int]
    trainable: dict[str, torch.Tensor]

    @classmethod
    def of(cls, model: nn.Module) -> "Weights":
        """Remember a model's weights; copies lie in main memory."""
        frozen, trainable = {}, {}
        for name, parameter in model.named_parameters():
            if parameter.requires_grad:
                trainable[name] = parameter.detach().to("cpu", copy=True)
            else:
                frozen[name] = checksum(parameter)
        return cls(frozen, trainable)

    def changed_frozen(self, model: nn.Module) -> list[str]:
        """Names of frozen weights that are no longer what they were."""
        now = dict(model.named_parameters())
        return [name for name, value in self.frozen.items() if checksum(now[name]) != value]

    def moved_share(self, model: nn.Module) -> dict[str, float]:
        """Share of the values of each trainable weight that changed."""
        now = dict(model.named_parameters())
        return {
            name: float((now[name].detach().cpu() != before).float().mean()) for name, before in self.trainable.items()
        }

    def restore(self, model: nn.Module) -> None:
        """Put the trainable weights back."""
        now = dict(model.named_parameters())
        with torch.no_grad():
            for name, before in self.trainable.items():
                now[name].copy_(before)


@contextmanager
def watched_tokens(model: nn.Module) -> Iterator[list[int]]:
    """Collect the padded size in tokens of every batch that passes through a model."""
    sizes: list[int] = []

    def record(module: nn.Module, args: Any, kwargs: dict[str, Any]) -> None:
        if kwargs.get("input_ids") is not None:
            sizes.append(kwargs["input_ids"].numel())

    handle = model.register_forward_pre_hook(record, with_kwargs=True)
    try:
        yield sizes
    finally:
        handle.remove()


@torch.no_grad()
def answer_logits(model: nn.Module, batch: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits where the answer of a one-row batch is predicted.

    Args:
        model: the model of the run.
        batch: model inputs with labels, one row.

    Returns:
        Logits (n, vocabulary) float32 and the tokens to predict (n,), for the first answer positions.
    """
    device = next(model.parameters()).device
    inputs = {key: value.to(device) for key, value in batch.items()}
    labels = inputs.pop("labels")[0]
    positions = (labels != IGNORE_INDEX).nonzero()[:_MAX_POSITIONS, 0]
    logits = model(**inputs, logits_to_keep=positions - 1, use_cache=False).logits[0].float()
    # A forward pass leaves its position offsets behind, which a later decoding step would add.
    vision_language_core(model).rope_deltas = None  # type: ignore[assignment]
    return logits, labels[positions]


def with_pixels(batch: dict[str, torch.Tensor], pixels: torch.Tensor) -> dict[str, torch.Tensor]:
    """The same batch showing other pixels, tiled or cut to the shape of its own."""
    wanted = batch["pixel_values"].shape[0]
    repeats = -(-wanted // pixels.shape[0])
    return batch | {"pixel_values": pixels.repeat(repeats, 1)[:wanted]}


def without_pictures(batch: dict[str, torch.Tensor], vision_token_ids: Sequence[int]) -> dict[str, torch.Tensor]:
    """A one-row batch without its pictures and their tokens."""
    kept = ~torch.isin(batch["input_ids"][0], torch.tensor(vision_token_ids))
    return {key: value[:, kept] for key, value in batch.items() if key not in _PICTURE_KEYS}


@dataclass
class Sampled:
    """Completions of one generation batch, as the GRPO trainer made and scored them.

    Args:
        rows: dataset rows, each repeated once per generation.
        output: what ``_generate_and_score_completions`` returned, in main memory.
        completions: the texts.
        rewards: (rows, reward functions), NaN where a function does not apply.
        sampled: (rows, T) log-probabilities of the sampled tokens at the training temperature, from generation.
        truncated: the same after top-k, top-p and suppressed tokens: the distribution really drawn from.
        recomputed: (rows, T) the trainer's own log-probabilities of the same tokens.
        mask: (rows, T) true for tokens of completions.
    """

    rows: list[dict[str, Any]]
    output: dict[str, Any]
    completions: list[str] = field(default_factory=list)
    rewards: torch.Tensor = field(default_factory=lambda: torch.empty(0))
    sampled: torch.Tensor = field(default_factory=lambda: torch.empty(0))
    truncated: torch.Tensor = field(default_factory=lambda: torch.empty(0))
    recomputed: torch.Tensor = field(default_factory=lambda: torch.empty(0))
    mask: torch.Tensor = field(default_factory=lambda: torch.empty(0))

    def row_batch(self, index: int) -> dict[str, torch.Tensor]:
        """One completion as a one-row training batch, without padding."""
        output = self.output
        prompt = output["prompt_ids"][index][output["prompt_mask"][index].bool()]
        answer = output["completion_ids"][index][self.mask[index]]
        ids = torch.cat([prompt, answer])
        batch = {"input_ids": ids, "labels": ids.clone(), "attention_mask": torch.ones_like(ids)}
        batch["labels"][: len(prompt)] = IGNORE_INDEX
        if "mm_token_type_ids" in output:
            full = torch.cat([output["prompt_mask"][index].bool(), self.mask[index]])
            batch["mm_token_type_ids"] = output["mm_token_type_ids"][index][full]
        batch = {key: value.unsqueeze(0) for key, value in batch.items()}
        return batch | self._pictures(index)

    def _pictures(self, index: int) -> dict[str, torch.Tensor]:
        counts = self.output.get("num_images")
        if not counts or not counts[index] or "pixel_values" not in self.output:
            return {}
        grids = self.output["image_grid_thw"]
        first = sum(counts[:index])
        start = int(grids[:first].prod(dim=1).sum())
        grid = grids[first : first + counts[index]]
        pixels = self.output["pixel_values"][start : start + int(grid.prod(dim=1).sum())]
        return {"pixel_values": pixels, "image_grid_thw": grid}


class _SamplingWatch:
    """Stands in for ``model.generate`` and keeps the log-probabilities of what it sampled."""

    def __init__(self, generate: Any, temperature: float) -> None:
        self._generate, self._temperature = generate, temperature
        self.sampled = self.truncated = torch.empty(0)

    def __call__(self, *, generation_config: GenerationConfig, **inputs: Any) -> torch.Tensor:
        config = copy.deepcopy(generation_config)
        config.return_dict_in_generate = config.output_logits = config.output_scores = True
        output = self._generate(**inputs, generation_config=config)
        tokens = output.sequences[:, -len(output.logits) :]
        steps = range(len(output.logits))
        self.sampled = torch.stack([_log_prob(output.logits[i] / self._temperature, tokens[:, i]) for i in steps], 1)
        self.truncated = torch.stack([_log_prob(output.scores[i], tokens[:, i]) for i in steps], 1)
        return output.sequences


def _log_prob(logits: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
    return logits.float().log_softmax(-1).gather(1, tokens[:, None])[:, 0]


@torch.no_grad()
def sample_groups(trainer: Any, rows: Sequence[int]) -> list[Sampled]:
    """Sample and score groups of completions for some rows, through the trainer's own methods.

    The model is in evaluation mode, so LoRA's dropout does not blur the log-probabilities. Drawn by the library's
    ``generate``, scored by the pass that the run will use: where that packs groups, both ways are compared.

    Args:
        trainer: the run's GRPO trainer; left as it was, but for its random state.
        rows: positions in its training set.

    Returns:
        One entry per generation batch.
    """
    group, args = trainer.num_generations, trainer.args
    prompts = max(1, args.generation_batch_size // group)
    model = trainer.accelerator.unwrap_model(trainer.model)
    watch = _SamplingWatch(model.generate, trainer.temperature)
    scored: list[tuple[list[Any], torch.Tensor]] = []
    calculate, eval_group, training = trainer._calculate_rewards, trainer.num_generations_eval, model.training

    def keep_rewards(inputs: list[Any], prompts: list[Any], completions: list[Any], ids: list[Any]) -> torch.Tensor:
        scored.append((completions, calculate(inputs, prompts, completions, ids)))
        return scored[-1][1]

    model.generate, trainer._calculate_rewards, trainer.num_generations_eval = watch, keep_rewards, group
    shared = trainer.shared_prefix
    model.eval()
    batches = []
    try:
        for start in range(0, len(rows), prompts):
            inputs = [trainer.train_dataset[int(row)] for row in rows[start : start + prompts] for _ in range(group)]
            trainer.shared_prefix = False
            output = trainer._generate_and_score_completions(inputs)
            trainer.shared_prefix = shared
            batches.append(_scored_batch(trainer, inputs, output, watch, *scored[-1]))
    finally:
        del model.generate, trainer._calculate_rewards
        trainer.num_generations_eval, trainer.shared_prefix = eval_group, shared
        model.train(training)
        vision_language_core(model).rope_deltas = None  # type: ignore[assignment]
    return batches


def _scored_batch(
    trainer: Any,
    inputs: list[Any],
    output: dict[str, Any],
    watch: _SamplingWatch,
    completions: list[Any],
    rewards: torch.Tensor,
) -> Sampled:
    width = output["completion_ids"].size(1)
    fields = ("pixel_values", "image_grid_thw", "num_images", "mm_token_type_ids")
    with trainer.about(inputs) if trainer.shared_prefix else nullcontext():
        recomputed, _, _ = trainer._get_per_token_logps_and_entropies(
            trainer.model,
            torch.cat([output["prompt_ids"], output["completion_ids"]], dim=1),
            torch.cat([output["prompt_mask"], output["completion_mask"]], dim=1),
            width,
            batch_size=trainer.args.per_device_train_batch_size,
            **{name: output[name] for name in fields if name in output},
        )
    return Sampled(
        rows=inputs,
        output={key: value.cpu() if isinstance(value, torch.Tensor) else value for key, value in output.items()},
        completions=[text if isinstance(text, str) else text[0]["content"] for text in completions],
        rewards=rewards.cpu(),
        sampled=watch.sampled[:, :width].cpu(),
        truncated=watch.truncated[:, :width].cpu(),
        recomputed=recomputed.cpu(),
        mask=output["completion_mask"].bool().cpu(),
    )


@contextmanager
def fixed_advantages(trainer: Any) -> Iterator[None]:
    """Give every completion the advantage 1, so that gradients do not hang on the luck of the rewards."""
    generate = trainer._generate_and_score_completions

    def with_signal(inputs: list[Any]) -> dict[str, Any]:
        output = generate(inputs)
        return output | {"advantages": torch.ones_like(output["advantages"])}

    trainer._generate_and_score_completions = with_signal
    try:
        yield
    finally:
        del trainer._generate_and_score_completions


def run_steps(trainer: Any, gradients: GradientWatch) -> None:
    """Take the trainer's optimizer steps, all gradients watched.

    Raises:
        TrainingError: the loader gave no batch.
    """
    trainer.add_callback(gradients)
    try:
        trainer.train()
    finally:
        trainer.remove_callback(gradients)
    if not gradients.largest and trainer.state.global_step == 0:
        raise TrainingError("no optimizer step was taken: the dataset gives no complete batch")
