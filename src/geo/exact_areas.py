"""Ground area of pixels as numbers whose sums are exact, in any order and for any blocks.

Every pixel's area is rounded to a multiple of one power of two, fine enough to
change it by less than a part in 1e7 and coarse enough that the sum over the
whole raster needs no more than the 52 bits of a float64. Sums then have no
rounding at all: totals by class, by patch and by zone reconcile to the last
bit, and threads, blocks of any size and a cluster agree.
"""

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from src.geo.areas import pixel_areas_m2
from src.geo.blocks import Block
from src.geo.grid import Grid

# Mean areas are measured on this many cells a side and interpolated linearly: below 1e-8 of the area for a 110 km tile.
_NODES = 128
_MANTISSA_BITS = 52


@dataclass(frozen=True, eq=False)
class ExactAreas:
    """Areas of the pixels of one grid; small, so it can be sent to a worker. Made by ``exact_areas``.

    Args:
        shape_hw: of the grid.
        nodes: (n, m) mean pixel areas of equal cells of the grid, m2; m is 1 where columns do not differ.
        step_m2: power of two that every area is a multiple of.
    """

    shape_hw: tuple[int, int]
    nodes: NDArray[np.float64] = field(repr=False)
    step_m2: float

    def block(self, block: Block) -> NDArray[np.float64]:
        """(h, w) areas in m2; the same for a pixel whatever the block."""
        rows, row_weight = _position(block.row, block.height, self.shape_hw[0], self.nodes.shape[0])
        cols, col_weight = _position(block.col, block.width, self.shape_hw[1], self.nodes.shape[1])
        above, below = self.nodes[rows], self.nodes[np.minimum(rows + 1, self.nodes.shape[0] - 1)]
        lines = above * (1.0 - row_weight[:, None]) + below * row_weight[:, None]
        left, right = lines[:, cols], lines[:, np.minimum(cols + 1, self.nodes.shape[1] - 1)]
        return self.rounded(left * (1.0 - col_weight) + right * col_weight)

    def rounded(self, areas_m2: NDArray[np.float64]) -> NDArray[np.float64]:
        """Areas moved to the nearest multiple of the step, so that their sums stay exact."""
        return np.round(areas_m2 / self.step_m2) * self.step_m2


def exact_areas(grid: Grid) -> ExactAreas:
    """The areas of a grid's pixels.

    Raises:
        GridError: the grid has no CRS, or reaches where its CRS is undefined.
    """
    height, width = grid.shape_hw
    cells = (min(height, _NODES), min(width, _NODES))
    nodes = pixel_areas_m2(grid.resized(cells)) * (cells[0] * cells[1] / (height * width))
    total_bits = math.frexp(float(nodes.max()) * height * width * 1.01)[1]
    return ExactAreas(grid.shape_hw, nodes, 2.0 ** (total_bits - _MANTISSA_BITS))


def _position(start: int, count: int, length: int, nodes: int) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """First of the two nodes around each pixel centre, and the weight of the second (outside 0..1 at the ends)."""
    if nodes == 1:
        return np.zeros(count, np.intp), np.zeros(count)
    place = (np.arange(start, start + count) + 0.5) * (nodes / length) - 0.5
    first = np.clip(np.floor(place), 0, nodes - 2).astype(np.intp)
    return first, place - first
