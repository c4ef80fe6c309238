"""The doctor's verdicts on model, sampling and optimizer steps: what was measured becomes pass, warn or fail.

Thresholds stand at the top; none of them is tuned to a data set.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from src.answers.compare import reward as score_answer
from src.model.components import component_of
from src.model.lora import component_table, format_table
from src.params import LoraArguments, ModelArguments
from src.train.doctor_probes import (
    GradientWatch,
    Sampled,
    Weights,
    answer_logits,
    unit_of,
    with_pixels,
    without_pictures,
)
from src.train.doctor_report import Check, some, verdict

# Relative change of the answer's logits below which a picture counts as unseen. A model that does not see it changes
# by exactly 0, since shapes and order of the arithmetic stay the same.
MIN_INFLUENCE = 1e-4
# Within-group standard deviation of rewards that counts as none (TRL adds 1e-4 to it when it divides).
FLAT = 1e-6
MAX_FLAT_SHARE = 0.5
MAX_UNPARSED_SHARE = 0.5
# Largest and mean difference of log-probabilities between cached decoding and one full pass. bfloat16 keeps 8 bits.
LOGPROB_TOLERANCE = {torch.float32: (1e-3, 1e-4), torch.float16: (0.2, 0.02), torch.bfloat16: (1.0, 0.05)}
MAX_TRUNCATION = 1e-2
# Share of a half-precision component's values that must move for its updates not to be lost in rounding.
MIN_MOVED_SHARE = 0.1
# What CUDA, cuBLAS and NCCL take for themselves, and what the allocator loses between blocks: estimates.
CUDA_RESERVE_BYTES = int(1.5e9)
FRAGMENTATION = 1.1
CARDS_GB = (24, 40, 80)


def check_components(
    model: nn.Module, model_args: ModelArguments, lora_args: LoraArguments, rates: dict[str, float]
) -> Check:
    """Whether the flags' wishes and the trainable weights agree, component by component."""
    table = component_table(model, rates)
    trained = {row["component"]: row["trainable"] for row in table}
    wanted = {
        "llm": lora_args.lora_enable or not model_args.freeze_llm or model_args.unfreeze_topk_llm > 0,
        "vision": lora_args.vision_lora or not model_args.freeze_vision_tower or model_args.unfreeze_topk_vision > 0,
        "merger": not model_args.freeze_merger,
    }
    failures = []
    if not trained["all"]:
        failures.append("nothing is trainable: the adapter was loaded for inference, or everything is frozen")
    for component, wish in wanted.items():
        if wish and not trained[component]:
            failures.append(f"the flags ask to train the {component}, but none of its weights is trainable")
        # lora_bias all trains the biases of the whole model.
        if not wish and trained[component] and lora_args.lora_bias == "none":
            failures.append(f"the flags freeze the {component}, but {trained[component]:,} of its weights train")
        if trained[component] and not rates[component]:
            failures.append(f"the {component} has learning rate 0")
    tied = model.config.get_text_config().tie_word_embeddings  # type: ignore[union-attr, operator]
    on_tied = [n for n, _ in model.named_parameters() if ".lora_" in n and component_of(n) in ("embed", "head")]
    if tied and on_tied:
        failures.append(f"LoRA on {on_tied[0]}: embeddings and head share one matrix here, and a merge would damage it")
    all_row = table[-1]
    summary = f"{all_row['trainable']:,} of {all_row['parameters']:,} weights are trained\n{format_table(table)}"
    return verdict("components", summary, failures, components=table)


@dataclass(frozen=True)
class ShownRow:
    """One row as the trainer would show it to the model.

    Args:
        name: how to name it in a message.
        images: the pictures that the row names.
        batch: one-row model inputs with labels, as dataset, collator and trainer made them.
    """

    name: str
    images: tuple[str, ...]
    batch: dict[str, torch.Tensor]


def check_images(model: nn.Module, shown: Sequence[ShownRow], vision_token_ids: Sequence[int]) -> Check:
    """Whether the answer's logits hang on the picture: blanked, swapped for another row's, and left out.

    Args:
        model: the model of the run.
        shown: rows, with and without pictures.
        vision_token_ids: tokens that stand for a picture in the text.
    """
    pictured = [row for row in shown if row.images]
    if not pictured:
        return verdict("images", "", (), ["no sampled row has a picture: the vision tower and merger learn nothing"])
    dropped = [row.name for row in pictured if "pixel_values" not in row.batch]
    if dropped:
        reason = f"{some(dropped)}: the row has pictures, but its batch has no pixel_values, so the model trains blind"
        return verdict("images", "look at the dataset, its collator and what the trainer passes on", [reason])
    failures = [
        f"{row.name}: {len(row.images)} pictures, {len(row.batch['image_grid_thw'])} reach the model"
        for row in pictured
        if len(row.images) != len(row.batch["image_grid_thw"])
    ]
    training = model.training
    model.eval()
    try:
        measured = [_influence(model, row, _partner(row, pictured), vision_token_ids) for row in pictured]
    finally:
        model.train(training)
    changes, losses = ({key: [m[i][key] for m in measured if key in m[i]] for key in measured[0][i]} for i in (0, 1))
    swapped = [m[0]["swapped"] for m in measured if "swapped" in m[0]]
    warnings = []
    if max(changes["blank"]) < MIN_INFLUENCE:
        failures.append("blanking the picture does not change the answer's logits: the model is blind")
    elif swapped and max(swapped) < MIN_INFLUENCE:
        failures.append("other rows' pictures give the same logits: every file reaches the model as the same pixels")
    elif min(changes["blank"]) < MIN_INFLUENCE or (swapped and min(swapped) < MIN_INFLUENCE):
        warnings.append("in some rows the picture does not change the answer's logits")
    summary = f"{len(pictured)} rows; relative change of the logits: " + ", ".join(
        f"{key} {np.median(values):.2g}" for key, values in changes.items()
    )
    nats = ", ".join(f"{key} {np.mean(values):.3f}" for key, values in losses.items())
    summary += f"; loss on the answers: {nats}"
    figures = {"change": {key: float(np.median(values)) for key, values in changes.items()}}
    figures["loss"] = {key: float(np.mean(values)) for key, values in losses.items()}
    return verdict("images", summary, failures, warnings, rows=len(pictured), **figures)


def _partner(row: ShownRow, others: Sequence[ShownRow]) -> ShownRow | None:
    return next((other for other in others if set(other.images).isdisjoint(row.images)), None)


def _influence(
    model: nn.Module, row: ShownRow, other: ShownRow | None, vision_token_ids: Sequence[int]
) -> tuple[dict[str, float], dict[str, float]]:
    """Relative change of the answer's logits, and the loss on the answer, per way of hiding the picture."""
    pixels = row.batch["pixel_values"]
    hidden = {"blank": with_pixels(row.batch, torch.zeros_like(pixels[:1]))}
    if other is not None:
        hidden["swapped"] = with_pixels(row.batch, other.batch["pixel_values"])
    hidden["left out"] = without_pictures(row.batch, vision_token_ids)
    real, targets = answer_logits(model, row.batch)
    change, loss = {}, {"as given": float(cross_entropy(real, targets))}
    for name, batch in hidden.items():
        logits, _ = answer_logits(model, batch)
        change[name] = float((logits - real).norm() / real.norm())
        loss[name] = float(cross_entropy(logits, targets))
    return change, loss


def check_rewards(batches: Sequence[Sampled], group: int, weights: torch.Tensor) -> Check:
    """Whether the rewards of sampled completions tell completions of one prompt apart.

    Args:
        batches: sampled and scored generation batches.
        group: completions per prompt.
        weights: (reward functions,) weights of the functions.
    """
    rows = [row for batch in batches for row in batch.rows]
    completions = [text for batch in batches for text in batch.completions]
    matrix = torch.cat([batch.rewards for batch in batches])
    failures, warnings = [], []
    if len(matrix) != len(rows):
        failures.append(f"{len(matrix)} rewards for {len(rows)} completions")
        return verdict("rewards", "one reward per completion is needed", failures)
    totals = (matrix * weights.cpu()).nansum(dim=1)
    spread = totals.view(-1, group).std(dim=1, correction=0)
    flat = float((spread < FLAT).float().mean())
    unscored = float(matrix.isnan().all(dim=1).float().mean())
    scored = [
        score_answer(text, row["answer"], row["question"], row["question_type"])
        for text, row in zip(completions, rows, strict=True)
    ]
    unparsed = float(np.mean([not one.parsed for one in scored]))
    if flat == 1:
        failures.append(
            f"the rewards of all {len(spread)} groups of {group} are constant (mean {totals.mean():.3f}): every "
            "advantage is 0 and nothing is learned. Check the reward, raise --temperature or --num_generations"
        )
    elif flat > MAX_FLAT_SHARE:
        warnings.append(f"{flat:.0%} of the groups have constant rewards and teach nothing")
    if unparsed > MAX_UNPARSED_SHARE:
        warnings.append(f"{unparsed:.0%} of the completions cannot be read as an answer to their question")
    if unscored:
        warnings.append(f"{unscored:.0%} of the completions have no reward at all")
    means = _mean_per_type(rows, totals)
    summary = (
        f"{len(rows)} completions, reward {totals.mean():.3f} +- {totals.std():.3f}, groups without variance "
        f"{flat:.0%}, unreadable {unparsed:.0%}, per type {means}; e.g. {rows[0]['question']!r} -> {completions[0]!r} "
        f"(reference {rows[0]['answer']!r}, reward {totals[0]:.2f})"
    )
    figures = {"flat_share": flat, "unparsed_share": unparsed, "unscored_share": unscored, "mean": float(totals.mean())}
    return verdict("rewards", summary, failures, warnings, **figures, per_type=means, n=len(rows))


def _mean_per_type(rows: Sequence[dict[str, Any]], totals: torch.Tensor) -> dict[str, float]:
    values: dict[str, list[float]] = defaultdict(list)
    for row, total in zip(rows, totals.tolist(), strict=True):
        values[str(row["question_type"])].append(total)
    return {kind: round(float(np.mean(found)), 3) for kind, found in values.items()}


def check_logprobs(batches: Sequence[Sampled], dtype: torch.dtype) -> Check:
    """Whether generation and trainer agree on the probabilities of the sampled tokens, and start at the KL reference.

    Args:
        batches: sampled generation batches.
        dtype: precision that the model computes in, which sets the tolerance.
    """
    most, mean = LOGPROB_TOLERANCE[dtype]

    def gap(first: str, second: str) -> torch.Tensor:
        return torch.cat([(getattr(b, first) - getattr(b, second)).abs()[b.mask] for b in batches])

    sampled, truncated = gap("sampled", "recomputed"), gap("sampled", "truncated")
    failures, warnings = [], []
    if not (sampled.max() <= most and sampled.mean() <= mean):
        failures.append(
            f"the trainer's log-probabilities differ from those of generation by {sampled.max():.2g} at most and "
            f"{sampled.mean():.2g} on average, expected <= {most:g} and <= {mean:g}: padding side, picture order, "
            "positions or temperature differ"
        )
    if truncated.max() > MAX_TRUNCATION:
        warnings.append(
            f"--top_k, --top_p, --min_p or --repetition_penalty change the sampled distribution (by up to "
            f"{truncated.max():.2g}); the trainer does not know: gradients are biased"
        )
    references = [
        (b.output["ref_per_token_logps"] - b.recomputed).abs()[b.mask]
        for b in batches
        if "ref_per_token_logps" in b.output
    ]
    if references and not torch.cat(references).max() <= most:
        failures.append(
            f"the KL reference is not the policy that stage 2 starts from: log-probabilities differ by "
            f"{torch.cat(references).max():.2g}"
        )
    summary = f"{len(sampled)} tokens, largest difference {sampled.max():.2g}, mean {sampled.mean():.2g}"
    return verdict("logprobs", summary, failures, warnings, largest=float(sampled.max()), mean=float(sampled.mean()))


def check_gradients(model: nn.Module, watch: GradientWatch) -> Check:
    """Finite gradients in every trainable weight, a non-zero one in every component and LoRA pair, none elsewhere."""
    names = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    units: dict[str, float] = {}
    norms: dict[str, float] = defaultdict(float)
    for name in names:
        units[unit_of(name)] = max(units.get(unit_of(name), 0.0), watch.largest.get(name, 0.0))
        norms[component_of(name)] = float(np.hypot(norms[component_of(name)], watch.first.get(name, 0.0)))
    alive = {component_of(unit) for unit, norm in units.items() if norm > 0}
    dead = [unit for unit, norm in units.items() if not norm > 0 and component_of(unit) in alive]
    none = [name for name in names if name not in watch.largest]
    starved = [component for component in norms if component not in alive]
    failures = [f"no gradient reaches the {component}, which is trainable" for component in starved]
    if watch.broken:
        failures.append(f"gradients are not finite in {some(sorted(watch.broken))}")
    if watch.strays:
        failures.append(f"frozen weights have gradients: {some(sorted(watch.strays))}")
    if none and not failures:
        failures.append(f"trainable weights outside the backward pass: {some(none)}")
    warnings = [f"{len(dead)} of {len(units)} modules have zero gradients: {some(dead)}"] if dead else []
    listed = ", ".join(f"{component} {norm:.2g}" for component, norm in norms.items())
    summary = f"norms at the first step: {listed}"
    return verdict("gradients", summary, failures, warnings, first_step_norms=dict(norms), modules=len(units))


def check_movement(model: nn.Module, before: Weights, steps: int, rates: dict[str, float], masters: bool) -> Check:
    """Whether optimizer steps changed every component that trains, and nothing else.

    Args:
        model: after the steps.
        before: its weights before them.
        steps: optimizer steps taken.
        rates: learning rate per component.
        masters: whether the real run's optimizer keeps float32 copies of half-precision weights (DeepSpeed).
    """
    shares = before.moved_share(model)
    moved = _moved_by_component(shares, before)
    half = {component_of(name) for name, weight in before.trainable.items() if weight.dtype != torch.float32}
    hidden = half if masters else set()
    failures = [
        f"{steps} steps did not change the {component} (learning rate {rates[component]:g})"
        for component, share in moved.items()
        if share == 0 and component not in hidden
    ]
    changed = before.changed_frozen(model)
    if changed:
        failures.append(f"{len(changed)} frozen weights changed: {some(changed)}")
    warnings = [
        f"only {share:.1%} of the {component}'s values changed: at learning rate {rates[component]:g} most updates are "
        "lost in half-precision rounding. Run under DeepSpeed, which keeps float32 copies, or without --bf16"
        for component, share in moved.items()
        if 0 < share < MIN_MOVED_SHARE and component in half - hidden
    ]
    units = {unit_of(name) for name in shares} - {unit_of(name) for name, share in shares.items() if share}
    still = sorted(unit for unit in units if moved[component_of(unit)] and component_of(unit) not in hidden)
    if still and not warnings:
        warnings.append(f"{len(still)} modules did not move: {some(still)}")
    listed = ", ".join(f"{component} {share:.0%}" for component, share in moved.items())
    rest = "" if changed else "; frozen weights did not"
    summary = f"after {steps} steps these shares of the trainable values changed: {listed}{rest}"
    if hidden:
        summary += f" (DeepSpeed's float32 copies of {some(sorted(hidden))} take up smaller updates than these)"
    return verdict("movement", summary, failures, warnings, moved=moved, frozen_checked=len(before.frozen))


def _moved_by_component(shares: dict[str, float], before: Weights) -> dict[str, float]:
    """Share of the values that changed, by component."""
    sizes: dict[str, int] = defaultdict(int)
    values: dict[str, float] = defaultdict(float)
    for name, share in shares.items():
        sizes[component_of(name)] += before.trainable[name].numel()
        values[component_of(name)] += share * before.trainable[name].numel()
    return {component: values[component] / size for component, size in sizes.items()}


@dataclass(frozen=True)
class MemoryUse:
    """What a run holds, in bytes, and how its longest batch compares with the longest one measured.

    Args:
        weights: all parameters as stored.
        gradients: of the trainable ones.
        optimizer: its state.
        activations: peak of the measured steps above all of these.
        tokens: padded tokens of the largest batch measured.
        configured_tokens: padded tokens of the largest batch of the configured run.
        masters: float32 copies of the trainable weights that DeepSpeed adds.
        offloaded: names among weights, optimizer and masters that DeepSpeed keeps in main memory.
    """

    weights: int
    gradients: int
    optimizer: int
    activations: int
    tokens: int
    configured_tokens: int
    masters: int = 0
    offloaded: frozenset[str] = frozenset()

    def estimate(self) -> int:
        """Bytes on one GPU for the configured batch, with what CUDA itself takes."""
        held = {"weights": self.weights, "optimizer": self.optimizer, "masters": self.masters}
        on_gpu = sum(size for name, size in held.items() if name not in self.offloaded)
        factor = max(1.0, self.configured_tokens / max(1, self.tokens))
        return int(CUDA_RESERVE_BYTES + FRAGMENTATION * (on_gpu + self.gradients + self.activations * factor))


def check_memory(use: MemoryUse, device: torch.device) -> Check:
    """Say what the run takes and on which cards it fits; fail where it does not fit the card at hand."""
    estimate = use.estimate()
    fits = {f"{size} GB": estimate <= size * 1e9 for size in CARDS_GB}
    parts = {name: getattr(use, name) for name in ("weights", "gradients", "optimizer", "activations", "masters")}
    listed = ", ".join(f"{name} {_size(size)}" for name, size in parts.items() if size)
    cards = ", ".join(f"{card} {'yes' if fit else 'no'}" for card, fit in fits.items())
    where = "main memory" if device.type == "cpu" else torch.cuda.get_device_name(device)
    summary = (
        f"{listed} (measured in {where}, largest batch {use.tokens:,} of {use.configured_tokens:,} tokens); "
        f"{_size(estimate)} on one GPU with {_size(CUDA_RESERVE_BYTES)} for CUDA and 10 % fragmentation"
        f"{', ' + ' and '.join(sorted(use.offloaded)) + ' offloaded' if use.offloaded else ''}. Fits: {cards}"
    )
    failures = []
    if device.type == "cuda" and estimate > torch.cuda.get_device_properties(device).total_memory:
        failures.append(
            "the configured batch does not fit this GPU: lower --per_device_train_batch_size, "
            "--image_max_pixels or --max_seq_length"
        )
    return verdict("memory", summary, failures, estimate=estimate, fits=fits, **parts)


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.2g} MB"
