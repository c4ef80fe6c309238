"""The command: draw, interpret, read, estimate."""

import json
import sys

import geopandas as gpd
import numpy as np
import pyproj
import pytest
from affine import Affine
from openpyxl import load_workbook

from src.errors import InputError, MissingPathError
from src.geo import sampling
from src.geo.estimates.sheet import SHEET
from src.geo.grid import Grid, Raster
from src.geo.raster import write_raster

CHINA_ALBERS = pyproj.CRS.from_proj4("+proj=aea +lat_1=25 +lat_2=47 +lat_0=0 +lon_0=105 +datum=WGS84 +units=m")


def write_map(path, codes):
    grid = Grid(CHINA_ALBERS, Affine(10, 0, 100_000, 0, -10, 3_300_000), codes.shape)
    write_raster(path, Raster(codes[None], codes > 0, grid, ("class",)), nodata=0)
    return path


def run(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["sampling", *map(str, arguments)])
    sampling.main()


def interpret(sheet, columns):
    """Fill in answers: {column letter: answer by (row, col) of the map}."""
    design = json.loads(sheet.with_suffix(".design.json").read_text(encoding="utf-8"))
    where = {point["sample"]: (point["row"], point["col"]) for point in design["points"]}
    book = load_workbook(sheet)
    page = book[SHEET]
    for row in range(3, page.max_row + 1):
        for letter, answer in columns.items():
            page[f"{letter}{row}"] = answer(*where[page[f"A{row}"].value])
    book.save(sheet)
    return design


@pytest.fixture
def change(tmp_path):
    """100 x 100 pixels of 100 m2: 400 truly changed, of which the map shows 300, and 60 more in vain."""
    truth = np.zeros((100, 100), bool)
    truth[40:60, 40:60] = True
    mapped = np.ones((100, 100), np.uint8)
    mapped[40:55, 40:60] = 2
    mapped[:6, :10] = 2
    return write_map(tmp_path / "change.tif", mapped), truth


def test_from_map_to_estimate(change, tmp_path, monkeypatch, capsys):
    path, truth = change
    sheet = tmp_path / "s" / "change.xlsx"
    run(monkeypatch, "draw", "--map", path, "--n", 1200, "--seed", 2, "--out", sheet)
    said = capsys.readouterr().out
    assert "变化 changed" in said and "1200 points" in said
    points = gpd.read_file(sheet.with_suffix(".gpkg"))
    assert list(points.columns) == ["sample", "geometry"] and len(points) == 1200
    design = interpret(sheet, {"F": lambda row, col: "变化 changed" if truth[row, col] else "未变化 unchanged"})
    run(monkeypatch, "read", sheet)
    assert "1200 samples, 0 not interpreted" in capsys.readouterr().out
    run(monkeypatch, "estimate", sheet, "--json")
    result = json.loads(capsys.readouterr().out)
    changed = {row["code"]: row for row in result["classes"]}[2]
    assert changed["mapped_m2"] == pytest.approx(36_000)
    # The truth, 40,000 m2, from 300 of 360 mapped and 100 of 9640 not mapped.
    assert changed["low_m2"] < 40_000 < changed["high_m2"]
    assert changed["area_m2"] == pytest.approx(40_000, rel=0.2)
    drawn = {stratum["code"]: stratum["drawn"] for stratum in design["strata"]}
    hits = sum(truth[p["row"], p["col"]] for p in design["points"] if p["stratum"] == 2)
    assert changed["users"] == pytest.approx(hits / drawn[2])
    area, low, high = changed["areas"]["mu"]
    assert [area, low, high] == pytest.approx([changed[k] * 3 / 2000 for k in ("area_m2", "low_m2", "high_m2")])
    run(monkeypatch, "estimate", sheet)
    text = capsys.readouterr().out
    assert f"{changed['areas']['ha'][0]:.2f}" in text and "亩 mu" in text and "kappa" in text


def test_blank_answers_count_as_missing(change, tmp_path, monkeypatch, capsys):
    path, truth = change
    sheet = tmp_path / "change.xlsx"
    run(monkeypatch, "draw", "--map", path, "--n", 300, "--ring", 1, "--out", sheet)

    def answer(row, col):
        return None if col < 50 else "变化" if truth[row, col] else "未变化"

    design = interpret(sheet, {"F": answer})
    blank = sum(point["col"] < 50 for point in design["points"])
    capsys.readouterr()
    run(monkeypatch, "estimate", sheet, "--json")
    result = json.loads(capsys.readouterr().out)
    assert (result["missing"], result["samples"]) == (blank, 300 - blank)


def test_gain_of_a_class(tmp_path, monkeypatch, capsys):
    before, after = np.ones((60, 60), np.uint8), np.ones((60, 60), np.uint8)
    before[:, 30:], after[:, 40:] = 6, 6
    maps = write_map(tmp_path / "a.tif", before), write_map(tmp_path / "b.tif", after)
    sheet = tmp_path / "gain.xlsx"
    run(monkeypatch, "draw", "--map", maps[0], "--map", maps[1], "--class", "cropland", "--n", 300, "--out", sheet)
    names = {1: "耕地", 6: "建设用地"}
    interpret(sheet, {"F": lambda r, c: names[before[r, c]], "G": lambda r, c: names[after[r, c]]})
    capsys.readouterr()
    run(monkeypatch, "estimate", sheet, "--json")
    gain = {row["code"]: row for row in json.loads(capsys.readouterr().out)["classes"]}[3]
    assert gain["name"] == {"zh": "流入", "en": "gain"}
    # The maps are right, so the estimate is what they show: 60 x 10 pixels.
    assert gain["area_m2"] == pytest.approx(60_000, rel=1e-6)
    assert gain["users"] == gain["producers"] == 1.0


def test_interpretations_are_never_overwritten(change, tmp_path, monkeypatch):
    sheet = tmp_path / "change.xlsx"
    run(monkeypatch, "draw", "--map", change[0], "--n", 300, "--out", sheet)
    with pytest.raises(InputError, match="may hold interpretations"):
        run(monkeypatch, "draw", "--map", change[0], "--n", 300, "--out", sheet)


def test_wrong_calls_are_refused(change, tmp_path, monkeypatch):
    path, _ = change
    with pytest.raises(InputError, match="ends in .xlsx"):
        run(monkeypatch, "draw", "--map", path, "--n", 300, "--out", tmp_path / "sheet.csv")
    other = tmp_path / "map_2024.tif"
    path.rename(other)
    with pytest.raises(InputError, match="--kind"):
        run(monkeypatch, "draw", "--map", other, "--n", 300, "--out", tmp_path / "a.xlsx")
    with pytest.raises(InputError, match="--expected 2:0.7"):
        run(
            monkeypatch, "draw", "--map", other, "--kind", "change", "--expected", "2:0.7", "--out", tmp_path / "a.xlsx"
        )
    with pytest.raises(MissingPathError, match="design.json"):
        run(monkeypatch, "estimate", tmp_path / "none.xlsx")
    run(monkeypatch, "draw", "--map", other, "--kind", "change", "--n", 300, "--out", tmp_path / "a.xlsx")
    (tmp_path / "a.design.json").write_text("{}")
    with pytest.raises(InputError, match="is damaged"):
        run(monkeypatch, "read", tmp_path / "a.xlsx")


@pytest.mark.parametrize("command", [[], ["draw"], ["read"], ["estimate"]])
def test_help(command, monkeypatch, capsys):
    with pytest.raises(SystemExit) as ended:
        run(monkeypatch, *command, "--help")
    assert ended.value.code == 0
    assert "usage: python -m src.geo.sampling" in capsys.readouterr().out
