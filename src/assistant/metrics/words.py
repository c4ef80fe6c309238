"""Answers that rest on no imagery: unit conversion, and why figures differ from the land survey's."""

from src.assistant.county import County, Progress
from src.assistant.query import Query
from src.assistant.record import Evidence, Figure, Table
from src.constants import AREA_UNITS_M2

# How three sources of area figures differ: title of the column, then definition, time, scale and standing.
_ASPECTS = {
    "zh": ("口径", "定义", "时点", "尺度", "效力"),
    "en": ("aspect", "definition", "time", "scale", "standing"),
}
_SOURCES = {
    "zh": (
        ("遥感监测", "地表覆盖", "影像获取日", "像元与最小制图单元", "线索，须实地核查"),
        ("国土变更调查（三调）", "土地用途，按工作分类", "年末统一时点", "实地图斑，有最小上图面积", "法定调查成果"),
        ("统计数据", "按统计报表制度", "报告期", "逐级汇总，不落图", "官方统计"),
    ),
    "en": (
        (
            "remote sensing",
            "land cover",
            "day of the image",
            "pixels and a least patch",
            "a clue to check in the field",
        ),
        ("land survey", "land use by its legend", "end of the year", "surveyed parcels", "the legal record"),
        ("statistics", "by the rules of reporting", "reporting period", "summed up, on no map", "official statistics"),
    ),
}


def convert(query: Query, county: County, progress: Progress) -> Evidence:
    """A figure in another unit: 1 mu is 2000/3 m2, exactly.

    Args:
        query: ``value`` in ``unit`` (mu where none is given), wanted in ``to_unit``, or in all others.
        county: not looked at.
        progress: not told.

    Returns:
        One figure "converted", in m2; its kind is the unit wanted. Without a value, the reason "need_value".
    """
    if query.value is None:
        return Evidence(query=query, status="words", reason="need_value")
    value_m2 = query.value * AREA_UNITS_M2[query.unit or "mu"]
    found = Figure(key="converted", quantity="converted", value=value_m2, dimension="area", kind=query.to_unit)
    return Evidence(query=query, status="words", figures=(found,), cards=("converted",))


def explain_diff(query: Query, county: County, progress: Progress) -> Evidence:
    """Why figures differ from those of the land survey and of statistics.

    Args:
        query: gives the language.
        county: not looked at.
        progress: not told.

    Returns:
        A table of words, no figure.
    """
    columns = (_ASPECTS[query.lang], *_SOURCES[query.lang])
    rows = tuple(zip(*(column[1:] for column in columns), strict=True))
    table = Table(name="differences", columns=tuple(column[0] for column in columns), rows=rows)
    return Evidence(query=query, status="words", tables=(table,))
