"""Patches of change: 8-connected groups of changed pixels, numbered, measured and outlined block by block.

    patches = label_patches(out / "change.tif", out / "patches.tif", runner)
    outlines = patch_outlines(patches, runner)

Numbers follow the first pixel of each patch in reading order and, like every
figure here, do not depend on blocks, threads or cluster. The sieve (minimum
mapping unit) is applied after counting, so both figures are kept. Outlines run
along pixel edges and are never simplified.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import shapely
from affine import Affine
from numpy.typing import NDArray
from rasterio.features import shapes as outline_shapes
from scipy import ndimage, sparse

from src.errors import InputError
from src.geo.blocks import BLOCK_PX, Block, Runner, blocks_of
from src.geo.exact_areas import ExactAreas, exact_areas
from src.geo.grid import Grid
from src.geo.raster import block_writer, read_grid, read_raster

CHANGED = 2
# Smallest patch that is listed, pixels: facts on detectable change at 10 to 30 m put it at 3 x 3.
MMU_PX = 9
_EIGHT = np.ones((3, 3), dtype=bool)
_Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Patches:
    """The patches of one change raster.

    Args:
        table: one row per patch that is at least ``mmu_px`` large, index 0..K-1 for patch ids 1..K:
            id, pixels, row, col, height, width (bounding box), first_row, first_col (first pixel in reading order),
            area_m2 (ellipsoidal), edge_px (pixel edges along its outline, holes included), wide_px (pixels that lie in
            some 2 x 2 square of the patch), sliver (most of it is narrower than 2 pixels).
        labels: raster of patch ids on ``grid``, int32; 0 elsewhere.
        grid: of change and labels.
        mmu_px: minimum mapping unit.
        changed: pixels, area and number of patches before the sieve.
        below: the same of the patches that the sieve took out.
    """

    table: pd.DataFrame = field(repr=False)
    labels: Path
    grid: Grid
    mmu_px: int
    changed: "Extent"
    below: "Extent"

    @property
    def kept(self) -> "Extent":
        """Pixels, area and number of the patches that are listed."""
        return Extent(int(self.table["pixels"].sum()), float(self.table["area_m2"].sum()), len(self.table))


@dataclass(frozen=True)
class Extent:
    """How much there is: pixels, square metres, patches."""

    pixels: int
    area_m2: float
    patches: int


@dataclass(frozen=True, eq=False)
class _Parts:
    """Components of one block; rows of ``stats`` are its local labels 1..n.

    Columns of ``stats``: pixels, first pixel, top, left, bottom, right, edges, wide pixels.
    """

    block: Block
    stats: _Ints
    areas: NDArray[np.float64]
    top: NDArray[np.int32]
    bottom: NDArray[np.int32]
    left: NDArray[np.int32]
    right: NDArray[np.int32]


def label_patches(
    change: Path, labels: Path, runner: Runner, *, mmu_px: int = MMU_PX, block_px: int = BLOCK_PX
) -> Patches:
    """Find, measure and number the patches of a change raster, and write their ids as a raster.

    Args:
        change: one band; value 2 is changed, all else is not.
        labels: raster of patch ids to write; patches below the minimum mapping unit are 0 in it.
        runner: threads or a cluster.
        mmu_px: smallest patch that is listed, pixels.
        block_px: side of a block; changes nothing in the result.

    Raises:
        GridError: the raster has no CRS.
        InputError: the minimum mapping unit is below one pixel, or there are more patches than ids.
    """
    if mmu_px < 1:
        raise InputError(f"minimum mapping unit of {mmu_px} pixels; use 1 or more")
    grid, _ = read_grid(change)
    blocks = blocks_of(grid.shape_hw, block_px)
    measure = partial(_block_parts, change=change, shape_hw=grid.shape_hw, areas=exact_areas(grid))
    parts = list(runner.map(measure, blocks))
    offsets = np.concatenate([[0], np.cumsum([len(part.areas) for part in parts])])
    group = _joined(parts, offsets, grid.shape_hw)
    stats, areas = _grouped(parts, group)
    ids, table = _numbered(stats, areas, grid.shape_hw[1], mmu_px)
    _write_labels(change, labels, grid, runner, blocks, ids[group], offsets)
    changed = Extent(int(stats[:, 0].sum()), float(areas.sum()), len(stats))
    small = stats[:, 0] < mmu_px
    below = Extent(int(stats[small, 0].sum()), float(areas[small].sum()), int(small.sum()))
    return Patches(table, labels, grid, mmu_px, changed, below)


def patch_outlines(patches: Patches, runner: Runner, *, block_px: int = BLOCK_PX) -> NDArray[np.object_]:
    """Outlines of the listed patches along pixel edges.

    Args:
        patches: from ``label_patches``.
        runner: threads or a cluster.
        block_px: side of a block; changes nothing in the result.

    Returns:
        (K,) valid polygons, or multipolygons where parts of a patch touch at corners only, in the order of the
        table, in pixel coordinates x = column, y = -row (``zone_overlay.in_crs`` moves them to the grid's CRS).
    """
    table = patches.table
    outlines = np.empty(len(table), dtype=object)
    for numbers, found in runner.map(partial(_outlines_of, labels=patches.labels), _outline_jobs(patches, block_px)):
        outlines[numbers - 1] = found
    return outlines


def _block_parts(block: Block, change: Path, shape_hw: tuple[int, int], areas: ExactAreas) -> _Parts:
    outer = block.grown(1, shape_hw)
    rows, cols = block.inside(outer)
    # A rim of unchanged pixels all around: neighbours in other blocks are seen, the raster's own edge is an edge.
    around = np.zeros((block.height + 2, block.width + 2), dtype=bool)
    top, left = 1 - rows.start, 1 - cols.start
    seen = _changed(change, outer)
    around[top : top + outer.height, left : left + outer.width] = seen
    inside = around[1:-1, 1:-1]
    local, count = ndimage.label(inside, structure=_EIGHT, output=np.int32)
    row, col = np.nonzero(inside)
    label = local[row, col] - 1
    neighbours = [around[2:, 1:-1], around[:-2, 1:-1], around[1:-1, 2:], around[1:-1, :-2]]
    edges = 4 - sum(n[row, col].astype(np.int64) for n in neighbours)
    squares = ndimage.binary_opening(around, np.ones((2, 2), dtype=bool))[1:-1, 1:-1]
    row, col, wide = row + block.row, col + block.col, squares[row, col]
    stats = np.empty((count, 8), dtype=np.int64)
    stats[:, 0] = np.bincount(label, minlength=count)
    # Reading order: the first entry of each label is its first pixel.
    stats[:, 1] = _lowest(row * shape_hw[1] + col, label, count)
    stats[:, 2], stats[:, 3] = _lowest(row, label, count), _lowest(col, label, count)
    stats[:, 4], stats[:, 5] = -_lowest(-row, label, count), -_lowest(-col, label, count)
    stats[:, 6] = np.bincount(label, edges, count)
    stats[:, 7] = np.bincount(label, wide, count)
    ground = np.bincount(label, areas.block(block)[inside], count).astype(np.float64)
    return _Parts(block, stats, ground, local[0], local[-1], local[:, 0], local[:, -1])


def _changed(change: Path, block: Block) -> NDArray[np.bool_]:
    return read_raster(change, window=block.window, bands=[0]).data[0] == CHANGED


def _lowest(values: _Ints, label: NDArray[np.int32], count: int) -> _Ints:
    lowest = np.full(count, np.iinfo(np.int64).max)
    np.minimum.at(lowest, label, values)
    return lowest


def _joined(parts: list[_Parts], offsets: _Ints, shape_hw: tuple[int, int]) -> NDArray[np.int32]:
    """Patch of every component: those that touch across a seam, by an edge or a corner, belong together."""
    height, width = shape_hw
    pairs = []
    for edge, other, length, horizontal in (("top", "bottom", width, True), ("left", "right", height, False)):
        # Lines of component numbers (from 1, 0 is unchanged) on both sides of every seam.
        ahead: dict[int, _Ints] = {}
        behind: dict[int, _Ints] = {}
        for part, offset in zip(parts, offsets, strict=False):
            block = part.block
            start, place = (block.row, block.col) if horizontal else (block.col, block.row)
            end = start + (block.height if horizontal else block.width)
            for lines, seam, local in ((ahead, start, getattr(part, edge)), (behind, end, getattr(part, other))):
                line = lines.setdefault(seam, np.zeros(length + 2, dtype=np.int64))
                line[place + 1 : place + 1 + len(local)] = np.where(local > 0, local + offset, 0)
        for seam in sorted(set(ahead) & set(behind)):
            for shift in (-1, 0, 1):
                one, two = ahead[seam][1:-1], behind[seam][1 + shift : length + 1 + shift]
                touch = (one > 0) & (two > 0)
                pairs.append(np.stack([one[touch], two[touch]]) - 1)
    count = int(offsets[-1])
    first, second = np.concatenate(pairs, axis=1) if pairs else np.zeros((2, 0), dtype=np.int64)
    links = sparse.coo_matrix((np.ones(len(first), dtype=bool), (first, second)), shape=(count, count))
    return sparse.csgraph.connected_components(links, directed=False)[1]


def _grouped(parts: list[_Parts], group: NDArray[np.int32]) -> tuple[_Ints, NDArray[np.float64]]:
    """Statistics (see ``_Parts``) and areas of whole patches."""
    count = int(group.max()) + 1 if len(group) else 0
    stats = np.concatenate([part.stats for part in parts])
    total = np.zeros((count, 8), dtype=np.int64)
    for column in (0, 6, 7):
        np.add.at(total[:, column], group, stats[:, column])
    for column in (1, 2, 3):
        total[:, column] = _lowest(stats[:, column], group, count)
    for column in (4, 5):
        total[:, column] = -_lowest(-stats[:, column], group, count)
    areas = np.bincount(group, np.concatenate([part.areas for part in parts]), count)
    return total, areas.astype(np.float64)


def _numbered(
    stats: _Ints, areas: NDArray[np.float64], width: int, mmu_px: int
) -> tuple[NDArray[np.int32], pd.DataFrame]:
    """Id of each patch (0 below the minimum mapping unit), and the table of those that have one."""
    order = np.argsort(stats[:, 1], kind="stable")
    order = order[stats[order, 0] >= mmu_px]
    ids = np.zeros(len(stats), dtype=np.int32)
    ids[order] = np.arange(1, len(order) + 1)
    pixels, first, top, left, bottom, right, edges, wide = stats[order].T
    table = {"id": ids[order].astype(np.int64), "pixels": pixels, "row": top, "col": left}
    table |= {"height": bottom - top + 1, "width": right - left + 1}
    table |= {"first_row": first // width, "first_col": first % width, "area_m2": areas[order]}
    table |= {"edge_px": edges, "wide_px": wide, "sliver": 2 * wide < pixels}
    return ids, pd.DataFrame(table)


def _write_labels(
    change: Path,
    labels: Path,
    grid: Grid,
    runner: Runner,
    blocks: list[Block],
    ids: NDArray[np.int32],
    offsets: _Ints,
) -> None:
    jobs = [(block, ids[offsets[i] : offsets[i + 1]]) for i, block in enumerate(blocks)]
    with block_writer(labels, grid, ["patch"], "int32", nodata=0) as writer:
        for block, numbers in zip(blocks, runner.map(partial(_label_block, change=change), jobs), strict=True):
            writer.write(block, numbers)


def _label_block(job: tuple[Block, NDArray[np.int32]], change: Path) -> NDArray[np.int32]:
    block, ids = job
    local, _ = ndimage.label(_changed(change, block), structure=_EIGHT, output=np.int32)
    return np.concatenate([np.zeros(1, np.int32), ids])[local]


def _outline_jobs(patches: Patches, side: int) -> list[tuple[Block, _Ints]]:
    """Windows to read and the patches to outline in each: all that lie inside a block at once, others by their own."""
    table = patches.table
    row, col = table["row"].to_numpy() // side, table["col"].to_numpy() // side
    last_row = (table["row"] + table["height"] - 1).to_numpy() // side
    last_col = (table["col"] + table["width"] - 1).to_numpy() // side
    alone = (row != last_row) | (col != last_col)
    windows = zip(*(table[name].tolist() for name in ("row", "col", "height", "width")), strict=True)
    jobs = [
        (Block(*window), np.array([number]))
        for number, window, own in zip(table["id"].tolist(), windows, alone, strict=True)
        if own
    ]
    home = row * (patches.grid.shape_hw[1] // side + 1) + col
    inside = table[~alone].groupby(home[~alone], sort=True)
    blocks = {(b.row // side, b.col // side): b for b in blocks_of(patches.grid.shape_hw, side)}
    for _, group in inside:
        block = blocks[(int(group["row"].iloc[0]) // side, int(group["col"].iloc[0]) // side)]
        jobs.append((block, group["id"].to_numpy()))
    return jobs


def _outlines_of(job: tuple[Block, _Ints], labels: Path) -> tuple[_Ints, NDArray[np.object_]]:
    window, numbers = job
    if len(numbers) == 1:
        # One byte a pixel and a strip at a time: the window of a patch may be as large as the scene.
        picked = np.empty((window.height, window.width), dtype=np.uint8)
        for strip in blocks_of(picked.shape, BLOCK_PX):
            place = Block(window.row + strip.row, window.col + strip.col, strip.height, strip.width)
            picked[strip.slices] = read_raster(labels, window=place.window).data[0] == numbers[0]
        return numbers, _merge(_rings(picked, window, numbers[0]), numbers)
    values = read_raster(labels, window=window.window).data[0]
    values = np.where(np.isin(values, numbers), values, 0).astype(np.int32)
    return numbers, _merge(_rings(values, window, None), numbers)


def _rings(
    values: NDArray[np.uint8] | NDArray[np.int32], window: Block, number: int | None
) -> Iterable[tuple[int, shapely.Polygon]]:
    """Polygons of equal values with their patch; coordinates are whole numbers, so exact."""
    place = Affine(1, 0, window.col, 0, -1, -window.row)
    for shape, value in outline_shapes(values, mask=values != 0, connectivity=4, transform=place):
        yield number or int(value), shapely.Polygon(shape["coordinates"][0], shape["coordinates"][1:])


def _merge(rings: Iterable[tuple[int, shapely.Polygon]], numbers: _Ints) -> NDArray[np.object_]:
    """One geometry per patch in a canonical order of rings and vertices."""
    found: dict[int, list[shapely.Polygon]] = {int(number): [] for number in numbers}
    for number, polygon in rings:
        found[number].append(polygon)
    merged = np.empty(len(numbers), dtype=object)
    for index, polygons in enumerate(found.values()):
        # Parts of one patch touch at corners only (a longer shared edge would have made them one), so this is valid.
        merged[index] = polygons[0] if len(polygons) == 1 else shapely.MultiPolygon(polygons)
    return shapely.normalize(merged)
