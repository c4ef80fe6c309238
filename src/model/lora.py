"""Decide which weights are trained: LoRA, whole modules, or both.

Each component has one regex over full module names. LoRA never touches the
patch embedding (a convolution), the token embeddings or the head, which share
one matrix on the 2B and 3B models. Modules trained in full beside LoRA (the
merger, the last blocks) become PEFT's ``modules_to_save``: they are saved
inside the adapter and come back with it.
"""

import logging
import re
from collections.abc import Mapping
from typing import Any

from peft import LoraConfig, get_peft_model, prepare_model_for_kbit_training

from src.errors import InputError, TrainingError
from src.model.adapters import Lineage, attach_adapter, check_lineage, fingerprint_model
from src.model.components import COMPONENTS, component_of
from src.params import LoraArguments, ModelArguments

logger = logging.getLogger(__name__)

# Linear layers that LoRA may adapt. Vision MLPs are fc1, fc2 in Qwen2-VL and gate, up, down in Qwen2.5-VL.
LORA_PATTERNS = {
    "llm": re.compile(r"model\.language_model\.layers\.\d+\.(self_attn\.[qkvo]_proj|mlp\.(gate|up|down)_proj)"),
    "vision": re.compile(r"model\.visual\.blocks\.\d+\.(attn\.(qkv|proj)|mlp\.(fc[12]|(gate|up|down)_proj))"),
}
# Modules that can be trained in full, by component.
FULL_PATTERNS = {
    "embed": re.compile(r"model\.language_model\.embed_tokens"),
    "llm": re.compile(r"model\.language_model\.(layers\.\d+|norm)"),
    "vision": re.compile(r"model\.visual\.(patch_embed|blocks\.\d+)"),
    "merger": re.compile(r"model\.visual\.merger"),
    "head": re.compile(r"lm_head"),
}
# The name under which the merger stands in modules_to_save.
MERGER = "merger"


def full_modules(model: Any, model_args: ModelArguments) -> list[str]:
    """Full names of the modules that the freeze and unfreeze flags train in full.

    Raises:
        InputError: a component has no such module, or a top-k count exceeds the depth.
    """
    names = [name for name, _ in model.named_modules()]
    chosen: list[str] = []
    if not model_args.freeze_llm:
        chosen += [name for part in ("embed", "llm", "head") for name in _matching(names, FULL_PATTERNS[part], part)]
    elif model_args.unfreeze_topk_llm:
        chosen += _last(names, r"model\.language_model\.layers\.\d+", model_args.unfreeze_topk_llm, "llm")
    if not model_args.freeze_vision_tower:
        chosen += _matching(names, FULL_PATTERNS["vision"], "vision")
    elif model_args.unfreeze_topk_vision:
        chosen += _last(names, r"model\.visual\.blocks\.\d+", model_args.unfreeze_topk_vision, "vision")
    if not model_args.freeze_merger:
        chosen += _matching(names, FULL_PATTERNS["merger"], "merger")
    return chosen


def _matching(names: list[str], pattern: re.Pattern[str], component: str) -> list[str]:
    found = [name for name in names if pattern.fullmatch(name)]
    if not found:
        raise InputError(f"the pattern of component {component!r} matches no module of this model: {pattern.pattern}")
    return found


def _last(names: list[str], pattern: str, count: int, component: str) -> list[str]:
    layers = _matching(names, re.compile(pattern), component)
    if not 0 < count <= len(layers):
        raise InputError(f"--unfreeze_topk_{component} {count}: expected 1 to {len(layers)}, the depth of this model")
    return layers[-count:]


def lora_target_modules(model: Any, model_args: ModelArguments, lora_args: LoraArguments) -> list[str]:
    """Full names of the linear layers that get LoRA, in the model's order.

    The language model always, the vision blocks with --vision_lora; without
    names that contain a part of --lora_namespan_exclude and without modules
    that are trained in full; of what is left, the last --num_lora_modules.

    Raises:
        InputError: a pattern or an excluded part matches nothing, or a component ends up without LoRA.
    """
    names = [name for name, _ in model.named_modules()]
    excluded = lora_args.excluded_names()
    for part in excluded:
        if not any(part in name for name in names):
            raise InputError(f"--lora_namespan_exclude: {part!r} is in no module name of this model")
    whole = tuple(f"{name}." for name in full_modules(model, model_args))
    components = ["vision", "llm"] if lora_args.vision_lora else ["llm"]
    targets = []
    for component in components:
        found = _matching(names, LORA_PATTERNS[component], component)
        targets += [name for name in found if not name.startswith(whole) and not any(e in name for e in excluded)]
    if lora_args.num_lora_modules > 0:
        targets = targets[-lora_args.num_lora_modules :]
    for component in components:
        if not any(component_of(name) == component for name in targets):
            raise InputError(
                f"no LoRA module is left in component {component!r} after --lora_namespan_exclude {excluded}, "
                f"--num_lora_modules {lora_args.num_lora_modules} and the modules trained in full"
            )
    check_no_embeddings(targets)
    return targets


def check_no_embeddings(targets: list[str]) -> None:
    """Refuse LoRA on token embeddings or the head, which may be one matrix.

    Raises:
        InputError: a target is in either of them.
    """
    bad = [name for name in targets if component_of(name) in ("embed", "head")]
    if bad:
        raise InputError(
            f"LoRA on {bad}: embeddings and head may be one matrix, which LoRA would damage; leave them out"
        )


def _check_flags(model: Any, model_args: ModelArguments, lora_args: LoraArguments) -> None:
    if lora_args.lora_enable and not model_args.freeze_llm:
        raise InputError("--lora_enable True needs --freeze_llm True: LoRA stands in for full training of the LLM")
    if lora_args.vision_lora and not model_args.freeze_vision_tower:
        raise InputError("--vision_lora True needs --freeze_vision_tower True: train the tower by LoRA or in full")
    if model_args.bits != 16 and not lora_args.lora_enable:
        raise InputError(f"--bits {model_args.bits} needs --lora_enable True: quantised weights cannot be trained")
    if model_args.bits != 16 and model_args.unfreeze_topk_llm:
        raise InputError(f"--unfreeze_topk_llm with --bits {model_args.bits}: quantised layers cannot be trained")
    if not lora_args.lora_enable and not full_modules(model, model_args):
        raise InputError("nothing to train: everything is frozen; give --lora_enable True or unfreeze a component")


def freeze_base(model: Any, model_args: ModelArguments, lora_args: LoraArguments) -> Any:
    """Freeze every weight, ready for an adapter; quantised bases also get stable norms and inputs.

    Raises:
        InputError: flags that contradict each other or the model.
    """
    _check_flags(model, model_args, lora_args)
    model.requires_grad_(False)
    _stop_at_frozen_tower(model)
    if lora_args.lora_enable and model_args.bits != 16:
        model = prepare_model_for_kbit_training(model, use_gradient_checkpointing=False)
        _keep_quantised_layout(model)
    return model


def _keep_quantised_layout(model: Any) -> None:
    # On CPUs with AVX512-BF16, bitsandbytes 0.50 repacks 4-bit weights at the first pass in evaluation mode and
    # cannot train on them afterwards: an evaluation in mid-run would end the run.
    for module in model.modules():
        if type(module).__name__ == "Linear4bit":
            module.support_avx512bf16_for_cpu = False


def _stop_at_frozen_tower(model: Any) -> None:
    # gradient_checkpointing_enable marks the output of the patch embedding as needing gradients, which would then
    # run through a frozen vision tower, and keep its activations, for nothing. The merger's input is the place to
    # cut: its hook outlives repeated enabling, and PEFT's copy of the merger keeps it.
    visual = model.get_submodule("model.visual")

    def cut(module: Any, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        tower = (*visual.patch_embed.parameters(), *visual.blocks.parameters())
        return inputs if any(p.requires_grad for p in tower) else (inputs[0].detach(), *inputs[1:])

    visual.merger.register_forward_pre_hook(cut)


def prepare_trainable(
    model: Any, model_args: ModelArguments, lora_args: LoraArguments, *, autocast_adapter_dtype: bool = True
) -> Any:
    """Freeze and unfreeze as the flags say, and put LoRA on where asked.

    Args:
        model: from ``load_model`` or ``load_policy``.
        model_args: freeze flags and bits.
        lora_args: LoRA flags; ``lora_weight_path`` continues that adapter, whose own rank, targets and
            modules are kept.
        autocast_adapter_dtype: keep LoRA weights in float32 on a half-precision base. Pass False under
            ZeRO-3, which cannot gather mixed dtypes (DeepSpeed >= 0.19.2). Modules trained in full keep the
            dtype of the base either way: without an optimizer that holds float32 copies (DeepSpeed's does),
            load the base in float32.

    Returns:
        The model itself, or a PeftModel around it.

    Raises:
        InputError: flags that contradict each other or the model.
    """
    model = freeze_base(model, model_args, lora_args)
    if not lora_args.lora_enable:
        for name in full_modules(model, model_args):
            model.get_submodule(name).requires_grad_(True)
        return model
    if lora_args.lora_weight_path:
        return _continue_adapter(model, model_args, lora_args, autocast_adapter_dtype)
    config = lora_config(model, model_args, lora_args)
    return get_peft_model(model, config, autocast_adapter_dtype=autocast_adapter_dtype)


def lora_config(model: Any, model_args: ModelArguments, lora_args: LoraArguments) -> LoraConfig:
    """PEFT's configuration for the flags, with a record of what the adapter is trained on."""
    whole = [MERGER if component_of(name) == "merger" else name for name in full_modules(model, model_args)]
    base = str(model.name_or_path)
    lineage = Lineage(base, fingerprint_model(base, model_args.cache_dir), getattr(model, "folded_adapters", ()))
    return LoraConfig(
        r=lora_args.lora_rank,
        lora_alpha=lora_args.lora_alpha,
        lora_dropout=lora_args.lora_dropout,
        bias=lora_args.lora_bias,  # type: ignore[arg-type]
        use_dora=lora_args.use_dora,
        target_modules=lora_target_modules(model, model_args, lora_args),
        modules_to_save=whole or None,
        task_type="CAUSAL_LM",
        auto_mapping=lineage.to_dict(),
    )


def _continue_adapter(
    model: Any, model_args: ModelArguments, lora_args: LoraArguments, autocast_adapter_dtype: bool
) -> Any:
    adapter = lora_args.lora_weight_path
    wanted = {component_of(name) for name in full_modules(model, model_args)}
    wanted |= {"llm", "vision"} if lora_args.vision_lora else {"llm"}
    folded = [path for path, _ in getattr(model, "folded_adapters", ())]
    check_lineage(adapter, str(model.name_or_path), folded, model_args.cache_dir)
    model = attach_adapter(model, adapter, is_trainable=True, autocast_adapter_dtype=autocast_adapter_dtype)
    names = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    trained = {component_of(name) for name in names if ".lora_" in name or ".modules_to_save." in name}
    if trained != wanted:
        raise InputError(
            f"--lora_weight_path {adapter} trains {sorted(trained)}, the flags ask for {sorted(wanted)}: "
            "give the freeze, vision_lora and unfreeze flags that it was made with"
        )
    return model


def require_trainable(model: Any) -> None:
    """Refuse to start a run that would train nothing.

    Raises:
        TrainingError: no parameter is trainable (e.g. an adapter loaded without is_trainable=True).
    """
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise TrainingError(
            "no parameter is trainable: the adapter was loaded for inference (is_trainable=True is missing) "
            "or everything is frozen"
        )


def _count(parameter: Any) -> int:
    # ZeRO-3 leaves an empty shard and keeps the size in ds_numel; 4-bit weights hold two values a byte.
    size = getattr(parameter, "ds_numel", parameter.numel())
    return size * 2 if type(parameter).__name__ == "Params4bit" else size


def component_table(model: Any, learning_rates: Mapping[str, float] | None = None) -> list[dict[str, Any]]:
    """Parameters, trainable ones, their share and learning rate per component, and in all.

    Args:
        model: with or without PEFT; the frozen originals of modules_to_save count once.
        learning_rates: learning rate by component, where known.

    Returns:
        Rows ``{component, parameters, trainable, share, learning_rate}``; the last is "all". The learning
        rate is None where nothing is trained.
    """
    totals = {name: [0, 0] for name in COMPONENTS}
    for name, parameter in model.named_parameters():
        if ".original_module." in name:
            continue
        row = totals[component_of(name)]
        row[0] += _count(parameter)
        row[1] += _count(parameter) if parameter.requires_grad else 0
    present = {name: row for name, row in totals.items() if row[0]}
    rates = learning_rates or {}
    rows = [_row(name, size, trained, rates.get(name)) for name, (size, trained) in present.items()]
    sizes = [sum(column) for column in zip(*present.values(), strict=True)]
    return [*rows, _row("all", sizes[0], sizes[1], None)]


def _row(component: str, size: int, trained: int, rate: float | None) -> dict[str, Any]:
    return {
        "component": component,
        "parameters": size,
        "trainable": trained,
        "share": trained / size,
        "learning_rate": rate if trained else None,
    }


def format_table(rows: list[dict[str, Any]]) -> str:
    """The component table as aligned text."""
    lines = [f"{'component':<10}{'parameters':>16}{'trainable':>14}{'share':>9}{'learning rate':>15}"]
    for row in rows:
        rate = "-" if row["learning_rate"] is None else f"{row['learning_rate']:.1e}"
        lines.append(
            f"{row['component']:<10}{row['parameters']:>16,}{row['trainable']:>14,}{row['share']:>9.2%}{rate:>15}"
        )
    return "\n".join(lines)
