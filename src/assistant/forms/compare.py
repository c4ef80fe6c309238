"""Two things side by side: zones, periods or classes."""

from src.assistant.forms.base import Form, arrow, capital, ended, headline
from src.assistant.record import Evidence, Figure
from src.assistant.text import Say, Words, class_name, day, place_name

_TEXT: Words = {
    "compare": {"zh": "{first}，{second}", "en": "{first}; {second}"},
    "side": {"zh": "{name}{what}{value}{spread}", "en": "{name}, {what}: {value}{spread}"},
    "gain": {"zh": "{}流入", "en": "gain of {}"},
    "loss": {"zh": "{}流出", "en": "loss of {}"},
    "net": {"zh": "{}", "en": "net change of {}"},
    "state": {"zh": "{}面积", "en": "area of {}"},
    "share": {"zh": "{}占比", "en": "share of {}"},
    "patch": {"zh": "{}个", "en": "{}"},
    "patches": {"zh": "疑似图斑", "en": "suspected patches"},
    "transition": {"zh": "{}", "en": "{}"},
    "more": {"zh": "前者比后者{}", "en": "the first has {} than the second"},
    "apart": {"zh": "两者{}", "en": "the two are {}"},
    "period": {"zh": "{}至{}", "en": "{} to {}"},
    "rates": {"zh": "年均：{}", "en": "A year: {}"},
    "unsure": {"zh": "两者范围有重叠，孰多孰少不能确定", "en": "The ranges overlap; which is larger is not certain"},
}


def compare(evidence: Evidence) -> list[str]:
    """Two figures of one kind and their difference.

    Looks for: two figures of the same quantity and dimension that differ in place, period or class, in the order
    of ``evidence.cards``; difference (first less second) with bounds; the same two as area_per_year.
    """
    say = Say(evidence)
    sides = _sides(evidence)
    if len(sides) < 2:
        return []
    first, second = sides[:2]
    if len(sides) > 2:  # years one by one: no single difference
        several = [_side(say, one, first if one is not first else second) for one in sides]
        return [headline(say, capital(("，" if say.lang == "zh" else "; ").join(several)))]
    texts = [_side(say, one, first if one is second else second) for one in (first, second)]
    lines = [headline(say, capital(say.text(_TEXT, "compare", first=texts[0], second=texts[1])))]
    difference = next((one for one in evidence.find(quantity="difference") if one.dimension == first.dimension), None)
    if difference is not None:
        key = "more" if difference.value else "apart"
        words = _TEXT[key][say.lang].format(_counted(say, difference, say.signed(difference))) + say.bracketed(
            difference
        )
        lines.append(ended(say, capital(words)))
    met = first.bounds and second.bounds and first.bounds[0] <= second.bounds[1] and second.bounds[0] <= first.bounds[1]
    if difference is None and met:
        lines.append(ended(say, _TEXT["unsure"][say.lang]))
    return lines + _rates(say, first)


def _sides(evidence: Evidence) -> list[Figure]:
    keyed = {one.key: one for one in evidence.figures}
    shown = [keyed[key] for key in evidence.cards if key in keyed]
    shown = [
        one
        for one in [*shown, *evidence.figures]
        if one.quantity in ("gain", "loss", "net", "state", "patches", "transition")
    ]
    shown = list(dict.fromkeys(shown))
    if not shown:
        return []
    first = shown[0]
    return [
        one for one in shown if (one.quantity, one.dimension, one.kind) == (first.quantity, first.dimension, first.kind)
    ]


def _side(say: Say, figure: Figure, other: Figure) -> str:
    """One side by what sets it apart from the other."""
    if figure.place != other.place:
        name = place_name(figure.place, say.lang)
    elif (figure.t1, figure.t2) != (other.t1, other.t2):
        name = _period(say, figure)
    else:
        name = say.place
    cls = class_name(figure.cls or figure.to_cls or "", say.lang)
    if figure.quantity == "transition":
        cls = arrow(say, figure.from_cls, figure.to_cls)
    what = _TEXT["share" if figure.dimension == "share" else figure.quantity][say.lang].format(cls)
    value = say.signed(figure) if figure.quantity == "net" else _counted(say, figure, say.short(figure))
    spread = say.bracketed(figure) if figure.dimension != "count" else ""
    return say.text(_TEXT, "side", name=name, what=what, value=value, spread=spread)


def _counted(say: Say, figure: Figure, value: str) -> str:
    return _TEXT["patch"][say.lang].format(value) if figure.dimension == "count" and figure.value else value


def _period(say: Say, figure: Figure) -> str:
    days = [day(one, say.lang) for one in (figure.t1, figure.t2) if one]
    return _TEXT["period"][say.lang].format(*days) if len(days) == 2 else "".join(days)


def _rates(say: Say, first: Figure) -> list[str]:
    found = [
        one for one in say.evidence.find(quantity=first.quantity, dimension="area_per_year") if one.kind == first.kind
    ]
    if len(found) < 2:
        return []
    texts = [
        _side(say, one.model_copy(update={"bounds": None}), found[0] if one is found[1] else found[1])
        for one in found[:2]
    ]
    return [ended(say, say.text(_TEXT, "compare", first=texts[0], second=texts[1]))]


FORMS: dict[str, Form] = {
    "compare": Form(
        {"zh": "对比", "en": "Comparison"},
        {
            "zh": ("今年新增建设用地比去年多吗？", "青禾乡和石桥镇哪个扩得快？"),
            "en": (
                "Was more land built up this year than last year?",
                "Did we lose more cropland in 2024 than in 2023?",
            ),
        },
        compare,
    ),
}
