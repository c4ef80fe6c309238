"""Where pixels lie on the ground, and pixels that know it.

``Grid`` is a CRS, an affine transform and a shape; ``Raster`` is a stack of
bands on a grid together with its validity mask, band names, date, sensor and
source, so that none of them is lost between two steps. No I/O and no
resampling here: see ``src.geo.raster``.
"""

from dataclasses import dataclass

import numpy as np
import pyproj
from affine import Affine
from numpy.typing import NDArray

from src.errors import GridError

# Two grids are the same when their corners differ by less than this share of a pixel.
SAME_GRID_TOLERANCE_PX = 1e-3


@dataclass(frozen=True)
class Grid:
    """A grid of pixels, north-up or rotated.

    Args:
        crs: coordinate reference system; None where the file does not say.
            Coordinates are always x (easting, longitude) before y.
        transform: maps (col, row), counted from pixel edges, to (x, y).
        shape_hw: rows and columns.

    Raises:
        GridError: the shape is empty or the transform is not invertible.
    """

    crs: pyproj.CRS | None
    transform: Affine
    shape_hw: tuple[int, int]

    def __post_init__(self) -> None:
        if min(self.shape_hw) < 1:
            raise GridError(f"a grid needs at least one row and one column, got shape {self.shape_hw}")
        if self.transform.determinant == 0 or not np.isfinite(tuple(self.transform)).all():
            raise GridError(f"the transform {tuple(self.transform)[:6]} does not map pixels to distinct places")

    def corners_xy(self) -> list[tuple[float, float]]:
        """The four outer corners (x, y): upper left, upper right, lower right, lower left."""
        height, width = self.shape_hw
        return [self.transform @ corner for corner in ((0, 0), (width, 0), (width, height), (0, height))]

    def bounds(self) -> tuple[float, float, float, float]:
        """Left, bottom, right, top in CRS units; of a rotated grid, the box around it."""
        xs, ys = zip(*self.corners_xy(), strict=True)
        return min(xs), min(ys), max(xs), max(ys)

    def window(self, row: int, col: int, height: int, width: int) -> "Grid":
        """The grid of a block of pixels.

        Args:
            row: first row of the block.
            col: first column of the block.
            height: rows of the block.
            width: columns of the block.

        Raises:
            GridError: the block is empty or reaches outside this grid.
        """
        rows, cols = self.shape_hw
        if row < 0 or col < 0 or height < 1 or width < 1 or row + height > rows or col + width > cols:
            raise GridError(f"window row {row}, col {col}, {height} x {width} is not inside {rows} x {cols} pixels")
        return Grid(self.crs, self.transform @ Affine.translation(col, row), (height, width))

    def resized(self, shape_hw: tuple[int, int]) -> "Grid":
        """The grid over the same ground with another number of rows and columns."""
        scale = Affine.scale(self.shape_hw[1] / shape_hw[1], self.shape_hw[0] / shape_hw[0])
        return Grid(self.crs, self.transform @ scale, shape_hw)

    def xy(self, row: float, col: float) -> tuple[float, float]:
        """Coordinates (x, y) of a pixel; whole numbers give the pixel's centre."""
        return self.transform @ (col + 0.5, row + 0.5)

    def same_as(self, other: "Grid") -> bool:
        """Whether both grids have the same CRS and shape, and corners within a thousandth of a pixel."""
        if self.shape_hw != other.shape_hw or (self.crs is None) != (other.crs is None):
            return False
        if self.crs is not None and not self.crs.equals(other.crs, ignore_axis_order=True):
            return False
        to_pixels = ~self.transform
        height, width = self.shape_hw
        own = np.array([(0, 0), (width, 0), (width, height), (0, height)], dtype=np.float64)
        others = np.array([to_pixels @ xy for xy in other.corners_xy()])
        return bool(np.abs(own - others).max() < SAME_GRID_TOLERANCE_PX)


@dataclass(frozen=True, eq=False)
class Raster:
    """Bands on a grid, with what must travel with them.

    Args:
        data: (B, H, W) in the stored dtype, unscaled.
        valid: (H, W) bool; True where at least one band holds a measurement.
        grid: where the pixels lie.
        band_names: one per band: the file's descriptions, else the sensor's
            names, else "B1", "B2", ...
        date: acquisition date, ISO (YYYY-MM-DD).
        sensor: key of ``src.geo.sensors.SENSORS``.
        source: file that the pixels came from.
        nodata: value that marks a single band's pixel as missing.
        baseline: Sentinel-2 processing baseline such as "05.09".

    Raises:
        GridError: the parts do not fit together.
    """

    data: np.ndarray
    valid: NDArray[np.bool_]
    grid: Grid
    band_names: tuple[str, ...]
    date: str | None = None
    sensor: str | None = None
    source: str | None = None
    nodata: float | None = None
    baseline: str | None = None

    def __post_init__(self) -> None:
        if self.data.ndim != 3 or self.data.shape[1:] != self.grid.shape_hw:
            raise GridError(f"data of shape {self.data.shape} does not lie on a grid of {self.grid.shape_hw} pixels")
        if self.valid.shape != self.grid.shape_hw or self.valid.dtype != np.bool_:
            raise GridError(f"valid must be bool {self.grid.shape_hw}, got {self.valid.dtype} {self.valid.shape}")
        if len(self.band_names) != self.data.shape[0]:
            raise GridError(f"{self.data.shape[0]} bands but {len(self.band_names)} band names: {self.band_names}")
