"""Fold adapters into their base, prove the result, and write it as one model.

    python -m src.model.merge --adapters output/lora_vision output/grpo --out output/merged

Each adapter is folded in float32 on the unquantised base, and the logits of
base + adapter are compared with those of the folded model. The result is cast,
written beside the target, loaded again and compared once more; only then does
it appear under its name. The largest deviation relative to the largest logit
may be 1e-5 per fold and 3e-2 for the cast to half precision.
"""

import argparse
import json
import logging
import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from transformers import PreTrainedModel

from src.budget import PixelBudget
from src.constants import DEFAULT_SYSTEM_MESSAGE
from src.errors import InputError, VerificationError, run_command
from src.model.adapters import adapter_base, attach_adapter, check_lineage, is_adapter
from src.model.load import cast_parameters, load_model, load_processor, processor_source

logger = logging.getLogger(__name__)

FOLD_TOLERANCE = 1e-5
CAST_TOLERANCE = 3e-2
# The file is read back bit for bit; what is left is arithmetic noise.
RELOAD_TOLERANCE = 1e-6
# An adapter that moves no logit of the sample by more than this is reported as idle.
IDLE_EFFECT = 1e-6
DTYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16, "float32": torch.float32}


def sample_inputs(processor: Any) -> dict[str, torch.Tensor]:
    """Make a dialogue with a picture and text in both languages, the same on every call."""
    pixels = np.random.default_rng(0).integers(0, 256, (112, 140, 3), dtype=np.uint8)
    content = [{"type": "image"}, {"type": "text", "text": "How much cropland is there? 图中主要的土地类型是什么？"}]
    messages = [
        {"role": "system", "content": DEFAULT_SYSTEM_MESSAGE},
        {"role": "user", "content": content},
        {"role": "assistant", "content": [{"type": "text", "text": "About 40%. 耕地"}]},
    ]
    text = processor.apply_chat_template(messages, tokenize=False)
    return dict(processor(text=[text], images=[Image.fromarray(pixels)], return_tensors="pt"))


@torch.inference_mode()
def sample_logits(model: Any, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
    """Logits (tokens, vocabulary) of the sample, float32, on the CPU."""
    model.eval()
    on_device = {name: value.to(model.device) for name, value in inputs.items()}
    return model(**on_device).logits[0].float().cpu()


def relative_difference(reference: torch.Tensor, other: torch.Tensor) -> float:
    """Largest deviation as a fraction of the reference's largest logit; infinite where a value is not finite."""
    if not (torch.isfinite(reference).all() and torch.isfinite(other).all()):
        return float("inf")
    return float((reference - other).abs().max() / reference.abs().max())


def require_close(what: str, difference: float, tolerance: float) -> float:
    """Pass a difference on, or refuse it.

    Raises:
        VerificationError: the difference is above the tolerance.
    """
    if not difference <= tolerance:
        raise VerificationError(
            f"{what}: logits differ by {difference:.2e} of the largest one, expected at most {tolerance:.0e}; "
            "nothing was written"
        )
    return difference


def score_difference(reference: torch.Tensor, other: torch.Tensor) -> dict[str, float]:
    """How a change of logits shows in scores: the log-probability of each best token, and how often it stays best."""
    best = reference.argmax(-1, keepdim=True)
    gap = reference.log_softmax(-1).gather(-1, best) - other.log_softmax(-1).gather(-1, best)
    same = (other.argmax(-1, keepdim=True) == best).float().mean()
    return {"mean_abs_log_probability": float(gap.abs().mean()), "same_best_token": float(same)}


def fold(model: Any, adapter: str, inputs: dict[str, torch.Tensor]) -> tuple[Any, dict[str, float]]:
    """Fold one adapter into a float32 model and compare the logits before and after.

    Returns:
        The folded model, and ``{"effect", "difference"}`` relative to the largest logit: what the adapter
        changes on the sample, and what folding it changes.
    """
    without = sample_logits(model, inputs)
    model = attach_adapter(model, adapter)
    before = sample_logits(model, inputs)
    model = model.merge_and_unload(safe_merge=True)
    difference = relative_difference(before, sample_logits(model, inputs))
    require_close(f"folding {adapter}", difference, FOLD_TOLERANCE)
    effect = relative_difference(without, before)
    if effect <= IDLE_EFFECT:
        logger.warning("%s changes nothing: its largest effect on a logit is %.1e of the largest one", adapter, effect)
    return model, {"effect": effect, "difference": difference}


def write_verified(model: PreTrainedModel, processor: Any, inputs: dict[str, torch.Tensor], folder: Path) -> float:
    """Write a model with its processor, load it again, and compare.

    Returns:
        Relative difference of the logits.

    Raises:
        VerificationError: logits, pixel budget or chat template are not the same.
    """
    dtype, expected = model.dtype, sample_logits(model, inputs)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    again = load_processor(str(folder))
    if PixelBudget.of(again) != PixelBudget.of(processor) or again.chat_template != processor.chat_template:
        raise VerificationError(f"{folder}: pixel budget or chat template changed while being saved")
    reloaded = sample_logits(load_model(str(folder), dtype=dtype, disable_flash_attn2=True), sample_inputs(again))
    return require_close("reading back", relative_difference(expected, reloaded), RELOAD_TOLERANCE)


def check_target(out: Path, sources: Sequence[str]) -> None:
    """Refuse to write over anything but a model that is not one of the sources.

    Raises:
        InputError: ``out`` is a source, or holds something else than a model.
    """
    if any(Path(source).resolve() == out.resolve() for source in sources):
        raise InputError(f"--out {out}: is one of the inputs; give another folder")
    if not out.exists():
        return
    is_model = out.is_dir() and (out / "config.json").is_file() and not is_adapter(out)
    if not is_model and not (out.is_dir() and not any(out.iterdir())):
        raise InputError(f"--out {out}: exists and holds no model; give a new folder, or remove it first")


def move_into_place(folder: Path, out: Path) -> None:
    """Put a finished folder under its name; an older model there is replaced."""
    old = folder.with_name(folder.name + ".old")
    if out.exists():
        out.rename(old)
    folder.rename(out)
    shutil.rmtree(old, ignore_errors=True)


def merge_adapters(
    adapters: Sequence[str],
    out: str | Path,
    *,
    base: str | None = None,
    dtype: torch.dtype = torch.bfloat16,
    cache_dir: str | None = None,
) -> dict[str, Any]:
    """Fold adapters in order into their base, verify, and write one loadable model.

    The processor (pixel budget, chat template) is the last adapter's where one
    lies there, else the base's. Running it again gives the same files.

    Args:
        adapters: adapter folders in the order in which they were trained.
        out: folder to write; a model there is replaced once the new one is verified.
        base: model folder or hub id; default: read from the first adapter.
        dtype: dtype of the written weights.
        cache_dir: hub cache.

    Returns:
        Report with ``max_abs_logit``, ``fold_relative_difference`` and ``adapter_effect`` per adapter,
        ``cast_relative_difference``, ``cast_score_difference`` and ``reload_relative_difference``.

    Raises:
        InputError: adapters, base or target do not go together.
        VerificationError: a check failed; nothing is left at ``out``.
    """
    started = time.perf_counter()
    out, base = Path(out), base or adapter_base(adapters[0])
    check_target(out, [base, *adapters])
    for position, adapter in enumerate(adapters):
        check_lineage(adapter, base, adapters[:position], cache_dir)
    processor = load_processor(processor_source(adapters, base), cache_dir)
    inputs = sample_inputs(processor)
    model: Any = load_model(base, dtype=torch.float32, cache_dir=cache_dir)
    if getattr(model.config, "quantization_config", None):
        raise InputError(f"{base} is quantised: adapters are folded into full weights; give the original base")
    folds = {}
    for adapter in adapters:
        model, folds[str(adapter)] = fold(model, adapter, inputs)
    exact = sample_logits(model, inputs)
    cast = sample_logits(cast_parameters(model, dtype), inputs)
    cast_difference = require_close(f"cast to {dtype}", relative_difference(exact, cast), CAST_TOLERANCE)

    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}-") as scratch:
        folder = Path(scratch) / "model"
        reload_difference = write_verified(model, processor, inputs, folder)
        move_into_place(folder, out)
    return {
        "base": base,
        "adapters": [str(adapter) for adapter in adapters],
        "out": str(out),
        "dtype": str(dtype).removeprefix("torch."),
        "max_abs_logit": float(exact.abs().max()),
        "fold_relative_difference": {name: values["difference"] for name, values in folds.items()},
        "adapter_effect": {name: values["effect"] for name, values in folds.items()},
        "cast_relative_difference": cast_difference,
        "cast_score_difference": score_difference(exact, cast),
        "reload_relative_difference": reload_difference,
        "seconds": round(time.perf_counter() - started, 2),
    }


def parse() -> argparse.Namespace:
    """Command line, with the spellings of older scripts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--adapters", "--model-path", nargs="+", required=True, help="adapter folders, folded in order")
    parser.add_argument("--base", "--model-base", help="base model; default: the one that the first adapter names")
    parser.add_argument("--out", "--save-model-path", type=Path, required=True, help="folder of the merged model")
    parser.add_argument("--dtype", default="bfloat16", choices=list(DTYPES), help="dtype of the written weights")
    parser.add_argument("--report", type=Path, help="write the report as JSON")
    parser.add_argument("--cache_dir", help="hub cache")
    parser.add_argument("--safe-serialization", action="store_true", help="kept for old scripts; always safetensors")
    return parser.parse_args()


def main() -> None:
    """Merge, and print what was proved."""
    args = parse()
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    print(f"folding {', '.join(args.adapters)} into {args.base or 'the base that the first names'}", flush=True)
    report = merge_adapters(args.adapters, args.out, base=args.base, dtype=DTYPES[args.dtype], cache_dir=args.cache_dir)
    if args.report:
        args.report.parent.mkdir(parents=True, exist_ok=True)
        args.report.write_text(json.dumps(report, indent=2), encoding="utf-8")
    for adapter, difference in report["fold_relative_difference"].items():
        effect = report["adapter_effect"][adapter]
        print(f"{adapter}: changes logits by {effect:.1e}; base + adapter against folded {difference:.1e} (<= 1e-05)")
    scores = report["cast_score_difference"]
    print(
        f"{args.dtype} against float32: {report['cast_relative_difference']:.1e} (<= 3e-02), log-probability of the "
        f"best token {scores['mean_abs_log_probability']:.1e}, same best token {scores['same_best_token']:.0%}"
    )
    print(f"read back: {report['reload_relative_difference']:.1e}; wrote {args.out} in {report['seconds']} s")


if __name__ == "__main__":
    run_command(main)
