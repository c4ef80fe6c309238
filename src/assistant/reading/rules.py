"""The ordered table from the parts of a question to its metric; the first rule that fits decides."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from src.assistant.query import Query, ZoneRef
from src.assistant.reading.comparisons import (
    both,
    compare_classes,
    compare_periods,
    compare_zones,
    is_compare_classes,
    is_compare_periods,
    is_compare_zones,
    is_rank_patches,
    rank_patches,
    rank_places,
    some_class,
)
from src.assistant.reading.fill import (
    ADMINISTRATIVE,
    build,
    clarify,
    closed,
    direction,
    period_fields,
    ranked,
    review,
    sides,
    special,
)
from src.assistant.reading.guard import guarded
from src.assistant.reading.slots import Slots

_WHY = re.compile(
    r"为什么|为何|为啥|怎么会|怎么就|原因|是不是|是否|归因|\bwhy\b|\breasons?\b|\bis\s+it\b"
    r"|\bis\s+the\b|\bare\b|\bdid\b|\bwas\b.{0,40}\bcaused"
)
_STIR = re.compile(r"动静|异动|新情况|新变化")
_IT = re.compile(r"\b(?:it|that|this|these|those)\b|[这那]")
_ONLY_HELLO = re.compile(r"[\s,。?!.~、你您好早上晚安hi啊呀吗在么嗨哈喽hello谢thanks]*")
_BEYOND = re.compile(
    r"越界|越线|出界|超出|超越|越过|界外|\bbeyond\b|\boutside\b|\bexceed\w*|\bcross\w*|\bwithin\s+(?:its|their|the)\b"
)


@dataclass(frozen=True)
class Rule:
    """One line of the table.

    Args:
        name: of the rule.
        why: what makes it fit.
        when: whether it fits.
        make: the query it makes.
    """

    name: str
    why: str
    when: Callable[[Slots], bool]
    make: Callable[[Slots], Query]


def decide(slots: Slots) -> Query:
    """The query of the first rule that fits, asked back where it does not hold all that the question names."""
    for rule in RULES:
        if rule.when(slots):
            return guarded(slots, rule.make(slots))
    return clarify(slots, "unknown")


def rule_name(slots: Slots) -> str:
    """Name of the rule that decides, "" for none; for tests and traces."""
    return next((rule.name for rule in RULES if rule.when(slots)), "")


def _protective(slots: Slots) -> ZoneRef | None:
    zone = slots.zone
    return zone if zone is not None and zone.type not in ADMINISTRATIVE else None


def _empty(slots: Slots) -> Query:
    return closed(slots, "refuse", "off_topic") if slots.ordered else clarify(slots, "empty")


def _image_only(slots: Slots) -> bool:
    asked = slots.has("change", "gain", "loss", "turned", "encroach")
    return (
        slots.has("one_image")
        and asked
        and not slots.times.periods
        and not slots.has("provenance", "accuracy", "export")
    )


def _describe(slots: Slots) -> bool:
    return slots.has("image") and not slots.times.periods and not slots.has("provenance", "accuracy", "export")


def _is_convert(slots: Slots) -> bool:
    bare = not some_class(slots) and slots.zone is None and not slots.has("patch", "illegal")
    if not (slots.units and bare and slots.has("convert")) or slots.times.periods:
        return False
    return slots.value is not None or not slots.has("gain", "loss", "share", "trend", "most")


def _convert(slots: Slots) -> Query:
    if slots.value is None:
        return build("convert", slots, unit=None, to_unit=slots.units[0])
    value, unit = slots.value
    others = [one for one in slots.units if one != unit]
    # "How many hectares is 500 mu" names the wanted unit first; acres were read as hectares already.
    to_unit = others[0] if others else slots.units[-1] if len(slots.units) > 1 else None
    return build("convert", slots, value=value, unit=unit, to_unit=to_unit)


def _is_causal(slots: Slots) -> bool:
    if not slots.has("causal"):
        return False
    return not (both(slots) and slots.has("amount")) or _WHY.search(slots.rest) is not None


def _is_detail(slots: Slots) -> bool:
    if slots.has("review", "illegal", "count", "most", "export") and slots.patch_id is None:
        return False
    named = slots.patch_named or (slots.has("this_patch") and slots.has("detail"))
    return named and (not slots.times.periods or (slots.patch_id is not None and slots.has("amount")))


def _is_first_seen(slots: Slots) -> bool:
    if slots.has("when") and slots.has("begin"):
        return True
    # Whether a patch was there at some time.
    return slots.patch_id is not None and bool(slots.times.periods) and not slots.has("review", "amount")


def _first_seen(slots: Slots) -> Query:
    return build("first_seen", slots) if slots.patch_id is None else build("first_seen", slots, t1=None, t2=None)


def _extreme(slots: Slots) -> Query:
    least = slots.has("least")
    down = direction(slots) == "loss"
    order = "asc" if down != least else "desc"
    if slots.has("change", "net") and not (least or slots.has("gain", "loss")):
        order = "size"
    return build("extreme_interval", slots, rank=ranked(1, order), group_by=None)


def _is_overlap(slots: Slots) -> bool:
    zone = _protective(slots)
    listed = slots.has("patch") and slots.has("illegal") and not slots.has("encroach")
    amount_only = both(slots) and slots.has("amount")
    if zone is not None and zone.type == "mining" and not zone.inside:
        return (not some_class(slots) or slots.digging) and slots.has(
            "exists", "patch", "illegal", "encroach", "amount", "change"
        )
    return zone is not None and slots.has("encroach", "human") and not listed and not amount_only


def _overlap(slots: Slots) -> Query:
    zone = _protective(slots)
    assert zone is not None
    if zone.type == "mining" and (not zone.inside or _BEYOND.search(slots.rest)):
        outside = zone.model_copy(update={"inside": False})
        return build("patches", slots, zone=outside.model_dump(mode="json"), from_cls=None, to_cls="unused")
    if zone.type == "urban_boundary" or not zone.inside:
        outside = zone.model_copy(update={"inside": False})
        cls = slots.roles.cls or slots.roles.to_cls or "built"
        return build(
            "gain", slots, ask=False, zone=outside.model_dump(mode="json"), cls=cls, from_cls=None, to_cls=None
        )
    fields: dict[str, Any] = {}
    if slots.has("amount") and zone.type == "basic_farmland" and not (slots.roles.from_cls or slots.roles.cls):
        fields["from_cls"] = "cropland"
    if slots.roles.cls in ("cropland", "forest", "grassland", "garden") and slots.roles.to_cls is None:
        fields |= {"from_cls": slots.roles.cls, "to_cls": None}
    if zone.type == "river" and re.search("乱建|乱盖|乱占|四乱", slots.rest):
        fields |= {"to_cls": None}
    return build("overlap", slots, **fields)


def _ranged(slots: Slots) -> bool:
    return any(one.form == "range" for one in slots.times.periods)


def _is_human_trend(slots: Slots) -> bool:
    return slots.has("human") and slots.has("trend", "net", "gain", "loss", "change") and not slots.has("exists")


def _patches(slots: Slots) -> Query:
    if slots.has("illegal") and re.search(r"非农化|大棚房", slots.rest):
        return build("patches", slots, from_cls=None, to_cls="built")
    return build("patches", slots)


def _is_patches(slots: Slots) -> bool:
    if slots.has("patch", "illegal") or slots.min_area_m2 is not None or slots.min_confidence is not None:
        return True
    if slots.digging and not slots.has("share"):
        return True
    if both(slots) and slots.has("amount"):
        return False
    roles = slots.roles
    if slots.has("exists") and not some_class(slots) and _STIR.search(slots.rest):
        return True
    built = "built" in (roles.cls, roles.to_cls)
    if built and slots.has("building") and not slots.has("amount", "this_patch"):
        return True
    return slots.has("exists") and (bool(roles.to_cls) or (built and slots.has("gain")))


def _transition(slots: Slots) -> Query:
    roles = slots.roles
    if not roles.several:
        return build("transition", slots)
    return sides(slots, "transition", "classes", [{f"{roles.several}_cls": name} for name in roles.together])


def _breakdown(slots: Slots) -> Query:
    comes = re.search(
        r"来源|来自|从哪|哪来|(?:原来?|以前|之前|原先|先前)都?是|sources?|com(?:e|es|ing)\s+from"
        r"|came\s+from|before|replaced\s+by",
        slots.rest,
    )
    metric = "gain" if comes or (slots.has("gain") and not slots.has("loss")) else "loss"
    return build(metric, slots, group_by="class")


def _is_flow(slots: Slots) -> bool:
    return slots.has("gain", "loss", "net") and (
        some_class(slots) or slots.has("amount") or (slots.has("net") and not slots.has("matrix"))
    )


def _flow(slots: Slots) -> Query:
    roles, way = slots.roles, direction(slots)
    if (roles.from_cls or roles.to_cls) and not both(slots):
        way = "gain" if roles.to_cls else "loss"
    return build(way, slots)


def _one_sided(slots: Slots) -> bool:
    roles = slots.roles
    return (
        roles.cls is not None
        and roles.cls in (roles.from_cls, roles.to_cls)
        and slots.has("turned", "amount", "change")
    )


def _area_at(slots: Slots) -> Query:
    fields: dict[str, Any] = {}
    if slots.roles.cls is None and not some_class(slots) and slots.zone is None:
        fields["group_by"] = "class"
    if slots.roles.outside and slots.roles.cls is None:
        fields["group_by"] = "class"
    if slots.roles.listed:
        return build("area_at", slots, cls=None, group_by="class")
    points = slots.times.periods
    if len(points) > 1 and slots.roles.cls:
        changes = [period_fields(one) | {"t1": None} for one in points]
        return sides(slots, "area_at", "periods", changes)
    return build("area_at", slots, **fields)


def _is_area(slots: Slots) -> bool:
    if slots.has("change", "gain", "loss", "net"):
        return False
    asked = (
        slots.has("amount", "area_of")
        or bool(slots.groups)
        or slots.times.now
        or bool(slots.units)
        or bool(slots.times.periods)
    )
    somewhere = slots.zone is not None or "class" in slots.groups
    return (some_class(slots) and (asked or slots.has("detail"))) or (slots.has("amount") and somewhere)


def _off_topic(slots: Slots) -> bool:
    hello = _ONLY_HELLO.fullmatch(slots.rest) is not None
    return slots.has("off_topic") and not hello and not some_class(slots) and slots.zone is None


def _as(metric: str, **fields: Any) -> Callable[[Slots], Query]:
    return lambda slots: build(metric, slots, **fields)


def _no(metric: str, reason: str) -> Callable[[Slots], Query]:
    return lambda slots: closed(slots, metric, reason)


RULES: tuple[Rule, ...] = (
    Rule("empty", "no text, or nothing but orders", lambda s: not re.search(r"\w", s.text), _empty),
    Rule(
        "review",
        "a state is set",
        lambda s: s.has("review") and (s.status is not None or "误报" in s.rest),
        review,
    ),
    Rule(
        "upper threshold",
        "no query holds a largest area",
        lambda s: s.max_area and s.has("patch", "illegal", "count"),
        lambda s: clarify(s, "unknown"),
    ),
    Rule("legal", "a verdict or a penalty is asked for", lambda s: s.has("legal"), _no("refuse", "legal")),
    Rule("off_topic", "a subject of other trades, no land named", _off_topic, _no("refuse", "off_topic")),
    Rule("no data", "nothing at hand tells it", lambda s: s.has("no_data"), _no("unsupported", "no_data")),
    Rule("one_image", "change asked of a single image", _image_only, lambda s: clarify(s, "need_t1", "patches")),
    Rule(
        "survey",
        "differs from other figures",
        lambda s: s.has("survey") and s.has("differs", "causal", "more"),
        _as("explain_diff"),
    ),
    Rule("provenance", "asks for images, dates or cloud", lambda s: s.has("provenance"), _as("provenance")),
    Rule("describe", "asks about a picture", _describe, _as("describe")),
    Rule("export", "a file is wanted", lambda s: s.has("export") or bool(s.formats and not s.cues), _as("export")),
    Rule("accuracy", "asks how good the figures are", lambda s: s.has("accuracy"), _as("accuracy")),
    Rule("convert", "units and no land", _is_convert, _convert),
    Rule("crops", "asks which crop grows", lambda s: s.has("non_grain"), _no("unsupported", "non_grain")),
    Rule(
        "verify",
        "asks whether a change is seasonal or real",
        lambda s: (
            s.has("season")
            and (s.has("this_patch", "change", "patch") or s.patch_named or _IT.search(s.rest) is not None)
        ),
        _as("verify"),
    ),
    Rule("causal", "asks for the cause", _is_causal, _no("unsupported", "causal")),
    Rule(
        "forecast",
        "asks for what is to come",
        lambda s: s.has("forecast") and not any(p.future for p in s.times.periods),
        _no("unsupported", "forecast"),
    ),
    Rule("special", "solar panels, greenhouses", lambda s: s.has("solar", "greenhouse"), special),
    Rule("abandoned", "farmland not farmed", lambda s: s.has("abandoned"), _as("abandoned", cls="cropland")),
    Rule(
        "which year",
        "which year, and most",
        lambda s: s.has("which_year") and s.has("most") and not s.groups_rank and len(s.times.periods) < 2,
        _extreme,
    ),
    Rule("first seen", "when did it begin, was it there then", _is_first_seen, _first_seen),
    Rule("point", "coordinates are given", lambda s: s.lonlat is not None, _as("point")),
    Rule("patch detail", "one patch is named", _is_detail, _as("patch_detail")),
    Rule("vegetation", "vegetation, NDVI", lambda s: s.has("vegetation"), _as("index_mean", cls=None)),
    Rule("human activity", "more or less human activity", _is_human_trend, _as("trend", cls="built")),
    Rule("compare zones", "two places", is_compare_zones, compare_zones),
    Rule("compare periods", "two periods and a comparison", is_compare_periods, compare_periods),
    Rule("compare classes", "two classes and a comparison", is_compare_classes, compare_classes),
    Rule("rate", "rate or dynamic degree", lambda s: s.has("rate"), _as("rate")),
    Rule("matrix", "classes into classes", lambda s: s.has("matrix") and not both(s), _as("matrix", cls=None)),
    Rule(
        "structure",
        "structure and change",
        lambda s: (
            (s.has("structure") or (s.has("share") and not some_class(s)))
            and (
                s.has("change", "trend") or len(s.times.periods) > 1 or any(p.form == "range" for p in s.times.periods)
            )
            and not some_class(s)
        ),
        _as("structure", group_by=None),
    ),
    Rule("rank places", "which place most", lambda s: s.groups_rank, rank_places),
    Rule("rank patches", "largest patches", is_rank_patches, rank_patches),
    Rule("overlap", "a protective zone and encroachment", _is_overlap, _overlap),
    Rule(
        "count",
        "how many patches",
        lambda s: s.has("count") and (s.has("patch", "illegal") or s.digging or (some_class(s) and not s.units)),
        _as("count"),
    ),
    Rule(
        "trend",
        "trend of a class",
        lambda s: (s.has("trend") or (s.has("share") and s.has("change"))) and (some_class(s) or s.has("human")),
        _as("trend"),
    ),
    Rule(
        "breakdown",
        "where from, where to",
        lambda s: s.has("breakdown") and some_class(s) and not both(s),
        _breakdown,
    ),
    Rule("patches", "suspected change, listed", _is_patches, _patches),
    Rule("transition", "from one class to another", both, _transition),
    Rule("one side", "to or from anything else", _one_sided, _flow),
    Rule(
        "share",
        "share or structure on one date",
        lambda s: s.has("share", "structure") and not s.has("gain", "loss"),
        lambda s: build("share_at", s) if s.roles.cls else build("share_at", s, group_by="class"),
    ),
    Rule("flow", "gain, loss or net", _is_flow, _flow),
    Rule(
        "water series",
        "water goes up and down: its series rather than two dates",
        lambda s: s.has("change") and s.roles.cls == "water" and not s.times.periods,
        _as("trend"),
    ),
    Rule("net", "change of a class", lambda s: s.has("change") and some_class(s), _as("net")),
    Rule(
        "presence",
        "is there any",
        lambda s: s.has("exists") and some_class(s) and not s.has("amount"),
        _as("presence"),
    ),
    Rule(
        "zone alone",
        "a protective zone, and whether all is well there",
        lambda s: _protective(s) is not None and s.has("exists", "detail", "illegal") and not s.has("change", "amount"),
        _overlap,
    ),
    Rule("area", "how much of a class", _is_area, _area_at),
    Rule("change", "what has changed", lambda s: s.has("change"), _as("matrix", cls=None)),
)
