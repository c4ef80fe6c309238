"""Whether a raster's grid is one that can be measured on."""

import numpy as np
import pyproj

from src.errors import GridError
from src.geo.areas import pixel_areas_m2
from src.geo.grid import Grid

# Sides of a pixel, metres, that imagery of the ground can have.
_PIXEL_M = (0.3, 10_000.0)


def check_grid(grid: Grid, name: str) -> float:
    """Pixel side in metres of a grid that can be measured on.

    Args:
        grid: of a raster.
        name: for messages.

    Returns:
        In a projected CRS its own pixel, in a geographic one the square root of the central pixel's area.

    Raises:
        GridError: no CRS, a rotated grid, or coordinates that do not fit the CRS.
    """
    if grid.crs is None:
        raise GridError(f"{name}: has no CRS or no position, so nothing can be measured; georeference it first")
    transform = grid.transform
    if abs(transform.b) > 1e-9 * abs(transform.a) or abs(transform.d) > 1e-9 * abs(transform.e):
        raise GridError(f"{name}: its grid is rotated; warp it to north-up first (gdalwarp)")
    _check_on_earth(grid, name)
    if grid.crs.is_geographic:
        height, width = grid.shape_hw
        side = float(np.sqrt(pixel_areas_m2(grid.window(height // 2, width // 2, 1, 1))[0, 0]))
    else:
        metres = grid.crs.axis_info[0].unit_conversion_factor
        side = float(np.sqrt(abs(transform.a * transform.e))) * metres
    if not _PIXEL_M[0] <= side <= _PIXEL_M[1]:
        raise GridError(
            f"{name}: a pixel of {side:.3g} m in {grid.crs.name} lies outside {_PIXEL_M[0]} to {_PIXEL_M[1]:g} m; "
            "is its CRS the right one?"
        )
    return side


def _check_on_earth(grid: Grid, name: str) -> None:
    assert grid.crs is not None
    xs, ys = zip(*grid.corners_xy(), strict=True)
    to_lonlat = pyproj.Transformer.from_crs(grid.crs, grid.crs.geodetic_crs, always_xy=True)
    lon, lat = to_lonlat.transform(np.array(xs), np.array(ys))
    back = to_lonlat.transform(lon, lat, direction="INVERSE")
    fits = np.isfinite([lon, lat]).all() and bool(np.abs(lat).max() <= 90.001 and np.abs(lon).max() <= 360.001)
    # Far from its meridian a projection does not come back to where it started.
    if not fits or not np.allclose(back, [xs, ys], rtol=1e-6, atol=1.0):
        raise GridError(
            f"{name}: its corners (x {min(xs):.6g} to {max(xs):.6g}, y {min(ys):.6g} to {max(ys):.6g}) "
            f"lie nowhere on earth in {grid.crs.name}; is its CRS the right one?"
        )
