import re

import geopandas as gpd
import numpy as np
import pyproj
import pytest
from affine import Affine
from shapely.geometry import Point, box

from src.constants import LAND_CLASSES
from src.errors import GridError, InputError
from src.geo.blocks import ThreadRunner
from src.geo.grid import Grid, Raster
from src.geo.patches.fields import CHANGE_TYPES, CHECK_STATES, CODE_GUESS, COMPOSITION, FIELDS
from src.geo.patches.find import label_patches, patch_outlines
from src.geo.patches.record import _patch_numbers, change_type, elongation, grade, patch_records
from src.geo.patches.stats import RecordSources
from src.geo.raster import write_raster

ONE = ThreadRunner(1)
GRID = Grid(pyproj.CRS.from_epsg(32648), Affine(10, 0, 500000, 0, -10, 3330000), (20, 20))
PIXEL_M2 = 100 / 0.9996**2
CROP, FOREST, GRASS, WATER, BUILT, BARE = 1, 3, 4, 5, 6, 7


def square(row, col, height, width):
    return box(500000 + 10 * col, 3330000 - 10 * (row + height), 500000 + 10 * (col + width), 3330000 - 10 * row)


def zone(kind, geometries, names=None, parts=None, codes=None):
    blank = [""] * len(geometries)
    columns = {"zone_type": kind, "name": names or blank, "part": parts or blank, "code": codes or blank}
    return gpd.GeoDataFrame(columns, geometry=geometries, crs=32648).to_crs(4490)


@pytest.fixture
def scene(tmp_path):
    """Two patches: 4 x 3 pixels of cropland (one column forest) that became built, a 2 x 12 line that became bare."""
    before, after = np.full(GRID.shape_hw, CROP, np.uint8), np.full(GRID.shape_hw, CROP, np.uint8)
    before[2:6, 4] = FOREST
    change = np.ones(GRID.shape_hw, np.uint8)
    change[2:6, 2:5] = change[12:14, 4:16] = 2
    after[2:6, 2:5], after[12:14, 4:16] = BUILT, BARE
    change[15:17, 4:16] = 0
    score = np.where(change == 2, 7.5, 0.0).astype(np.float32)
    probability = np.zeros((7, *GRID.shape_hw), np.uint8)
    probability[CROP - 1], probability[BUILT - 1] = 90, 70
    later = np.zeros_like(probability)
    later[BUILT - 1], later[BARE - 1] = 80, 50
    paths = {}
    stack = {"change": change, "before": before, "after": after, "score": score, "p1": probability, "p2": later}
    for name, values in stack.items():
        data = values if values.ndim == 3 else values[None]
        names = tuple(f"b{i}" for i in range(len(data)))
        paths[name] = tmp_path / f"{name}.tif"
        write_raster(paths[name], Raster(data, np.ones(GRID.shape_hw, bool), GRID, names))
    patches = label_patches(paths["change"], tmp_path / "labels.tif", ONE)
    return paths, patches, patch_outlines(patches, ONE)


def sources(paths, **more) -> RecordSources:
    named = {"before_cover": paths["before"], "after_cover": paths["after"], "score": paths["score"]}
    named |= {"before_probability": paths["p1"], "after_probability": paths["p2"]}
    return RecordSources(paths["change"], "2023-11-02", "2024-10-28", "e" * 64, **(named | more))


def test_a_record_by_hand(scene):
    paths, patches, outlines = scene
    records = patch_records(
        patches, outlines, sources(paths, county_code="510723", county_name="盐亭县"), {}, ONE, confirmations=[2, 0]
    )
    assert records.crs.to_epsg() == 4490 and len(records) == 2
    assert list(records.columns) == [field.name for field in FIELDS] + ["geometry"]
    first, second = records.iloc[0], records.iloc[1]
    assert re.fullmatch(r"510723-20241028-20-\d{5}", first["TBBH"])
    assert re.fullmatch(r"510723-20241028-DT-\d{5}", second["TBBH"])
    assert (first["XZQDM"], first["XZQMC"], first["XZMC"]) == ("510723", "盐亭县", "")
    assert first["MJ_M2"] == pytest.approx(12 * PIXEL_M2, abs=0.006)
    assert first["MJ_MU"] == round(12 * PIXEL_M2 * 3 / 2000, 2) and first["MJ_HA"] == round(12 * PIXEL_M2 / 1e4, 4)
    # 4 x 3 pixels have an outline of 14 edges: 7 pixels either way.
    assert first["MJ_MIN"] == pytest.approx(5 * PIXEL_M2, abs=0.006)
    assert first["MJ_MAX"] == pytest.approx(19 * PIXEL_M2, abs=0.006)
    assert (first["QSX"], first["HSX"]) == ("2023-11-02", "2024-10-28")
    assert (first["QDL"], first["QDLBM"], first["HDL"], first["HDLBM"]) == ("耕地", "01", "建设用地", "")
    assert (first["P1"], first["P2"]) == (0.9, 0.8) and first["BHQD"] == 7.5
    assert (second["QDL"], second["HDL"], second["P2"]) == ("耕地", "未利用地", 0.5)
    assert (first["BHLX"], first["BHLXMC"]) == ("20", "建(构)筑物")
    # Probability 0.8 and two later dates; 0.5 and none.
    assert (first["GRADE"], first["YZQS"]) == ("A", 2) and first["GRADE_N"] == pytest.approx(1 - 0.2 / 4)
    assert (second["GRADE"], second["GRADE_N"]) == ("C", 0.5)
    assert first["GDMJ"] == pytest.approx(8 * PIXEL_M2, abs=0.006)
    assert first["LDMJ"] == pytest.approx(4 * PIXEL_M2, abs=0.006)
    assert sum(first[name] for name in COMPOSITION.values()) == pytest.approx(first["MJ_M2"], abs=0.02)
    assert (first["MMU_OK"], first["XC"], first["CLR_PCT"]) == ("是", "否", 100.0)
    # Rows 9..16 and columns 1..18 around the line: two rows of twelve were not seen.
    assert second["CLR_PCT"] == round(100 * (8 * 18 - 24) / (8 * 18), 1)
    assert first["HCZT"] == "待核查" and first["HCJG"] == first["HCR"] == first["WBHYY"] == ""
    assert first["EVID"] == "e" * 64


def test_the_point_lies_inside(scene):
    paths, patches, outlines = scene
    records = patch_records(patches, outlines, sources(paths), {}, ONE)
    for row in records.itertuples():
        assert row.geometry.contains(Point(row.JD, row.WD))
        assert (round(row.JD, 6), round(row.WD, 6)) == (row.JD, row.WD)


def test_overlays(scene):
    paths, patches, outlines = scene
    halves = [square(0, 0, 10, 20), square(10, 0, 10, 20)]
    zones = {
        # 2 of 3 columns of the first patch; half a pixel of the second.
        "basic_farmland": zone("basic_farmland", [square(2, 2, 4, 2), square(12, 15.5, 2, 3)], ["a", "b"]),
        "reserve": zone("reserve", [square(0, 0, 4, 20), square(4, 0, 16, 20)], ["云口"] * 2, ["core", "buffer"]),
        "river": zone("river", [square(18, 0, 2, 20)], ["松溪"]),
        "town": zone("town", halves, ["东镇", "西镇"], codes=["510723100", "510723101"]),
    }
    records = patch_records(patches, outlines, sources(paths), zones, ONE)
    first, second = records.iloc[0], records.iloc[1]
    assert (first["XZQDM"], first["XZMC"], second["XZMC"]) == ("510723", "东镇", "西镇")
    assert first["TBBH"].startswith("510723-")
    assert first["SFYN"] == "是" and first["ZYYN_M2"] == pytest.approx(8 * PIXEL_M2, abs=0.01)
    assert first["ZYYN_PCT"] == pytest.approx(100 * 2 / 3, abs=0.01)
    assert second["SFYN"] == "可能相交" and second["ZYYN_M2"] == pytest.approx(PIXEL_M2, abs=0.01)
    # Two of four rows of the first patch lie in either part: the first listed is told.
    assert (first["SFBH"], first["ZRBHD"], first["GNQ"]) == ("是", "云口", "核心区")
    assert (second["GNQ"], second["ZRBHD_M2"]) == ("缓冲区", second["MJ_M2"])
    assert (first["SFHD"], first["HDGL"], first["HDGL_M2"]) == ("否", "", 0.0)
    # No red line layer: blank, not "no".
    assert first["SFHX"] == "" and np.isnan(first["ZYHX_M2"])
    assert "涉永农801平方米" in first["REASON"] and "801 m2 in basic farmland" in first["REASON_EN"]
    assert "可能与永农相交" in second["REASON"] and "河道" not in second["REASON"]


def test_nothing_is_called_illegal(scene):
    paths, patches, outlines = scene
    records = patch_records(patches, outlines, sources(paths), {}, ONE)
    assert "违法" not in "".join(map(str, records.to_numpy().ravel()))
    # What people may choose names a suspicion that is handed on, never a verdict.
    assert all("疑似" in state for state in CHECK_STATES if "违法" in state)
    assert all("疑似" in reason for reason in records["REASON"])
    assert all("suspected" in reason for reason in records["REASON_EN"])


def test_spectral_change_alone(scene):
    """No labels, no probabilities: classes are unknown and the grade is the lowest."""
    paths, patches, outlines = scene
    records = patch_records(patches, outlines, RecordSources(paths["change"], "2023-11-02", "2024-10-28", "x"), {}, ONE)
    first = records.iloc[0]
    assert (first["QDL"], first["HDL"], first["BHLX"], first["GRADE"]) == ("未知", "未知", "QT", "C")
    assert np.isnan(first["P1"]) and np.isnan(first["BHQD"]) and first["WZMJ"] == first["MJ_M2"]
    assert first["TBBH"].startswith("000000-20241028-QT-")


def test_no_patches(tmp_path):
    write_raster(tmp_path / "c.tif", Raster(np.ones((1, 20, 20), np.uint8), np.ones((20, 20), bool), GRID, ("c",)))
    patches = label_patches(tmp_path / "c.tif", tmp_path / "l.tif", ONE)
    zones = {"basic_farmland": zone("basic_farmland", [square(2, 2, 4, 2)])}
    made_from = RecordSources(tmp_path / "c.tif", "2023-01-01", "2024-01-01", "x")
    records = patch_records(patches, patch_outlines(patches, ONE), made_from, zones, ONE)
    assert len(records) == 0 and list(records.columns)[:2] == ["TBBH", "XZQDM"] and records.crs.to_epsg() == 4490


def test_bad_input(scene, tmp_path):
    paths, patches, outlines = scene
    with pytest.raises(InputError, match="1 outlines and confirmations for 2"):
        patch_records(patches, outlines[:1], sources(paths), {}, ONE)
    with pytest.raises(InputError, match="for 2 patches"):
        patch_records(patches, outlines, sources(paths), {}, ONE, confirmations=[1])
    small = Grid(GRID.crs, GRID.transform, (19, 20))
    write_raster(tmp_path / "s.tif", Raster(np.ones((1, 19, 20), np.uint8), np.ones((19, 20), bool), small, ("c",)))
    with pytest.raises(GridError, match="not on the grid"):
        patch_records(patches, outlines, sources(paths, after_cover=tmp_path / "s.tif"), {}, ONE)


@pytest.mark.parametrize(
    ("before", "after", "ratio", "mine", "code"),
    [
        (CROP, BUILT, 9.9, False, "20"), (CROP, BUILT, 10, False, "DL"), (FOREST, BARE, 1, False, "DT"),
        (FOREST, BARE, 1, True, "CK"), (BUILT, BARE, 1, False, "DT"), (CROP, WATER, 1, False, "SM"),
        (WATER, BUILT, 12, False, "SM"), (CROP, FOREST, 1, False, "ZB"), (BARE, GRASS, 1, True, "ZB"),
        (CROP, CROP, 1, False, "QT"), (0, BUILT, 1, False, "QT"), (CROP, 0, 1, False, "QT"),
    ],
)  # fmt: skip
def test_change_types(before, after, ratio, mine, code):
    assert change_type(before, after, ratio, mine) == code
    assert code in CHANGE_TYPES


@pytest.mark.parametrize(
    ("pixels", "height", "width", "ratio"), [(9, 3, 3, 2), (40, 2, 20, 10.1), (10, 10, 10, 20), (50, 10, 10, 4)]
)
def test_elongation(pixels, height, width, ratio):
    """A square, a strip, a diagonal line one pixel wide, a ragged site that fills half of its box."""
    assert elongation(pixels, height, width) == pytest.approx(ratio)


@pytest.mark.parametrize(
    ("probability", "confirmations", "expected"),
    [
        (0.8, 2, ("A", 0.95)), (0.79, 2, ("B", 0.9475)), (0.3, 1, ("B", 0.65)), (0.6, 0, ("B", 0.6)),
        (0.59, 0, ("C", 0.59)), (0.99, 1, ("B", 0.995)), (float("nan"), 0, ("C", 0.5)),
        (float("nan"), 3, ("B", 0.9375)),
    ],
)  # fmt: skip
def test_grades(probability, confirmations, expected):
    letter, number = grade(probability, confirmations)
    assert letter == expected[0] and number == pytest.approx(expected[1])


def test_a_patch_keeps_its_number_when_others_come_and_go():
    shapes = np.array([box(i, 0, i + 1, 1) for i in range(50)], dtype=object)
    all_of_them = _patch_numbers(shapes, ["510723"] * 50, ["DT"] * 50, "2024-10-28")
    assert len(set(all_of_them)) == 50
    assert _patch_numbers(shapes[10:20], ["510723"] * 10, ["DT"] * 10, "2024-10-28") == all_of_them[10:20]
    # The same outline twice: the later one takes the next number.
    twice = _patch_numbers(shapes[[0, 0]], ["510723"] * 2, ["DT"] * 2, "2024-10-28")
    assert int(twice[1][-5:]) == (int(twice[0][-5:]) + 1) % 100_000


def test_fields_fit_a_dbf_and_cover_every_class():
    names = [field.name for field in FIELDS]
    assert len(names) == len(set(names)) == 61
    assert all(re.fullmatch(r"[A-Z][A-Z0-9_]{1,9}", name) for name in names)
    assert set(COMPOSITION) == set(CODE_GUESS) == {0, *LAND_CLASSES}
    assert len({field.zh for field in FIELDS}) == len(names)
