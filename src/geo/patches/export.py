"""Patch tables as files that land offices open: GeoPackage, Shapefile, GeoJSON, Excel ledger and CSV.

The same records give the same bytes in every format: dates inside the files
are the second date of the records, not the day of writing. (The bytes do
depend on the versions of GDAL and openpyxl.)
"""

import csv
import re
import zipfile
from collections.abc import Callable, Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import geopandas as gpd
import pandas as pd
from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell
from openpyxl.styles import Alignment, Font, PatternFill
from openpyxl.utils import get_column_letter
from openpyxl.worksheet.datavalidation import DataValidation

from src.errors import InputError
from src.geo.patches.fields import CHECK_STATES, FALSE_CHANGE_CAUSES, FIELDS
from src.geo.raster import atomic_path
from src.geo.vector import write_vector

LAYER, ALIAS_TABLE = "patches", "field_alias"
_TEXTS = {
    "sheet": {"zh": "疑似变化图斑台账", "en": "Suspected change patches"},
    "fields": {"zh": "字段说明", "en": "Fields"},
    "chip": {"zh": "图片", "en": "Chip"},
    "open": {"zh": "查看", "en": "open"},
    "business": {"zh": "疑似变化图斑", "en": "suspected_change"},
    "all": {"zh": "全部", "en": "all"},
}
_NO_DATE = "1980-01-01"
# The earliest moment that a zip archive can name.
_ZIP_MOMENT = (1980, 1, 1, 0, 0, 0)
_WIDEST = 60
# Columns whose digits are no numbers.
_CODES = ("TBBH", "XZQDM", "QDLBM", "HDLBM", "BHLX", "EVID")
_DBF_TEXT = 254
# A spreadsheet takes a text that begins so for a formula; names come from files of others.
_FORMULA_START = ("=", "+", "-", "@", "\t", "\r")


def export_name(
    county_code: str, county_name: str, before_date: str, after_date: str, *, version: int = 1, lang: str = "zh"
) -> str:
    """File name without suffix, such as ``510723盐亭县_疑似变化图斑_20231102_20241028_全部_v1``.

    Characters that no file name may hold become "_".
    """
    dates = "_".join(date.replace("-", "") for date in (before_date, after_date))
    parts = [f"{county_code}{county_name}", _TEXTS["business"][lang], dates, _TEXTS["all"][lang], f"v{version}"]
    return re.sub(r"[\x00-\x1f/\\:*?\"<>|]", "_", "_".join(part for part in parts if part))


def write_patches(
    records: gpd.GeoDataFrame,
    folder: Path,
    stem: str = "patches",
    formats: Sequence[str] = ("gpkg", "shp", "geojson", "xlsx", "csv"),
    *,
    chips: Mapping[str, str] | None = None,
    lang: str = "zh",
) -> dict[str, Path]:
    """Write the records in the formats asked for, each in one step.

    Args:
        records: from ``patch_records``; may be empty.
        folder: made where missing.
        stem: file name without suffix.
        formats: among gpkg (with a table of Chinese and English field names), shp, geojson, xlsx and csv.
        chips: picture of a patch by TBBH, as a path relative to ``folder``; linked from the ledger.
        lang: "zh" or "en", of headings in the ledger.

    Returns:
        Path by format.

    Raises:
        InputError: an unknown format, or records without the columns of FIELDS.
    """
    unknown = [name for name in formats if name not in WRITERS]
    if unknown:
        raise InputError(f"unknown format {unknown[0]!r}; expected one of {', '.join(WRITERS)}")
    missing = [field.name for field in FIELDS if field.name not in records.columns]
    if missing:
        raise InputError(f"the records lack {', '.join(missing[:5])}; they come from patch_records")
    written = {}
    for name in formats:
        written[name] = folder / f"{stem}.{name}"
        WRITERS[name](written[name], records, chips or {}, lang)
    return written


def _date_of(records: gpd.GeoDataFrame) -> str:
    return str(records["HSX"].iloc[0]) if len(records) else _NO_DATE


def _write_gpkg(path: Path, records: gpd.GeoDataFrame, chips: Mapping[str, str], lang: str) -> None:
    alias = pd.DataFrame([{"name": field.name, "alias_zh": field.zh, "alias_en": field.en} for field in FIELDS])
    write_vector(path, records, layer=LAYER, tables={ALIAS_TABLE: alias}, date=_date_of(records))


def _write_shp(path: Path, records: gpd.GeoDataFrame, chips: Mapping[str, str], lang: str) -> None:
    """Texts are cut to the 254 bytes that a DBF file holds; the GeoPackage has them whole."""
    short = records.copy()
    for field in FIELDS:
        if field.kind == "text":
            cut = [str(text).encode()[:_DBF_TEXT].decode(errors="ignore") for text in records[field.name]]
            short[field.name] = pd.Series(cut, index=records.index, dtype="str")
    write_vector(path, short, date=_date_of(records))


def _write_geojson(path: Path, records: gpd.GeoDataFrame, chips: Mapping[str, str], lang: str) -> None:
    write_vector(path, records, layer=LAYER, date=_date_of(records))


def _write_csv(path: Path, records: gpd.GeoDataFrame, chips: Mapping[str, str], lang: str) -> None:
    """Field names as header, UTF-8 with a byte order mark, so that spreadsheets show Chinese."""
    with atomic_path(path) as partial, partial.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file, lineterminator="\r\n")
        writer.writerow([field.name for field in FIELDS])
        for row in _rows(records):
            writer.writerow([_harmless(value) for value in row])


def _harmless(value: Any) -> Any:
    """A text that a spreadsheet would run as a formula, behind an apostrophe."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA_START) else value


def _rows(records: gpd.GeoDataFrame) -> list[tuple[Any, ...]]:
    """Values in the order of FIELDS; what is missing is None."""
    columns = []
    for field in FIELDS:
        values = records[field.name].tolist()
        columns.append([None if value is None or value != value else value for value in values])
    return list(zip(*columns, strict=True))


def _write_xlsx(path: Path, records: gpd.GeoDataFrame, chips: Mapping[str, str], lang: str) -> None:
    """Ledger with a frozen header, codes as text, lists for what people fill in, and a sheet that explains fields."""
    book = Workbook(write_only=True)
    sheet = book.create_sheet(_TEXTS["sheet"][lang])
    heads = [getattr(field, lang) for field in FIELDS] + ([_TEXTS["chip"][lang]] if chips else [])
    rows = _rows(records)
    sheet.freeze_panes = "B2"
    for index, head in enumerate(heads):
        width = _width([head, *(row[index] for row in rows[:200] if index < len(row))])
        sheet.column_dimensions[get_column_letter(index + 1)].width = width
    sheet.auto_filter.ref = f"A1:{get_column_letter(len(heads))}{len(rows) + 1}"
    for name, choices in (("HCZT", CHECK_STATES), ("WBHYY", FALSE_CHANGE_CAUSES)):
        letter = get_column_letter([field.name for field in FIELDS].index(name) + 1)
        choice = DataValidation(type="list", formula1=f'"{",".join(choices)}"', allow_blank=True)
        choice.add(f"{letter}2:{letter}{max(len(rows), 1) + 1}")
        sheet.data_validations.append(choice)
    sheet.append([_head_cell(sheet, head) for head in heads])
    codes = [field.name in _CODES for field in FIELDS]
    for row in rows:
        cells = [_cell(sheet, value, code) for value, code in zip(row, codes, strict=True)]
        if chips:
            cells.append(_link_cell(sheet, chips.get(str(row[0]), ""), lang))
        sheet.append(cells)
    explained = book.create_sheet(_TEXTS["fields"][lang])
    for field in FIELDS:
        explained.append([field.name, field.zh, field.en])
    buffer = BytesIO()
    book.save(buffer)
    with atomic_path(path) as partial:
        partial.write_bytes(_without_clock(buffer.getvalue(), _date_of(records)))


def _head_cell(sheet: Any, text: str) -> WriteOnlyCell:
    cell = WriteOnlyCell(sheet, value=text)
    cell.font, cell.fill = Font(bold=True), PatternFill("solid", fgColor="DDE6F0")
    cell.alignment = Alignment(wrap_text=True, vertical="center")
    return cell


def _cell(sheet: Any, value: Any, code: bool) -> Any:
    """A code stays text for good, so leading zeros survive; a text that begins with "=" is no formula."""
    if value == "":
        return None
    if not isinstance(value, str) or not (code or value.startswith("=")):
        return value
    cell = WriteOnlyCell(sheet, value=value)
    cell.data_type = "s"
    if code:
        cell.number_format = "@"
    return cell


def _link_cell(sheet: Any, target: str, lang: str) -> Any:
    if not target:
        return None
    cell = WriteOnlyCell(sheet, value=_TEXTS["open"][lang])
    cell.hyperlink = target
    cell.style = "Hyperlink"
    return cell


def _width(values: Sequence[Any]) -> float:
    """Column width in characters; a Chinese one takes two."""
    longest = max(sum(2 if ord(letter) > 0x2E7F else 1 for letter in str(value)) for value in values)
    return float(min(longest + 2, _WIDEST))


def _without_clock(archive: bytes, date: str) -> bytes:
    """The workbook with fixed times: openpyxl stamps the moment of writing into members and properties."""
    result = BytesIO()
    with zipfile.ZipFile(BytesIO(archive)) as source, zipfile.ZipFile(result, "w", zipfile.ZIP_DEFLATED) as sink:
        for name in source.namelist():
            content = source.read(name)
            if name == "docProps/core.xml":
                content = re.sub(
                    rb"(<dcterms:(created|modified)[^>]*>)[^<]*", rb"\g<1>" + f"{date}T00:00:00Z".encode(), content
                )
            info = zipfile.ZipInfo(name, _ZIP_MOMENT)
            info.compress_type = zipfile.ZIP_DEFLATED
            sink.writestr(info, content)
    return result.getvalue()


WRITERS: dict[str, Callable[[Path, gpd.GeoDataFrame, Mapping[str, str], str], None]] = {
    "gpkg": _write_gpkg,
    "shp": _write_shp,
    "geojson": _write_geojson,
    "xlsx": _write_xlsx,
    "csv": _write_csv,
}
