"""The simulated county: same seed, same county; truth that adds up; pixels that look like what they are."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from src.constants import LAND_CLASS_IDS, LAND_CLASSES
from src.errors import InputError
from src.geo.areas import class_areas_m2, pixel_areas_m2
from src.geo.raster import read_raster
from src.geo.sensors import SENSORS, clear_mask, to_reflectance
from src.geo.simulate import simulate_county
from src.geo.simulation.cover import Crop
from src.geo.vector import read_vector

S2, L8 = "sentinel2_l2a", "landsat8"
DATES = ["2023-07-20", "2024-07-25"]
ZONES = ("county", "towns", "river_scope", "reserve", "basic_farmland")


def simulate(out: Path, **changes) -> dict:
    options = {"seed": 9, "size": 128, "sensor": S2, "dates": DATES, "crs": "EPSG:32648"} | changes
    return simulate_county(out, **options)


@pytest.fixture(scope="module")
def hills(tmp_path_factory):
    """County 9 (hills) with 10 % cloud: folder and record."""
    out = tmp_path_factory.mktemp("county") / "hills"
    return out, simulate(out, cloud_share=0.1)


def digest(out: Path, county: dict) -> str:
    """Hash of all rasters' pixels and all truth."""
    total = hashlib.sha256(json.dumps(county["truth"]).encode())
    for name in county["files"]:
        if name.endswith(".tif"):
            total.update(read_raster(out / name).data.tobytes())
        else:
            layer = read_vector(out / name)
            total.update(layer.geometry.to_wkb().sum() + layer.drop(columns="geometry").to_json().encode())
    return total.hexdigest()


def test_same_seed_same_county_and_other_seed_another(hills, tmp_path):
    out, county = hills
    again = simulate(tmp_path / "again", cloud_share=0.1)
    other = simulate(tmp_path / "other", cloud_share=0.1, seed=10)
    assert digest(tmp_path / "again", again) == digest(out, county)
    assert again == county
    assert digest(tmp_path / "other", other) != digest(out, county)
    assert other["landform"] == "urban_fringe" and county["landform"] == "hills"
    assert other["bounds"] != county["bounds"]


def test_layout_on_disk_and_what_the_rasters_say_of_themselves(hills):
    out, county = hills
    assert json.loads((out / "county.json").read_text(encoding="utf-8")) == county
    for day in DATES:
        scene = read_raster(out / f"scenes/{S2}_{day}.tif")
        assert scene.data.dtype == np.uint16 and scene.data.shape == (6, 128, 128)
        assert scene.band_names == ("B02", "B03", "B04", "B08", "B11", "B12")
        assert (scene.date, scene.sensor, scene.baseline, scene.nodata) == (day, S2, "05.00", 0)
        assert scene.valid.all()
        mask = read_raster(out / f"scenes/{S2}_{day}_mask.tif")
        labels = read_raster(out / f"labels/landcover_{day}.tif")
        assert mask.data.dtype == labels.data.dtype == np.uint8
        assert scene.grid.same_as(mask.grid) and scene.grid.same_as(labels.grid)
        assert set(np.unique(labels.data)) <= set(LAND_CLASSES)
        assert read_vector(out / f"labels/objects_{day}.gpkg").crs.to_epsg() == 32648
    assert sorted(p.stem for p in (out / "zones").glob("*.gpkg")) == sorted(ZONES)
    listed = {out / name for name in county["files"]} | {out / "county.json"}
    assert {p for p in out.rglob("*") if p.is_file()} == listed


def test_grid_lies_on_whole_pixels_in_the_asked_crs(tmp_path):
    for crs, code in (("EPSG:32648", 32648), ("EPSG:4544", 4544)):
        county = simulate(tmp_path / str(code), crs=crs, size=64, dates=DATES[:1])
        grid = read_raster(tmp_path / str(code) / county["scenes"][0]["image"]).grid
        assert grid.crs.to_epsg() == code
        assert (grid.transform.a, grid.transform.e) == (10.0, -10.0)
        assert grid.transform.c % 10 == 0 and grid.transform.f % 10 == 0
        assert list(grid.bounds()) == county["bounds"]


def test_truth_areas_changes_and_zones_add_up(hills):
    out, county = hills
    truth = county["truth"]
    grid = read_raster(out / f"labels/landcover_{DATES[0]}.tif").grid
    scene_m2 = float(np.broadcast_to(pixel_areas_m2(grid), grid.shape_hw).sum())
    for day in DATES:
        assert sum(truth["areas_m2"][day].values()) == pytest.approx(scene_m2, rel=1e-9)
    (pair,) = truth["change_m2"]
    assert pair == "/".join(DATES)
    matrix = truth["change_m2"][pair]
    for name in LAND_CLASSES.values():
        row = sum(matrix[name].values())
        column = sum(matrix[start][name] for start in LAND_CLASSES.values())
        assert row == pytest.approx(truth["areas_m2"][DATES[0]][name], abs=1e-3)
        assert column == pytest.approx(truth["areas_m2"][DATES[1]][name], abs=1e-3)
    changed = sum(m2 for a, row in matrix.items() for b, m2 in row.items() if a != b)
    assert 0.01 < changed / scene_m2 < 0.15
    zones = truth["zones"]
    for features in zones.values():
        for zone in features:
            assert sum(zone["areas_m2"][DATES[0]].values()) == pytest.approx(zone["area_m2"], abs=1e-3)
            total = sum(sum(row.values()) for row in zone["change_m2"][pair].values())
            assert total == pytest.approx(zone["area_m2"], abs=1e-3)
    county_m2 = zones["county"][0]["area_m2"]
    assert 0.8 * scene_m2 < county_m2 < scene_m2
    assert sum(zone["area_m2"] for zone in zones["towns"]) == pytest.approx(county_m2, rel=1e-3)
    assert [zone["part"] for zone in zones["reserve"]] == ["core", "buffer", "experimental"]
    overlap = truth["zone_overlaps_m2"]["river_scope&reserve"]
    assert 0 <= overlap <= zones["river_scope"][0]["area_m2"]


def test_zone_areas_match_their_polygons(hills):
    """Counting cells and measuring the polygon on the ellipsoid agree (UTM scale and cell edges apart)."""
    out, county = hills
    for layer in ("county", "towns", "reserve"):
        polygons = read_vector(out / f"zones/{layer}.gpkg")
        assert polygons.is_valid.all()
        for polygon, zone in zip(polygons.geometry, county["truth"]["zones"][layer], strict=True):
            assert zone["area_m2"] == pytest.approx(polygon.area, rel=0.02)


def test_label_rasters_carry_the_truth(hills):
    out, county = hills
    for day in DATES:
        labels = read_raster(out / f"labels/landcover_{day}.tif")
        measured = class_areas_m2(labels.data[0], labels.grid)
        for code, name in LAND_CLASSES.items():
            assert measured.get(code, 0.0) == pytest.approx(county["truth"]["label_areas_m2"][day][name])
            # Majority labels lose thin things; a wrong class code would be off by far more.
            gap = abs(measured.get(code, 0.0) - county["truth"]["areas_m2"][day][name])
            assert gap < 0.04 * sum(measured.values())


def test_basic_farmland_is_cropland_and_loses_some(hills):
    _, county = hills
    zones = county["truth"]["zones"]["basic_farmland"]
    total = sum(zone["area_m2"] for zone in zones)
    cropland = sum(zone["areas_m2"][DATES[0]]["cropland"] for zone in zones)
    later = sum(zone["areas_m2"][DATES[1]]["cropland"] for zone in zones)
    assert 0.85 * total < cropland
    assert later < cropland


def test_mask_flags_every_cloud_and_nothing_without_clouds(hills, tmp_path):
    out, county = hills
    shares = []
    for scene in county["scenes"]:
        image = read_raster(out / scene["image"])
        clear = clear_mask(read_raster(out / scene["mask"]).data[0], SENSORS[S2])
        rho = to_reflectance(image, SENSORS[S2])
        assert not clear[rho[0] > 0.45].any()
        assert rho[0][~clear].max() > 0.45
        assert clear.mean() == pytest.approx(scene["clear_share"], abs=1e-4)
        shares.append(1 - clear.mean())
    assert 0.03 < np.mean(shares) < 0.4
    cloudless = simulate(tmp_path, cloud_share=0.0, dates=DATES[:1], size=64)
    codes = np.unique(read_raster(tmp_path / cloudless["scenes"][0]["mask"]).data)
    assert set(codes) <= {2, 4, 5, 6, 7}


def test_landsat_bands_scaling_and_qa_words(tmp_path):
    county = simulate(tmp_path, sensor=L8, cloud_share=0.2, size=96, crs="EPSG:4544", dates=DATES[:1])
    scene = read_raster(tmp_path / county["scenes"][0]["image"])
    assert scene.band_names == ("SR_B2", "SR_B3", "SR_B4", "SR_B5", "SR_B6", "SR_B7")
    assert (scene.sensor, scene.grid.transform.a) == (L8, 30.0)
    rho = to_reflectance(scene, SENSORS[L8])
    qa = read_raster(tmp_path / county["scenes"][0]["mask"])
    assert qa.data.dtype == np.uint16
    assert set(np.unique(qa.data)) <= {21824, 21952, 22280, 23888, 21762}
    clear = clear_mask(qa.data[0], SENSORS[L8])
    assert not clear[qa.data[0] == 23888].any() and not clear[rho[0] > 0.45].any()
    assert 0.0 < np.median(rho[:, clear]) < 0.5


def pure_mean(out: Path, county: dict, day: int, name: str) -> np.ndarray:
    """Mean reflectance of clear pixels whose 3 x 3 neighbours all have the class too, (6,)."""
    scene = county["scenes"][day]
    labels = read_raster(out / scene["labels"]).data[0] == LAND_CLASS_IDS[name]
    clear = clear_mask(read_raster(out / scene["mask"]).data[0], SENSORS[county["sensor"]])
    inside = labels & clear
    for axis in (0, 1):
        inside = inside & np.roll(inside, 1, axis) & np.roll(inside, -1, axis)
    assert inside.sum() > 10, name
    return to_reflectance(read_raster(out / scene["image"]), SENSORS[county["sensor"]])[:, inside].mean(axis=1)


def test_pure_pixels_look_like_their_class(tmp_path):
    """Summer reflectance of pure pixels lies where the sources of spectra.py put it."""
    county = simulate(tmp_path, seed=24, size=192, dates=["2023-08-05"], cloud_share=0.0)
    rho = {name: pure_mean(tmp_path, county, 0, name) for name in ("cropland", "forest", "water", "built", "unused")}
    ndvi = {name: (r[3] - r[2]) / (r[3] + r[2]) for name, r in rho.items()}
    assert rho["water"][3] < 0.1 and rho["water"][4] < 0.05 and ndvi["water"] < 0
    assert ndvi["forest"] > 0.6 and rho["forest"][2] < 0.06
    assert ndvi["built"] < 0.35 and 0.08 < rho["built"][2] < 0.25
    assert ndvi["unused"] < 0.35 and rho["unused"][4] > rho["unused"][3]
    assert rho["forest"][1] < rho["cropland"][1] < rho["built"][1]


def test_seasons_change_pixels_where_cover_stays(tmp_path):
    county = simulate(tmp_path, seed=5, dates=["2024-01-15", "2024-04-20"], cloud_share=0.0)
    winter, spring = (read_raster(tmp_path / s["image"]) for s in county["scenes"])
    labels = [read_raster(tmp_path / s["labels"]).data[0] for s in county["scenes"]]
    same = (labels[0] == labels[1]) & (labels[0] == LAND_CLASS_IDS["cropland"])
    assert same.mean() > 0.3
    nir = [to_reflectance(r, SENSORS[S2])[3][same].mean() for r in (winter, spring)]
    assert nir[1] > nir[0] + 0.05


def test_all_classes_over_a_few_seeds_and_counties_differ(tmp_path):
    shares = {}
    for seed in (1, 2, 5, 8, 21):
        county = simulate(tmp_path / str(seed), seed=seed, dates=DATES[:1], size=96)
        areas = county["truth"]["areas_m2"][DATES[0]]
        shares[county["landform"]] = {name: m2 / sum(areas.values()) for name, m2 in areas.items()}
    assert set(shares) == {"lakes", "mountains", "plain", "orchards", "dryland"}
    for name in LAND_CLASSES.values():
        assert max(share[name] for share in shares.values()) > 0.05, name
    assert shares["mountains"]["forest"] > 0.4 > shares["plain"]["forest"]
    assert shares["plain"]["cropland"] > 0.4 > shares["mountains"]["cropland"]
    assert shares["lakes"]["water"] > 0.12 > shares["dryland"]["water"]
    assert shares["dryland"]["grassland"] > 0.2 and shares["orchards"]["garden"] > 0.2


def test_objects_lie_on_their_class(hills):
    out, county = hills
    objects = read_vector(out / f"labels/objects_{DATES[0]}.gpkg")
    assert objects.is_valid.all()
    assert {"village", "road", "river", "parcel"} <= set(objects.kind)
    class_of = dict(zip(objects.kind, objects.class_id, strict=True))
    assert (class_of["village"], class_of["road"], class_of["river"]) == (6, 6, 5)
    labels = read_raster(out / f"labels/landcover_{DATES[0]}.tif")
    large = objects[(objects.kind == "parcel") & (objects.area_m2 > 3000)]
    inside = [point.coords[0] for point in large.representative_point()]
    hits = [labels.data[0][int(row), int(col)] for col, row in (~labels.grid.transform @ xy for xy in inside)]
    assert np.mean(np.array(hits) == large.class_id.to_numpy()) > 0.9
    crops = set(objects[objects.class_id == 1].crop.dropna())
    assert crops <= {crop.name.lower() for crop in Crop} and len(crops) > 2
    assert set(objects[objects.kind.isin(["road", "stream"])].geom_type) == {"LineString"}


def test_a_new_county_replaces_the_old_one_but_nothing_else(tmp_path):
    simulate(tmp_path, size=64, dates=["2023-07-20"])
    (tmp_path / "scenes/mine.txt").write_text("keep")
    county = simulate(tmp_path, size=64, dates=["2024-07-20"])
    assert (tmp_path / "scenes/mine.txt").exists()
    assert sorted(p.name for p in (tmp_path / "scenes").glob("*.tif")) == [
        "sentinel2_l2a_2024-07-20.tif",
        "sentinel2_l2a_2024-07-20_mask.tif",
    ]
    assert county["dates"] == ["2024-07-20"]


def test_one_cloudy_date_leaves_the_others_as_they_are(tmp_path):
    plain = simulate(tmp_path / "plain", size=64, cloud_share=0.0)
    told: list[float] = []
    options = {"cloud_share": 0.0, "cloudy": {DATES[1]: 0.6}, "objects": False, "done": told.append}
    cloudy = simulate(tmp_path / "cloudy", size=64, **options)
    assert cloudy["truth"] == plain["truth"]
    assert [name for name in plain["files"] if "objects" not in name] == cloudy["files"]
    assert [one["clear_share"] == 1.0 for one in cloudy["scenes"]] == [True, False]
    first, second = (one["image"] for one in plain["scenes"])
    images = [[read_raster(tmp_path / run / name).data for run in ("plain", "cloudy")] for name in (first, second)]
    assert [bool((one == other).all()) for one, other in images] == [True, False]
    assert "--cloudy 2024-07-25=0.6 --no_objects" in cloudy["commands"][0] and "--cloudy" not in plain["commands"][0]
    assert told == sorted(told) and 0 < told[0] < told[-1] < 1


def test_a_foreign_county_json_is_left_alone(tmp_path):
    (tmp_path / "county.json").write_text("{}")
    with pytest.raises(InputError, match="not the record of a simulated county"):
        simulate(tmp_path, size=64)
    assert (tmp_path / "county.json").read_text() == "{}"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"seed": -1}, "seed -1"),
        ({"size": 32}, "size 32"),
        ({"sensor": "spot"}, "unknown sensor 'spot'"),
        ({"cloud_share": 1.0}, "cloud share 1.0"),
        ({"dates": []}, r"\(none\)"),
        ({"dates": ["2024-02-30"]}, "ISO dates"),
        ({"dates": ["2024-02-20", "2024-02-20"]}, "each once"),
        ({"cloudy": {"2024-01-01": 0.5}}, "cloudy dates"),
        ({"cloudy": {"2024-07-25": 1.5}}, "cloudy dates"),
        ({"crs": "utm48"}, "expected EPSG:<code>"),
        ({"crs": "EPSG:999999"}, "not known"),
        ({"crs": "EPSG:4490"}, "projected CRS in metres"),
        ({"crs": "EPSG:32748"}, "projected CRS in metres"),
    ],
)
def test_bad_arguments_are_named_and_nothing_is_written(tmp_path, changes, words):
    with pytest.raises(InputError, match=words):
        simulate(tmp_path / "out", **changes)
    assert not (tmp_path / "out").exists()


def test_command_line(tmp_path, repo):
    def run(*args: str) -> subprocess.CompletedProcess:
        command = [sys.executable, "-m", "src.geo.simulate", *args]
        return subprocess.run(command, cwd=repo, capture_output=True, text=True, encoding="utf-8")

    shown = run("--help")
    assert shown.returncode == 0
    for flag in ("--out", "--seed", "--size", "--sensor", "--dates", "--crs", "--cloud_share", "--cloudy"):
        assert flag in shown.stdout
    done = run("--out", str(tmp_path / "c"), "--size", "64", "--seed", "3", "--dates", "2023-07-20, 2024-07-20")
    assert done.returncode == 0 and "2 dates" in done.stdout
    assert json.loads((tmp_path / "c/county.json").read_text(encoding="utf-8"))["seed"] == 3
    bad = run("--out", str(tmp_path / "d"), "--sensor", "spot")
    assert bad.returncode == 2 and "unknown sensor 'spot'" in bad.stderr and not (tmp_path / "d").exists()
