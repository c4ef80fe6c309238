"""The chapter on suspected patches: grades, list, and a page with chips for each of the largest."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import geopandas as gpd
import pandas as pd

from src.errors import InputError
from src.geo.patches.fields import CHANGE_TYPES, CHECK_STATES, OVERLAP
from src.geo.report.document import (
    ReportDocument,
    class_name,
    is_number,
    show,
    show_area,
    show_number,
    show_percent,
)
from src.geo.report.text import PATCH_FIELDS

CHANGE_FIGURES = ("change", "patches")
CHIPS = ("before", "after", "change")
# Rows of the list in the report; the spreadsheet beside it has them all.
MAX_ROWS = 200
_NEEDED = ("TBBH", "MJ_M2")
_GRADES = ("A", "B", "C")
# Columns whose wording for English reports stands beside them, and flags that say that an empty column means "none".
_ENGLISH, _FLAGS = {"REASON": "REASON_EN", "JCJY": "JCJY_EN"}, {"ZRBHD": "SFBH", "GNQ": "SFBH", "HDGL": "SFHD"}
_AREAS, _BY_HAND = ("MJ_M2", "ZYYN_M2", "ZYHX_M2"), ("HCJG", "HCR", "HCRQ")
_OVERLAP_WORDS = {
    OVERLAP["none"]: {"zh": "无", "en": "none"},
    OVERLAP["hit"]: {"zh": "相交，名称待核实", "en": "touched, name to be verified"},
    OVERLAP["thin"]: {"zh": "可能相交", "en": "perhaps touched"},
}


def write_patches(
    report: ReportDocument,
    evidence: Mapping[str, Any],
    patches: gpd.GeoDataFrame | None,
    figures: Mapping[str, Path],
    max_chips: int,
) -> None:
    """Write chapter four; see ``src.geo.report.write.write_report``.

    Raises:
        InputError: there are patches, but columns TBBH or MJ_M2 are missing.
    """
    report.heading(report.text("h4"))
    report.figures(figures, CHANGE_FIGURES)
    if patches is None:
        report.paragraph(report.text("patches_unknown"))
        return
    smallest = minimum_unit(evidence.get("method", {}), report.lang)
    if patches.empty:
        report.paragraph(report.text("patches_none", smallest))
        _write_below(report, evidence, smallest)
        return
    missing = [column for column in _NEEDED if column not in patches.columns]
    if missing:
        raise InputError(f"the patch record has no column {', '.join(missing)}; it has {', '.join(patches.columns)}")
    # Equal areas keep the order of their numbers.
    ranked = patches.sort_values(["MJ_M2", "TBBH"], ascending=[False, True])
    with_chips = [row for _, row in ranked.head(max_chips).iterrows()]
    listed = min(MAX_ROWS, len(ranked))
    total = show_area(float(ranked["MJ_M2"].sum()), "mu", report.lang)
    counts = (len(ranked), total, listed, len(with_chips), len(ranked) - len(with_chips))
    report.paragraph(report.text("patches_count", *counts))
    _write_below(report, evidence, smallest)
    _write_grades(report, ranked)
    _write_list(report, ranked.head(MAX_ROWS))
    for row in with_chips:
        report.page_break()
        _write_patch(report, row, figures)
    if with_chips:
        report.page_break()


def minimum_unit(method: Mapping[str, Any], lang: str) -> str:
    """The minimum mapping unit in words: "1.35亩", or what is missing."""
    area = method.get("mmu_m2")
    text = show_area(area, "mu", lang)
    return text + {"zh": "亩", "en": " mu"}[lang] if is_number(area) else text


def _write_below(report: ReportDocument, evidence: Mapping[str, Any], smallest: str) -> None:
    below = evidence.get("patches", {})
    area = show_area(below.get("below_mmu_m2"), "mu", report.lang)
    report.paragraph(report.text("below_mmu", show(below.get("below_mmu_count"), report.lang), smallest, area))


def _write_grades(report: ReportDocument, patches: gpd.GeoDataFrame) -> None:
    lang = report.lang
    grades = patches["GRADE"] if "GRADE" in patches.columns else pd.Series(None, index=patches.index, dtype=object)
    rows = []
    for grade in _GRADES:
        own = grades == grade
        area = show_area(float(patches.loc[own, "MJ_M2"].sum()), "mu", lang)
        rows.append([grade, report.text(f"grade_{grade}"), str(int(own.sum())), area])
    other = ~grades.isin(_GRADES)
    if other.any():
        area = show_area(float(patches.loc[other, "MJ_M2"].sum()), "mu", lang)
        rows.append([report.text("missing"), "", str(int(other.sum())), area])
    header = [report.text(key) for key in ("grade", "meaning", "count", "mu")]
    report.table(report.text("t_grades"), header, rows)


def _write_list(report: ReportDocument, patches: gpd.GeoDataFrame) -> None:
    lang = report.lang
    rows = [
        [
            show(row["TBBH"], lang),
            f"{show_number(row.get('JD'), 6, lang)}, {show_number(row.get('WD'), 6, lang)}",
            show_area(row["MJ_M2"], "mu", lang),
            f"{class_name(row.get('QDL'), lang)}→{class_name(row.get('HDL'), lang)}",
            _field("BHLX", row, report),
            show(row.get("GRADE"), lang),
            _field("HCZT", row, report),
        ]
        for _, row in patches.iterrows()
    ]
    place = f"{PATCH_FIELDS['JD'][lang]}, {PATCH_FIELDS['WD'][lang]}"
    names = [PATCH_FIELDS[key][lang] for key in ("TBBH", "BHLX", "GRADE", "HCZT")]
    header = [names[0], place, report.text("mu"), report.text("change_of"), *names[1:]]
    report.table(report.text("t_patches"), header, rows)


def _write_patch(report: ReportDocument, row: Any, figures: Mapping[str, Path]) -> None:
    name = str(row["TBBH"])
    report.heading(f"{PATCH_FIELDS['TBBH'][report.lang]} {name}", level=2)
    chips = [figures[f"{name}:{kind}"] for kind in CHIPS if f"{name}:{kind}" in figures]
    if len(chips) == len(CHIPS):
        report.pictures(chips, report.text("chips", name))
    else:
        report.paragraph(report.text("no_chips"))
    report.fields([(aliases[report.lang], _field(key, row, report)) for key, aliases in PATCH_FIELDS.items()])


def _field(key: str, row: Any, report: ReportDocument) -> str:
    """One field of the record as text, with its units."""
    lang, value = report.lang, row.get(key)
    if lang == "en" and isinstance(row.get(_ENGLISH.get(key, "")), str):
        value = row[_ENGLISH[key]]
    if key in _BY_HAND:
        return report.text("by_hand") if value is None or pd.isna(value) or value == "" else str(value)
    if key == "HCZT":
        unchecked = not isinstance(value, str) or value in ("", CHECK_STATES[0])
        return report.text("unchecked") if unchecked else str(value)
    if key == "BHLX" and value in CHANGE_TYPES:
        return f"{value} {CHANGE_TYPES[value][lang]}"
    if key in _FLAGS and value == "" and row.get(_FLAGS[key]) in OVERLAP.values():
        return _OVERLAP_WORDS[row[_FLAGS[key]]][lang]
    if key in ("QDL", "HDL"):
        return class_name(value, lang)
    if key in ("JD", "WD"):
        return f"{float(value):.6f}° ({_dms(float(value))})" if is_number(value) else report.text("missing")
    if key in _AREAS and is_number(value):
        units = (("mu", report.text("mu")), ("ha", report.text("ha")), ("m2", "m²"))
        return " / ".join(f"{show_area(value, unit, lang)} {words}" for unit, words in units)
    if key == "MJ_MIN":
        if not (is_number(value) and is_number(row.get("MJ_MAX"))):
            return report.text("missing")
        return f"{show_area(value, 'mu', lang)} – {show_area(row['MJ_MAX'], 'mu', lang)} {report.text('mu')}"
    if key == "CLR_PCT":
        return show_percent(value / 100 if is_number(value) else None, lang)
    return report.text("missing") if value is None or pd.isna(value) else show(value, lang)


def _dms(degrees: float) -> str:
    """Degrees as 103°53′00.0″, to a tenth of a second (3 m)."""
    tenths = round(abs(degrees) * 36000)
    whole, rest = divmod(tenths, 36000)
    minutes, rest = divmod(rest, 600)
    return f"{'-' if degrees < 0 else ''}{whole}°{minutes:02d}′{rest / 10:04.1f}″"
