"""Several dates: trend, extreme interval, first seen, season check, index, abandoned land, special facilities."""

from datetime import date

from src.assistant.forms.base import Form, breakdown, by_place, capital, ended, headline, joined, patch_list
from src.assistant.record import Evidence, Figure
from src.assistant.text import Say, Words, class_name, day, listed

_LISTED_DATES = 6
# A growing season with both its ends; less is a part of a year.
_WHOLE_YEAR_DAYS = 300

_TEXT: Words = {
    "trend": {
        "zh": "{place}{cls}面积由{t1}的{first}变为{t2}的{last}",
        "en": "{cls} in {place} went from {first} on {t1} to {last} on {t2}",
    },
    "trend_pair": {
        "zh": "两期对比只说明差异，不足以判断趋势；判断趋势需要更多期影像。",
        "en": "Two dates show a difference, not a trend; a trend needs more dates.",
    },
    "slope": {"zh": "线性趋势：{}", "en": "Linear trend: {}"},
    "slope_up": {"zh": "年均增加{}", "en": "a gain of {}"},
    "slope_down": {"zh": "年均减少{}", "en": "a loss of {}"},
    "slope_flat": {"zh": "年均变化{}", "en": "a change of {}"},
    "r2": {"zh": "R²={}", "en": "R² = {}"},
    "over": {"zh": "期间{}", "en": "Over the period: {}"},
    "dates": {"zh": "各期", "en": "By date"},
    "on": {"zh": "{day}{value}", "en": "{day}: {value}"},
    "extreme": {
        "zh": "{place}{cls}{what}最多的时段是{t1}至{t2}，{value}",
        "en": "In {place}, the {what} of {cls} was largest from {t1} to {t2}: {value}",
    },
    "gain": {"zh": "流入", "en": "gain"},
    "loss": {"zh": "流出", "en": "loss"},
    "net": {"zh": "变化", "en": "change"},
    "net_asc": {"zh": "减少", "en": "decrease"},
    "net_desc": {"zh": "增加", "en": "increase"},
    "net_size": {"zh": "变化", "en": "change"},
    "yearly": {"zh": "{value}（折合{rate}）", "en": "{value} (that is {rate})"},
    "close": {
        "zh": "与次位时段的范围有重叠，先后不能确定。",
        "en": "Its range meets that of the next interval, so which is first is not certain.",
    },
    "intervals": {"zh": "各时段", "en": "By interval"},
    "interval": {"zh": "{t1}至{t2}{value}", "en": "{t1} to {t2}: {value}"},
    "first_seen": {
        "zh": "{what}的变化疑似发生在{t1}至{t2}之间：{t1}尚未见变化，{t2}首次见到",
        "en": "The change of {what} is suspected between {t1} and {t2}: not there yet on {t1}, first seen on {t2}",
    },
    "first_open": {
        "zh": "{what}在最早可用的清晰影像（{t2}）上已见变化，更早的时间无法判断",
        "en": "The change of {what} is already there on the earliest clear image ({t2}); nothing earlier can be told",
    },
    "patch": {"zh": "图斑{}", "en": "patch {}"},
    "gap": {"zh": "两期清晰影像相隔{}", "en": "{} lie between the two clear images"},
    "verify": {"zh": "{what}：{words}", "en": "{what}: {words}"},
    "verify_yes": {
        "zh": "同季影像上变化依然存在，不像季节性变化",
        "en": "the change is still there on an image of the same season; it does not look seasonal",
    },
    "verify_no": {
        "zh": "同季影像上未见变化，疑似季节性（物候）差异",
        "en": "no change shows on an image of the same season; it is suspected to be seasonal",
    },
    "verify_open": {
        "zh": "现有影像不足以区分是否为季节性变化",
        "en": "the images at hand cannot tell whether it is seasonal",
    },
    "index": {
        "zh": "{place}平均{name}由{t1}的{first}变为{t2}的{last}",
        "en": "Mean {name} in {place} went from {first} on {t1} to {last} on {t2}",
    },
    "index_one": {"zh": "{place}平均{name}为{last}", "en": "Mean {name} in {place}: {last}"},
    "higher": {"zh": "上升{}", "en": "up by {}"},
    "lower": {"zh": "下降{}", "en": "down by {}"},
    "same": {"zh": "变化{}", "en": "changed by {}"},
    "index_means": {
        "zh": "指数高低受降水、物候影响，不等于植被好坏的定论。",
        "en": "The index depends on rain and season; it is no verdict on the vegetation.",
    },
    "abandoned": {
        "zh": "{place}疑似撂荒耕地{value}",
        "en": "Suspected idle cropland in {place}: {value}",
    },
    "of_judged": {"zh": "占可判断耕地的{}", "en": "{} of the cropland that could be judged"},
    "abandoned_none": {
        "zh": "{place}未发现疑似撂荒耕地",
        "en": "No suspected idle cropland was found in {place}",
    },
    "abandoned_means": {
        "zh": "口径：耕地范围内整个生长季植被指数持续偏低的地块，含休耕、轮作，须实地核实。",
        "en": "Meaning: cropland whose vegetation stayed low all season; fallow by plan and rotation are in it.",
    },
    "seasons": {"zh": "比较的影像", "en": "Images compared"},
    "season": {"zh": "{year}年（{days}）", "en": "{year} ({days})"},
    "whole_years": {
        "zh": "撂荒要看整年的绿度，所问时段（{}至{}）不能单独判断，以上是所列年份的结果。",
        "en": "Idle land shows over whole years; the period asked about ({} to {}) cannot be told by itself, so the "
        "figures are of the years listed.",
    },
    "no_towns": {
        "zh": "没有分乡镇的数，请逐个乡镇询问，例如“青禾乡撂荒耕地有多少？”。",
        "en": 'There are no figures by town; ask town by town, such as "How much cropland lies idle in Qinghe town?".',
    },
    "special": {
        "zh": "{place}疑似新增光伏、大棚等设施图斑{n}个{area}",
        "en": "{n} suspected new facilities (solar panels, greenhouses) in {place}{area}",
    },
    "special_none": {
        "zh": "{place}未发现疑似新增光伏、大棚等设施",
        "en": "No suspected new solar panels or greenhouses were found in {place}",
    },
    "special_means": {
        "zh": "仅凭十米级影像难以区分设施类型，可信度低；设施农用地须对照备案认定。",
        "en": "Such images hardly tell kinds of facilities apart; their papers do.",
    },
    "area": {"zh": "，合计{}", "en": ", {} together"},
}


def _cls(say: Say) -> str:
    return class_name(say.evidence.query.cls or "", say.lang)


def _series(say: Say) -> list[Figure]:
    """States of the asked class by date."""
    query = say.evidence.query
    found = say.evidence.find(quantity="series", place=None)
    cls = query.cls or (found[0].cls if found else None)
    mine = [one for one in found if one.cls == cls]
    return sorted((one for one in mine if one.t2), key=lambda one: one.t2 or "")


def trend(evidence: Evidence) -> list[str]:
    """A class over three dates or more.

    Looks for: series (area, cls, t2) one a date; slope (area_per_year, cls) with bounds; index of kind "r2"; net
    (area, cls) over all.
    """
    say = Say(evidence)
    series = [one for one in _series(say) if one.dimension == "area"]
    if not series:
        return []
    first, last = series[0], series[-1]
    spread = say.spread(last)
    words = say.text(
        _TEXT,
        "trend",
        place=say.place,
        cls=class_name(last.cls or "", say.lang),
        first=say.short(first),
        last=say.short(last) + (f"（{spread}）" if say.lang == "zh" else f" ({spread})"),
        t1=day(first.t2 or "", say.lang),
        t2=day(last.t2 or "", say.lang),
    )
    lines = [headline(say, capital(words))]
    facts = []
    if slope := say.first(quantity="slope", cls=last.cls):
        facts.append(_rate(say, slope) + say.bracketed(slope))
    if r2 := next(iter(evidence.find(kind="r2", place=None)), None):
        facts.append(_TEXT["r2"][say.lang].format(say.short(r2)))
    if facts:
        lines.append(ended(say, _TEXT["slope"][say.lang].format(joined(say, facts))))
    if net := say.first(quantity="net", dimension="area", cls=last.cls):
        text = say.signed(net) + say.bracketed(net)
        lines.append(ended(say, _TEXT["over"][say.lang].format(text)))
    parts = [say.text(_TEXT, "on", day=day(one.t2 or "", say.lang), value=say.short(one)) for one in series]
    lines += breakdown(say, _TEXT["dates"][say.lang], parts, _LISTED_DATES) if len(series) > 2 else []
    return [*lines, *([_TEXT["trend_pair"][say.lang]] if len(series) < 3 else [])]


def extreme_interval(evidence: Evidence) -> list[str]:
    """The interval with the largest (smallest) change of a class.

    Looks for: one figure (gain, loss or net; area, cls, t1, t2) for each interval; the one asked for is the first of
    ``evidence.cards``, else the largest.
    """
    say = Say(evidence)
    found = [one for one in evidence.figures if one.quantity in ("gain", "loss", "net") and one.t1 and one.t2]
    found = [one for one in found if one.place is None and one.dimension == "area"]
    if not found:
        return []
    keyed = {one.key: one for one in found}
    main = next((keyed[key] for key in evidence.cards if key in keyed), max(found, key=lambda one: abs(one.value)))
    rows = [one for one in found if (one.quantity, one.cls, one.kind) == (main.quantity, main.cls, main.kind)]
    asked = evidence.query.rank
    what = f"net_{asked.order}" if asked is not None and main.quantity == "net" else main.quantity
    rates = evidence.find(quantity="rate", dimension="area_per_year", cls=main.cls, t1=main.t1, t2=main.t2)
    value = _value(say, main)
    words = say.text(
        _TEXT,
        "extreme",
        place=say.place,
        cls=class_name(main.cls or "", say.lang),
        what=_TEXT[what][say.lang],
        t1=day(main.t1 or "", say.lang),
        t2=day(main.t2 or "", say.lang),
        value=say.text(_TEXT, "yearly", value=value, rate=_rate(say, rates[0])) if rates else value,
    )
    parts = [
        say.text(
            _TEXT, "interval", t1=day(one.t1 or "", say.lang), t2=day(one.t2 or "", say.lang), value=_value(say, one)
        )
        for one in sorted(rows, key=lambda one: one.t1 or "")
    ]
    lines = [headline(say, words, main)]
    lines += breakdown(say, _TEXT["intervals"][say.lang], parts, _LISTED_DATES)
    return [*lines, *([_TEXT["close"][say.lang]] if evidence.checks.get("top_is_clear") is False else [])]


def _value(say: Say, figure: Figure) -> str:
    return say.signed(figure) if figure.quantity == "net" else say.short(figure)


def _rate(say: Say, figure: Figure) -> str:
    """An area a year with its direction; "年均" says the year in Chinese."""
    key = "slope_up" if figure.value > 0 else "slope_down" if figure.value < 0 else "slope_flat"
    return _TEXT[key][say.lang].format(say.short(figure).removesuffix("/年"))


def first_seen(evidence: Evidence) -> list[str]:
    """When a change is first seen.

    Looks for: period (days) whose t1 is the last clear date without the change and t2 the first with it; without
    t1 the change was there from the start. The row of the patch, where a patch was asked for.
    """
    say = Say(evidence)
    found = say.first(quantity="period")
    t1, t2 = (
        (found.t1, found.t2)
        if found
        else (evidence.patches[0].t1, evidence.patches[0].t2)
        if evidence.patches
        else (None, None)
    )
    if t2 is None:
        return []
    patch_id = evidence.query.patch_id or (evidence.patches[0].id if evidence.patches else None)
    what = _TEXT["patch"][say.lang].format(patch_id) if patch_id else say.place
    days = {"t1": day(t1, say.lang) if t1 else "", "t2": day(t2, say.lang)}
    lines = [headline(say, say.text(_TEXT, "first_seen" if t1 else "first_open", what=what, **days))]
    if found is not None and t1 and found.dimension == "days":
        lines.append(ended(say, _TEXT["gap"][say.lang].format(say.short(found))))
    return [*lines, *patch_list(say)]


def verify(evidence: Evidence) -> list[str]:
    """Whether a change is only seasonal.

    Looks for: ``checks["persists"]``, absent where no like season can tell; index figures before and after; the row.
    """
    say = Say(evidence)
    stays = evidence.checks.get("persists")
    key = "verify_open" if stays is None else "verify_yes" if stays else "verify_no"
    patch_id = evidence.query.patch_id
    what = _TEXT["patch"][say.lang].format(patch_id) if patch_id else say.place
    words = say.text(_TEXT, "verify", what=what, words=_TEXT[key][say.lang])
    return [headline(say, words), *_index_lines(say), *patch_list(say)]


def index_mean(evidence: Evidence) -> list[str]:
    """Mean of an index on one date or two.

    Looks for: index (kind "NDVI" and the like, t2 the date); difference (index) with bounds.
    """
    say = Say(evidence)
    lines = _index_lines(say)
    if not lines:
        return []
    return [headline(say, lines[0].rstrip("。.")), *lines[1:], _TEXT["index_means"][say.lang]]


def _index_lines(say: Say) -> list[str]:
    found = [one for one in say.evidence.find(quantity="index", place=None) if one.kind and one.kind != "r2" and one.t2]
    if not found:
        return []
    rows = sorted((one for one in found if one.kind == found[0].kind), key=lambda one: one.t2 or "")
    first, last = rows[0], rows[-1]
    values = {"name": last.kind, "place": say.place, "last": say.short(last) + say.bracketed(last)}
    if len(rows) == 1:
        return [ended(say, say.text(_TEXT, "index_one", **values))]
    values |= {"first": say.short(first), "t1": day(first.t2 or "", say.lang), "t2": day(last.t2 or "", say.lang)}
    words = say.text(_TEXT, "index", **values)
    change = next(iter(say.evidence.find(quantity="difference", dimension="index", place=None)), None)
    if change is not None:
        key = "higher" if change.value > 0 else "lower" if change.value < 0 else "same"
        size = change.model_copy(update={"value": abs(change.value)})
        words = joined(say, (words, _TEXT[key][say.lang].format(say.short(size))))
    return [ended(say, words)]


def abandoned(evidence: Evidence) -> list[str]:
    """Cropland that seems to lie fallow.

    Looks for: state (area, cls=cropland) with bounds; state (share): of the cropland that could be judged; state
    (area) by town; the rows.
    """
    say = Say(evidence)
    main = say.first(quantity="state", dimension="area") or say.first(quantity="patches", dimension="area")
    if main is None or not main.value:
        none = headline(say, say.text(_TEXT, "abandoned_none", place=say.place))
        return [none, *_seasons(say), _TEXT["abandoned_means"][say.lang]]
    words = say.text(_TEXT, "abandoned", place=say.place, value=say.full(main))
    if share := say.first(quantity="state", dimension="share"):
        words = joined(say, (words, _TEXT["of_judged"][say.lang].format(say.short(share))))
    lines = [headline(say, words, main)]
    places = by_place(say, quantity=main.quantity, dimension="area")
    if evidence.query.group_by and not places:
        places = [_TEXT["no_towns"][say.lang]]
    return [*lines, *_seasons(say), *places, *patch_list(say), _TEXT["abandoned_means"][say.lang]]


def _seasons(say: Say) -> list[str]:
    """The dates compared, year by year; and that a part of a year asked about cannot be told by itself."""
    years: dict[str, list[str]] = {}
    for scene in say.evidence.scenes:
        if scene.used:
            years.setdefault(scene.date[:4], []).append(scene.date)
    parts = [_TEXT["season"][say.lang].format(year=year, days=_days(say, days)) for year, days in years.items()]
    lines = breakdown(say, _TEXT["seasons"][say.lang], parts, len(parts))
    t1, t2 = say.evidence.query.t1, say.evidence.query.t2
    if t1 and t2 and (date.fromisoformat(t2) - date.fromisoformat(t1)).days < _WHOLE_YEAR_DAYS:
        lines.append(_TEXT["whole_years"][say.lang].format(day(t1, say.lang), day(t2, say.lang)))
    return lines


def _days(say: Say, days: list[str]) -> str:
    shown = [day(one, say.lang) for one in days]
    if say.lang == "zh":
        shown = [one.partition("年")[2] for one in shown]
    else:
        shown = [one.rpartition(" ")[0] for one in shown]
    return listed(shown, say.lang)


def special(evidence: Evidence) -> list[str]:
    """Solar panels and greenhouses, as far as they can be told.

    Looks for: patches (count; area with bounds); the rows.
    """
    say = Say(evidence)
    count = say.first(quantity="patches", dimension="count")
    n = int(count.value) if count else len(evidence.patches)
    if not n:
        return [headline(say, say.text(_TEXT, "special_none", place=say.place)), _TEXT["special_means"][say.lang]]
    total = say.first(quantity="patches", dimension="area")
    area = _TEXT["area"][say.lang].format(say.full(total)) if total else ""
    words = say.text(_TEXT, "special", place=say.place, n=n, area=area)
    return [headline(say, words, total), *patch_list(say), _TEXT["special_means"][say.lang]]


FORMS: dict[str, Form] = {
    "trend": Form(
        {"zh": "多年趋势", "en": "Trend"},
        {
            "zh": ("2019年以来建设用地一年年扩了多少？",),
            "en": ("What is the trend of built-up land since 2019?",),
        },
        trend,
    ),
    "extreme_interval": Form(
        {"zh": "变化最大的时段", "en": "Interval of the largest change"},
        {"zh": ("哪一年耕地减少得最厉害？",), "en": ("In which year was most cropland lost?",)},
        extreme_interval,
    ),
    "first_seen": Form(
        {"zh": "首次出现时间", "en": "First seen"},
        {"zh": ("这块地什么时候开始有变化的？",), "en": ("When did work on this plot first show?",)},
        first_seen,
    ),
    "verify": Form(
        {"zh": "是否季节性变化", "en": "Whether a change is seasonal"},
        {
            "zh": ("这个变化是不是只是季节性的？",),
            "en": ("Could this just be the harvest rather than a real change?",),
        },
        verify,
    ),
    "index_mean": Form(
        {"zh": "植被指数", "en": "Vegetation index"},
        {"zh": ("全县植被比去年同期好还是差？",), "en": ("Is the vegetation better or worse than a year ago?",)},
        index_mean,
    ),
    "abandoned": Form(
        {"zh": "疑似撂荒", "en": "Fallow cropland"},
        {"zh": ("有多少耕地荒着没种？",), "en": ("How much cropland seems to be left unfarmed?",)},
        abandoned,
    ),
    "special": Form(
        {"zh": "光伏、大棚", "en": "Solar panels, greenhouses"},
        {"zh": ("今年新建了多少大棚和光伏？",), "en": ("How many new greenhouses or solar farms this year?",)},
        special,
    ),
}
