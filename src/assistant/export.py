"""An answer as files that land offices open: Word, Excel, GeoPackage, GeoJSON and CSV of exactly what was shown.

    export_answer(answer, workspace.outputs, ["docx", "gpkg"], folder, "zh", reviews=ReviewLog(workspace.root))

Every file carries the question, the text, the figures with unit, bounds and kind,
the scenes, the caveats, the query, the id of the evidence, and the patches that
the answer listed, in its order, with all fields of their record and the state
that people gave them. What a model said of a picture is never written.
"""

import csv
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import geopandas as gpd
import pandas as pd
from openpyxl import Workbook, load_workbook

from src.assistant.answer import Answer, caveat_lines, trace
from src.assistant.export_rows import (
    COLUMNS,
    HEADINGS,
    SCENE_COLUMNS,
    VALUE_COLUMNS,
    patch_parts,
    scene_parts,
    value_parts,
)
from src.assistant.forms import FORMS
from src.assistant.record import Evidence
from src.assistant.review import FIRST_STATE, Decision, ReviewLog
from src.constants import LAND_CLASS_NAMES
from src.errors import InputError, MissingPathError
from src.geo.patches.export import ALIAS_TABLE, LAYER, export_name, write_patches
from src.geo.patches.fields import CHANGE_TYPES, FIELDS
from src.geo.raster import atomic_path
from src.geo.report.document import ReportDocument
from src.geo.vector import read_vector, write_vector
from src.geo.workspace import open_workspace
from src.geo.zones import CGCS2000

FORMATS = ("docx", "xlsx", "gpkg", "geojson", "csv")
_FORMULA_START = ("=", "+", "-", "@", "\t", "\r")
_FORBIDDEN = re.compile(r"[\x00-\x1f/\\:*?\"<>|\s]")


@dataclass(frozen=True)
class _Content:
    """What goes into every format.

    Args:
        answer: as shown.
        evidence: behind it.
        lang: of headings.
        about: (heading, text) pairs: question, text, caveats, query, ids.
        patches: full records in the answer's order; None where the answer lists none.
    """

    answer: Answer
    evidence: Evidence
    lang: str
    about: tuple[tuple[str, str], ...]
    patches: gpd.GeoDataFrame | None

    @property
    def records(self) -> gpd.GeoDataFrame:
        """The patches, an empty table where there are none."""
        return _frame([], []) if self.patches is None else self.patches


def export_answer(
    answer: Answer,
    county_outputs: Path,
    formats: Sequence[str],
    out: Path,
    lang: str = "zh",
    reviews: ReviewLog | None = None,
) -> dict[str, Path]:
    """Write an answer in the formats asked for.

    Args:
        answer: as it was shown.
        county_outputs: ``Workspace.outputs`` of the workspace that it was measured on.
        formats: among FORMATS.
        out: folder, made where missing; a name that is taken gets the next version.
        lang: "zh" or "en", of headings; the text stays as it was shown.
        reviews: what people decided about patches.

    Returns:
        Path by format.

    Raises:
        InputError: an unknown format, an impression, or patches whose records are gone.
    """
    unknown = [name for name in formats if name not in _WRITERS]
    if unknown or not formats:
        raise InputError(f"format {', '.join(unknown) or 'none'}: expected some of {', '.join(FORMATS)}")
    if answer.evidence is None or answer.source == "impression":
        raise InputError("this answer is a model's impression, not a measurement; only measured answers are exported")
    evidence = answer.evidence.model_copy(update={"query": answer.evidence.query.model_copy(update={"lang": lang})})
    decisions = reviews.latest() if reviews is not None else {}
    content = _Content(
        answer, evidence, lang, _about(answer, evidence, lang), _records(answer.evidence, county_outputs, decisions)
    )
    out.mkdir(parents=True, exist_ok=True)
    stem = _stem(content, county_outputs.parent, out)
    written = {}
    for name in formats:
        written[name] = out / f"{stem}.{name}"
        _WRITERS[name](written[name], content)
    return written


def _about(answer: Answer, evidence: Evidence, lang: str) -> tuple[tuple[str, str], ...]:
    assert answer.evidence is not None
    pairs = [
        (HEADINGS["question"][lang], answer.question),
        (HEADINGS["answer"][lang], answer.text),
        (HEADINGS["caveats"][lang], "\n".join(caveat_lines(evidence))),
        (HEADINGS["query"][lang], json.dumps(answer.evidence.query.to_json(), ensure_ascii=False)),
    ]
    # The figures and scenes of the trace have tables of their own; ids are those of what was shown.
    shown = {text for _, text in pairs}
    pairs += [(label, text) for label, text in trace(evidence) if text not in shown and text != evidence.id]
    return (*pairs, (HEADINGS["evidence_id"][lang], answer.evidence.id))


def _stem(content: _Content, root: Path, out: Path) -> str:
    """File name by the rule of the patch tables: county, business, dates, version."""
    workspace = open_workspace(root)
    dates = sorted({scene.date for scene in content.evidence.scenes if scene.used})
    first, last = (dates[0], dates[-1]) if dates else ("", "")
    version = 1
    while True:
        if content.patches is not None:
            stem = export_name(workspace.code, workspace.name, first, last, version=version, lang=content.lang)
        else:
            title = FORMS[content.evidence.query.metric].title[content.lang]
            parts = [f"{workspace.code}{workspace.name}", title, *(day.replace("-", "") for day in (first, last))]
            stem = _FORBIDDEN.sub("_", "_".join([*(part for part in parts if part), f"v{version}"]))
        if not any(out.glob(f"{glob_free(stem)}.*")):
            return stem
        version += 1


def glob_free(text: str) -> str:
    """A name in which brackets, too, mean themselves to ``Path.glob``."""
    return re.sub(r"([\[\]*?])", r"[\1]", text)


def _records(evidence: Evidence, outputs: Path, decisions: dict[str, Decision]) -> gpd.GeoDataFrame | None:
    """Records of the listed patches in their order, with states, and the id of the evidence."""
    if not evidence.patches:
        return None
    ids = [row.id for row in evidence.patches]
    records = _from_survey(outputs, evidence.survey, ids) if evidence.survey else _from_rows(evidence)
    records["EVID"] = evidence.id
    shown = {row.id: row.status for row in evidence.patches}
    for index, number in enumerate(ids):
        decision = decisions.get(number)
        state = decision.new if decision else shown[number] or FIRST_STATE
        values = {"HCZT": state}
        if decision:
            values |= {"HCR": decision.user, "HCRQ": decision.time[:10], "WBHYY": decision.reason}
            values["HCJG"] = decision.note
        for field, value in values.items():
            records.iat[index, records.columns.get_loc(field)] = value
    return records


def _from_survey(outputs: Path, survey: str, ids: Sequence[str]) -> gpd.GeoDataFrame:
    folder = (outputs / survey).resolve()
    if folder.parent != outputs.resolve():
        raise InputError(f"{survey!r} is no survey of this workspace")
    try:
        records = read_vector(folder / "patches.gpkg", LAYER)
    except MissingPathError as error:
        raise InputError("the measurement behind this answer is gone; ask the question again") from error
    found = records.drop_duplicates("TBBH").set_index("TBBH", drop=False)
    missing = [number for number in ids if number not in found.index]
    if missing:
        raise InputError(f"patch {missing[0]} is not in the measurement any more; ask the question again")
    chosen = found.loc[list(ids)].reset_index(drop=True)
    return _frame(chosen.drop(columns="geometry").to_dict("records"), list(chosen.geometry))


def _from_rows(evidence: Evidence) -> gpd.GeoDataFrame:
    """Patches that rest on no one survey, such as those of a series: points with what the answer says of them."""
    rows = [
        {
            "TBBH": row.id,
            "JD": row.lon,
            "WD": row.lat,
            "XZMC": row.town,
            "MJ_M2": row.area_m2,
            "MJ_MIN": row.bounds[0],
            "MJ_MAX": row.bounds[1],
            "QSX": row.t1,
            "HSX": row.t2,
            "QDL": LAND_CLASS_NAMES[row.from_cls]["zh"] if row.from_cls else "",
            "HDL": LAND_CLASS_NAMES[row.to_cls]["zh"] if row.to_cls else "",
            "BHLX": row.kind,
            "BHLXMC": CHANGE_TYPES[row.kind]["zh"],
            "GRADE": row.grade,
            "GRADE_N": row.confidence,
        }
        for row in evidence.patches
    ]
    points = gpd.points_from_xy([row.lon for row in evidence.patches], [row.lat for row in evidence.patches])
    return _frame(rows, list(points))


def _frame(rows: list[dict[str, Any]], shapes: list[Any]) -> gpd.GeoDataFrame:
    """All fields in order and typed; what a row lacks is blank."""
    columns = {}
    for field in FIELDS:
        blank = "" if field.kind == "text" else None
        values = [row.get(field.name, blank) for row in rows]
        if field.kind == "text":
            values = ["" if value is None or value != value else str(value) for value in values]
        column = pd.Series(values, dtype="str" if field.kind == "text" else "float64")
        # Whole numbers stay floats where one is missing.
        whole = field.kind == "int" and bool(column.notna().all())
        columns[field.name] = column.astype("int64") if whole else column
    return gpd.GeoDataFrame(columns, geometry=gpd.GeoSeries(shapes, crs=CGCS2000), crs=CGCS2000)


def _write_docx(path: Path, content: _Content) -> None:
    lang = content.lang
    say = {key: words[lang] for key, words in HEADINGS.items()}
    report = ReportDocument(lang, say["title"], f"{say['evidence_id']} {content.answer.evidence.id[:16]}")  # type: ignore[union-attr]
    report.heading(content.answer.question)
    for line in content.answer.text.splitlines():
        report.paragraph(line)
    values = value_parts(content.evidence, lang)
    if values:
        columns = [HEADINGS[name][lang] for name in VALUE_COLUMNS]
        report.table(say["values"], columns, [[str(row.get(name, "")) for name in VALUE_COLUMNS] for row in values])
    if content.patches is not None:
        shown = ("name", "text", "from", "to", "type", "grade", "lon", "lat", "status")
        rows = [[str(row.get(name, "")) for name in shown] for row in patch_parts(content.evidence, content.patches)]
        report.table(say["patches"], [HEADINGS[name][lang] for name in shown], rows)
    if content.evidence.scenes:
        rows = [[str(row[name]) for name in SCENE_COLUMNS] for row in scene_parts(content.evidence, lang)]
        report.table(say["scenes"], [HEADINGS[name][lang] for name in SCENE_COLUMNS], rows)
    report.heading(say["basis"])
    for label, text in content.about[2:]:
        if text:
            report.heading(label, level=2)
            for line in text.splitlines():
                report.paragraph(line)
    report.save(path)


def _write_xlsx(path: Path, content: _Content) -> None:
    """The ledger of patches where there are some, with sheets for the answer, its figures and scenes before it."""
    if content.patches is not None:
        write_patches(content.patches, path.parent, path.stem, ("xlsx",), lang=content.lang)
        book = load_workbook(path)
    else:
        book = Workbook()
        book.remove(book.worksheets[0])
    lang = content.lang
    sheets: list[tuple[str, list[str], list[list[Any]]]] = [
        ("answer", [HEADINGS["item"][lang], HEADINGS["text"][lang]], [list(pair) for pair in content.about]),
        ("values", *_table(value_parts(content.evidence, lang), VALUE_COLUMNS, lang)),
        ("scenes", *_table(scene_parts(content.evidence, lang), SCENE_COLUMNS, lang)),
    ]
    for index, (name, head, rows) in enumerate(sheets):
        sheet = book.create_sheet(HEADINGS[name][lang], index)
        sheet.freeze_panes = "A2"
        for r, row in enumerate([head, *rows], 1):
            for c, value in enumerate(row, 1):
                cell = sheet.cell(r, c, value)
                if isinstance(value, str):
                    # Whatever it begins with, it is no formula.
                    cell.data_type = "s"
    book.active = 0
    with atomic_path(path) as partial:
        book.save(partial)


def _table(rows: list[dict[str, Any]], columns: Sequence[str], lang: str) -> tuple[list[str], list[list[Any]]]:
    return [HEADINGS[name][lang] for name in columns], [[row.get(name) for name in columns] for row in rows]


def _write_gpkg(path: Path, content: _Content) -> None:
    """Layer of patches, and tables of field names, the answer, its figures and scenes."""
    lang = content.lang
    tables = {
        ALIAS_TABLE: pd.DataFrame([{"name": one.name, "alias_zh": one.zh, "alias_en": one.en} for one in FIELDS]),
        "answer": pd.DataFrame(content.about, columns=["item", "text"]),
        "figures": pd.DataFrame(value_parts(content.evidence, lang), columns=list(VALUE_COLUMNS)),
        "scenes": pd.DataFrame(scene_parts(content.evidence, lang), columns=list(SCENE_COLUMNS)),
    }
    write_vector(path, content.records, layer=LAYER, tables={name: one for name, one in tables.items() if len(one)})


def _write_geojson(path: Path, content: _Content) -> None:
    """RFC 7946, with the answer, its figures and scenes as further members of the collection."""
    write_vector(path, content.records, layer=LAYER)
    collection = json.loads(path.read_text(encoding="utf-8"))
    collection |= {
        "answer": dict(content.about),
        "figures": value_parts(content.evidence, content.lang),
        "scenes": scene_parts(content.evidence, content.lang),
    }
    with atomic_path(path) as partial:
        partial.write_text(json.dumps(collection, ensure_ascii=False, allow_nan=False), encoding="utf-8")


def _write_csv(path: Path, content: _Content) -> None:
    """One table: a row per line of the answer, figure, patch and scene; the first column says which."""
    lang = content.lang
    rows = [{"part": HEADINGS["answer"][lang], "name": name, "text": text} for name, text in content.about]
    rows += [{"part": HEADINGS["values"][lang], **row} for row in value_parts(content.evidence, lang)]
    if content.patches is not None:
        patches = patch_parts(content.evidence, content.patches)
        rows += [{"part": HEADINGS["patches"][lang], **row} for row in patches]
    rows += [{"part": HEADINGS["scenes"][lang], **row} for row in scene_parts(content.evidence, lang)]
    with atomic_path(path) as partial, partial.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file, lineterminator="\r\n")
        writer.writerow([HEADINGS[name][lang] for name in COLUMNS])
        writer.writerows([[_harmless(row.get(name)) for name in COLUMNS] for row in rows])


def _harmless(value: Any) -> Any:
    """A text that a spreadsheet would run as a formula, behind an apostrophe."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA_START) else value


_WRITERS: dict[str, Callable[[Path, _Content], None]] = {
    "docx": _write_docx,
    "xlsx": _write_xlsx,
    "gpkg": _write_gpkg,
    "geojson": _write_geojson,
    "csv": _write_csv,
}
