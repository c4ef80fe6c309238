"""Exports: each file is opened and compared with what was shown."""

import csv
import json

import geopandas as gpd
import pyogrio
import pytest
from docx import Document
from openpyxl import load_workbook
from shapely.geometry import box

from src.assistant.answer import Answer, cards, caveat_lines, compose
from src.assistant.export import FORMATS, _frame, export_answer
from src.assistant.query import Query
from src.assistant.record import Evidence, Figure, PatchRow, SceneUse
from src.assistant.review import ReviewLog
from src.errors import InputError
from src.geo.patches.export import write_patches
from src.geo.patches.fields import FIELDS
from src.geo.workspace import init_workspace

MU = 2000 / 3
IDS = ("510723-20241028-20-00042", "510723-20241028-20-00007", "510723-20241028-DT-00099")
# More are in the survey than the answer lists, and in another order.
ALL = ("510723-20241028-DT-00099", "510723-20241028-20-00001", *IDS[:2])


def patch(number: str, area_m2: float, **fields) -> PatchRow:
    return PatchRow(
        id=number,
        area_m2=area_m2,
        bounds=(area_m2 - 100, area_m2 + 100),
        lon=105.4,
        lat=31.2,
        t1="2023-11-02",
        t2="2024-10-28",
        from_cls="cropland",
        to_cls="built",
        kind="20",
        grade="B",
        confidence=0.7,
        town=fields.pop("town", "青禾乡"),
        **fields,
    )


def evidence(**fields) -> Evidence:
    content = {
        "query": Query(metric="patches", to_cls="built", t1="2023-10-31", t2="2024-10-31"),
        "t1": "2023-10-31",
        "t2": "2024-10-31",
        "scenes": (
            SceneUse(id="S2_a", date="2023-11-02", sensor="sentinel2_l2a", level="L2A", clear_share=0.97),
            SceneUse(id="S2_b", date="2024-10-28", sensor="sentinel2_l2a", level="L2A", clear_share=0.93),
            SceneUse(
                id="S2_c",
                date="2024-10-13",
                sensor="sentinel2_l2a",
                level="L2A",
                clear_share=0.2,
                used=False,
                why="cloudy",
            ),
        ),
        "figures": (
            Figure(
                key="patches.area",
                quantity="patches",
                value=12 * MU,
                dimension="area",
                bounds=(9 * MU, 15 * MU),
                bounds_kind="range",
                t1="2023-11-02",
                t2="2024-10-28",
            ),
            Figure(key="patches.count", quantity="patches", value=3, dimension="count"),
            Figure(key="net", quantity="net", value=-218 * MU, dimension="area", cls="cropland"),
            Figure(key="seen", quantity="seen", value=0.93, dimension="share"),
        ),
        "cards": ("patches.area", "patches.count"),
        "patches": (patch(IDS[0], 6 * MU), patch(IDS[1], 4 * MU), patch(IDS[2], 2 * MU, town="=cmd|' /C calc'!A0")),
        "caveats": ("SINGLE_PAIR", "NEEDS_FIELD_CHECK"),
        "survey": "2023-11-02_2024-10-28_abc",
        "inputs": "in",
    }
    return Evidence(**(content | fields))


@pytest.fixture
def outputs(tmp_path):
    workspace = init_workspace(tmp_path / "county", name="盐亭县", code="510723")
    rows = [
        {
            "TBBH": number,
            "XZMC": "青禾乡",
            "MJ_M2": 1000.0 + index,
            "HSX": "2024-10-28",
            "XYS": 10 + index,
            "HCZT": "待核查",
        }
        for index, number in enumerate(ALL)
    ]
    shapes = [box(105.4 + 0.001 * index, 31.2, 105.4005 + 0.001 * index, 31.2005) for index in range(len(ALL))]
    write_patches(_frame(rows, shapes), workspace.outputs / "2023-11-02_2024-10-28_abc", formats=("gpkg",))
    return workspace.outputs


@pytest.fixture
def reviews(tmp_path):
    log = ReviewLog(tmp_path / "county")
    log.set(IDS[1], "伪变化", user="李雷", reason="物候", note="水稻收割")
    return log


@pytest.fixture
def answer():
    shown = evidence()
    return Answer(question="=疑似新增建设在哪？", text=compose(shown), evidence=shown)


@pytest.fixture
def files(answer, outputs, reviews, tmp_path):
    return export_answer(answer, outputs, FORMATS, tmp_path / "out", reviews=reviews)


def test_names_follow_the_rule_and_versions_count_up(answer, files, outputs, tmp_path):
    assert {path.name for path in files.values()} == {
        f"510723盐亭县_疑似变化图斑_20231102_20241028_全部_v1.{name}" for name in FORMATS
    }
    again = export_answer(answer, outputs, ["csv"], tmp_path / "out")
    assert again["csv"].stem.endswith("_v2")


def check_records(records, answer):
    assert list(records["TBBH"]) == list(IDS)
    assert list(records["HCZT"]) == ["待核查", "伪变化", "待核查"]
    assert list(records["WBHYY"].fillna("")) == ["", "物候", ""] and records["HCR"][1] == "李雷"
    assert records["HCJG"][1] == "水稻收割" and set(records["EVID"]) == {answer.evidence.id}
    assert list(records["MJ_M2"]) == [1002.0, 1003.0, 1000.0]


def test_gpkg_holds_the_listed_patches_with_all_fields(answer, files):
    records = gpd.read_file(files["gpkg"], layer="patches")
    check_records(records, answer)
    assert {field.name for field in FIELDS} <= set(records.columns) and records.crs.to_epsg() == 4490
    assert records.geometry[0].centroid.x == pytest.approx(105.40225)
    about = pyogrio.read_dataframe(files["gpkg"], layer="answer").set_index("item")["text"]
    assert about["问题"] == answer.question and about["回答"] == answer.text
    assert about["证据编号"] == answer.evidence.id
    figures = pyogrio.read_dataframe(files["gpkg"], layer="figures")
    assert len(figures) == 4 and figures["value"][0] == pytest.approx(12)
    assert set(pyogrio.list_layers(files["gpkg"])[:, 0]) == {"patches", "field_alias", "answer", "figures", "scenes"}


def test_geojson_holds_them_in_degrees_with_the_answer(answer, files):
    content = json.loads(files["geojson"].read_text(encoding="utf-8"))
    assert [feature["properties"]["TBBH"] for feature in content["features"]] == list(IDS)
    assert content["features"][1]["properties"]["HCZT"] == "伪变化"
    assert content["answer"]["回答"] == answer.text and content["answer"]["证据编号"] == answer.evidence.id
    assert json.loads(content["answer"]["查询(JSON)"]) == answer.evidence.query.to_json()
    assert [scene["name"] for scene in content["scenes"]] == ["S2_a", "S2_b", "S2_c"]
    check_records(gpd.read_file(files["geojson"]), answer)


def test_csv_holds_everything_and_runs_nothing(answer, files):
    with files["csv"].open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    by_part = {part: [row for row in rows if row["部分"] == part] for part in ("回答", "数值", "图斑", "影像")}
    assert [len(by_part[part]) for part in ("数值", "图斑", "影像")] == [4, 3, 3]
    texts = {row["名称"]: row["内容"] for row in by_part["回答"]}
    assert texts["问题"] == "'" + answer.question and texts["回答"] == answer.text
    first, _, net, seen = by_part["数值"]
    shown = cards(answer.evidence)[0]
    assert first["名称"] == shown.label and first["内容"] == shown.value == "12亩"
    assert (float(first["数值"]), first["单位"]) == (pytest.approx(12), "亩")
    assert (float(first["下限"]), float(first["上限"])) == (pytest.approx(9), pytest.approx(15))
    assert first["区间类型"] == "范围，非置信区间" and net["区间类型"] == "像元统计，未经样本校正"
    assert float(net["数值"]) == pytest.approx(-218) and net["地类"] == "耕地"
    # A minus sign makes a formula of a text; the number beside it stays one.
    assert net["内容"] == "'-218亩"
    assert (float(seen["数值"]), seen["单位"]) == (pytest.approx(93), "%")
    assert [row["名称"] for row in by_part["图斑"]] == list(IDS)
    assert [row["核查状态"] for row in by_part["图斑"]] == ["待核查", "伪变化", "待核查"]
    assert by_part["图斑"][2]["范围"].startswith("'=cmd")
    assert "未用" in by_part["影像"][2]["内容"]
    cells = [cell for row in rows for cell in row.values()]
    numbers = {row["数值"] for row in rows} | {row["下限"] for row in rows}
    assert not [cell for cell in cells if cell[:1] in "=+-@" and cell and cell not in numbers]


def test_xlsx_holds_sheets_for_answer_figures_scenes_and_the_ledger(answer, files):
    book = load_workbook(files["xlsx"])
    assert book.sheetnames == ["回答", "数值", "影像", "疑似变化图斑台账", "字段说明"]
    about = {row[0].value: row[1] for row in book["回答"].iter_rows(min_row=2)}
    assert about["问题"].value == answer.question and about["问题"].data_type == "s"
    assert about["回答"].value == answer.text
    assert about["局限"].value == "\n".join(caveat_lines(answer.evidence))
    values = list(book["数值"].iter_rows(min_row=2, values_only=True))
    assert values[0][1:4] == ("12亩", pytest.approx(12), "亩") and len(values) == 4
    ledger = list(book["疑似变化图斑台账"].iter_rows(values_only=True))
    assert [row[0] for row in ledger[1:]] == list(IDS) and "伪变化" in ledger[2]
    formulas = [cell for sheet in book for row in sheet.iter_rows() for cell in row if cell.data_type == "f"]
    assert formulas == []


def test_docx_shows_the_answer_word_for_word(answer, files):
    document = Document(str(files["docx"]))
    lines = [line.text for line in document.paragraphs]
    assert answer.question in lines and all(line in lines for line in answer.text.splitlines())
    assert answer.evidence.id in lines and all(line in lines for line in caveat_lines(answer.evidence))
    cells = [[cell.text for cell in row.cells] for table in document.tables for row in table.rows]
    assert any("12亩" in row for row in cells)
    assert [row[0] for row in cells if row[0] in IDS] == list(IDS)
    assert any(IDS[1] in row and "伪变化" in row for row in cells)


def test_an_answer_without_patches_in_english(outputs, tmp_path):
    shown = evidence(patches=(), survey="", query=Query(metric="net", cls="cropland", lang="en"), cards=("net",))
    answer = Answer(question="net change of cropland?", text=compose(shown), lang="en", evidence=shown)
    files = export_answer(answer, outputs, FORMATS, tmp_path / "out", "en")
    assert len(files) == 5 and all(path.stat().st_size > 500 for path in files.values())
    assert all("suspected" not in path.name and "20231102_20241028_v1" in path.name for path in files.values())
    book = load_workbook(files["xlsx"])
    assert book.sheetnames == ["answer", "figures", "scenes"]
    assert next(book["figures"].iter_rows(min_row=4, values_only=True))[3] == "ha"
    assert json.loads(files["geojson"].read_text())["features"] == []
    assert len(gpd.read_file(files["gpkg"], layer="patches")) == 0


def test_patches_of_no_single_survey_become_points(outputs, tmp_path):
    shown = evidence(survey="")
    answer = Answer(question="?", text=compose(shown), evidence=shown)
    files = export_answer(answer, outputs, ("gpkg", "geojson"), tmp_path / "out")
    records = gpd.read_file(files["gpkg"], layer="patches")
    assert list(records["TBBH"]) == list(IDS) and set(records.geom_type) == {"Point"}
    assert records["MJ_M2"][0] == pytest.approx(6 * MU) and records["QDL"][0] == "耕地"


def test_impressions_are_never_exported(outputs, tmp_path):
    for answer in (
        Answer(question="?", text="约 300 亩水田", source="impression"),
        Answer(question="?", text="约 300 亩水田", source="impression", evidence=evidence()),
        Answer(question="?", text="x"),
    ):
        with pytest.raises(InputError, match="impression"):
            export_answer(answer, outputs, FORMATS, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_bad_formats_and_lost_measurements_are_told(answer, outputs, tmp_path):
    for formats in (["pdf"], []):
        with pytest.raises(InputError, match="docx, xlsx, gpkg, geojson, csv"):
            export_answer(answer, outputs, formats, tmp_path / "out")
    for survey, said in (("gone", "ask the question again"), ("../../x", "no survey"), ("/etc", "no survey")):
        lost = answer.model_copy(update={"evidence": evidence(survey=survey)})
        with pytest.raises(InputError, match=said):
            export_answer(lost, outputs, ["gpkg"], tmp_path / "out")
    other = answer.model_copy(update={"evidence": evidence(patches=(patch("unknown", 5.0),))})
    with pytest.raises(InputError, match="unknown"):
        export_answer(other, outputs, ["gpkg"], tmp_path / "out")
