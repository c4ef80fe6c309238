"""Which dates a series rests on: one scene a year, all of one season."""

from collections.abc import Sequence
from dataclasses import dataclass

from src.assistant.county import Place
from src.assistant.metrics.study import days_between
from src.assistant.query import Query
from src.assistant.record import Evidence, SceneUse
from src.assistant.scenes import Candidate, comparable, pick_latest_pair, pick_states, scene_use
from src.geo.series import same_season

# A scene this far from a day may stand for its year.
_NEAR_DAYS = 45


@dataclass(frozen=True)
class Epochs:
    """One scene a year, all of one season.

    Args:
        chosen: by date; fewer than two where there are no more.
        scenes: those, and what was looked at and left out.
    """

    chosen: tuple[Candidate, ...]
    scenes: tuple[SceneUse, ...]

    @property
    def days(self) -> list[str]:
        """Acquisition dates."""
        return [one.day for one in self.chosen]


def yearly(found: Sequence[Candidate], t1: str | None, t2: str | None) -> Epochs:
    """The clear scene nearest to the end of a period, and one of its season for each year before.

    Args:
        found: from ``candidates``.
        t1: start, ISO; None for all there is.
        t2: end; None for the latest.
    """
    clear = [one for one in found if one.clear]
    end = t2 or max((one.day for one in clear), default="")
    last = min(clear, key=lambda one: (_away(one.day, end), -one.clear_share), default=None)
    if last is None:
        return Epochs((), tuple(scene_use(one, False, "cloudy") for one in found))
    chosen = [last]
    like = [one for one in clear if same_season(one.day, last.day) and comparable(one.scene, last.scene)]
    for year in range(int(last.day[:4]) - 1, int(found[0].day[:4]) - 2, -1):
        wanted = f"{year}{last.day[4:]}".replace("-02-29", "-02-28")
        near = [one for one in like if _away(one.day, wanted) <= _NEAR_DAYS]
        near = [one for one in near if t1 is None or days_between(one.day, t1) <= _NEAR_DAYS]
        if near:
            chosen.append(min(near, key=lambda one: (_away(one.day, wanted), -one.clear_share)))
    return Epochs(tuple(reversed(chosen)), series_uses(found, chosen))


def series_uses(found: Sequence[Candidate], chosen: Sequence[Candidate]) -> tuple[SceneUse, ...]:
    """Dates of a series, and those left out with the reason."""
    taken = {one.scene.record.id for one in chosen}
    uses = []
    for one in found:
        used = one.scene.record.id in taken
        alike = any(same_season(one.day, other.day) for other in chosen)
        why = "series" if used else "cloudy" if not one.clear else "farther" if alike else "season"
        uses.append(scene_use(one, used, why))
    return tuple(uses)


def yearly_or_pair(found: Sequence[Candidate], query: Query) -> tuple[tuple[Candidate, ...], tuple[SceneUse, ...]]:
    """One date a year, or where there are not two of them, the pair that the period has; raises NoScene."""
    epochs = yearly(found, query.t1, query.t2)
    if len(epochs.chosen) > 1:
        return epochs.chosen, epochs.scenes
    if query.t1 and query.t2:
        before, after, uses = pick_states(found, query.t1, query.t2)
    else:
        before, after, uses = pick_latest_pair(found, query.t2)
    taken = (before.record.id, after.record.id)
    return tuple(one for one in found if one.scene.record.id in taken), uses


def few_dates(
    query: Query, place: Place, uses: tuple[SceneUse, ...], days: Sequence[str], detail: Sequence[str] = ()
) -> Evidence:
    """The answer where there are too few dates; ``days`` are those that there are."""
    return Evidence(
        query=query,
        status="cannot_tell",
        reason="few_dates",
        next_step="add_dates",
        detail=tuple(detail),
        choices=tuple(days),
        t1=query.t1,
        t2=query.t2,
        place=place.name,
        scenes=uses,
    )


def _away(one: str, other: str) -> int:
    return abs(days_between(one, other))
