"""Suspected patches: list, count, one patch, one point, overlap with a zone."""

from src.assistant.forms.base import (
    Form,
    arrow,
    breakdown,
    ended,
    headline,
    joined,
    latest_states,
    patch_area,
    patch_groups,
    patch_list,
    zones_met,
)
from src.assistant.record import Evidence, Figure
from src.assistant.text import SECTORS, Say, Words, class_name, day, listed, pick, place_name, type_name
from src.geo.zones import PARTS

# Smaller shares of the ground around a point are left out.
_LEAST_COVER = 0.05

_TEXT: Words = {
    "found": {
        "zh": "{place}发现疑似{what}图斑{n}个{mmu}{area}",
        "en": "{n} suspected {what} patches{mmu} were found in {place}{area}",
    },
    "one": {
        "zh": "{place}发现疑似{what}图斑{n}个{mmu}{area}",
        "en": "{n} suspected {what} patch{mmu} was found in {place}{area}",
    },
    "none": {
        "zh": "{place}未发现疑似{what}图斑{mmu}",
        "en": "No suspected {what} patch{mmu} was found in {place}",
    },
    "none_means": {
        "zh": "未发现不等于没有：更小的变化用这类影像看不到。",
        "en": "Not found does not mean not there: smaller changes cannot be seen on these images.",
    },
    "mmu": {"zh": "（单个不小于{}）", "en": " (each of {} or more)"},
    "area": {"zh": "，合计{}", "en": ", {} together"},
    "change": {"zh": "变化", "en": "change"},
    "new": {"zh": "新增{}", "en": "new {}"},
    "work": {"zh": "建设活动", "en": "construction"},
    "from_to": {"zh": "{}转{}", "en": "{}-to-{}"},
    "loss_of": {"zh": "{}减少", "en": "{} loss"},
    "below_mmu": {"zh": "另有小于最小图斑的变化{}处未列出", "en": "{} smaller changes are not listed"},
    "same_class": {
        "zh": "另有前后地类相同的变化图斑{}个（多为作物长势差异）未计入",
        "en": "{} patches whose class stayed the same (mostly crops at another stage) are left out",
    },
    "later": {"zh": "其后有{}期影像印证", "en": "{} later dates confirm it"},
    "overlap": {
        "zh": "{place}内发现疑似变化图斑{n}个，重叠面积{value}",
        "en": "{n} suspected patches reach into {place}, {value} inside it",
    },
    "overlap_none": {
        "zh": "未发现与{place}相交的疑似变化图斑{mmu}",
        "en": "No suspected patch{mmu} was found that reaches into {place}",
    },
    "of_zone": {"zh": "占该区域面积的{}", "en": "That is {} of the zone"},
    "interior": {"zh": "其中离边界一个像元以上的{}", "en": "{} of it lies more than one pixel inside the line"},
    "parts": {"zh": "按功能区", "en": "By part"},
    "part": {"zh": "{name}{value}", "en": "{name} {value}"},
    "detail": {
        "zh": "图斑{id}：{t1}至{t2}间疑似{change}，面积{value}",
        "en": "Patch {id}: suspected change between {t1} and {t2}, {change}, {value}",
    },
    "where": {"zh": "位置：{}", "en": "Place: {}"},
    "lonlat": {"zh": "东经{lon}°、北纬{lat}°", "en": "{lon}° E, {lat}° N"},
    "grade_words": {"zh": "可信度{}级", "en": "grade {}"},
    "status": {"zh": "核查状态：{}", "en": "status: {}"},
    "meets": {"zh": "涉及：{}", "en": "Reaches into: {}"},
    "no_zone": {"zh": "未与已载入的管控区域相交", "en": "Reaches into none of the loaded zones"},
    "share_zone": {"zh": "{zone}内{area}", "en": "{area} inside {zone}"},
    "point": {
        "zh": "（{lon}，{lat}）周边{radius}内发现疑似变化图斑{n}个{area}",
        "en": "{n} suspected patches within {radius} of ({lon}, {lat}){area}",
    },
    "point_none": {
        "zh": "（{lon}，{lat}）周边{radius}内未发现疑似变化图斑{mmu}",
        "en": "No suspected patch{mmu} was found within {radius} of ({lon}, {lat})",
    },
    "point_cover": {"zh": "该处后期地类", "en": "Cover there at the later date"},
}


def _what(say: Say) -> str:
    """The change asked for: "新增建设用地", "耕地转建设用地", "变化"."""
    query = say.evidence.query
    before = class_name(query.from_cls, say.lang) if query.from_cls else ""
    after = class_name(query.to_cls or query.cls or "", say.lang)
    if before and query.to_cls:
        return _TEXT["from_to"][say.lang].format(before, after)
    if before:
        return _TEXT["loss_of"][say.lang].format(before)
    if query.to_cls == "built":
        # Earthwork is what building looks like before anything stands.
        return _TEXT["work"][say.lang]
    return _TEXT["new"][say.lang].format(after) if after else _TEXT["change"][say.lang]


def _mmu(say: Say) -> str:
    """The smallest patch that counts: the one asked for where it is larger than what can be seen."""
    unit = say.first(quantity="unit")
    asked = say.evidence.query.min_area_m2
    if asked is not None and (unit is None or asked > unit.value):
        unit = Figure(key="asked", quantity="unit", value=asked, dimension="area")
    return _TEXT["mmu"][say.lang].format(say.short(unit)) if unit else ""


def _count(say: Say) -> int:
    figure = say.first(quantity="patches", dimension="count")
    return int(figure.value) if figure is not None else len(say.evidence.patches)


def _together(say: Say) -> tuple[str, Figure | None]:
    total = say.first(quantity="patches", dimension="area")
    return (_TEXT["area"][say.lang].format(say.full(total)), total) if total is not None else ("", None)


def patches(evidence: Evidence) -> list[str]:
    """Suspected patches of a period.

    Looks for: patches (count; area with bounds); unit; patches (count, kind=type code or grade); patches (count,
    place=town); the rows.
    """
    say = Say(evidence)
    n = _count(say)
    if not n:
        words = say.text(_TEXT, "none", place=say.place, what=_what(say), mmu=_mmu(say))
        return [headline(say, words), _TEXT["none_means"][say.lang]]
    area, total = _together(say)
    key = "one" if n == 1 else "found"
    words = say.text(_TEXT, key, place=say.place, what=_what(say), n=n, mmu=_mmu(say), area=area)
    return [headline(say, words, total), *patch_list(say), *patch_groups(say), *_besides(say)]


def _besides(say: Say) -> list[str]:
    """What was found and is not among the patches: smaller changes, and ground whose class stayed the same."""
    parts = []
    for kind in ("below_mmu", "same_class"):
        found = say.first(quantity="patches", dimension="count", kind=kind)
        if found is not None and found.value:
            parts.append(_TEXT[kind][say.lang].format(say.short(found)))
    return [ended(say, joined(say, parts))] if parts else []


def overlap(evidence: Evidence) -> list[str]:
    """Patches that reach into a zone.

    Looks for: overlap (area with bounds); overlap (share): of the zone; overlap of kind "interior"; overlap (area,
    kind=core, buffer or experimental, or place=name of a zone); patches (count); unit; the rows.
    """
    say = Say(evidence)
    n, main = _count(say), say.first(quantity="overlap", dimension="area")
    if not n:
        return [
            headline(say, say.text(_TEXT, "overlap_none", place=say.place, mmu=_mmu(say))),
            _TEXT["none_means"][say.lang],
        ]
    value = say.full(main) if main is not None else _together(say)[0]
    lines = [headline(say, say.text(_TEXT, "overlap", place=say.place, n=n, value=value), main)]
    notes = []
    if share := say.first(quantity="overlap", dimension="share"):
        notes.append(_TEXT["of_zone"][say.lang].format(say.short(share)))
    if interior := say.first(quantity="overlap", dimension="area", kind="interior"):
        notes.append(_TEXT["interior"][say.lang].format(say.short(interior)))
    lines += [ended(say, joined(say, notes))] if notes else []
    parts = [
        say.text(_TEXT, "part", name=PARTS[one.kind][say.lang], value=say.short(one))
        for one in say.all(quantity="overlap", dimension="area")
        if one.kind in PARTS and one.value
    ]
    lines += breakdown(say, _TEXT["parts"][say.lang], parts)
    return [*lines, *patch_list(say), *patch_groups(say)]


def patch_detail(evidence: Evidence) -> list[str]:
    """One patch.

    Looks for: its row; overlap (area, place=zone, patch_id); index (kind) before and after.
    """
    say = Say(evidence)
    if not evidence.patches:
        return []
    row = evidence.patches[0]
    change = arrow(say, row.from_cls, row.to_cls) or type_name(row.kind, say.lang)
    main = patch_area(row)
    t1, t2 = day(row.t1, say.lang), day(row.t2, say.lang)
    words = say.text(_TEXT, "detail", id=row.id, t1=t1, t2=t2, change=change, value=say.full(main))
    position = _TEXT["lonlat"][say.lang].format(lon=f"{row.lon:.5f}", lat=f"{row.lat:.5f}")
    place = joined(say, (row.town, pick(SECTORS, row.sector, say.lang), position))
    grade = _TEXT["grade_words"][say.lang].format(row.grade)
    seen_later = say.first(quantity="seen", kind="later_dates")
    later = _TEXT["later"][say.lang].format(say.short(seen_later)) if seen_later and seen_later.value else ""
    facts = joined(say, (_TEXT["where"][say.lang].format(place), type_name(row.kind, say.lang), grade, later))
    zones = [
        _TEXT["share_zone"][say.lang].format(zone=place_name(one.place, say.lang), area=say.short(one))
        for one in say.all(quantity="overlap", dimension="area", patch_id=row.id)
        if one.place and one.value
    ] or zones_met(row, say.lang)
    hits = _TEXT["meets"][say.lang].format(listed(zones, say.lang)) if zones else _TEXT["no_zone"][say.lang]
    status = _TEXT["status"][say.lang].format(row.status)
    return [headline(say, words, main), ended(say, facts), ended(say, joined(say, (hits, status)))]


def point(evidence: Evidence) -> list[str]:
    """What happened around a point.

    Looks for: patches (count; area) within the radius of the query; the rows; unit.
    """
    say = Say(evidence)
    query = evidence.query
    n = _count(say)
    words = {
        "lon": f"{query.lon:.5g}" if query.lon is not None else "",
        "lat": f"{query.lat:.5g}" if query.lat is not None else "",
        "radius": f"{query.radius_m or 0:.0f}" + ("米" if say.lang == "zh" else " m"),
    }
    if not n:
        text = say.text(_TEXT, "point_none", mmu=_mmu(say), **words)
        return [headline(say, text), _TEXT["none_means"][say.lang]]
    area, total = _together(say)
    lines = [headline(say, say.text(_TEXT, "point", n=n, area=area, **words), total), *patch_list(say)]
    gap = "" if say.lang == "zh" else " "
    states = latest_states(say, dimension="share")
    cover = [
        f"{class_name(one.cls or '', say.lang)}{gap}{say.short(one)}" for one in states if one.value >= _LEAST_COVER
    ]
    return lines + breakdown(say, _TEXT["point_cover"][say.lang], cover)


FORMS: dict[str, Form] = {
    "patches": Form(
        {"zh": "疑似图斑", "en": "Suspected patches"},
        {
            "zh": ("最近一个月有没有疑似违规建设？", "疑似违规建设主要分布在哪里？"),
            "en": ("Any suspected illegal building in the past month?", "Where are the suspected building sites?"),
        },
        patches,
    ),
    "count": Form(
        {"zh": "图斑个数", "en": "Number of patches"},
        {"zh": ("上个季度新冒出来几处疑似图斑？",), "en": ("How many suspected patches turned up last quarter?",)},
        patches,
    ),
    "patch_detail": Form(
        {"zh": "单个图斑", "en": "One patch"},
        {"zh": ("把第一个图斑的详细情况说一下",), "en": ("Tell me more about the first patch",)},
        patch_detail,
    ),
    "point": Form(
        {"zh": "某点周边", "en": "Around a point"},
        {
            "zh": ("东经106.05度、北纬30.12度附近这一年有什么变化？",),
            "en": ("What changed around 106.05 E, 30.12 N over the past year?",),
        },
        point,
    ),
    "overlap": Form(
        {"zh": "占用与侵占", "en": "Overlap with a zone"},
        {
            "zh": ("自然保护区边界是否被侵占？", "永久基本农田被占了多少亩？"),
            "en": ("Has the reserve boundary been encroached on?", "How much permanent basic farmland is occupied?"),
        },
        overlap,
    ),
}
