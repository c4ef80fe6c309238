"""The last look at a query: what the question names and the query does not hold is asked back, never left out.

A number about more, less or something else than what was asked is the worst answer there is. So every place, period
and class of the text must stand in the query or in a side of its comparison, and words that leave something out
("not counting", "unchanged") must be ones that the query can express.
"""

import re
from datetime import date

from src.assistant.query import WORDS_ONLY, Query, ZoneRef
from src.assistant.reading.fill import ADMINISTRATIVE, STATES, clarify, separate
from src.assistant.reading.lexicon import class_mentions
from src.assistant.reading.places import TOWNS
from src.assistant.reading.slots import Slots
from src.assistant.reading.times import Period

# About a patch, a figure or the data: what else the question names only describes that.
_NO_LAND = WORDS_ONLY | {"review", "verify", "patch_detail", "first_seen", "accuracy", "provenance", "special"}
# They show every class, or one that goes without saying.
_ALL_CLASSES = frozenset({"matrix", "structure", "index_mean", "point", "abandoned"})
# They show each date between both ends.
_SERIES = frozenset({"trend", "extreme_interval", "index_mean", "abandoned"})
_SHOWN_SIDES = 4
# What is asked back and then measured: it must hold all of the question as well.
_COMPLETED = ("need_period", "need_class")
_NOT_KEPT = ("metric", "reason", "wanted", "lang", "zone", "compare", "others")
_AREA_WORDS = re.compile(r"面积|亩|公顷|平方|\barea\b|\bhectares?\b|\bmu\b")
_COUNTED = re.compile(r"(?:多少|几)[个处块宗条]")
_SUMMED = re.compile(r"[一1]共|总共|合计|加起来|合起来|[一1]起|\b(?:in\s+total|total|together|altogether|combined)\b")
_LISTED_AFTER = re.compile(r"\u25a1\s*(?:和|、|与|及|以及|或|\band\b|\bor\b)\s*(?:the\s+)?$")
# "Of the whole county": the share of one place in another.
_OF_COUNTY = re.compile(r"占\u25a1|占比|比例|比重|share|percent|proportion|fraction")


def guarded(slots: Slots, query: Query) -> Query:
    """The query, or the question asked back where it holds not all of it."""
    reason = unheld(slots, query)
    if reason is None:
        return query
    if reason != "which_zone":
        return clarify(slots, reason)
    kept = {key: value for key, value in query.to_json().items() if key not in _NOT_KEPT}
    return clarify(slots, reason, query.wanted or (query.metric if query.compare is None else None), **kept)


def unheld(slots: Slots, query: Query) -> str | None:
    """The reason to ask back, None where the query holds all that the question names."""
    if query.metric == "clarify" and query.wanted not in (None, "compare") and query.reason in _COMPLETED:
        query = query.changed(metric=query.wanted, wanted=None, reason=None)  # once the missing thing is told
    if query.metric in _NO_LAND:
        return None
    if not _holds_zones(slots, query):
        return "which_zone"
    if _leaves_out(slots, query):
        return "exclusion"
    several = slots.roles.mixed or len(query.others) >= _SHOWN_SIDES or _zone_beside_a_class(slots)
    if several or not (_holds_periods(slots, query) and _holds_classes(slots, query) and _holds_measure(slots, query)):
        return "one_at_a_time"
    return None


def _sides(query: Query) -> list[Query]:
    return [query, *query.others]


def _holds_zones(slots: Slots, query: Query) -> bool:
    """Every place named; outside or inside is the rule's to say."""
    if slots.lonlat is not None:
        return True
    named = [zone for zone in slots.zones if zone is not None]
    towns = [index for index, zone in enumerate(slots.zones) if zone is not None and zone.type in ADMINISTRATIVE]
    if None in slots.zones and towns:  # the county beside a town, unless it is part of the address
        after = slots.lang == "zh" and slots.zones.index(None) > towns[0]
        if after or _OF_COUNTY.search(slots.rest):
            return False
    used = [side.zone for side in _sides(query) if side.zone is not None]
    held = {_place(zone) for zone in used} | {_place(zone.model_copy(update={"town": None})) for zone in used}
    cut = {zone.town for zone in used if zone.town is not None}
    return all(_place(zone) in held or (zone.type in TOWNS and zone.name in cut) for zone in named)


def _zone_beside_a_class(slots: Slots) -> bool:
    """Whether a zone and a class stand in one list: "基本农田和林地各多少"."""
    if slots.zone is None or slots.zone.type in ADMINISTRATIVE:
        return False
    return any(_LISTED_AFTER.search(slots.rest[: one.start]) for one in class_mentions(slots.rest))


def _place(zone: ZoneRef) -> tuple[str | None, ...]:
    return zone.type, zone.name, zone.part, zone.town


def _leaves_out(slots: Slots, query: Query) -> bool:
    """Whether something is excluded that the query does not exclude."""
    roles = slots.roles
    if slots.has("unchanged"):
        return True
    if not roles.outside and not slots.has("excluded"):
        return False
    if query.metric == "matrix" or (query.group_by == "class" and query.cls is None):
        return False  # every class stands by itself
    other_side = roles.cls is not None and roles.cls in roles.outside and roles.cls in (roles.from_cls, roles.to_cls)
    return not (other_side and query.metric in ("gain", "loss"))


def _holds_periods(slots: Slots, query: Query) -> bool:
    if slots.times.same_period and query.others:
        return True
    strict = separate(slots) and query.metric not in _SERIES
    return all(any(_holds_period(side, one, strict) for side in _sides(query)) for one in slots.times.periods)


def _holds_period(query: Query, period: Period, strict: bool) -> bool:
    """Whether a period is that of the query, or, where it is no period of its own, an end or a part of it."""
    t1, t2 = (date.fromisoformat(day) if day else None for day in (query.t1, query.t2))
    if t2 == period.t2 and (query.metric in STATES or t1 == period.t1 or period.t1 is None):
        return True
    if strict or t2 is None:
        return False
    if query.others:
        return t2 == period.t2 or t2 == period.t1
    return period.t2 in (t1, t2) or (t1 is not None and period.t1 is not None and t1 <= period.t1 and period.t2 <= t2)


def _holds_classes(slots: Slots, query: Query) -> bool:
    """Every class named that is not excluded; several of one side of a change stand side by side."""
    if query.metric in _ALL_CLASSES:
        return True
    if slots.roles.several and (query.compare != "classes" or _SUMMED.search(slots.rest)):
        return False
    if query.group_by == "class" and not (query.from_cls and query.to_cls):
        return True
    named = {one.cls for one in class_mentions(slots.rest) if not one.negated}
    if query.metric == "overlap" and slots.has("illegal"):  # 乱占乱建 is any encroachment
        named.discard("built")
    held = {name for side in _sides(query) for name in (side.cls, side.from_cls, side.to_cls)}
    return named <= held


def _holds_measure(slots: Slots, query: Query) -> bool:
    """One number, of one direction; no comparison goes town by town, and one of patches tells nothing of their area."""
    if query.compare in ("periods", "classes") and not {"town", "village"}.isdisjoint(slots.groups):
        return False
    if query.compare == "classes" and slots.has("gain") and slots.has("loss") and not slots.has("net"):
        return False
    if query.metric == "count" and len(_COUNTED.findall(slots.rest)) > 1:
        return False
    patches = any(side.metric == "patches" for side in query.others)
    return not (patches and _AREA_WORDS.search(slots.rest))
