"""Evidence to the answer that is shown: text, value cards, caveats in words, and the trace behind it.

    text = compose(evidence)

The text is at most about eight lines: the headline figure with its interval,
dates, sensor and clear share; what it is made of; what limits it; what to do
next. Everything else stands in ``trace``. Finds are called suspected; there is
no word for a verdict here. An impression of the model is kept apart: it rests
on no measurement and says so.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict

from src.assistant.forms import FORMS
from src.assistant.forms.base import GRADES
from src.assistant.forms.cannot import NEXT_STEPS, cannot_tell
from src.assistant.forms.words import reason_lines
from src.assistant.record import SCENE_REASONS, Evidence, Figure, SceneUse
from src.assistant.text import (
    SECTORS,
    SENSOR_NAMES,
    Say,
    Words,
    class_name,
    day,
    listed,
    pick,
    place_name,
    plain,
    type_name,
)
from src.geo.caveats import CAVEATS
from src.geo.zones import PARTS

# Said elsewhere in the text: beside the figure, in the last line, or as a count.
_SAID = frozenset({"UNCALIBRATED_AREA", "NEEDS_FIELD_CHECK", "LEGAL_NOT_ASSESSED"})
# Answers about answers: what is suspected and what comes next was said before.
_NO_CLUES = frozenset({"accuracy", "provenance"})
# Where no patch was found there is no clue to check.
_OF_PATCHES = frozenset({"patches", "count", "rank", "overlap", "point"})
_NO_NOTES = frozenset({"export", "review"})

_TEXT: Words = {
    "notes": {"zh": "说明：{}。", "en": "Note: {}."},
    "period": {
        "zh": "所问时段按{}计，采用时间和季节最相近的清晰影像",
        "en": "the period asked about is {}; clear images nearest in time and season were used",
    },
    "periods": {
        "zh": "所问时段按{}计，采用时间和季节最相近的清晰影像",
        "en": "the periods asked about are {}; clear images nearest in time and season were used",
    },
    "span": {"zh": "{}至{}", "en": "{} to {}"},
    "until": {
        "zh": "所问日期为{}，采用时间最接近的清晰影像",
        "en": "the day asked about is {}; the nearest clear image was used",
    },
    "grade": {"zh": "{}级", "en": "grade {}"},
    "mmu": {"zh": "可识别的最小图斑为{}", "en": "the smallest patch that can be seen is {}"},
    "clue": {
        "zh": "以上为遥感疑似线索，不能作为处罚依据，建议实地核查。",
        "en": "These are suspected clues from satellite images, no basis for a penalty; check them on site.",
    },
    "next": {"zh": "下一步：{}。", "en": "Next: {}."},
    "nothing": {
        "zh": "没有量到可以回答这个问题的数据。",
        "en": "Nothing was measured that answers this question.",
    },
    "impression": {
        "zh": "以下是模型看图后的印象，不是测量结果；其中的数字未经核实，不能引用或导出。",
        "en": "What follows is the model's impression of the image, not a measurement; its figures are unchecked and "
        "must not be quoted or exported.",
    },
}
_LABELS: Words = {
    "gain": {"zh": "{cls}流入", "en": "gain of {cls}"},
    "loss": {"zh": "{cls}流出", "en": "loss of {cls}"},
    "net": {"zh": "{cls}净变化", "en": "net change of {cls}"},
    "state": {"zh": "{cls}面积", "en": "area of {cls}"},
    "state_share": {"zh": "{cls}占比", "en": "share of {cls}"},
    "series": {"zh": "{cls}面积", "en": "area of {cls}"},
    "transition": {"zh": "{cls}", "en": "{cls}"},
    "patch": {"zh": "图斑{id}", "en": "patch {id}"},
    "patches": {"zh": "疑似图斑面积", "en": "area of suspected patches"},
    "patches_count": {"zh": "疑似图斑数", "en": "suspected patches"},
    "overlap": {"zh": "重叠面积", "en": "overlap"},
    "zone": {"zh": "区域面积", "en": "area of the zone"},
    "seen": {"zh": "清晰覆盖", "en": "seen clearly"},
    "unit": {"zh": "最小图斑", "en": "smallest patch"},
    "unit_count": {"zh": "最小图斑像元数", "en": "smallest patch in pixels"},
    "slope": {"zh": "{cls}年均变化", "en": "yearly change of {cls}"},
    "rate": {"zh": "{cls}动态度", "en": "dynamic degree of {cls}"},
    "index": {"zh": "指数", "en": "index"},
    "accuracy": {"zh": "精度", "en": "accuracy"},
    "samples": {"zh": "检验样本数", "en": "test samples"},
    "difference": {"zh": "差值", "en": "difference"},
    "place": {"zh": "位置", "en": "place"},
    "period": {"zh": "间隔", "en": "interval"},
    "converted": {"zh": "换算结果", "en": "converted"},
    "towns": {"zh": "乡镇数", "en": "towns"},
}
_KINDS: Words = {
    "overall": {"zh": "总体精度", "en": "overall"},
    "user": {"zh": "用户精度", "en": "user's"},
    "producer": {"zh": "制图精度", "en": "producer's"},
    "kappa": {"zh": "kappa", "en": "kappa"},
    "f1": {"zh": "F1", "en": "F1"},
    "r2": {"zh": "R²", "en": "R²"},
    "pixel": {"zh": "像元统计值", "en": "pixel count"},
    "confusion": {"zh": "混淆矩阵", "en": "confusion matrix"},
    "stderr": {"zh": "标准误", "en": "standard error"},
    "break": {"zh": "突变", "en": "break"},
    "changed": {"zh": "变化比例", "en": "share that changed"},
    "season": {"zh": "季节相差", "en": "difference of season"},
    "judged": {"zh": "可判断的", "en": "that could be judged"},
    "NDVI limit": {"zh": "NDVI下限", "en": "NDVI limit"},
    "dates": {"zh": "影像期数", "en": "number of dates"},
    "later_dates": {"zh": "后续印证期数", "en": "later dates that confirm"},
    "same_class": {"zh": "前后地类相同", "en": "class stayed the same"},
    "below_mmu": {"zh": "小于最小图斑", "en": "below the smallest patch"},
    "interior": {"zh": "离边界一个像元以上", "en": "more than one pixel inside"},
}
_TRACE: Words = {
    "query": {"zh": "问题理解", "en": "Query"},
    "period": {"zh": "时段", "en": "Period"},
    "asked": {"zh": "所问{}", "en": "asked: {}"},
    "taken": {"zh": "影像日期{}", "en": "images of {}"},
    "used": {"zh": "采用影像", "en": "Images used"},
    "left": {"zh": "未用影像", "en": "Images left out"},
    "scene": {
        "zh": "{day} {sensor} {level}，清晰{clear}，{why}（{id}）",
        "en": "{day} {sensor} {level}, {clear} clear, {why} ({id})",
    },
    "method": {"zh": "方法", "en": "Method"},
    "figures": {"zh": "数据", "en": "Figures"},
    "figure": {"zh": "{label}：{value}{note}", "en": "{label}: {value}{note}"},
    "checks": {"zh": "校验", "en": "Checks"},
    "passed": {"zh": "{}：通过", "en": "{}: passed"},
    "failed": {"zh": "{}：未通过", "en": "{}: failed"},
    "caveats": {"zh": "局限", "en": "Caveats"},
    "id": {"zh": "证据编号", "en": "Evidence id"},
    "inputs": {"zh": "输入校验值", "en": "Digest of inputs"},
    "to": {"zh": "{}至{}", "en": "{} to {}"},
    "place": {"zh": "范围：{}", "en": "place: {}"},
    "cls": {"zh": "地类：{}", "en": "class: {}"},
    "from_cls": {"zh": "前地类：{}", "en": "class before: {}"},
    "to_cls": {"zh": "后地类：{}", "en": "class after: {}"},
    "min_area": {"zh": "不小于{}", "en": "of {} or more"},
    "patch_id": {"zh": "图斑：{}", "en": "patch: {}"},
    "by_model": {"zh": "由模型在已知问法中选定", "en": "chosen by the model among the known forms"},
}
_METHOD: Words = {
    "mask": {"zh": "云掩膜", "en": "cloud mask"},
    "norm": {"zh": "辐射归一化", "en": "normalisation"},
    "change": {"zh": "变化检测", "en": "change detection"},
    "classifier": {"zh": "地类判定", "en": "land cover"},
    "threshold": {"zh": "变化阈值", "en": "threshold"},
    "tail_share": {"zh": "检验统计量尾部占比", "en": "share in the tail"},
    "mmu_px": {"zh": "最小图斑（像元）", "en": "smallest patch (pixels)"},
    "mmu_m2": {"zh": "最小图斑（平方米）", "en": "smallest patch (m2)"},
}
_CHECKS: Words = {
    "gain_minus_loss_is_net": {"zh": "流入减流出等于净变化", "en": "gain less loss is net"},
    "nets_sum_to_zero": {"zh": "各地类净变化之和为零", "en": "net changes sum to zero"},
    "top_is_clear": {"zh": "首位与次位的范围不重叠", "en": "the first is clear of the next"},
    "persists": {"zh": "同季影像上变化依然存在", "en": "the change persists in a like season"},
    "sums_agree": {"zh": "转移矩阵行列合计一致", "en": "sums of the matrix agree"},
}


class Answer(BaseModel):
    """One answer as it is shown and kept.

    Args:
        question: as it was asked.
        text: as it is shown.
        lang: language of the asker.
        source: "template"; "model" for a checked rephrasing; "impression" for what a model says of a picture.
        evidence: behind it; None for an impression.
        refused: problems of a rephrasing that was not shown.
        seconds: it took.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    question: str
    text: str
    lang: Literal["zh", "en"] = "zh"
    source: Literal["template", "model", "impression"] = "template"
    evidence: Evidence | None = None
    refused: tuple[str, ...] = ()
    seconds: float = 0.0


@dataclass(frozen=True)
class Card:
    """One figure to show large: what it is, its value with unit, and its interval or kind."""

    label: str
    value: str
    note: str


def compose(evidence: Evidence) -> str:
    """The answer as lines of text, in the language of the query."""
    if evidence.status == "cannot_tell":
        return "\n".join(cannot_tell(evidence))
    if evidence.status == "words" and evidence.reason:
        return "\n".join(reason_lines(evidence))
    lines = [line for line in FORMS[evidence.query.metric].sentences(evidence) if line]
    if not lines:
        return _TEXT["nothing"][evidence.query.lang]
    if evidence.status == "measured" and evidence.query.metric not in _NO_NOTES:
        lines += _notes(evidence, "\n".join(lines))
    return "\n".join(lines)


def cards(evidence: Evidence) -> list[Card]:
    """The figures to show first, in the order of ``evidence.cards``."""
    say = Say(evidence)
    return [
        Card(label(say, figure), _value(say, figure), say.spread(figure))
        for figure in map(evidence.figure, evidence.cards)
    ]


def caveat_lines(evidence: Evidence) -> list[str]:
    """Every caveat in words, in the language of the query."""
    return [pick(CAVEATS, code, evidence.query.lang) for code in evidence.caveats]


def label(say: Say, figure: Figure) -> str:
    """What a figure is a figure of: "青禾乡耕地净变化", "耕地面积（2024年10月28日）"."""
    key = f"{figure.quantity}_{figure.dimension}"
    cls = class_name(figure.cls or "", say.lang)
    if figure.quantity == "transition":
        cls = " → ".join(class_name(one, say.lang) if one else "*" for one in (figure.from_cls, figure.to_cls))
    text = _LABELS[key if key in _LABELS else figure.quantity][say.lang].format(cls=cls, id=figure.patch_id or "")
    gap = "" if say.lang == "zh" else ", "
    if figure.place:
        text = f"{place_name(figure.place, say.lang)}{gap}{text}"
    inside = [_kind(say, figure)] if figure.kind and key != "unit_count" else []
    if figure.quantity in ("state", "series", "index", "accuracy") and figure.t2:
        inside.append(day(figure.t2, say.lang))
    if not inside:
        return text.strip()
    return f"{text}（{'，'.join(inside)}）" if say.lang == "zh" else f"{text} ({', '.join(inside)})"


def trace(evidence: Evidence) -> list[tuple[str, str]]:
    """How the answer came about: ordered (label, text) pairs, parts that are empty left out.

    Query in words, resolved period, scenes taken and left out with the reason, method, figures, checks, caveats,
    SHA-256 of the evidence and of its inputs.
    """
    say = Say(evidence)
    method = [
        f"{pick(_METHOD, key, say.lang)}: {value}" for key, value in evidence.method.items() if value not in (None, "")
    ]
    checks = [
        _TRACE["passed" if passed else "failed"][say.lang].format(pick(_CHECKS, key, say.lang))
        for key, passed in evidence.checks.items()
    ]
    parts: list[tuple[str, list[str]]] = [
        ("query", [_query_words(say)]),
        ("period", _period(say)),
        ("used", [_scene(say, scene) for scene in evidence.scenes if scene.used]),
        ("left", [_scene(say, scene) for scene in evidence.scenes if not scene.used]),
        ("method", method),
        ("figures", [_figure_line(say, figure) for figure in evidence.figures]),
        ("checks", checks),
        ("caveats", caveat_lines(evidence)),
        ("id", [evidence.id]),
        ("inputs", [evidence.inputs] if evidence.inputs else []),
    ]
    return [(_TRACE[key][say.lang], "\n".join(lines)) for key, lines in parts if lines]


def impression(said: str, lang: str) -> str:
    """What a model says of a picture, cleaned, under a line that says it is no measurement."""
    return f"{_TEXT['impression'][lang]}\n\n{plain(said)}"


def _notes(evidence: Evidence, said: str) -> list[str]:
    """What is said below the figures: the asked period, the smallest patch, the caveats, the next step."""
    say = Say(evidence)
    notes = _asked(say)
    unit = say.first(quantity="unit")
    if unit is not None and say.short(unit) not in said:
        notes.append(_TEXT["mmu"][say.lang].format(say.short(unit)))
    counted = say.first(quantity="patches", dimension="count", kind="below_mmu")
    left_out = _SAID | ({"BELOW_MMU"} if counted is not None else set())
    notes += [pick(CAVEATS, code, say.lang) for code in evidence.caveats if code not in left_out]
    lines = [_TEXT["notes"][say.lang].format(("；" if say.lang == "zh" else "; ").join(notes))] if notes else []
    count = say.first(quantity="patches", dimension="count")
    nothing = count is not None and not count.value and evidence.query.metric in _OF_PATCHES
    clue = "NEEDS_FIELD_CHECK" in evidence.caveats and evidence.query.metric not in _NO_CLUES and not nothing
    last = [_TEXT["clue"][say.lang]] if clue else []
    if evidence.next_step and not (clue and evidence.next_step == "field_check"):
        last.append(_TEXT["next"][say.lang].format(pick(NEXT_STEPS, evidence.next_step, say.lang)))
    return lines + ([("" if say.lang == "zh" else " ").join(last)] if last else [])


def _asked(say: Say) -> list[str]:
    """The resolved period, where it is not that of the images; of a comparison, all of them."""
    evidence = say.evidence
    used = {scene.date for scene in evidence.scenes if scene.used}
    asked = [one for one in (evidence.t1, evidence.t2) if one]
    if not used or not asked or set(asked) <= used:
        return []
    if len(asked) < 2:
        return [_TEXT["until"][say.lang].format(day(asked[0], say.lang))]
    others = evidence.query.others if evidence.query.compare == "periods" else ()
    ends = [asked, *([one.t1, one.t2] for one in others if one.t1 and one.t2)]
    spans = [_TEXT["span"][say.lang].format(*(day(one, say.lang) for one in pair)) for pair in ends]
    words = _TEXT["periods" if len(spans) > 1 else "period"][say.lang]
    return [words.format(("、" if say.lang == "zh" else " and ").join(spans))]


def _kind(say: Say, figure: Figure) -> str:
    kind = figure.kind or ""
    # C is a grade and, of shares, the centre.
    tables = (_KINDS, PARTS, SECTORS) if figure.dimension == "share" else (_KINDS, PARTS)
    if kind in GRADES and figure.dimension == "count":
        return _TEXT["grade"][say.lang].format(kind)
    return next((table[kind][say.lang] for table in tables if kind in table), type_name(kind, say.lang))


def _value(say: Say, figure: Figure) -> str:
    if figure.quantity in ("net", "difference"):
        return say.signed(figure)
    negative = figure.value < 0 and figure.dimension in ("area_per_year", "share_per_year", "area", "share")
    return f"-{say.short(figure)}" if negative else say.short(figure)


def _figure_line(say: Say, figure: Figure) -> str:
    return _TRACE["figure"][say.lang].format(
        label=label(say, figure), value=_value(say, figure), note=say.bracketed(figure)
    )


def _scene(say: Say, scene: SceneUse) -> str:
    return _TRACE["scene"][say.lang].format(
        day=day(scene.date, say.lang),
        sensor=pick(SENSOR_NAMES, scene.sensor, say.lang),
        level=scene.level,
        clear=f"{100 * scene.clear_share:.3g}%",
        why=pick(SCENE_REASONS, scene.why, say.lang),
        id=scene.id,
    )


def _query_words(say: Say) -> str:
    query = say.evidence.query
    parts = [FORMS[query.metric].title[say.lang], _TRACE["place"][say.lang].format(say.place)]
    words: tuple[tuple[str, str | None, Callable[[str, str], str]], ...] = (
        ("cls", query.cls, class_name),
        ("from_cls", query.from_cls, class_name),
        ("to_cls", query.to_cls, class_name),
        ("patch_id", query.patch_id, lambda value, _: value),
    )
    parts += [_TRACE[key][say.lang].format(name(value, say.lang)) for key, value, name in words if value]
    if query.min_area_m2:
        asked = Figure(key="asked", quantity="unit", value=query.min_area_m2, dimension="area")
        parts.append(_TRACE["min_area"][say.lang].format(say.short(asked)))
    if query.source == "model":
        parts.append(_TRACE["by_model"][say.lang])
    return ("；" if say.lang == "zh" else "; ").join(parts)


def _period(say: Say) -> list[str]:
    asked = [day(one, say.lang) for one in (say.evidence.t1, say.evidence.t2) if one]
    lines = []
    if asked:
        words = _TRACE["to"][say.lang].format(*asked) if len(asked) == 2 else asked[0]
        lines.append(_TRACE["asked"][say.lang].format(words))
    taken = sorted({scene.date for scene in say.evidence.scenes if scene.used})
    if taken:
        lines.append(_TRACE["taken"][say.lang].format(listed([day(one, say.lang) for one in taken], say.lang)))
    return lines
