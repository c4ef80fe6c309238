"""From a metric and the parts of a question to a checked query; asks back for what the metric cannot do without."""

import re
from datetime import date
from itertools import pairwise
from typing import Any

from src.assistant.query import Query, ZoneRef
from src.assistant.reading.slots import DEFAULT_RADIUS_M, Slots
from src.assistant.reading.times import Period, years_back
from src.geo.patches.fields import CHECK_STATES

ADMINISTRATIVE = frozenset({"county", "town", "village"})
# A bare area of change means nothing without its period.
NEEDS_PERIOD = frozenset({"gain", "loss", "net", "transition", "rate"})
NEEDS_CLASS = frozenset({"gain", "loss", "net", "trend", "extreme_interval", "presence"})
STATES = frozenset({"area_at", "share_at", "presence"})
PATCHES = frozenset({"patches", "count", "overlap", "rank", "export"})
# Their answers follow no period of the question.
TIMELESS = frozenset({"convert", "explain_diff", "describe", "refuse", "special", "review", "verify", "patch_detail"})
# Words that set one time against the other, or join both to one period.
_AGAINST = re.compile(
    r"(?<!占)比(?![例重率])|对照|[减增涨降]到|从.{0,20}到|较|之间|期间|\bcompar|\bthan\b|\bvs\b|\bversus\b|\bagainst\b|\bbetween\b"
)
_TAKES = re.compile(r"占[了掉用]?(?:耕地|农田|林地|草地|园地|水田|良田)")
_OF_A_CLASS = frozenset({"presence", "area_at", "share_at", "gain", "loss", "net", "trend"})
_LIKE_LAND = frozenset({"built", "water", "unused"})


def separate(slots: Slots) -> bool:
    """Whether several times are several periods with a flow in each, rather than the ends of one."""
    periods = slots.times.periods
    each = len(periods) > 1 and all(one.form == "moment" and one.t1 is not None for one in periods)
    change = len(periods) > 2 and slots.has("change")
    flows = (
        change
        or slots.has("gain", "loss", "turned", "patch", "illegal")
        or bool(slots.roles.from_cls and slots.roles.to_cls)
    )
    if not (each and flows) or _AGAINST.search(slots.rest):
        return False
    ordered = sorted((one.t1 or one.t2, one.t2) for one in periods)
    return all(before[1] <= after[0] for before, after in pairwise(ordered))


def span(slots: Slots) -> tuple[date | None, date | None]:
    """Start and end of the time that a question about change names."""
    periods = slots.times.periods
    if not periods:
        return None, None
    if len(periods) == 1:
        return periods[0].span
    ends = sorted(one.t2 for one in periods)
    if not separate(slots) and all(one.grain in ("year", "day") and one.form in ("moment", "until") for one in periods):
        # Two years, or two days: from the state at the end of one to that of the other.
        return ends[0], ends[-1]
    grains, years = {one.grain for one in periods}, {one.t2.year for one in periods}
    apart = len(grains) == 1 and len(years) == len(periods) and all(one.form == "moment" for one in periods)
    if apart and not separate(slots):
        return ends[0], ends[-1]  # "March 2022 against March 2024"
    starts = [one.t1 for one in periods if one.t1 is not None]
    return (min(starts) if starts else ends[0]), ends[-1]


def takes_land(slots: Slots) -> bool:
    """Whether land of a natural class is taken: "占耕地"."""
    return _TAKES.search(slots.rest) is not None


def direction(slots: Slots) -> str:
    """gain, loss or net, as the words say."""
    gain, loss = slots.has("gain"), slots.has("loss") or takes_land(slots)
    if slots.has("net") or (gain and loss):
        return "net"
    if loss and slots.roles.cls == "built" and slots.has("encroach"):
        return "gain"
    return "gain" if gain else "loss" if loss else "net"


def clarify(slots: Slots, reason: str, wanted: str | None = None, **fields: Any) -> Query:
    """The question asked back."""
    return Query.of({"metric": "clarify", "reason": reason, "wanted": wanted, "lang": slots.lang} | fields)


def closed(slots: Slots, metric: str, reason: str) -> Query:
    """ "refuse" or "unsupported", with the parts that a kind answer may point to."""
    t1, t2 = span(slots)
    fields = {"cls": slots.roles.cls, "from_cls": slots.roles.from_cls, "to_cls": slots.roles.to_cls}
    if metric == "refuse":
        return Query.of({"metric": metric, "reason": reason, "lang": slots.lang})
    return Query.of(
        {"metric": metric, "reason": reason, "lang": slots.lang, "zone": _plain(slots.zone)} | fields | _days(t1, t2)
    )


def build(metric: str, slots: Slots, *, ask: bool = True, **extra: Any) -> Query:
    """A query of this metric from the parts of a question.

    Args:
        metric: one of METRICS.
        slots: parts of the question.
        ask: whether a missing period is asked for.
        extra: fields that the rule knows better; they win.

    Returns:
        The query, or "clarify" where a period or a class is missing, a place is unknown, or the period lies ahead.
    """
    fields: dict[str, Any] = {"lang": slots.lang, "unit": slots.units[-1] if slots.units else None}
    fields |= _places(slots) | _classes(metric, slots) | _numbers(metric, slots)
    fields |= _group(metric, slots) | _period(metric, slots)
    fields = {key: value for key, value in fields.items() if value not in (None, ())} | extra
    reason = _missing(metric, slots, fields, ask)
    return clarify(slots, reason, metric, **fields) if reason else Query.of({"metric": metric} | fields)


def sides(slots: Slots, metric: str, compare: str, changes: list[dict[str, Any]], **extra: Any) -> Query:
    """A comparison: the first of ``changes`` makes the query, the others its other sides."""
    base = build(metric, slots, ask=compare == "periods", **({"group_by": None, "rank": None} | extra | changes[0]))
    if base.metric == "clarify":
        return base.changed(wanted="compare") if base.wanted else base
    others = [base.changed(**one).to_json() for one in changes[1:]]
    return base.changed(metric="compare", compare=compare, others=others)


def ranked(n: int, order: str) -> dict[str, Any]:
    """The rank field."""
    return {"n": n, "order": order}


def period_fields(period: Period) -> dict[str, str | None]:
    """t1 and t2 of one period."""
    return _days(*period.span)


def a_year_before(period: Period) -> dict[str, str | None]:
    """The same period a year earlier."""
    return _days(None if period.t1 is None else years_back(period.t1, 1), years_back(period.t2, 1))


def _days(t1: date | None, t2: date | None) -> dict[str, str | None]:
    return {"t1": t1.isoformat() if t1 else None, "t2": t2.isoformat() if t2 else None}


def _plain(zone: ZoneRef | None) -> dict[str, Any] | None:
    return zone.model_dump(mode="json") if zone is not None else None


def _places(slots: Slots) -> dict[str, Any]:
    if slots.lonlat is None:
        return {"zone": _plain(slots.zone)}
    lon, lat = slots.lonlat
    return {"zone": {"type": "point"}, "lon": lon, "lat": lat, "radius_m": slots.radius_m or DEFAULT_RADIUS_M}


def _classes(metric: str, slots: Slots) -> dict[str, Any]:
    """Classes in the fields that the metric reads."""
    roles = slots.roles
    cls = roles.cls
    if metric in PATCHES and not slots.groups_rank:
        return _patch_classes(slots, cls)
    if metric in ("first_seen", "verify", "patch_detail", "review"):
        return {}
    if metric == "transition":
        return {"from_cls": roles.from_cls, "to_cls": roles.to_cls}
    if cls is None and (roles.from_cls or roles.to_cls):
        if metric == "gain":
            return {"cls": roles.to_cls or roles.from_cls, "from_cls": roles.from_cls if roles.to_cls else None}
        if metric == "loss":
            return {"cls": roles.from_cls or roles.to_cls, "to_cls": roles.to_cls if roles.from_cls else None}
        cls = roles.from_cls or roles.to_cls
    return {"cls": cls} | ({"reason": "merged"} if cls in slots.subtypes and metric in _OF_A_CLASS else {})


def _patch_classes(slots: Slots, cls: str | None) -> dict[str, Any]:
    roles = slots.roles
    if slots.digging:
        natural = (name for name in (cls, *roles.others) if name not in (None, *_LIKE_LAND))
        before = roles.from_cls or next(natural, None)
        return {"from_cls": before, "to_cls": "unused"}
    if roles.from_cls or roles.to_cls:
        return {"from_cls": roles.from_cls, "to_cls": roles.to_cls}
    if cls is None:
        return {}
    to_it = cls in _LIKE_LAND if not (slots.has("gain", "loss")) else direction(slots) == "gain" or cls == "built"
    return {"to_cls": cls} if to_it else {"from_cls": cls}


def _numbers(metric: str, slots: Slots) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "min_area_m2": slots.min_area_m2,
        "min_confidence": slots.min_confidence,
        "patch_id": slots.patch_id or _only_patch(metric, slots),
    }
    if metric == "export":
        fields["formats"] = slots.formats
    if slots.rank_n is not None and metric in ("rank", "patches", "export", "overlap"):
        fields["rank"] = ranked(slots.rank_n, "asc" if slots.has("least") else "desc")
    return fields


def _only_patch(metric: str, slots: Slots) -> str | None:
    """The one patch that was shown, where the question is about "this" patch."""
    about_one = metric in ("patch_detail", "first_seen", "verify", "review")
    return slots.known.patch_ids[0] if about_one and len(slots.known.patch_ids) == 1 else None


def _group(metric: str, slots: Slots) -> dict[str, Any]:
    groups = slots.groups
    wanted: str | None
    if "class" in groups and (slots.has("breakdown") or "town" not in groups):
        wanted = "class"
    else:
        wanted = groups[0] if groups else None
    allowed = {
        "area_at": ("town", "village", "class", "part"),
        "share_at": ("town", "village", "class", "part"),
        "trend": ("town", "village", "year"),
        "patches": ("town", "village", "type", "part", "class"),
        "count": ("town", "village", "type", "part", "class", "year"),
        "overlap": ("town", "village", "part", "type", "class"),
        "abandoned": ("town", "village"),
        "rank": ("town", "village", "class"),
    } | dict.fromkeys(("gain", "loss", "net", "transition"), ("town", "village", "class", "year", "part"))
    return {"group_by": wanted} if wanted in allowed.get(metric, ()) else {}


def _period(metric: str, slots: Slots) -> dict[str, str | None]:
    if metric in TIMELESS:
        return {}
    t1, t2 = span(slots)
    if metric in STATES:
        if t2 is None and (metric != "presence" or slots.times.now):
            t2 = slots.as_of
        return _days(None, t2)
    return _days(t1, t2)


def _missing(metric: str, slots: Slots, fields: dict[str, Any], ask: bool) -> str | None:
    """Why the question must be asked back, None where it stands."""
    if metric not in TIMELESS and any(one.future for one in slots.times.periods):
        return "future"
    if slots.unknown_zone and (fields.get("zone") or {}).get("name"):
        return "unknown_zone"
    if metric in NEEDS_CLASS and not fields.get("cls"):
        return "need_class"
    if metric == "transition" and not (fields.get("from_cls") or fields.get("to_cls")):
        return "need_class"
    local = (fields.get("zone") or {"type": "county"})["type"] not in ADMINISTRATIVE
    if (
        ask
        and metric in NEEDS_PERIOD
        and not (fields.get("t2") or fields.get("group_by") or local or slots.times.recent)
    ):
        return "need_period"
    return None


def review(slots: Slots) -> Query:
    """A state that is set, with the cause of a false change."""
    status = slots.status or CHECK_STATES[1]
    cause: dict[str, Any] = {"reason": slots.cause} if status == CHECK_STATES[1] and slots.cause else {}
    return build("review", slots, status=status, **cause)


def special(slots: Slots) -> Query:
    """Solar panels, greenhouses, or both."""
    one = slots.has("solar") != slots.has("greenhouse")
    kind: dict[str, Any] = {} if not one else {"reason": "solar" if slots.has("solar") else "greenhouse"}
    t1, t2 = slots.times.periods[0].span if slots.times.periods else (None, None)
    days = {"t1": t1 and t1.isoformat(), "t2": t2 and t2.isoformat()}
    return build("special", slots, **{key: value for key, value in (kind | days).items() if value}, cls=None)
