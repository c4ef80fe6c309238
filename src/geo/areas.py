"""Areas on the CRS's own ellipsoid, in float64 square metres, whatever the CRS.

Corners are projected to the ellipsoid's equal-area cylinder, where the area
between meridians and parallels is exact: Snyder (1987), Map Projections - A
Working Manual, USGS Professional Paper 1395, equation 3-12,
https://doi.org/10.3133/pp1395. Web Mercator and UTM therefore give the same
area as a geographic grid of the same ground.
"""

import math
from collections.abc import Callable

import numpy as np
import pyproj
from numpy.typing import NDArray

from src.constants import AREA_UNITS_M2
from src.errors import GridError, InputError
from src.geo.grid import Grid

_Floats = NDArray[np.float64]
# The areal scale is measured at this many points along the longer side and interpolated linearly between them:
# below 1e-7 of the area for a 110 km tile, 2e-5 for a continent.
_NODES = 256
# Rows that class_areas_m2 holds at a time.
_STRIP_ROWS = 1024


def pixel_areas_m2(grid: Grid) -> _Floats:
    """Ground area of every pixel.

    A pixel is the quadrangle between its corners on the equal-area cylinder.

    Args:
        grid: any CRS with an ellipsoid; geographic, projected, rotated.

    Returns:
        Square metres, broadcastable to (H, W): (H, 1) for a north-up
        geographic grid, whose pixels differ by row only, else (H, W).

    Raises:
        GridError: the grid has no CRS, or reaches where its CRS is undefined.
    """
    crs = _require_crs(grid)
    height, width = grid.shape_hw
    transform = grid.transform
    if crs.is_geographic and transform.b == 0 and transform.d == 0:
        to_cylinder, factor = _equal_area_cylinder(crs)
        edges = transform.f + transform.e * np.arange(height + 1, dtype=np.float64)
        # Latitudes beyond the poles, as in global grids with a half-pixel overhang, enclose no ground.
        longitudes, heights = to_cylinder(np.full(height + 1, transform.a), edges)
        return (factor * np.abs(longitudes[0] * np.diff(heights)))[:, np.newaxis]
    rows, cols = _nodes(height), _nodes(width)
    return _interpolate(_node_areas(grid, crs, rows, cols), rows, cols, (height, width))


def class_areas_m2(labels: np.ndarray, grid: Grid) -> dict[int, float]:
    """Ground area of each class.

    Args:
        labels: (H, W) integer class codes on the grid.
        grid: where the labels lie.

    Returns:
        Square metres by code, for the codes that occur (nodata code 0 included), in ascending order.

    Raises:
        GridError: shapes differ, or the grid has no CRS.
    """
    if labels.shape != grid.shape_hw:
        raise GridError(f"labels of shape {labels.shape} do not lie on a grid of {grid.shape_hw} pixels")
    totals: dict[int, float] = {}
    for row in range(0, labels.shape[0], _STRIP_ROWS):
        strip = labels[row : row + _STRIP_ROWS]
        areas = np.broadcast_to(pixel_areas_m2(grid.window(row, 0, *strip.shape)), strip.shape)
        codes, inverse = np.unique(strip, return_inverse=True)
        for code, total in zip(codes, np.bincount(inverse.ravel(), weights=areas.ravel()), strict=True):
            totals[int(code)] = totals.get(int(code), 0.0) + float(total)
    return dict(sorted(totals.items()))


def convert_area(value_m2: float, unit: str) -> float:
    """Square metres to "m2", "mu", "ha" or "km2"; 1 mu is 2000/3 m2 exactly.

    Raises:
        InputError: the unit is unknown.
    """
    if unit not in AREA_UNITS_M2:
        raise InputError(f"unknown area unit {unit!r}; expected one of {', '.join(AREA_UNITS_M2)}")
    return value_m2 / AREA_UNITS_M2[unit]


def _require_crs(grid: Grid) -> pyproj.CRS:
    if grid.crs is None or grid.crs.geodetic_crs is None:
        raise GridError("areas need to know where the pixels lie, but this grid has no CRS tied to the Earth")
    return grid.crs


def _equal_area_cylinder(crs: pyproj.CRS) -> tuple[Callable[[_Floats, _Floats], tuple[_Floats, _Floats]], float]:
    """A function from CRS coordinates to (longitude in radians, q/2), and the m2 per unit of that plane."""
    geodetic = crs.geodetic_crs
    assert geodetic is not None and geodetic.ellipsoid is not None
    radians = geodetic.axis_info[0].unit_conversion_factor
    ellipsoid = geodetic.ellipsoid
    e2 = 1.0 - (ellipsoid.semi_minor_metre / ellipsoid.semi_major_metre) ** 2
    to_geodetic = None if crs.is_geographic else pyproj.Transformer.from_crs(crs, geodetic, always_xy=True)

    def to_cylinder(x: _Floats, y: _Floats) -> tuple[_Floats, _Floats]:
        longitude, latitude = (x, y) if to_geodetic is None else to_geodetic.transform(x, y)
        return longitude * radians, _half_q(np.clip(latitude * radians, -math.pi / 2, math.pi / 2), e2)

    return to_cylinder, ellipsoid.semi_major_metre**2


def _half_q(latitude: _Floats, e2: float) -> _Floats:
    """Half of Snyder's q: the area from the equator, in squared semi-major axes per radian of longitude."""
    sine = np.sin(latitude)
    if e2 == 0.0:
        return sine
    e = math.sqrt(e2)
    return 0.5 * (1.0 - e2) * (sine / (1.0 - e2 * sine**2) + np.arctanh(e * sine) / e)


def _nodes(length: int) -> _Floats:
    """Pixel centres where the areal scale is measured: all of a short side, evenly spaced on a long one."""
    return np.linspace(0.5, length - 0.5, min(length, _NODES + 1))


def _node_areas(grid: Grid, crs: pyproj.CRS, rows: _Floats, cols: _Floats) -> _Floats:
    """Area of the pixel around each node, (len(rows), len(cols)), from its four corners by the shoelace formula."""
    to_cylinder, factor = _equal_area_cylinder(crs)
    row, col = np.meshgrid(rows, cols, indexing="ij")
    corners = []
    a, b, c, d, e, f = tuple(grid.transform)[:6]
    for down, right in ((-0.5, -0.5), (-0.5, 0.5), (0.5, 0.5), (0.5, -0.5)):
        x, y = col + right, row + down
        corners.append(to_cylinder(a * x + b * y + c, d * x + e * y + f))
    if not all(np.isfinite(part).all() for corner in corners for part in corner):
        raise GridError(f"part of the grid lies outside the area where {crs.name} is defined")
    (l0, q0), (l1, q1), (l2, q2), (l3, q3) = corners
    # A pixel may straddle the antimeridian: longitudes count from the first corner, the short way round.
    d1, d2, d3 = (np.remainder(other - l0 + math.pi, 2 * math.pi) - math.pi for other in (l1, l2, l3))
    return factor * 0.5 * np.abs(d2 * (q3 - q1) - (d3 - d1) * (q2 - q0))


def _interpolate(values: _Floats, rows: _Floats, cols: _Floats, shape_hw: tuple[int, int]) -> _Floats:
    """Bilinear interpolation of node values to all pixel centres."""
    height, width = shape_hw
    if values.shape == shape_hw:
        return values
    along_rows = np.stack([np.interp(np.arange(width) + 0.5, cols, line) for line in values])
    position = np.interp(np.arange(height) + 0.5, rows, np.arange(len(rows)))
    below = np.minimum(position.astype(np.intp), max(len(rows) - 2, 0))
    above = np.minimum(below + 1, len(rows) - 1)
    weight = (position - below)[:, np.newaxis]
    return along_rows[below] * (1.0 - weight) + along_rows[above] * weight
