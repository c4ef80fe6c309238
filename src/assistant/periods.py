"""Periods that the images of a county can answer, to be offered where one is missing.

    answerable_periods(query, county)    # ("2024年", "2023年", "近一年", "近三年")

Each is said as an asker may type it, and is offered only where a pair of clear
images stands for it.
"""

from datetime import date

from src.assistant.county import County
from src.assistant.query import Query
from src.assistant.reading.times import years_back
from src.assistant.scenes import FARTHEST_DAYS, NoScene, candidates, pick_states
from src.assistant.text import day
from src.geo.caveats import CannotTell

_WINDOWS = {1: {"zh": "近一年", "en": "the past year"}, 3: {"zh": "近三年", "en": "the past three years"}}
_YEAR = {"zh": "{}年", "en": "{}"}
_RANGE = {"zh": "{}至{}", "en": "{} to {}"}
_MOST_YEARS = 5


def answerable_periods(query: Query, county: County) -> tuple[str, ...]:
    """Calendar years, the latest first, then the past year and the past three, that have a pair of images."""
    as_of = county.as_of
    dates = county.known().dates
    if not dates:
        return ()
    wanted = [
        (_YEAR[query.lang].format(year), date(year - 1, 12, 31), min(date(year, 12, 31), as_of))
        for year in range(as_of.year, int(dates[0][:4]) - 1, -1)
    ]
    windows = [(words[query.lang], years_back(as_of, years), as_of) for years, words in _WINDOWS.items()]
    years = [name for name, t1, t2 in wanted if _has_pair(query, county, t1.isoformat(), t2.isoformat())]
    return (
        *years[:_MOST_YEARS],
        *(name for name, t1, t2 in windows if _has_pair(query, county, t1.isoformat(), t2.isoformat())),
    )


def from_first_image(query: Query, county: County) -> tuple[str, tuple[str, ...]] | None:
    """Where a period begins long before the images do: their first day, and the period from there as a choice.

    Returns:
        None where the images begin in time, or end before the period's end.
    """
    dates = county.known().dates
    if not dates or query.t1 is None or query.t2 is None or not query.t1 < dates[0] < query.t2:
        return None
    if (date.fromisoformat(dates[0]) - date.fromisoformat(query.t1)).days <= FARTHEST_DAYS:
        return None
    shown = _RANGE[query.lang].format(day(dates[0], query.lang), day(query.t2, query.lang))
    return dates[0], (shown,) if _has_pair(query, county, dates[0], query.t2) else answerable_periods(query, county)


def nearest_first(days: tuple[str, ...], wanted: str | None) -> tuple[str, ...]:
    """Dates by their distance from a day, the latest first where no day is given."""
    if wanted is None:
        return tuple(sorted(days, reverse=True))
    target = date.fromisoformat(wanted)
    return tuple(sorted(days, key=lambda one: (abs((date.fromisoformat(one) - target).days), one)))


def _has_pair(query: Query, county: County, t1: str, t2: str) -> bool:
    try:
        place = county.place(query.zone, query)
    except CannotTell:
        place = county.place(None)
    try:
        pick_states(candidates(county, place), t1, t2)
    except NoScene:
        return False
    return True
