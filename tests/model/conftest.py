"""Tiny models of both families, and adapters as the two stages make them."""

from pathlib import Path

import pytest
import torch

from src.model.load import load_model, load_policy, load_processor
from src.model.nano import FAMILIES, build_variant
from tests.tiny import make_adapter


@pytest.fixture(scope="session", params=list(FAMILIES))
def family(request):
    return request.param


@pytest.fixture(scope="session")
def base(family, tmp_path_factory) -> str:
    return str(build_variant(tmp_path_factory.mktemp(family) / "base", "tiny", family, seed=0))


@pytest.fixture(scope="session")
def processor(base):
    return load_processor(base)


@pytest.fixture(scope="session")
def stage1(base) -> str:
    """LoRA on language model and vision blocks."""
    model = load_model(base, dtype=torch.float32)
    return make_adapter(Path(base).parent / "stage1", model, base, {"vision_lora": True})


@pytest.fixture(scope="session")
def stage2(base, stage1) -> str:
    """LoRA of rank 8 on the language model, and the merger in full, on top of stage 1."""
    model = load_policy(base, [stage1], dtype=torch.float32)
    return make_adapter(Path(base).parent / "stage2", model, base, {"lora_rank": 8}, freeze_merger=False)
