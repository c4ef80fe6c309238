"""A tiny base model for the training tests."""

from pathlib import Path

import pytest

from src.model.nano import build_variant


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Untrained tiny Qwen2.5-VL with the shipped tokenizer."""
    return build_variant(tmp_path_factory.mktemp("tiny") / "model", "tiny", "qwen2_5_vl", seed=0)
