import hashlib
import re
import zipfile
from datetime import datetime
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
from docx import Document
from docx.oxml.ns import qn
from PIL import Image
from shapely.geometry import Point

from src.constants import LAND_CLASSES
from src.errors import InputError
from src.geo.caveats import CAVEATS
from src.geo.report.document import certainty, show_area, show_number
from src.geo.report.patches import MAX_ROWS
from src.geo.report.text import PATCH_FIELDS, TEXT
from src.geo.report.write import write_report

MU = 2000 / 3
HEADINGS = [
    "一、耕地数量变化",
    "二、建设用地",
    "三、永农、红线、保护地、河道重叠清单",
    "四、疑似图斑",
    "五、数据与方法",
    "六、局限与声明",
]


def area(mu: float, **more) -> dict:
    """So many mu with a range of 10 % around it, or what is given instead."""
    return {"value_m2": mu * MU, **(more or {"bounds": [mu * 0.9 * MU, mu * 1.1 * MU]})}


def evidence() -> dict:
    matrix = np.zeros((8, 8))
    matrix[1, 1], matrix[1, 6], matrix[3, 6], matrix[3, 1], matrix[6, 6] = 9e6, 3e4, 1e4, 2e4, 5e5
    return {
        "evidence_id": "EV-0001",
        "sha256": "ab" * 32,
        "command": "python -m src.geo.analyze --workspace W",
        "legend_ver": "1",
        "place": {"name": "金滩县", "code": "510723"},
        "resolved": {"t1": "2023-11-02", "t2": "2024-10-28"},
        "clear_share": 0.934,
        "scenes": [
            {"id": "s2_a", "sensor": "sentinel2_l2a", "level": "L2A", "date": "2023-11-02", "cloud_percent": 3.2,
             "clear_share": 0.95, "mask_source": "SCL"},
            {"id": "s2_b", "sensor": "sentinel2_l2a", "level": "L2A", "date": "2024-10-28", "cloud_percent": None,
             "clear_share": 0.96, "mask_source": "SCL"},
        ],
        "coreg": {"dx": 0.125, "dy": -0.25, "resid_px": 0.08},
        "method": {"change": "IR-MAD", "threshold": 3.5, "mmu_px": 9, "mmu_m2": 900.0},
        "areas_before": {"cropland": area(13545), "built": area(750)},
        "areas_after": {"cropland": area(13530), "built": area(810)},
        "gain": {"cropland": area(30, ci95=[20 * MU, 40 * MU], n_samples=412), "built": area(60)},
        "loss": {"cropland": area(45)},
        "net": {"cropland": {"value_m2": -15 * MU, "bounds": [-18 * MU, -12 * MU]}},
        "transition_m2": matrix.tolist(),
        "towns": [
            {"name": "双口镇", "gain": {"cropland": area(10), "built": area(20)}, "loss": {"cropland": area(15)},
             "net": {"cropland": area(-5)}},
            {"name": "松河镇", "gain": {"cropland": area(20), "built": area(40)}, "loss": {"cropland": area(30)},
             "net": {}},
        ],
        "zones": [
            {"zone_type": "basic_farmland", "name": "双口镇永久基本农田", "part": "", "area_m2": 6000 * MU,
             "patches": 2, "overlap": area(12), "source": "YJJBNTTB.shp"},
            {"zone_type": "reserve", "name": "云口保护区", "part": "core", "area_m2": 900 * MU, "patches": 0,
             "overlap": area(0), "source": "reserve.gpkg"},
        ],
        "patches": {"below_mmu_count": 17, "below_mmu_m2": 3000.0},
        "accuracy": [
            {"date": "2024-10-28", "method": "空间分块", "n": 200, "classes": ["cropland", "built"],
             "matrix": [[95, 5], [10, 90]], "overall": 0.925, "overall_ci95": [0.88, 0.957], "kappa": 0.85,
             "users": [0.95, 0.9], "producers": [0.905, 0.947], "f1": [0.927, None]},
        ],
        "caveats": ["SINGLE_PAIR", "UNCALIBRATED_AREA"],
    }  # fmt: skip


def record(count: int) -> gpd.GeoDataFrame:
    """So many patches, the first the largest: 10 mu times its rank from the end."""
    numbers = range(1, count + 1)
    sizes = [10 * MU * (count - index) for index in range(count)]
    return gpd.GeoDataFrame(
        {
            "TBBH": [f"510723-20241028-DT-{number:05d}" for number in numbers],
            "JD": 103.75,
            "WD": 30.0625,
            "MJ_M2": sizes,
            "MJ_MIN": [size * 0.9 for size in sizes],
            "MJ_MAX": [size * 1.1 for size in sizes],
            "QSX": "2023-11-02",
            "HSX": "2024-10-28",
            "QDL": "cropland",
            "HDL": "built",
            "BHLX": "DT",
            "GRADE": ["B" if number % 2 else "C" for number in numbers],
            "ZYYN_M2": [np.nan if number == 2 else 2 * MU for number in numbers],
            "CLR_PCT": 97.5,
            "HCZT": "",
        },
        geometry=[Point(103.75, 30.0625)] * count,
        crs=4490,
    )


@pytest.fixture
def figures(tmp_path) -> dict[str, Path]:
    """Six maps, and chips for the first four patches."""
    names = ["overview_before", "overview_after", "cover_before", "cover_after", "change", "patches"]
    chips = [f"510723-20241028-DT-{i:05d}:{kind}" for i in range(1, 5) for kind in ("before", "after", "change")]
    paths = {}
    for index, name in enumerate(names + chips):
        paths[name] = tmp_path / f"{index}.png"
        Image.new("RGB", (32, 32), (index * 10, 90, 200)).save(paths[name])
    return paths


def words(path: Path) -> str:
    """All text of a document, tables and footer too."""
    document = Document(str(path))
    parts = (document.element.body, document.sections[0].footer._element)
    return "\n".join("".join(t.text or "" for t in p.iter(qn("w:t"))) for part in parts for p in part.iter(qn("w:p")))


def table_of(path: Path, caption: str) -> list[list[str]]:
    """Rows of the table below a caption."""
    document = Document(str(path))
    body = list(document.element.body)
    for index, element in enumerate(body):
        if element.tag == qn("w:p") and caption in "".join(t.text or "" for t in element.iter(qn("w:t"))):
            table = next(table for table in document.tables if table._tbl is body[index + 1])
            return [[cell.text for cell in row.cells] for row in table.rows]
    raise AssertionError(f"no table {caption}")


def write(folder: Path, *args, **more) -> Path:
    out = folder / "report.docx"
    write_report(out, *args, **more)
    return out


# --- figures and their certainty ---


def test_areas_are_rounded_per_unit():
    # 12345.678 m2: 18.5185 mu, 1.2346 ha, 0.0123 km2.
    assert [show_area(12345.678, unit, "zh") for unit in ("mu", "ha", "km2", "m2")] == [
        "18.52",
        "1.23",
        "0.0123",
        "12346",
    ]
    assert show_area(-1e-9, "mu", "zh") == "0.00"
    assert show_area(1.2e9, "mu", "zh") == "1800000.00"
    assert [show_area(value, "mu", "zh") for value in (None, float("nan"), "x")] == ["待核实"] * 3
    assert show_area(None, "mu", "en") == "to be verified"
    assert show_number(np.int64(3), 1, "zh") == "3.0" and show_number(True, 1, "zh") == "待核实"


def test_every_figure_says_what_it_is():
    assert certainty(area(100), "zh") == "像元统计，未经样本校正；范围90.00至110.00（非置信区间）"
    sample = area(100, ci95=[80 * MU, 120 * MU], n_samples=350)
    assert certainty(sample, "zh") == "样本校正估计；95%置信区间80.00至120.00，n=350"
    assert certainty(sample, "zh", short=True) == "100.00亩（95%置信区间80.00至120.00，n=350）"
    assert certainty(sample, "en") == "estimate corrected by samples; 95 % interval 80.00 to 120.00, n=350"
    assert certainty({"value_m2": MU}, "zh") == "像元统计，未经样本校正；范围待核实"
    assert (
        certainty({"bounds": [1, 2]}, "zh") == certainty(None, "zh") == certainty({"value_m2": None}, "zh") == "待核实"
    )


# --- the whole report ---


def test_chapters_stand_in_their_order(tmp_path, figures):
    document = Document(str(write(tmp_path, evidence(), record(3), figures)))
    assert [p.text for p in document.paragraphs if p.style.name == "Heading 1"] == HEADINGS
    assert document.paragraphs[0].text == "金滩县土地利用变化遥感监测报告"


def test_the_summary_and_the_cropland_table(tmp_path, figures):
    out = write(tmp_path, evidence(), record(3), figures)
    text = words(out)
    assert (
        "2023-11-02至2024-10-28期间，耕地流入30.00亩（95%置信区间20.00至40.00，n=412），流出45.00亩（像元统计未经样本校正，"
        "范围40.50至49.50），净变化-15.00亩（像元统计未经样本校正，范围-18.00至-12.00）"
    ) in text
    assert "疑似图斑3个" in text and "共同清晰覆盖：93.4%" in text
    rows = table_of(out, "耕地面积与变化")
    assert rows[0] == ["项目", "亩", "公顷", "平方公里", "口径与范围（亩）"]
    assert rows[1][:4] == ["前时相面积（2023-11-02）", "13545.00", "903.00", "9.0300"]
    assert rows[3] == ["流入（新增）", "30.00", "2.00", "0.0200", "样本校正估计；95%置信区间20.00至40.00，n=412"]


def test_flows_and_shares_come_from_the_matrix(tmp_path, figures):
    out = write(tmp_path, evidence(), record(1), figures)
    # 3e4 m2 of cropland and 1e4 of forest became built-up: 75 %.
    assert table_of(out, "新增建设用地来源")[1:3] == [
        ["耕地", "45.00", "3.00", "75.0%"],
        ["林地", "15.00", "1.00", "25.0%"],
    ]
    assert table_of(out, "新增建设用地来源")[-1] == ["合计", "60.00", "4.00", "100.0%"]
    assert table_of(out, "耕地流出去向")[1] == ["建设用地", "45.00", "3.00", "100.0%"]
    assert "新增建设用地中原为耕地的占75.0%" in words(out)
    matrix = table_of(out, "转移矩阵")
    assert matrix[0] == ["", "无数据", "耕地", "园地", "林地", "草地", "水域", "建设用地", "未利用地"]
    assert matrix[2][2] == "900.00" and matrix[2][7] == "3.00" and len(matrix) == 9


def test_towns_have_sums_only_where_all_are_known(tmp_path, figures):
    rows = table_of(write(tmp_path, evidence(), record(1), figures), "分乡镇耕地变化")
    assert rows[1][1] == "10.00亩（像元统计未经样本校正，范围9.00至11.00）"
    assert rows[2][3] == "待核实"
    assert rows[-1] == ["合计", "30.00", "45.00", "待核实"]
    built = table_of(tmp_path / "report.docx", "分乡镇新增建设用地前2位")
    assert [row[0] for row in built] == ["乡镇", "松河镇", "双口镇"]


def test_zones_without_a_layer_are_not_guessed(tmp_path, figures):
    rows = table_of(write(tmp_path, evidence(), record(1), figures), "管控区域的重叠")
    by_kind = {row[0]: row for row in rows[1:]}
    assert by_kind["永久基本农田"][1:5] == ["双口镇永久基本农田", "6000.00", "2", "12.00"]
    assert by_kind["自然保护地"][1] == "云口保护区 核心区" and by_kind["自然保护地"][4] == "0.00"
    for kind in ("生态保护红线", "河道管理范围"):
        assert by_kind[kind][1] == "待核实（缺少边界图层，无法叠加）" and by_kind[kind][4] == "待核实"


def test_patches_with_pages_and_those_in_the_list_only(tmp_path, figures):
    out = write(tmp_path, evidence(), record(6), figures, max_chips=3)
    text = words(out)
    assert "共6个疑似图斑，合计210.00亩" in text and "其中3个附前后影像；其余3个仅列表" in text
    assert "另有17处小于最小制图单元（1.35亩）的变化，合计4.50亩" in text
    document = Document(str(out))
    pages = [p.text for p in document.paragraphs if p.style.name == "Heading 2"]
    assert pages == [f"图斑编号 510723-20241028-DT-0000{i}" for i in (1, 2, 3)]
    assert len(document.inline_shapes) == 6 + 3 * 3
    assert len(table_of(out, "疑似图斑清单")) == 1 + 6
    assert table_of(out, "疑似图斑清单")[1][1:] == [
        "103.750000, 30.062500",
        "60.00",
        "耕地→建设用地",
        "DT 动土/推填土",
        "B",
        "待核查",
    ]
    grades = table_of(out, "疑似图斑分级")
    # Sizes 60 50 40 30 20 10 mu, grades B C B C B C.
    assert [(row[0], row[2], row[3]) for row in grades[1:]] == [
        ("A", "0", "0.00"),
        ("B", "3", "120.00"),
        ("C", "3", "90.00"),
    ]


def test_a_patch_page_prints_the_record(tmp_path, figures):
    out = write(tmp_path, evidence(), record(2), figures)
    tables = [[cell.text for row in table.rows for cell in row.cells] for table in Document(str(out)).tables]
    first, second = (
        dict(zip(cells[::2], cells[1::2], strict=True))
        for cells in tables
        if "触发证据" in cells and "图斑编号" in cells
    )
    assert first["面积"] == "20.00 亩 / 1.33 公顷 / 13333 m²"
    assert first["面积范围（±半像元）"] == "18.00 – 22.00 亩"
    assert first["经度"] == "103.750000° (103°45′00.0″)" and first["纬度"] == "30.062500° (30°03′45.0″)"
    assert first["与永农重叠"].startswith("2.00 亩") and second["与永农重叠"] == "待核实"
    assert first["清晰度"] == "97.5%" and first["触发证据"] == "待核实"
    assert first["核查状态"] == "待核查" and first["核查结果"] == "（核查后填写）"


def test_an_empty_name_means_none_only_where_the_flag_says_so(tmp_path):
    """ "否" in the flag: the layer was there and not hit; an empty flag: there was no layer."""
    patches = record(1).assign(ZRBHD="", SFBH="否", HDGL="", SFHD="", QDL="耕地", REASON="疑似", REASON_EN="suspected")
    for lang, none, unknown in (("zh", "无", "待核实"), ("en", "none", "to be verified")):
        out = write(tmp_path, evidence(), patches, {}, lang)
        cells = [[cell.text for row in table.rows for cell in row.cells] for table in Document(str(out)).tables]
        name = PATCH_FIELDS["REASON"][lang]
        page = next(dict(zip(row[::2], row[1::2], strict=True)) for row in cells if name in row)
        assert (page[PATCH_FIELDS["ZRBHD"][lang]], page[PATCH_FIELDS["HDGL"][lang]]) == (none, unknown)
        assert page[name] == {"zh": "疑似", "en": "suspected"}[lang]
        assert page[PATCH_FIELDS["QDL"][lang]] == {"zh": "耕地", "en": "cropland"}[lang]


def test_a_patch_without_chips_says_so(tmp_path, figures):
    out = write(tmp_path, evidence(), record(5), figures)
    assert words(out).count("前后影像截图：待核实") == 1
    assert len(Document(str(out)).inline_shapes) == 6 + 4 * 3


def test_long_lists_are_cut_and_say_so(tmp_path):
    out = write(tmp_path, evidence(), record(MAX_ROWS + 5), {}, max_chips=0)
    assert len(table_of(out, "疑似图斑清单")) == 1 + MAX_ROWS
    assert f"列出面积最大的{MAX_ROWS}个，其中0个附前后影像；其余{MAX_ROWS + 5}个" in words(out)


def test_nothing_found_is_not_the_same_as_not_looked_for(tmp_path):
    none = words(write(tmp_path, evidence(), record(2).iloc[:0], {}))
    assert "未检出达到最小制图单元（1.35亩）的疑似图斑" in none and "疑似图斑0个" in none
    unknown = words(write(tmp_path, evidence(), None, {}))
    assert "变化图斑：待核实" in unknown and "疑似图斑待核实个" in unknown and "未检出达到" not in unknown


def test_methods_show_scenes_alignment_and_accuracy(tmp_path, figures):
    out = write(tmp_path, evidence(), record(1), figures)
    scenes = table_of(out, "所用影像")
    assert scenes[1] == ["s2_a", "sentinel2_l2a L2A", "2023-11-02", "3.2%", "95.0%", "SCL"]
    assert scenes[2][3] == "待核实"
    text = words(out)
    assert "两期偏移 x 0.12 像元、y -0.25 像元，配准后残差 0.08 像元" in text
    assert "总体精度92.5%（95%置信区间88.0%至95.7%），kappa 0.850" in text
    accuracy = table_of(out, "分类精度矩阵2024-10-28")
    assert accuracy[1] == ["耕地", "95", "5", "95.0%", "90.5%", "92.7%"] and accuracy[2][-1] == "待核实"
    assert ["变化阈值", "3.5"] in table_of(out, "处理方法")


def test_limits_quote_the_notice_and_the_caveats(tmp_path, figures):
    text = words(write(tmp_path, evidence(), record(1), figures))
    assert "自然资发〔2023〕258号" in text and "不能直接作为作出行政处罚的依据" in text and "必须实地核查" in text
    for code in ("SINGLE_PAIR", "UNCALIBRATED_AREA", "NEEDS_FIELD_CHECK", "LEGAL_NOT_ASSESSED"):
        assert CAVEATS[code]["zh"] in text
    assert CAVEATS["SENSOR_MIX"]["zh"] not in text
    assert "EV-0001" in text and "ab" * 32 in text and "python -m src.geo.analyze --workspace W" in text


def test_no_verdict_in_any_wording(tmp_path, figures):
    for lang in ("zh", "en"):
        text = words(write(tmp_path, evidence(), record(3), figures, lang))
        assert not re.search("违法|违规|非法|illegal|unlawful", text)
    assert not re.search("违法|违规|非法|illegal", "".join(t for pair in TEXT.values() for t in pair.values()))


def test_without_any_evidence_all_is_to_be_verified(tmp_path):
    out = write(tmp_path, {}, None, {})
    text = words(out)
    assert text.count("待核实") > 80 and "本县土地利用变化遥感监测报告" in text
    assert [p.text for p in Document(str(out)).paragraphs if p.style.name == "Heading 1"] == HEADINGS
    # No area, share or date is made up: digits occur in ordinals, the notice, the method's name and limits alone.
    areas = [cell for row in table_of(out, "耕地面积与变化")[1:] for cell in row[1:]]
    assert set(areas) == {"待核实"}


def test_english_report(tmp_path, figures):
    proof = evidence() | {"place": {"name": "Jintan County"}, "towns": [], "zones": [], "accuracy": []}
    text = words(write(tmp_path, proof, record(2), figures, "en"))
    assert (
        "Jintan County: report on land-use change" in text and "30.00 mu (95 % interval 20.00 to 40.00, n=412)" in text
    )
    assert "cropland→built-up land" in text and "to be verified (no layer, so no overlay)" in text
    assert not re.search("[\u4e00-\u9fff]", text)


def test_every_text_is_in_both_languages_with_the_same_blanks():
    for key, pair in (TEXT | PATCH_FIELDS).items():
        assert set(pair) == {"zh", "en"} and pair["zh"] and pair["en"], key
        assert pair["zh"].count("{}") == pair["en"].count("{}"), key


# --- the file ---


def test_same_inputs_same_bytes(tmp_path, figures):
    hashes = set()
    for name in ("one", "two"):
        out = write(tmp_path / name, evidence(), record(2), figures)
        hashes.add(hashlib.sha256(out.read_bytes()).hexdigest())
    assert len(hashes) == 1
    other = write(tmp_path / "three", evidence() | {"evidence_id": "EV-0002"}, record(2), figures)
    assert hashlib.sha256(other.read_bytes()).hexdigest() not in hashes
    with zipfile.ZipFile(other) as archive:
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
    properties = Document(str(other)).core_properties
    assert properties.created == properties.modified
    assert properties.created.replace(tzinfo=None) == datetime(2000, 1, 1)
    assert (properties.author, properties.comments, properties.title) == ("", "", "金滩县土地利用变化遥感监测报告")


def test_every_run_names_its_chinese_font(tmp_path, figures):
    document = Document(str(write(tmp_path, evidence(), record(2), figures)))
    runs = list(document.element.body.iter(qn("w:r")))
    names = {run.rPr.rFonts.get(qn("w:eastAsia")) for run in runs}
    assert len(runs) > 300 and names == {"宋体", "黑体"}
    assert not document.element.xpath("//w:rFonts[@w:eastAsiaTheme]")
    assert not document.styles.element.xpath(".//w:style//w:rFonts[@w:eastAsiaTheme]")


def test_header_rows_repeat_and_columns_fill_the_page(tmp_path, figures):
    document = Document(str(write(tmp_path, evidence(), record(2), figures)))
    headed = [table for table in document.tables if table._tbl.xpath(".//w:tblHeader")]
    assert len(headed) >= 12
    for table in headed:
        widths = [column.width.cm for column in table.columns]
        assert sum(widths) == pytest.approx(16.0, abs=0.05) and min(widths) > 0.7


def test_control_characters_of_attribute_tables_do_no_harm(tmp_path):
    proof = evidence()
    proof["zones"][0]["name"] = "双口\x00镇"
    assert "双口镇" in words(write(tmp_path, proof, None, {}))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"caveats": ["NO_SUCH"]}, "unknown caveat codes NO_SUCH"),
        ({"transition_m2": [[0.0] * 7] * 7}, "expected 8 of 8"),
        ({"accuracy": [{"classes": ["cropland"], "matrix": [[1, 2]]}]}, "names 1 classes"),
    ],
)
def test_evidence_that_cannot_be_printed_is_refused(tmp_path, change, message):
    with pytest.raises(InputError, match=message):
        write(tmp_path, evidence() | change, None, {})
    assert not (tmp_path / "report.docx").exists()


def test_other_refusals(tmp_path):
    with pytest.raises(InputError, match="zh or en"):
        write(tmp_path, {}, None, {}, "fr")
    with pytest.raises(InputError, match=r"\.docx"):
        write_report(tmp_path / "report.pdf", {}, None, {})
    with pytest.raises(InputError, match="no column MJ_M2"):
        write(tmp_path, {}, record(1).drop(columns="MJ_M2"), {})
    assert len(LAND_CLASSES) == 7  # the matrices above are written for seven classes
