"""States, and what changed between two dates, with the sums of the class probabilities beside the counts, in one pass.

The matrix is that of ``src.geo.transition``: unchanged pixels keep their first
class, so gains and losses come from detected change alone. ``src.geo.bounds``
makes bounds of what is counted here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
from numpy.typing import NDArray

from src.constants import LAND_CLASSES
from src.geo.area_bounds import CoverMaps
from src.geo.blocks import Runner, blocks_of
from src.geo.exact_areas import ExactAreas, exact_areas
from src.geo.grid import Grid
from src.geo.raster import read_raster
from src.geo.transition import CHANGED, SIZE, UNCHANGED
from src.geo.zone_overlay import ZonePiece, common_grid, coverage, read_codes, zone_pieces

_Floats = NDArray[np.float64]
_COUNT = len(LAND_CLASSES)


@dataclass(frozen=True, eq=False)
class StateAreas:
    """One map inside one place, m2.

    Args:
        count: (8,) by class id; 0 is ground without a class.
        expected: (7,) sum of the probabilities of each class over the ground with a class.
    """

    count: _Floats
    expected: _Floats


@dataclass(frozen=True, eq=False)
class Flows:
    """What changed inside one place, m2.

    Args:
        matrix: (8, 8) as ``transition_matrix`` gives it.
        before: (7,) sum of the probabilities of the first state over the ground with a class on both dates.
        after: (7,) of the second state; unchanged pixels keep their first probabilities.
    """

    matrix: _Floats
    before: _Floats
    after: _Floats

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {key: value.tolist() for key, value in vars(self).items()}

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> "Flows":
        """From ``to_json``."""
        return cls(**{key: np.array(value) for key, value in content.items()})


def flow_areas(maps: CoverMaps, runner: Runner, zone: gpd.GeoDataFrame | None = None) -> Flows:
    """Measure a pair of maps.

    Args:
        maps: on one grid.
        runner: threads or a cluster.
        zone: from ``read_zone``; pixels count with the share of them inside it. Default all.

    Raises:
        GridError: the rasters do not share a grid, or the zone lies outside it.
    """
    grid = common_grid([maps.before, maps.after, maps.before_probability, maps.after_probability, maps.change])
    total = [np.zeros((SIZE, SIZE)), np.zeros(_COUNT), np.zeros(_COUNT)]
    for part in runner.map(partial(_measure_flows, maps, exact_areas(grid)), _pieces(zone, grid)):
        _add(total, part)
    return Flows(*total)


def state_areas(classes: Path, probability: Path, runner: Runner, zone: gpd.GeoDataFrame | None = None) -> StateAreas:
    """Measure one map; arguments and errors as of ``flow_areas``."""
    grid = common_grid([classes, probability])
    total = [np.zeros(SIZE), np.zeros(_COUNT)]
    for part in runner.map(partial(_measure_state, classes, probability, exact_areas(grid)), _pieces(zone, grid)):
        _add(total, part)
    return StateAreas(*total)


def _add(total: Sequence[_Floats], part: Sequence[_Floats]) -> None:
    for whole, share in zip(total, part, strict=True):
        whole += share


def _pieces(zone: gpd.GeoDataFrame | None, grid: Grid) -> list[ZonePiece]:
    if zone is None:
        return [ZonePiece(block, None) for block in blocks_of(grid.shape_hw)]
    return zone_pieces(zone, grid)


def _measure_state(classes: Path, probability: Path, areas: ExactAreas, piece: ZonePiece) -> list[_Floats]:
    ground, codes = _ground(piece, areas), read_codes(classes, piece.block).ravel()
    percent = read_raster(probability, window=piece.block.window).data.reshape(_COUNT, -1)
    return [_counted(codes, ground, SIZE), _expected(percent, ground)]


def _measure_flows(maps: CoverMaps, areas: ExactAreas, piece: ZonePiece) -> list[_Floats]:
    ground = _ground(piece, areas)
    before, after, change = (read_codes(path, piece.block).ravel() for path in (maps.before, maps.after, maps.change))
    after = np.select([change == UNCHANGED, change == CHANGED], [before, after], 0)
    matrix = _counted(before.astype(np.intp) * SIZE + after, ground, SIZE * SIZE).reshape(SIZE, SIZE)
    seen = (before != 0) & (after != 0)
    first, second = (
        read_raster(path, window=piece.block.window).data.reshape(_COUNT, -1)
        for path in (maps.before_probability, maps.after_probability)
    )
    state = _expected(first, np.where(seen, ground, 0.0))
    # The second state differs from the first where change was found, and nowhere else.
    here = np.flatnonzero(seen & (change == CHANGED))
    later = state - _expected(first[:, here], ground[here]) + _expected(second[:, here], ground[here])
    return [matrix, state, later]


def _ground(piece: ZonePiece, areas: ExactAreas) -> _Floats:
    """(n,) m2 of each pixel inside the place, as multiples whose sums are exact."""
    return areas.rounded(areas.block(piece.block) * coverage(piece.geometry, piece.block)).ravel()


def _counted(codes: NDArray[Any], ground: _Floats, size: int) -> _Floats:
    return np.bincount(codes, ground, size).astype(np.float64)


def _expected(percent: NDArray[Any], ground: _Floats) -> _Floats:
    return np.array([float(ground @ band) for band in percent]) / 100.0
