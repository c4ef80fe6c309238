"""Training pixels for land cover, from a county's own labels or from a reference product.

Own labels are parcels or other polygons (shrunk by a pixel, so that mixed edges
stay out), points, or a raster on any grid. A reference product such as WorldCover
is a raster too, but only pixels whose neighbourhood agrees are used. Of each class
at most N pixels are kept: those with the smallest hash of seed, row and column, so
the choice depends neither on blocks nor on threads. Which pixels changed since the
labels were made can be left out by a change raster.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import geopandas as gpd
import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray
from scipy import ndimage
from shapely.affinity import affine_transform

from src.constants import NODATA_CLASS
from src.errors import GridError, InputError
from src.geo.areas import pixel_areas_m2
from src.geo.blocks import Block, Runner, blocks_of
from src.geo.caveats import CannotTell
from src.geo.cover.validation import MIN_BLOCK_PX, spatial_groups
from src.geo.grid import Grid
from src.geo.legend import Crosswalk, to_canonical
from src.geo.raster import read_grid, read_onto
from src.geo.scene import Scene
from src.geo.vector import rasterize, read_vector

PER_CLASS = 2000
# Value of change.tif.
_CHANGED = 2
_LABELS, _REFERENCE = "labels", "reference"
# A label raster whose pixels are smaller than this share of ours is summarised by its most common class.
_FINER = 0.75
_HAIR_PX = 1e-6


@dataclass(frozen=True)
class LabelSource:
    """Where labels come from and what their codes mean.

    Args:
        path: raster or vector file.
        crosswalk: key of CROSSWALKS or a mapping of code to class id.
        date: ISO date (or year) that the labels describe; None if unknown.
        column: of a vector layer, the class codes (such as "DLBM").
        layer: of a vector file with several.
        reference: a reference product rather than the county's own labels.
    """

    path: Path
    crosswalk: str | Crosswalk
    date: str | None = None
    column: str | None = None
    layer: str | None = None
    reference: bool = False


@dataclass(frozen=True, eq=False)
class TrainingSamples:
    """Labelled pixels of one grid; their features are read later, scene by scene.

    Args:
        rows: (N,) int32.
        cols: (N,) int32.
        classes: (N,) uint8 ids of LAND_CLASSES.
        groups: (N,) int64, block of land (of a polygon: the block of its middle) that must not be split.
        weights: (N,) float64, labelled pixels of the class per kept pixel.
        shape_hw: of the grid.
        route: "labels" or "reference".
        source: file name of the labels.
        date: of the labels.
        dropped_features: polygons too narrow to keep a pixel after shrinking, and features outside the scene.

    Raises:
        InputError: the arrays differ in length, or a class is no land class.
    """

    rows: NDArray[np.int32]
    cols: NDArray[np.int32]
    classes: NDArray[np.uint8]
    groups: NDArray[np.int64]
    weights: NDArray[np.float64]
    shape_hw: tuple[int, int]
    route: str
    source: str
    date: str | None = None
    dropped_features: int = 0

    def __post_init__(self) -> None:
        lengths = {len(part) for part in (self.rows, self.cols, self.classes, self.groups, self.weights)}
        if len(lengths) != 1:
            raise InputError(f"training samples: arrays of different lengths {sorted(lengths)}")
        if len(self.classes) and (self.classes.min() < 1 or self.classes.max() > 7):
            raise InputError("training samples: class ids are 1 to 7")

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, which: NDArray[np.intp] | NDArray[np.bool_]) -> "TrainingSamples":
        """Some of the samples; weights stay as they are."""
        return replace(
            self,
            rows=self.rows[which],
            cols=self.cols[which],
            classes=self.classes[which],
            groups=self.groups[which],
            weights=self.weights[which],
        )


@dataclass(frozen=True)
class _Task:
    """What every block needs to know."""

    scene: Scene
    seed: int
    per_class: int
    exclude: Path | None
    side_px: int


@dataclass(frozen=True, eq=False)
class _Drawn:
    """Kept pixels of some blocks: key, row, column, class and group each (N,), and all labelled pixels by class."""

    table: NDArray[np.uint64]
    counts: NDArray[np.int64]


def draw_samples(
    scene: Scene,
    source: LabelSource,
    runner: Runner,
    *,
    seed: int,
    per_class: int = PER_CLASS,
    exclude: Path | None = None,
    block_side_px: int = MIN_BLOCK_PX,
) -> TrainingSamples:
    """Labelled, clearly seen pixels of a scene, balanced by class.

    Args:
        scene: gives grid and clear pixels.
        source: the labels.
        runner: works on the blocks.
        seed: decides which pixels of a large class are kept.
        per_class: most pixels of one class.
        exclude: change raster on any grid; its changed pixels (value 2) are left out.
        block_side_px: side of the blocks of land that belong together in validation.

    Raises:
        CannotTell: no labelled pixel lies in the scene's clear part.
        InputError: the file has no such column. LegendError: a code is unknown. GridError: no CRS.
    """
    grid = scene.grid
    task = _Task(scene, seed, per_class, exclude, block_side_px)
    blocks = blocks_of(grid.shape_hw)
    if source.column is None:
        read = partial(_raster_block, task, source, _agreement(source, grid))
        results, dropped = runner.map(read, blocks), 0
    else:
        features = _label_features(source, grid, block_side_px)
        dropped = int((~features["kept"]).sum())
        features = features[features["kept"]]
        items = _by_block(features, grid, blocks)
        results = runner.map(partial(_feature_block, task), items)
    drawn = _merge(results, per_class)
    if not len(drawn.table):
        raise CannotTell("NO_CLEAR_IMG", f"{source.path.name}: no labelled pixel lies in the clear part of the scene")
    return _as_samples(drawn, scene, source, dropped)


def changed_pixels(path: Path | None, grid: Grid, block: Block) -> NDArray[np.bool_]:
    """Where a change raster says "changed", (h, w); nowhere without one."""
    if path is None:
        return np.zeros((block.height, block.width), dtype=np.bool_)
    values, _ = read_onto(path, grid.window(*block.window), bands=[0])
    return values[0] == _CHANGED


def _agreement(source: LabelSource, grid: Grid) -> int:
    """Side in our pixels of the neighbourhood that must agree: three pixels of a reference product, else one."""
    if not source.reference:
        return 1
    ratio = _pixel_m(read_grid(source.path)[0]) / _pixel_m(grid)
    return 2 * max(1, int(np.ceil(ratio - 1e-3))) + 1


def _pixel_m(grid: Grid) -> float:
    """Side of the middle pixel in metres."""
    height, width = grid.shape_hw
    return float(np.sqrt(pixel_areas_m2(grid.window(height // 2, width // 2, 1, 1)).item()))


def _raster_block(task: _Task, source: LabelSource, agree_px: int, block: Block) -> _Drawn:
    outer = block.grown(agree_px // 2, task.scene.grid.shape_hw)
    part = task.scene.grid.window(*outer.window)
    finer = _pixel_m(read_grid(source.path)[0]) < _FINER * _pixel_m(part)
    codes, reached = read_onto(source.path, part, resampling="mode" if finer else "nearest", bands=[0])
    classes = np.zeros(reached.shape, dtype=np.uint8)
    classes[reached] = to_canonical(codes[0][reached], source.crosswalk)
    if agree_px > 1:
        alike = ndimage.minimum_filter(classes, agree_px) == ndimage.maximum_filter(classes, agree_px)
        classes[~alike] = NODATA_CLASS
    classes = classes[block.inside(outer)]
    return _draw(task, block, classes, None)


def _feature_block(task: _Task, item: tuple[Block, gpd.GeoDataFrame]) -> _Drawn:
    block, features = item
    part = task.scene.grid.window(*block.window)
    number = rasterize(features, part, values=np.arange(1, len(features) + 1)).astype(np.intp)
    classes = np.concatenate([[0], features["class"]]).astype(np.uint8)[number]
    groups = np.concatenate([[0], features["group"]]).astype(np.int64)[number]
    return _draw(task, block, classes, groups)


def _draw(task: _Task, block: Block, classes: NDArray[np.uint8], groups: NDArray[np.int64] | None) -> _Drawn:
    """Keep the pixels of each class with the smallest keys."""
    usable = (classes != NODATA_CLASS) & task.scene.clear(block)
    usable &= ~changed_pixels(task.exclude, task.scene.grid, block)
    rows, cols = np.nonzero(usable)
    found = classes[rows, cols]
    counts = np.bincount(found, minlength=8).astype(np.int64)
    own = None if groups is None else groups[rows, cols]
    row, col = (rows + block.row).astype(np.int32), (cols + block.col).astype(np.int32)
    group = spatial_groups(row, col, task.side_px) if own is None else own
    columns = (_keys(row, col, task.seed), row, col, found, group)
    table = np.stack([column.astype(np.uint64) for column in columns], axis=1)
    return _Drawn(_smallest(table, task.per_class), counts)


def _keys(rows: NDArray[np.int32], cols: NDArray[np.int32], seed: int) -> NDArray[np.uint64]:
    """A different random number for every pixel: SplitMix64's finaliser.

    Steele et al. 2014, doi:10.1145/2660193.2660195. It maps 64-bit numbers one to one, so no two pixels tie.
    """
    place = (rows.astype(np.uint64) << np.uint64(32)) | cols.astype(np.uint64)
    mixed = place + np.uint64((seed * 0x9E3779B97F4A7C15 + 0x9E3779B97F4A7C15) % 2**64)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    return mixed ^ (mixed >> np.uint64(31))


def _smallest(table: NDArray[np.uint64], per_class: int) -> NDArray[np.uint64]:
    kept = []
    for code in np.unique(table[:, 3]):
        part = table[table[:, 3] == code]
        if len(part) > per_class:
            part = part[np.argpartition(part[:, 0], per_class - 1)[:per_class]]
        kept.append(part)
    return np.concatenate(kept) if kept else table


def _merge(results: Iterable[_Drawn], per_class: int) -> _Drawn:
    table, counts = np.zeros((0, 5), dtype=np.uint64), np.zeros(8, dtype=np.int64)
    for result in results:
        table = _smallest(np.concatenate([table, result.table]), per_class)
        counts += result.counts
    return _Drawn(table, counts)


def _as_samples(drawn: _Drawn, scene: Scene, source: LabelSource, dropped: int) -> TrainingSamples:
    """In the order of rows and columns, whatever the blocks."""
    table = drawn.table[np.lexsort((drawn.table[:, 2], drawn.table[:, 1]))]
    classes = table[:, 3].astype(np.uint8)
    per_kept = drawn.counts / np.maximum(np.bincount(classes, minlength=8), 1)
    return TrainingSamples(
        rows=table[:, 1].astype(np.int32),
        cols=table[:, 2].astype(np.int32),
        classes=classes,
        groups=table[:, 4].astype(np.int64),
        weights=per_kept[classes],
        shape_hw=scene.grid.shape_hw,
        route=_REFERENCE if source.reference else _LABELS,
        source=source.path.name,
        date=source.date,
        dropped_features=dropped,
    )


def _label_features(source: LabelSource, grid: Grid, side_px: int) -> gpd.GeoDataFrame:
    """Features in the grid's CRS with class, group and whether they can label a pixel; polygons shrunk by a pixel."""
    if grid.crs is None:
        raise GridError("the scene has no CRS, so labels cannot be laid over it")
    features = read_vector(source.path, source.layer)
    if source.column not in features.columns:
        known = ", ".join(map(str, features.columns.drop("geometry")))
        raise InputError(f"{source.path}: no column {source.column!r}; it has {known}")
    classes = to_canonical(features[source.column].to_numpy(), source.crosswalk)
    # Shrinking happens in pixels, which works for degrees and for rotated grids too.
    pixels = features.geometry.to_crs(grid.crs).affine_transform(_shapely(~grid.transform))
    shapes = shapely.make_valid(pixels.to_numpy())
    areal = shapely.get_dimensions(shapes) == 2
    shrunk = np.where(areal, shapely.buffer(shapes, -1.0), shapes)
    for code in np.unique(classes):
        # A class of narrow features only keeps the pixels whose centre they cover.
        same = classes == code
        if shapely.is_empty(shrunk[same]).all():
            shrunk[same] = shapes[same]
    middle = shapely.centroid(shapes)
    x, y = shapely.get_x(middle), shapely.get_y(middle)
    height, width = grid.shape_hw
    inside = shapely.intersects(shrunk, shapely.box(0, 0, width, height))
    kept = ~shapely.is_empty(shrunk) & inside & (classes != NODATA_CLASS)
    # Middles outside the scene count to its nearest block.
    row, col = np.clip(y, 0, height - 1).astype(np.int32), np.clip(x, 0, width - 1).astype(np.int32)
    geometry = gpd.GeoSeries(shrunk).affine_transform(_shapely(grid.transform)).set_crs(grid.crs)
    columns = {"class": classes, "group": spatial_groups(row, col, side_px), "kept": kept}
    return gpd.GeoDataFrame(columns, geometry=geometry.to_numpy(), crs=grid.crs)


def _shapely(transform: Affine) -> list[float]:
    a, b, c, d, e, f = tuple(transform)[:6]
    return [a, b, d, e, c, f]


def _by_block(features: gpd.GeoDataFrame, grid: Grid, blocks: Sequence[Block]) -> list[tuple[Block, gpd.GeoDataFrame]]:
    """Blocks that hold features, with those features."""
    tree, items = features.sindex, []
    for block in blocks:
        # A hair smaller than the block: features that only touch it cover none of its pixels.
        left, top, right, bottom = block.col, block.row, block.col + block.width, block.row + block.height
        inner = shapely.box(left + _HAIR_PX, top + _HAIR_PX, right - _HAIR_PX, bottom - _HAIR_PX)
        inner = affine_transform(inner, _shapely(grid.transform))
        hits = np.sort(tree.query(inner, predicate="intersects"))
        if len(hits):
            items.append((block, features.iloc[hits]))
    return items
