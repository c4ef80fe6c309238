"""The workbook in which people interpret sample pixels, written and read back.

The sheet shows where each pixel lies and nothing of the map: an interpreter who knows the mapped class agrees with it
too often. Header rows are Chinese and English; answers come from drop-down lists and may be either language.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

from openpyxl import Workbook, load_workbook
from openpyxl.styles import Alignment, Font, PatternFill
from openpyxl.utils import get_column_letter
from openpyxl.utils.exceptions import InvalidFileException
from openpyxl.worksheet.datavalidation import DataValidation
from openpyxl.worksheet.worksheet import Worksheet

from src.constants import LAND_CLASS_IDS, LAND_CLASS_NAMES
from src.errors import InputError, MissingPathError
from src.geo.raster import atomic_path

# What can be sampled, and the classes that each estimate has.
KINDS: dict[str, dict[int, dict[str, str]]] = {
    "landcover": {LAND_CLASS_IDS[name]: words for name, words in LAND_CLASS_NAMES.items()},
    "change": {1: {"zh": "未变化", "en": "unchanged"}, 2: {"zh": "变化", "en": "changed"}},
    "gain_loss": {
        1: {"zh": "始终不是", "en": "never"},
        2: {"zh": "流出", "en": "loss"},
        3: {"zh": "流入", "en": "gain"},
        4: {"zh": "始终是", "en": "always"},
    },
}
_LAND, _CHANGE, _TRUST = "land", "change", "trust"
_LISTS: dict[str, dict[int, dict[str, str]]] = {
    _LAND: KINDS["landcover"],
    _CHANGE: KINDS["change"],
    _TRUST: {1: {"zh": "高", "en": "high"}, 2: {"zh": "中", "en": "medium"}, 3: {"zh": "低", "en": "low"}},
}
SHEET, _LIST_SHEET, _NOTE_SHEET = "解译 samples", "类别 classes", "说明 notes"
_ID, _HEADER_ROWS = "sample", 2
# Key, Chinese and English header, width, list of allowed answers.
_PLACE = (
    (_ID, "样本号", "sample", 9, None),
    ("lon", "经度", "lon (EPSG:4326)", 14, None),
    ("lat", "纬度", "lat (EPSG:4326)", 14, None),
    ("x", "X 坐标", "x (map)", 15, None),
    ("y", "Y 坐标", "y (map)", 15, None),
)
_ANSWERS = {
    "landcover": (("class", "判读地类", "class", 18, _LAND),),
    "change": (
        ("change", "是否变化", "changed or not", 18, _CHANGE),
        ("before", "前时相地类", "class before (optional)", 22, _LAND),
        ("after", "后时相地类", "class after (optional)", 22, _LAND),
    ),
    "gain_loss": (
        ("before", "前时相地类", "class before", 18, _LAND),
        ("after", "后时相地类", "class after", 18, _LAND),
    ),
}
_RECORD = (
    ("interpreter", "解译人", "interpreter", 12, None),
    ("image", "影像", "image and date", 24, None),
    ("trust", "置信度", "confidence", 14, _TRUST),
    ("notes", "备注", "notes", 30, None),
)
_NOTES = (
    (
        "判读对象是该像元覆盖的地面，以像元中心所在多数地类为准。",
        "Judge the ground that the pixel covers; the majority counts.",
    ),
    (
        "请用更高分辨率、日期相近的影像判读，不要参看分类图。",
        "Use finer imagery near the dates; do not look at the map.",
    ),
    (
        "无法判读的样本请留空，并在备注中说明原因；留空按缺失处理。",
        "Leave it blank where you cannot tell; it counts as missing.",
    ),
    ("请勿改动样本号和坐标，也不要增删行。", "Do not change numbers or coordinates, nor add or delete rows."),
)


@dataclass(frozen=True)
class Answers:
    """An interpreted sheet.

    Args:
        reference: class of KINDS by sample number, None where it was left blank.
        records: the remaining cells of each sample as text.
    """

    reference: dict[str, int | None]
    records: dict[str, dict[str, str]]


def write_sheet(path: Path, kind: str, points: Sequence[Mapping[str, Any]], about: Sequence[str]) -> None:
    """Write a blank sheet.

    Args:
        path: .xlsx to write.
        kind: key of KINDS.
        points: rows with "sample" (text), "lon", "lat", "x", "y".
        about: lines on the image dates and the map, for the notes.
    """
    columns = (*_PLACE, *_ANSWERS[kind], *_RECORD)
    book = Workbook()
    sheet = book.active
    assert isinstance(sheet, Worksheet)
    sheet.title = SHEET
    sheet.append([zh for _, zh, _, _, _ in columns])
    sheet.append([en for _, _, en, _, _ in columns])
    for point in points:
        sheet.append([point[key] for key, *_ in _PLACE])
    _dress(sheet, columns, len(points))
    _write_lists(book)
    notes = book.create_sheet(_NOTE_SHEET)
    for line in about:
        notes.append([line])
    for zh, en in _NOTES:
        notes.append([zh, en])
    notes.column_dimensions["A"].width = 70
    notes.column_dimensions["B"].width = 70
    with atomic_path(path) as partial:
        book.save(partial)


def read_sheet(path: Path, kind: str, expected: Sequence[str], focus: int | None = None) -> Answers:
    """Read an interpreted sheet back and check it.

    Args:
        path: the .xlsx.
        kind: key of KINDS.
        expected: sample numbers that were drawn.
        focus: land class of a gain and loss sample.

    Raises:
        MissingPathError: there is no such file.
        InputError: no workbook, another header, or rows that are wrong; all of these are named with their row number.
    """
    columns = (*_PLACE, *_ANSWERS[kind], *_RECORD)
    rows = _rows(path, columns)
    known, seen, faults = set(expected), dict[str, int](), list[str]()
    width = max(map(len, expected), default=0)
    reference: dict[str, int | None] = {}
    records: dict[str, dict[str, str]] = {}
    for number, cells in rows:
        # Spreadsheets that take the number for a number drop its zeros.
        sample = cells[_ID].zfill(width)
        if sample not in known:
            faults.append(f"row {number}: sample {sample!r} was not drawn")
            continue
        if sample in seen:
            faults.append(f"row {number}: sample {sample} stands in row {seen[sample]} already")
            continue
        seen[sample] = number
        codes: dict[str, int | None] = {}
        for key, zh, en, _, choices in (*_ANSWERS[kind], *_RECORD):
            codes[key] = _code(cells[key], choices) if choices else None
            if choices and cells[key] and codes[key] is None:
                allowed = ", ".join(f"{words['zh']} {words['en']}" for words in _LISTS[choices].values())
                faults.append(f"row {number}: {zh} {en} holds {cells[key]!r}; expected one of {allowed}")
        reference[sample] = _reference(kind, codes, focus)
        records[sample] = {key: cells[key] for key, *_ in _RECORD}
    faults += [f"sample {sample} has no row" for sample in expected if sample not in seen]
    if faults:
        raise InputError(f"{path}: {len(faults)} faults; " + "; ".join(faults[:20]))
    return Answers({sample: reference[sample] for sample in expected}, records)


def gain_loss_class(before: int, after: int, focus: int) -> int:
    """Class of KINDS["gain_loss"] for one pixel."""
    return 4 if before == after == focus else 2 if before == focus else 3 if after == focus else 1


def _dress(sheet: Worksheet, columns: Sequence[tuple[str, str, str, int, str | None]], count: int) -> None:
    last = _HEADER_ROWS + count
    sheet.freeze_panes = sheet.cell(_HEADER_ROWS + 1, 2)
    for place, (_, _, _, width, choices) in enumerate(columns, 1):
        letter = get_column_letter(place)
        sheet.column_dimensions[letter].width = width
        for row in (1, 2):
            cell = sheet.cell(row, place)
            cell.font = Font(bold=True)
            cell.fill = PatternFill("solid", fgColor="DDEBF7")
            cell.alignment = Alignment(wrap_text=True, vertical="center")
        if choices:
            at = get_column_letter(list(_LISTS).index(choices) + 1)
            rule = DataValidation(
                type="list", formula1=f"'{_LIST_SHEET}'!${at}$1:${at}${len(_LISTS[choices])}", allow_blank=True
            )
            rule.showErrorMessage = True
            rule.error, rule.errorTitle = "请从列表中选择 / choose from the list", "无效 / invalid"
            sheet.add_data_validation(rule)
            rule.add(f"{letter}{_HEADER_ROWS + 1}:{letter}{last}")
    for row in range(_HEADER_ROWS + 1, last + 1):
        # Text, so that leading zeros survive.
        sheet.cell(row, 1).number_format = "@"


def _write_lists(book: Workbook) -> None:
    lists = book.create_sheet(_LIST_SHEET)
    for column, words in enumerate(_LISTS.values(), 1):
        for row, word in enumerate(words.values(), 1):
            lists.cell(row, column, f"{word['zh']} {word['en']}")
        lists.column_dimensions[get_column_letter(column)].width = 24


def _rows(path: Path, columns: Sequence[tuple[str, str, str, int, str | None]]) -> list[tuple[int, dict[str, str]]]:
    """Rows that are not blank, by their number in the sheet, as text by column key."""
    if not path.is_file():
        raise MissingPathError(f"{path}: no such file")
    try:
        book = load_workbook(path, read_only=True, data_only=True)
    except (InvalidFileException, BadZipFile, KeyError, ValueError) as error:
        raise InputError(f"{path}: is no Excel workbook (.xlsx), or is damaged ({error})") from error
    if SHEET not in book.sheetnames:
        raise InputError(f"{path}: has no sheet {SHEET!r}; it holds {', '.join(book.sheetnames)}")
    lines = list(book[SHEET].iter_rows(values_only=True))
    book.close()
    header = [str(value) for value in lines[0][: len(columns)]] if lines else []
    if header != [zh for _, zh, _, _, _ in columns]:
        raise InputError(
            f"{path}: its columns are {', '.join(header)}; expected {', '.join(zh for _, zh, _, _, _ in columns)}"
        )
    rows = []
    for number, line in enumerate(lines[_HEADER_ROWS:], _HEADER_ROWS + 1):
        cells = {key: _text(value) for (key, *_), value in zip(columns, line, strict=False)}
        if any(cells.values()):
            rows.append((number, {key: cells.get(key, "") for key, *_ in columns}))
    return rows


def _text(value: object) -> str:
    return "" if value is None else str(value).strip()


def _code(text: str, choices: str) -> int | None:
    """Code of an answer in either language or both; None where it is blank or unknown."""
    for code, words in _LISTS[choices].items():
        if text.lower() in (words["zh"], words["en"], f"{words['zh']} {words['en']}"):
            return code
    return None


def _reference(kind: str, codes: Mapping[str, int | None], focus: int | None) -> int | None:
    if kind != "gain_loss":
        return codes["class" if kind == "landcover" else "change"]
    before, after = codes["before"], codes["after"]
    if before is None or after is None:
        return None
    assert focus is not None
    return gain_loss_class(before, after, focus)
