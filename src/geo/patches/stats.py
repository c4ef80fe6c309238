"""Sums over the pixels of each change patch: classes of both dates, probabilities, score, and how clear it is around.

Block by block; every sum is exact, so blocks, threads and cluster change nothing.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from src.constants import LAND_CLASSES
from src.geo.blocks import BLOCK_PX, Block, Runner, blocks_of
from src.geo.exact_areas import ExactAreas, exact_areas
from src.geo.patches.find import Patches
from src.geo.raster import read_raster
from src.geo.zone_overlay import common_grid, read_codes

_Floats = NDArray[np.float64]
_CLASSES = max(LAND_CLASSES) + 1
# Surroundings whose clarity counts: pixels around the patch.
RING_PX = 3
# Change scores are summed in steps of this size, so that sums do not depend on the order.
_SCORE_STEP = 2.0**-10


@dataclass(frozen=True)
class RecordSources:
    """What the records are made from; every raster lies on the grid of the patches.

    Args:
        change: 0 not seen, 1 unchanged, 2 changed.
        before_date: real acquisition, ISO.
        after_date: the same of the second scene.
        evidence_id: SHA-256 of inputs and parameters, or another id that leads to them.
        before_scene: id of the scene.
        after_scene: id of the scene.
        county_code: six digits, where no county or town layer says.
        county_name: the same.
        score: change score, one float band.
        before_cover: uint8 ids of LAND_CLASSES; without it classes are unknown.
        after_cover: the same of the second date.
        before_probability: seven uint8 bands of percent, one per class id 1..7.
        after_probability: the same of the second date.
    """

    change: Path
    before_date: str
    after_date: str
    evidence_id: str
    before_scene: str = ""
    after_scene: str = ""
    county_code: str = ""
    county_name: str = ""
    score: Path | None = None
    before_cover: Path | None = None
    after_cover: Path | None = None
    before_probability: Path | None = None
    after_probability: Path | None = None


@dataclass(frozen=True, eq=False)
class PatchStats:
    """Sums per patch.

    Args:
        area: (n, 2, 8) m2 by date and class id, 0 is no class.
        percent: (n, 2, 7) sum of the percent of each class id 1..7 by date.
        score: (n,) sum of the change score.
        ring: (n, 2) pixels within RING_PX of the patch (itself included), and those of them that were seen.
    """

    area: _Floats
    percent: _Floats
    score: _Floats
    ring: _Floats


def _empty(count: int) -> PatchStats:
    return PatchStats(
        np.zeros((count, 2, _CLASSES)), np.zeros((count, 2, _CLASSES - 1)), np.zeros(count), np.zeros((count, 2))
    )


def patch_stats(patches: Patches, sources: RecordSources, runner: Runner) -> PatchStats:
    """Sums over each patch's pixels.

    Raises:
        GridError: a raster lies on another grid than the patches.
    """
    count = len(patches.table)
    rasters = [sources.score, sources.before_cover, sources.after_cover]
    rasters += [sources.before_probability, sources.after_probability]
    common_grid([patches.labels, sources.change, *(path for path in rasters if path)])
    total = _empty(count)
    measure = partial(
        _block_stats,
        labels=patches.labels,
        sources=sources,
        areas=exact_areas(patches.grid),
        shape_hw=patches.grid.shape_hw,
    )
    for ids, part in runner.map(measure, blocks_of(patches.grid.shape_hw, BLOCK_PX)):
        rows = ids - 1
        for whole, share in zip(vars(total).values(), vars(part).values(), strict=True):
            whole[rows] += share
    return total


def _block_stats(
    block: Block, labels: Path, sources: RecordSources, areas: ExactAreas, shape_hw: tuple[int, int]
) -> tuple[NDArray[np.int64], PatchStats]:
    """Ids near the block, and their sums in it."""
    outer = block.grown(RING_PX, shape_hw)
    around = read_raster(labels, window=outer.window).data[0]
    ids = np.unique(around[around > 0]).astype(np.int64)
    count = len(ids)
    part = _empty(count)
    if count == 0:
        return ids, part
    # Of patches that share surroundings, the later number takes them.
    near = ndimage.maximum_filter(around, 2 * RING_PX + 1)[block.inside(outer)]
    seen = read_codes(sources.change, block) != 0
    ring = near > 0
    owner = np.searchsorted(ids, near[ring])
    part.ring[:, 0] = np.bincount(owner, minlength=count)
    part.ring[:, 1] = np.bincount(owner, seen[ring], count)
    inside = around[block.inside(outer)]
    member = inside > 0
    owner = np.searchsorted(ids, inside[member])
    ground = areas.block(block)[member]
    for date, (cover, probability) in enumerate(
        [(sources.before_cover, sources.before_probability), (sources.after_cover, sources.after_probability)]
    ):
        codes = read_codes(cover, block)[member] if cover else np.zeros(len(owner), np.uint8)
        part.area[:, date] = np.bincount(owner * _CLASSES + codes, ground, count * _CLASSES).reshape(count, _CLASSES)
        if probability:
            bands = read_raster(probability, window=block.window).data
            for band, percent in enumerate(bands[:, member]):
                part.percent[:, date, band] = np.bincount(owner, percent, count)
    if sources.score:
        score = read_raster(sources.score, window=block.window, bands=[0]).data[0][member].astype(np.float64)
        steps = np.round(np.nan_to_num(score) / _SCORE_STEP) * _SCORE_STEP
        part.score[:] = np.bincount(owner, steps, count)
    return ids, part


def dominant_class(area: _Floats) -> NDArray[np.intp]:
    """Class id with most of each patch; 0 where no class is known."""
    best = area[:, 1:].argmax(axis=1) + 1
    return np.where(area[:, 1:].sum(axis=1) > 0, best, 0)
