"""The whole measurement on small simulated counties: figures against other arithmetic, resume, refusals, same bytes."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
from docx import Document
from openpyxl import load_workbook

from src.constants import LAND_CLASS_NAMES, LAND_CLASSES
from src.errors import InputError
from src.geo.analyze import analyze
from src.geo.areas import block_areas_m2
from src.geo.blocks import Block, DaskRunner, ThreadRunner
from src.geo.cover import network
from src.geo.estimates.design import Target, draw_sample
from src.geo.estimates.sheet import SHEET
from src.geo.evidence import is_sealed
from src.geo.measure import Request
from src.geo.raster import read_raster, write_raster
from src.geo.sampling import write_sample
from src.geo.simulate import simulate_county
from src.geo.vector import rasterize
from src.geo.workspace import Options, add, init_workspace, open_workspace

DATES = ("2023-09-20", "2024-09-25")
REQUEST = Request(*DATES)


@pytest.fixture(scope="module", autouse=True)
def few_epochs():
    """Land cover learned in a fraction of the time: what is tested here does not depend on how well."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(network, "_EPOCHS", (2, 4))
        yield


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """A workspace with a simulated county of 200 x 200 pixels."""
    folder = tmp_path_factory.mktemp("county")
    dates = list(DATES)
    simulate_county(
        folder / "c", seed=5, size=200, sensor="sentinel2_l2a", dates=dates, crs="EPSG:32648", cloud_share=0
    )
    workspace = init_workspace(folder / "w", code="510723")
    add(workspace, folder / "c", Options(), ThreadRunner(1))
    return folder / "w"


@pytest.fixture(scope="module")
def run(root, tmp_path_factory):
    """(folder, evidence) of one analysis."""
    out = tmp_path_factory.mktemp("out")
    return out, analyze(open_workspace(root), REQUEST, out, ThreadRunner(2), most_chips=2)


def test_everything_promised_is_written(run):
    out, record = run
    names = {path.name for path in out.iterdir()}
    rasters = {"change.tif", "change_score.tif", *(f"landcover_{day}.tif" for day in DATES)}
    tables = {f"patches.{suffix}" for suffix in ("gpkg", "shp", "geojson", "xlsx", "csv")}
    assert rasters | tables | {"evidence.json", "report.docx"} <= names
    assert {"change.png", "cover_after.png", "patches.png"} <= {path.name for path in (out / "maps").iterdir()}
    assert json.loads((out / "evidence.json").read_text(encoding="utf-8")) == record
    assert is_sealed(record)
    assert any("松" in p.text or "县" in p.text for p in Document(str(out / "report.docx")).paragraphs)


def test_ranges_hold_their_values_and_nets_their_flows(run):
    _, record = run
    for key in ("areas_before", "areas_after", "gain", "loss", "net"):
        assert set(record[key]) == set(LAND_CLASSES.values())
        for area in record[key].values():
            low, high = area["bounds"]
            assert low <= area["value_m2"] <= high
    for name in LAND_CLASSES.values():
        gain, loss, net = (record[key][name]["value_m2"] for key in ("gain", "loss", "net"))
        assert gain - loss == net
        assert net == record["areas_after"][name]["value_m2"] - record["areas_before"][name]["value_m2"]


def test_found_change_lies_where_it_was_simulated(run, root):
    """Most ground of patches that change class did change class, by the county's own labels.

    Patches that keep their class (type QT: rotated crops, mostly) are listed too, with the lowest grade.
    """
    out, record = run
    labels = {day: read_raster(root / "labels" / f"landcover_{day}.tif").data[0] for day in DATES}
    truth = labels[DATES[0]] != labels[DATES[1]]
    table = gpd.read_file(out / "patches.geojson")
    assert 0 < record["patches"]["count"] == len(table)
    moved = table[table["BHLX"] != "QT"]
    found = rasterize(moved, read_raster(out / "change.tif").grid, values=np.ones(len(moved), int)) > 0
    assert truth[found].mean() > 0.5
    assert set(table.loc[table["BHLX"] == "QT", "GRADE"]) <= {"C"}
    assert record["patches"]["area_m2"]["value_m2"] == pytest.approx(table["MJ_M2"].sum(), abs=1)


def test_zones_and_towns_are_measured(run):
    _, record = run
    kinds = {zone["zone_type"] for zone in record["zones"]}
    assert {"basic_farmland"} <= kinds
    for zone in record["zones"]:
        assert 0 <= zone["overlap"]["value_m2"] <= zone["area_m2"]
        assert len(zone["patch_ids"]) == zone["patches"]
    assert record["towns"] and all(set(town["net"]) == set(LAND_CLASSES.values()) for town in record["towns"])


def test_accuracy_is_that_of_held_out_blocks(run):
    _, record = run
    assert [block["date"] for block in record["accuracy"]] == list(DATES)
    assert all(0.4 < block["overall"] < 1 for block in record["accuracy"])


def test_same_inputs_give_the_same_bytes(run, root, tmp_path):
    out, _ = run
    analyze(open_workspace(root), REQUEST, tmp_path, ThreadRunner(1), most_chips=2)
    for name in ("evidence.json", "report.docx", "patches.csv", "change_score.tif", "maps/change.png"):
        assert (tmp_path / name).read_bytes() == (out / name).read_bytes(), name


def test_finished_rasters_are_kept_and_those_of_other_inputs_are_not(run, root, tmp_path):
    out, record = run
    work = tmp_path / "again"
    shutil.copytree(out, work)
    raster = work / f"landcover_{DATES[0]}.tif"
    before = raster.stat().st_mtime_ns
    assert analyze(open_workspace(root), REQUEST, work, ThreadRunner(1), most_chips=2) == record
    assert raster.stat().st_mtime_ns == before
    other = analyze(open_workspace(root), Request(*DATES, seed=1), work, ThreadRunner(1), most_chips=0)
    assert raster.stat().st_mtime_ns > before
    assert other["evidence_id"] != record["evidence_id"]


def test_without_labels_the_rules_speak_and_the_matrix_is_what_counting_gives(root, tmp_path):
    """Without a county layer the whole scene counts: each cell of the matrix equals adding pixel areas with numpy."""
    out = tmp_path / "out"
    shutil.copytree(root, tmp_path / "w")
    shutil.rmtree(tmp_path / "w" / "labels")
    (tmp_path / "w" / "zones" / "county.gpkg").unlink()
    record = analyze(open_workspace(tmp_path / "w"), REQUEST, out, ThreadRunner(1), most_chips=0)
    assert "SPECTRAL_RULES" in record["caveats"]
    assert record["accuracy"] == []
    names = ("change.tif", *(f"landcover_{day}.tif" for day in DATES))
    change, before, after = (read_raster(out / name).data[0] for name in names)
    grid = read_raster(out / "change.tif").grid
    hybrid = np.where(change == 1, before, np.where(change == 2, after, 0))
    matrix = np.zeros((8, 8))
    np.add.at(matrix, (before, hybrid), block_areas_m2(grid, Block(0, 0, *grid.shape_hw)))
    np.testing.assert_allclose(record["transition_m2"], matrix, rtol=1e-6)
    assert all(record["checks"].values())


def test_interpreted_samples_replace_pixel_counts(run, root, tmp_path):
    """A sample of the later land cover, interpreted without fault: intervals instead of ranges, another evidence id."""
    out, record = run
    shutil.copytree(root, tmp_path / "w")
    shutil.copytree(out, tmp_path / "out")
    cover = tmp_path / "out" / f"landcover_{DATES[1]}.tif"
    design = draw_sample(Target("landcover", (cover,)), 600, 0, ThreadRunner(1))
    sheet = tmp_path / "w" / "samples" / "cover.xlsx"
    write_sample(sheet, design, read_raster(cover).grid.crs)
    truth = read_raster(root / "labels" / f"landcover_{DATES[1]}.tif").data[0]
    book = load_workbook(sheet)
    page = book[SHEET]
    for row, point in enumerate(design.points, start=3):
        page[f"F{row}"] = LAND_CLASS_NAMES[LAND_CLASSES[int(truth[point.row, point.col])]]["zh"]
    book.save(sheet)
    again = analyze(open_workspace(tmp_path / "w"), REQUEST, tmp_path / "out", ThreadRunner(1), most_chips=0)
    assert again["evidence_id"] != record["evidence_id"] and len(again["estimates"]) == 1
    area = again["areas_after"]["cropland"]
    true_m2 = (truth[read_raster(cover).data[0] > 0] == 1).sum() * 100
    assert area["n_samples"] == 600
    assert area["ci95"][0] < area["value_m2"] < area["ci95"][1]
    assert area["value_m2"] == pytest.approx(true_m2, rel=0.15)
    assert again["areas_before"] == record["areas_before"]


def test_nothing_found_is_a_result_too(root, tmp_path):
    """No patch reaches a minimum of a million pixels: the tables are empty, everything is written."""
    record = analyze(open_workspace(root), Request(*DATES, mmu_px=10**6), tmp_path, ThreadRunner(1))
    assert record["patches"]["count"] == 0 and record["patches"]["below_mmu_count"] > 0
    assert all(zone["patches"] == 0 and zone["overlap"]["value_m2"] == 0 for zone in record["zones"])
    assert len(gpd.read_file(tmp_path / "patches.geojson")) == 0
    assert (tmp_path / "report.docx").is_file()


def test_a_band_too_few_leaves_spectral_change(root, tmp_path):
    """Rules need short-wave infrared; without it and without labels there is no land cover, but still change."""
    shutil.copytree(root, tmp_path / "w")
    shutil.rmtree(tmp_path / "w" / "labels")
    for path in (tmp_path / "w" / "scenes").glob("*/bands.tif"):
        raster = read_raster(path, bands=range(4))
        write_raster(path, raster)
    record = analyze(open_workspace(tmp_path / "w"), REQUEST, tmp_path / "out", ThreadRunner(1), most_chips=0)
    assert "CLASS_NOT_SEPARABLE" in record["caveats"] and "transition_m2" not in record
    assert record["patches"]["count"] > 0


def test_a_folder_of_somebody_else_is_left_alone(root, tmp_path):
    (tmp_path / "change.tif").write_bytes(b"mine")
    with pytest.raises(InputError, match="choose another --out"):
        analyze(open_workspace(root), REQUEST, tmp_path, ThreadRunner(1))
    assert (tmp_path / "change.tif").read_bytes() == b"mine"


def test_uncalibrated_numbers_give_spectral_change_alone(root, tmp_path):
    shutil.copytree(root, tmp_path / "w")
    shutil.rmtree(tmp_path / "w" / "labels")
    for path in (tmp_path / "w" / "scenes").glob("*/scene.json"):
        values = json.loads(path.read_text(encoding="utf-8")) | {"quantity": "dn", "caveats": ["DN_ONLY"]}
        path.write_text(json.dumps(values), encoding="utf-8")
    record = analyze(open_workspace(tmp_path / "w"), REQUEST, tmp_path / "out", ThreadRunner(1), most_chips=0)
    assert "DN_ONLY" in record["caveats"] and "transition_m2" not in record
    assert record["patches"]["count"] > 0
    assert (tmp_path / "out" / "report.docx").is_file()


def test_one_zone_alone(root, tmp_path, run):
    record = analyze(
        open_workspace(root), Request(*DATES, zone="basic_farmland"), tmp_path, ThreadRunner(1), most_chips=0
    )
    whole = run[1]
    farmland = next(zone for zone in whole["zones"] if zone["zone_type"] == "basic_farmland")
    total = sum(area["value_m2"] for area in record["areas_before"].values())
    assert total == pytest.approx(farmland["covered_m2"], rel=0.02)
    assert record["patches"]["count"] <= whole["patches"]["count"]


@pytest.mark.slow
def test_dask_gives_the_same_evidence(run, root, tmp_path):
    from dask.distributed import Client, LocalCluster

    out, record = run
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster, Client(cluster) as client:
        assert analyze(open_workspace(root), REQUEST, tmp_path, DaskRunner(client), most_chips=2) == record
    assert (tmp_path / "change_score.tif").read_bytes() == (out / "change_score.tif").read_bytes()


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--before", "2020-01-01", "--after", DATES[1]], "dates: 2023-09-20, 2024-09-25"),
        (["--before", DATES[1], "--after", DATES[0]], "2023-09-20"),
        (["--before", DATES[0], "--after", DATES[1], "--zone", "nowhere"], "no such zone"),
    ],
)
def test_bad_input_is_explained(root, tmp_path, flags, words):
    command = [sys.executable, "-m", "src.geo.analyze", "--workspace", str(root), "--out", str(tmp_path), *flags]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert words in done.stderr
