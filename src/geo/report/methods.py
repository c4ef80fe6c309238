"""Chapter five of the report: images, alignment, processing, class areas, transition matrix, accuracy."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from src.geo.report.document import (
    ReportDocument,
    area_cells,
    area_columns,
    class_keys,
    class_name,
    is_number,
    show,
    show_area,
    show_number,
    show_percent,
    value_of,
)

SCENE_FIGURES = ("overview_before", "overview_after")
_METHOD_KEYS = ("mask", "norm", "change", "threshold", "classifier", "mmu_px", "mmu_m2")


def write_methods(report: ReportDocument, evidence: Mapping[str, Any], figures: Mapping[str, Path]) -> None:
    """Write chapter five; see ``src.geo.report.write.Evidence`` for the keys and ``write_report`` for the figures."""
    lang = report.lang
    report.heading(report.text("h5"))
    header = ("scene", "sensor", "date", "cloud", "clear_share", "mask")
    scenes = [_scene_cells(scene, lang) for scene in evidence.get("scenes", ())] or [[report.text("missing")] * 6]
    report.table(report.text("t_scenes"), [report.text(key) for key in header], scenes)
    coreg = evidence.get("coreg", {})
    report.paragraph(report.text("coreg", *(show_number(coreg.get(key), 2, lang) for key in ("dx", "dy", "resid_px"))))
    method = evidence.get("method", {})
    steps = [[report.text(f"method_{key}"), show(method.get(key), lang)] for key in _METHOD_KEYS]
    report.table(report.text("t_method"), [report.text("item"), report.text("value")], steps)
    _write_classes(report, evidence)
    matrix = evidence.get("transition_m2")
    if matrix is not None:
        names = [report.text("no_data"), *(class_name(key, lang) for key in class_keys())]
        cells = [
            [name, *(show_area(value, "ha", lang) for value in row)] for name, row in zip(names, matrix, strict=True)
        ]
        report.table(report.text("t_matrix"), ["", *names], cells)
    blocks = evidence.get("accuracy", ())
    for block in blocks:
        _write_accuracy(report, block)
    if not blocks:
        report.paragraph(report.text("no_accuracy"))
    report.paragraph(report.text("estimates"))
    report.figures(figures, SCENE_FIGURES)


def _write_classes(report: ReportDocument, evidence: Mapping[str, Any]) -> None:
    """All classes in mu, then the kind and range of each figure."""
    lang = report.lang
    columns = area_columns(report, evidence)
    rows = [
        [class_name(key, lang), *(show_area(value_of(areas.get(key)), "mu", lang) for _, areas in columns)]
        for key in class_keys()
    ]
    report.table(report.text("t_classes"), [report.text("class"), *(name for name, _ in columns)], rows)
    for name, areas in columns[:2]:
        ranges = [[class_name(key, lang), *area_cells(areas.get(key), lang)] for key in class_keys()]
        header = [report.text(key) for key in ("class", "mu", "ha", "km2", "certainty")]
        report.table(report.text("t_range", name), header, ranges)


def _write_accuracy(report: ReportDocument, block: Mapping[str, Any]) -> None:
    lang = report.lang
    names = [class_name(key, lang) for key in block.get("classes", ())]
    users, producers, f1 = (list(block.get(key, ())) for key in ("users", "producers", "f1"))
    rows = []
    for index, (name, counts) in enumerate(zip(names, block.get("matrix", ()), strict=True)):
        shares = [show_percent(part[index] if part else None, lang) for part in (users, producers, f1)]
        rows.append([name, *(f"{count:g}" for count in counts), *shares])
    header = ["", *names, report.text("users"), report.text("producers"), report.text("f1")]
    date, method = block.get("date", ""), show(block.get("method"), lang)
    report.table(report.text("t_accuracy", date, method, show(block.get("n"), lang)), header, rows)
    ends = block.get("overall_ci95")
    interval = report.text("ci_words", *(show_percent(end, lang) for end in ends)) if ends else ""
    overall, kappa = show_percent(block.get("overall"), lang), show_number(block.get("kappa"), 3, lang)
    report.paragraph(report.text("accuracy_line", overall, interval, kappa))


def _scene_cells(scene: Mapping[str, Any], lang: str) -> list[str]:
    sensor = " ".join(str(part) for part in (scene.get("sensor"), scene.get("level")) if part)
    cloud = scene.get("cloud_percent")
    return [
        show(scene.get("id"), lang),
        show(sensor, lang),
        show(scene.get("date"), lang),
        show_percent(cloud / 100 if is_number(cloud) else None, lang),
        show_percent(scene.get("clear_share"), lang),
        show(scene.get("mask_source"), lang),
    ]
