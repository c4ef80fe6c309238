"""What lies inside a zone: areas of a raster's classes with partial pixels, and polygons that reach into it.

A pixel counts with the share of it that the zone covers (exactextract), times
its ground area. Everything is done in pixel coordinates (x = column, y = -row),
so rotated grids need no special case, block by block, so zones of any size fit
in memory. Zones of one layer are united first: ground that two outlines cover
counts once.
"""

import math
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import shapely
from exactextract import exact_extract
from exactextract.feature import JSONFeature, JSONFeatureSource
from exactextract.raster import NumPyRasterSource
from numpy.typing import NDArray
from scipy import ndimage
from shapely.geometry.base import BaseGeometry

from src.errors import GridError, InputError
from src.geo.areas import polygon_areas_m2
from src.geo.blocks import BLOCK_PX, Block, Runner, blocks_of
from src.geo.exact_areas import ExactAreas, exact_areas
from src.geo.grid import Grid
from src.geo.raster import read_grid, read_raster
from src.geo.scene import CLEAR
from src.geo.zones import EDGE_DEGREES, polygons_only

_Floats = NDArray[np.float64]
# A zone is cut to a block with this margin, so that its own outline, not the cut, is within a pixel of the block.
_MARGIN_PX = 2
_CODES = 256
# Zones are cut to cells of this side before they are laid over patches, so a long outline is not searched each time.
_OVERLAY_CELL_PX = 512
# Polygons that one thread overlays at a time.
_OVERLAY_CHUNK = 1000
# Shared ground smaller or narrower than this part of a pixel is rounding of coordinates.
_DECIMALS_PX = 6
_PRECISION_PX = 10.0**-_DECIMALS_PX


@dataclass(frozen=True)
class ZonePiece:
    """The part of a zone near one block, in pixel coordinates (x = column, y = -row); None is all of the block."""

    block: Block
    geometry: BaseGeometry | None


@dataclass(frozen=True)
class ZoneAreas:
    """Areas of one raster inside one zone.

    Args:
        zone_m2: ground area of the zone itself, on the ellipsoid.
        raster_m2: the part of it that the raster reaches.
        class_m2: area by code, partial pixels with their share; 0 is no data.
        inner_m2: the same for the ground over one pixel inside the boundary. A pixel counts with the least coverage
            among itself and the eight around it: exact where the boundary runs along rows or columns, a little too
            small where it runs obliquely.
        clear_share: share of ``raster_m2`` that the mask calls clear; None without a mask.
    """

    zone_m2: float
    raster_m2: float
    class_m2: dict[int, float]
    inner_m2: dict[int, float]
    clear_share: float | None

    @property
    def edge_m2(self) -> dict[int, float]:
        """Area by code near the boundary: what a boundary one pixel off could take away."""
        return {code: area - self.inner_m2.get(code, 0.0) for code, area in self.class_m2.items()}

    @property
    def caveats(self) -> tuple[str, ...]:
        """ZONE_EDGE_1PX where some class lies near the boundary."""
        return ("ZONE_EDGE_1PX",) if any(area > 0 for area in self.edge_m2.values()) else ()


def zone_areas(
    rasters: Mapping[str, Path],
    zone: gpd.GeoDataFrame,
    runner: Runner,
    *,
    mask: Path | None = None,
    block_px: int = BLOCK_PX,
) -> dict[str, ZoneAreas]:
    """Areas of each class of some rasters inside a zone.

    Args:
        rasters: by any key; one band of uint8 codes each, all on one grid, such as land cover of two dates and change.
        zone: from ``read_zone``, as many features as there are; they are united.
        runner: threads or a cluster.
        mask: quality mask on the same grid (``scene.MASK_CODES``), for the share seen clearly.
        block_px: side of a block.

    Returns:
        One entry per raster. Sums over codes equal ``raster_m2`` exactly, for any runner and block size, up to the
        single precision in which coverage is measured.

    Raises:
        GridError: the rasters do not share a grid, or the zone lies outside it.
        InputError: a raster's codes are not uint8.
    """
    grid = common_grid([*rasters.values(), *([mask] if mask else [])])
    pieces = zone_pieces(zone, grid, block_px)
    measure = partial(_measure_piece, paths=tuple(rasters.values()), mask=mask, areas=exact_areas(grid))
    # Rows: rasters, then the mask; columns: all of the zone, its inner part; then codes.
    totals = np.zeros((len(rasters) + 1, 2, _CODES))
    for part in runner.map(measure, pieces):
        totals += part
    zone_m2 = float(polygon_areas_m2(gpd.GeoSeries([in_crs(in_pixels(zone, grid), grid)], crs=grid.crs))[0])
    result = {}
    for key, (whole, inner) in zip(rasters, totals, strict=False):
        reached = float(whole.sum())
        clear = float(totals[-1, 0, CLEAR]) / reached if mask and reached else None
        codes = np.flatnonzero(whole).tolist()
        result[key] = ZoneAreas(
            zone_m2, reached, {c: float(whole[c]) for c in codes}, {c: float(inner[c]) for c in codes}, clear
        )
    return result


def zone_pieces(zone: gpd.GeoDataFrame, grid: Grid, block_px: int = BLOCK_PX) -> list[ZonePiece]:
    """A zone cut into what each block needs, in the order of the blocks.

    Blocks that it misses are left out; the others are cut to the rows and columns that it reaches.

    Raises:
        GridError: a CRS is missing, or the zone lies outside the grid.
    """
    cut = _cut(in_pixels(zone, grid), grid.shape_hw, block_px, _MARGIN_PX)
    found = [
        ZonePiece(_reached(shape, block), shape) for block, shape in cut if _shares_ground(shape, _frame(block, 0))
    ]
    if not found:
        raise GridError(f"the zone lies outside the raster, whose corners are {grid.corners_xy()} in its CRS")
    return found


def coverage(geometry: BaseGeometry | None, block: Block) -> _Floats:
    """(h, w) share of each pixel of the block that a geometry in pixel coordinates covers, 0..1 (single precision)."""
    frame = _frame(block, 0)
    if geometry is None or geometry.area >= frame.area and geometry.contains(frame):
        return np.ones((block.height, block.width))
    share = np.zeros(block.height * block.width)
    if not geometry.intersects(frame):
        return share.reshape(block.height, block.width)
    cells = NumPyRasterSource(np.zeros((block.height, block.width), np.uint8), *frame.bounds)
    found = exact_extract(cells, _OneFeature(geometry), ["cell_id", "coverage"])[0]["properties"]
    share[found["cell_id"]] = found["coverage"]
    return share.reshape(block.height, block.width)


def in_pixels(features: gpd.GeoDataFrame, grid: Grid) -> BaseGeometry:
    """The union of polygons in a grid's pixel coordinates (x = column, y = -row).

    Raises:
        GridError: a CRS is missing, or the polygons reach where the grid's CRS is undefined.
    """
    # Parcels that touch nothing are not searched for overlaps: ten times as fast as a plain union.
    return shapely.disjoint_subset_union_all(_each_in_pixels(features, grid))


def _each_in_pixels(features: gpd.GeoDataFrame, grid: Grid) -> NDArray[np.object_]:
    """(n,) valid polygons in pixel coordinates; errors as of ``in_pixels``."""
    if grid.crs is None or features.crs is None:
        raise GridError("zone and raster both need a CRS to be laid over each other")
    shapes = features.geometry
    if features.crs.is_geographic and not grid.crs.is_geographic:
        shapes = shapes.segmentize(EDGE_DEGREES)
    t = ~grid.transform
    pixels = shapes.to_crs(grid.crs).affine_transform([t.a, t.b, -t.d, -t.e, t.c, -t.f])
    if not np.isfinite(pixels.total_bounds).all():
        raise GridError(f"the zone reaches where {grid.crs.name} is not defined")
    # Outlines drawn along pixel edges come back from projecting a billionth beside them; they belong on them.
    outlines = shapely.transform(pixels.to_numpy(), lambda xy: np.round(xy, _DECIMALS_PX))
    # Rounding of the new coordinates can make an outline touch itself.
    broken = ~shapely.is_valid(outlines)
    outlines[broken] = shapely.make_valid(outlines[broken], method="structure", keep_collapsed=False)
    return outlines


def common_grid(paths: list[Path]) -> Grid:
    """The grid that rasters share.

    Raises:
        GridError: one of them lies on another grid.
    """
    grid, _ = read_grid(paths[0])
    for path in paths[1:]:
        if not read_grid(path)[0].same_as(grid):
            raise GridError(f"{path} is not on the grid of {paths[0]}; warp one onto the other first")
    return grid


def read_codes(path: Path, block: Block) -> NDArray[np.uint8]:
    """(h, w) codes of a raster's first band in a block.

    Raises:
        InputError: they are not uint8.
    """
    codes = read_raster(path, window=block.window, bands=[0]).data[0]
    if codes.dtype != np.uint8:
        raise InputError(f"{path}: holds {codes.dtype}, expected class codes as uint8")
    return codes


@dataclass(frozen=True, eq=False)
class Overlay:
    """How polygons meet the zones of one layer.

    Args:
        area_m2: (n,) area on the ellipsoid of each polygon inside the layer.
        thin: (n,) True where all of the overlap is under one pixel wide: the boundary's own error could make it.
        main: (n,) row in the layer of the zone that takes most of the polygon, -1 for none.
    """

    area_m2: _Floats
    thin: NDArray[np.bool_]
    main: NDArray[np.intp]


def overlay_polygons(
    polygons: NDArray[np.object_], zones: gpd.GeoDataFrame, grid: Grid, *, main: bool = True
) -> Overlay:
    """Overlay areas of many polygons, such as change patches, with a zone layer.

    Args:
        polygons: (n,) in the grid's pixel coordinates (x = column, y = -row).
        zones: from ``read_zone``.
        grid: whose pixels these are.
        main: whether the zone that takes most is looked for; else -1 everywhere.

    Returns:
        Areas of the union of the zones inside each polygon, so overlapping outlines count once.
    """
    cells = [shape for _, shape in _cut(in_pixels(zones, grid), grid.shape_hw, _OVERLAY_CELL_PX, 0)]
    others = shapely.get_parts(np.array(cells, dtype=object))
    shapely.prepare(others)
    # Part by part: against a zone of many parts, each polygon would cost as much as all of its outlines.
    parts, rows = shapely.get_parts(_each_in_pixels(zones, grid), return_index=True) if main else ((), ())
    chunks = np.array_split(polygons, max(1, len(polygons) // _OVERLAY_CHUNK))
    # The geometry library releases the interpreter lock.
    with ThreadPoolExecutor() as pool:
        areas, thin = zip(*pool.map(lambda chunk: _overlap(chunk, others, grid), chunks), strict=True)
        mains = list(pool.map(lambda chunk: _main_zones(chunk, np.asarray(parts), np.asarray(rows)), chunks))
    area = np.concatenate(areas)
    return Overlay(area, np.concatenate(thin), np.where(area > 0, np.concatenate(mains), -1))


def _overlap(
    polygons: NDArray[np.object_], others: NDArray[np.object_], grid: Grid
) -> tuple[_Floats, NDArray[np.bool_]]:
    """Area of each polygon inside the others, which do not overlap, and whether it is thin there."""
    count = len(polygons)
    area, thin = np.zeros(count), np.zeros(count, np.bool_)
    owner, pieces = _intersections(polygons, others)
    hit, start = np.unique(owner, return_index=True)
    if not len(hit):
        return area, thin
    united = pieces[start]
    groups = np.split(pieces, start[1:])
    for index in np.flatnonzero(np.diff(np.append(start, len(pieces))) > 1):
        united[index] = shapely.union_all(groups[index])
    united = shapely.set_precision(united, _PRECISION_PX)
    whole = np.array([polygons_only(shape) for shape in united], dtype=object)
    area[hit] = polygon_areas_m2(gpd.GeoSeries(in_crs(whole, grid), crs=grid.crs))
    # A patch of one pixel's width is exactly 1 wide, which is not under one pixel.
    thin[hit] = shapely.is_empty(shapely.buffer(whole, -0.499)) & (area[hit] > 0)
    return area, thin


def in_crs(shapes: Any, grid: Grid) -> Any:
    """Geometry, or an array of them, from pixel coordinates (x = column, y = -row) to the grid's CRS."""
    t = grid.transform

    def place(xy: _Floats) -> _Floats:
        return np.column_stack([t.a * xy[:, 0] - t.b * xy[:, 1] + t.c, t.d * xy[:, 0] - t.e * xy[:, 1] + t.f])

    return shapely.transform(shapes, place)


def _intersections(
    polygons: NDArray[np.object_], others: NDArray[np.object_]
) -> tuple[NDArray[np.intp], NDArray[np.object_]]:
    """Index of the polygon and the shared ground of every pair that shares some, in the order of the polygons."""
    owner, other = shapely.STRtree(others).query(polygons, predicate="intersects")
    order = np.lexsort((other, owner))
    owner, other = owner[order], other[order]
    shared = polygons[owner]
    cut = ~shapely.covers(others[other], shared)
    shared[cut] = shapely.intersection(shared[cut], others[other[cut]])
    some = shapely.area(shared) > _PRECISION_PX
    return owner[some], shared[some]


def _main_zones(polygons: NDArray[np.object_], parts: NDArray[np.object_], rows: NDArray[np.intp]) -> NDArray[np.intp]:
    """Row of the zone that covers most of each polygon, the first of equals, -1 for none.

    Args:
        polygons: (n,).
        parts: (m,) polygons of the zones.
        rows: (m,) zone of each part.
    """
    main = np.full(len(polygons), -1, np.intp)
    if not len(parts):
        return main
    owner, part = shapely.STRtree(parts).query(polygons, predicate="intersects")
    size = int(rows.max()) + 1
    pairs, which = np.unique(owner * size + rows[part], return_inverse=True)
    shared = np.bincount(which, shapely.area(shapely.intersection(polygons[owner], parts[part])))
    owner, row = np.divmod(pairs, size)
    order = np.lexsort((row, -shared, owner))
    hit, first = np.unique(owner[order], return_index=True)
    main[hit] = row[order][first]
    return main


class _BinaryFeature(JSONFeature):
    """A geometry handed over as well-known binary: three times as fast as by way of GeoJSON."""

    def __init__(self, geometry: BaseGeometry) -> None:
        super().__init__()
        self.wkb = shapely.to_wkb(geometry)

    def geometry(self) -> bytes:
        return self.wkb


class _OneFeature(JSONFeatureSource):
    """A source of one geometry."""

    def __init__(self, geometry: BaseGeometry) -> None:
        super().__init__([])
        self.geometry = geometry

    def count(self) -> int:
        return 1

    def __iter__(self) -> Iterator[_BinaryFeature]:
        yield _BinaryFeature(self.geometry)


def _measure_piece(
    piece: ZonePiece, paths: tuple[Path, ...], mask: Path | None, areas: ExactAreas
) -> NDArray[np.float64]:
    """(rasters + mask, 2, codes) areas of one block: under the zone, and under its inner part."""
    ground = areas.block(piece.block)
    block = piece.block
    around = coverage(piece.geometry, Block(block.row - 1, block.col - 1, block.height + 2, block.width + 2))
    share = around[1:-1, 1:-1]
    inner = ndimage.minimum_filter(around, 3)[1:-1, 1:-1]
    weights = [areas.rounded(ground * part).ravel() for part in (share, inner)]
    totals = np.zeros((len(paths) + 1, 2, _CODES))
    for row, path in enumerate([*paths, mask]):
        if path is not None:
            codes = read_codes(path, piece.block).ravel()
            totals[row] = [np.bincount(codes, weight, _CODES) for weight in weights]
    return totals


def _shares_ground(one: BaseGeometry, other: BaseGeometry) -> bool:
    return bool(one.intersects(other) and not one.touches(other))


def _reached(shape: BaseGeometry, block: Block) -> Block:
    """The rows and columns of a block that a geometry reaches."""
    west, south, east, north = shape.bounds
    top, left = max(block.row, math.floor(-north)), max(block.col, math.floor(west))
    bottom, right = min(block.row + block.height, math.ceil(-south)), min(block.col + block.width, math.ceil(east))
    return Block(top, left, bottom - top, right - left)


def _cut(zone: BaseGeometry, shape_hw: tuple[int, int], side: int, margin: int) -> list[tuple[Block, BaseGeometry]]:
    """The zone's part in each block grown by a margin; first strips, then blocks, so a long outline is cut rarely."""
    pieces: list[tuple[Block, BaseGeometry]] = []
    parts, strip, strip_row = shapely.get_parts(zone), np.zeros(0, dtype=object), -1
    for block in blocks_of(shape_hw, side):
        if block.row != strip_row:
            strip = _clipped(parts, _frame(Block(block.row, 0, block.height, shape_hw[1]), margin))
            strip_row = block.row
        cut = _clipped(strip, _frame(block, margin))
        if len(cut):
            pieces.append((block, shapely.multipolygons(cut)))
    return pieces


def _clipped(parts: NDArray[np.object_], frame: BaseGeometry) -> NDArray[np.object_]:
    """Polygons inside a rectangle; only those that cross its sides are cut, so many small ones cost little."""
    left, bottom, right, top = frame.bounds
    west, south, east, north = shapely.bounds(parts).T
    near = (west < right) & (east > left) & (south < top) & (north > bottom)
    inside = (west >= left) & (east <= right) & (south >= bottom) & (north <= top)
    cut = [polygons_only(shape) for shape in shapely.intersection(parts[near & ~inside], frame)]
    return np.concatenate([parts[near & inside], shapely.get_parts(np.array(cut, dtype=object))])


def _frame(block: Block, margin: int) -> BaseGeometry:
    """Outline of a block and its margin in pixel coordinates."""
    left, top = block.col - margin, -(block.row - margin)
    return shapely.box(left, top - block.height - 2 * margin, left + block.width + 2 * margin, top)
