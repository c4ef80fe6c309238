"""Every rank runs the vision tower equally often, and results do not change."""

import pytest
import torch
from transformers import AutoProcessor

from src.model.nano import NANO_DIR, build_config, build_model
from src.model.patches import always_run_vision, vision_language_core


@pytest.fixture(scope="module", params=["qwen2_vl", "qwen2_5_vl"])
def model(request):
    tokenizer = AutoProcessor.from_pretrained(NANO_DIR).tokenizer
    return build_model(build_config(tokenizer, "tiny", request.param), seed=0)


def test_text_only_pass_runs_the_tower_and_changes_nothing(model):
    ids = torch.tensor([[5, 6, 7, 8]])
    with torch.no_grad():
        before = model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits
    calls = []
    handle = vision_language_core(model).visual.register_forward_hook(lambda *_: calls.append(1))
    always_run_vision(model)
    after = model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits
    assert torch.equal(before, after)
    assert len(calls) == 1
    after.sum().backward()
    grads = [p.grad for p in vision_language_core(model).visual.blocks.parameters()]
    assert all(grad is not None and not grad.any() for grad in grads)
    handle.remove()


def test_decoding_steps_do_not_run_the_tower(model):
    """The predecessor encoded a blank image at every generated token."""
    calls = []
    handle = vision_language_core(model).visual.register_forward_hook(lambda *_: calls.append(1))
    always_run_vision(model)
    ids = torch.tensor([[5, 6, 7]])
    model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=5, min_new_tokens=5)
    # Once for the prompt and each installed hook, never per token.
    assert len(calls) <= 2
    handle.remove()


def test_empty_media_count_as_no_media(model):
    always_run_vision(model)
    ids = torch.tensor([[5, 6, 7]])
    empty = {"pixel_values": torch.zeros(0, 1176), "image_grid_thw": torch.zeros(0, 3, dtype=torch.long)}
    with torch.no_grad():
        assert torch.equal(
            model(input_ids=ids, **empty).logits,
            model(input_ids=ids).logits,
        )
