"""Rules for two things side by side, and for the most and the largest."""

import re
from typing import Any

from src.assistant.query import Query, ZoneRef
from src.assistant.reading.fill import (
    ADMINISTRATIVE,
    a_year_before,
    build,
    clarify,
    direction,
    period_fields,
    ranked,
    separate,
    sides,
    takes_land,
)
from src.assistant.reading.slots import LARGEST_PATCH, Slots

# "Which towns", "a ranking", without a number.
_SEVERAL = 10
_EACH = re.compile(r"分别|各(?!地|乡|类|个)|respectively")
# "How much less forest was there", "is there more cropland": what there is, not what was lost or gained.
_THERE_IS = re.compile(
    r"\b(?:less|fewer|more)\s+(?!new)[\w\s-]{2,30}?\b(?:is|was|are|were)\s+there\b"
    r"|\b(?:(?:is|was|are|were)\s+there|there\s+(?:is|was|are|were))\s+(?:less|fewer|more)\s+(?!new)"
)
_WHICH_ONE = re.compile(r"哪(?:1|一)?个|哪里|哪儿|谁|第1|第一|\b(?:which|what)\s+(?:town(?:ship)?|village)\b|\bwhere\b")


def some_class(slots: Slots) -> bool:
    """Whether any class is named."""
    roles = slots.roles
    return bool(roles.cls or roles.from_cls or roles.to_cls)


def both(slots: Slots) -> bool:
    """Whether a class before and one after are named."""
    return bool(slots.roles.from_cls and slots.roles.to_cls) or bool(slots.roles.several)


def _compared_zones(slots: Slots) -> list[ZoneRef]:
    return [zone for zone in slots.zones if zone is not None]


def is_compare_zones(slots: Slots) -> bool:
    """Two places of a kind, and a comparison or a measure."""
    zones = _compared_zones(slots)
    same = len({(zone.type, zone.name, zone.part) for zone in zones}) > 1
    towns = {zone.type in ADMINISTRATIVE for zone in zones}
    if len(towns) != 1 or (not some_class(slots) and (towns == {False} or slots.has("encroach"))):
        return False
    return same and slots.has("more", "which_side", "most", "gain", "loss", "change", "amount", "share")


def _measured(slots: Slots, default: str) -> str:
    """What is measured on both sides of a comparison."""
    if both(slots):
        return "transition"
    if slots.has("patch", "illegal"):
        return "patches"
    if (slots.has("gain", "loss", "net") or takes_land(slots)) and not _states_differ(slots):
        return direction(slots)
    if slots.has("share"):
        return "share_at"
    return "net" if slots.has("change") else default


def _states_differ(slots: Slots) -> bool:
    """A share, or what there is now, that was so much more or less: no area gained or lost."""
    versus = any(one.form == "versus" for one in slots.times.periods)
    return (versus and slots.has("share", "area_of")) or _THERE_IS.search(slots.rest) is not None


def compare_zones(slots: Slots) -> Query:
    """One place against the others."""
    changes = [{"zone": zone.model_dump(mode="json")} for zone in _compared_zones(slots)]
    return sides(slots, _measured(slots, "area_at"), "zones", changes)


def is_compare_periods(slots: Slots) -> bool:
    """Two periods and flows within each, rather than the states at their ends."""
    periods = slots.times.periods
    patches = slots.has("patch", "illegal")
    flows = slots.has("gain", "loss", "net", "turned") or slots.roles.several != "" or both(slots)
    if slots.times.same_period and periods and periods[0].form != "versus":
        return patches or (some_class(slots) and flows)
    if _against_a_year(slots):
        return True
    if len(periods) < 2 or not (patches or some_class(slots)) or all(one.t1 is None for one in periods):
        return False
    if patches:
        counted = slots.has("count", "amount") or _EACH.search(slots.rest) is not None
        return slots.has("which_side", "more") or (counted and separate(slots))
    if separate(slots):
        ranked_within = slots.has("most") and not slots.has("which_year", "which_side")
        return not (ranked_within or slots.has("trend", "breakdown"))
    ranges = all(one.form == "range" for one in periods)
    asked = slots.has("which_side", "more") or _EACH.search(slots.rest)
    # "Cropland fell by how much against 2023" is one difference of states; "is more new building than" compares flows.
    sized = (
        slots.has("amount")
        and not slots.has("which_side")
        and not re.search(r"更|还是|新增|多不多|分别|流[出入]", slots.rest)
    )
    return bool(asked) and (ranges or not sized or "en" == slots.lang and slots.has("which_side"))


def _against_a_year(slots: Slots) -> bool:
    """Patches, a share or a state now against one year that is named alone: "compared with last year"."""
    periods = slots.times.periods
    if len(periods) != 1 or periods[0].form != "versus":
        return False
    if slots.has("patch", "illegal"):
        return slots.has("more") and not slots.has("exists")
    if slots.roles.cls is None or both(slots) or slots.groups:
        return False
    flows = slots.has("gain", "loss", "net", "change", "trend", "rate")
    return _states_differ(slots) or (slots.times.now and not flows)


def compare_periods(slots: Slots) -> Query:
    """One period against the others, or against the same a year before."""
    periods = slots.times.periods
    if slots.times.same_period or (len(periods) == 1 and slots.has("patch", "illegal")):
        changes = [period_fields(periods[0]), a_year_before(periods[0])]
    elif len(periods) == 1:
        t1, t2 = periods[0].span
        changes = [{"t2": day.isoformat()} for day in (t2, t1) if day is not None]
    else:
        changes = [period_fields(one) for one in periods]
    metric = _measured(slots, "area_at")
    if metric in ("area_at", "share_at"):
        changes = [change | {"t1": None} for change in changes]
    return sides(slots, metric, "periods", changes)


def is_compare_classes(slots: Slots) -> bool:
    """Two classes and a comparison, or flows of several classes side by side."""
    roles = slots.roles
    asked = slots.has("which_side", "more", "most")
    flows = roles.listed and slots.has("gain", "loss", "net", "change") and not slots.has("patch", "illegal", "exists")
    return bool(roles.cls and roles.others) and (asked or flows) and not slots.groups_rank


def compare_classes(slots: Slots) -> Query:
    """One class against the others."""
    names = [name for name in (slots.roles.cls, *slots.roles.others) if name is not None]
    metric = _measured(slots, "area_at")
    return sides(slots, metric, "classes", [{"cls": name} for name in names])


def rank_places(slots: Slots) -> Query:
    """Places or classes in order."""
    group = next(name for name in ("town", "village", "class") if name in slots.groups)
    way, least = direction(slots), slots.has("least")
    roles = slots.roles
    cls = roles.cls
    number = slots.rank_n or (
        1 if _WHICH_ONE.search(slots.rest) and not re.search("排名|排行|排序|rank", slots.rest) else _SEVERAL
    )
    fields: dict[str, Any] = {"group_by": group, "cls": cls or roles.to_cls or roles.from_cls}
    order = "asc" if least else "desc"
    if slots.has("patch", "illegal") and cls in (None, "built"):
        fields |= {"cls": "built", "to_cls": "built"}
    elif roles.from_cls or roles.to_cls:
        fields |= {"from_cls": roles.from_cls, "to_cls": roles.to_cls}
    elif way == "gain":
        fields["to_cls"] = cls
    elif way == "loss":
        fields["from_cls"] = cls
    elif slots.has("loss") and not slots.has("gain"):  # net decrease: the most negative first
        order = "desc" if least else "asc"
    elif slots.has("change", "net") and not slots.has("gain"):
        order = "asc" if least else "size"
    elif not slots.has("gain") and cls is not None:
        t2 = slots.times.periods[-1].t2 if slots.times.periods else slots.as_of
        if slots.has("share") and group != "class":  # no query ranks shares: the share of every place
            return build("share_at", slots, group_by=group, rank=None)
        fields |= {"t1": None, "t2": t2.isoformat()}
    if fields["cls"] is None and group != "class":
        if slots.has("patch", "change"):
            return build("patches", slots, group_by=group, rank=ranked(number, "desc"))
        zone = slots.zone.model_dump(mode="json") if slots.zone is not None else None
        return clarify(slots, "need_class", "rank", group_by=group, rank=ranked(number, "desc"), zone=zone)
    return build("rank", slots, rank=ranked(number, order), **fields)


def is_rank_patches(slots: Slots) -> bool:
    """The largest patches."""
    counted = slots.has("most") or slots.rank_n is not None
    if counted and LARGEST_PATCH.search(slots.rest) and (slots.has("patch", "illegal", "gain") or both(slots)):
        return True
    return (
        counted and slots.has("patch", "illegal", "change") and not _some_class_alone(slots) and not slots.groups_rank
    )


def _some_class_alone(slots: Slots) -> bool:
    """A class whose change is ranked, and no patches."""
    return not slots.has("patch", "illegal") and some_class(slots)


def rank_patches(slots: Slots) -> Query:
    """Patches in order of their area."""
    order = "asc" if slots.has("least") else "desc"
    number = slots.rank_n or (
        1 if slots.has("this_patch") or re.search("哪|最大的?(?:图斑|那|1个|一个)|which|the", slots.rest) else _SEVERAL
    )
    return build("rank", slots, rank=ranked(number, order), group_by=None)
