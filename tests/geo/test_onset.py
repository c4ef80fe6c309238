import json
from pathlib import Path

import geopandas as gpd
import numpy as np
import pyproj
import pytest
from affine import Affine
from scipy import ndimage
from shapely.geometry import box

from src.errors import InputError
from src.geo.blocks import ThreadRunner
from src.geo.grid import Grid, Raster
from src.geo.onset import change_onset
from src.geo.raster import write_raster
from src.geo.scene import CLEAR, CLOUD, CORE_ROLES, REFLECTANCE_NODATA, Scene, SceneRecord, open_scene

SIDE, ROW, COL = 96, 40, 50
GRID = Grid(pyproj.CRS.from_epsg(32648), Affine(10, 0, 500000, 0, -10, 3330000), (SIDE, SIDE))
ONE = ThreadRunner(1)


def scene(folder: Path, day: str, *, changed: bool = False, cloud: bool = False) -> Scene:
    """Square fields whose look depends on the month, with a patch of 6 x 6 pixels that may have changed."""
    month = int(day[5:7])
    fields = np.random.default_rng(month).uniform(0.1, 0.4, (6, SIDE // 8, SIDE // 8))
    values = ndimage.gaussian_filter(np.kron(fields, np.ones((1, 8, 8))), (0, 0.8, 0.8))
    values += 0.003 * np.random.default_rng(int(day.replace("-", ""))).standard_normal(values.shape)
    window = np.s_[ROW : ROW + 6, COL : COL + 6]
    if changed:
        values[(slice(None), *window)] += np.array([0.1, 0.05, 0.4, 0.1, 0.05, 0.4])[:, None, None]
    mask = np.full(GRID.shape_hw, CLEAR, np.uint8)
    if cloud:
        mask[window] = CLOUD
    everywhere = np.ones(GRID.shape_hw, bool)
    stored = np.rint(values * 1e4).astype(np.int16)
    write_raster(folder / "bands.tif", Raster(stored, everywhere, GRID, CORE_ROLES), nodata=REFLECTANCE_NODATA)
    write_raster(folder / "mask.tif", Raster(mask[None], everywhere, GRID, ("mask",)))
    record = SceneRecord(folder.name, day, "sentinel2_l2a", "L2A", "reflectance", 10.0, 1.0)
    (folder / "scene.json").write_text(json.dumps(record.to_json()), encoding="utf-8")
    return open_scene(folder)


def patch() -> gpd.GeoDataFrame:
    west, north = 500000 + 10 * COL, 3330000 - 10 * ROW
    return gpd.GeoDataFrame({"name": [""]}, geometry=[box(west, north - 60, west + 60, north)], crs="EPSG:32648")


def stack(folder: Path, **dates: dict) -> list[Scene]:
    return [scene(folder / key, key[1:].replace("_", "-"), **options) for key, options in dates.items()]


def test_onset_lies_between_the_last_unchanged_and_the_first_changed_date(tmp_path):
    scenes = stack(
        tmp_path,
        d2022_06_10={},
        d2022_12_20={},
        d2023_06_12={},  # as in June before: unchanged, although December looks otherwise
        d2023_09_10={"changed": True},  # no September before it to compare with
        d2023_12_20={"changed": True},
        d2024_06_08={"changed": True},
    )
    found = change_onset(scenes, "2022-12-20", patch(), tmp_path / "cache", ONE)
    assert (found.last_same, found.first_new) == ("2023-06-12", "2023-12-20")
    assert [(look.date, look.reference) for look in found.looks[1:]] == [
        ("2023-06-12", "2022-06-10"),
        ("2023-12-20", "2022-12-20"),
        ("2024-06-08", "2022-06-10"),
    ]
    assert [round(look.changed_share) for look in found.looks] == [0, 0, 1, 1]
    assert found.left_out == ("2023-09-10",)


def test_clouded_date_tells_nothing(tmp_path):
    scenes = stack(
        tmp_path,
        d2022_12_20={},
        d2023_12_10={"changed": True, "cloud": True},
        d2023_12_24={"changed": True},
    )
    found = change_onset(scenes, "2022-12-20", patch(), tmp_path / "cache", ONE)
    assert (found.last_same, found.first_new, found.left_out) == ("2022-12-20", "2023-12-24", ("2023-12-10",))


def test_what_went_back_has_no_onset(tmp_path):
    scenes = stack(tmp_path, d2021_12_20={}, d2022_12_20={"changed": True}, d2023_12_20={})
    found = change_onset(scenes, "2021-12-20", patch(), tmp_path / "cache", ONE)
    assert (found.last_same, found.first_new) == (None, None)
    assert [round(look.changed_share) for look in found.looks] == [0, 1, 0]


def test_unchanged_date_must_be_a_scene(tmp_path):
    scenes = stack(tmp_path, d2021_12_20={})
    with pytest.raises(InputError, match="2022-01-01"):
        change_onset(scenes, "2022-01-01", patch(), tmp_path, ONE)
