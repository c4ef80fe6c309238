"""A question that goes on from the one before: it changes what it names and keeps the rest.

A question with its own metric and its own class or period starts afresh. One
with a metric word alone ("那减少了多少") takes class, place and period from before;
one without ("那林地呢", "and in 2023?") keeps the metric as well. What was asked
back ("clarify" with ``wanted``) is completed the same way.
"""

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from typing import Any

from src.assistant.query import Query, ZoneRef
from src.assistant.reading.fill import ADMINISTRATIVE, NEEDS_CLASS, NEEDS_PERIOD, PATCHES, STATES, clarify, ranked, span
from src.assistant.reading.roles import Roles
from src.assistant.reading.rules import decide
from src.assistant.reading.slots import Slots
from src.assistant.reading.times import Period

# Words that say what to measure; "how much" alone says nothing new.
_METRIC_CUES = (
    "gain loss net change share structure trend rate which_year count patch illegal exists encroach m"
    "atrix breakdown turned "
    "abandoned solar greenhouse vegetation season when area_of human causal non_grain forecast legal"
).split()
_ABOUT_ANSWER = frozenset({"accuracy", "provenance", "export"})
_ABOUT_PATCH = frozenset({"patch_detail", "first_seen", "verify", "review"})
_ON_ITS_OWN = frozenset({"refuse", "unsupported", "explain_diff", "describe"})
_MISSING = frozenset({"unknown", "need_class", "need_period"})
_STARTS = re.compile(
    r"^(?:那么?|再(?!见)|另外|然后|还有|只看|就看|仅看|只要|只统计|换成?|改成|改看|同样|以及|and\b"
    r"|then\b|what\s+about\b|how\s+about\b|only\b|just\b|"
    r"also\b|same\b|instead\b|show\s+only\b|restrict\b|limit\b)"
)
_ENDS = re.compile(r"呢\s*[?。!~]*$")
_FLIPPED = {"gain": "loss", "loss": "gain"}


def continued(slots: Slots, previous: Query) -> Query | None:
    """The query of a follow-up; None where the question stands on its own.

    Args:
        slots: parts of the question.
        previous: query before; a "clarify" counts when it has ``wanted``.
    """
    base = _open(previous)
    alone = decide(slots)
    if base is None or alone.metric in _ON_ITS_OWN or alone.reason == "empty":
        return None
    if slots.has("reverse"):
        return _reversed(base, slots.lang)
    if alone.metric in _ABOUT_PATCH:
        return alone.changed(patch_id=base.patch_id) if alone.patch_id is None and base.patch_id else None
    if alone.metric in _ABOUT_ANSWER:
        return None if _names_land(slots) else _about(base, alone)
    if alone.metric == "convert":
        return _other_unit(base, alone, slots) if alone.value is None else None
    starts = _STARTS.search(slots.text) is not None
    lacking = alone.metric == "clarify" and alone.reason in _MISSING
    has_metric = slots.has(*_METRIC_CUES) or (slots.has("when") and slots.has("begin"))
    trails = _ENDS.search(slots.text) is not None and not (has_metric and _names_land(slots))
    if not (starts or lacking or trails):
        return None
    if has_metric and not _only_narrows(slots, base):
        return None if _complete(slots) else _with_metric(slots, base, alone)
    return _changed(base, slots, asked_back=previous.metric == "clarify")


def _open(previous: Query) -> Query | None:
    """The query to go on from; what was asked back becomes what was wanted."""
    if previous.metric != "clarify":
        return None if previous.metric in _ON_ITS_OWN else previous
    if previous.wanted is None or previous.wanted == "compare":
        return None
    return previous.changed(metric=previous.wanted, wanted=None, reason=None)


def _names_land(slots: Slots) -> bool:
    return slots.roles != Roles() or bool(slots.times.periods) or slots.zone is not None


def _complete(slots: Slots) -> bool:
    """Class and period are both its own."""
    return slots.roles != Roles() and bool(slots.times.periods)


def _only_narrows(slots: Slots, base: Query) -> bool:
    """ "Only patches above 5 mu" after a list of patches keeps the list's metric."""
    narrowed = slots.min_area_m2 is not None or slots.min_confidence is not None or slots.rank_n is not None
    words = set(_METRIC_CUES) & slots.cues
    return narrowed and base.metric in PATCHES and words <= {"patch", "illegal"}


def _about(base: Query, alone: Query) -> Query:
    """Accuracy, images or files of the answer before."""
    return base.changed(
        metric=alone.metric,
        lang=alone.lang,
        formats=alone.formats,
        compare=None,
        others=(),
        rank=alone.rank or base.rank,
    )


def _other_unit(base: Query, alone: Query, slots: Slots) -> Query:
    if base.metric == "convert":
        return base.changed(to_unit=alone.to_unit, lang=slots.lang)
    others = [one.changed(unit=alone.to_unit).to_json() for one in base.others]
    return base.changed(unit=alone.to_unit, lang=slots.lang, others=others)


def _with_metric(slots: Slots, base: Query, alone: Query) -> Query | None:
    """Another metric about the same land: what the question lacks is taken from before."""
    roles = slots.roles
    if roles == Roles():
        cls = base.cls or base.from_cls or base.to_cls
        roles = Roles(cls=cls, from_cls=base.from_cls, to_cls=base.to_cls) if base.metric in PATCHES else Roles(cls=cls)
        if slots.has("patch", "illegal"):
            roles = Roles(cls=None if base.from_cls or base.to_cls else cls, from_cls=base.from_cls, to_cls=base.to_cls)
    times = slots.times
    if not times.periods and base.t2 is not None:
        t1 = date.fromisoformat(base.t1) if base.t1 else None
        kept = Period(t1, date.fromisoformat(base.t2), "range" if t1 else "moment", "day", 0, 0)
        times = replace(times, periods=(kept,))
    zones = slots.zones or ((base.zone,) if base.zone is not None else ())
    found = decide(replace(slots, roles=roles, times=times, zones=zones))
    if found.metric == "clarify" and found.reason == "unknown":
        return None
    if base.t1 is None and found.metric in ("trend", "extreme_interval"):  # one day says nothing about a series
        found = found.changed(t2=None)
    return found.changed(unit=found.unit or base.unit)


def _changed(base: Query, slots: Slots, *, asked_back: bool) -> Query | None:
    """The query before with the parts that the question names; None where it names none."""
    numbers = (slots.min_area_m2, slots.min_confidence, slots.rank_n, slots.lonlat)
    listed = slots.groups or slots.units or slots.zones or slots.formats or (slots.has("most") and base.rank)
    if not (_names_land(slots) or listed or slots.times.now or any(one is not None for one in numbers)):
        return None
    query = base
    steps: tuple[Callable[[Query, Slots], Query], ...] = (_new_class, _new_zone, _new_period, _new_group, _new_numbers)
    for step in steps:
        query = step(query, slots)
    query = query.changed(lang=slots.lang)
    if any(one.future for one in slots.times.periods):
        return clarify(slots, "future", query.metric, **_kept(query))
    if slots.unknown_zone and query.zone is not None and query.zone.name:
        return clarify(slots, "unknown_zone", query.metric, **_kept(query))
    if query.metric in NEEDS_CLASS and query.cls is None:
        return clarify(slots, "need_class", query.metric, **_kept(query))
    local = query.zone is not None and query.zone.type not in ADMINISTRATIVE
    if asked_back and query.metric in NEEDS_PERIOD and not (query.t2 or query.group_by or local or slots.times.recent):
        return clarify(slots, "need_period", query.metric, **_kept(query))
    return query


def _kept(query: Query) -> dict[str, Any]:
    return {key: value for key, value in query.to_json().items() if key not in ("metric", "reason", "wanted", "lang")}


def _measured(query: Query) -> str:
    """The plain metric below a ranking or comparison."""
    if query.metric == "compare" and query.others:
        return query.others[0].metric
    if query.metric == "rank":
        return "gain" if query.to_cls else "loss" if query.from_cls else "net"
    return query.metric


def _new_class(query: Query, slots: Slots) -> Query:
    roles = slots.roles
    cls = roles.cls or roles.to_cls or roles.from_cls
    if cls is None:
        return query
    if roles.from_cls and roles.to_cls:
        metric = query.metric if query.metric in PATCHES else "transition"
        return query.changed(
            metric=metric, cls=None, from_cls=roles.from_cls, to_cls=roles.to_cls, compare=None, others=()
        )
    if query.metric in ("matrix", "structure"):
        return query.changed(metric="net", cls=cls, group_by=None)
    if query.metric == "transition":
        return query.changed(to_cls=cls) if query.from_cls is None else query.changed(from_cls=cls)
    if (
        query.metric in PATCHES
        and query.group_by not in ("town", "village")
        or query.metric in ("patches", "count", "overlap")
    ):
        return query.changed(from_cls=cls) if query.from_cls and not query.to_cls else query.changed(to_cls=cls)
    fields: dict[str, Any] = {"cls": cls}
    for side in ("from_cls", "to_cls"):
        if getattr(query, side) is not None and getattr(query, side) == query.cls:
            fields[side] = cls
    if query.metric == "share_at" and query.group_by == "class":
        fields["group_by"] = None
    if query.compare == "classes":
        return query.changed(metric=_measured(query), compare=None, others=(), **fields)
    return query.changed(**fields, others=[one.changed(**fields).to_json() for one in query.others])


def _new_zone(query: Query, slots: Slots) -> Query:
    if not slots.zones:
        return query
    zone: ZoneRef | None = slots.zones[0]
    fields: dict[str, Any] = {"zone": zone.model_dump(mode="json") if zone is not None else None}
    if zone is not None and zone.type in ADMINISTRATIVE and query.group_by in ("town", "village"):
        fields |= {"metric": _measured(query), "group_by": None, "rank": None}
        if query.metric == "rank":
            fields |= {"from_cls": None, "to_cls": None}
    if query.compare == "zones":
        fields |= {"metric": _measured(query), "compare": None, "others": ()}
    return query.changed(**fields, **({} if "others" in fields else _each(query, zone=fields["zone"])))


def _each(query: Query, **fields: Any) -> dict[str, Any]:
    return {"others": [one.changed(**fields).to_json() for one in query.others]}


def _new_period(query: Query, slots: Slots) -> Query:
    if not slots.times.periods:
        return query.changed(t2=slots.as_of.isoformat()) if slots.times.now and query.metric in STATES else query
    t1, t2 = span(slots)
    fields: dict[str, Any] = {"t2": t2.isoformat() if t2 else None}
    fields["t1"] = t1.isoformat() if t1 and query.metric not in STATES else None
    if query.compare == "periods":
        return query.changed(metric=_measured(query), compare=None, others=(), **fields)
    return query.changed(**fields, **_each(query, **fields))


def _new_group(query: Query, slots: Slots) -> Query:
    """By town, by class; "which town most" makes a ranking."""
    if not slots.groups:
        return query
    group = slots.groups[0] if "class" not in slots.groups else "class"
    if not (slots.has("most") and group in ("town", "village", "class")):
        return query.changed(group_by=group) if query.metric not in ("matrix", "structure", "compare") else query
    rank = ranked(slots.rank_n or 1, "asc" if slots.has("least") else "desc")
    metric = _measured(query)
    if query.zone is not None and query.zone.type in ADMINISTRATIVE:
        query = query.changed(zone=None)
    if metric in ("patches", "count", "overlap"):
        return query.changed(group_by=group, rank=rank)
    fields: dict[str, Any] = {"metric": "rank", "group_by": group, "rank": rank, "compare": None, "others": ()}
    fields["cls"] = query.cls or query.from_cls or query.to_cls
    if metric in ("gain", "loss"):
        fields["to_cls" if metric == "gain" else "from_cls"] = fields["cls"]
    return query.changed(**fields)


def _new_numbers(query: Query, slots: Slots) -> Query:
    fields: dict[str, Any] = {}
    if slots.min_area_m2 is not None:
        fields["min_area_m2"] = slots.min_area_m2
    if slots.min_confidence is not None:
        fields["min_confidence"] = slots.min_confidence
    if slots.units:
        fields["unit"] = slots.units[-1]
    if slots.rank_n is not None:
        order = "asc" if slots.has("least") else query.rank.order if query.rank else "desc"
        fields["rank"] = ranked(slots.rank_n, order)
    elif slots.has("most") and query.rank is not None and not slots.groups:
        fields["rank"] = ranked(query.rank.n, "asc" if slots.has("least") else "desc")
    if slots.formats and query.metric == "export":
        fields["formats"] = slots.formats
    if slots.lonlat is not None:
        fields |= {"lon": slots.lonlat[0], "lat": slots.lonlat[1]}
    return query.changed(**fields) if fields else query


def _reversed(base: Query, lang: str) -> Query | None:
    """The other way round: of a transition, a direction, an order, or the side of a border."""
    swapped = {"from_cls": base.to_cls, "to_cls": base.from_cls, "lang": lang}
    if base.metric == "transition" or (
        base.metric in PATCHES and base.metric != "rank" and (base.from_cls or base.to_cls)
    ):
        return base.changed(**swapped)
    if base.metric in _FLIPPED:
        return base.changed(metric=_FLIPPED[base.metric], **swapped)
    if base.rank is not None:
        order = "asc" if base.rank.order == "desc" else "desc"
        return base.changed(rank=ranked(base.rank.n, order), lang=lang)
    if base.zone is not None:
        return base.changed(
            zone=base.zone.model_copy(update={"inside": not base.zone.inside}).model_dump(mode="json"), lang=lang
        )
    return None
