"""Areas on the CRS's own ellipsoid, in float64 square metres, whatever the CRS.

Corners are projected to the ellipsoid's equal-area cylinder, where the area
between meridians and parallels is exact: Snyder (1987), Map Projections - A
Working Manual, USGS Professional Paper 1395, equation 3-12,
https://doi.org/10.3133/pp1395. Web Mercator and UTM therefore give the same
area as a geographic grid of the same ground. Polygons are measured on the same
cylinder, their edges as the straight lines of their own CRS.
"""

import math
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path

import geopandas as gpd
import numpy as np
import pyproj
import shapely
from numpy.typing import NDArray

from src.constants import AREA_UNITS_M2, NODATA_CLASS
from src.errors import GridError, InputError
from src.geo.blocks import Block, Runner, blocks_of
from src.geo.grid import Grid
from src.geo.raster import read_grid, read_raster

_Floats = NDArray[np.float64]
# The areal scale is measured every 500 m, at no more than this many points along a side, and interpolated linearly
# between them: below 1e-7 of the area for a 110 km tile, 2e-5 for a continent.
_NODES, _NODE_STEP_M = 256, 500.0
# Rows that class_areas_m2 holds at a time.
_STRIP_ROWS = 1024
# Polygon edges are cut to this length before they are measured, and again in four.
_EDGE_M, _EDGE_PARTS = 50_000.0, 4
# Polygons measured at a time.
_POLYGONS = 10_000
# Transverse Mercator eastings with a zone prefix: zone * 1e6 + 500 km. Prefixes of the CGCS2000 zones, and EPSG codes
# of the first zone with and without prefix (https://epsg.org): 6 degrees wide, then 3 degrees.
_PREFIX, _FALSE_EASTING = 1e6, 500_000.0
_CGCS_ZONES = ((range(13, 24), 4491, 4502), (range(25, 46), 4513, 4534))
# How far from the CRS's own area (degrees) coordinates may lie: further is suspicious, then impossible.
_NEAR_DEG, _FAR_DEG = 1.0, 6.0
_DEGREE_M = math.pi / 180.0 * 6_371_007.0


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
    steps = _NODE_STEP_M / np.maximum(_pixel_sides_m(crs, grid), 1e-9)
    rows, cols = _nodes(height, steps[1]), _nodes(width, steps[0])
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


def block_areas_m2(grid: Grid, block: Block) -> _Floats:
    """Ground area of the pixels of one block, broadcastable to (h, w); see ``pixel_areas_m2``."""
    return pixel_areas_m2(grid.window(*block.window))


def map_class_areas_m2(path: Path, runner: Runner, band: int = 0) -> dict[int, float]:
    """Ground area of each class of a class raster, block by block.

    Args:
        path: raster of whole numbers with a CRS.
        runner: threads or a cluster; the result does not depend on which.
        band: zero-based.

    Returns:
        Square metres by code in ascending order; pixels without data count as code 0.

    Raises:
        GridError: the raster has no CRS.
        InputError: its pixels are no whole numbers.
    """
    grid, _ = read_grid(path)
    _require_crs(grid)
    totals: dict[int, float] = {}
    for part in runner.map(partial(_block_class_areas, path, grid, band), blocks_of(grid.shape_hw)):
        for code, area in part.items():
            totals[code] = totals.get(code, 0.0) + area
    return dict(sorted(totals.items()))


def polygon_areas_m2(features: gpd.GeoSeries | gpd.GeoDataFrame) -> _Floats:
    """Ground area of polygons, holes taken off whichever way their rings wind.

    Edges are straight in the CRS of the features. Each is cut in two and in
    four, and the two areas are extrapolated (Richardson) to edges that follow
    their true course on the ground.

    Args:
        features: polygons or multipolygons with a CRS, none reaching over half the Earth's girth.

    Returns:
        (n,) square metres, 0 for an empty geometry.

    Raises:
        GridError: no CRS, or coordinates where it is not defined.
        InputError: a geometry that is no valid polygon; its position is named.
    """
    crs = features.crs
    if crs is None or crs.geodetic_crs is None:
        raise GridError("areas need to know where the polygons lie, but these have no CRS tied to the Earth")
    shapes = features.geometry.to_numpy()
    kinds = shapely.get_type_id(shapes)
    bad = ~np.isin(kinds, (shapely.GeometryType.POLYGON, shapely.GeometryType.MULTIPOLYGON)) | ~shapely.is_valid(shapes)
    if bad.any():
        first = int(np.flatnonzero(bad)[0])
        raise InputError(
            f"{int(bad.sum())} of {len(bad)} geometries have no area; the first, number {first}, "
            f"is no polygon or is invalid: {shapely.is_valid_reason(shapes[first])}"
        )
    to_cylinder, factor = _equal_area_cylinder(crs)
    whole = np.zeros(len(shapes))
    for start in range(0, len(shapes), _POLYGONS):
        cut = shapely.segmentize(shapes[start : start + _POLYGONS], _EDGE_M / _unit_m(crs))
        parts, polygon = shapely.get_parts(cut, return_index=True)
        rings, part = shapely.get_rings(parts, return_index=True)
        if len(rings) == 0:
            continue
        # The first ring of a part is its outline, the others are holes.
        sign = np.where(np.diff(part, prepend=-1) != 0, 1.0, -1.0)
        areas = np.bincount(polygon[part], sign * _ring_areas(rings, to_cylinder), minlength=len(cut))
        whole[start : start + _POLYGONS] = factor * areas
    if not np.isfinite(whole).all():
        raise GridError(f"part of the polygons lies outside the area where {crs.name} is defined")
    return whole


def check_coordinates(
    crs: pyproj.CRS | None, bounds: tuple[float, float, float, float], name: str = "the data"
) -> None:
    """Refuse coordinates that cannot belong to their CRS; warn where they lie beside its area.

    A wrong choice among CRS whose coordinates look alike (3-degree zones without prefix) cannot be seen from here.

    Args:
        crs: as stated by the file or the user.
        bounds: left, bottom, right, top in its units.
        name: what to call the data in the message.

    Raises:
        GridError: no CRS, numbers that are not finite, degrees in place of metres or the reverse, a zone prefix that
            the CRS does not have or has otherwise, or a place far from where the CRS is used.
    """
    if crs is None:
        raise GridError(f"{name}: has no CRS; state it")
    left, bottom, right, top = bounds
    extent = f"x {left:.10g} to {right:.10g}, y {bottom:.10g} to {top:.10g}"
    if not np.isfinite(bounds).all():
        raise GridError(f"{name}: {extent} are no coordinates")
    looks_like_degrees = max(abs(left), abs(right)) <= 360 and max(abs(bottom), abs(top)) <= 90
    if crs.is_geographic:
        turn = 2 * math.pi / crs.axis_info[0].unit_conversion_factor
        if max(abs(left), abs(right)) > turn or max(abs(bottom), abs(top)) > turn / 4 * 1.01:
            raise GridError(f"{name}: {extent} are no longitudes and latitudes; the CRS is not {crs.name}, state it")
        return
    if looks_like_degrees:
        raise GridError(f"{name}: {extent} look like degrees, but {crs.name} counts {crs.axis_info[0].unit_name}s")
    _check_zone_prefix(crs, (left + right) / 2, f"{name}: {extent}")
    _check_place(crs, ((left + right) / 2, (bottom + top) / 2), f"{name}: {extent}")


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


def _pixel_sides_m(crs: pyproj.CRS, grid: Grid) -> _Floats:
    """Length of a pixel along columns and rows in metres, about: as the map unit says, degrees as on a sphere."""
    unit_m = _unit_m(crs)
    a, b, _, d, e, _ = tuple(grid.transform)[:6]
    return unit_m * np.array([math.hypot(a, d), math.hypot(b, e)])


def _unit_m(crs: pyproj.CRS) -> float:
    """Metres in one unit of the CRS's coordinates, about."""
    factor = float(crs.axis_info[0].unit_conversion_factor)
    return math.degrees(factor) * _DEGREE_M if crs.is_geographic else factor


def _nodes(length: int, step: float) -> _Floats:
    """Pixel centres where the areal scale is measured: evenly spaced, no further apart than ``step`` if affordable."""
    return np.linspace(0.5, length - 0.5, min(length, _NODES + 1, 2 + math.ceil(length / step)))


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


def _block_class_areas(path: Path, grid: Grid, band: int, block: Block) -> dict[int, float]:
    raster = read_raster(path, window=block.window, bands=[band])
    if raster.data.dtype.kind not in "ui":
        raise InputError(f"{path}: holds {raster.data.dtype}, expected whole numbers, one per class")
    labels = np.where(raster.valid, raster.data[0], NODATA_CLASS)
    return class_areas_m2(labels, grid.window(*block.window))


def _ring_areas(rings: np.ndarray, to_cylinder: Callable[[_Floats, _Floats], tuple[_Floats, _Floats]]) -> _Floats:
    """Area inside each ring on the cylinder, not signed."""
    xy, ring = shapely.get_coordinates(rings, return_index=True)
    starts = np.flatnonzero(ring[:-1] == ring[1:])
    along = np.arange(_EDGE_PARTS + 1) / _EDGE_PARTS
    points = xy[starts, :, None] + (xy[starts + 1] - xy[starts])[:, :, None] * along
    longitude, height = to_cylinder(points[:, 0], points[:, 1])
    owner = ring[starts]
    first = np.searchsorted(owner, np.arange(len(rings)))[owner]
    # Counted from the ring's first corner: small numbers keep their digits, and the antimeridian is crossed.
    with np.errstate(invalid="ignore"):
        east = np.remainder(longitude - longitude[first, :1] + math.pi, 2 * math.pi) - math.pi
    north = height - height[first, :1]
    fine, coarse = (
        np.abs(np.bincount(owner, _cross(east[:, ::step], north[:, ::step]), minlength=len(rings))) for step in (1, 2)
    )
    # The error of a chord falls with the square of its length.
    return 0.5 * (4.0 * fine - coarse) / 3.0


def _cross(x: _Floats, y: _Floats) -> _Floats:
    """Sum of the shoelace terms along each edge's points, (edges, points) to (edges,)."""
    return (x[:, :-1] * y[:, 1:] - x[:, 1:] * y[:, :-1]).sum(1)


def _check_zone_prefix(crs: pyproj.CRS, middle: float, what: str) -> None:
    operation = crs.coordinate_operation
    if operation is None or operation.method_name != "Transverse Mercator":
        return
    false_easting = next(float(parameter.value) for parameter in operation.params if parameter.name == "False easting")
    own, remainder = divmod(false_easting, _PREFIX)
    found = middle // _PREFIX
    if remainder != _FALSE_EASTING or found == own:
        return
    advice = "state the CRS that the data were made in"
    for prefixes, with_prefix, without in _CGCS_ZONES:
        if found == 0 and own in prefixes:
            advice = f"eastings of six digits belong to EPSG:{without + int(own) - prefixes[0]}"
        elif found in prefixes:
            advice = f"zone prefix {found:.0f} belongs to EPSG:{with_prefix + int(found) - prefixes[0]}"
    expected = f"eastings with the zone prefix {own:.0f}" if own else "eastings of six digits, without zone prefix"
    raise GridError(f"{what}: {crs.name} has {expected}; {advice}")


def _check_place(crs: pyproj.CRS, middle_xy: tuple[float, float], what: str) -> None:
    area = crs.area_of_use
    to_degrees = pyproj.Transformer.from_crs(crs, 4326, always_xy=True)
    longitude, latitude = to_degrees.transform(*middle_xy)
    if not (math.isfinite(longitude) and math.isfinite(latitude)):
        raise GridError(f"{what}: lie outside the area where {crs.name} is defined; state another CRS")
    if area is None:
        return
    width = (area.east - area.west) % 360 or 360.0
    beside = abs((longitude - area.west - width / 2 + 180) % 360 - 180) - width / 2
    away = max(beside, area.south - latitude, latitude - area.north)
    place = f"{what}: lie at {longitude:.2f} E, {latitude:.2f} N, {away:.1f} degrees outside the area of {crs.name}"
    if away > _FAR_DEG:
        raise GridError(f"{place}; state another CRS")
    if away > _NEAR_DEG:
        warnings.warn(f"{place}; is the CRS right?", stacklevel=3)
