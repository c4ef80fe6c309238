"""Figures, scenes and patches of an evidence as rows of plain values, for every export format."""

from typing import Any

import geopandas as gpd

from src.answers.units import AREA_UNIT_NAMES
from src.assistant.answer import label
from src.assistant.record import SCENE_REASONS, Evidence, Figure
from src.assistant.text import Say, Words, class_name, pick, place_name, type_name
from src.constants import AREA_UNITS_M2

HEADINGS: Words = {
    "title": {"zh": "县域土地利用问答记录", "en": "County land use: answer"},
    "part": {"zh": "部分", "en": "part"},
    "item": {"zh": "项目", "en": "item"},
    "name": {"zh": "名称", "en": "name"},
    "text": {"zh": "内容", "en": "text"},
    "question": {"zh": "问题", "en": "question"},
    "answer": {"zh": "回答", "en": "answer"},
    "values": {"zh": "数值", "en": "figures"},
    "patches": {"zh": "图斑", "en": "patches"},
    "scenes": {"zh": "影像", "en": "scenes"},
    "basis": {"zh": "依据与说明", "en": "Basis and notes"},
    "caveats": {"zh": "局限", "en": "caveats"},
    "query": {"zh": "查询(JSON)", "en": "query (JSON)"},
    "evidence_id": {"zh": "证据编号", "en": "evidence id"},
    "value": {"zh": "数值", "en": "value"},
    "unit": {"zh": "单位", "en": "unit"},
    "lower": {"zh": "下限", "en": "lower bound"},
    "upper": {"zh": "上限", "en": "upper bound"},
    "bounds": {"zh": "区间类型", "en": "kind of bounds"},
    "n": {"zh": "样本数", "en": "samples"},
    "class": {"zh": "地类", "en": "class"},
    "from": {"zh": "前地类", "en": "class before"},
    "to": {"zh": "后地类", "en": "class after"},
    "place": {"zh": "范围", "en": "place"},
    "t1": {"zh": "前时相", "en": "first date"},
    "t2": {"zh": "后时相", "en": "second date"},
    "lon": {"zh": "经度", "en": "longitude"},
    "lat": {"zh": "纬度", "en": "latitude"},
    "type": {"zh": "类型", "en": "type"},
    "grade": {"zh": "置信等级", "en": "grade"},
    "confidence": {"zh": "置信度", "en": "confidence"},
    "status": {"zh": "核查状态", "en": "status"},
}
VALUE_COLUMNS = (
    *("name", "text", "value", "unit", "lower", "upper", "bounds", "n", "class", "from", "to", "place", "t1", "t2"),
)
SCENE_COLUMNS = ("name", "t2", "text")
COLUMNS = ("part", *VALUE_COLUMNS, "lon", "lat", "type", "grade", "confidence", "status")
_BOUNDS: Words = {
    "ci95": {"zh": "95%置信区间", "en": "95 % confidence interval"},
    "range": {"zh": "范围，非置信区间", "en": "range, no confidence interval"},
    "pixel": {"zh": "像元统计，未经样本校正", "en": "pixel count, not corrected by samples"},
}
_UNITS: Words = {
    "share": {"zh": "%", "en": "%"},
    "share_per_year": {"zh": "%/年", "en": "% a year"},
    "length": {"zh": "米", "en": "m"},
    "degrees": {"zh": "度", "en": "degrees"},
    "days": {"zh": "天", "en": "days"},
    "year": {"zh": "年", "en": "year"},
    "count": {"zh": "个", "en": "count"},
    "index": {"zh": "", "en": ""},
}
_PER_YEAR = {"zh": "/年", "en": " a year"}
_LEFT_OUT = {"zh": "未用", "en": "left out"}


def value_parts(evidence: Evidence, lang: str) -> list[dict[str, Any]]:
    """One row per figure: as it is said, and as numbers in the unit that the answer uses."""
    say = Say(evidence)
    return [_value(say, figure, lang) for figure in evidence.figures]


def _value(say: Say, figure: Figure, lang: str) -> dict[str, Any]:
    unit, factor = _unit(say, figure, lang)
    low, high = figure.bounds if figure.bounds is not None else (None, None)
    kind = figure.bounds_kind or ("pixel" if figure.dimension == "area" and figure.bounds is None else None)
    minus = "-" if figure.value < 0 and not say.short(figure).startswith("-") else ""
    return {
        "name": label(say, figure),
        "text": f"{minus}{say.short(figure)}",
        "value": figure.value * factor,
        "unit": unit,
        "lower": None if low is None else low * factor,
        "upper": None if high is None else high * factor,
        "bounds": "" if kind is None else _BOUNDS[kind][lang],
        "n": figure.n_samples,
        "class": class_name(figure.cls, lang) if figure.cls else "",
        "from": class_name(figure.from_cls, lang) if figure.from_cls else "",
        "to": class_name(figure.to_cls, lang) if figure.to_cls else "",
        "place": place_name(figure.place, lang) if figure.place else say.place,
        "t1": figure.t1 or "",
        "t2": figure.t2 or "",
    }


def _unit(say: Say, figure: Figure, lang: str) -> tuple[str, float]:
    """Name of the unit that a figure is said in, and what to multiply its value with."""
    if figure.dimension.startswith("area"):
        unit = say.unit_of(figure)
        per_year = _PER_YEAR[lang] if figure.dimension == "area_per_year" else ""
        return AREA_UNIT_NAMES[unit][lang].strip() + per_year, 1 / AREA_UNITS_M2[unit]
    return _UNITS[figure.dimension][lang], 100.0 if figure.dimension.startswith("share") else 1.0


def scene_parts(evidence: Evidence, lang: str) -> list[dict[str, Any]]:
    """One row per scene: id, date, and sensor, level, clear share and why it was taken or left out."""
    rows = []
    for scene in evidence.scenes:
        facts = [scene.sensor, scene.level, f"{100 * scene.clear_share:.3g}%", pick(SCENE_REASONS, scene.why, lang)]
        if not scene.used:
            facts.insert(0, _LEFT_OUT[lang])
        rows.append({"name": scene.id, "t2": scene.date, "text": ", ".join(facts)})
    return rows


def patch_parts(evidence: Evidence, records: gpd.GeoDataFrame) -> list[dict[str, Any]]:
    """One row per listed patch, in the order of the answer, with the state of its record."""
    say = Say(evidence)
    rows = []
    for row, state in zip(evidence.patches, records["HCZT"], strict=True):
        figure = Figure(key=row.id, quantity="patch", value=row.area_m2, dimension="area", bounds=row.bounds)
        rows.append(
            _value(say, figure, say.lang)
            | {
                "name": row.id,
                "bounds": _BOUNDS["range"][say.lang],
                "from": class_name(row.from_cls, say.lang) if row.from_cls else "",
                "to": class_name(row.to_cls, say.lang) if row.to_cls else "",
                "place": row.town or say.place,
                "t1": row.t1,
                "t2": row.t2,
                "lon": row.lon,
                "lat": row.lat,
                "type": type_name(row.kind, say.lang),
                "grade": row.grade,
                "confidence": row.confidence,
                "status": state,
            }
        )
    return rows
