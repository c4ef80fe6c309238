"""Transition matrices between two land cover maps, in square metres, whose sums reconcile exactly.

With a change map the matrix is a hybrid: where it says unchanged, the class of
the first date counts on both, so gains and losses come from detected change
alone and not from the two classifications disagreeing. Every pixel's area is a
multiple of one power of two (``exact_areas``), so row sums, column sums, gains
and losses agree to the last bit. These are pixel counts: no estimate, no
interval (``src.geo.estimates.accuracy`` makes those).
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import geopandas as gpd
import numpy as np
from numpy.typing import NDArray

from src.constants import LAND_CLASSES, NODATA_CLASS
from src.errors import LegendError
from src.geo.blocks import BLOCK_PX, Runner, blocks_of
from src.geo.exact_areas import ExactAreas, exact_areas
from src.geo.zone_overlay import ZonePiece, common_grid, coverage, read_codes, zone_pieces

UNCHANGED, CHANGED = 1, 2
SIZE = max(LAND_CLASSES) + 1


@dataclass(frozen=True)
class ClassChange:
    """What one class gained and lost, m2, over the ground that has a class on both dates.

    ``gain_m2 - loss_m2 == net_m2 == after_m2 - before_m2`` holds exactly.
    """

    before_m2: float
    after_m2: float
    gain_m2: float
    loss_m2: float
    net_m2: float


def transition_matrix(
    before: Path,
    after: Path,
    change: Path | None,
    runner: Runner,
    zone: gpd.GeoDataFrame | None = None,
    *,
    block_px: int = BLOCK_PX,
) -> NDArray[np.float64]:
    """Area by class on the first date (rows) and on the second (columns).

    Args:
        before: land cover, uint8 ids of LAND_CLASSES, 0 no data.
        after: the same of the second date, on the same grid.
        change: 0 not seen, 1 unchanged, 2 changed, on the same grid. Unchanged pixels keep their first class; where
            change was not seen, the class of the second date counts as no data. None takes both maps at their word.
        runner: threads or a cluster.
        zone: from ``read_zone``; its features are united. Pixels count with the share of them inside it. Without a
            zone every pixel counts whole.
        block_px: side of a block.

    Returns:
        (8, 8) float64 m2; row and column 0 are no data. Row sums are the areas of the first map, column sums those of
        the second as the change map leaves it, both exactly; rows 1..7 without column 0 are what can be compared.

    Raises:
        GridError: the rasters do not share a grid, or the zone lies outside it.
        LegendError: a map holds other codes than LAND_CLASSES.
    """
    grid = common_grid([before, after, *([change] if change else [])])
    if zone is None:
        pieces = [ZonePiece(block, None) for block in blocks_of(grid.shape_hw, block_px)]
    else:
        pieces = zone_pieces(zone, grid, block_px)
    count = partial(_count_piece, before=before, after=after, change=change, areas=exact_areas(grid))
    matrix = np.zeros((SIZE, SIZE))
    for part in runner.map(count, pieces):
        matrix += part
    return matrix


def class_changes(matrix: NDArray[np.float64]) -> dict[str, ClassChange]:
    """Gain, loss and net change by class name.

    Args:
        matrix: from ``transition_matrix``; ground without a class on either date is left out.
    """
    known = matrix[1:, 1:]
    result = {}
    for index, name in enumerate(LAND_CLASSES.values()):
        before, after, stayed = float(known[index].sum()), float(known[:, index].sum()), float(known[index, index])
        result[name] = ClassChange(before, after, after - stayed, before - stayed, after - before)
    return result


def _count_piece(
    piece: ZonePiece, before: Path, after: Path, change: Path | None, areas: ExactAreas
) -> NDArray[np.float64]:
    ground = areas.rounded(areas.block(piece.block) * coverage(piece.geometry, piece.block))
    first, second = read_codes(before, piece.block), read_codes(after, piece.block)
    for path, codes in ((before, first), (after, second)):
        if codes.max() >= SIZE:
            raise LegendError(f"{path}: holds class {codes.max()}, expected 0 to {SIZE - 1}; map its legend first")
    if change is not None:
        seen = read_codes(change, piece.block)
        second = np.select([seen == UNCHANGED, seen == CHANGED], [first, second], NODATA_CLASS)
    pairs = first.astype(np.intp) * SIZE + second
    counted = np.bincount(pairs.ravel(), ground.ravel(), SIZE * SIZE)
    return counted.astype(np.float64).reshape(SIZE, SIZE)
