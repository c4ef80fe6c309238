"""The Word report of a run: what changed, where, how sure, and what it does not say.

``write_report`` prints only what the evidence holds; what is missing reads 待核实 (to be verified). Every area
stands with its kind: an uncorrected pixel count with a range, or a sample estimate with a 95 % interval.
All findings are clues (自然资发〔2023〕258号), never verdicts.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict, cast

import geopandas as gpd

from src.constants import LAND_CLASS_IDS
from src.errors import InputError
from src.geo.caveats import CAVEATS
from src.geo.report.document import (
    ReportDocument,
    area_cells,
    area_columns,
    certainty,
    class_name,
    dates_of,
    show,
    show_area,
    show_percent,
    value_of,
)
from src.geo.report.methods import write_methods
from src.geo.report.patches import minimum_unit, write_patches
from src.geo.report.text import TEXT
from src.geo.zones import PARTS, ZONE_TYPES

# --- What the report reads of evidence.json. Every key may be missing; others are ignored. ---


class Area(TypedDict, total=False):
    """One area in square metres: a value with either ci95 or bounds (low, high)."""

    value_m2: float
    ci95: Sequence[float]  # of a sample estimate
    bounds: Sequence[float]  # of a pixel count; no confidence interval
    n_samples: int


class SceneRow(TypedDict, total=False):
    """One image, named as in SceneRecord."""

    id: str
    sensor: str
    level: str
    date: str
    cloud_percent: float | None
    clear_share: float  # 0..1, inside the area of the run where known
    mask_source: str


class TownRow(TypedDict, total=False):
    """Changes of one town, by class key such as "cropland"."""

    name: str
    gain: Mapping[str, Area]
    loss: Mapping[str, Area]
    net: Mapping[str, Area]


class ZoneRow(TypedDict, total=False):
    """One zone (or all of one kind together) with what lies in it."""

    zone_type: str  # key of ZONE_TYPES
    name: str
    part: str  # key of PARTS or ""
    area_m2: float
    patches: int  # how many patches touch it
    overlap: Area  # of patches with the zone
    source: str  # file and its date


class AccuracyBlock(TypedDict, total=False):
    """Agreement of one map with reference data; lists in the order of classes."""

    date: str
    method: str  # such as "spatially blocked, 5 folds"
    n: int
    classes: Sequence[str]
    matrix: Sequence[Sequence[float]]  # rows map, columns reference
    overall: float  # shares 0..1, as users, producers, f1 and overall_ci95
    overall_ci95: Sequence[float]
    kappa: float
    users: Sequence[float | None]
    producers: Sequence[float | None]
    f1: Sequence[float | None]


class Evidence(TypedDict, total=False):
    """evidence.json, as far as the report reads it."""

    evidence_id: str
    sha256: str
    command: str
    legend_ver: str
    place: Mapping[str, str]  # name, code
    resolved: Mapping[str, str]  # t1, t2: acquisition dates, ISO
    clear_share: float  # seen clearly on both dates, 0..1
    scenes: Sequence[SceneRow]
    coreg: Mapping[str, float]  # dx, dy, resid_px: pixels
    method: Mapping[str, Any]  # mask, change, classifier, threshold, norm, mmu_px, mmu_m2
    areas_before: Mapping[str, Area]  # by class key, as the next four
    areas_after: Mapping[str, Area]
    gain: Mapping[str, Area]
    loss: Mapping[str, Area]
    net: Mapping[str, Area]
    transition_m2: Sequence[Sequence[float]]  # 8 x 8: rows before, columns after; 0 no data, then LAND_CLASSES
    towns: Sequence[TownRow]
    zones: Sequence[ZoneRow]
    patches: Mapping[str, float]  # below_mmu_count, below_mmu_m2
    accuracy: Sequence[AccuracyBlock]  # one per map
    caveats: Sequence[str]  # keys of CAVEATS


COVER_FIGURES = ("cover_before", "cover_after")
# Kinds of zone that every report answers for, with or without a layer.
_ASKED_ZONES = ("basic_farmland", "red_line", "reserve", "river")
_TOP_TOWNS = 10
# Said in every report, whatever the run found.
_ALWAYS = ("NEEDS_FIELD_CHECK", "LEGAL_NOT_ASSESSED")


def write_report(
    out: Path,
    evidence: Mapping[str, Any],
    patches: gpd.GeoDataFrame | None,
    figures: Mapping[str, Path],
    lang: str = "zh",
    *,
    max_chips: int = 20,
) -> None:
    """Write the report as .docx; the same inputs give the same bytes.

    Args:
        out: target.
        evidence: keys of ``Evidence``.
        patches: the patch record (columns TBBH, MJ_M2, GRADE, ... of PATCH_FIELDS); empty where none was
            found, None where change was not looked for.
        figures: .png files, any of which may be missing: "overview_before", "overview_after", "cover_before",
            "cover_after", "change", "patches", and "<TBBH>:before", "<TBBH>:after", "<TBBH>:change" for chips.
        lang: "zh" or "en".
        max_chips: patches with a page and chips of their own, the largest first.

    Raises:
        InputError: lang is neither "zh" nor "en", out does not end in .docx, or the evidence holds an unknown
            caveat code or a matrix of another shape.
    """
    if lang not in ("zh", "en"):
        raise InputError(f"language {lang!r}, expected zh or en")
    if out.suffix.lower() != ".docx":
        raise InputError(f"{out}: the report is a Word file, use a name that ends in .docx")
    found = cast(Evidence, evidence)
    _check(found)
    name = found.get("place", {}).get("name") or TEXT["this_county"][lang]
    report = ReportDocument(lang, TEXT["title"][lang].format(name), show(found.get("evidence_id"), lang))
    _write_head(report, found, None if patches is None else len(patches))
    _write_cropland(report, found, figures)
    _write_built(report, found)
    _write_zones(report, found)
    write_patches(report, found, patches, figures, max_chips)
    write_methods(report, found, figures)
    _write_limits(report, found)
    report.save(out)


def _check(evidence: Evidence) -> None:
    """Refuse what cannot be printed: it would be an error of the program that made the evidence."""
    unknown = sorted(set(evidence.get("caveats", ())) - set(CAVEATS))
    if unknown:
        raise InputError(f"evidence holds unknown caveat codes {', '.join(unknown)}; known are the keys of CAVEATS")
    matrix, side = evidence.get("transition_m2"), len(LAND_CLASS_IDS) + 1
    if matrix is not None and {len(matrix), *map(len, matrix)} != {side}:
        raise InputError(f"transition_m2 has {len(matrix)} rows, expected {side} of {side} values: no data, 7 classes")
    for block in evidence.get("accuracy", ()):
        names, counts = block.get("classes", ()), block.get("matrix", ())
        if {len(names)} != {len(counts), *map(len, counts)}:
            raise InputError(f"an accuracy block names {len(names)} classes, but its matrix has {len(counts)} rows")


def _write_head(report: ReportDocument, evidence: Evidence, count: int | None) -> None:
    lang = report.lang
    dates = dates_of(evidence, lang)
    report.paragraph(report.text("period", *dates))
    report.paragraph(report.text("clear", show_percent(evidence.get("clear_share"), lang)))
    report.paragraph(report.text("evidence", show(evidence.get("evidence_id"), lang)))
    changes = (evidence.get("gain", {}), evidence.get("loss", {}), evidence.get("net", {}))
    words = [certainty(areas.get("cropland"), lang, short=True) for areas in changes]
    built = certainty(evidence.get("gain", {}).get("built"), lang, short=True)
    report.paragraph(report.text("summary", *dates, *words, built, show(count, lang)))
    report.paragraph(report.text("clues_only"), bold=True)


def _write_cropland(report: ReportDocument, evidence: Evidence, figures: Mapping[str, Path]) -> None:
    report.heading(report.text("h1"))
    _write_class(report, evidence, "cropland", report.text("t_cropland"))
    report.paragraph(report.text("cropland_note"))
    _write_flows(report, evidence, "t_lost_to", "cropland", outward=True)
    _write_flows(report, evidence, "t_gained_from", "cropland", outward=False)
    towns = evidence.get("towns", ())
    if towns:
        _write_towns(report, towns)
    else:
        report.paragraph(report.text("no_towns"))
    report.figures(figures, COVER_FIGURES)


def _write_built(report: ReportDocument, evidence: Evidence) -> None:
    lang = report.lang
    report.heading(report.text("h2"))
    _write_class(report, evidence, "built", report.text("t_built"))
    flows = _flows(evidence, "built", outward=False)
    share = flows["cropland"] / sum(flows.values()) if sum(flows.values()) > 0 else None
    report.paragraph(report.text("built_share", show_percent(share, lang)))
    _write_flows(report, evidence, "t_built_from", "built", outward=False)
    gains = [(show(town.get("name"), lang), town.get("gain", {}).get("built")) for town in evidence.get("towns", ())]
    known = sorted((row for row in gains if value_of(row[1]) is not None), key=lambda row: -(value_of(row[1]) or 0.0))
    known = known[:_TOP_TOWNS]
    if known:
        rows = [[name, certainty(gain, lang, short=True)] for name, gain in known]
        title = report.text("t_towns_built", len(known))
        report.table(title, [report.text("town"), report.text("gain")], rows)
    else:
        report.paragraph(report.text("no_towns"))


def _write_zones(report: ReportDocument, evidence: Evidence) -> None:
    lang = report.lang
    report.heading(report.text("h3"))
    zones = evidence.get("zones", ())
    rows = []
    for kind in (*_ASKED_ZONES, *(kind for kind in ZONE_TYPES if kind not in _ASKED_ZONES)):
        own = [zone for zone in zones if zone.get("zone_type") == kind]
        rows += [_zone_cells(zone, lang) for zone in own]
        if not own and kind in _ASKED_ZONES:
            rows.append([_zone_kind(kind, lang), report.text("no_layer"), *[report.text("missing")] * 5])
    header = ("zone_type", "zone", "zone_area", "hits", "overlap", "certainty", "source")
    report.table(report.text("t_zones"), [report.text(key) for key in header], rows)
    report.paragraph(report.text("zone_note"))


def _write_limits(report: ReportDocument, evidence: Evidence) -> None:
    lang = report.lang
    report.heading(report.text("h6"))
    report.paragraph(report.text("notice"), bold=True)
    smallest = minimum_unit(evidence.get("method", {}), lang)
    for text in (report.text("limit_dates"), report.text("limit_size", smallest), report.text("limit_legal")):
        report.paragraph(text, style="List Bullet")
    report.paragraph(report.text("caveats"))
    for code in dict.fromkeys((*evidence.get("caveats", ()), *_ALWAYS)):
        report.paragraph(f"{CAVEATS[code][lang]} ({code})", style="List Bullet")
    report.paragraph(report.text("next"))
    known = [show(evidence.get(key), lang) for key in ("evidence_id", "sha256", "legend_ver", "command")]
    report.paragraph(report.text("repeat", *known))


def _write_class(report: ReportDocument, evidence: Evidence, key: str, title: str) -> None:
    """Both areas, gain, loss and net of one class."""
    header = [report.text(name) for name in ("item", "mu", "ha", "km2", "certainty")]
    rows = [[name, *area_cells(areas.get(key), report.lang)] for name, areas in area_columns(report, evidence)]
    report.table(title, header, rows)


def _flows(evidence: Evidence, key: str, *, outward: bool) -> dict[str, float]:
    """Square metres between a class and each other one, from the transition matrix; empty without it."""
    matrix = evidence.get("transition_m2")
    if matrix is None:
        return {}
    own = LAND_CLASS_IDS[key]
    others = {name: code for name, code in LAND_CLASS_IDS.items() if name != key}
    return {name: float(matrix[own][code] if outward else matrix[code][own]) for name, code in others.items()}


def _write_flows(report: ReportDocument, evidence: Evidence, title: str, key: str, *, outward: bool) -> None:
    lang = report.lang
    flows = _flows(evidence, key, outward=outward)
    total = sum(flows.values())
    ranked = sorted(flows.items(), key=lambda row: -row[1])
    rows = [[class_name(name, lang), *_flow_cells(value, total, lang)] for name, value in ranked]
    rows.append([report.text("total"), *_flow_cells(total if flows else None, total, lang)])
    header = [report.text(name) for name in ("class", "mu", "ha", "share")]
    report.table(report.text(title), header, rows)


def _flow_cells(value_m2: float | None, total_m2: float, lang: str) -> list[str]:
    share = value_m2 / total_m2 if value_m2 is not None and total_m2 > 0 else None
    return [show_area(value_m2, "mu", lang), show_area(value_m2, "ha", lang), show_percent(share, lang)]


def _write_towns(report: ReportDocument, towns: Sequence[TownRow]) -> None:
    """Cropland by town, with a row of sums over the towns whose value is known, or none of it."""
    lang = report.lang
    keys = ("gain", "loss", "net")
    values = [[value_of(cast(Mapping[str, Any], town).get(key, {}).get("cropland")) for key in keys] for town in towns]
    rows = [
        [
            show(town.get("name"), lang),
            *(certainty(cast(Mapping[str, Any], town).get(key, {}).get("cropland"), lang, short=True) for key in keys),
        ]
        for town in towns
    ]
    sums = [
        None if None in column else math.fsum(cast(Sequence[float], column)) for column in zip(*values, strict=True)
    ]
    rows.append([report.text("total"), *(show_area(value, "mu", lang) for value in sums)])
    report.table(report.text("t_towns"), [report.text(key) for key in ("town", *keys)], rows)


def _zone_cells(zone: ZoneRow, lang: str) -> list[str]:
    part = PARTS.get(zone.get("part", ""), {}).get(lang, "")
    overlap = zone.get("overlap")
    return [
        _zone_kind(zone.get("zone_type", ""), lang),
        " ".join(text for text in (show(zone.get("name"), lang), part) if text),
        show_area(zone.get("area_m2"), "mu", lang),
        show(zone.get("patches"), lang),
        show_area(value_of(overlap), "mu", lang),
        certainty(overlap, lang),
        show(zone.get("source"), lang),
    ]


def _zone_kind(kind: str, lang: str) -> str:
    known = ZONE_TYPES.get(kind)
    return show(kind, lang) if known is None else known.zh if lang == "zh" else known.en
