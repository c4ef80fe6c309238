"""Drawing a stratified random sample of map pixels, block by block.

Every pixel of a stratum has the same chance to be drawn, which the design records. The same seed draws the same pixels
whatever the number of threads. Change is often missed next to what was found, so a ring around mapped change can be a
stratum of its own: Olofsson et al. (2020), Mitigating the effects of omission errors on area and area change estimates,
Remote Sensing of Environment 236, 111492, https://doi.org/10.1016/j.rse.2019.111492.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pyproj
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import binary_dilation
from tqdm import tqdm

from src.constants import LAND_CLASSES
from src.errors import GridError, InputError
from src.geo.areas import block_areas_m2, check_coordinates
from src.geo.blocks import Block, Runner, blocks_of
from src.geo.estimates.accuracy import sample_size
from src.geo.estimates.sheet import KINDS
from src.geo.grid import Grid
from src.geo.raster import read_grid, read_raster

# Fewest pixels of a stratum, as practice has it (Olofsson et al. 2014, section 5.1.1: 50 to 100 for rare classes).
MIN_PER_STRATUM = 50
# Aim where no total is given: standard error of the overall accuracy, and user's accuracy expected of every class.
_STANDARD_ERROR, _EXPECTED_USERS = 0.015, 0.85
# Classes of each kind that are change: a ring is drawn around them.
_CHANGED = {"change": (2,), "gain_loss": (2, 3)}
# Ring strata have the code of the map class plus this.
RING = 100
# Strata and map classes have codes below these.
_STRATA, _CLASSES = 256, 8


@dataclass(frozen=True)
class Target:
    """The maps that are sampled.

    Args:
        kind: key of KINDS.
        maps: one raster; for gain and loss, land cover before and after.
        focus: land class whose gain and loss are wanted.
        strata: raster of stratum codes 1..255 on the same grid; default the map classes.
        ring: pixels around mapped change that are a stratum of their own; 0 for none.

    Raises:
        InputError: parts that do not go together.
    """

    kind: str
    maps: tuple[Path, ...]
    focus: int | None = None
    strata: Path | None = None
    ring: int = 0

    def __post_init__(self) -> None:
        wanted = 2 if self.kind == "gain_loss" else 1
        if len(self.maps) != wanted or (self.focus is not None) != (wanted == 2):
            raise InputError(
                f"{self.kind} takes {wanted} map(s)" + (" and a class" if wanted == 2 else " and no class")
            )
        if self.ring < 0 or (self.ring and (self.kind not in _CHANGED or self.strata is not None)):
            raise InputError("a ring goes around change or gain and loss, without strata of one's own")

    @property
    def paths(self) -> tuple[Path, ...]:
        """All rasters."""
        return (*self.maps, *([self.strata] if self.strata else []))

    def grid(self) -> Grid:
        """The grid that all rasters share.

        Raises:
            GridError: they do not share it, or its CRS is missing or cannot be right.
        """
        grid, _ = read_grid(self.paths[0])
        for path in self.paths[1:]:
            if not grid.same_as(read_grid(path)[0]):
                raise GridError(f"{path}: lies on another grid than {self.paths[0]}; bring both onto one")
        check_coordinates(grid.crs, grid.bounds(), str(self.paths[0]))
        return grid

    def read(self, block: Block, shape_hw: tuple[int, int]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Stratum and map class of each pixel of a block, (h, w) each; 0 in both where either has no data."""
        outer = block.grown(self.ring, shape_hw)
        mapped = self._classes(outer)
        strata = mapped if self.strata is None else _codes(self.strata, outer)
        if self.ring:
            changed = np.isin(mapped, _CHANGED[self.kind])
            near = binary_dilation(changed, np.ones((3, 3), np.bool_), iterations=self.ring)
            strata = np.where(near & ~changed & (mapped > 0), mapped + RING, mapped).astype(np.uint8)
        seen = (mapped > 0) & (strata > 0)
        inside = block.inside(outer)
        return np.where(seen, strata, 0)[inside], np.where(seen, mapped, 0)[inside]

    def _classes(self, block: Block) -> NDArray[np.uint8]:
        first = _codes(self.maps[0], block)
        if self.kind != "gain_loss":
            _check_classes(self.maps[0], first, KINDS[self.kind])
            return first
        second = _codes(self.maps[1], block)
        for path, codes in zip(self.maps, (first, second), strict=True):
            _check_classes(path, codes, LAND_CLASSES)
        is_before, is_after = first == self.focus, second == self.focus
        classes = np.select([is_before & is_after, is_before, is_after], [4, 2, 3], 1)
        return np.where((first > 0) & (second > 0), classes, 0).astype(np.uint8)


@dataclass(frozen=True)
class Stratum:
    """One stratum: its code, name, pixels, ground area, and pixels drawn."""

    code: int
    name: str
    pixels: int
    area_m2: float
    drawn: int

    @property
    def inclusion(self) -> float:
        """Chance of a pixel to be drawn."""
        return self.drawn / self.pixels


@dataclass(frozen=True)
class Point:
    """One pixel drawn: coordinates of its centre in the map's CRS and in EPSG:4326, and what the map says."""

    sample: str
    row: int
    col: int
    x: float
    y: float
    lon: float
    lat: float
    stratum: int
    mapped: int
    inclusion: float


@dataclass(frozen=True)
class Design:
    """A drawn sample, as ``<name>.design.json`` keeps it."""

    kind: str
    focus: int | None
    seed: int
    ring: int
    maps: tuple[dict[str, str], ...]
    strata: tuple[Stratum, ...]
    mapped_m2: dict[int, float]
    points: tuple[Point, ...]


def allocate(
    total: int, pixels: ArrayLike, minimum: int = MIN_PER_STRATUM, deviations: ArrayLike | None = None
) -> list[int]:
    """Pixels to draw from each stratum.

    In proportion to size, or with expected deviations of the class inside each stratum by Neyman's rule (Cochran
    1977, Sampling Techniques, equation 5.26); strata that would get less than the minimum get it, and the others share
    the rest.

    Args:
        total: pixels to draw.
        pixels: (H,) size of each stratum, all above 0.
        minimum: of each stratum; a smaller stratum is taken whole.
        deviations: (H,) such as sqrt(p (1 - p)).

    Raises:
        InputError: the total does not suffice for the minimum.
    """
    sizes = np.asarray(pixels, dtype=np.int64)
    least = np.minimum(sizes, minimum)
    if total < least.sum():
        raise InputError(
            f"{total} samples are too few for {len(sizes)} strata of {minimum}: draw {least.sum()} or more"
        )
    appeal = sizes * (1.0 if deviations is None else np.asarray(deviations, dtype=np.float64))
    counts, open_ = least.astype(np.float64), np.ones(len(sizes), np.bool_)
    while open_.any() and appeal[open_].sum() > 0:
        share = (total - counts[~open_].sum()) * appeal / appeal[open_].sum()
        bound = open_ & ((share <= least) | (share >= sizes))
        if not bound.any():
            counts[open_] = share[open_]
            break
        # Strata held at the minimum first: they raise what the others must give up.
        low = bound & (share <= least)
        held = low if low.any() else bound
        counts[held] = np.clip(share, least, sizes)[held]
        open_ &= ~held
    whole = np.floor(counts + 1e-9).astype(np.int64)
    order = np.argsort(whole - counts, kind="stable")
    for place in [i for i in order if whole[i] < sizes[i]][: max(0, min(total, int(sizes.sum())) - int(whole.sum()))]:
        whole[place] += 1
    return whole.tolist()


def draw_sample(
    target: Target,
    total: int | None,
    seed: int,
    runner: Runner,
    minimum: int = MIN_PER_STRATUM,
    expected: Mapping[int, float] | None = None,
) -> Design:
    """Draw the sample; two passes over the maps, the second over the blocks that hold a drawn pixel.

    Args:
        target: maps and strata.
        total: pixels; default as ``sample_size`` advises, at least the minimum of each stratum.
        seed: decides which pixels.
        runner: threads or a cluster.
        minimum: pixels of each stratum.
        expected: user's accuracy expected of a stratum by its code (a ring goes with its class); default 0.85.

    Raises:
        InputError: the maps hold no data, or the total is too small.
        GridError: see ``Target.grid``.
    """
    grid = target.grid()
    blocks = blocks_of(grid.shape_hw)
    by_block, areas = [], np.zeros((_STRATA, _CLASSES))
    counted = runner.map(partial(_count, target, grid), blocks)
    for pixels_here, areas_here in tqdm(counted, "strata", len(blocks), disable=None):
        by_block.append(pixels_here)
        areas += areas_here
    pixels = np.stack(by_block)
    codes = np.flatnonzero(pixels.sum(0))
    if len(codes) == 0:
        raise InputError(f"{target.maps[0]}: holds no data to sample")
    sizes, ground = pixels.sum(0)[codes], areas.sum(1)[codes]
    classes = codes % RING if target.ring else codes
    users = np.array([(expected or {}).get(int(code), _EXPECTED_USERS) for code in classes])
    advised = sample_size(ground / ground.sum(), users, _STANDARD_ERROR)
    if total is None:
        total = max(int(np.ceil(advised)), int(np.minimum(sizes, minimum).sum()))
    drawn = allocate(total, sizes, minimum, np.sqrt(users * (1.0 - users)))
    strata = tuple(
        Stratum(int(code), stratum_name(target, int(code)), int(size), float(area), count)
        for code, size, area, count in zip(codes, sizes, ground, drawn, strict=True)
    )
    wanted = _ranks_by_block(strata, pixels, seed)
    chosen = [(blocks[i], ranks) for i, ranks in wanted.items()]
    found = [cell for cells in runner.map(partial(_locate, target, grid.shape_hw), chosen) for cell in cells]
    return Design(
        kind=target.kind,
        focus=target.focus,
        seed=seed,
        ring=target.ring,
        maps=tuple({"name": path.name, "sha256": _sha256(path)} for path in target.paths),
        strata=strata,
        mapped_m2={int(code): float(areas[:, code].sum()) for code in np.flatnonzero(areas.sum(0))},
        points=_points(found, grid, {stratum.code: stratum.inclusion for stratum in strata}, seed),
    )


def stratum_name(target: Target, code: int) -> str:
    """Chinese and English name of a stratum."""
    if target.strata is not None:
        return f"stratum {code}"
    words = KINDS[target.kind][code % RING]
    return f"{words['zh']} {words['en']}" + (" 变化周边 near change" if code > RING else "")


def _codes(path: Path, block: Block) -> NDArray[np.uint8]:
    """Class codes of a block, 0 where the raster has no data."""
    raster = read_raster(path, window=block.window, bands=[0])
    if raster.data.dtype.kind not in "ui" or (
        raster.data.size and int(raster.data[0][raster.valid].max(initial=0)) > 255
    ):
        raise InputError(f"{path}: holds {raster.data.dtype}; expected whole numbers 0 to 255, one per class")
    return np.where(raster.valid, raster.data[0], 0).astype(np.uint8)


def _check_classes(path: Path, codes: NDArray[np.uint8], known: Mapping[int, object]) -> None:
    strange = sorted(set(np.unique(codes).tolist()) - set(known) - {0})
    if strange:
        raise InputError(f"{path}: holds the codes {strange}; expected 0 (no data) and {', '.join(map(str, known))}")


def _count(target: Target, grid: Grid, block: Block) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Pixels of each stratum, and ground area by stratum and map class, in one block."""
    strata, mapped = target.read(block, grid.shape_hw)
    areas = np.broadcast_to(block_areas_m2(grid, block), strata.shape)
    both = strata.astype(np.int64) * _CLASSES + mapped
    ground = np.bincount(both.ravel(), areas.ravel(), minlength=_STRATA * _CLASSES).astype(np.float64)
    ground = ground.reshape(_STRATA, _CLASSES)
    pixels = np.bincount(strata.ravel(), minlength=_STRATA).astype(np.int64)
    pixels[0], ground[0] = 0, 0.0
    return pixels, ground


def _ranks_by_block(
    strata: tuple[Stratum, ...], pixels: NDArray[np.int64], seed: int
) -> dict[int, dict[int, NDArray[np.int64]]]:
    """Which pixels of each stratum are drawn: {block: {stratum: places among the block's pixels of that stratum}}."""
    wanted: dict[int, dict[int, NDArray[np.int64]]] = {}
    for stratum in strata:
        rng = np.random.default_rng([seed, stratum.code])
        ranks = np.sort(rng.choice(stratum.pixels, stratum.drawn, replace=False))
        ends = np.cumsum(pixels[:, stratum.code])
        block = np.searchsorted(ends, ranks, side="right")
        within = ranks - (ends - pixels[:, stratum.code])[block]
        for i in np.unique(block):
            wanted.setdefault(int(i), {})[stratum.code] = within[block == i]
    return dict(sorted(wanted.items()))


def _locate(
    target: Target, shape_hw: tuple[int, int], chosen: tuple[Block, dict[int, NDArray[np.int64]]]
) -> list[tuple[int, int, int, int]]:
    """(row, col, stratum, map class) of the drawn pixels of one block."""
    block, ranks = chosen
    strata, mapped = target.read(block, shape_hw)
    cells = []
    for code, places in ranks.items():
        for row, col in np.argwhere(strata == code)[places].tolist():
            cells.append((block.row + row, block.col + col, code, int(mapped[row, col])))
    return cells


def _points(
    cells: list[tuple[int, int, int, int]], grid: Grid, inclusion: Mapping[int, float], seed: int
) -> tuple[Point, ...]:
    """Points in an order that tells nothing of the strata, numbered in it."""
    order = np.random.default_rng([seed, _STRATA]).permutation(len(cells))
    to_degrees = pyproj.Transformer.from_crs(grid.crs, 4326, always_xy=True)
    digits = max(4, len(str(len(cells))))
    # Millimetres on the ground: degrees need more decimals than metres.
    decimals = 9 if grid.crs is not None and grid.crs.is_geographic else 3
    points = []
    for number, place in enumerate(order, 1):
        row, col, stratum, mapped = cells[place]
        x, y = grid.xy(row, col)
        lon, lat = to_degrees.transform(x, y)
        where = (round(x, decimals), round(y, decimals), round(lon, 7), round(lat, 7))
        points.append(Point(f"{number:0{digits}d}", row, col, *where, stratum, mapped, inclusion[stratum]))
    return tuple(points)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
