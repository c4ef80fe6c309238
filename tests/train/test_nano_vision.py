"""The vision tower's own pretraining: targets in token order, crops with their labels, a falling loss."""

import random

import numpy as np
import pytest
import torch
from transformers import AutoProcessor

from src.dataset.landuse_places import load_county
from src.model.nano import NANO_DIR, build_config, build_model
from src.train.nano_vision import draw_crops, patch_shares, pretrain_vision, share_loss


def test_patch_shares_follow_the_order_of_tokens():
    """4 x 4 patches of 2 x 2 pixels: token 1 is the upper right quarter, its four patches row by row."""
    labels = np.ones((8, 8), np.uint8)
    labels[0:2, 4:6] = 5
    labels[2:4, 6:8] = [[6, 6], [6, 1]]
    shares = patch_shares(labels, 4)
    assert shares.shape == (4, 4, 7)
    assert shares[1, 0].tolist() == [0, 0, 0, 0, 1, 0, 0]
    assert shares[1, 3].tolist() == [0.25, 0, 0, 0, 0, 0.75, 0]
    assert shares[[0, 2, 3], :, 0].tolist() == np.ones((3, 4)).tolist()


def test_patch_shares_agree_with_the_processor():
    """A picture whose patches have grey levels of their own: the processor lists them in the same order."""
    processor = AutoProcessor.from_pretrained(NANO_DIR)
    levels = np.arange(1, 8).repeat(8)[:16].reshape(4, 4).astype(np.uint8)
    levels = np.array([[1, 2, 3, 4], [5, 6, 7, 1], [2, 3, 4, 5], [6, 7, 1, 2]], np.uint8)
    picture = np.kron(levels, np.ones((28, 28), np.uint8))[..., None].repeat(3, -1) * 30
    values = processor.image_processor(images=[picture], return_tensors="pt")["pixel_values"]
    assert values.shape[0] == 64
    seen = values.mean(1)
    # 8 x 8 patches, each level covers 2 x 2 of them: one token.
    truth = patch_shares(np.kron(levels, np.ones((2, 2), np.uint8)), 8).argmax(-1).reshape(-1)
    assert np.corrcoef(seen.numpy(), truth)[0, 1] > 0.999


def test_crops_keep_picture_and_labels_together(county):
    place = load_county(county)
    for crop in draw_crops([place], 4, random.Random(1)):
        assert crop.picture.width % 28 == 0 and crop.picture.size[0] == crop.picture.size[1]
        side = len(crop.labels)
        small = np.asarray(crop.picture.resize((side, side))).astype(float).sum(-1)
        classes = np.unique(crop.labels)
        between = np.var([small[crop.labels == c].mean() for c in classes])
        mirrored = np.var([small[crop.labels[:, ::-1] == c].mean() for c in classes])
        assert len(classes) == 1 or between > mirrored


def test_share_loss_by_hand():
    """Zero logits give ln 7 for any shares that sum to 1."""
    head = torch.nn.Linear(3, 28)
    torch.nn.init.zeros_(head.weight)
    torch.nn.init.zeros_(head.bias)
    targets = torch.zeros(2, 4, 7)
    targets[..., 0] = 1
    assert share_loss(torch.ones(2, 3), head, targets).item() == pytest.approx(np.log(7), rel=1e-6)


def test_only_the_tower_learns(county):
    processor = AutoProcessor.from_pretrained(NANO_DIR)
    model = build_model(build_config(processor.tokenizer, "tiny"))
    before = {name: weight.clone() for name, weight in model.named_parameters()}
    options = {"batch": 8, "learning_rate": 1e-2, "seed": 0}
    loss = pretrain_vision(model, processor, [county], steps=40, **options)
    assert loss < np.log(7)
    moved = {name for name, weight in model.named_parameters() if not torch.equal(weight, before[name])}
    assert moved and all("visual" in name for name in moved)
