import csv
import hashlib
import json
import sqlite3
import struct
import zipfile

import geopandas as gpd
import numpy as np
import pandas as pd
import pyogrio
import pytest
import shapely
from openpyxl import load_workbook

from src.errors import InputError
from src.geo.patches.export import WRITERS, export_name, write_patches
from src.geo.patches.fields import FIELDS

OUTLINES = [
    shapely.box(106.0, 30.0, 106.001, 30.001).difference(shapely.box(106.0004, 30.0004, 106.0006, 30.0006)),
    shapely.MultiPolygon([shapely.box(106.01, 30, 106.011, 30.001), shapely.box(106.011, 30.001, 106.012, 30.002)]),
]


@pytest.fixture
def records() -> gpd.GeoDataFrame:
    columns = {}
    for field in FIELDS:
        if field.kind == "text":
            columns[field.name] = pd.Series([f"{field.zh}甲", f"{field.zh}乙"], dtype="str")
        elif field.kind == "int":
            columns[field.name] = pd.Series([3, 0], dtype="int64")
        else:
            columns[field.name] = pd.Series([1234.5, np.nan], dtype="float64")
    columns["TBBH"] = pd.Series(["010723-20241028-20-00001", "010723-20241028-DT-00002"], dtype="str")
    columns["XZQDM"] = pd.Series(["010723", "010723"], dtype="str")
    columns["QDLBM"] = pd.Series(["01", ""], dtype="str")
    columns["HSX"] = pd.Series(["2024-10-28"] * 2, dtype="str")
    columns["XZMC"] = pd.Series(["=HYPERLINK(1)", "云溪镇"], dtype="str")
    columns["REASON"] = pd.Series(["云" * 100, "证据"], dtype="str")
    return gpd.GeoDataFrame(columns, geometry=OUTLINES, crs=4490)


def test_names():
    name = export_name("510723", "盐亭县", "2023-11-02", "2024-10-28")
    assert name == "510723盐亭县_疑似变化图斑_20231102_20241028_全部_v1"
    name = export_name("", "a/b", "2023-11-02", "2024-10-28", version=2, lang="en")
    assert name == "a_b_suspected_change_20231102_20241028_all_v2"


def test_geopackage_by_sqlite(records, tmp_path):
    """Read without GDAL: a GeoPackage is a SQLite file with geometry as header and well-known binary."""
    path = write_patches(records, tmp_path, "图斑", ["gpkg"])["gpkg"]
    base = sqlite3.connect(path)
    assert base.execute("select srs_id from gpkg_geometry_columns").fetchone() == (4490,)
    assert base.execute("select table_name from gpkg_contents order by 1").fetchall() == [
        ("field_alias",),
        ("patches",),
    ]
    rows = base.execute("select TBBH, XZQDM, MJ_M2, REASON, geom from patches order by fid").fetchall()
    assert rows[0][:4] == ("010723-20241028-20-00001", "010723", 1234.5, "云" * 100) and rows[1][2] is None
    for row, outline in zip(rows, OUTLINES, strict=True):
        # 8 bytes of header and an envelope of four doubles.
        assert shapely.from_wkb(row[4][8 + 32 :]).equals(outline)
    aliases = base.execute("select name, alias_zh, alias_en from field_alias").fetchall()
    assert len(aliases) == len(FIELDS) and ("TBBH", "图斑编号", "patch number") in aliases
    base.close()


def dbf_rows(path) -> list[dict[str, str]]:
    """A DBF file by its documented layout, as text."""
    content = path.read_bytes()
    count, header, size = struct.unpack("<IHH", content[4:12])
    names = []
    for start in range(32, header - 1, 32):
        names.append((content[start : start + 11].split(b"\0")[0].decode(), content[start + 16]))
    rows = []
    for index in range(count):
        place, row = header + index * size + 1, {}
        for name, width in names:
            row[name] = content[place : place + width].decode("utf-8").strip()
            place += width
        rows.append(row)
    return rows


def test_shapefile_by_its_bytes(records, tmp_path):
    path = write_patches(records, tmp_path, formats=["shp"])["shp"]
    assert {file.suffix for file in tmp_path.iterdir()} == {".shp", ".shx", ".dbf", ".prj", ".cpg"}
    assert path.with_suffix(".cpg").read_text() == "UTF-8"
    assert "China_Geodetic_Coordinate_System_2000" in path.with_suffix(".prj").read_text()
    rows = dbf_rows(path.with_suffix(".dbf"))
    assert list(rows[0]) == [field.name for field in FIELDS]
    assert rows[0]["XZQDM"] == "010723" and rows[1]["XZMC"] == "云溪镇" and float(rows[0]["MJ_M2"]) == 1234.5
    # 254 bytes hold 84 Chinese characters; none is cut in two.
    assert rows[0]["REASON"] == "云" * 84
    back = gpd.read_file(path)
    assert all(one.normalize().equals(two) for one, two in zip(back.geometry, OUTLINES, strict=True))


def test_geojson_by_json(records, tmp_path):
    path = write_patches(records, tmp_path, formats=["geojson"])["geojson"]
    content = json.loads(path.read_text(encoding="utf-8"))
    # RFC 7946: no crs member, longitude first, outer rings counterclockwise.
    assert "crs" not in content and len(content["features"]) == 2
    first = content["features"][0]
    assert first["properties"]["TBBH"] == "010723-20241028-20-00001" and first["properties"]["MJ_M2"] == 1234.5
    assert content["features"][1]["properties"]["MJ_M2"] is None
    shape = shapely.geometry.shape(first["geometry"])
    assert shape.equals(OUTLINES[0]) and shape.exterior.is_ccw and shape.bounds == (106.0, 30.0, 106.001, 30.001)


def test_ledger(records, tmp_path):
    chips = {"010723-20241028-20-00001": "chips/1.png"}
    path = write_patches(records, tmp_path, formats=["xlsx"], chips=chips)["xlsx"]
    sheet = load_workbook(path).worksheets[0]
    head = [cell.value for cell in sheet[1]]
    assert head == [field.zh for field in FIELDS] + ["图片"] and sheet.freeze_panes == "B2"
    first = dict(zip(head, sheet[2], strict=True))
    assert first["行政区代码"].value == "010723" and first["行政区代码"].data_type == "s"
    assert first["行政区代码"].number_format == "@"
    assert first["面积(平方米)"].value == 1234.5 and first["像元数"].value == 3
    assert first["乡镇名称"].value == "=HYPERLINK(1)" and first["乡镇名称"].data_type == "s"
    assert first["图片"].hyperlink.target == "chips/1.png"
    second = dict(zip(head, sheet[3], strict=True))
    assert second["面积(平方米)"].value is None and second["图片"].value is None
    assert sheet.column_dimensions["A"].width == 26
    assert [choice.formula1 for choice in sheet.data_validations.dataValidation][0].startswith('"待核查,')
    explained = load_workbook(path).worksheets[1]
    assert [cell.value for cell in explained[1]] == ["TBBH", "图斑编号", "patch number"]


def test_ledger_in_english(records, tmp_path):
    path = write_patches(records, tmp_path, formats=["xlsx"], lang="en")["xlsx"]
    assert load_workbook(path).worksheets[0]["A1"].value == "patch number"


def test_csv(records, tmp_path):
    path = write_patches(records, tmp_path, formats=["csv"])["csv"]
    assert path.read_bytes().startswith(b"\xef\xbb\xbfTBBH,")
    rows = list(csv.DictReader(path.open(encoding="utf-8-sig", newline="")))
    assert rows[0]["XZQDM"] == "010723" and rows[0]["MJ_M2"] == "1234.5" and rows[1]["MJ_M2"] == ""
    # A spreadsheet would run this name as a formula.
    assert rows[0]["XZMC"] == "'=HYPERLINK(1)" and rows[1]["XZMC"] == "云溪镇"


def hashes(folder) -> dict[str, str]:
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in folder.iterdir()}


def test_equal_records_give_equal_bytes(records, tmp_path):
    chips = {"010723-20241028-20-00001": "1.png"}
    write_patches(records, tmp_path / "a", chips=chips)
    write_patches(records, tmp_path / "b", chips=chips)
    first = hashes(tmp_path / "a")
    assert hashes(tmp_path / "b") == first and len(first) == 9
    # Two runs may fall in one second: no file knows the day of writing (the GeoPackage is tested above).
    assert (tmp_path / "a/patches.dbf").read_bytes()[1:4] == bytes((124, 10, 28))
    with zipfile.ZipFile(tmp_path / "a/patches.xlsx") as book:
        assert {info.date_time for info in book.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        properties = book.read("docProps/core.xml").decode()
    assert properties.count("2024-10-28T00:00:00Z") == 2


def test_no_patches(records, tmp_path):
    written = write_patches(records.iloc[:0], tmp_path)
    assert set(written) == set(WRITERS)
    assert pyogrio.read_info(written["gpkg"], layer="patches")["features"] == 0
    assert len(pyogrio.read_info(written["shp"])["fields"]) == len(FIELDS)
    assert json.loads(written["geojson"].read_text())["features"] == []
    assert load_workbook(written["xlsx"]).worksheets[0].max_row == 1
    assert len(written["csv"].read_text(encoding="utf-8-sig").splitlines()) == 1


def test_bad_input(records, tmp_path):
    with pytest.raises(InputError, match="unknown format 'kml'"):
        write_patches(records, tmp_path, formats=["csv", "kml"])
    with pytest.raises(InputError, match="lack MJ_M2"):
        write_patches(records.drop(columns="MJ_M2"), tmp_path)
    assert not list(tmp_path.iterdir())
