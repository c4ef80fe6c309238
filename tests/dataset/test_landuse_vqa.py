"""The command end to end: inputs, chips, spatial splits, rows, errors."""

import itertools
import json
import sys

import geopandas as gpd
import numpy as np
import pyproj
import pytest
import rasterio
from affine import Affine
from shapely.geometry import box

from src.constants import LAND_CLASS_NAMES, LAND_CLASSES
from src.dataset.landuse_chips import assign_blocks, lattice
from src.dataset.landuse_places import load_crosswalk, read_labels
from src.dataset.landuse_vqa import SPLITS, main
from src.errors import run_command
from src.geo.grid import Grid, Raster
from src.geo.raster import read_raster, write_raster
from src.geo.simulate import simulate_county
from src.geo.vector import write_vector

CROPLAND, FOREST, WATER, BUILT = 1, 3, 5, 6
DATES = ("2023-09-20", "2024-09-25")


def grid_of(side, pixel_m=10.0, x=500000.0):
    return Grid(pyproj.CRS.from_epsg(32648), Affine(pixel_m, 0, x, 0, -pixel_m, 3400000), (side, side))


def labels_of(side, seed=0):
    """Patches of 16 x 16 pixels of cropland, forest, water and built-up land."""
    cells = np.random.default_rng(seed).choice(
        [CROPLAND, FOREST, WATER, BUILT], (side // 16 + 1,) * 2, p=[0.4, 0.3, 0.1, 0.2]
    )
    return np.kron(cells, np.ones((16, 16))).astype(np.uint8)[:side, :side]


def picture_of(labels):
    """Six Sentinel-2-like bands whose numbers follow from the class alone."""
    return np.stack([1000 + 200 * labels.astype(np.uint16) * (band + 1) for band in range(6)]).astype(np.uint16)


def write_scene(path, labels, *, date=None, grid=None, data=None):
    data = picture_of(labels) if data is None else data
    names = ("B02", "B03", "B04", "B08", "B11", "B12")[: len(data)]
    grid = grid or grid_of(labels.shape[0])
    valid = np.ones(labels.shape, dtype=bool)
    write_raster(path, Raster(data, valid, grid, names, date=date, sensor="sentinel2_l2a", nodata=0))
    return path


def write_labels(path, labels, grid=None):
    grid = grid or grid_of(labels.shape[0])
    write_raster(path, Raster(labels[None], labels != 0, grid, ("landcover",)), nodata=0)
    return path


def write_county(folder, side=200, seed=0):
    """A county of two dates on which a strip of cropland and forest is built over, cloudy in one corner."""
    before = labels_of(side, seed)
    after = before.copy()
    strip = after[:, side // 3 : side // 2]
    strip[strip != WATER] = BUILT
    clouds = np.full((1, side, side), 4, dtype=np.uint8)
    clouds[:, :40, :40] = 9
    for date, labels in zip(DATES, (before, after), strict=True):
        write_scene(folder / "scenes" / f"sentinel2_l2a_{date}.tif", labels, date=date)
        mask = Raster(clouds, np.ones((side, side), dtype=bool), grid_of(side), ("SCL",))
        write_raster(folder / "scenes" / f"sentinel2_l2a_{date}_mask.tif", mask)
        write_labels(folder / "labels" / f"landcover_{date}.tif", labels)
    record = {"name": folder.name, "dates": list(DATES), "sensor": "sentinel2_l2a"}
    (folder / "county.json").write_text(json.dumps(record), encoding="utf-8")
    return before, after


def run(monkeypatch, *args):
    """Exit code of the command in this process."""
    monkeypatch.setattr(sys, "argv", ["landuse_vqa", *map(str, args)])
    with pytest.raises(SystemExit) as stop:
        run_command(main)
    return stop.value.code


def read_rows(out, split):
    lines = (out / f"vqa_{split}.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines], json.loads((out / f"mmdu_{split}.json").read_text(encoding="utf-8"))


def images_of(row):
    return [row["image"]] if isinstance(row["image"], str) else row["image"]


def windows(out, pixel_m=10.0):
    """Source pixels of every chip by split, from the georeferencing of its images: {split: {(row, col, side)}}."""
    found = {}
    for split in SPLITS:
        rows, dialogues = read_rows(out, split)
        paths = {path.lstrip("/") for row in rows + dialogues for path in images_of(row)}
        for path in paths:
            with rasterio.open(out / path) as chip:
                bounds = chip.bounds
                window = (3400000 - bounds.top, bounds.left - 500000, bounds.right - bounds.left)
                found.setdefault(split, set()).add(tuple(round(value / pixel_m) for value in window))
    return found


@pytest.fixture(scope="module")
def county_run(tmp_path_factory):
    """One run on one county: (output folder, labels before, labels after)."""
    folder = tmp_path_factory.mktemp("landuse")
    before, after = write_county(folder / "county", side=520)
    out = folder / "out"
    with pytest.MonkeyPatch.context() as patch:
        args = ("--chip_px", 40, "--render_px", 80, "--dialogues", 40, "--balance", "--seed", 3)
        assert run(patch, "--county", folder / "county", "--out", out, *args) == 0
    return out, before, after


def test_rows_are_well_formed(county_run):
    out, _, _ = county_run
    ids = []
    for split in SPLITS:
        rows, dialogues = read_rows(out, split)
        assert rows and dialogues
        for row in rows:
            human, gpt = row["conversations"]
            assert human["from"] == "human" and gpt["from"] == "gpt" and 0 < len(gpt["value"]) <= 20
            assert (
                human["value"].count("<image>\n")
                == len(images_of(row))
                == (2 if "change" in row["question_type"] else 1)
            )
            assert row["lang"] in ("zh", "en") and row["county"] == "county" and row["chip"].startswith("county/r")
        for row in dialogues:
            text = "".join(turn["value"] for turn in row["conversations"])
            rounds = len(row["conversations"]) // 2
            assert 3 <= rounds <= 8 and all(path.startswith("/images/") for path in row["image"])
            assert text.count("<ImageHere>") == len(row["image"]) and 2 <= len(row["image"]) <= 4
            assert len(set(row["image"])) == len(row["image"])
            assert row["conversations"][0]["value"].startswith("Image1: <ImageHere>\nImage2: <ImageHere>\n")
            assert [turn["from"] for turn in row["conversations"]] == ["user", "assistant"] * rounds
        ids += [row["id"] for row in rows + dialogues]
        assert {row["lang"] for row in rows} == {row["lang"] for row in dialogues} == {"zh", "en"}
    assert len(set(ids)) == len(ids)
    types = {row["question_type"] for row in read_rows(out, "train")[0]}
    assert types == {
        "presence", "count", "comp", "rural_urban", "area", "dominant", "share", "change", "change_share"
    }  # fmt: skip


def test_answers_agree_with_the_label_raster(county_run):
    """Shares, main classes and changes of the rows, recomputed here from the label arrays."""
    out, before, after = county_run
    names = {"cropland": 1, "耕地": 1, "forest": 3, "林地": 3, "water": 5, "水域": 5, "built-up land": 6, "建设用地": 6}
    checked = {"share": 0, "dominant": 0, "change_share": 0, "presence": 0}
    for row in (row for split in SPLITS for row in read_rows(out, split)[0]):
        if row["question_type"] not in checked:
            continue
        position = row["chip"].split("/")[1]
        window = np.s_[int(position[1:6]) :, int(position[7:12]) :]
        old, new = before[window][:40, :40], after[window][:40, :40]
        labels = old if DATES[0] in images_of(row)[0] else new
        question, answer = (turn["value"] for turn in row["conversations"])
        asked = [code for name, code in names.items() if name in question]
        if row["question_type"] == "share":
            expected = f"{int(np.mean(labels == asked[0]) * 10 + 0.5) * 10}%"
        elif row["question_type"] == "presence":
            expected = {False: ("no", "否"), True: ("yes", "是")}[bool(asked) and bool(np.any(labels == asked[0]))]
        elif row["question_type"] == "dominant":
            expected = [name for name, code in names.items() if code == np.bincount(labels.ravel()).argmax()]
        else:
            expected = f"{int(np.mean(old != new) * 10 + 0.5) * 10}%"
        assert answer in expected if isinstance(expected, (list, tuple)) else answer == expected
        checked[row["question_type"]] += 1
    assert min(checked.values()) >= 10


def test_chips_never_overlap_and_splits_never_come_near(county_run):
    """Every pair of chips is disjoint; chips of different splits are at least half a chip apart on one axis."""
    found = windows(county_run[0])
    chips = [(split, *window) for split, group in found.items() for window in group]
    assert set(found) == set(SPLITS) and len(chips) > 60
    covered = np.zeros((520, 520), dtype=int)
    for _, row, col, side in chips:
        assert side == 40
        covered[row : row + side, col : col + side] += 1
    assert covered.max() == 1
    for (split, row, col, _), (other, row2, col2, _) in itertools.combinations(chips, 2):
        if split != other:
            assert max(abs(row - row2), abs(col - col2)) >= 60


def test_cloudy_chips_are_left_out_and_counted(county_run):
    out, _, _ = county_run
    assert not any(row < 40 and col < 40 for group in windows(out).values() for row, col, _ in group)
    summary = json.loads((out / "summary.json").read_text(encoding="utf-8"))
    assert summary["places"]["county"]["chips_left_out"] == 1


def test_balance_caps_yes_and_no(county_run):
    summary = json.loads((county_run[0] / "summary.json").read_text(encoding="utf-8"))
    for counts in summary["splits"].values():
        for kind in ("presence", "comp"):
            said = counts["types"][kind]
            assert said["answers"]["yes"] == said["answers"]["no"] and said["majority_share"] == 0.5
        change = counts["types"].get("change", {"answers": {}})["answers"]
        assert change.get("yes") == change.get("no")
    total = summary["splits"]["train"]
    assert (
        sum(kind["questions"] for kind in total["types"].values())
        == total["questions"]
        == len(read_rows(county_run[0], "train")[0])
    )


def test_one_stretch_for_both_dates(county_run):
    """A class has the same colour in every chip at every date: 2-98 % limits of one date alone would differ."""
    out, before, after = county_run
    colours = {}
    for path in sorted((out / "images" / "county").glob("*.tif")):
        with rasterio.open(path) as chip:
            rgb = chip.read()
            assert rgb.shape == (3, 80, 80) and chip.dtypes[0] == "uint8" and chip.crs.to_epsg() == 32648
            assert chip.tags()["ACQUISITION_DATE"] in path.name
        row, col = int(path.name[1:6]), int(path.name[7:12])
        labels = (before if DATES[0] in path.name else after)[row : row + 40, col : col + 40]
        # Magnified twice by repeating pixels.
        assert (rgb[:, ::2, ::2] == rgb[:, 1::2, 1::2]).all()
        for code in np.unique(labels):
            colours.setdefault(code, set()).update(map(tuple, rgb[:, ::2, ::2][:, labels == code].T.tolist()))
    assert {len(found) for found in colours.values()} == {1} and len(set.union(*colours.values())) == 4


def test_same_seed_same_files_other_seed_other_files(tmp_path, monkeypatch):
    write_county(tmp_path / "county")
    texts = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        assert run(monkeypatch, "--county", tmp_path / "county", "--out", tmp_path / name, "--chip_px", 32,
                   "--dialogues", 6, "--seed", seed) == 0  # fmt: skip
        files = sorted(path for path in (tmp_path / name).rglob("*") if path.is_file() and path.name != "summary.json")
        texts.append({str(path.relative_to(tmp_path / name)): path.read_bytes() for path in files})
    assert texts[0] == texts[1] and texts[0] != texts[2]


def test_several_counties_get_folders_of_their_own(tmp_path, monkeypatch):
    for name, seed in (("one/county", 1), ("two/county", 2), ("other", 3)):
        write_county(tmp_path / name, seed=seed)
    sources = [arg for name in ("one/county", "two/county", "other") for arg in ("--county", tmp_path / name)]
    out = tmp_path / "out"
    assert run(monkeypatch, *sources, "--out", out, "--chip_px", 40, "--only_split", "test", "--dialogues", 5) == 0
    assert sorted(path.name for path in (out / "images").iterdir()) == ["county", "county_2", "other"]
    assert sorted(path.name for path in out.iterdir()) == ["images", "mmdu_test.json", "summary.json", "vqa_test.jsonl"]
    rows, dialogues = read_rows(out, "test")
    assert len({row["id"] for row in rows}) == len(rows) and {row["county"] for row in rows} == {
        "county",
        "county_2",
        "other",
    }
    assert all(len({path.split("/")[2] for path in row["image"]}) == 1 for row in dialogues)
    # 200 px hold 5 x 5 chips of 40 px; the cloud covers one of them at both dates.
    summary = json.loads((out / "summary.json").read_text(encoding="utf-8"))
    assert all(place["chips"] == {"test": 24} for place in summary["places"].values())


def test_per_chip_caps_questions(tmp_path, monkeypatch):
    write_county(tmp_path / "county")
    out = tmp_path / "out"
    args = ("--county", tmp_path / "county", "--out", out, "--chip_px", 40, "--only_split", "val")
    assert run(monkeypatch, *args, "--per_chip", 4, "--languages", "zh") == 0
    rows, dialogues = read_rows(out, "val")
    per_view = {}
    for row in rows:
        per_view.setdefault(tuple(images_of(row)), []).append(row["conversations"][0]["value"])
    assert {len(asked) for key, asked in per_view.items() if len(key) == 1} == {4}
    assert max(len(asked) for key, asked in per_view.items() if len(key) == 2) == 2
    assert {row["lang"] for row in rows} == {"zh"} and dialogues == []


def test_vector_labels_are_burned_through_the_crosswalk(tmp_path, monkeypatch):
    """Left half forest, right half split between water and built, in another CRS than the scene."""
    grid = grid_of(64)
    left, bottom, right, top = grid.bounds()
    middle, centre = (left + right) / 2, (bottom + top) / 2
    shapes = [box(left, bottom, middle, top), box(middle, bottom, right, centre), box(middle, centre, right, top)]
    table = gpd.GeoDataFrame({"kind": ["wood", "lake", "town"]}, geometry=shapes, crs=32648)
    write_vector(tmp_path / "parcels.gpkg", table.to_crs(4326))
    (tmp_path / "cross.json").write_text(json.dumps({"wood": 3, "lake": "water", "town": 6}), encoding="utf-8")
    scene = write_scene(tmp_path / "scene.tif", labels_of(64))
    labels = read_labels(tmp_path / "parcels.gpkg", grid, "kind", load_crosswalk(str(tmp_path / "cross.json")))
    assert labels[0, 0] == FOREST and labels[63, 63] == WATER and labels[0, 63] == BUILT
    assert [int(np.count_nonzero(labels == code)) for code in (FOREST, WATER, BUILT)] == [2048, 1024, 1024]
    out = tmp_path / "out"
    args = ("--scene", scene, "--date", "2024-06-01", "--labels", tmp_path / "parcels.gpkg", "--out", out,
            "--label_column", "kind", "--crosswalk", tmp_path / "cross.json", "--chip_px", 64, "--render_px", 100,
            "--only_split", "test", "--per_chip", 100)  # fmt: skip
    assert run(monkeypatch, *args) == 0
    rows, _ = read_rows(out, "test")
    said = {row["conversations"][1]["value"] for row in rows if row["question_type"] == "share"}
    assert said == {"50%", "30%"}
    with rasterio.open(out / rows[0]["image"]) as chip:
        assert chip.shape == (100, 100) and chip.transform.a == pytest.approx(6.4)


def test_partial_labels_withhold_measured_questions(tmp_path, monkeypatch):
    labels = labels_of(64)
    labels[:, 40:] = 0
    scene = write_scene(tmp_path / "scene.tif", labels)
    write_labels(tmp_path / "labels.tif", labels)
    types = {}
    for complete in ("auto", "true", "false"):
        out = tmp_path / complete
        args = ("--scene", scene, "--labels", tmp_path / "labels.tif", "--crosswalk", "canonical", "--out", out,
                "--chip_px", 64, "--only_split", "train", "--per_chip", 100, "--complete_labels", complete)  # fmt: skip
        assert run(monkeypatch, *args, "--date", "2024-06-01") == 0
        types[complete] = {row["question_type"] for row in read_rows(out, "train")[0]}
    assert types["auto"].isdisjoint({"share", "area", "count"}) and "presence" in types["auto"]
    assert types["true"] >= {"share", "area"} and types["false"] == types["auto"]


def test_one_label_layer_for_two_dates_asks_nothing_about_change(tmp_path, monkeypatch):
    labels = labels_of(128)
    write_labels(tmp_path / "labels.tif", labels)
    scenes = [write_scene(tmp_path / f"{date}.tif", labels, date=date) for date in DATES]
    base = ("--scene", scenes[1], "--scene", scenes[0], "--crosswalk", "canonical", "--chip_px", 32,
            "--only_split", "test", "--labels", tmp_path / "labels.tif")  # fmt: skip
    assert run(monkeypatch, *base, "--out", tmp_path / "one") == 0
    rows, _ = read_rows(tmp_path / "one", "test")
    assert not any("change" in row["question_type"] for row in rows)
    assert {date for row in rows for date in DATES if date in row["image"]} == set(DATES)
    changed = np.where(labels == CROPLAND, BUILT, labels).astype(np.uint8)
    write_labels(tmp_path / "new.tif", changed)
    # Given latest first: the command sorts by date, so cropland is lost although it was named second.
    base = (*base[:-2], "--labels", tmp_path / "new.tif", "--labels", tmp_path / "labels.tif")
    assert run(monkeypatch, *base, "--out", tmp_path / "two", "--dialogues", 9) == 0
    rows, dialogues = read_rows(tmp_path / "two", "test")
    change = {row["conversations"][1]["value"] for row in rows if row["question_type"] == "change"}
    assert change <= {"yes", "no", "是", "否", "cropland", "耕地", "built-up land", "建设用地"}
    pair = next(row["image"] for row in rows if row["question_type"] == "change")
    assert [DATES[0] in pair[0], DATES[1] in pair[1]] == [True, True] and dialogues


def test_finer_labels_take_the_most_frequent_class(tmp_path):
    fine = np.full((8, 8), FOREST, dtype=np.uint8)
    fine[:2, :2] = [[WATER, WATER], [WATER, FOREST]]
    write_labels(
        tmp_path / "fine.tif", fine, Grid(pyproj.CRS.from_epsg(32648), Affine(5, 0, 500000, 0, -5, 3400000), (8, 8))
    )
    assert read_labels(tmp_path / "fine.tif", grid_of(4), None, "canonical").tolist() == [
        [WATER, FOREST, FOREST, FOREST], *[[FOREST] * 4] * 3
    ]  # fmt: skip


def test_lattice_leaves_half_a_chip_between_blocks():
    rows = sorted({row for _, _, row, _ in lattice((230, 40), 40, 2)})
    # Blocks of two chips every 100 pixels; a third block starts at 200 but has no room.
    assert rows == [0, 40, 100, 140]
    assert {(block, row) for block, _, row, _ in lattice((230, 40), 40, 2)} == {(0, 0), (0, 40), (1, 100), (1, 140)}
    assert len(lattice((230, 40), 40, None)) == 5


def test_blocks_follow_the_shares_and_no_split_stays_empty():
    shares = {"train": 0.7, "val": 0.15, "test": 0.15}
    sizes = {(row, col): 4 for row in range(5) for col in range(4)}
    owner = assign_blocks(sizes, shares, np.random.default_rng(0))
    assert [list(owner.values()).count(split) for split in shares] == [14, 3, 3]
    few = assign_blocks({(0, 0): 9, (0, 1): 9, (0, 2): 9}, shares, np.random.default_rng(0))
    assert sorted(few.values()) == ["test", "train", "val"]


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scene")
    labels = labels_of(64)
    write_scene(folder / "scene.tif", labels, date="2024-06-01")
    write_labels(folder / "labels.tif", labels)
    write_labels(folder / "far.tif", labels, grid_of(64, x=900000))
    write_labels(folder / "empty.tif", np.where(np.arange(64) < 2, 1, 0).astype(np.uint8)[None].repeat(64, axis=0))
    write_scene(folder / "shifted.tif", labels, date="2024-07-01", grid=grid_of(64, x=500100))
    placeless = Grid(None, Affine(1, 0, 0, 0, -1, 0), (64, 64))
    write_labels(folder / "no_crs.tif", labels, placeless)
    (folder / "full").mkdir()
    (folder / "full" / "notes.txt").write_text("mine", encoding="utf-8")
    write_vector(folder / "v.gpkg", gpd.GeoDataFrame({"a": [1]}, geometry=[box(5e5, 339e4, 6e5, 34e5)], crs=32648))
    (folder / "bad.json").write_text('{"1": "moon"}', encoding="utf-8")
    (folder / "list.json").write_text("[1, 2]", encoding="utf-8")
    (folder / "holes.json").write_text('{"1": 1}', encoding="utf-8")
    return folder


GOOD = (
    "--scene {0}/scene.tif --labels {0}/labels.tif --crosswalk canonical --chip_px 32 --only_split test --out {0}/out"
)


@pytest.mark.parametrize(
    ("args", "says"),
    [
        ("--county {0}/nowhere --out {0}/out", "county.json: not found"),
        (GOOD.replace("--crosswalk canonical", ""), "missing --crosswalk"),
        (GOOD.replace("canonical", "{0}/holes.json"), "not in the crosswalk"),
        (GOOD.replace("canonical", "martian"), "martian"),
        (GOOD.replace("canonical", "{0}/bad.json"), "expected a JSON object"),
        (GOOD.replace("canonical", "{0}/list.json"), "expected a JSON object"),
        (GOOD.replace("labels.tif", "far.tif"), "do not overlap"),
        (GOOD.replace("labels.tif", "nowhere.tif"), "no such file"),
        (GOOD.replace("labels.tif", "no_crs.tif"), "no CRS"),
        (GOOD.replace("labels.tif", "v.gpkg") + " --label_column kind", "columns ['a']"),
        (GOOD.replace("--chip_px 32", "--chip_px 16"), "--chip_px 16"),
        (GOOD.replace("--chip_px 32", "--chip_px 100"), "hold no chip"),
        (GOOD.replace("--only_split test", "--split 0.5,0.5"), "three numbers"),
        (GOOD.replace("--only_split test", "--split a,b,c"), "three numbers"),
        (GOOD.replace("--only_split test", "--split 0,0,0"), "split shares"),
        (GOOD.replace("--only_split test", "--chip_px 64"), "usable blocks"),
        (GOOD + " --languages fr", "--languages fr"),
        (GOOD + " --per_chip 0", "--per_chip 0"),
        (GOOD + " --scene {0}/shifted.tif", "co-registered"),
        (GOOD + " --scene {0}/scene.tif", "repeat"),
        (GOOD + " --date 2024-01-01 --date 2024-01-02", "2 --date"),
        (GOOD + " --date ../2024", "ISO dates"),
        (GOOD + " --labels {0}/labels.tif", "2 --labels"),
        (GOOD.replace("{0}/out", "{0}/full"), "not empty"),
        (GOOD.replace("{0}/out", "{0}/full") + " --overwrite", "not empty"),
        (GOOD.replace("labels.tif", "empty.tif") + " --balance", "no question can be asked"),
        (GOOD.replace("--labels {0}/labels.tif", ""), "--scene needs --labels"),
        (GOOD + " --county {0}", "not both"),
    ],
)  # fmt: skip
def test_bad_input_ends_with_code_2_and_one_clear_line(scene, monkeypatch, capsys, args, says):
    assert run(monkeypatch, *args.format(scene).split()) == 2
    assert says in capsys.readouterr().err
    assert not (scene / "out").exists() and (scene / "full" / "notes.txt").is_file()
    assert not list(scene.glob(".*")), "temporary folders stay behind"


def test_eight_bit_pictures_pass_unchanged_and_one_chip_makes_no_dialogue(tmp_path, monkeypatch):
    labels = labels_of(32)
    rgb = np.stack([labels * 9, labels * 20, labels + 100]).astype(np.uint8)
    grid, valid = grid_of(32), np.ones((32, 32), dtype=bool)
    write_raster(tmp_path / "picture.tif", Raster(rgb, valid, grid, ("red", "green", "blue")))
    write_labels(tmp_path / "labels.tif", labels)
    args = ("--scene", tmp_path / "picture.tif", "--labels", tmp_path / "labels.tif", "--crosswalk", "canonical",
            "--chip_px", 32, "--render_px", 32, "--only_split", "test", "--dialogues", 3)  # fmt: skip
    assert run(monkeypatch, *args, "--out", tmp_path / "out") == 0
    rows, dialogues = read_rows(tmp_path / "out", "test")
    assert dialogues == [] and rows[0]["image"] == "images/picture/r00000c00000_scene1.tif"
    with rasterio.open(tmp_path / "out" / rows[0]["image"]) as chip:
        assert (chip.read() == rgb).all()
    assert run(monkeypatch, *args, "--out", tmp_path / "two", "--complete_labels", "false") == 0
    assert read_rows(tmp_path / "two", "test")[1] == []


def test_overwrite_replaces_an_earlier_run(scene, monkeypatch, tmp_path, capsys):
    args = GOOD.replace("{0}/out", str(tmp_path / "out")).format(scene).split()
    assert run(monkeypatch, *args) == 0
    (tmp_path / "out" / "stale.txt").write_text("old", encoding="utf-8")
    assert run(monkeypatch, *args) == 2
    assert run(monkeypatch, *args, "--overwrite") == 0
    assert not (tmp_path / "out" / "stale.txt").exists() and (tmp_path / "out" / "summary.json").is_file()
    assert "presence" in capsys.readouterr().out


def test_help(monkeypatch, capsys):
    assert run(monkeypatch, "--help") == 0
    assert "--county" in capsys.readouterr().out


SLOVENIA = "{0}/slovenia_s2_2015/slovenia_"
REAL = {
    "slovenia raster": f"--scene {SLOVENIA}S2L1C_20150711.tif --scene {SLOVENIA}S2L1C_20150830.tif "
    f"--labels {SLOVENIA}LULC_reference.tif --crosswalk slovenia",
    "slovenia parcels": f"--scene {SLOVENIA}S2L1C_20150711.tif --labels {SLOVENIA}LULC_parcels.gpkg "
    "--label_column LULC_NAME --crosswalk slovenia",
    "raleigh": "--scene {0}/raleigh_landsat7_2000/raleigh_LE07_2000.tif --date 2000 "
    "--labels {0}/raleigh_landsat7_2000/strata.tif --crosswalk raleigh",
    "chiapas": "--scene {0}/chiapas_landsat7_1999_2002/LE70220491999322EDC01_stack.gtif "
    "--labels {0}/chiapas_landsat7_1999_2002/training_data.shp --label_column class --crosswalk chiapas",
}


@pytest.mark.parametrize("name", REAL)
def test_real_scenes(name, test_data, tmp_path, monkeypatch):
    args = REAL[name].format(test_data).split()
    assert run(monkeypatch, *args, "--chip_px", 32, "--only_split", "test", "--out", tmp_path / "out") == 0
    rows, _ = read_rows(tmp_path / "out", "test")
    types = {row["question_type"] for row in rows}
    chips = {row["chip"] for row in rows}
    # Slovenia is 101 x 100 pixels: 9 chips. Chiapas has training polygons only, so nothing measured is asked.
    assert len(chips) == {"slovenia raster": 9, "slovenia parcels": 9}.get(name, len(chips)) and len(chips) >= 9
    assert types == {"presence"} if name == "chiapas" else types >= {"presence", "comp", "share", "area", "count"}
    assert not any("change" in kind for kind in types)


def test_real_shares_agree_with_the_file(test_data, tmp_path, monkeypatch):
    """Shares of Slovenian chips against the label file read on its own: forest is code 2, shrubland (4) joins it."""
    args = REAL["slovenia raster"].format(test_data).split()
    args += ["--chip_px", "32", "--only_split", "test", "--per_chip", "50", "--out", str(tmp_path / "out")]
    assert run(monkeypatch, *args) == 0
    with rasterio.open(test_data / "slovenia_s2_2015" / "slovenia_LULC_reference.tif") as source:
        codes = source.read(1)
    checked = 0
    for row in read_rows(tmp_path / "out", "test")[0]:
        question, answer = (turn["value"] for turn in row["conversations"])
        if row["question_type"] == "share" and ("forest" in question or "林地" in question):
            position = row["chip"].split("/")[1]
            window = codes[int(position[1:6]) :, int(position[7:12]) :][:32, :32]
            share = np.isin(window, (2, 4)).sum() / (window > 0).sum()
            assert answer == f"{int(share * 10 + 0.5) * 10}%"
            checked += 1
    assert checked >= 9


def test_simulated_county(tmp_path, monkeypatch):
    """From a simulated county to rows: the dominant class and the changed share agree with its label rasters."""
    simulate_county(
        tmp_path / "county",
        seed=5,
        size=192,
        sensor="sentinel2_l2a",
        dates=list(DATES),
        crs="EPSG:32648",
        cloud_share=0.0,
    )
    out = tmp_path / "out"
    args = ("--county", tmp_path / "county", "--out", out, "--chip_px", 32, "--only_split", "test", "--dialogues", 8)
    assert run(monkeypatch, *args) == 0
    rows, dialogues = read_rows(out, "test")
    assert len(dialogues) == 8 and {row["question_type"] for row in rows} >= {"presence", "share", "count", "change"}
    labels = {date: read_raster(tmp_path / "county" / "labels" / f"landcover_{date}.tif").data[0] for date in DATES}
    checked = 0
    for row in rows:
        window = np.s_[int(row["chip"][8:13]) :, int(row["chip"][14:19]) :]
        old, new = (labels[date][window][:32, :32] for date in DATES)
        answer = row["conversations"][1]["value"]
        if row["question_type"] == "change_share":
            assert answer == f"{int(np.mean(old != new) * 10 + 0.5) * 10}%"
            checked += 1
        elif row["question_type"] == "dominant":
            name = LAND_CLASSES[int(np.bincount((old if DATES[0] in row["image"] else new).ravel()).argmax())]
            assert answer == LAND_CLASS_NAMES[name][row["lang"]]
            checked += 1
    assert checked >= 20
