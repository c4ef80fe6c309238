"""The doctor's memory figures beside a count of what autograd saves, on models of 30 M parameters and more."""

from typing import Any

import pytest
import torch

import src.train.doctor_probes as probes
from src.model.nano import SIZES, NanoSize, build_variant
from tests.runs import SFT
from tests.train.doctor_cases import QUICK, Diagnosis

WIDE = NanoSize(640, 6, 1728, 10, 2, 256, 4, 512, 8)
DEEP = NanoSize(384, 14, 1024, 6, 2, 256, 6, 512, 8)


@pytest.mark.parametrize(
    ("size", "family"),
    [(SIZES["small"], "qwen2_5_vl"), (WIDE, "qwen2_vl"), (DEEP, "qwen2_5_vl")],
    ids=["small", "wide", "deep"],
)
def test_estimate_is_near_the_bytes_that_are_counted(
    diagnose: Diagnosis, sft_data: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch, size: Any, family: str
) -> None:
    """At the end of a forward pass what autograd saved is alive, beside the optimizer's state."""
    saved: dict[int, int] = {}
    largest: list[int] = []
    steps = probes.run_steps

    def tracked(trainer: Any, gradients: Any) -> None:
        weights = {value.untyped_storage().data_ptr() for value in trainer.model.parameters()}
        forward = trainer.compute_loss

        def keep(tensor: torch.Tensor) -> torch.Tensor:
            storage = tensor.untyped_storage()
            if storage.data_ptr() not in weights:
                saved[storage.data_ptr()] = storage.nbytes()
            return tensor

        def counted(*args: Any, **kwargs: Any) -> Any:
            saved.clear()
            with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
                loss = forward(*args, **kwargs)
            largest.append(sum(saved.values()))
            return loss

        trainer.compute_loss = counted
        steps(trainer, gradients)

    monkeypatch.setattr(probes, "run_steps", tracked)
    model = build_variant(tmp_path / "model", size, family)
    record = diagnose(sft_data, *SFT, *QUICK, "--model_id", model, "--freeze_merger", "False")
    (figures,) = (check["figures"] for check in record["checks"] if check["name"] == "memory")
    assert figures["weights"] > 4 * 30e6
    told = sum(figures[part] for part in ("weights", "gradients", "optimizer", "activations"))
    assert told == pytest.approx(figures["weights"] + figures["optimizer"] + max(largest), rel=0.15)
