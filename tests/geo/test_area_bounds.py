import geopandas as gpd
import numpy as np
import pyproj
import pytest
from affine import Affine
from shapely.geometry import Polygon, box

from src.constants import LAND_CLASSES
from src.errors import GridError, InputError
from src.geo import area_bounds
from src.geo.area_bounds import QUANTITIES, CoverMaps, Ranges, area_ranges
from src.geo.blocks import ThreadRunner, blocks_of
from src.geo.grid import Grid, Raster
from src.geo.raster import write_raster
from src.geo.transition import class_changes, transition_matrix
from src.geo.zone_overlay import zone_pieces

ONE = ThreadRunner(1)
PIXEL_M2 = 100 / 0.9996**2
NAMES = list(LAND_CLASSES.values())
CROP, FOREST, GRASS, WATER, BUILT, UNUSED = 1, 3, 4, 5, 6, 7

# Cropland to built in three pixels, forest to cropland in one; one pixel without a class before, one not seen.
# At (2, 1) the maps disagree and at (3, 2) the later one is empty, but there nothing changed.
BEFORE = [[1, 1, 1, 3, 3], [1, 1, 1, 3, 3], [1, 1, 1, 3, 0], [5, 5, 1, 3, 3]]
AFTER = [[1, 6, 6, 3, 3], [1, 6, 1, 3, 3], [1, 3, 1, 1, 1], [5, 5, 0, 3, 3]]
CHANGE = [[1, 2, 2, 1, 1], [1, 2, 1, 1, 1], [1, 1, 1, 2, 1], [1, 1, 1, 0, 1]]
# Percent of the classes before, by what the map says; and where it is less sure.
SURE_BEFORE = {0: {FOREST: 100}, 1: {CROP: 80, FOREST: 20}, 3: {FOREST: 90, CROP: 10}, 5: {WATER: 100}}
UNSURE_BEFORE = {
    (0, 0): {CROP: 60, GRASS: 40},
    (1, 2): {CROP: 50, FOREST: 50},
    (1, 4): {FOREST: 65, CROP: 35},
}
# Percent after, where change was found; elsewhere built 100, which must not count.
CHANGED_AFTER = {
    (0, 1): {BUILT: 90, CROP: 10},
    (0, 2): {BUILT: 60, CROP: 40},
    (1, 1): {BUILT: 45, CROP: 25, UNUSED: 30},
    (2, 3): {CROP: 75, FOREST: 25},
}


def grid_of(shape, west=500000) -> Grid:
    return Grid(pyproj.CRS.from_epsg(32648), Affine(10, 0, west, 0, -10, 3330000), shape)


def save(folder, before, after, change, before_percent, after_percent, west=500000) -> CoverMaps:
    paths = []
    layers = (before, after, before_percent, after_percent, change)
    for name, data in zip(("before", "after", "before_p", "after_p", "change"), layers, strict=True):
        stack = np.asarray(data, np.uint8)
        stack = stack if stack.ndim == 3 else stack[None]
        shape = stack.shape[1:]
        bands = tuple(f"band{index}" for index in range(len(stack)))
        paths.append(folder / f"{name}.tif")
        write_raster(paths[-1], Raster(stack, np.ones(shape, bool), grid_of(shape, west), bands))
    return CoverMaps(*paths)


@pytest.fixture
def maps(tmp_path) -> CoverMaps:
    percent = np.zeros((2, 8, 4, 5), np.uint8)
    percent[1, BUILT] = 100
    for row, col in np.ndindex(4, 5):
        for code, value in UNSURE_BEFORE.get((row, col), SURE_BEFORE[BEFORE[row][col]]).items():
            percent[0, code, row, col] = value
    for (row, col), values in CHANGED_AFTER.items():
        percent[1, :, row, col] = [values.get(code, 0) for code in range(8)]
    return save(tmp_path, BEFORE, AFTER, CHANGE, percent[0, 1:], percent[1, 1:])


def pixels(values) -> dict[str, dict[int, float]]:
    """Numbers that are not zero, in pixels, by quantity and class."""
    return {
        quantity: {code: round(float(area) / PIXEL_M2, 3) for code, area in enumerate(row, 1) if area}
        for quantity, row in zip(QUANTITIES, values, strict=True)
    }


def random_maps(folder, shape=(23, 31), west=500000) -> CoverMaps:
    rng = np.random.default_rng(5)
    before, after = rng.integers(0, 8, (2, *shape))
    percent = rng.integers(0, 101, (2, 7, *shape))
    return save(folder, before, after, rng.integers(0, 3, shape), percent[0], percent[1], west)


# --- by hand ---


def test_counts(maps):
    assert pixels(area_ranges(maps, ONE).count) == {
        "before": {CROP: 10, FOREST: 6, WATER: 2},
        "after": {CROP: 8, FOREST: 5, WATER: 2, BUILT: 3},
        "gain": {CROP: 1, BUILT: 3},
        "loss": {CROP: 3, FOREST: 1},
    }


def test_likely_is_what_is_70_percent_probable(maps):
    """Loss of cropland: 80 % before and 10 % after make 72; gain of it: not 10 % before and 75 % after make 67.5."""
    assert pixels(area_ranges(maps, ONE).likely) == {
        "before": {CROP: 8, FOREST: 5, WATER: 2},
        "after": {CROP: 6, FOREST: 4, WATER: 2, BUILT: 1},
        "gain": {BUILT: 1},
        "loss": {CROP: 1},
    }


def test_possible_is_what_is_30_percent_probable(maps):
    assert pixels(area_ranges(maps, ONE).possible) == {
        "before": {CROP: 11, FOREST: 7, GRASS: 1, WATER: 2},
        "after": {CROP: 10, FOREST: 6, GRASS: 1, WATER: 2, BUILT: 3, UNUSED: 1},
        "gain": {CROP: 1, BUILT: 3, UNUSED: 1},
        "loss": {CROP: 3, FOREST: 1},
    }


def test_half_a_pixel_along_the_outline(maps):
    """Half of the sides towards seen ground of another kind; the raster's edge and unseen pixels are no outline."""
    assert pixels(area_ranges(maps, ONE).half_pixel) == {
        "before": {CROP: 3, FOREST: 1.5, WATER: 1.5},
        "after": {CROP: 5, FOREST: 1.5, WATER: 1.5, BUILT: 3},
        "gain": {CROP: 1, BUILT: 3},
        "loss": {CROP: 3, FOREST: 1},
    }


@pytest.mark.parametrize(
    ("quantity", "code", "bounds"),
    [
        # Count 10, likely 8, possible 11, half pixel 3.
        ("before", CROP, (7, 13)),
        # Count 0 and no outline, but possible in one pixel.
        ("before", GRASS, (0, 1)),
        ("after", BUILT, (0, 6)),
        ("gain", UNUSED, (0, 1)),
        ("loss", FOREST, (0, 2)),
        ("loss", WATER, (0, 0)),
    ],
)
def test_bounds_of_the_maps(maps, quantity, code, bounds):
    found = area_ranges(maps, ONE).bounds(quantity, LAND_CLASSES[code])
    assert found == pytest.approx([PIXEL_M2 * bound for bound in bounds], rel=1e-6, abs=1e-3)


@pytest.mark.parametrize(
    ("count", "likely", "possible", "half_pixel", "bounds"),
    [
        (10, 4, 19, 1, (4, 19)),
        (10, 9, 11, 2, (8, 12)),
        (1, 0, 2, 3, (0, 4)),
        # Probabilities that contradict the map never push the count out of its own bounds.
        (10, 15, 20, 0, (10, 20)),
        (10, 2, 5, 0, (2, 10)),
    ],
)
def test_the_wider_range_counts_on_each_side(count, likely, possible, half_pixel, bounds):
    values = np.zeros((4, 4, 7))
    values[:, 2, NAMES.index("built")] = count, likely, possible, half_pixel
    ranges = Ranges(*values)
    assert ranges.bounds("gain", "built") == bounds
    assert ranges.bounds("gain", "water") == ranges.bounds("loss", "built") == (0, 0)


# --- zones ---


def test_a_zone_takes_shares_of_pixels(maps):
    """Half of (0, 0) and all of (0, 1); the overlapping outlines count once."""
    zone = gpd.GeoDataFrame(geometry=[box(500005, 3329990, 500020, 3330000)] * 2, crs=32648)
    ranges = area_ranges(maps, ONE, zone)
    assert pixels(ranges.count) == {
        "before": {CROP: 1.5},
        "after": {CROP: 0.5, BUILT: 1},
        "gain": {BUILT: 1},
        "loss": {CROP: 1},
    }
    assert pixels(ranges.likely) == {"before": {CROP: 1}, "after": {BUILT: 1}, "gain": {BUILT: 1}, "loss": {CROP: 1}}
    # Two pixels lie side by side: one side of built is outline; of cropland lost, the same one.
    assert pixels(ranges.half_pixel) == {
        "before": {},
        "after": {CROP: 0.25, BUILT: 0.5},
        "gain": {BUILT: 0.5},
        "loss": {CROP: 0.5},
    }


def test_a_zone_around_everything_changes_nothing(maps):
    zone = gpd.GeoDataFrame(geometry=[box(499900, 3329000, 500900, 3330100)], crs=32648)
    assert (area_ranges(maps, ONE, zone).count == area_ranges(maps, ONE).count).all()


def test_zones_and_rasters_that_do_not_meet_are_refused(maps, tmp_path):
    zone = gpd.GeoDataFrame(geometry=[box(600000, 3329990, 600020, 3330000)], crs=32648)
    with pytest.raises(GridError, match="outside the raster"):
        area_ranges(maps, ONE, zone)
    (tmp_path / "east").mkdir()
    east = random_maps(tmp_path / "east", (4, 5), west=500010)
    with pytest.raises(GridError, match="not on the grid"):
        area_ranges(
            CoverMaps(maps.before, maps.after, maps.before_probability, maps.after_probability, east.change), ONE
        )


def test_maps_of_another_type_are_refused(maps):
    raster = Raster(np.ones((1, 4, 5), np.int16), np.ones((4, 5), bool), grid_of((4, 5)), ("class",))
    write_raster(maps.after, raster)
    with pytest.raises(InputError, match=r"after\.tif: holds int16, expected class codes as uint8"):
        area_ranges(maps, ONE)


# --- reconciliation ---


TRIANGLE = gpd.GeoDataFrame(geometry=[Polygon([(500013, 3329991), (500290, 3329905), (500071, 3329787)])], crs=32648)


@pytest.mark.parametrize("zone", [None, TRIANGLE], ids=["all", "zone"])
def test_the_count_is_that_of_the_transition_matrix_to_the_last_bit(tmp_path, zone):
    """An unchanged pixel whose later class is missing was left out here and counted there."""
    maps = random_maps(tmp_path)
    count = area_ranges(maps, ONE, zone).count
    changes = class_changes(transition_matrix(maps.before, maps.after, maps.change, ONE, zone))
    for row, key in enumerate(("before_m2", "after_m2", "gain_m2", "loss_m2")):
        assert count[row].tolist() == [getattr(changes[name], key) for name in NAMES]
    assert count.min() > 0


@pytest.mark.parametrize(("side", "workers"), [(5, 1), (7, 2), (16, 2)])
def test_blocks_and_threads_do_not_matter(tmp_path, monkeypatch, side, workers):
    maps = random_maps(tmp_path)
    whole, inside = area_ranges(maps, ONE), area_ranges(maps, ONE, TRIANGLE)
    monkeypatch.setattr(area_bounds, "blocks_of", lambda shape_hw: blocks_of(shape_hw, side))
    monkeypatch.setattr(area_bounds, "zone_pieces", lambda zone, grid: zone_pieces(zone, grid, side))
    cut, cut_inside = area_ranges(maps, ThreadRunner(workers)), area_ranges(maps, ThreadRunner(workers), TRIANGLE)
    for name in ("count", "likely", "possible", "half_pixel"):
        assert (getattr(cut, name) == getattr(whole, name)).all()
        # Coverage is single precision.
        np.testing.assert_allclose(getattr(cut_inside, name), getattr(inside, name), rtol=1e-6)
