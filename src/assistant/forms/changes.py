"""Change between two dates: gain, loss, net, transition, dynamic degree."""

from src.assistant.forms.base import (
    Form,
    arrow,
    breakdown,
    by_place,
    capital,
    ended,
    flows,
    headline,
    joined,
    patch_list,
)
from src.assistant.record import Evidence, Figure
from src.assistant.text import Say, Words, class_name

_TEXT: Words = {
    "gain": {"zh": "{place}新增{cls}（流入）{value}", "en": "New {cls} (gain) in {place}: {value}"},
    "loss": {"zh": "{place}{cls}减少（流出）{value}", "en": "Lost {cls} (loss) in {place}: {value}"},
    "net": {"zh": "{place}{cls}{value}", "en": "{cls} in {place}: {value}"},
    "pixel_value": {"zh": "像元统计值{}", "en": "pixel count {}"},
    "beside_gain": {"zh": "同期{cls}流出{loss}，{net}", "en": "Over the same period {loss} of {cls} was lost: {net}"},
    "beside_loss": {"zh": "同期{cls}流入{gain}，{net}", "en": "Over the same period {gain} of {cls} was gained: {net}"},
    "in_out": {
        "zh": "其中流入{gain}{gain_spread}，流出{loss}{loss_spread}",
        "en": "Gained {gain}{gain_spread}, lost {loss}{loss_spread}",
    },
    "of_base": {"zh": "净变化相当于期初面积的{}", "en": "The net change is {} of the area at the start"},
    "from": {"zh": "{cls}流入来源", "en": "New {cls} came from"},
    "to": {"zh": "{cls}流出去向", "en": "Lost {cls} became"},
    "meaning_gain": {
        "zh": "口径：前期非耕地、后期为耕地的土地，不等于占补平衡或验收认定的新增耕地。",
        "en": "Gain means land that is cropland at the later date only; it is not certified new cropland.",
    },
    "meaning_loss": {
        "zh": "口径：前期为耕地、后期非耕地的土地，含撂荒、休耕等看似草地的情形。",
        "en": "Loss means land that was cropland at the earlier date only, fallow that looks like grass included.",
    },
    "transition": {
        "zh": "{place}疑似由{before}转为{after}{value}",
        "en": "Suspected change from {before} to {after} in {place}: {value}",
    },
    "parts": {"zh": "其中", "en": "Of it"},
    "any_class": {"zh": "其他地类", "en": "other classes"},
    "share_of": {"zh": "占{before}流出的{value}", "en": "{value} of all {before} that was lost"},
    "patch_count": {"zh": "涉及疑似图斑{n}个{area}", "en": "{n} suspected patches{area}"},
    "patch_area": {"zh": "，合计{}", "en": ", {} together"},
    "rate": {"zh": "{place}{cls}动态度：{value}", "en": "Dynamic degree of {cls} in {place}: {value}"},
    "rate_up": {"zh": "年均净增{}", "en": "a net gain of {}"},
    "rate_down": {"zh": "年均净减{}", "en": "a net loss of {}"},
    "rate_flat": {"zh": "年均变化{}", "en": "a change of {}"},
    "rate_all": {
        "zh": "{place}综合土地利用动态度为{value}",
        "en": "Overall dynamic degree of land use in {place}: {value}",
    },
    "rate_meaning": {
        "zh": "口径：期初到期末的净变化除以期初面积，再除以相隔年数。",
        "en": "Defined as the net change over the area at the start, divided by the years between the dates.",
    },
    "period_change": {"zh": "期间{}", "en": "Over the period: {}"},
}


def _cls(say: Say) -> str:
    return class_name(say.evidence.query.cls or "", say.lang)


def _area(say: Say, quantity: str) -> Figure | None:
    return say.first(quantity=quantity, dimension="area", cls=say.evidence.query.cls)


def _headline(say: Say, key: str, main: Figure) -> str:
    """The figure asked for; beside an estimate from samples, the pixel count."""
    words = say.text(_TEXT, key, place=say.place, cls=_cls(say), value=say.full(main))
    mapped = say.first(quantity=main.quantity, dimension="area", cls=main.cls, kind="pixel")
    pixels = _TEXT["pixel_value"][say.lang].format(say.short(mapped)) if mapped else ""
    line = headline(say, capital(words), main)
    if not pixels:
        return line
    spread = say.spread(main)
    return line.replace(spread, joined(say, (spread, pixels)), 1)


def _part_first(say: Say, key: str, main: Figure, before: str | None, after: str | None) -> list[str]:
    """The headline; where only the part from or to one class was asked for, that part before the whole."""
    whole = _headline(say, key, main)
    part = say.first(quantity="transition", dimension="area", from_cls=before, to_cls=after)
    if part is None or not before or not after or before == after:
        return [whole]
    names = {"before": class_name(before, say.lang), "after": class_name(after, say.lang)}
    first = say.text(_TEXT, "transition", place=say.place, value=say.full(part), **names)
    rest = say.text(_TEXT, key, place=say.place, cls=_cls(say), value=say.full(main)) + say.bracketed(main)
    return [headline(say, first, part), ended(say, rest)]


def _net_words(say: Say, net: Figure) -> str:
    return say.signed(net) + say.bracketed(net)


def _patches(say: Say) -> list[str]:
    count = say.first(quantity="patches", dimension="count")
    if count is None or not count.value:
        return []
    total = say.first(quantity="patches", dimension="area")
    area = _TEXT["patch_area"][say.lang].format(say.short(total)) if total else ""
    return [ended(say, say.text(_TEXT, "patch_count", n=say.short(count), area=area))]


def gain(evidence: Evidence) -> list[str]:
    """Inflow of a class.

    Looks for: gain, loss, net (area, cls) with bounds; gain of kind "pixel" beside an estimate from samples;
    transition (area, share; to_cls=cls); gain (area, cls, place=town); patches (count, area).
    """
    say = Say(evidence)
    main = _area(say, "gain")
    if main is None:
        return []
    lines = _part_first(say, "gain", main, evidence.query.from_cls, main.cls)
    loss, net = _area(say, "loss"), _area(say, "net")
    if loss is not None and net is not None:
        text = say.text(_TEXT, "beside_gain", cls=_cls(say), loss=say.short(loss), net=_net_words(say, net))
        lines.append(ended(say, text))
    lines += flows(say, say.text(_TEXT, "from", cls=_cls(say)), into=main.cls)
    lines += by_place(say, quantity="gain", dimension="area", cls=main.cls)
    lines += _patches(say)
    return lines + ([_TEXT["meaning_gain"][say.lang]] if main.cls == "cropland" else [])


def loss(evidence: Evidence) -> list[str]:
    """Outflow of a class.

    Looks for: loss, gain, net (area, cls) with bounds; transition (area, share; from_cls=cls); loss (area, cls,
    place=town); patches (count, area).
    """
    say = Say(evidence)
    main = _area(say, "loss")
    if main is None:
        return []
    lines = _part_first(say, "loss", main, main.cls, evidence.query.to_cls)
    inflow, net = _area(say, "gain"), _area(say, "net")
    if inflow is not None and net is not None:
        text = say.text(_TEXT, "beside_loss", cls=_cls(say), gain=say.short(inflow), net=_net_words(say, net))
        lines.append(ended(say, text))
    lines += flows(say, say.text(_TEXT, "to", cls=_cls(say)), out_of=main.cls)
    lines += by_place(say, quantity="loss", dimension="area", cls=main.cls)
    lines += _patches(say)
    return lines + ([_TEXT["meaning_loss"][say.lang]] if main.cls == "cropland" else [])


def net(evidence: Evidence) -> list[str]:
    """Net change of a class.

    Looks for: net, gain, loss (area, cls) with bounds; net (share, cls): of the area at the start; net (area, cls,
    place=town).
    """
    say = Say(evidence)
    main = _area(say, "net")
    if main is None:
        return []
    words = say.text(_TEXT, "net", place=say.place, cls=_cls(say), value=say.signed(main, full=True))
    lines = [headline(say, capital(words), main)]
    inflow, outflow = _area(say, "gain"), _area(say, "loss")
    parts = []
    if inflow is not None and outflow is not None:
        spreads = {"gain_spread": say.bracketed(inflow), "loss_spread": say.bracketed(outflow)}
        parts.append(say.text(_TEXT, "in_out", gain=say.short(inflow), loss=say.short(outflow), **spreads))
    share = say.first(quantity="net", dimension="share", cls=main.cls)
    if share is not None:
        parts.append(_TEXT["of_base"][say.lang].format(say.short(share)))
    lines += [ended(say, part) for part in parts]
    return lines + by_place(say, quantity="net", dimension="area", cls=main.cls, signed=True)


def transition(evidence: Evidence) -> list[str]:
    """Change from one class to another (either may be open).

    Looks for: transition (area, from_cls, to_cls) with bounds; the same as share; transition by town; patches.
    """
    say = Say(evidence)
    before, after = evidence.query.from_cls, evidence.query.to_cls or evidence.query.cls
    main = say.first(quantity="transition", dimension="area", from_cls=before, to_cls=after)
    if main is None:
        return []
    other = _TEXT["any_class"][say.lang]
    names = [class_name(cls, say.lang) if cls else other for cls in (before, after)]
    words = say.text(_TEXT, "transition", place=say.place, before=names[0], after=names[1], value=say.full(main))
    lines = [headline(say, words, main)]
    share = say.first(quantity="transition", dimension="share", from_cls=before, to_cls=after)
    if share is not None and before and after:
        lines.append(ended(say, say.text(_TEXT, "share_of", before=names[0], value=say.short(share))))
    lines += by_place(say, quantity="transition", dimension="area", from_cls=before, to_cls=after)
    if not (before and after):
        found = say.all(quantity="transition", dimension="area", place=None, kind=None)
        gap = "" if say.lang == "zh" else " "
        parts = [
            f"{arrow(say, one.from_cls, one.to_cls)}{gap}{say.short(one)}"
            for one in found
            if one.from_cls and one.to_cls and one.from_cls != one.to_cls and one.value > 0
        ]
        lines += breakdown(say, _TEXT["parts"][say.lang], parts)
    return [*lines, *_patches(say), *patch_list(say)]


def rate(evidence: Evidence) -> list[str]:
    """Dynamic degree K = (U_b - U_a) / U_a / T of one class, or of all together (kind "overall" or no class).

    Looks for: rate (share_per_year, cls) with bounds; net (area, cls); rate of every class where none is asked.
    """
    say = Say(evidence)
    cls = evidence.query.cls
    found = [one for one in evidence.find(quantity="rate", dimension="share_per_year", place=None)]
    single = [one for one in found if one.cls and (cls is None or one.cls == cls)]
    overall = next((one for one in found if one.cls is None), None)
    lines = []
    if cls is None and overall is not None:
        words = say.text(_TEXT, "rate_all", place=say.place, value=say.short(overall))
        lines.append(headline(say, words, overall))
        gap = "" if say.lang == "zh" else ": "
        parts = [f"{class_name(one.cls or '', say.lang)}{gap}{_rate(say, one)}" for one in single]
        lines += breakdown(say, {"zh": "各地类", "en": "By class"}[say.lang], parts)
    elif single:
        main = single[0]
        name = class_name(main.cls or "", say.lang)
        words = say.text(_TEXT, "rate", place=say.place, cls=name, value=_rate(say, main))
        lines.append(headline(say, words, main))
        if change := say.first(quantity="net", dimension="area", cls=main.cls):
            lines.append(ended(say, _TEXT["period_change"][say.lang].format(_net_words(say, change))))
    return [*lines, _TEXT["rate_meaning"][say.lang]]


def _rate(say: Say, figure: Figure) -> str:
    key = "rate_up" if figure.value > 0 else "rate_down" if figure.value < 0 else "rate_flat"
    # "年均" says the year in Chinese.
    value = say.short(figure).removesuffix("/年")
    return _TEXT[key][say.lang].format(value)


FORMS: dict[str, Form] = {
    "gain": Form(
        {"zh": "新增面积（流入）", "en": "Gain of a class"},
        {
            "zh": ("2024年新增耕地面积是多少？", "今年又多出来多少建设用地，都是从什么地变来的？"),
            "en": (
                "How much new cropland appeared in 2024?",
                "How much built-up land was added this year, and from what?",
            ),
        },
        gain,
    ),
    "loss": Form(
        {"zh": "减少面积（流出）", "en": "Loss of a class"},
        {
            "zh": ("2024年耕地减少了多少，变成了什么？",),
            "en": ("How much cropland was lost in 2024 and what did it become?",),
        },
        loss,
    ),
    "net": Form(
        {"zh": "净变化", "en": "Net change"},
        {
            "zh": ("本季度耕地面积变化情况？", "2024年林地是多了还是少了？"),
            "en": ("Net change of cropland this quarter?", "Was there more or less forest after 2024, net?"),
        },
        net,
    ),
    "transition": Form(
        {"zh": "地类转换", "en": "Change from one class to another"},
        {
            "zh": ("去年有多少耕地变成了建设用地？",),
            "en": ("How much cropland was converted to built-up land last year?",),
        },
        transition,
    ),
    "rate": Form(
        {"zh": "土地利用动态度", "en": "Dynamic degree"},
        {
            "zh": ("2024年建设用地的动态度是多少？",),
            "en": ("What was the rate of change of built-up land in 2024?",),
        },
        rate,
    ),
}
