"""Set beside what was measured: "跟云溪镇比呢", "比去年呢", "这两年分别多少", "加起来多少".

The query before is one side. What cannot be set side by side (a ranking, periods
of unlike lengths, a county and one of its towns) is asked back.
"""

import re
from collections.abc import Sequence
from datetime import date
from typing import Any

from src.assistant.query import Query, ZoneRef
from src.assistant.reading.before import FLOWS, ask, kept, measured, names_any
from src.assistant.reading.fill import ADMINISTRATIVE, STATES, clarify, direction
from src.assistant.reading.slots import Slots
from src.assistant.reading.times import Period, read_times, years_back

_ZH_AGAINST = r"(?<!占)(?<!百分)比(?:起来|较|起)?(?!例|重|率|如|方)|相较|对比"
_EN_AGAINST = r"\bvs\b|\bpk\b|\bcompar\w+(?:\s+(?:to|with))?|\bversus\b|\bthan\b|\bagainst\b"
_AGAINST = re.compile(f"{_ZH_AGAINST}|{_EN_AGAINST}")
# Cut out, so that a year compared with is read as that year and not as the time since.
_LINKS = re.compile(rf"(?:跟|和|与|同(?!期))|相?(?:{_ZH_AGAINST})|{_EN_AGAINST}")
_SAME_PERIOD = re.compile(r"同期|\bsame\s+(?:period|time|quarter|month)")
_EACH = re.compile(r"分别|各自|各(?:是|有)?多少|\beach\b|\brespectively\b|\bseparately\b")
_SUM = re.compile(
    r"加起来|加在[1一]起|加[1一]起|合起来|[1一]起算|累计|加总|\baltogether\b|\bcombined\b|\btogether\b|\badd(?:ed)?\s+up\b"
)
_YEARS = re.compile(r"(?:\d+|几)\s*个?年|\byears\b")
_OWN = ("share", "trend", "rate", "structure", "matrix", "breakdown", "patch", "illegal", "vegetation", "abandoned")
_COMPARABLE = (*FLOWS, *STATES, "patches", "count")
# Periods whose lengths differ by more days are not set side by side.
_ALIKE_DAYS = 8
_MOST_YEARS = 4


def versus(base: Query, slots: Slots) -> Query | None:
    """What was measured against another place, period or class; None where nothing is compared."""
    if not (_AGAINST.search(slots.text) or slots.times.same_period) or slots.has(*_OWN):
        return None
    periods = _periods(slots)
    cls = slots.roles.cls
    named = [bool(slots.zone), bool(periods or slots.times.same_period), bool(cls)]
    if not any(named):
        return None
    base = base if slots.zone or cls else _one_side(base)
    way = measured(base)
    if way in STATES and slots.has("gain", "loss", "net", "change"):
        return None  # how much it rose or fell since
    if sum(named) > 1 or len(periods) > 1 or not _comparable(base) or slots.unknown_zone:
        return ask(slots, "compare_what")
    if slots.zone is not None:
        return _zones(base, slots, slots.zones if len(slots.zones) > 1 else [base.zone, slots.zone])
    if cls is not None:
        usable = base.cls not in (None, cls) and way in ("gain", "loss", "net", *STATES)
        return _beside(base, slots, "classes", [{}, {"cls": cls}]) if usable else ask(slots, "compare_what")
    other = _other_period(base, periods, same=_SAME_PERIOD.search(slots.text) is not None or slots.times.same_period)
    return _beside(base, slots, "periods", [{}, other]) if other else ask(slots, "compare_what")


def respectively(base: Query, slots: Slots) -> Query | None:
    """The same for each of some places or years; None where the question does not ask one by one.

    Two years named side by side are never joined to the time between their ends.
    """
    periods = [one for one in slots.times.periods if not one.future]
    places = [one for one in slots.zones if one is not None]
    alike = len(places) > 1 and len({one.type for one in places}) == 1
    side_by_side = alike or (len(periods) > 1 and all(one.form == "moment" and one.t1 for one in periods))
    if slots.groups or not (side_by_side or _EACH.search(slots.text)):
        return None
    base = _one_side(base)
    if alike:
        return _zones(base, slots, places)
    spans: Sequence[tuple[date | None, date]] = [one.span for one in periods]
    if len(periods) == 1 and periods[0].t1 is not None:
        spans = _years_of(periods[0].t1, periods[0].t2)
    if not spans:
        return None
    if len(spans) < 2 or not _comparable(base):
        return ask(slots, "compare_what")
    return _beside(base, slots, "periods", [_days(base, *span) for span in spans])


def altogether(base: Query, slots: Slots) -> Query | None:
    """A sum over what was measured before; None where none is asked for."""
    if not _SUM.search(slots.text) or slots.roles.cls is not None:
        return None
    periods = slots.times.periods
    if base.metric in ("patches", "count", "overlap") and not names_any(slots) and not _YEARS.search(slots.text):
        return base.changed(lang=slots.lang)  # its answer tells the area of all of them
    way = direction(slots) if slots.has("gain", "loss", "net") and measured(base) in ("gain", "loss", "net") else ""
    wanted = way or measured(base)
    if wanted not in FLOWS or slots.zones:
        return ask(slots, "sum_what")
    fields: dict[str, Any] = {"compare": None, "others": (), "rank": None, "group_by": None, "lang": slots.lang}
    if len(periods) > 1 and all(one.t1 is not None for one in periods):
        ordered = sorted(periods, key=lambda one: one.t2)
        if any(one.t2 != other.t1 for one, other in zip(ordered, ordered[1:], strict=False)):
            return ask(slots, "sum_what")
        return base.changed(metric=wanted, **fields, **_days(base, ordered[0].t1, ordered[-1].t2))
    if len(periods) == 1 and periods[0].form in ("window", "since", "range"):
        return base.changed(metric=wanted, **fields, **_days(base, *periods[0].span))
    if not periods and _YEARS.search(slots.text):
        lacking = base.changed(**fields, t1=None, t2=None)
        return clarify(slots, "need_period", wanted, **kept(lacking))
    return ask(slots, "sum_what")


def _one_side(base: Query) -> Query:
    """Of two periods compared, the first; another period is set beside it."""
    if base.metric == "compare" and base.compare == "periods":
        return base.changed(metric=measured(base), compare=None, others=())
    return base


def _comparable(base: Query) -> bool:
    """Whether it is one figure, which another can stand beside."""
    return base.metric in _COMPARABLE


def _periods(slots: Slots) -> tuple[Period, ...]:
    """Periods of the question, read without the words of comparing."""
    return read_times(_LINKS.sub(" ", slots.text), slots.as_of).periods if slots.times.periods else ()


def _other_period(base: Query, periods: Sequence[Period], *, same: bool) -> dict[str, Any] | None:
    """t1 and t2 of the other side; None where the two cannot be set side by side."""
    if base.t2 is None:
        return None
    t2 = date.fromisoformat(base.t2)
    state = measured(base) in STATES
    t1 = date.fromisoformat(base.t1) if base.t1 else None
    if t1 is None and not state:
        return None
    if same:
        # "The same period last year" is read as the time since then; "of 2022" as that year.
        years = t2.year - periods[0].t2.year if periods and periods[0].form == "moment" else 1
        if years < 1:
            return None
        return _days(base, years_back(t1, years) if t1 else None, years_back(t2, years))
    other = periods[0]
    if other.future or (other.t1, other.t2) == (t1, t2):
        return None
    if state:
        return _days(base, None, other.t2) if other.t2 != t2 else None
    if t1 is None or other.t1 is None or abs((other.t2 - other.t1).days - (t2 - t1).days) > _ALIKE_DAYS:
        return None
    return _days(base, *other.span)


def _zones(base: Query, slots: Slots, places: Sequence[ZoneRef | None]) -> Query:
    """The same in several places of a kind."""
    known = [one for one in places if one is not None]
    kinds = {one.type for one in known}
    alike = len(known) == len(places) == len(set(known)) and (len(kinds) == 1 or kinds <= ADMINISTRATIVE)
    if not alike or slots.unknown_zone or not _comparable(base):
        return ask(slots, "compare_what")
    return _beside(base, slots, "zones", [{"zone": one.model_dump(mode="json")} for one in known])


def _beside(base: Query, slots: Slots, compare: str, changes: Sequence[dict[str, Any]]) -> Query:
    """A comparison whose sides differ from the query before by these fields."""
    way = measured(base)
    if slots.has("gain", "loss", "net") and way in ("gain", "loss", "net") and changes[0]:
        way = direction(slots)
    plain: dict[str, Any] = {"compare": None, "others": (), "rank": None, "group_by": None, "lang": slots.lang}
    first = base.changed(metric=way, **(plain | dict(changes[0])))
    others = [first.changed(**change).to_json() for change in changes[1:]]
    return first.changed(metric="compare", compare=compare, others=others)


def _days(base: Query, t1: date | None, t2: date) -> dict[str, Any]:
    state = measured(base) in STATES
    return {"t1": t1.isoformat() if t1 and not state else None, "t2": t2.isoformat()}


def _years_of(t1: date, t2: date) -> list[tuple[date | None, date]]:
    """The whole years that a span is made of, up to _MOST_YEARS; empty where it is not made of such."""
    ends = [t2]
    while ends[0] > t1 and len(ends) <= _MOST_YEARS:
        ends.insert(0, years_back(ends[0], 1))
    return list(zip(ends, ends[1:], strict=False)) if ends[0] == t1 else []
