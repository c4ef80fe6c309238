"""Optimizer groups and the checkpoint to resume from."""

import json

import torch
from torch import nn

from src.trainer.checkpoint import last_complete_checkpoint
from src.trainer.param_groups import build_groups

RATES = {"embed": 1.0, "llm": 1.0, "vision": 2.0, "merger": 3.0, "head": 1.0}


def test_groups_follow_component_and_shape():
    named = [
        ("model.language_model.layers.0.mlp.up_proj.weight", nn.Parameter(torch.zeros(2, 2))),
        ("model.language_model.norm.weight", nn.Parameter(torch.zeros(2))),
        ("model.visual.merger.mlp.0.weight", nn.Parameter(torch.zeros(2, 2))),
        ("model.visual.blocks.0.attn.qkv.bias", nn.Parameter(torch.zeros(2))),
        ("model.visual.blocks.0.attn.qkv.weight", nn.Parameter(torch.zeros(2, 2), requires_grad=False)),
    ]
    groups = build_groups(named, RATES, 0.1)
    assert {g["name"]: (g["lr"], g["weight_decay"], len(g["params"])) for g in groups} == {
        "llm/decay": (1.0, 0.1, 1),
        "llm/no_decay": (1.0, 0.0, 1),
        "merger/decay": (3.0, 0.1, 1),
        "vision/no_decay": (2.0, 0.0, 1),
    }


def test_lora_names_keep_their_component():
    """The predecessor's PEFT prefixes hid vision and merger parameters from their learning rates."""
    named = [
        ("base_model.model.model.visual.blocks.0.attn.qkv.lora_A.default.weight", nn.Parameter(torch.zeros(2, 2))),
        ("base_model.model.model.visual.merger.modules_to_save.default.mlp.0.weight", nn.Parameter(torch.zeros(2, 2))),
    ]
    assert [g["lr"] for g in build_groups(named, RATES, 0.0)] == [2.0, 3.0]


def _checkpoint(folder, step, text):
    path = folder / f"checkpoint-{step}"
    path.mkdir()
    if text is not None:
        (path / "trainer_state.json").write_text(text)
    return path


def test_unfinished_checkpoints_are_passed_over_and_removed(tmp_path):
    """A run killed while saving left a folder that the trainer then tried to resume from."""
    good = _checkpoint(tmp_path, 20, json.dumps({"global_step": 20}))
    cut = _checkpoint(tmp_path, 100, '{"global_step": 1')
    bare = _checkpoint(tmp_path, 40, None)
    assert last_complete_checkpoint(tmp_path) == str(good)
    assert not cut.exists()
    assert not bare.exists()


def test_checkpoints_are_ordered_by_number_not_by_name(tmp_path):
    for step in (9, 10, 100):
        _checkpoint(tmp_path, step, json.dumps({"global_step": step}))
    assert last_complete_checkpoint(tmp_path).endswith("checkpoint-100")


def test_no_folder_means_a_fresh_run(tmp_path):
    assert last_complete_checkpoint(tmp_path / "absent") is None
