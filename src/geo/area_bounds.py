"""Ranges around pixel counts of area: what the count would be if doubtful pixels fell the other way.

No confidence interval. Two ranges are measured and the wider one is taken on
each side: the area where the class is at least 30 % and at least 70 % probable,
and the count with half a pixel added or taken off all along its outline. Only a
sample interpreted by people gives an interval (``src.geo.estimates.accuracy``).
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import geopandas as gpd
import numpy as np
from numpy.typing import NDArray

from src.constants import LAND_CLASSES
from src.geo.blocks import Runner, blocks_of
from src.geo.exact_areas import ExactAreas, exact_areas
from src.geo.raster import read_raster
from src.geo.transition import CHANGED, UNCHANGED
from src.geo.zone_overlay import ZonePiece, common_grid, coverage, read_codes, zone_pieces

POSSIBLE_PERCENT, LIKELY_PERCENT = 30, 70
QUANTITIES = ("before", "after", "gain", "loss")
_CLASSES = np.array(list(LAND_CLASSES))


@dataclass(frozen=True)
class CoverMaps:
    """Rasters on one grid: land cover and class probabilities of both dates, and the change map.

    Args:
        before: uint8 ids of LAND_CLASSES, 0 no data.
        after: the same of the later date.
        before_probability: seven uint8 bands of percent, in the order of LAND_CLASSES.
        after_probability: the same of the later date.
        change: 0 not seen, 1 unchanged, 2 changed.
    """

    before: Path
    after: Path
    before_probability: Path
    after_probability: Path
    change: Path


@dataclass(frozen=True, eq=False)
class Ranges:
    """Square metres by quantity (rows: QUANTITIES) and class (columns: LAND_CLASSES), each (4, 7) float64."""

    count: NDArray[np.float64]
    likely: NDArray[np.float64]
    possible: NDArray[np.float64]
    half_pixel: NDArray[np.float64]

    def bounds(self, quantity: str, name: str) -> tuple[float, float]:
        """Lower and upper bound of one class, m2; the count lies between them, and none is below zero."""
        at = QUANTITIES.index(quantity), list(LAND_CLASSES.values()).index(name)
        value, edge = float(self.count[at]), float(self.half_pixel[at])
        low = min(float(self.likely[at]), value - edge)
        return max(0.0, min(low, value)), max(float(self.possible[at]), value + edge)


def area_ranges(maps: CoverMaps, runner: Runner, zone: gpd.GeoDataFrame | None = None) -> Ranges:
    """Measure the ranges over the ground that was seen on both dates.

    The later class of an unchanged pixel is its earlier one, with its earlier
    probability, as in ``transition_matrix``. A gain is as probable as "not the
    class before" times "the class after", and only inside detected change.

    Args:
        maps: on one grid.
        runner: threads or a cluster.
        zone: from ``read_zone``; pixels count with the share of them inside it. Default all.

    Raises:
        GridError: the rasters do not share a grid, or the zone lies outside it.
    """
    paths = [maps.before, maps.after, maps.before_probability, maps.after_probability, maps.change]
    grid = common_grid(paths)
    if zone is None:
        pieces = [ZonePiece(block, None) for block in blocks_of(grid.shape_hw)]
    else:
        pieces = zone_pieces(zone, grid)
    total = np.zeros((4, len(QUANTITIES), len(_CLASSES)))
    for part in runner.map(partial(_measure, maps, exact_areas(grid), grid.shape_hw), pieces):
        total += part
    return Ranges(*total)


def _measure(maps: CoverMaps, areas: ExactAreas, shape_hw: tuple[int, int], piece: ZonePiece) -> NDArray[np.float64]:
    """(4, 4, 7): count, likely, possible and half pixel of the piece, by quantity and class."""
    block = piece.block
    outer = block.grown(1, shape_hw)
    change = read_codes(maps.change, outer)
    before, after = read_codes(maps.before, outer), read_codes(maps.after, outer)
    changed = (change == CHANGED) & (before != 0) & (after != 0)
    seen = changed | ((change == UNCHANGED) & (before != 0))
    before = np.where(seen, before, 0)
    after = np.where(changed, after, before)
    ground = areas.rounded(areas.block(block) * coverage(piece.geometry, block))
    pair = maps.before_probability, maps.after_probability
    chances = [read_raster(path, window=outer.window).data for path in pair]
    result = np.zeros((4, len(QUANTITIES), len(_CLASSES)))
    inner = block.inside(outer)
    for column, code in enumerate(_CLASSES):
        first, second = (chance[code - 1].astype(np.float32) for chance in chances)
        second = np.where(changed, second, first)
        was, is_now = before == code, after == code
        cases = (
            (was, first, seen),
            (is_now, second, seen),
            (changed & is_now & ~was, (100 - first) * second / 100, changed),
            (changed & was & ~is_now, first * (100 - second) / 100, changed),
        )
        for row, (counted, chance, where) in enumerate(cases):
            likely, possible = (where & (chance >= limit) for limit in (LIKELY_PERCENT, POSSIBLE_PERCENT))
            for kind, mask in enumerate((counted, likely, possible)):
                result[kind, row, column] = ground[mask[inner]].sum()
            result[3, row, column] = 0.5 * (ground * _edges(counted, seen)[inner]).sum()
    return result


def _edges(counted: NDArray[np.bool_], seen: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Sides of each counted pixel beyond which lies seen ground that is not counted, 0 to 4."""
    other = seen & ~counted
    sides = np.zeros(counted.shape, dtype=np.uint8)
    sides[1:] += other[:-1]
    sides[:-1] += other[1:]
    sides[:, 1:] += other[:, :-1]
    sides[:, :-1] += other[:, 1:]
    return np.where(counted, sides, np.uint8(0))
