"""Where a map lies on the ground: lengths, true north, degree marks, windows around a place.

Places are (column, row) in pixels counted from the upper left pixel edge.
Lengths are measured on the CRS's own ellipsoid, so they hold for geographic,
Mercator, UTM and rotated grids alike. No drawing here: see ``src.geo.maps.layout``.
"""

import math

import geopandas as gpd
import numpy as np
import pyproj
import shapely
from affine import Affine
from numpy.typing import NDArray

from src.errors import GridError
from src.geo.grid import Grid

# Steps of the degree marks, in seconds of arc.
_STEPS_S = (1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 900, 1200, 1800, 3600, 7200, 18000, 36000, 108000)


def ground_size_m(grid: Grid, col_row: tuple[float, float] | None = None) -> tuple[float, float]:
    """Ground length of a pixel along its row and along its column, on the CRS's own ellipsoid.

    Args:
        grid: with a CRS.
        col_row: place, counted from pixel edges; default the centre.

    Returns:
        Metres (along the row, along the column).

    Raises:
        GridError: the grid has no CRS, or the place is where the CRS is undefined.
    """
    height, width = grid.shape_hw
    col, row = col_row or (width / 2, height / 2)
    ends = [(col - 0.5, row), (col + 0.5, row), (col, row - 0.5), (col, row + 0.5)]
    lon, lat = lonlat_of(grid, np.array(ends))
    geod = _crs_of(grid).get_geod()
    assert geod is not None
    _, _, lengths = geod.inv(lon[::2], lat[::2], lon[1::2], lat[1::2])
    if not np.isfinite(lengths).all():
        raise GridError(f"the map reaches outside the area where {_crs_of(grid).name} is defined")
    return float(lengths[0]), float(lengths[1])


def north_direction(grid: Grid) -> tuple[float, float]:
    """Unit vector (right, up) of true north at the centre of the map as it is drawn.

    On a UTM grid it leans by the meridian convergence, on a rotated grid by its rotation.
    """
    height, width = grid.shape_hw
    across_m, down_m = ground_size_m(grid)
    lon, lat = lonlat_of(grid, np.array([(width / 2, height / 2)]))
    # A step of the size of a pixel stays inside any CRS, short of the pole itself.
    step = down_m / 111_320 * (1 if lat[0] < 89 else -1)
    back = pyproj.Transformer.from_crs(_geodetic(grid), _crs_of(grid), always_xy=True)
    x, y = back.transform(lon[0], lat[0] + step)
    col, row = ~grid.transform @ (x, y)
    right, up = (col - width / 2) * across_m, (height / 2 - row) * down_m
    sign = math.copysign(1.0, step)
    length = math.hypot(right, up)
    return sign * right / length, sign * up / length


def nice_length_m(longest_m: float) -> float:
    """The longest of 1, 2 and 5 times a power of ten that is no longer than this."""
    power = 10.0 ** math.floor(math.log10(longest_m))
    return max(factor * power for factor in (1, 2, 5) if factor * power <= longest_m * (1 + 1e-9))


def format_length(metres: float) -> str:
    """A length of a scale bar: "500 m", "2 km"."""
    return f"{metres / 1000:g} km" if metres >= 1000 else f"{metres:g} m"


def lonlat_of(grid: Grid, col_row: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Longitudes and latitudes in degrees, in the CRS's own datum, of (n, 2) places counted from pixel edges."""
    a, b, c, d, e, f = tuple(grid.transform)[:6]
    col, row = col_row[:, 0], col_row[:, 1]
    to_lonlat = pyproj.Transformer.from_crs(_crs_of(grid), _geodetic(grid), always_xy=True)
    lon, lat = to_lonlat.transform(a * col + b * row + c, d * col + e * row + f)
    return np.asarray(lon), np.asarray(lat)


def to_pixels(features: gpd.GeoDataFrame, grid: Grid) -> NDArray[np.object_]:
    """Geometries in pixel coordinates (column, row) of the grid.

    Raises:
        GridError: features or grid lack a CRS.
    """
    if features.crs is None:
        raise GridError("outlines need a CRS to be drawn on a map")
    a, b, c, d, e, f = tuple(~grid.transform)[:6]
    shapes = features.geometry.to_crs(_crs_of(grid)).to_numpy()
    moved: NDArray[np.object_] = shapely.transform(
        shapes, lambda xy: np.column_stack([a * xy[:, 0] + b * xy[:, 1] + c, d * xy[:, 0] + e * xy[:, 1] + f])
    )
    return moved


def crs_name(grid: Grid) -> str:
    """Name of a grid's CRS with its EPSG number where it has one."""
    crs = _crs_of(grid)
    code = crs.to_epsg()
    return f"{crs.name} (EPSG:{code})" if code else crs.name


def chip_window(grid: Grid, centre: tuple[float, float], side_m: float, side_px: int) -> Grid:
    """A square piece of ground as a square picture, in the orientation of a grid.

    Args:
        grid: with a CRS; its pixels need not be square on the ground.
        centre: (column, row), counted from pixel edges; may lie near or beyond the edge.
        side_m: ground length of a side.
        side_px: pixels of a side of the picture.
    """
    across_m, down_m = ground_size_m(grid, centre)
    cols, rows = side_m / across_m, side_m / down_m
    move = Affine.translation(centre[0] - cols / 2, centre[1] - rows / 2)
    return Grid(grid.crs, grid.transform @ move @ Affine.scale(cols / side_px, rows / side_px), (side_px, side_px))


def scale_spread(grid: Grid) -> float:
    """Largest relative difference of a pixel's ground length between the map's centre and its corners."""
    height, width = grid.shape_hw
    centre = ground_size_m(grid)[0]
    corners = [(0.5, 0.5), (width - 0.5, 0.5), (width - 0.5, height - 0.5), (0.5, height - 0.5)]
    return max(abs(ground_size_m(grid, corner)[0] / centre - 1) for corner in corners)


def degree_marks(
    degrees: NDArray[np.float64], places: NDArray[np.float64], most: int, letters: str
) -> tuple[list[float], list[str]]:
    """Round values along an edge, for the frame of a map.

    Args:
        degrees: longitudes or latitudes at some places of the edge, rising or falling.
        places: where they are, in pixels.
        most: steps that the edge may be divided into.
        letters: "EW" or "NS".

    Returns:
        Places and names, such as 106°15′E; none where the edge turns back.
    """
    seconds = degrees * 3600
    if seconds[0] > seconds[-1]:
        seconds, places = seconds[::-1], places[::-1]
    span = seconds[-1] - seconds[0]
    step = next((step for step in _STEPS_S if span / step <= most), None)
    if step is None or (np.diff(seconds) <= 0).any():
        return [], []
    values = [value * step for value in range(math.ceil(seconds[0] / step), math.floor(seconds[-1] / step) + 1)]
    return [float(np.interp(value, seconds, places)) for value in values], [_dms(value, letters) for value in values]


def _dms(seconds: int, letters: str) -> str:
    """106°06′30″E; minutes and seconds that are zero at the end are left out."""
    degrees, rest = divmod(abs(seconds), 3600)
    minutes, rest = divmod(rest, 60)
    text = f"{degrees}°" + (f"{minutes:02d}′" if minutes or rest else "") + (f"{rest:02d}″" if rest else "")
    return text + letters[seconds < 0]


def _crs_of(grid: Grid) -> pyproj.CRS:
    if grid.crs is None or grid.crs.geodetic_crs is None:
        raise GridError("a map needs to know where its pixels lie, but this grid has no CRS tied to the Earth")
    return grid.crs


def _geodetic(grid: Grid) -> pyproj.CRS:
    geodetic = _crs_of(grid).geodetic_crs
    assert geodetic is not None
    return geodetic
