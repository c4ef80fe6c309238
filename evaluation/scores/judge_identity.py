"""Whether a judge would grade itself: models compared by their weights, not by their names.

Models prefer their own answers and those of their relatives, so a judge counts
as the same model also where one is an adapter on the other, or both are
adapters on one base. A merged model has weights of its own and is not
recognised as a relative of its base; the report names both so that a reader can.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path

from src.errors import InputError
from src.model.adapters import (
    adapter_base,
    adapter_chain,
    adapter_lineage,
    fingerprint_adapter,
    fingerprint_model,
    is_adapter,
)


def model_marks(model: str) -> frozenset[str]:
    """What tells a model from others: hashes of its weights, and of its base and adapters where it is an adapter.

    Args:
        model: model folder, hub id, adapter folder, or the name under which a server offers a model.

    Returns:
        Strings; two models that share one are the same or relatives. The weights of a model that is not on this
        machine are unknown, and its name stands in for them.
    """
    if not is_adapter(model):
        return frozenset({_weights(model)})
    marks = {f"adapter:{fingerprint_adapter(folder)}" for folder in adapter_chain(model)}
    base = adapter_lineage(model).base_fingerprint
    return frozenset(marks | {f"weights:{base}" if base else _weights(adapter_base(model))})


def _weights(model: str) -> str:
    if not Path(model).is_dir():
        return f"name:{Path(model).name.lower()}"
    weights = fingerprint_model(model)
    if weights:
        return f"weights:{weights}"
    config = Path(model) / "config.json"
    if not config.is_file():
        raise InputError(f"{model}: neither weights nor config.json; expected a model or an adapter folder")
    return f"config:{hashlib.sha256(config.read_bytes()).hexdigest()[:16]}"


def judges_itself(judge: str, models: Sequence[str]) -> bool:
    """Whether a judge is one of the models that wrote the answers, or a relative of one.

    Args:
        judge: as in ``model_marks``.
        models: models and adapters that wrote the answers together.
    """
    named = {Path(model).name.lower() for model in models}
    if Path(judge).name.lower() in named and not all(Path(model).is_dir() for model in [judge, *models]):
        # One of them is behind a server: only names can be compared.
        return True
    own = model_marks(judge)
    return any(own & model_marks(model) for model in models)
