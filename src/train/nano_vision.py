"""First phase of the nano build: the vision tower learns to see land cover.

Crops of simulated counties, drawn anywhere and at several scales, turned and
mirrored; for each 14 px patch of a crop the tower predicts the shares of the
land classes, through a linear head that is thrown away afterwards. Dense
targets teach a picture's content with far fewer steps than questions do. The
real checkpoints arrive with such a tower; the nano model has to learn its own.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn
from tqdm import tqdm

from src.constants import LAND_CLASSES, VISUAL_TOKEN_PX
from src.dataset.landuse_places import Place, load_county

# (source pixels, rendered pixels) of a crop's side: chips of 56 at twice the size and their neighbours, real chips
# from 32 px, and larger ones.
_SCALES = ((56, 112), (56, 112), (44, 112), (32, 112), (80, 112), (96, 196))
_PATCHES_PER_TOKEN = 4
_MIN_CLEAR = 0.98


@dataclass(frozen=True)
class Crop:
    """A picture and what is on the land it shows.

    Args:
        picture: RGB, a whole number of visual tokens a side.
        labels: (N, N) uint8 class ids of the source pixels, turned like the picture.
    """

    picture: Image.Image
    labels: np.ndarray


def draw_crops(places: Sequence[Place], count: int, rng: random.Random) -> list[Crop]:
    """Clear crops of one scale from random dates and positions, each turned or mirrored at random."""
    side, shown = rng.choice(_SCALES)
    crops: list[Crop] = []
    while len(crops) < count:
        scene = rng.choice(rng.choice(places).scenes)
        height, width = scene.labels.shape
        row, col = rng.randrange(height - side + 1), rng.randrange(width - side + 1)
        window = slice(row, row + side), slice(col, col + side)
        if scene.clear[window].mean() < _MIN_CLEAR:
            continue
        turns, mirrored = rng.randrange(4), rng.random() < 0.5
        rgb, labels = (np.rot90(array[window], turns) for array in (scene.rgb, scene.labels))
        if mirrored:
            rgb, labels = rgb[:, ::-1], labels[:, ::-1]
        method = Image.Resampling.NEAREST if shown % side == 0 else Image.Resampling.BILINEAR
        crops.append(Crop(Image.fromarray(np.ascontiguousarray(rgb)).resize((shown, shown), method), labels))
    return crops


def patch_shares(labels: np.ndarray, patches: int) -> np.ndarray:
    """Class shares of each patch, in the order of the vision tower's tokens.

    Args:
        labels: (N, N) uint8 class ids, 0 where unknown.
        patches: patches a side, even; N need not be a multiple of it.

    Returns:
        (patches * patches / 4, 4, classes) float32; the four patches of a token together, row by row. Sums
        to 1 unless labels are unknown.
    """
    onehot = (labels[None] == np.array(list(LAND_CLASSES))[:, None, None]).astype(np.float32)
    pooled = nn.functional.adaptive_avg_pool2d(torch.from_numpy(onehot), patches).numpy()
    half = patches // 2
    grouped = pooled.reshape(len(LAND_CLASSES), half, 2, half, 2).transpose(1, 3, 2, 4, 0)
    return grouped.reshape(half * half, _PATCHES_PER_TOKEN, len(LAND_CLASSES))


def share_loss(tokens: torch.Tensor, head: nn.Linear, targets: torch.Tensor) -> torch.Tensor:
    """Cross-entropy in nats between predicted and true class shares, over all patches.

    Args:
        tokens: (T, hidden) output of the merger.
        head: hidden to 4 patches x classes.
        targets: (T, 4, classes).
    """
    logits = head(tokens).view(targets.shape)
    return -(targets * logits.log_softmax(-1)).sum(-1).mean()


def pretrain_vision(
    model: Any, processor: Any, counties: Sequence[Path], *, steps: int, batch: int, learning_rate: float, seed: int
) -> float:
    """Train the vision tower and its merger in place.

    Args:
        model: a nano model; only ``model.model.visual`` changes.
        processor: its processor.
        counties: folders of simulated counties.
        steps: optimizer steps, with a cosine schedule to zero.
        batch: crops a step.
        learning_rate: at the peak.
        seed: of crops and head.

    Returns:
        Mean loss of the last tenth of the steps, in nats a patch.
    """
    places = [load_county(folder) for folder in tqdm(counties, desc="counties", disable=None)]
    rng = random.Random(seed)
    torch.manual_seed(seed)
    visual = model.model.visual
    head = nn.Linear(model.config.text_config.hidden_size, _PATCHES_PER_TOKEN * len(LAND_CLASSES))
    weights = [*visual.parameters(), *head.parameters()]
    optimizer = torch.optim.AdamW(weights, lr=learning_rate, betas=(0.9, 0.98), weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, learning_rate, total_steps=steps, pct_start=0.05)
    losses: list[float] = []
    progress = tqdm(range(steps), desc="vision", disable=None)
    for step in progress:
        crops = draw_crops(places, batch, rng)
        inputs = processor.image_processor(images=[crop.picture for crop in crops], return_tensors="pt")
        patches = 2 * crops[0].picture.width // VISUAL_TOKEN_PX
        targets = torch.from_numpy(np.concatenate([patch_shares(crop.labels, patches) for crop in crops]))
        tokens = visual(inputs["pixel_values"], grid_thw=inputs["image_grid_thw"]).pooler_output
        loss = share_loss(tokens, head, targets)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
        if step % 100 == 99:
            progress.write(f"vision step {step + 1}: {np.mean(losses[-100:]):.3f} nats a patch")
    return float(np.mean(losses[-max(1, steps // 10) :]))
