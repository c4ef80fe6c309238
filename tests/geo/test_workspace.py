"""A workspace takes a county's files in, says what it understood, and refuses the rest with the reason."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import rasterio
from affine import Affine
from shapely.geometry import box

from src.errors import InputError, LegendError, MissingPathError
from src.geo.blocks import ThreadRunner
from src.geo.scenes.products import Given
from src.geo.simulate import simulate_county
from src.geo.workspace import Options, Workspace, add, init_workspace, open_workspace
from src.geo.workspace_cli import main
from src.geo.workspace_status import describe, measure_status

ROLES = ("blue", "green", "red", "nir", "swir1", "swir2")
ONE_THREAD = ThreadRunner(1)


@pytest.fixture
def space(tmp_path: Path) -> Workspace:
    return init_workspace(tmp_path / "space", name="盐亭县", code="510723")


def take(space: Workspace, path: Path, *, kind: str | None = None, name: str | None = None, **more) -> Path:
    """Add one file; what concerns scenes goes to Given, the rest to Options."""
    own = {key: more.pop(key) for key in ("label_column", "crosswalk", "zone_type") if key in more}
    (added,) = add(space, path, Options(Given(**more), kind, name, **own), ONE_THREAD)
    return space.root / added


def write(path: Path, data: np.ndarray, names: tuple[str, ...] = (), **more) -> Path:
    count, height, width = data.shape
    profile = {"driver": "GTiff", "count": count, "height": height, "width": width, "dtype": data.dtype.name}
    profile |= {"crs": "EPSG:32648", "transform": Affine(30, 0, 500_000, 0, -30, 3_400_000)} | more
    with rasterio.open(path, "w", **profile) as sink:
        sink.write(data)
        if names:
            sink.descriptions = names
    return path


def scene_file(path: Path, value: int = 1500, side: int = 8) -> Path:
    return write(path, np.full((6, side, side), value, np.uint16))


def add_scene(space: Workspace, path: Path, day: str) -> Path:
    return take(space, path, bands=ROLES, scale=1e-4, date=day)


def layer(path: Path, columns: dict[str, list[object]], cells: list[tuple[float, float, float, float]]) -> Path:
    """Boxes in metres from the upper left corner of the scenes above."""
    shapes = [box(500_000 + x0, 3_400_000 - y1, 500_000 + x1, 3_400_000 - y0) for x0, y0, x1, y1 in cells]
    gpd.GeoDataFrame(columns, geometry=shapes, crs="EPSG:32648").to_file(path)
    return path


# --- the folder itself ---


def test_init_and_open(space):
    assert open_workspace(space.root) == space
    assert sorted(path.name for path in space.root.iterdir()) == [
        *("cache", "labels", "outputs", "samples", "scenes", "workspace.yaml", "zones")
    ]
    assert space.scenes() == () and space.zones() == {} and space.labels() == () and space.samples() == {}


def test_workspace_yaml_may_be_written_by_hand(tmp_path):
    (tmp_path / "workspace.yaml").write_text(
        "# 备注\nname: 盐亭县\ncode: '010723'\n\nas_of: 2024-12-31\n", encoding="utf-8"
    )
    assert open_workspace(tmp_path) == Workspace(tmp_path, "盐亭县", "010723", "2024-12-31")


def test_bad_workspaces_are_refused(space, tmp_path):
    with pytest.raises(InputError, match="is a workspace already"):
        init_workspace(space.root)
    with pytest.raises(InputError, match="six digits"):
        init_workspace(tmp_path / "a", code="51")
    with pytest.raises(InputError, match="as_of"):
        init_workspace(tmp_path / "a", as_of="today")
    with pytest.raises(MissingPathError, match=r"no workspace\.yaml"):
        open_workspace(tmp_path / "a")
    (space.root / "workspace.yaml").write_text("name")
    with pytest.raises(InputError, match="key: value"):
        open_workspace(space.root)


# --- scenes ---


def test_scenes_come_by_date(space, tmp_path):
    for value, day in ((1500, "2024-09-25"), (1600, "2023-09-20")):
        add_scene(space, scene_file(tmp_path / f"{value}.tif", value), day)
    assert [scene.record.date for scene in space.scenes()] == ["2023-09-20", "2024-09-25"]
    assert space.scene("2024-09-25").record.id == "generic_2024-09-25"
    with pytest.raises(InputError, match=r"no scene of 2022-01-01; dates: 2023-09-20, 2024-09-25"):
        space.scene("2022-01-01")
    assert list(space.cache.iterdir()) == []


def test_a_scene_under_work_is_not_listed(space, tmp_path):
    done = add_scene(space, scene_file(tmp_path / "a.tif"), "2024-09-25")
    (done.parent / ".x.partial").mkdir()
    (done.parent / ".x.partial" / "scene.json").write_text("{")
    assert len(space.scenes()) == 1


# --- zones, labels, samples ---


def test_a_zone_layer_is_known_by_its_columns(space, tmp_path):
    path = layer(tmp_path / "layer.gpkg", {"XZQMC": ["云溪镇"], "XZQDM": ["510723100"]}, [(0, 0, 90, 90)])
    stored = take(space, path)
    zones = gpd.read_file(stored)
    assert stored == space.zones()["layer"] and zones.crs.to_epsg() == 4490
    assert zones.loc[0, ["zone_type", "name"]].tolist() == ["town", "云溪镇"]


def test_a_vector_that_nothing_explains_is_asked_about(space, tmp_path):
    path = layer(tmp_path / "shapes.gpkg", {"a": [1]}, [(0, 0, 90, 90)])
    with pytest.raises(InputError, match="give --as zone .* or --as labels"):
        take(space, path)
    stored = take(space, path, kind="zone", zone_type="reserve", name="青龙保护区")
    assert stored.name == "青龙保护区.gpkg" and gpd.read_file(stored).loc[0, "zone_type"] == "reserve"


def test_land_survey_parcels_become_labels(space, tmp_path):
    path = layer(
        tmp_path / "DLTB.gpkg", {"DLBM": ["0101", "0101", "0301K"]}, [(0, 0, 9, 9), (9, 0, 18, 9), (18, 0, 27, 9)]
    )
    take(space, path, date="2023-12-31")
    (record,) = space.labels()
    assert (record.kind, record.crosswalk, record.column, record.date) == ("vector", "sandiao", "DLBM", "2023-12-31")
    assert record.counts == {"0101": 2, "0301K": 1} and record.classes == {"cropland": 2, "forest": 1}


def test_other_label_vectors_need_column_and_crosswalk(space, tmp_path):
    path = layer(tmp_path / "points.gpkg", {"cover": ["forest", "water"]}, [(0, 0, 9, 9), (9, 0, 18, 9)])
    with pytest.raises(InputError, match="give --label-column, one of cover"):
        take(space, path, kind="labels")
    with pytest.raises(LegendError, match="give --crosswalk"):
        take(space, path, kind="labels", label_column="cover")
    take(space, path, kind="labels", label_column="cover", crosswalk="canonical")
    assert space.labels()[0].classes == {"forest": 1, "water": 1}


def test_label_rasters_keep_their_codes(space, tmp_path):
    data = np.array([[[10, 10, 40], [50, 80, 0]]], np.uint8)
    path = write(tmp_path / "wc.tif", data, nodata=0)
    with pytest.raises(InputError, match="say --as labels"):
        take(space, path)
    with pytest.raises(LegendError, match="what do its codes mean"):
        take(space, path, kind="labels")
    with pytest.raises(LegendError, match="codes are not in the crosswalk"):
        take(space, path, kind="labels", crosswalk="clcd")
    assert space.labels() == () and list((space.root / "labels").iterdir()) == []
    stored = take(space, path, kind="labels", crosswalk="worldcover")
    (record,) = space.labels()
    assert record.counts == {"10": 2, "40": 1, "50": 1, "80": 1}
    assert record.classes == {"cropland": 1, "forest": 2, "water": 1, "built": 1}
    with rasterio.open(stored) as source:
        assert np.array_equal(source.read(), data) and source.nodata == 0


def test_a_raster_of_measurements_is_no_label_layer(space, tmp_path):
    with pytest.raises(InputError, match="more than 1000 different values"):
        path = write(tmp_path / "dem.tif", np.arange(2500, dtype=np.int16).reshape(1, 50, 50))
        take(space, path, kind="labels", crosswalk="clcd")
    assert space.labels() == ()
    with pytest.raises(InputError, match="one band of class codes"):
        take(space, scene_file(tmp_path / "a.tif"), kind="labels", crosswalk="clcd")


def test_sample_sheets_are_copied_with_their_design(space, tmp_path):
    with zipfile.ZipFile(tmp_path / "points.xlsx", "w") as book:
        book.writestr("xl/workbook.xml", "<x/>")
    (tmp_path / "points.design.json").write_text("{}")
    take(space, tmp_path / "points.xlsx")
    assert list(space.samples()) == ["points"]
    assert sorted(path.name for path in (space.root / "samples").iterdir()) == ["points.design.json", "points.xlsx"]
    (tmp_path / "bad.xlsx").write_text("a,b")
    with pytest.raises(InputError, match="Excel sheet"):
        take(space, tmp_path / "bad.xlsx")


def test_a_zipped_shapefile_set(space, tmp_path):
    layer(tmp_path / "YJJBNTTB.shp", {"YJJBNTTBBH": ["1"]}, [(0, 0, 90, 90)])
    with zipfile.ZipFile(tmp_path / "jbnt.zip", "w") as archive:
        for file in tmp_path.glob("YJJBNTTB.*"):
            archive.write(file, file.name)
    stored = take(space, tmp_path / "jbnt.zip")
    assert gpd.read_file(stored).loc[0, "zone_type"] == "basic_farmland"


def test_names_cannot_lead_out_of_the_workspace(space, tmp_path):
    path = layer(tmp_path / "towns.gpkg", {"XZQMC": ["a"]}, [(0, 0, 90, 90)])
    assert take(space, path, name="../../云溪").parent == space.root / "zones"
    with pytest.raises(InputError, match="no letters or digits"):
        take(space, path, name=" .. ")


# --- a simulated county, status ---


@pytest.mark.parametrize(("sensor", "quantity_level"), [("sentinel2_l2a", "L2A"), ("landsat8", "L2SP")])
def test_a_simulated_county_is_added_whole_and_once(tmp_path, sensor, quantity_level):
    county = simulate_county(
        tmp_path / "county", seed=3, size=64, sensor=sensor, dates=["2023-09-20", "2024-09-25"], crs="EPSG:32648"
    )
    space = init_workspace(tmp_path / "space")
    add(space, tmp_path / "county", Options(), ONE_THREAD)
    add(space, tmp_path / "county", Options(), ONE_THREAD)
    space = open_workspace(space.root)
    assert space.name == county["name"]
    assert [scene.record.level for scene in space.scenes()] == [quantity_level] * 2
    assert [record.date for record in space.labels()] == ["2023-09-20", "2024-09-25"]
    assert sum(space.labels()[0].counts.values()) == 64 * 64
    assert set(space.zones()) == {Path(name).stem for name in county["files"] if name.startswith("zones/")}
    # Reflectance is the stored number, scaled: 1e-4 less 0.1, or 2.75e-5 less 0.2.
    scene = space.scenes()[0]
    with rasterio.open(tmp_path / "county" / county["scenes"][0]["image"]) as source:
        numbers = source.read().astype(float)
    scale, offset = (1e-4, -0.1) if sensor == "sentinel2_l2a" else (2.75e-5, -0.2)
    assert scene.read() == pytest.approx(numbers * scale + offset, abs=5.1e-5)
    status = measure_status(space)
    assert 0 <= status.scenes[0].zones["county"] <= 1
    assert status.scenes[0].zones["county"] == pytest.approx(scene.record.clear_share, abs=0.25)


def test_a_county_record_that_names_files_outside_is_refused(space, tmp_path):
    county = {"name": "x", "sensor": "landsat8", "files": ["zones/../../secret.gpkg"], "scenes": []}
    (tmp_path / "county.json").write_text(json.dumps(county))
    with pytest.raises(InputError, match="outside its folder"):
        add(space, tmp_path, Options(), ONE_THREAD)
    (tmp_path / "county.json").write_text("{}")
    with pytest.raises(InputError, match="not the record of a simulated county"):
        add(space, tmp_path, Options(), ONE_THREAD)


def test_status_tells_clear_shares_of_zones_and_gaps(space, tmp_path):
    mask = write(tmp_path / "m.tif", np.array([[[1, 1, 0, 0]] * 4], np.uint8))
    for value, day in ((1500, "2024-01-05"), (1600, "2024-04-05")):
        path = scene_file(tmp_path / f"{value}.tif", value, 4)
        take(space, path, bands=ROLES, scale=1e-4, date=day, mask=mask, mask_kind="clear")
    # The left half is clear. One town lies in it, one half in and half beyond the scene, one nowhere near.
    for name, cell in {"in": (0, 0, 60, 120), "half": (-60, 0, 60, 120), "off": (9000, 0, 9060, 60)}.items():
        take(space, layer(tmp_path / f"{name}.gpkg", {"XZQMC": ["镇"]}, [cell]), kind="zone", zone_type="town")
    status = measure_status(space)
    assert status.scenes[0].zones == pytest.approx({"in": 1.0, "half": 0.5, "off": 0.0}, abs=0.01)
    assert status.gaps == ("2024-02", "2024-03")
    chinese, english = describe(status, "zh"), describe(status, "en")
    assert (
        "无清晰影像的月份：2024-02..2024-03" in chinese and "months without a clear image: 2024-02..2024-03" in english
    )
    assert "clear 50.0%" in english and "影像 2 景" in chinese
    assert json.loads(json.dumps(status.to_json()))["scenes"][0]["record"]["date"] == "2024-01-05"


def test_status_says_what_a_figure_from_a_scene_must_say(space, tmp_path):
    add_scene(space, scene_file(tmp_path / "a.tif"), "2024-09-25")
    chinese, english = describe(measure_status(space), "zh"), describe(measure_status(space), "en")
    assert "CLOUD_SCREEN" in chinese and "说明：比例系数 0.0001、偏移 0 由用户给出\n" in chinese
    assert "note: scale 0.0001 and offset 0 given by the user\n" in english
    assert measure_status(init_workspace(tmp_path / "empty")).gaps == ()


# --- the command ---


@pytest.fixture
def command(monkeypatch):
    """Runs the command in this process, without the settings that a process keeps for good."""
    monkeypatch.setattr("src.geo.workspace_cli.harden_process", lambda: None)

    def run(*args: object) -> None:
        monkeypatch.setattr(sys, "argv", ["workspace", *map(str, args)])
        main()

    return run


def test_the_command_end_to_end(tmp_path, command, capsys):
    space, path = tmp_path / "w", scene_file(tmp_path / "a.tif")
    command("init", space, "--name", "盐亭县", "--code", "510723")
    bands = ",".join(ROLES)
    command("add", space, path, "--bands", bands, "--scale", "0.0001", "--date", "2024-09-25", "--workers", "1")
    assert "added scenes/generic_2024-09-25: 2024-09-25; generic; unknown" in capsys.readouterr().out
    command("status", space, "--json")
    assert json.loads(capsys.readouterr().out)["workspace"]["code"] == "510723"
    command("status", space)
    assert "工作区 盐亭县 510723" in capsys.readouterr().out


def test_the_command_asks_in_one_line_and_exits_with_2(tmp_path):
    init_workspace(tmp_path / "w")
    run = [sys.executable, "-m", "src.geo.workspace", "add", str(tmp_path / "w"), str(scene_file(tmp_path / "a.tif"))]
    asked = subprocess.run(run, capture_output=True, text=True, check=False)
    assert asked.returncode == 2 and asked.stderr.startswith("InputError: a.tif") and "give --sensor" in asked.stderr
    assert asked.stderr.count("\n") == 1


@pytest.mark.parametrize("words", [[], ["init"], ["add"], ["status"]])
def test_help(command, capsys, words):
    with pytest.raises(SystemExit) as end:
        command(*words, "--help")
    assert end.value.code == 0 and "usage" in capsys.readouterr().out
