"""Change of the county over time: events with a start date, stages, and the cover at a date."""

from dataclasses import dataclass
from datetime import date

import numpy as np

from src.geo.simulation.cover import Cover
from src.geo.simulation.landscape import Landscape, orchard_cover, pond_cover
from src.geo.simulation.noise import hash01
from src.geo.simulation.parcels import Cells, crops_in_year
from src.geo.simulation.settlements import VILLAGE, WORKS, mosaic

# Kind of event: weight in the draw, and the covers that it may replace.
_FIELDS = (Cover.CROP, Cover.FIELD_PATH)
_WOODS = (Cover.BROADLEAF, Cover.CONIFER, Cover.SHRUB)
_GRASSES = (Cover.GRASS, Cover.DRY_GRASS)
_KINDS: dict[str, tuple[float, tuple[Cover, ...]]] = {
    "construction": (0.40, (*_FIELDS, Cover.ORCHARD_CANOPY, Cover.ORCHARD_FLOOR)),
    "cultivation": (0.12, (*_WOODS, *_GRASSES)),
    "orchard_planting": (0.14, _FIELDS),
    "afforestation": (0.12, (*_GRASSES, Cover.BARE_SOIL)),
    "pond_digging": (0.07, _FIELDS),
    "pond_filling": (0.04, (Cover.POND,)),
    "quarrying": (0.04, (*_WOODS, *_GRASSES)),
    "abandonment": (0.07, _FIELDS),
}
# Kinds that take whole parcels.
_BY_PARCEL = ("cultivation", "construction", "orchard_planting", "pond_digging", "abandonment")
_PARCEL_REACH_M, _SMALLEST_M2 = 400.0, 900.0
# Share of the county that changes between the first and the last date, and the length of the bare-soil
# stage of a building site in days.
_CHANGED_SHARE = (0.03, 0.07)
# A kind of change takes at most this share, times its weight, of the covers that it may replace.
_LARGEST_LOSS = 0.3
_SITE_DAYS = (60, 180)


@dataclass(frozen=True)
class Event:
    """One change of cover.

    Attributes:
        kind: key of _KINDS.
        start: day it begins.
        site_days: days of bare soil before the final cover (0 for all but construction).
        cells: int64 flat indices of the fine cells that it changes.
        after: uint8, their final cover.
        tone: float32, their final tone.
        style: settlement style that it builds, or 0.
    """

    kind: str
    start: date
    site_days: int
    cells: np.ndarray
    after: np.ndarray
    tone: np.ndarray
    style: int


@dataclass(frozen=True)
class State:
    """The county on one day.

    Attributes:
        day: the day.
        cover: uint8 (n, n) of Cover codes.
        tone: float32 (n, n), see Landscape.
        style: uint8 (n, n), settlement style or 0.
        crop: uint8 (parcels,) of Crop codes.
        water_level_m: of lakes and reservoirs, above normal.
    """

    day: date
    cover: np.ndarray
    tone: np.ndarray
    style: np.ndarray
    crop: np.ndarray
    water_level_m: float


def plan_events(landscape: Landscape, dates: list[date]) -> list[Event]:
    """Draw the changes of a county.

    Args:
        landscape: the county before change.
        dates: acquisition dates; most events begin between the first and the last, some up to a year
            before the first, so that building sites exist from the start.

    Returns:
        Events that never share a cell, in the order of their draw.
    """
    rng = np.random.default_rng([landscape.seed, 3])
    frame = landscape.frame
    wanted = rng.uniform(*_CHANGED_SHARE) * frame.n**2
    first, last = min(dates).toordinal(), max(dates).toordinal()
    free = np.ones(landscape.cover.shape, bool)
    events: list[Event] = []
    names, weights = list(_KINDS), np.array([w for w, _ in _KINDS.values()])
    of_cover = np.bincount(landscape.cover.ravel(), minlength=len(Cover))
    left = {kind: _LARGEST_LOSS * weight * of_cover[list(old)].sum() for kind, (weight, old) in _KINDS.items()}
    changed = 0
    for _ in range(1500):
        if changed >= wanted:
            break
        kind = str(rng.choice(names, p=weights / weights.sum()))
        cells = _region(landscape, kind, free, rng) if left[kind] > 0 else None
        if cells is None or len(cells[0]) > left[kind]:
            continue
        free[cells] = False
        left[kind] -= len(cells[0])
        early = rng.random() < 0.15 or last - first < 10
        start = rng.integers(first - 360, first) if early else rng.integers(first + 3, last - 3)
        style = int(WORKS if rng.random() < 0.4 else VILLAGE) if kind == "construction" else 0
        after, tone = _outcome(landscape, kind, cells, style)
        site_days = int(rng.integers(*_SITE_DAYS)) if kind == "construction" else 0
        changed += len(after)
        flat = np.ravel_multi_index(cells, free.shape)
        events.append(Event(kind, date.fromordinal(int(start)), site_days, flat, after, tone, style))
    return events


def _region(landscape: Landscape, kind: str, free: np.ndarray, rng: np.random.Generator) -> Cells | None:
    """Cells of a new event: whole parcels on farmland, a ragged patch elsewhere; None if the draw fails."""
    frame, parcels = landscape.frame, landscape.parcels
    allowed = _KINDS[kind][1]
    centre = _centre(landscape, kind, allowed, rng)
    if centre is None:
        return None
    largest_m = 80.0 if kind == "quarrying" else 150.0
    radius_m = min(float(rng.uniform(35.0, largest_m)) * frame.unit, 0.1 * frame.side_m)
    # Parcels reach beyond the radius, but not further than this.
    reach = int((radius_m + _PARCEL_REACH_M * frame.unit) / frame.cell_m)
    row, col = (int(np.clip(c / frame.cell_m, 0, frame.n - 1)) for c in centre[::-1])
    window = np.s_[max(row - reach, 0) : row + reach, max(col - reach, 0) : col + reach]
    if kind == "pond_filling":
        chosen = parcels.index[window] == parcels.index[row, col]
    elif kind in _BY_PARCEL:
        uneven = 0.75 + 0.5 * hash01(landscape.seed + 55, np.arange(parcels.count))
        distance = np.hypot(parcels.centre_m[:, 0] - centre[0], parcels.centre_m[:, 1] - centre[1])
        chosen = (distance < radius_m * uneven)[parcels.index[window]]
    else:
        x, y = frame.xy()
        distance = np.hypot(x[:, window[1]] - np.float32(centre[0]), y[window[0]] - np.float32(centre[1]))
        chosen = distance / np.float32(radius_m) + 0.45 * landscape.ragged[window] < 1.0
    chosen &= np.isin(landscape.cover[window], [int(c) for c in allowed]) & free[window]
    if np.count_nonzero(chosen) * frame.cell_m**2 < _SMALLEST_M2 * frame.unit**2:
        return None
    rows, cols = np.nonzero(chosen)
    return rows + window[0].start, cols + window[1].start


def _centre(
    landscape: Landscape, kind: str, allowed: tuple[Cover, ...], rng: np.random.Generator
) -> tuple[float, float] | None:
    """A point of an allowed cover; construction prefers the edge of a settlement or a road."""
    frame = landscape.frame
    if kind == "construction" and landscape.places and rng.random() < 0.75:
        place = landscape.places[int(rng.integers(len(landscape.places)))]
        angle, reach = rng.uniform(0, 2 * np.pi), place.radius_m * rng.uniform(0.9, 1.4) + 30.0
        return place.centre_m[0] + reach * np.cos(angle), place.centre_m[1] + reach * np.sin(angle)
    if kind == "construction" and landscape.roads:
        line = landscape.roads[int(rng.integers(len(landscape.roads)))].line
        point = line.interpolate(rng.random(), normalized=True)
        return point.x + float(rng.normal(0, 50.0)), point.y + float(rng.normal(0, 50.0))
    spots = np.argwhere(np.isin(frame.coarse(landscape.cover), [int(c) for c in allowed]))
    if len(spots) == 0:
        return None
    row, col = spots[int(rng.integers(len(spots)))] * frame.coarse_step * frame.cell_m
    return float(col), float(row)


def _outcome(landscape: Landscape, kind: str, cells: Cells, style: int) -> tuple[np.ndarray, np.ndarray]:
    """Final cover and tone of the event's cells."""
    parcels = landscape.parcels
    tone = np.zeros(len(cells[0]), np.float32)
    if kind == "construction":
        styles = np.full(len(cells[0]), style, np.uint8)
        return mosaic(styles, cells, parcels, landscape.frame, landscape.seed + 51)
    if kind == "orchard_planting":
        rows = orchard_cover(parcels, cells, landscape.garden_period_m)
        return np.where(rows == Cover.ORCHARD_CANOPY, np.uint8(Cover.YOUNG_ORCHARD), rows), tone
    if kind == "pond_digging":
        return pond_cover(parcels, cells), tone
    final = {
        "cultivation": Cover.CROP,
        "afforestation": Cover.YOUNG_FOREST,
        "pond_filling": Cover.CROP,
        "quarrying": Cover.QUARRY,
        "abandonment": Cover.GRASS,
    }[kind]
    return np.full(len(cells[0]), final, np.uint8), tone


def water_level(seed: int, day: date) -> float:
    """Level of lakes and reservoirs above normal in metres: high in late summer, low in spring, and weather."""
    season = 0.55 * np.sin(2 * np.pi * (day.timetuple().tm_yday - 140) / 365.25)
    weather = hash01(seed + 61, np.array([day.toordinal()]))[0]
    return float(season + 0.8 * (weather - 0.5))


def state_on(landscape: Landscape, events: list[Event], day: date) -> State:
    """Cover of the county on a day.

    Args:
        landscape: the county before change.
        events: from ``plan_events``.
        day: the day.

    Returns:
        The state; dry lake bed is Cover.MUDFLAT.
    """
    cover, tone, style = landscape.cover.copy(), landscape.tone.copy(), landscape.style.copy()
    flat_cover, flat_tone, flat_style = cover.reshape(-1), tone.reshape(-1), style.reshape(-1)
    for event in events:
        age_days = (day - event.start).days
        if age_days < 0:
            continue
        building = age_days < event.site_days
        flat_cover[event.cells] = np.uint8(Cover.CONSTRUCTION) if building else event.after
        flat_tone[event.cells] = 0.0 if building else event.tone
        flat_style[event.cells] = 0 if building else event.style
    level_m = water_level(landscape.seed, day)
    basin = landscape.terrain.basin_m
    cover[(cover == Cover.LAKE) & (basin + level_m <= 0)] = Cover.MUDFLAT
    # Farmland is diked; only wild banks are flooded.
    soft = np.isin(cover, [int(c) for c in (*_GRASSES, *_WOODS, Cover.SAND, Cover.BARE_SOIL)])
    cover[soft & (basin + level_m > 0) & (basin > -1.2)] = Cover.LAKE
    crop_year = day.year + (day.timetuple().tm_yday >= 275)
    crop = crops_in_year(landscape.profile, landscape.parcels, crop_year, landscape.seed)
    return State(day, cover, tone, style, crop, level_m)
