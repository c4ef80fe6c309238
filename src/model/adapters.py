"""Saved adapters: what they were trained on, and whether they fit a model.

Every adapter trained here records its base and the adapters folded into it
before, with fingerprints of the weights, in its ``adapter_config.json``: a
stage 2 adapter cannot be put on a base without stage 1 by mistake.
"""

import hashlib
import json
import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from peft import PeftModel
from safetensors import safe_open
from transformers.utils import cached_file

from src.errors import InputError, MissingPathError
from src.model.components import component_of

logger = logging.getLogger(__name__)

ADAPTER_CONFIG = "adapter_config.json"
ADAPTER_WEIGHTS = "adapter_model.safetensors"


def is_adapter(path: str | Path) -> bool:
    """Whether a folder holds a PEFT adapter rather than a model."""
    return (Path(path) / ADAPTER_CONFIG).is_file()


@dataclass(frozen=True)
class Lineage:
    """What an adapter was trained on; kept in its ``adapter_config.json``.

    Args:
        base: model folder or hub id.
        base_fingerprint: ``fingerprint_model`` of the base; "" when unknown.
        folded: adapters folded into the base before training, in order, each as (path, ``fingerprint_adapter``).
    """

    base: str
    base_fingerprint: str = ""
    folded: tuple[tuple[str, str], ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The form kept in ``adapter_config.json``."""
        return {"lineage": asdict(self)}


def fingerprint_model(model_id: str, cache_dir: str | None = None) -> str:
    """Hash a model's weight files: whole below 64 MiB, else 64 KiB of every 4 MiB, so that 7 GB take about a second.

    Returns:
        16 hexadecimal digits, or "" for a model without safetensors files (built from a config).
    """
    digest = hashlib.sha256()
    files = _weight_files(model_id, cache_dir) if model_id else []
    for path in files:
        size = path.stat().st_size
        step = 4 << 20 if size > 64 << 20 else 64 << 10
        with path.open("rb") as stream:
            for start in range(0, size, step):
                stream.seek(start)
                digest.update(stream.read(64 << 10))
    return digest.hexdigest()[:16] if files else ""


def _weight_files(model_id: str, cache_dir: str | None) -> list[Path]:
    optional: dict[str, Any] = {
        "cache_dir": cache_dir,
        "_raise_exceptions_for_missing_entries": False,
        "_raise_exceptions_for_connection_errors": False,
    }
    single = cached_file(model_id, "model.safetensors", **optional)
    if single:
        return [Path(single)]
    index = cached_file(model_id, "model.safetensors.index.json", **optional)
    if not index:
        return []
    shards = sorted(set(json.loads(Path(index).read_text(encoding="utf-8"))["weight_map"].values()))
    return [Path(str(cached_file(model_id, shard, cache_dir=cache_dir))) for shard in shards]


def fingerprint_adapter(adapter: str | Path) -> str:
    """Hash an adapter's weights."""
    return hashlib.sha256((Path(adapter) / ADAPTER_WEIGHTS).read_bytes()).hexdigest()[:16]


def _read_adapter_config(adapter: str | Path) -> dict[str, Any]:
    folder = Path(adapter)
    if not folder.is_dir():
        raise MissingPathError(f"{adapter}: no such adapter folder")
    for name in (ADAPTER_CONFIG, ADAPTER_WEIGHTS):
        if not (folder / name).is_file():
            raise InputError(f"{adapter}: no {name}; expected a LoRA adapter folder as training writes it")
    try:
        config = json.loads((folder / ADAPTER_CONFIG).read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise InputError(f"{adapter}/{ADAPTER_CONFIG}: not JSON ({error})") from error
    if config.get("peft_type") != "LORA":
        raise InputError(f"{adapter}: peft_type {config.get('peft_type')!r}; expected LORA")
    return config


def adapter_base(adapter: str | Path) -> str:
    """Name or path of the base that an adapter was trained on, as its config says.

    Raises:
        MissingPathError: no such folder.
        InputError: no adapter in it, or one that does not name its base.
    """
    base = _read_adapter_config(adapter).get("base_model_name_or_path")
    if not base:
        raise InputError(f"{adapter}: {ADAPTER_CONFIG} does not name a base model; give it explicitly")
    return str(base)


def adapter_lineage(adapter: str | Path) -> Lineage:
    """What an adapter was trained on; for adapters made elsewhere, only the base's name is known."""
    config = _read_adapter_config(adapter)
    record = (config.get("auto_mapping") or {}).get("lineage")
    if record is None:
        return Lineage(str(config.get("base_model_name_or_path") or ""))
    folded = tuple((str(path), str(digest)) for path, digest in record["folded"])
    return Lineage(record["base"], record["base_fingerprint"], folded)


def check_lineage(adapter: str, base: str, before: Sequence[str], cache_dir: str | None = None) -> None:
    """Refuse to put an adapter on anything but the policy that it was trained on.

    Args:
        adapter: the adapter to be put on.
        base: model folder or hub id underneath.
        before: adapters already folded into the base, in order.
        cache_dir: hub cache.

    Raises:
        InputError: another base, or other adapters before it.
    """
    lineage = adapter_lineage(adapter)
    if not lineage.base_fingerprint:
        if Path(lineage.base).name != Path(base).name:
            logger.warning("%s names %s as its base, not %s: check that they are the same", adapter, lineage.base, base)
        return
    if fingerprint_model(base, cache_dir) != lineage.base_fingerprint:
        raise InputError(f"{adapter} was trained on another base than {base}: give {lineage.base} as it was then")
    expected = [digest for _, digest in lineage.folded]
    if [fingerprint_adapter(folder) for folder in before] != expected:
        names = [path for path, _ in lineage.folded]
        raise InputError(
            f"{adapter} was trained on {lineage.base} with {names or 'no adapters'} folded in; got {list(before)}. "
            "Give exactly those before it, unchanged since then"
        )


def adapter_chain(adapter: str) -> list[str]:
    """The adapter with those that must be folded before it, in order.

    Raises:
        MissingPathError: an earlier adapter is not where it was during training.
    """
    chain = [path for path, _ in adapter_lineage(adapter).folded]
    for path in chain:
        if not is_adapter(path):
            raise MissingPathError(f"{path}: {adapter} was trained on top of this adapter, which is not there any more")
    return [*chain, adapter]


def attach_adapter(model: Any, adapter: str, *, is_trainable: bool = False, **options: Any) -> PeftModel:
    """Put a saved adapter on a model, and check that every one of its weights found its place.

    Raises:
        InputError: modules or shapes differ from those of the model, or an embedding or a tied head is targeted.
    """
    _read_adapter_config(adapter)
    shapes = _adapter_shapes(adapter)
    check_adapter_weights(model, adapter, shapes)
    try:
        wrapped = PeftModel.from_pretrained(model, adapter, is_trainable=is_trainable, **options)
    except KeyError as error:
        raise InputError(f"{adapter}: {ADAPTER_WEIGHTS} holds nothing for {error}, which its config names") from error
    except (ValueError, RuntimeError) as error:
        # PEFT lists every weight on a line of its own; the first one tells enough.
        reason = " ".join(line.strip() for line in str(error).splitlines()[:2])
        raise InputError(f"{adapter} does not fit the model {model.name_or_path}: {reason}") from error
    # For a missing LoRA weight PEFT only warns, and the module then does nothing.
    saved = {key.split(".lora_")[0] for key in shapes}
    for name, _ in wrapped.named_parameters():
        module, is_lora, _ = name.partition(".lora_")
        if is_lora and module not in saved:
            raise InputError(f"{adapter}: {ADAPTER_WEIGHTS} holds nothing for {module}, which its config names")
    return wrapped


def _adapter_shapes(adapter: str) -> dict[str, tuple[int, ...]]:
    with safe_open(Path(adapter) / ADAPTER_WEIGHTS, framework="pt") as file:
        return {key: tuple(file.get_slice(key).get_shape()) for key in file.keys()}  # noqa: SIM118


def check_adapter_weights(model: Any, adapter: str, shapes: dict[str, tuple[int, ...]]) -> None:
    """Compare the weights of an adapter file with a model.

    Raises:
        InputError: a module is missing, a shape differs, or tied embeddings are trained.
    """
    places = {name: tuple(getattr(p, "ds_shape", p.shape)) for name, p in model.named_parameters()}
    tied = bool(model.config.get_text_config().tie_word_embeddings)
    for key, shape in shapes.items():
        name = key.removeprefix("base_model.model.").replace(".base_layer.", ".")
        if tied and component_of(name) in ("embed", "head"):
            raise InputError(
                f"{adapter} trains {name}, but this model's embeddings and head are one matrix: both changes would "
                "land in it and damage it. Train without lm_head and embed_tokens"
            )
        # lora_bias "all" repeats the biases of modules_to_save under their inner names.
        inner = ".modules_to_save." in key or ".original_module." in key
        if not inner and not _fits(name, shape, places):
            raise InputError(f"{adapter} does not fit {model.name_or_path}, which has no place for {name} {shape}")


def _fits(name: str, shape: tuple[int, ...], places: dict[str, tuple[int, ...]]) -> bool:
    module, is_lora, kind = name.partition(".lora_")
    if not is_lora:
        return places.get(name) == shape
    weight = places.get(f"{module}.weight")
    if weight is None:
        return False
    # A is (rank, in), B is (out, rank); packed 4-bit weights do not show their shape.
    packed = weight[-1] == 1
    wanted = {"A.weight": shape[1:] == weight[1:], "B.weight": shape[:1] == weight[:1]}
    return packed or wanted.get(kind, True)
