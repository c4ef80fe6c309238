import pytest
from openpyxl import Workbook, load_workbook

from src.errors import InputError, MissingPathError
from src.geo.estimates.sheet import KINDS, SHEET, gain_loss_class, read_sheet, write_sheet

POINTS = [
    {"sample": f"{i:04d}", "lon": 106.0 + i, "lat": 30.0, "x": 6e5 + i, "y": 3.3e6, "mapped": 2, "stratum": 102}
    for i in (1, 2, 3)
]
NUMBERS = ["0001", "0002", "0003"]


def fill(path, cells):
    book = load_workbook(path)
    for place, value in cells.items():
        book[SHEET][place] = value
    book.save(path)


@pytest.fixture
def sheet(tmp_path):
    path = tmp_path / "sheet.xlsx"
    write_sheet(path, "change", POINTS, ["地图 map: change.tif"])
    return path


def test_the_sheet_is_ready_to_fill_in_and_blind(sheet):
    book = load_workbook(sheet)
    page = book[SHEET]
    assert page.freeze_panes == "B3"
    head = [
        "样本号",
        "经度",
        "纬度",
        "X 坐标",
        "Y 坐标",
        "是否变化",
        "前时相地类",
        "后时相地类",
        "解译人",
        "影像",
        "置信度",
        "备注",
    ]
    assert [cell.value for cell in page[1]] == head
    assert [cell.value for cell in page[2]][:3] == ["sample", "lon (EPSG:4326)", "lat (EPSG:4326)"]
    assert [cell.value for cell in page[3]][:5] == ["0001", 107.0, 30.0, 600001.0, 3300000.0]
    assert page["A3"].number_format == "@"
    rules = {str(rule.sqref): rule.formula1 for rule in page.data_validations.dataValidation}
    assert set(rules) == {"F3:F5", "G3:G5", "H3:H5", "K3:K5"}
    assert rules["F3:F5"] == "'类别 classes'!$B$1:$B$2"
    assert [cell.value for cell in book["类别 classes"]["B"]][:2] == ["未变化 unchanged", "变化 changed"]
    # Nothing of the map class or stratum anywhere in the sheet of samples.
    assert not any(cell.value in (2, 102, "变化") for row in page.iter_rows(min_row=3) for cell in row)


@pytest.mark.parametrize("answer", ["变化 changed", "变化", "Changed", " changed "])
def test_answers_in_either_language(sheet, answer):
    fill(sheet, {"F3": answer, "F5": "未变化", "I3": "张三", "L4": "云"})
    answers = read_sheet(sheet, "change", NUMBERS)
    assert answers.reference == {"0001": 2, "0002": None, "0003": 1}
    assert answers.records["0001"] == {"interpreter": "张三", "image": "", "trust": "", "notes": ""}
    assert answers.records["0002"]["notes"] == "云"


def test_a_number_that_lost_its_zeros_is_recognised(sheet):
    fill(sheet, {"A3": 1, "F3": "变化"})
    assert read_sheet(sheet, "change", NUMBERS).reference["0001"] == 2


def test_all_faults_are_named_with_their_rows(sheet):
    fill(sheet, {"F3": "耕地", "A4": "0001", "A5": "0009", "K3": "sure"})
    with pytest.raises(InputError) as caught:
        read_sheet(sheet, "change", NUMBERS)
    text = str(caught.value)
    assert "6 faults" in text
    assert "row 3: 是否变化 changed or not holds '耕地'; expected one of 未变化 unchanged, 变化 changed" in text
    assert "row 3: 置信度 confidence holds 'sure'" in text
    assert "row 4: sample 0001 stands in row 3 already" in text
    assert "row 5: sample '0009' was not drawn" in text
    assert "sample 0002 has no row" in text and "sample 0003 has no row" in text


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("耕地", "cropland", 4),
        ("耕地", "建设用地", 2),
        ("forest", "耕地", 3),
        ("林地", "林地", 1),
        ("耕地", None, None),
    ],
)
def test_gain_and_loss_follow_from_both_dates(tmp_path, before, after, expected):
    path = tmp_path / "sheet.xlsx"
    write_sheet(path, "gain_loss", POINTS[:1], [])
    fill(path, {"F3": before, "G3": after})
    assert read_sheet(path, "gain_loss", ["0001"], focus=1).reference == {"0001": expected}


def test_land_cover_has_all_classes(tmp_path):
    path = tmp_path / "sheet.xlsx"
    write_sheet(path, "landcover", POINTS, [])
    fill(path, {"F3": "园地", "F4": "unused land", "F5": "水域 water"})
    assert read_sheet(path, "landcover", NUMBERS).reference == {"0001": 2, "0002": 7, "0003": 5}
    assert len(KINDS["landcover"]) == 7
    assert gain_loss_class(3, 6, 1) == 1


def test_files_that_are_no_such_sheet(tmp_path, sheet):
    with pytest.raises(MissingPathError):
        read_sheet(tmp_path / "none.xlsx", "change", NUMBERS)
    text = tmp_path / "text.xlsx"
    text.write_text("a,b")
    with pytest.raises(InputError, match="no Excel workbook"):
        read_sheet(text, "change", NUMBERS)
    Workbook().save(tmp_path / "other.xlsx")
    with pytest.raises(InputError, match="has no sheet"):
        read_sheet(tmp_path / "other.xlsx", "change", NUMBERS)
    with pytest.raises(InputError, match="expected 样本号, 经度"):
        read_sheet(sheet, "landcover", NUMBERS)
