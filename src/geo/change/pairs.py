"""Two dates on common ground: what they may be compared for, and their pixels side by side.

``make_pair`` checks sensor and level, season, grid, clear overlap and
registration. What a caveat can carry becomes a caveat; what it cannot raises
``CannotTell``. The later date is laid onto the earlier one's grid where grids
differ or the two lie more than half a pixel apart; it is resampled once, from
its own pixels, into a scene folder in the cache that is named by its content.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date
from functools import partial
from pathlib import Path

import numpy as np
from affine import Affine
from numpy.typing import NDArray

from src.errors import InputError
from src.geo.blocks import Block, Runner, blocks_of
from src.geo.caveats import CannotTell
from src.geo.change.registration import MIN_CLEAR_SHARE as TILE_CLEAR_SHARE
from src.geo.change.registration import Shift, combine_shifts, pick_tiles, tile_shift
from src.geo.grid import Grid
from src.geo.raster import atomic_path, block_writer, read_onto
from src.geo.scene import CORE_ROLES, NO_DATA, REFLECTANCE_NODATA, Scene, open_scene

# Beyond a month the same field may stand at another stage (facts of cropland phenology, Chen et al. 2018).
SEASON_DAYS = 30
_YEAR_DAYS = 365.25
LOW_COVERAGE_SHARE = 0.8
MIN_CLEAR_SHARE = 0.05
# Half a pixel: beyond it every edge of a field looks like change.
MAX_SHIFT_PX = 0.5
MIN_BANDS = 3
# Values of "no measurement" in warped digital numbers; reflectance has its own.
_DN_NODATA = -9999.0


@dataclass(frozen=True)
class Pair:
    """Two scenes on one grid.

    Attributes:
        before: earlier scene, as ingested; its grid is the pair's.
        after: later scene, on that grid (from the cache where it had to be warped).
        roles: bands that both have, in the order of ``read``.
        shift_px: (row, col) pixels by which the later scene had to move, as measured; it is moved beyond 0.5.
        residual_px: what is still measured between the dates, median over tiles; None where no tile could tell.
        clear_share: pixels clear on both dates, of those measured on either, 0..1.
        caveats: codes of CAVEATS.
    """

    before: Scene
    after: Scene
    roles: tuple[str, ...]
    shift_px: tuple[float, float]
    residual_px: float | None
    clear_share: float
    caveats: tuple[str, ...]

    @property
    def grid(self) -> Grid:
        """Grid of both dates."""
        return self.before.grid

    def read(self, block: Block | None = None) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_]]:
        """Both dates in a block.

        Returns:
            (p, h, w) bands of the earlier date, (p, h, w) of the later, and (h, w) bool: clear and finite on both.
        """
        x, y = (scene.read(block, self.roles) for scene in (self.before, self.after))
        valid = self.before.clear(block) & self.after.clear(block)
        valid &= np.isfinite(x).all(axis=0) & np.isfinite(y).all(axis=0)
        return x, y, valid


def make_pair(before: Scene, after: Scene, cache: Path, runner: Runner) -> Pair:
    """Bring two scenes onto common ground.

    Args:
        before: earlier date.
        after: later date.
        cache: folder for a warped scene.
        runner: reads and writes the blocks.

    Raises:
        InputError: the dates are not in order.
        GridError: grids differ and one of them has no CRS.
        CannotTell: the levels do not fit together, fewer than three bands are shared, or too little was seen.
    """
    caveats = [*sensor_caveats(before, after), *season_caveats(before.record.date, after.record.date)]
    roles = common_roles(before, after)
    aligned = after if before.grid.same_as(after.grid) else warp_scene(after, before.grid, (0.0, 0.0), cache, runner)
    clear_share = clear_overlap(before, aligned, runner)
    caveats += _coverage_caveats(before, after, clear_share)
    draft = Pair(before, aligned, roles, (0.0, 0.0), None, clear_share, ())
    shift = measure_shift(draft, runner)
    left = shift
    if shift.distance > MAX_SHIFT_PX:
        aligned = warp_scene(after, before.grid, shift.row_col, cache, runner)
        caveats.append("COREG_GT_0_5PX")
        left = measure_shift(Pair(before, aligned, roles, shift.row_col, None, clear_share, ()), runner)
    caveats += [code for scene in (before, after) for code in scene.record.caveats]
    residual = left.apart if left.tiles else None
    return Pair(before, aligned, roles, shift.row_col, residual, clear_share, tuple(dict.fromkeys(caveats)))


def sensor_caveats(before: Scene, after: Scene) -> list[str]:
    """Caveats of sensors and levels.

    Raises:
        CannotTell: SENSOR_MIX, where reflectance meets top-of-atmosphere values or digital numbers, or digital
            numbers come from two sensors.
    """
    quantities = {before.record.quantity, after.record.quantity}
    sensors = {before.record.sensor, after.record.sensor}
    found = ", ".join(f"{s.record.id}: {s.record.sensor} {s.record.level} {s.record.quantity}" for s in (before, after))
    if len(quantities) > 1:
        raise CannotTell("SENSOR_MIX", f"{found}; compare two scenes of the same level")
    if quantities == {"dn"}:
        if len(sensors) > 1:
            raise CannotTell("SENSOR_MIX", f"{found}; digital numbers compare within one sensor only")
        return ["DN_ONLY"]
    return ["SENSOR_MIX"] if len({_family(name) for name in sensors}) > 1 else []


def season_caveats(first: str, second: str) -> list[str]:
    """SEASON_MISMATCH where the days of year differ by more than 30, counted around the year.

    Args:
        first: ISO date of the earlier scene.
        second: of the later.

    Raises:
        InputError: the dates are not in order.
    """
    days = [date.fromisoformat(text[:10]) for text in (first, second)]
    if days[0] >= days[1]:
        raise InputError(f"the pair runs from {first} to {second}; give the earlier date first, and two different ones")
    apart = abs(days[0].timetuple().tm_yday - days[1].timetuple().tm_yday)
    return ["SEASON_MISMATCH"] if min(apart, _YEAR_DAYS - apart) > SEASON_DAYS else []


def common_roles(before: Scene, after: Scene) -> tuple[str, ...]:
    """Core bands of both scenes, or where these are fewer than three, all bands of both.

    Raises:
        CannotTell: SENSOR_MIX, fewer than three bands are shared.
    """
    shared = [role for role in before.roles if role in after.roles]
    core = [role for role in CORE_ROLES if role in shared]
    roles = core if len(core) >= MIN_BANDS else shared
    if len(roles) < MIN_BANDS:
        raise CannotTell(
            "SENSOR_MIX",
            f"{before.record.id} and {after.record.id} share the bands {', '.join(shared) or 'none'}; "
            f"{MIN_BANDS} are needed",
        )
    return tuple(roles)


def clear_overlap(before: Scene, after: Scene, runner: Runner) -> float:
    """Pixels clear on both dates, of those measured on either; 0 where there are none. Both on one grid."""
    counts = np.zeros(2, np.int64)
    for both, either in runner.map(partial(_count_clear, before, after), blocks_of(before.grid.shape_hw)):
        counts += both, either
    return float(counts[0] / counts[1]) if counts[1] else 0.0


def measure_shift(pair: Pair, runner: Runner) -> Shift:
    """Offset of the later date against the earlier one, over tiles; see ``registration``."""
    return combine_shifts(list(runner.map(partial(_shift_of, pair), pick_tiles(pair.grid.shape_hw))))


def warp_scene(scene: Scene, grid: Grid, shift_px: Sequence[float], cache: Path, runner: Runner) -> Scene:
    """The scene on another grid, moved by a shift: bands bilinear, mask nearest.

    Args:
        scene: as ingested.
        grid: target.
        shift_px: (row, col) pixels of the target grid by which the content moves down and right.
        cache: parent of the folder; one that is there already is used again.
        runner: warps the blocks.

    Raises:
        GridError: scene or grid has no CRS.
    """
    folder = cache / f"aligned_{scene.record.id}_{_warp_key(scene, grid, shift_px)}"
    # scene.json is written last: where it is, the folder is complete.
    if (folder / "scene.json").is_file():
        return open_scene(folder)
    nodata = _DN_NODATA if scene.record.quantity == "dn" else REFLECTANCE_NODATA
    dtype = "float32" if scene.record.quantity == "dn" else "int16"
    # Reading at (row - shift, col - shift) moves the content by the shift.
    moved = Grid(grid.crs, grid.transform @ Affine.translation(-shift_px[1], -shift_px[0]), grid.shape_hw)
    blocks = blocks_of(grid.shape_hw)
    with (
        block_writer(folder / "bands.tif", grid, scene.roles, dtype, nodata=nodata) as bands,
        block_writer(folder / "mask.tif", grid, ("mask",), "uint8", nodata=NO_DATA) as mask,
    ):
        warped = runner.map(partial(_warp_block, scene, moved, dtype, nodata), blocks)
        for block, (values, codes) in zip(blocks, warped, strict=True):
            bands.write(block, values)
            mask.write(block, codes)
    with atomic_path(folder / "scene.json") as partial_path:
        partial_path.write_text(json.dumps(asdict(scene.record), ensure_ascii=False, indent=1), encoding="utf-8")
    return open_scene(folder)


def _family(sensor: str) -> str:
    return sensor.split("_")[0].rstrip("0123456789") if sensor.startswith("landsat") else sensor.split("_")[0]


def _coverage_caveats(before: Scene, after: Scene, clear_share: float) -> list[str]:
    if clear_share < MIN_CLEAR_SHARE:
        raise CannotTell(
            "NO_CLEAR_IMG",
            f"{before.record.id} and {after.record.id}: {clear_share:.1%} of the pixels were seen clearly on both "
            f"dates, at least {MIN_CLEAR_SHARE:.0%} is needed; choose clearer dates, or scenes that overlap",
        )
    return ["LOW_COVERAGE"] if clear_share < LOW_COVERAGE_SHARE else []


def _count_clear(before: Scene, after: Scene, block: Block) -> tuple[int, int]:
    masks = [scene.mask(block) for scene in (before, after)]
    both = before.clear(block) & after.clear(block)
    return int(both.sum()), int(((masks[0] != NO_DATA) | (masks[1] != NO_DATA)).sum())


def _shift_of(pair: Pair, block: Block) -> tuple[float, float] | None:
    # Masks are quick to read, bands are not.
    if (pair.before.clear(block) & pair.after.clear(block)).mean() < TILE_CLEAR_SHARE:
        return None
    x, y, valid = pair.read(block)
    if not valid.any():
        return None
    first, second = (
        np.mean([band / max(float(band[valid].std()), 1e-9) for band in bands], axis=0) for bands in (x, y)
    )
    return tile_shift(first, second, valid)


def _warp_block(
    scene: Scene, moved: Grid, dtype: str, nodata: float, block: Block
) -> tuple[np.ndarray, NDArray[np.uint8]]:
    target = moved.window(*block.window)
    bands, reached = read_onto(scene.folder / "bands.tif", target, resampling="bilinear")
    codes, seen = read_onto(scene.folder / "mask.tif", target)
    values = np.where(reached & seen, bands, np.asarray(nodata, dtype))
    return values.astype(dtype), np.where(reached & seen, codes[0], NO_DATA).astype(np.uint8)


def _warp_key(scene: Scene, grid: Grid, shift_px: Sequence[float]) -> str:
    """Name of the content: the source files, the target grid and the shift."""
    crs = "" if grid.crs is None else grid.crs.to_wkt()
    own_crs = "" if scene.grid.crs is None else scene.grid.crs.to_wkt()
    parts = [asdict(scene.record), own_crs, tuple(scene.grid.transform), scene.grid.shape_hw]
    parts += [crs, tuple(grid.transform), grid.shape_hw, [round(value, 4) for value in shift_px]]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]
