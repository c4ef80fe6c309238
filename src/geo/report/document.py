"""The parts of a Word report: headings, numbered tables and figures, Chinese fonts, the same bytes each time.

Fonts are named, not embedded: 宋体 and 黑体 stand on every Chinese Windows; Word takes another Chinese font elsewhere.
"""

import io
import math
import re
import zipfile
from collections.abc import Mapping, Sequence
from datetime import datetime
from numbers import Real
from pathlib import Path
from typing import Any, TypeGuard

from docx import Document
from docx.enum.section import WD_ORIENT
from docx.enum.text import WD_ALIGN_PARAGRAPH
from docx.oxml import OxmlElement
from docx.oxml.ns import qn
from docx.shared import Cm, Pt, RGBColor
from docx.text.paragraph import Paragraph
from docx.text.run import Run

from src.constants import LAND_CLASS_NAMES, LAND_CLASSES
from src.geo.areas import convert_area
from src.geo.raster import atomic_path
from src.geo.report.text import TEXT

_BODY, _HEADING, _LATIN = "宋体", "黑体", "Times New Roman"
# Decimals printed per unit: about one Sentinel-2 pixel (100 m2) or less; no thousand separators, as local reports have.
_DECIMALS = {"mu": 2, "ha": 2, "km2": 4, "m2": 0}
_FIXED_TIME = datetime(2000, 1, 1)
_ZIP_TIME = (1980, 1, 1, 0, 0, 0)
_WIDTH_CM = 16.0
_CELL_MARGIN_CM = 0.5
# XML cannot hold these; they occur in attribute tables.
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")
# What a line is not broken in: Latin words, single Chinese characters.
_WORD = re.compile(r"[^\s\u2e80-\uffff]+|[\u2e80-\uffff]")


class ReportDocument:
    """A report being written, from top to bottom.

    Args:
        lang: "zh" or "en".
        title: of the document.
        footer: line at the foot of each page.
    """

    def __init__(self, lang: str, title: str, footer: str) -> None:
        self.lang = lang
        self._doc = Document()
        self._tables = self._figures = 0
        section = self._doc.sections[0]
        section.orientation, section.page_width, section.page_height = WD_ORIENT.PORTRAIT, Cm(21.0), Cm(29.7)
        section.left_margin = section.right_margin = section.top_margin = section.bottom_margin = Cm(2.5)
        for fonts in self._doc.styles.element.iter(qn("w:rFonts")):
            _name_fonts(fonts, False)
        for style in self._doc.styles:
            if _is_heading(style.name):
                _name_fonts(style.element.get_or_add_rPr().get_or_add_rFonts(), True)
                # The default template has them in blue.
                style.font.color.rgb = RGBColor(0, 0, 0)
        self._doc.styles["Normal"].font.size = Pt(10.5)
        heading = self._doc.add_heading(title, level=0)
        heading.alignment = WD_ALIGN_PARAGRAPH.CENTER
        line = section.footer.paragraphs[0]
        line.alignment = WD_ALIGN_PARAGRAPH.CENTER
        line.add_run(footer + "    ").font.size = Pt(8)
        _add_page_number(line)
        properties = self._doc.core_properties
        properties.title, properties.author, properties.comments, properties.last_modified_by = title, "", "", ""
        properties.created = properties.modified = _FIXED_TIME

    def text(self, key: str, *values: object) -> str:
        """A text of the table in the report's language, filled in."""
        return TEXT[key][self.lang].format(*values)

    def heading(self, text: str, level: int = 1) -> None:
        """A heading; level 1 is a chapter."""
        self._doc.add_heading(text, level=level)

    def paragraph(self, text: str, *, bold: bool = False, style: str | None = None) -> None:
        """A paragraph; style such as "List Bullet"."""
        self._doc.add_paragraph(style=style).add_run(text).bold = bold

    def table(self, title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """A numbered table whose header row repeats on each page."""
        self._tables += 1
        self._caption(self.text("table", self._tables, title), keep_next=True)
        self._grid([list(header), *rows], header=True)

    def fields(self, pairs: Sequence[tuple[str, str]]) -> None:
        """Names and values, two pairs a row, without caption."""
        cells = [cell for pair in pairs for cell in pair]
        cells += [""] * (-len(cells) % 4)
        self._grid([cells[i : i + 4] for i in range(0, len(cells), 4)], header=False)

    def pictures(self, paths: Sequence[Path], title: str) -> None:
        """One or more pictures side by side with a numbered caption below."""
        self._figures += 1
        cells = self._doc.add_table(1, len(paths)).rows[0].cells
        for cell, path in zip(cells, paths, strict=True):
            line = cell.paragraphs[0]
            line.alignment = WD_ALIGN_PARAGRAPH.CENTER
            line.paragraph_format.keep_with_next = True
            # A cell has a margin of 0.19 cm on each side.
            line.add_run().add_picture(str(path), width=Cm(_WIDTH_CM / len(paths) - 0.4))
        self._caption(self.text("figure", self._figures, title), keep_next=False)

    def figures(self, figures: Mapping[str, Path], keys: Sequence[str]) -> None:
        """Those of the named figures that are there, one below the other; their captions are texts of the table."""
        for key in keys:
            if key in figures:
                self.pictures([figures[key]], self.text(key))

    def page_break(self) -> None:
        """What follows begins on a new page."""
        self._doc.add_page_break()

    def save(self, out: Path) -> None:
        """Write the file in one step, with fixed times, so that equal content gives equal bytes."""
        # Every run names its Chinese font itself: some viewers ignore the styles' one.
        for part in (self._doc.element.body, self._doc.sections[0].footer._element):
            for run in part.iter(qn("w:r")):
                parent = run.getparent()
                _name_fonts(
                    run.get_or_add_rPr().get_or_add_rFonts(),
                    parent.tag == qn("w:p") and _is_heading(parent.style or ""),
                )
        stored = io.BytesIO()
        self._doc.save(stored)
        with zipfile.ZipFile(stored) as source, atomic_path(out) as partial:
            with zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED) as sink:
                for entry in source.infolist():
                    fixed = zipfile.ZipInfo(entry.filename, _ZIP_TIME)
                    fixed.compress_type = zipfile.ZIP_DEFLATED
                    sink.writestr(fixed, source.read(entry))

    def _caption(self, text: str, *, keep_next: bool) -> None:
        line = self._doc.add_paragraph()
        line.alignment = WD_ALIGN_PARAGRAPH.CENTER
        line.paragraph_format.keep_with_next = keep_next
        run = line.add_run(text)
        run.font.size, run.bold = Pt(9), True

    def _grid(self, rows: Sequence[Sequence[str]], *, header: bool) -> None:
        table = self._doc.add_table(len(rows), len(rows[0]), style="Table Grid")
        table.autofit = False
        size = Pt(9 if len(rows[0]) <= 7 else 7.5)
        widths = _column_widths(rows, size.pt)
        for column, width in zip(table.columns, widths, strict=True):
            column.width = Cm(width)
        for index, (row, values) in enumerate(zip(table.rows, rows, strict=True)):
            for cell, value, width in zip(row.cells, values, widths, strict=True):
                cell.width = Cm(width)
                run = cell.paragraphs[0].add_run(value)
                run.font.size, run.bold = size, header and index == 0
                cell.paragraphs[0].paragraph_format.space_after = Pt(1)
                if header and index == 0:
                    cell._tc.get_or_add_tcPr().append(_shading())
            row._tr.get_or_add_trPr().append(OxmlElement("w:cantSplit"))
        if header:
            table.rows[0]._tr.get_or_add_trPr().append(OxmlElement("w:tblHeader"))
        self._doc.add_paragraph().paragraph_format.space_after = Pt(2)


def is_number(value: object) -> TypeGuard[float]:
    """Whether a value is there and finite."""
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)


def show_number(value: Any, decimals: int, lang: str) -> str:
    """A number with so many decimals, or the words for what is missing."""
    if not is_number(value):
        return TEXT["missing"][lang]
    return f"{round(float(value), decimals) + 0.0:.{decimals}f}"


def show_area(value_m2: Any, unit: str, lang: str) -> str:
    """Square metres in a unit, without its name, rounded as reports have it: mu and ha 2 decimals, km2 4."""
    return show_number(convert_area(value_m2, unit) if is_number(value_m2) else None, _DECIMALS[unit], lang)


def show_percent(share: Any, lang: str, decimals: int = 1) -> str:
    """A share 0..1 as a percentage."""
    return show_number(100 * share, decimals, lang) + "%" if is_number(share) else TEXT["missing"][lang]


def show(value: Any, lang: str) -> str:
    """Anything as text; what is missing (None, NaN, empty) says so."""
    if value is None or value == "" or (isinstance(value, float) and math.isnan(value)):
        return TEXT["missing"][lang]
    return f"{value:.10g}" if isinstance(value, float) else _CONTROL.sub("", str(value))


def class_name(name: Any, lang: str) -> str:
    """A land class, given by its key ("cropland") or Chinese name, in the report's language; others as they are."""
    for key, names in LAND_CLASS_NAMES.items():
        if name in (key, names["zh"]):
            return names[lang]
    return show(name, lang)


def class_keys() -> tuple[str, ...]:
    """Names of LAND_CLASSES in the order of their ids."""
    return tuple(LAND_CLASSES.values())


def certainty(area: Mapping[str, Any] | None, lang: str, *, short: bool = False) -> str:
    """How an area was found and between which values (mu) it lies; ``short`` puts the value before it."""
    if not area or not is_number(area.get("value_m2")):
        return TEXT["missing"][lang]
    prefix, value = ("short_", [show_area(area["value_m2"], "mu", lang)]) if short else ("", [])
    for key in ("ci95", "bounds"):
        ends = area.get(key)
        if ends is not None:
            low, high = (show_area(end, "mu", lang) for end in ends)
            count = [show(area.get("n_samples"), lang)] if key == "ci95" else []
            return TEXT[prefix + key][lang].format(*value, low, high, *count)
    return TEXT[prefix + "no_bounds"][lang].format(*value)


def area_cells(area: Mapping[str, Any] | None, lang: str) -> list[str]:
    """mu, ha, km2 and the certainty of an area, as cells of a table."""
    value = (area or {}).get("value_m2")
    return [*(show_area(value, unit, lang) for unit in ("mu", "ha", "km2")), certainty(area, lang)]


def _column_widths(rows: Sequence[Sequence[str]], size_pt: float) -> list[float]:
    """Centimetres per column that fill the page: room for the longest word of each, the rest by the longest text."""
    letter_cm = 0.55 * size_pt * 2.54 / 72
    least, wanted = [], []
    for column in zip(*rows, strict=True):
        words = [word for text in column for word in _WORD.findall(text)]
        least.append(letter_cm * max(2, *map(_letters, words), 0) + _CELL_MARGIN_CM)
        wanted.append(min(7.0, letter_cm * max(map(_letters, column)) + _CELL_MARGIN_CM))
    extra = [max(0.0, more - less) for more, less in zip(wanted, least, strict=True)]
    spare = _WIDTH_CM - sum(least)
    if spare > 0 and sum(extra) > 0:
        least = [less + more * min(1.0, spare / sum(extra)) for less, more in zip(least, extra, strict=True)]
    return [_WIDTH_CM * width / sum(least) for width in least]


def _letters(text: str) -> int:
    """Length in Latin letters; a Chinese character counts two."""
    return sum(1 if ord(letter) < 0x2E80 else 2 for letter in text)


def _shading() -> Any:
    shading = OxmlElement("w:shd")
    for name, value in (("val", "clear"), ("color", "auto"), ("fill", "E7E6E6")):
        shading.set(qn(f"w:{name}"), value)
    return shading


def _is_heading(style: str) -> bool:
    return style.startswith("Heading") or style == "Title"


def area_columns(report: ReportDocument, evidence: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """Names and areas by class: before, after, gain, loss, net."""
    before, after = dates_of(evidence, report.lang)
    return [
        (report.text("before", before), evidence.get("areas_before", {})),
        (report.text("after", after), evidence.get("areas_after", {})),
        (report.text("gain"), evidence.get("gain", {})),
        (report.text("loss"), evidence.get("loss", {})),
        (report.text("net"), evidence.get("net", {})),
    ]


def value_of(area: Mapping[str, Any] | None) -> float | None:
    """Square metres of an area, None where it has none."""
    value = (area or {}).get("value_m2")
    return float(value) if is_number(value) else None


def dates_of(evidence: Mapping[str, Any], lang: str) -> tuple[str, str]:
    """Both acquisition dates, or the words for what is missing."""
    resolved = evidence.get("resolved", {})
    return show(resolved.get("t1"), lang), show(resolved.get("t2"), lang)


def _name_fonts(fonts: Any, heading: bool) -> None:
    """Set the Latin and the Chinese font of a w:rFonts; theme fonts would win over both."""
    for kind in ("asciiTheme", "hAnsiTheme", "eastAsiaTheme", "cstheme"):
        fonts.attrib.pop(qn(f"w:{kind}"), None)
    fonts.set(qn("w:ascii"), _LATIN)
    fonts.set(qn("w:hAnsi"), _LATIN)
    fonts.set(qn("w:eastAsia"), _HEADING if heading else _BODY)


def _add_page_number(line: Paragraph) -> None:
    field = OxmlElement("w:fldSimple")
    field.set(qn("w:instr"), "PAGE")
    run = OxmlElement("w:r")
    text = OxmlElement("w:t")
    text.text = "1"
    run.append(text)
    field.append(run)
    line._p.append(field)
    Run(run, line).font.size = Pt(8)
