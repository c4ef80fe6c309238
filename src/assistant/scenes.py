"""Which acquisitions a question rests on, and why the others were left out.

Questions name days of the calendar; satellites pass when they pass and see what
clouds leave. A question about states (area, gain over a year) takes the clear
scenes nearest to its days, and for two days those of like seasons. A question
about a short window (what turned up last month) takes the last clear scene in the
window and the last clear one before it. Everything looked at is told.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import product

import geopandas as gpd
import numpy as np
import shapely

from src.assistant.changes import read_json, short, write_json
from src.assistant.county import County, Place, season_days
from src.assistant.record import SceneUse
from src.errors import GridError
from src.geo.caveats import CannotTell
from src.geo.change.pairs import SEASON_DAYS, common_roles, sensor_caveats
from src.geo.raster import read_raster
from src.geo.scene import CLEAR, Scene
from src.geo.vector import rasterize

# A scene is asked to show at least this share of the place; below LOW_COVERAGE_SHARE of the pair a caveat is said.
MIN_CLEAR_SHARE = 0.5
# No scene stands for a day further away than this: two thirds of a year is another growing season.
FARTHEST_DAYS = 200
# For a short period the limit is the period's own length, but at least this.
LEAST_FARTHEST_DAYS = 45
# Periods up to a quarter count as windows for questions about patches.
WINDOW_DAYS = 100
# Of the asked period, at least this share must lie between the two acquisitions.
MIN_SHARED_PERIOD = 0.5
# Cost of each day by which two seasons differ beyond SEASON_DAYS, in days of distance from the asked day.
_SEASON_WEIGHT = 2.0
# Clear shares are counted on a lattice of about this many pixels.
_LATTICE_PX = 500_000
_LISTED_LEFT_OUT = 12


@dataclass(frozen=True)
class Candidate:
    """A scene with what it shows of the place.

    Args:
        scene: on disk.
        clear_share: of the place, 0..1.
    """

    scene: Scene
    clear_share: float

    @property
    def day(self) -> str:
        """Acquisition date, ISO."""
        return self.scene.record.date

    @property
    def clear(self) -> bool:
        """Whether it shows enough."""
        return self.clear_share >= MIN_CLEAR_SHARE


class NoScene(CannotTell):
    """No scene carries the question; ``looked_at`` is what there was, ``reason`` a key of the answer texts."""

    def __init__(self, reason: str, looked_at: Sequence[SceneUse] = ()) -> None:
        super().__init__("NO_CLEAR_IMG", reason)
        self.reason, self.looked_at = reason, tuple(looked_at)


def candidates(county: County, place: Place) -> list[Candidate]:
    """All scenes up to today with the share of the place that each shows, by date."""
    return [Candidate(scene, clear_share(county, scene, place)) for scene in county.scenes()]


def clear_share(county: County, scene: Scene, place: Place) -> float:
    """Share of a place that a scene shows clearly, 0..1; ground outside the scene is not shown.

    Counted on a regular lattice of pixels, and kept. Without an outline, of what the scene measured.
    """
    if place.outline is None:
        return scene.record.clear_share
    note = county.workspace.cache / "known" / f"clear_{scene.record.id}_{short([scene.record.content, place.key])}.json"
    known = read_json(note)
    if known is None:
        known = {"share": _lattice_share(scene, place)}
        write_json(note, known)
    return float(known["share"])


def pick_one(found: Sequence[Candidate], day: str | None) -> tuple[Scene, tuple[SceneUse, ...]]:
    """The scene for a state on one day.

    Args:
        found: from ``candidates``.
        day: ISO; None means the latest.

    Returns:
        The clear scene nearest to the day (of equals the clearer), and all that was looked at.

    Raises:
        NoScene: "no_scene" where none lies within FARTHEST_DAYS, "NO_CLEAR_IMG" where none of those is clear enough.
    """
    if day is None:
        near = list(found)
        usable = [one for one in near if one.clear]
        chosen = max(usable, key=lambda one: (one.day, one.clear_share), default=None)
    else:
        near = [one for one in found if _days(one.day, day) <= FARTHEST_DAYS]
        usable = [one for one in near if one.clear]
        chosen = min(usable, key=lambda one: (_days(one.day, day), -one.clear_share, one.day), default=None)
    if chosen is None:
        raise _no_scene(near, found)
    return chosen.scene, _uses(near, {chosen.scene.record.id: "only" if len(usable) == 1 else "nearest"}, [chosen])


def pick_states(found: Sequence[Candidate], t1: str, t2: str) -> tuple[Scene, Scene, tuple[SceneUse, ...]]:
    """The pair for the states of two days.

    Cost of a pair: days from each asked day. Where the asked days are of one season, as for years, also days by which
    the interval is longer or shorter than asked, and twice the days by which its seasons differ beyond SEASON_DAYS: a
    pair of like seasons wins over a nearer one of unlike seasons.

    Args:
        found: from ``candidates``.
        t1: first day, ISO.
        t2: last day.

    Raises:
        NoScene: "one_date", "no_scene" or "NO_CLEAR_IMG".
    """
    length = _days(t1, t2)
    farthest = min(FARTHEST_DAYS, max(LEAST_FARTHEST_DAYS, length))
    near = [one for one in found if min(_days(one.day, t1), _days(one.day, t2)) <= farthest]
    usable = [one for one in near if one.clear]
    pairs = [
        (first, last)
        for first, last in product(usable, usable)
        if first.day < last.day
        and _days(first.day, t1) <= farthest
        and _days(last.day, t2) <= farthest
        and _shared(first.day, last.day, t1, t2) >= MIN_SHARED_PERIOD * length
        and comparable(first.scene, last.scene)
    ]
    if not pairs:
        raise _no_scene(near, found, pair=True)

    def cost(pair: tuple[Candidate, Candidate]) -> tuple[float, float, str]:
        first, last = pair
        away = float(_days(first.day, t1) + _days(last.day, t2))
        if season_days(t1, t2) <= SEASON_DAYS:
            apart = max(0, season_days(first.day, last.day) - SEASON_DAYS)
            away += abs(_days(first.day, last.day) - length) + _SEASON_WEIGHT * apart
        return away, -(first.clear_share + last.clear_share), last.scene.record.id

    first, last = min(pairs, key=cost)
    why = {one.scene.record.id: "nearest" for one in (first, last)}
    return first.scene, last.scene, _uses(near, why, [first, last])


def pick_window(found: Sequence[Candidate], t1: str, t2: str) -> tuple[Scene, Scene, tuple[SceneUse, ...]]:
    """The pair for what turned up in a window: last clear scene in it, and last clear one up to its start.

    Where nothing clear lies before it, the first clear scene in it, so that a part of the window can be answered.

    Args:
        found: from ``candidates``.
        t1: day before the window, ISO.
        t2: its last day.

    Raises:
        NoScene: "NO_CLEAR_IMG" where scenes of the window are all cloudy, "no_scene" where there are none,
            "one_date" where only one can be compared.
    """
    inside = [one for one in found if t1 < one.day <= t2]
    clear = [one for one in inside if one.clear]
    if not clear:
        raise NoScene("NO_CLEAR_IMG" if inside else "no_scene", _uses(inside or _latest(found), {}, []))
    last = max(clear, key=lambda one: (one.day, one.clear_share))
    earlier = [one for one in found if one.day <= t1 and _days(one.day, t1) <= FARTHEST_DAYS]
    usable = [one for one in earlier if one.clear and comparable(one.scene, last.scene)]
    within = [one for one in clear if one.day < last.day and comparable(one.scene, last.scene)]
    if not usable and not within:
        raise NoScene("one_date", _uses([*earlier, *inside], {}, []))
    first = max(usable, key=lambda one: (one.day, one.clear_share)) if usable else min(within, key=lambda one: one.day)
    looked_at = [one for one in [*earlier, *inside] if one.day >= first.day]
    why = {first.scene.record.id: "before_window" if usable else "window", last.scene.record.id: "window"}
    return first.scene, last.scene, _uses(looked_at, why, [first, last])


def pick_latest_pair(found: Sequence[Candidate], t2: str | None = None) -> tuple[Scene, Scene, tuple[SceneUse, ...]]:
    """The latest pair that can be compared: of like seasons where there is one, else the last two clear dates.

    Args:
        found: from ``candidates``.
        t2: day that the later scene should be nearest to; None means the latest.

    Raises:
        NoScene: "one_date", "no_scene" or "NO_CLEAR_IMG".
    """
    scene, _ = pick_one(found, t2)
    last = next(one for one in found if one.scene.record.id == scene.record.id)
    usable = [one for one in found if one.clear and one.day < last.day and comparable(one.scene, scene)]
    if not usable:
        raise NoScene("one_date", _uses(found, {}, []))
    alike = [one for one in usable if season_days(one.day, last.day) <= SEASON_DAYS]
    # Weeks apart is one season, but no year.
    yearly = [one for one in alike if _days(one.day, last.day) > FARTHEST_DAYS]
    first = max(yearly or usable, key=lambda one: (one.day, one.clear_share))
    why = {one.scene.record.id: "nearest" for one in (first, last)}
    return first.scene, last.scene, _uses(found, why, [first, last])


def comparable(before: Scene, after: Scene) -> bool:
    """Whether two scenes measure the same quantity in at least three common bands."""
    try:
        sensor_caveats(before, after)
        common_roles(before, after)
    except CannotTell:
        return False
    return True


def scene_use(one: Candidate, used: bool, why: str) -> SceneUse:
    """A scene as the evidence lists it; ``why`` is a key of SCENE_REASONS."""
    record = one.scene.record
    return SceneUse(
        id=record.id,
        date=record.date,
        sensor=record.sensor,
        level=record.level,
        clear_share=round(one.clear_share, 4),
        cloud_percent=record.cloud_percent,
        used=used,
        why=why,
    )


def _uses(looked_at: Sequence[Candidate], why: dict[str, str], chosen: Sequence[Candidate]) -> tuple[SceneUse, ...]:
    """Those taken, and the nearest of those left out, by date."""
    taken = [scene_use(one, True, why[one.scene.record.id]) for one in chosen]
    days = [one.day for one in chosen]
    others = [one for one in looked_at if one.scene.record.id not in why]
    if days:
        others.sort(key=lambda one: min(_days(one.day, day) for day in days))
    left = [scene_use(one, False, _why_not(one, chosen)) for one in others[:_LISTED_LEFT_OUT]]
    return tuple(sorted([*taken, *left], key=lambda use: (use.date, use.id)))


def _why_not(one: Candidate, chosen: Sequence[Candidate]) -> str:
    if not one.clear:
        return "cloudy"
    if len(chosen) > 1 and min(season_days(one.day, other.day) for other in chosen) > SEASON_DAYS:
        return "season"
    return "farther"


def _no_scene(near: Sequence[Candidate], found: Sequence[Candidate], *, pair: bool = False) -> NoScene:
    """Why there is none: nothing near the days, all of it cloudy, or one date where two are needed."""
    clear = [one for one in near if one.clear]
    if not near:
        return NoScene("no_scene", _uses(_latest(found), {}, []))
    if not clear:
        return NoScene("NO_CLEAR_IMG", _uses(near, {}, []))
    if pair and len({one.day for one in found if one.clear}) < 2:
        return NoScene("one_date", _uses(near, {}, []))
    cloudy = pair and any(not one.clear for one in near)
    return NoScene("NO_CLEAR_IMG" if cloudy else "no_scene", _uses(near, {}, []))


def _latest(found: Sequence[Candidate]) -> list[Candidate]:
    return sorted(found, key=lambda one: one.day)[-_LISTED_LEFT_OUT:]


def _shared(first: str, last: str, t1: str, t2: str) -> int:
    """Days that lie in both intervals."""
    start, end = max(first, t1), min(last, t2)
    return _days(start, end) if start < end else 0


def _days(one: str, other: str) -> int:
    return abs((date.fromisoformat(one) - date.fromisoformat(other)) // timedelta(days=1))


def _lattice_share(scene: Scene, place: Place) -> float:
    """Clear pixels of the place over all of it, on every k-th pixel; what the scene does not reach is not clear."""
    height, width = scene.grid.shape_hw
    step = max(1, int(np.sqrt(height * width / _LATTICE_PX)))
    mask = read_raster(scene.folder / "mask.tif").data[0][step // 2 :: step, step // 2 :: step]
    assert place.outline is not None and scene.grid.crs is not None
    outline = place.outline.to_crs(scene.grid.crs)
    try:
        inside = rasterize(outline, scene.grid.resized(mask.shape), values=np.ones(len(outline), np.uint8)) > 0
    except GridError:
        # Nothing of it is on the scene.
        return 0.0
    if not inside.any():
        return 0.0
    reached = min(1.0, _reached(scene, outline.geometry))
    return float((mask[inside] == CLEAR).mean()) * reached


def _reached(scene: Scene, shapes: gpd.GeoSeries) -> float:
    """Share of the outline's area inside the scene's frame."""
    frame = shapely.box(*scene.grid.bounds())
    whole = shapely.area(shapes.to_numpy()).sum()
    return float(shapely.area(shapely.intersection(shapes.to_numpy(), frame)).sum() / whole) if whole else 0.0
