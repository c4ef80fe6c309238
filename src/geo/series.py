"""Series of dates: spectral indices over a zone, straight-line trends, and fields without a growing season.

Only clear pixels count. Scenes on another grid are laid onto the first one's.
Indices of uncalibrated numbers are refused: they mean something on reflectance only.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path

import geopandas as gpd
import numpy as np
from numpy.typing import NDArray
from scipy import stats

from src.constants import LAND_CLASS_IDS
from src.errors import InputError
from src.geo.blocks import Block, Runner, blocks_of
from src.geo.caveats import CannotTell
from src.geo.change.pairs import SEASON_DAYS, warp_scene
from src.geo.cover.indices import INDICES, compute_index
from src.geo.exact_areas import ExactAreas, exact_areas
from src.geo.grid import Grid
from src.geo.scene import Scene
from src.geo.zone_overlay import ZonePiece, coverage, read_codes, zone_pieces

_Floats = NDArray[np.float64]
_CROPLAND = LAND_CLASS_IDS["cropland"]
# What a field may be mapped as while it lies idle; on all else bare ground has another reason.
_STILL_FIELDS = (_CROPLAND, LAND_CLASS_IDS["grassland"])
_YEAR_DAYS = 365.25
# Dates that a season needs before "never green" means anything, and the share of the median field's greenest value
# below which a field counts as not grown. Our own choice: crops peak within a fifth of each other, bare soil and
# stubble lie below half (spectra of src.geo.simulation, and of USGS Spectral Library 7, doi:10.3133/ds1035).
MIN_SEASON_DATES, GROWN_SHARE = 4, 0.6
# Hampel's identifier: three scaled median deviations from the median.
_HAMPEL, _MAD_SCALE, _BREAK_INTERVALS = 3.0, 1.4826, 4


@dataclass(frozen=True)
class IndexDate:
    """An index over a zone on one date.

    Args:
        date: acquisition, ISO.
        scene: id.
        mean: area-weighted over the clear pixels; NaN where none was seen.
        spread: standard deviation over the same.
        seen_share: of the zone's ground, 0..1.
    """

    date: str
    scene: str
    mean: float
    spread: float
    seen_share: float


@dataclass(frozen=True)
class Trend:
    """A straight line through values over time, by least squares.

    Args:
        slope: per year of 365.25 days.
        error: standard error of the slope; NaN with two points.
        r2: share of the variance that the line explains.
        interval: 95 % confidence interval of the slope (Student's t); None with two points.
        breaks: indices of the intervals whose change per year stands out from the others.
    """

    slope: float
    error: float
    r2: float
    interval: tuple[float, float] | None
    breaks: tuple[int, ...]


@dataclass(frozen=True)
class IdleCropland:
    """Cropland that was never as green as fields are, in each of several years.

    Args:
        cropland_m2: fields in the zone.
        judged_m2: the part of it with enough clear dates in every year.
        idle_m2: the part of that which stayed below each year's limit.
        edge_m2: half a pixel along the outline of the idle ground.
        limits: greatest NDVI of a year below which a pixel counts as not grown, by year.
        dates: dates of each year.
    """

    cropland_m2: float
    judged_m2: float
    idle_m2: float
    edge_m2: float
    limits: dict[int, float]
    dates: dict[int, tuple[str, ...]]


def days_apart(first: str, second: str) -> float:
    """Distance of two dates in the course of the year, days, 0..183."""
    one, two = (date.fromisoformat(text).timetuple().tm_yday for text in (first, second))
    apart = abs(one - two)
    return min(apart, _YEAR_DAYS - apart)


def same_season(first: str, second: str) -> bool:
    """Whether two dates lie at most a month apart in the course of the year."""
    return days_apart(first, second) <= SEASON_DAYS


def on_grid(scenes: Sequence[Scene], grid: Grid, cache: Path, runner: Runner) -> list[Scene]:
    """The scenes on one grid; those that lie on another are warped into the cache."""
    return [
        scene if scene.grid.same_as(grid) else warp_scene(scene, grid, (0.0, 0.0), cache, runner) for scene in scenes
    ]


def index_series(
    scenes: Sequence[Scene],
    name: str,
    zone: gpd.GeoDataFrame | None,
    cache: Path,
    runner: Runner,
    *,
    together: bool = False,
) -> tuple[IndexDate, ...]:
    """Mean of an index over a zone on each date.

    Args:
        scenes: by date; at least one.
        name: key of INDICES.
        zone: from ``read_zone``; pixels count with the share of them inside it. None for all.
        cache: folder for warped scenes.
        runner: threads or a cluster.
        together: only pixels that are clear on all dates, so that means can be compared.

    Raises:
        CannotTell: DN_ONLY, a scene holds uncalibrated numbers.
        InputError: no scenes, an unknown index, or a scene lacks one of its bands.
        GridError: the zone lies outside the first scene.
    """
    if name not in INDICES or not scenes:
        raise InputError(f"index {name!r} of {len(scenes)} scenes: expected one of {', '.join(INDICES)}, and a scene")
    _refuse_numbers(scenes)
    grid = scenes[0].grid
    laid = on_grid(scenes, grid, cache, runner)
    sums, total = np.zeros((len(laid), 3)), 0.0
    measure = partial(_index_sums, laid, name, exact_areas(grid), together)
    for part, ground in runner.map(measure, _pieces(zone, grid)):
        sums += part
        total += ground
    return tuple(_index_date(scene, row, total) for scene, row in zip(scenes, sums, strict=True))


def linear_trend(dates: Sequence[str], values: Sequence[float]) -> Trend:
    """Slope of values over their dates, with its standard error and the intervals that stand out.

    Ordinary least squares (``scipy.stats.linregress``); the 95 % interval is the slope plus and minus Student's t of
    n - 2 degrees of freedom times its standard error. Measurement errors of the values are not in it. An interval
    stands out where its change per year lies more than three scaled median absolute deviations from the median of
    all (Hampel 1974, doi:10.1080/01621459.1974.10482962); below four intervals none does.

    Args:
        dates: ISO, rising, two or more.
        values: one per date.

    Raises:
        InputError: fewer than two dates, dates that do not rise, or not one value per date.
    """
    if len(dates) < 2 or len(dates) != len(values) or list(dates) != sorted(set(dates)):
        raise InputError(f"a trend of {len(values)} values on {', '.join(dates)}: expected two or more rising dates")
    years = np.array([date.fromisoformat(day).toordinal() / _YEAR_DAYS for day in dates])
    numbers = np.asarray(values, np.float64)
    if np.ptp(numbers) == 0:
        # Equal values leave nothing to explain, and nothing unexplained.
        return Trend(0.0, 0.0, 1.0, (0.0, 0.0), ()) if len(dates) > 2 else Trend(0.0, float("nan"), 1.0, None, ())
    line = stats.linregress(years, numbers)
    error = float(line.stderr) if len(dates) > 2 else float("nan")
    reach = float(stats.t.ppf(0.975, len(dates) - 2)) * error if len(dates) > 2 else 0.0
    interval = (float(line.slope) - reach, float(line.slope) + reach) if len(dates) > 2 else None
    r2 = float(line.rvalue) ** 2
    return Trend(float(line.slope), error, r2, interval, _breaks(np.diff(numbers) / np.diff(years)))


@dataclass(frozen=True)
class Fields:
    """Where cropland could lie idle: cropland before, and nothing since that would explain bare ground.

    Args:
        before: land cover ahead of the first season, uint8 ids of LAND_CLASSES.
        after: land cover of the last season, on the same grid.
        grid: of both.
    """

    before: Path
    after: Path
    grid: Grid

    def read(self, block: Block) -> NDArray[np.bool_]:
        """Fields in a block, (h, w)."""
        before, after = (read_codes(path, block) for path in (self.before, self.after))
        return (before == _CROPLAND) & np.isin(after, _STILL_FIELDS)


def idle_cropland(
    fields: Fields,
    years: Mapping[int, Sequence[Scene]],
    zone: gpd.GeoDataFrame | None,
    cache: Path,
    runner: Runner,
    limits: Mapping[int, float] | None = None,
) -> IdleCropland:
    """Cropland whose NDVI never rose in any of some years.

    A year's limit is GROWN_SHARE times the median, over all cropland, of the greatest NDVI of the year. Fields that
    weeds or shrubs have covered are green and are not found; a year of bare fallow by rotation is.

    Args:
        fields: the ground that is looked at.
        years: scenes by year, two years or more.
        zone: from ``read_zone``; None for all.
        cache: folder for warped scenes.
        runner: threads or a cluster.
        limits: of each year, as found before for the same fields and scenes; None finds them.

    Raises:
        CannotTell: DN_ONLY; or NO_CLEAR_IMG where a year has fewer than MIN_SEASON_DATES scenes.
        InputError: fewer than two years.
    """
    if len(years) < 2:
        raise InputError(f"idle cropland needs two years or more, got {len(years)}")
    short = {year: len(scenes) for year, scenes in years.items() if len(scenes) < MIN_SEASON_DATES}
    if short:
        told = ", ".join(f"{year}: {count}" for year, count in short.items())
        raise CannotTell("NO_CLEAR_IMG", f"clear dates {told}; {MIN_SEASON_DATES} a year are needed")
    _refuse_numbers([scene for scenes in years.values() for scene in scenes])
    grid = fields.grid
    laid = {year: on_grid(scenes, grid, cache, runner) for year, scenes in years.items()}
    known_limits = dict(limits) if limits is not None else _limits(fields, laid, runner)
    totals = np.zeros(4)
    for part in runner.map(partial(_idle_sums, fields, laid, known_limits, exact_areas(grid)), _pieces(zone, grid)):
        totals += part
    days = {year: tuple(scene.record.date for scene in scenes) for year, scenes in laid.items()}
    known, judged, idle, edge = (float(value) for value in totals)
    return IdleCropland(known, judged, idle, edge, known_limits, days)


def _limits(fields: Fields, laid: Mapping[int, Sequence[Scene]], runner: Runner) -> dict[int, float]:
    """Each year's limit: GROWN_SHARE of the median field's greatest NDVI."""
    limits = {}
    for year, scenes in laid.items():
        blocks = blocks_of(fields.grid.shape_hw)
        peaks = np.concatenate(list(runner.map(partial(_field_peaks, fields, scenes), blocks)))
        limits[year] = GROWN_SHARE * float(np.median(peaks)) if len(peaks) else 0.0
    return limits


def _refuse_numbers(scenes: Sequence[Scene]) -> None:
    raw = [scene.record.id for scene in scenes if scene.record.quantity == "dn"]
    if raw:
        raise CannotTell("DN_ONLY", f"{', '.join(raw)} hold uncalibrated numbers; add Level-2 products")


def _pieces(zone: gpd.GeoDataFrame | None, grid: Grid) -> list[ZonePiece]:
    if zone is not None:
        return zone_pieces(zone, grid)
    return [ZonePiece(block, None) for block in blocks_of(grid.shape_hw)]


def _index_of(scene: Scene, name: str, block: Block) -> NDArray[np.float32]:
    """Index of a block, NaN where the ground was not seen."""
    roles = INDICES[name].roles
    values = compute_index(name, dict(zip(roles, scene.read(block, roles), strict=True)))
    values[~scene.clear(block)] = np.nan
    return values


def _index_sums(
    scenes: Sequence[Scene], name: str, areas: ExactAreas, together: bool, piece: ZonePiece
) -> tuple[_Floats, float]:
    """Per scene: ground seen, ground times index, ground times its square; and the ground of the piece, m2."""
    ground = areas.block(piece.block) * coverage(piece.geometry, piece.block)
    stack = np.stack([_index_of(scene, name, piece.block) for scene in scenes]).astype(np.float64)
    seen = np.isfinite(stack)
    if together:
        seen[:] = seen.all(axis=0)
    weight = ground * seen
    known = np.where(seen, stack, 0.0)
    sums = [(weight * part).sum(axis=(1, 2)) for part in (1.0, known, known**2)]
    return np.stack(sums, axis=1), float(ground.sum())


def _index_date(scene: Scene, sums: _Floats, ground: float) -> IndexDate:
    seen, first, second = (float(value) for value in sums)
    if seen <= 0:
        return IndexDate(scene.record.date, scene.record.id, float("nan"), float("nan"), 0.0)
    mean = first / seen
    return IndexDate(scene.record.date, scene.record.id, mean, max(second / seen - mean**2, 0.0) ** 0.5, seen / ground)


def _breaks(rates: _Floats) -> tuple[int, ...]:
    if len(rates) < _BREAK_INTERVALS:
        return ()
    away = np.abs(rates - np.median(rates))
    limit = _HAMPEL * _MAD_SCALE * float(np.median(away))
    return tuple(int(index) for index in np.flatnonzero(away > limit))


def _season_peak(scenes: Sequence[Scene], block: Block) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Greatest NDVI of the scenes, NaN where none was clear, and how many were, (h, w) each."""
    stack = np.stack([_index_of(scene, "NDVI", block) for scene in scenes])
    return np.fmax.reduce(stack, axis=0), np.isfinite(stack).sum(axis=0)


def _field_peaks(fields: Fields, scenes: Sequence[Scene], block: Block) -> NDArray[np.float32]:
    peak, count = _season_peak(scenes, block)
    return peak[fields.read(block) & (count >= MIN_SEASON_DATES)]


def _idle_sums(
    fields: Fields,
    years: Mapping[int, Sequence[Scene]],
    limits: Mapping[int, float],
    areas: ExactAreas,
    piece: ZonePiece,
) -> _Floats:
    """Ground of cropland, judged, idle, and half a pixel along the idle ground's outline, m2."""
    block = piece.block
    known = fields.read(block)
    judged, idle = known.copy(), known.copy()
    for year, scenes in years.items():
        peak, count = _season_peak(scenes, block)
        judged &= count >= MIN_SEASON_DATES
        with np.errstate(invalid="ignore"):
            idle &= peak < limits[year]
    idle &= judged
    ground = areas.rounded(areas.block(block) * coverage(piece.geometry, block))
    other = np.pad(judged & ~idle, 1).astype(np.float64)
    sides = other[:-2, 1:-1] + other[2:, 1:-1] + other[1:-1, :-2] + other[1:-1, 2:]
    edge = 0.5 * ground * idle * sides
    return np.array([(ground * known).sum(), (ground * judged).sum(), (ground * idle).sum(), edge.sum()])
