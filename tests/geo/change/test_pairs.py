import json
from pathlib import Path

import numpy as np
import pyproj
import pytest
from affine import Affine
from scipy import ndimage

from src.errors import InputError
from src.geo.blocks import Block, ThreadRunner
from src.geo.caveats import CannotTell
from src.geo.change.pairs import common_roles, make_pair, season_caveats
from src.geo.grid import Grid, Raster
from src.geo.raster import write_raster
from src.geo.scene import CLEAR, CLOUD, CORE_ROLES, REFLECTANCE_NODATA, Scene, SceneRecord, open_scene

UTM = pyproj.CRS.from_epsg(32648)
GRID = Grid(UTM, Affine(10, 0, 500_000, 0, -10, 3_400_000), (128, 128))
RUNNER = ThreadRunner(1)


def ground(side: int = 128) -> np.ndarray:
    """(6, side, side) reflectance of square fields."""
    rng = np.random.default_rng(3)
    blocks = np.kron(rng.uniform(0.05, 0.5, (6, side // 8, side // 8)), np.ones((1, 8, 8)))
    return ndimage.gaussian_filter(blocks, (0, 0.8, 0.8))


def scene(folder: Path, day: str, values: np.ndarray | None = None, grid: Grid = GRID, **changes) -> Scene:
    """A scene on disk; ``clear`` (H, W) and fields of the record can be given."""
    values = ground() if values is None else values
    clear = changes.pop("clear", np.ones(grid.shape_hw, bool))
    roles = changes.pop("roles", CORE_ROLES)
    everywhere = np.ones(grid.shape_hw, bool)
    stored = np.rint(values * 1e4).astype(np.int16)
    write_raster(folder / "bands.tif", Raster(stored, everywhere, grid, roles, day), nodata=REFLECTANCE_NODATA)
    mask = np.where(clear, CLEAR, CLOUD).astype(np.uint8)
    write_raster(folder / "mask.tif", Raster(mask[None], everywhere, grid, ("mask",), day))
    fields = {"sensor": "sentinel2_l2a", "level": "L2A", "quantity": "reflectance", "pixel_m": 10.0} | changes
    record = SceneRecord(id=folder.name, date=day, clear_share=1.0, **fields)
    (folder / "scene.json").write_text(json.dumps(record.to_json()), encoding="utf-8")
    return open_scene(folder)


def test_a_plain_pair_is_read_as_stored(tmp_path):
    clear = np.ones(GRID.shape_hw, bool)
    clear[:4] = False
    before = scene(tmp_path / "a", "2023-09-20", clear=clear)
    after = scene(tmp_path / "b", "2024-09-25", 2 * ground())
    pair = make_pair(before, after, tmp_path / "cache", RUNNER)
    x, y, valid = pair.read(Block(2, 0, 4, 8))
    assert pair.caveats == ()
    assert pair.clear_share == pytest.approx(124 / 128)
    assert pair.shift_px == (0.0, 0.0) and pair.residual_px == 0.0
    assert pair.after is after and not (tmp_path / "cache").exists()
    np.testing.assert_allclose(y, 2 * x, atol=2e-4)
    assert valid[:2].sum() == 0 and valid[2:].all()


def test_a_missing_band_makes_a_pixel_invalid(tmp_path):
    values = ground()
    values[3, 5, 6] = -3.2768
    pair = make_pair(scene(tmp_path / "a", "2023-09-20", values), scene(tmp_path / "b", "2024-09-20"), tmp_path, RUNNER)
    valid = pair.read()[2]
    assert not valid[5, 6] and valid.sum() == valid.size - 1


@pytest.mark.parametrize(
    ("first", "second", "caveats"),
    [
        ("2023-09-20", "2024-10-19", []),
        ("2023-09-20", "2024-10-25", ["SEASON_MISMATCH"]),
        ("2000-03-17", "2003-02-06", ["SEASON_MISMATCH"]),
        ("2022-12-20", "2024-01-10", []),
    ],
)
def test_season_is_counted_around_the_year(first, second, caveats):
    assert season_caveats(first, second) == caveats


def test_dates_must_be_in_order(tmp_path):
    a, b = scene(tmp_path / "a", "2024-09-20"), scene(tmp_path / "b", "2024-09-20")
    with pytest.raises(InputError, match="earlier date first"):
        make_pair(a, b, tmp_path, RUNNER)


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ({}, {"sensor": "landsat8", "level": "L2SP"}, ("SENSOR_MIX",)),
        ({"sensor": "landsat5", "level": "L2SP"}, {"sensor": "landsat8", "level": "L2SP"}, ()),
        ({"quantity": "dn", "sensor": "landsat7"}, {"quantity": "dn", "sensor": "landsat7"}, ("DN_ONLY",)),
        ({"caveats": ("BASELINE_UNKNOWN",)}, {"caveats": ("BASELINE_UNKNOWN",)}, ("BASELINE_UNKNOWN",)),
    ],
)
def test_caveats_of_sensors(tmp_path, first, second, expected):
    a, b = scene(tmp_path / "a", "2023-09-20", **first), scene(tmp_path / "b", "2024-09-20", **second)
    assert make_pair(a, b, tmp_path, RUNNER).caveats == expected


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({}, {"quantity": "toa", "level": "L1C", "sensor": "sentinel2_l1c"}),
        ({}, {"quantity": "dn"}),
        ({"quantity": "dn", "sensor": "landsat5"}, {"quantity": "dn", "sensor": "landsat7"}),
    ],
)
def test_levels_that_do_not_compare_are_refused(tmp_path, first, second):
    a, b = scene(tmp_path / "a", "2023-09-20", **first), scene(tmp_path / "b", "2024-09-20", **second)
    with pytest.raises(CannotTell, match="SENSOR_MIX"):
        make_pair(a, b, tmp_path, RUNNER)


def test_common_bands_follow_the_core_order(tmp_path):
    a = scene(tmp_path / "a", "2023-09-20")
    b = scene(tmp_path / "b", "2024-09-20", ground()[:4], roles=("nir", "red", "coastal", "green"))
    c = scene(tmp_path / "c", "2024-09-20", ground()[:2], roles=("nir", "red"))
    assert common_roles(a, b) == ("green", "red", "nir")
    with pytest.raises(CannotTell, match="share the bands red, nir"):
        common_roles(a, c)


@pytest.mark.parametrize(("rows", "caveats"), [(32, ("LOW_COVERAGE",)), (124, None)])
def test_clear_overlap(tmp_path, rows, caveats):
    clear = np.ones(GRID.shape_hw, bool)
    clear[:rows] = False
    a, b = scene(tmp_path / "a", "2023-09-20", clear=clear), scene(tmp_path / "b", "2024-09-20")
    if caveats is None:
        with pytest.raises(CannotTell, match="NO_CLEAR_IMG.*3.1%"):
            make_pair(a, b, tmp_path, RUNNER)
    else:
        pair = make_pair(a, b, tmp_path, RUNNER)
        assert pair.caveats == caveats and pair.clear_share == 0.75


def test_a_shifted_date_is_moved_back(tmp_path):
    moved = ndimage.shift(ground(), (0, 1.4, -0.8), order=3, mode="nearest")
    before, after = scene(tmp_path / "a", "2023-09-20"), scene(tmp_path / "b", "2024-09-20", moved)
    pair = make_pair(before, after, tmp_path / "cache", RUNNER)
    x, y, valid = pair.read(Block(8, 8, 112, 112))
    assert pair.caveats == ("COREG_GT_0_5PX",)
    assert pair.shift_px == pytest.approx((-1.4, 0.8), abs=0.1)
    assert pair.residual_px <= 0.15
    assert valid.all()
    assert np.abs(y - x).mean() < 0.3 * np.abs(moved[:, 8:-8, 8:-8].astype(np.float32) - x).mean()


def test_another_grid_and_crs_are_warped_once_and_kept(tmp_path):
    """The later scene lies on another UTM zone's grid of 10 m; the same ground must come back."""
    before = scene(tmp_path / "a", "2023-09-20")
    other = pyproj.CRS.from_epsg(32649)
    centre = pyproj.Transformer.from_crs(UTM, other, always_xy=True).transform(500_640, 3_399_360)
    big = Grid(other, Affine(10, 0, centre[0] - 1280, 0, -10, centre[1] + 1280), (256, 256))
    rows, cols = np.mgrid[0:256, 0:256] + 0.5
    x, y = pyproj.Transformer.from_crs(other, UTM, always_xy=True).transform(*(big.transform @ (cols, rows)))
    at = (3_400_000 - y) / 10 - 0.5, (x - 500_000) / 10 - 0.5
    values = np.stack([ndimage.map_coordinates(band, at, order=1, mode="nearest") for band in ground()])
    after = scene(tmp_path / "b", "2024-09-20", values, grid=big)
    pair = make_pair(before, after, tmp_path / "cache", RUNNER)
    first, second, valid = pair.read()
    assert pair.grid is before.grid and pair.after.grid.same_as(before.grid)
    assert valid.all()
    assert np.abs(second - first)[:, 4:-4, 4:-4].mean() < 0.02
    (folder,) = (tmp_path / "cache").iterdir()
    written = (folder / "bands.tif").stat().st_mtime_ns
    again = make_pair(before, after, tmp_path / "cache", RUNNER)
    assert again.after.folder == folder and (folder / "bands.tif").stat().st_mtime_ns == written


def test_scenes_that_do_not_meet(tmp_path):
    far = Grid(UTM, Affine(10, 0, 600_000, 0, -10, 3_400_000), (128, 128))
    a, b = scene(tmp_path / "a", "2023-09-20"), scene(tmp_path / "b", "2024-09-20", grid=far)
    with pytest.raises(CannotTell, match="NO_CLEAR_IMG.*scenes that overlap"):
        make_pair(a, b, tmp_path / "cache", RUNNER)
