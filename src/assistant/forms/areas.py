"""States on one date or two: area, share, presence, structure, transition matrix."""

from src.assistant.forms.base import (
    Form,
    arrow,
    breakdown,
    by_place,
    capital,
    ended,
    headline,
    latest_states,
    with_share,
)
from src.assistant.record import Evidence, Figure
from src.assistant.text import Say, Words, class_name

_CLASSES = 7

_TEXT: Words = {
    "area": {"zh": "{place}{cls}面积为{value}", "en": "{cls} in {place}: {value}"},
    "areas": {"zh": "{place}各地类面积", "en": "Area of each class in {place}"},
    "zone": {"zh": "{place}面积为{value}", "en": "Area of {place}: {value}"},
    "of_place": {"zh": "占{place}的{value}", "en": "That is {value} of {place}"},
    "share": {"zh": "{cls}占{place}的{value}", "en": "{cls} covers {value} of {place}"},
    "shares": {"zh": "{place}各地类占比", "en": "Share of each class in {place}"},
    "there": {"zh": "{place}有{cls}，面积约{value}", "en": "Yes, there is {cls} in {place}: about {value}"},
    "absent": {
        "zh": "{place}未发现{cls}{mmu}",
        "en": "No {cls} was found in {place}{mmu}",
    },
    "mmu": {"zh": "（不小于{}）", "en": " (of {} or more)"},
    "structure": {
        "zh": "{place}土地利用结构两期对比：{parts}",
        "en": "Land-use structure of {place}, two dates compared: {parts}",
    },
    "no_trend": {
        "zh": "两期对比只说明差异，不足以判断趋势；判断趋势需要更多期影像。",
        "en": "Two dates show a difference, not a trend; a trend needs more dates.",
    },
    "now": {"zh": "后期结构", "en": "Structure at the later date"},
    "unsure_all": {
        "zh": "方向不能确定的：{}。",
        "en": "Direction not certain for: {}.",
    },
    "matrix": {"zh": "{place}地类转移主要为{parts}", "en": "Main changes of class in {place}: {parts}"},
    "no_matrix": {"zh": "{place}未测得地类转移", "en": "No change of class was measured in {place}"},
    "net": {"zh": "净变化", "en": "Net change"},
    "whole_table": {"zh": "完整转移矩阵见附表。", "en": "The whole matrix is in the table."},
}


def _name(say: Say, figure: Figure) -> str:
    return class_name(figure.cls or "", say.lang)


def area_at(evidence: Evidence) -> list[str]:
    """Area of a class on one date.

    Looks for: state (area, cls) with bounds; state (share, cls); state (area, cls, place=town). Without a class:
    the area of the zone, and state (area) of every class.
    """
    say = Say(evidence)
    main = say.first(quantity="state", dimension="area", cls=evidence.query.cls) if evidence.query.cls else None
    if main is None:
        return _all_areas(say)
    lines = [
        headline(
            say, capital(say.text(_TEXT, "area", place=say.place, cls=_name(say, main), value=say.full(main))), main
        )
    ]
    if share := say.first(quantity="state", dimension="share", cls=main.cls):
        lines.append(
            ended(say, say.text(_TEXT, "of_place", place=say.place, value=say.short(share)) + say.bracketed(share))
        )
    return lines + by_place(say, quantity="state", dimension="area", cls=main.cls)


def _all_areas(say: Say) -> list[str]:
    zone = say.first(quantity="zone", dimension="area")
    found = latest_states(say, dimension="area")
    parts = [with_share(say, _name(say, one), one) for one in found]
    lines = []
    if zone is not None:
        lines.append(headline(say, say.text(_TEXT, "zone", place=say.place, value=say.full(zone))))
        if not parts:
            return lines
    gap = "：" if say.lang == "zh" else ": "
    words = say.text(_TEXT, "areas", place=say.place) + gap + ("、" if say.lang == "zh" else ", ").join(parts)
    if lines:
        return [*lines, ended(say, words)]
    return [headline(say, words, found[0].model_copy(update={"bounds": None}) if found else None)]


def share_at(evidence: Evidence) -> list[str]:
    """Share of a class, or of all.

    Looks for: state (share, cls) with bounds; state (area, cls); state (share, cls, place=town).
    """
    say = Say(evidence)
    main = say.first(quantity="state", dimension="share", cls=evidence.query.cls) if evidence.query.cls else None
    if main is not None:
        words = say.text(_TEXT, "share", cls=_name(say, main), place=say.place, value=say.short(main))
        lines = [headline(say, capital(words), main)]
        if size := say.first(quantity="state", dimension="area", cls=main.cls):
            text = say.text(_TEXT, "area", place=say.place, cls=_name(say, size), value=say.full(size))
            lines.append(ended(say, capital(text) + say.bracketed(size)))
        return lines + by_place(say, quantity="state", dimension="share", cls=main.cls)
    found = latest_states(say, dimension="share")
    gap = "" if say.lang == "zh" else " "
    parts = [f"{_name(say, one)}{gap}{say.short(one)}" for one in found]
    colon = "：" if say.lang == "zh" else ": "
    words = say.text(_TEXT, "shares", place=say.place) + colon + ("、" if say.lang == "zh" else ", ").join(parts)
    return [headline(say, words)]


def presence(evidence: Evidence) -> list[str]:
    """Whether a class occurs.

    Looks for: state (area, cls) with bounds, 0 where none was found; unit.
    """
    say = Say(evidence)
    cls = class_name(evidence.query.cls or "", say.lang)
    main = say.first(quantity="state", dimension="area", cls=evidence.query.cls)
    if main is None or main.value <= 0:
        unit = say.first(quantity="unit")
        mmu = say.text(_TEXT, "mmu").format(say.short(unit)) if unit else ""
        return [headline(say, say.text(_TEXT, "absent", place=say.place, cls=cls, mmu=mmu))]
    return [headline(say, say.text(_TEXT, "there", place=say.place, cls=cls, value=say.full(main)), main)]


def structure(evidence: Evidence) -> list[str]:
    """What changed between two dates, class by class.

    Looks for: net (area, cls) of every class with bounds; state (share, cls, t2) of both dates.
    """
    say = Say(evidence)
    nets = [one for one in say.all(quantity="net", dimension="area", place=None, kind=None) if one.cls]
    parts = [_net(say, one) for one in nets if one.value]
    words = say.text(_TEXT, "structure", place=say.place, parts=("、" if say.lang == "zh" else ", ").join(parts))
    lines = [headline(say, words, nets[0].model_copy(update={"bounds": None}) if nets else None)]
    unsure = [_name(say, one) for one in nets if one.bounds and one.bounds[0] < 0 < one.bounds[1]]
    if unsure:
        lines.append(say.text(_TEXT, "unsure_all").format(("、" if say.lang == "zh" else ", ").join(unsure)))
    gap = "" if say.lang == "zh" else " "
    now = [f"{_name(say, one)}{gap}{say.short(one)}" for one in latest_states(say, dimension="share")]
    return [*lines, *breakdown(say, _TEXT["now"][say.lang], now, _CLASSES), _TEXT["no_trend"][say.lang]]


def matrix(evidence: Evidence) -> list[str]:
    """Transition matrix.

    Looks for: transition (area, from_cls, to_cls), the unchanged ones aside; net (area, cls) of every class.
    """
    say = Say(evidence)
    found = say.all(quantity="transition", dimension="area", place=None, kind=None)
    moved = [one for one in found if one.from_cls != one.to_cls and one.value > 0]
    gap = "" if say.lang == "zh" else " "
    parts = [f"{arrow(say, one.from_cls, one.to_cls)}{gap}{say.short(one)}" for one in moved[:_CLASSES]]
    key = "matrix" if parts else "no_matrix"
    words = say.text(_TEXT, key, place=say.place, parts=("、" if say.lang == "zh" else ", ").join(parts))
    nets = [one for one in say.all(quantity="net", dimension="area", place=None, kind=None) if one.cls and one.value]
    lines = [headline(say, words, moved[0].model_copy(update={"bounds": None}) if moved else None)]
    lines += breakdown(say, _TEXT["net"][say.lang], [_net(say, one) for one in nets], _CLASSES)
    return [*lines, *([_TEXT["whole_table"][say.lang]] if evidence.tables else [])]


def _net(say: Say, figure: Figure) -> str:
    gap = "" if say.lang == "zh" else " "
    return f"{_name(say, figure)}{gap}{say.signed(figure)}"


FORMS: dict[str, Form] = {
    "area_at": Form(
        {"zh": "某地类的面积", "en": "Area of a class"},
        {
            "zh": ("目前全县还有多少耕地？", "各乡镇耕地面积分别是多少？"),
            "en": ("How much cropland is left in the county?", "Cropland area of each town?"),
        },
        area_at,
    ),
    "share_at": Form(
        {"zh": "地类占比", "en": "Share of classes"},
        {"zh": ("林地占全县的几成？",), "en": ("What share of the county is forest?",)},
        share_at,
    ),
    "presence": Form(
        {"zh": "有无某地类", "en": "Whether a class occurs"},
        {"zh": ("保护区里面有水面吗？",), "en": ("Is there any open water inside the reserve?",)},
        presence,
    ),
    "structure": Form(
        {"zh": "土地利用结构变化", "en": "Change of the land-use structure"},
        {
            "zh": ("这一年来土地利用结构有什么变化？",),
            "en": ("How did the land-use structure change over the past year?",),
        },
        structure,
    ),
    "matrix": Form(
        {"zh": "转移矩阵", "en": "Transition matrix"},
        {
            "zh": ("列一下2023到2024年的地类转移矩阵",),
            "en": ("Show the land-cover transition matrix for 2023 to 2024",),
        },
        matrix,
    ),
}
