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
from src.assistant.reading import against, listed, portion
from src.assistant.reading.before import each, kept, lists_patches, measured, names_land
from src.assistant.reading.fill import (
    ADMINISTRATIVE,
    NEEDS_CLASS,
    NEEDS_PERIOD,
    PATCHES,
    STATES,
    clarify,
    ranked,
    span,
)
from src.assistant.reading.places import TOWNS, of_town, town_of
from src.assistant.reading.roles import Roles
from src.assistant.reading.rules import decide
from src.assistant.reading.slots import Slots, read_slots
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
    r"^(?:那么?|再(?!见)|另外|然后|还有|只看|就看|仅看|只要|只统计|换成?|改成|改看|同样|以及|其中|(?:这|那)?(?:里面|当中)|and\b"
    r"|(?:how\s+much\s+|how\s+many\s+)?(?:out\s+)?of\s+(?:which|that|those|these|it|them)\b"
    r"|then\b|what\s+about\b|how\s+about\b|only\b|just\b|"
    r"also\b|same\b|instead\b|show\s+only\b|restrict\b|limit\b)"
)
_ENDS = re.compile(r"呢\s*[?。!~]*$")
_FLIPPED = {"gain": "loss", "loss": "gain"}
# "Not the loss, the gain": what is denied is not read.
_DENIED = re.compile(
    r"(?:我?(?:不是|没有?)(?:想|要)?(?:问|看|说|指|查)|(?<![是还要])不(?:是|要|看|用)|别看)[^,。;!?]{1,14}[,。;]\s*"
    r"(?:我|而)?(?:(?:是|只)?(?:想|要|问|看|说|指|查)|就?是)?(?:的是)?"
    r"|\bnot\s+[^,.;?]{1,30}[,.;]\s*(?:but\s+|i\s+meant?\s+|rather\s+|only\s+)*"
    r"|[,;]\s*(?:而不是|不是|不要|not|rather\s+than|instead\s+of)\s*(?:the\s+)?[^,.;。?]{1,30}(?=[?.。]?$)"
)
# Says that one place stands for another, rather than within it.
_INSTEAD = re.compile(r"换成?|改成|改看|整个|全部|所有|\binstead\b|\bwhole\b|\ball\s+of\b|\bentire\b")
# A year or less holds one date of a series.
_SERIES_DAYS = 400
# What a part such as "占耕地的有几个" may be taken for by itself.
_PART_ALONE = PATCHES | STATES | {"gain", "loss"}
Step = Callable[[Query, Slots], Query | None]


def without_denied(slots: Slots) -> Slots:
    """The question without what it denies: of "not the loss, the gain" the gain is left."""
    text = _DENIED.sub("", slots.text)
    said_more = text != slots.text and re.search(r"\w", text) is not None
    return read_slots(text, slots.as_of, slots.known) if said_more else slots


def continued(slots: Slots, previous: Query) -> Query | None:
    """The query of a follow-up; None where the question stands on its own.

    Args:
        slots: parts of the question.
        previous: query before; a "clarify" counts when it has ``wanted``.
    """
    base = _open(previous, slots)
    alone = decide(slots)
    if base is None or alone.metric in _ON_ITS_OWN or alone.reason == "empty" or slots.max_area:
        return None
    if slots.has("reverse"):
        return _reversed(base, slots.lang)
    if (one := listed.nth(base, slots) or listed.largest(base, slots)) is not None:
        return one
    if alone.metric in _ABOUT_PATCH:
        return alone.changed(patch_id=base.patch_id) if alone.patch_id is None and base.patch_id else None
    if alone.metric in _ABOUT_ANSWER:
        return None if names_land(slots) else _about(base, alone)
    if alone.metric == "convert":
        return _other_unit(base, alone, slots) if alone.value is None else None
    has_metric = slots.has(*_METRIC_CUES) or (slots.has("when") and slots.has("begin"))
    goes_on = _goes_on(slots, alone, has_metric)
    if (turn := _turned(base, slots, alone, goes_on)) is not None:
        return turn
    if not goes_on:
        return None
    if has_metric and not _only_narrows(slots, base):
        return None if _complete(slots) else _with_metric(slots, base, alone)
    return _changed(base, slots, asked_back=previous.metric == "clarify")


def _goes_on(slots: Slots, alone: Query, has_metric: bool) -> bool:
    """Whether a question goes on from the one before, by its first or last words or by what it lacks."""
    lacking = alone.metric == "clarify" and alone.reason in _MISSING
    trails = _ENDS.search(slots.text) is not None and not (has_metric and names_land(slots))
    return lacking or trails or _STARTS.search(slots.text) is not None or _names_a_town_alone(slots, alone, has_metric)


def _names_a_town_alone(slots: Slots, alone: Query, has_metric: bool) -> bool:
    """ "How much in Qinghe town?" says neither what nor of which class."""
    places = [one for one in slots.zones if one is not None]
    if not places or has_metric or slots.groups or slots.times.now or slots.roles != Roles():
        return False
    return alone.metric in ("area_at", "compare") and all(one.type in ADMINISTRATIVE for one in places)


def _turned(base: Query, slots: Slots, alone: Query, goes_on: bool) -> Query | None:
    """The turns that a dialogue takes beyond another class, place or period; None where it takes none of them."""
    if not _complete(slots) and (one := against.versus(base, slots)) is not None:
        return one
    alone_a_part = alone.metric in _PART_ALONE and not slots.times.periods and not slots.has("illegal")
    if goes_on or (alone_a_part and portion.cued(slots)):
        part = portion.part_of(base, slots)
        if part is not None:
            part = part if part.metric == "clarify" else _placed(part, slots)
            return part.changed(group_by=None) if part.group_by == "class" else part
    if (one := listed.which(base, slots, alone)) is not None:
        if slots.has("most") and slots.groups and one.metric in PATCHES:
            one = one.changed(rank=ranked(slots.rank_n or 1, "asc" if slots.has("least") else "desc"))
        return one if one.metric == "clarify" else _placed(one, slots)
    if not goes_on:
        return None
    steps: tuple[Step, ...] = (
        against.altogether,
        against.respectively,
        listed.what_was_taken,
        listed.how_much,
        listed.where,
    )
    found = next((one for one in (step(base, slots) for step in steps) if one is not None), None)
    if found is None and (patches := listed.above(base, slots)) is not None:
        return patches if patches.metric == "clarify" else _placed(patches, slots)
    return found


def _open(previous: Query, slots: Slots) -> Query | None:
    """The query to go on from; what was asked back becomes what was wanted."""
    if previous.metric != "clarify":
        return None if previous.metric in _ON_ITS_OWN else previous
    if previous.wanted is None or previous.wanted == "compare":
        return None
    return previous.changed(metric=previous.wanted, wanted=None, reason=None)


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
    if found.metric in ("trend", "extreme_interval"):
        found = _as_series(found, base, slots)
    return found.changed(unit=found.unit or base.unit)


def _changed(base: Query, slots: Slots, *, asked_back: bool) -> Query | None:
    """The query before with the parts that the question names; None where it names none."""
    if base.metric in _ABOUT_PATCH:
        return None  # one patch has no other class, place or period
    numbers = (slots.min_area_m2, slots.min_confidence, slots.rank_n, slots.lonlat)
    named = slots.groups or slots.units or slots.zones or slots.formats or (slots.has("most") and base.rank)
    if not (names_land(slots) or named or slots.times.now or any(one is not None for one in numbers)):
        return None
    query = _placed(base, slots, (_new_class, _new_zone, _new_period, _new_group, _new_numbers))
    if query.metric == "clarify":
        return query
    if query.metric in NEEDS_CLASS and query.cls is None:
        return clarify(slots, "need_class", query.metric, **kept(query))
    local = query.zone is not None and query.zone.type not in ADMINISTRATIVE
    if asked_back and query.metric in NEEDS_PERIOD and not (query.t2 or query.group_by or local or slots.times.recent):
        return clarify(slots, "need_period", query.metric, **kept(query))
    return query


def _placed(query: Query, slots: Slots, steps: tuple[Callable[[Query, Slots], Query], ...] = ()) -> Query:
    """The query with the place, period and numbers of the question; asks back where they do not go together."""
    for step in steps or (_new_zone, _new_period, _new_group, _new_numbers):
        query = step(query, slots)
    query = query.changed(lang=slots.lang)
    if any(one.future for one in slots.times.periods):
        return clarify(slots, "future", query.metric, **kept(query))
    if slots.unknown_zone and query.zone is not None and query.zone.name:
        return clarify(slots, "unknown_zone", query.metric, **kept(query))
    return query


def _as_series(found: Query, base: Query, slots: Slots) -> Query:
    """A series is not cut to the day or year before; "which year most" after a loss means the largest loss."""
    days = (date.fromisoformat(base.t2) - date.fromisoformat(base.t1)).days if base.t1 and base.t2 else 0
    if not slots.times.periods and days < _SERIES_DAYS:
        found = found.changed(t1=None, t2=None)
    if found.metric == "extreme_interval" and not slots.has("gain", "loss"):
        down = measured(base) == "loss"
        found = found.changed(rank=ranked(1, "asc" if down != slots.has("least") else "desc"))
    return found


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
        return query.changed(metric=measured(query), compare=None, others=(), **fields)
    return query.changed(**fields, others=[one.changed(**fields).to_json() for one in query.others])


def _meant_zone(slots: Slots) -> ZoneRef | None:
    """The first place; "of the whole county only the town" means the town."""
    return slots.zone if len(slots.zones) > 1 else slots.zones[0]


def _zone_field(zone: ZoneRef | None) -> dict[str, Any] | None:
    return zone.model_dump(mode="json") if zone is not None else None


def _zone_within(slots: Slots, before: ZoneRef | None) -> ZoneRef | None:
    """The place that is meant: after farmland, "of the town" is the farmland of the town, and the other way round."""
    zone = _meant_zone(slots)
    if zone is None and before is not None and before.town is not None:
        return before.model_copy(update={"town": None})
    if zone is None or before is None or "point" in (zone.type, before.type):
        return zone
    if None in slots.zones or _INSTEAD.search(slots.text):
        return zone
    if zone.type in TOWNS and before.type not in ADMINISTRATIVE:
        return of_town(before, zone, slots.known) or zone
    if zone.type in ADMINISTRATIVE or zone.town is not None or zone.name is not None:
        return zone
    town = before if before.type in TOWNS else town_of(before, slots.known)
    return (of_town(zone, town, slots.known) if town is not None else None) or zone


def _new_zone(query: Query, slots: Slots) -> Query:
    if not slots.zones:
        return query
    zone = _zone_within(slots, query.zone)
    fields: dict[str, Any] = {"zone": _zone_field(zone)}
    if zone is not None and zone.type in ADMINISTRATIVE and query.group_by in ("town", "village"):
        fields |= {"metric": measured(query), "group_by": None, "rank": None}
        if query.metric == "rank":
            fields |= {"from_cls": None, "to_cls": None}
    if query.compare == "zones":
        fields |= {"metric": measured(query), "compare": None, "others": ()}
    return query.changed(**fields, **({} if "others" in fields else each(query, zone=fields["zone"])))


def _new_period(query: Query, slots: Slots) -> Query:
    if not slots.times.periods:
        return query.changed(t2=slots.as_of.isoformat()) if slots.times.now and query.metric in STATES else query
    t1, t2 = span(slots)
    fields: dict[str, Any] = {"t2": t2.isoformat() if t2 else None}
    fields["t1"] = t1.isoformat() if t1 and query.metric not in STATES else None
    if query.compare == "periods":
        return query.changed(metric=measured(query), compare=None, others=(), **fields)
    return query.changed(**fields, **each(query, **fields))


def _new_group(query: Query, slots: Slots) -> Query:
    """By town, by class; "which town most" makes a ranking."""
    if not slots.groups:
        return query
    group = slots.groups[0] if "class" not in slots.groups else "class"
    if not (slots.has("most") and group in ("town", "village", "class")):
        return query.changed(group_by=group) if query.metric not in ("matrix", "structure", "compare") else query
    rank = ranked(slots.rank_n or 1, "asc" if slots.has("least") else "desc")
    metric = measured(query)
    if query.zone is not None and query.zone.type in ADMINISTRATIVE:
        query = query.changed(zone=None)
    if metric == "abandoned":
        return query.changed(group_by=group)
    if lists_patches(query):
        return query.changed(metric="patches" if metric == "rank" else metric, group_by=group, rank=rank)
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
