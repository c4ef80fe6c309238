"""Do later images still show a patch? One count per patch, from ``src.geo.change.persistence`` pixel by pixel."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from src.geo.blocks import Block, Runner, blocks_of
from src.geo.caveats import CannotTell
from src.geo.change.detect import ChangeModel, change_block, fit_change
from src.geo.change.pairs import Pair, make_pair
from src.geo.change.persistence import CONFIRMED, REFUTED, persistence
from src.geo.patches.find import Patches
from src.geo.raster import read_raster
from src.geo.scene import Scene

# Share of a patch's seen pixels that decides for the patch.
_MAJORITY = 0.5
Fitted = tuple[Pair, ChangeModel]


def patch_confirmations(
    patches: Patches, before: Scene, after: Scene, later: Sequence[Scene], cache: Path, runner: Runner
) -> list[int] | None:
    """How many later dates confirm each patch.

    Args:
        patches: of the change between the two dates, on the grid of ``before``.
        before: earlier scene.
        after: later scene, on the same grid.
        later: scenes after both, by date; those that cannot be compared are left out.
        cache: folder for warped scenes.
        runner: threads or a cluster.

    Returns:
        Per listed patch: the number of later dates on which most of its seen pixels stay changed, -1 where most
        of them look like the first date again on any date. None where no later date can be compared.
    """
    votes = []
    for scene in later:
        try:
            fitted = [_fitted(earlier, scene, cache, runner) for earlier in (before, after)]
        except CannotTell:
            continue
        votes.append(_votes(patches, fitted[0], fitted[1], runner))
    if not votes:
        return None
    confirmed = np.sum([vote == CONFIRMED for vote in votes], axis=0)
    refuted = np.any([vote == REFUTED for vote in votes], axis=0)
    return [int(number) for number in np.where(refuted, -1, confirmed)]


def _fitted(earlier: Scene, later: Scene, cache: Path, runner: Runner) -> Fitted:
    pair = make_pair(earlier, later, cache, runner)
    return pair, fit_change(pair, runner)


def _votes(patches: Patches, first: Fitted, second: Fitted, runner: Runner) -> NDArray[np.int64]:
    """Per patch, the code of ``persistence`` that most of its seen pixels have; 0 where none has a majority."""
    counts = np.zeros((len(patches.table) + 1, 4), np.int64)
    for part in runner.map(partial(_count, patches.labels, first, second), blocks_of(patches.grid.shape_hw)):
        rows, numbers = part
        counts[rows] += numbers
    seen = counts[1:, 1:].sum(axis=1)
    best = counts[1:, 1:].argmax(axis=1) + 1
    return np.where(counts[1:, 1:].max(axis=1) > _MAJORITY * np.maximum(seen, 1), best, 0)


def _count(labels: Path, first: Fitted, second: Fitted, block: Block) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Patches in a block, and how many of their pixels have each code, (n, 4)."""
    ids = read_raster(labels, window=block.window).data[0].astype(np.int64)
    rows = np.unique(ids[ids > 0])
    if not len(rows):
        return rows, np.zeros((0, 4), np.int64)
    scores = [change_block(pair, model, block)[0] for pair, model in (first, second)]
    codes = persistence(scores[0], scores[1]).astype(np.int64)
    inside = ids > 0
    index = np.searchsorted(rows, ids[inside]) * 4 + codes[inside]
    return rows, np.bincount(index, minlength=4 * len(rows)).reshape(-1, 4)
