"""Nano models are the real classes, made from a seed, and small."""

import json
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForImageTextToText, AutoProcessor
from trl.chat_template_utils import get_training_chat_template

from src.budget import PixelBudget
from src.constants import SPECIAL_TOKENS
from src.errors import InputError
from src.model import nano
from src.model.nano import FAMILIES, NANO_BUDGET, NANO_DIR, build_config, build_model, build_tokenizer, build_variant


def test_a_variant_loads_by_the_auto_classes(base, family):
    model = AutoModelForImageTextToText.from_pretrained(base)
    processor = AutoProcessor.from_pretrained(base)
    assert type(model) is FAMILIES[family][1] and type(processor) is FAMILIES[family][2]
    assert model.lm_head.weight is model.model.language_model.embed_tokens.weight, "tied, as in the 3B checkpoint"
    assert PixelBudget.of(processor) == NANO_BUDGET
    assert model.generation_config.eos_token_id == processor.tokenizer.convert_tokens_to_ids("<|im_end|>")


def test_the_seed_decides_the_weights(family, tmp_path):
    first, again, other = (
        load_file(build_variant(tmp_path / name, "tiny", family, seed) / "model.safetensors")
        for name, seed in (("a", 3), ("b", 3), ("c", 4))
    )
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["visual.merger.mlp.0.weight"], other["visual.merger.mlp.0.weight"])


def test_building_leaves_the_random_state_alone(processor, family):
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    build_model(build_config(processor.tokenizer, "tiny", family), seed=1)
    assert torch.equal(torch.rand(1), expected)


@pytest.mark.parametrize("name", list(FAMILIES))
def test_the_nano_size_stays_below_five_million_parameters(name):
    tokenizer = AutoProcessor.from_pretrained(NANO_DIR).tokenizer
    with torch.device("meta"):
        model = FAMILIES[name][1](build_config(tokenizer, "nano", name))
    assert sum(parameter.numel() for parameter in model.parameters()) <= 5_000_000


def test_the_shipped_model_fits_its_promise():
    files = [path for path in NANO_DIR.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= 12e6
    config = json.loads((NANO_DIR / "config.json").read_text())
    assert config["model_type"] == "qwen2_5_vl"
    processor = AutoProcessor.from_pretrained(NANO_DIR)
    assert processor.tokenizer.convert_tokens_to_ids("<|image_pad|>") == config["image_token_id"]
    assert "generation" in get_training_chat_template(processor), "the official template, which TRL knows how to train"


def test_any_text_survives_the_tokenizer(processor):
    for text in ("耕地面积约 12.5 公顷？", "Is there water? 40%", "naïve 𠮷 🛰 \t\n x"):
        ids = processor.tokenizer(text)["input_ids"]
        assert processor.tokenizer.decode(ids) == text
    for token in SPECIAL_TOKENS:
        assert len(processor.tokenizer(token)["input_ids"]) == 1, token


def test_a_tokenizer_is_trained_to_its_size():
    texts = ["耕地 cropland 林地 forest water built " * 20, "How much 多少 area 面积 " * 20]
    tokenizer = build_tokenizer(texts, vocab_size=300)
    assert len(tokenizer) <= 300
    assert tokenizer.decode(tokenizer("耕地 area?")["input_ids"]) == "耕地 area?"
    assert len(tokenizer("cropland")["input_ids"]) < len("cropland")


@pytest.mark.parametrize(("size", "family_name"), [("huge", "qwen2_vl"), ("tiny", "llama")])
def test_unknown_sizes_and_families_are_refused(processor, size, family_name):
    with pytest.raises(InputError, match="expected one of"):
        build_config(processor.tokenizer, size, family_name)


def test_the_command_writes_a_variant(tmp_path, monkeypatch, capsys):
    arguments = ["nano", "--out", str(tmp_path / "m"), "--size", "tiny", "--family", "qwen2_vl", "--seed", "2"]
    monkeypatch.setattr(sys, "argv", arguments)
    nano.main()
    assert "qwen2_vl" in capsys.readouterr().out
    assert json.loads(Path(tmp_path, "m", "config.json").read_text())["model_type"] == "qwen2_vl"
