"""What the query before a follow-up measured, and ways to ask back about it."""

from typing import Any

from src.assistant.query import Query
from src.assistant.reading.fill import clarify, ranked
from src.assistant.reading.roles import Roles
from src.assistant.reading.slots import Slots

FLOWS = frozenset({"gain", "loss", "net", "transition"})
# Their answers list patches, largest first.
LISTS = frozenset({"patches", "count", "overlap"})


def measured(query: Query) -> str:
    """The plain metric below a ranking or comparison."""
    if query.metric == "compare" and query.others:
        return query.others[0].metric
    if ranks_places(query):
        return "gain" if query.to_cls else "loss" if query.from_cls else "net"
    return query.metric


def ranks_places(query: Query) -> bool:
    """Whether it puts towns, villages or classes in order, rather than patches."""
    return query.metric == "rank" and query.group_by is not None


def lists_patches(query: Query) -> bool:
    """Whether its answer lists patches."""
    return query.metric in LISTS or (query.metric == "rank" and query.group_by is None)


def kept(query: Query) -> dict[str, Any]:
    """The fields that a "clarify" takes over."""
    return {key: value for key, value in query.to_json().items() if key not in ("metric", "reason", "wanted", "lang")}


def each(query: Query, **fields: Any) -> dict[str, Any]:
    """The other sides of a comparison with these fields."""
    return {"others": [one.changed(**fields).to_json() for one in query.others]}


def ask(slots: Slots, reason: str) -> Query:
    """Asked back in words; the query before stays as it was."""
    return clarify(slots, reason)


def names_land(slots: Slots) -> bool:
    """Whether a class, a period or a place is named."""
    return slots.roles != Roles() or bool(slots.times.periods) or slots.zone is not None


def names_any(slots: Slots) -> bool:
    """Likewise, the county itself among the places."""
    return names_land(slots) or bool(slots.zones)


def as_patches(base: Query, metric: str = "patches", way: str = "") -> Query | None:
    """The patches behind an answer: of its class, period and place.

    Args:
        base: query before.
        metric: "patches", "count" or "rank".
        way: "gain" or "loss", where the question says it.

    Returns:
        None where no patches belong to the answer: areas, trends, comparisons, and net changes, which have two kinds.
    """
    way = way if way and base.cls else measured(base)
    if base.metric == "compare" or way not in ("gain", "loss", "transition", "matrix", "structure", *LISTS, "rank"):
        return None
    fields: dict[str, Any] = {"cls": None, "group_by": None, "compare": None, "others": (), "rank": None}
    if way == "gain":
        fields |= {"from_cls": None if ranks_places(base) else base.from_cls, "to_cls": base.cls or base.to_cls}
    elif way == "loss":
        fields |= {"from_cls": base.cls or base.from_cls, "to_cls": base.to_cls}
    if metric == "patches" and base.metric == "overlap":
        metric = "overlap"
    if metric == "rank":
        fields["rank"] = ranked(1, "desc")
    return base.changed(metric=metric, **fields)
