import geopandas as gpd
import numpy as np
import pyproj
import pytest
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely.geometry import box

from src.constants import LAND_CLASSES
from src.errors import GridError, LegendError
from src.geo.areas import class_areas_m2
from src.geo.blocks import Block, ThreadRunner
from src.geo.exact_areas import exact_areas
from src.geo.grid import Grid, Raster
from src.geo.legend import to_canonical
from src.geo.raster import read_onto, read_raster, write_raster
from src.geo.simulate import simulate_county
from src.geo.transition import class_changes, transition_matrix
from src.geo.zones import read_zone

ONE = ThreadRunner(1)
PIXEL_M2 = 100 / 0.9996**2
BEFORE = np.array([[1, 1, 1, 3], [1, 1, 3, 3], [5, 5, 0, 3]], np.uint8)
AFTER = np.array([[1, 6, 6, 3], [1, 3, 3, 6], [5, 1, 1, 0]], np.uint8)
CHANGE = np.array([[1, 2, 2, 1], [1, 1, 1, 2], [1, 1, 2, 0]], np.uint8)


def grid_of(shape) -> Grid:
    return Grid(pyproj.CRS.from_epsg(32648), Affine(10, 0, 500000, 0, -10, 3330000), shape)


def write(path, codes, grid=None):
    grid = grid or grid_of(codes.shape)
    write_raster(path, Raster(codes[None], np.ones(codes.shape, bool), grid, ("class",)), nodata=0)
    return path


@pytest.fixture
def maps(tmp_path):
    return [write(tmp_path / f"{name}.tif", codes) for name, codes in zip("bac", (BEFORE, AFTER, CHANGE), strict=True)]


def pixels(matrix) -> dict[tuple[int, int], float]:
    """Cells that are not zero, in pixels."""
    return {(int(row), int(col)): round(matrix[row, col] / PIXEL_M2, 3) for row, col in np.argwhere(matrix)}


def test_both_maps_at_their_word(maps):
    assert pixels(transition_matrix(maps[0], maps[1], None, ONE)) == {
        (0, 1): 1, (1, 1): 2, (1, 3): 1, (1, 6): 2, (3, 0): 1, (3, 3): 2, (3, 6): 1, (5, 1): 1, (5, 5): 1,
    }  # fmt: skip


def test_only_detected_change_makes_gains_and_losses(maps):
    """The maps disagree at (1, 1) and (2, 1), where no change was seen; (2, 3) was not seen at all."""
    matrix = transition_matrix(*maps, ONE)
    assert pixels(matrix) == {(0, 1): 1, (1, 1): 3, (1, 6): 2, (3, 0): 1, (3, 3): 2, (3, 6): 1, (5, 5): 2}
    changes = class_changes(matrix)
    assert list(changes) == list(LAND_CLASSES.values())
    assert changes["cropland"].loss_m2 == pytest.approx(2 * PIXEL_M2, rel=1e-6)
    assert changes["cropland"].gain_m2 == 0 and changes["built"].gain_m2 == pytest.approx(3 * PIXEL_M2, rel=1e-6)
    assert changes["water"].net_m2 == 0


@settings(max_examples=4, deadline=None)
@given(seed=st.integers(0, 10**6), side=st.sampled_from([17, 37]))
def test_sums_reconcile_to_the_last_bit(tmp_path_factory, seed, side):
    folder, rng = tmp_path_factory.mktemp("t"), np.random.default_rng(seed)
    before, after = rng.integers(0, 8, (2, 40, 50)).astype(np.uint8)
    change = rng.integers(0, 3, (40, 50)).astype(np.uint8)
    paths = [write(folder / f"{name}.tif", codes) for name, codes in zip("bac", (before, after, change), strict=True)]
    matrix = transition_matrix(*paths, ONE, block_px=side)
    assert (matrix == transition_matrix(*paths, ThreadRunner(2), block_px=1024)).all()
    ground = exact_areas(grid_of((40, 50))).block(Block(0, 0, 40, 50))
    left = np.where(change == 1, before, np.where(change == 2, after, 0))
    assert matrix.sum(axis=1).tolist() == np.bincount(before.ravel(), ground.ravel(), 8).tolist()
    assert matrix.sum(axis=0).tolist() == np.bincount(left.ravel(), ground.ravel(), 8).tolist()
    assert matrix.sum() == ground.sum()
    areas = class_areas_m2(before, grid_of((40, 50)))
    assert matrix.sum(axis=1) == pytest.approx([areas[code] for code in range(8)], rel=1e-7)
    for change_of in class_changes(matrix).values():
        assert change_of.gain_m2 - change_of.loss_m2 == change_of.net_m2
        assert change_of.after_m2 - change_of.before_m2 == change_of.net_m2


def test_a_zone_takes_shares_of_pixels(maps):
    zone = gpd.GeoDataFrame(geometry=[box(500005, 3329990, 500020, 3330000)] * 2, crs=32648)
    matrix = transition_matrix(*maps, ONE, zone)
    assert pixels(matrix) == {(1, 1): 0.5, (1, 6): 1}


def test_zones_that_tile_the_map_add_up_to_it(maps):
    halves = [
        gpd.GeoDataFrame(geometry=[box(500000 + x, 3329970, 500000 + x + 20, 3330000)], crs=32648) for x in (0, 20)
    ]
    parts = sum(transition_matrix(*maps, ONE, half) for half in halves)
    assert (parts == transition_matrix(*maps, ONE)).all()


def test_bad_input(tmp_path, maps):
    with pytest.raises(GridError, match="not on the grid"):
        transition_matrix(maps[0], write(tmp_path / "x.tif", AFTER[:2]), None, ONE)
    with pytest.raises(LegendError, match="holds class 41"):
        transition_matrix(maps[0], write(tmp_path / "y.tif", AFTER + 35), None, ONE)


def test_simulated_county(tmp_path):
    """Label rasters of two dates: the matrix agrees with their own areas, and zone matrices add up."""
    county = simulate_county(
        tmp_path, seed=4, size=64, sensor="sentinel2_l2a", dates=["2023-05-01", "2024-05-01"], crs="EPSG:32648"
    )
    dates = county["dates"]
    labels = [tmp_path / f"labels/landcover_{date}.tif" for date in dates]
    matrix = transition_matrix(*labels, None, ONE)
    for axis, date in ((1, dates[0]), (0, dates[1])):
        truth = list(county["truth"]["label_areas_m2"][date].values())
        assert matrix.sum(axis=axis)[1:] == pytest.approx(truth, rel=1e-7, abs=1e-3)
    towns = read_zone(tmp_path / "zones/towns.gpkg")
    by_town = sum(transition_matrix(*labels, None, ONE, towns.iloc[[row]]) for row in range(len(towns)))
    assert by_town == pytest.approx(transition_matrix(*labels, None, ONE, towns), rel=1e-4, abs=1.0)
    truth = county["truth"]["zones"]["towns"]
    assert by_town.sum() == pytest.approx(sum(zone["area_m2"] for zone in truth), rel=2e-3)


def test_real_corine_maps(test_data, tmp_path):
    """Vaud 2006 and 2012: grids that differ by a pixel or two; on one grid the matrix has the maps' own areas."""
    paths, areas = [], []
    first = read_raster(test_data / "vaud_corine_2006_2012/ls100_06.tif")
    for name in ("06", "12"):
        source = test_data / f"vaud_corine_2006_2012/ls100_{name}.tif"
        codes, valid = read_onto(source, first.grid)
        cover = np.where(valid, to_canonical(np.where(valid, codes[0], 48), "corine"), 0).astype(np.uint8)
        paths.append(write(tmp_path / f"{name}.tif", cover, first.grid))
        areas.append(class_areas_m2(cover, first.grid))
    matrix = transition_matrix(*paths, None, ONE)
    for axis, own in ((1, areas[0]), (0, areas[1])):
        assert matrix.sum(axis=axis) == pytest.approx([own.get(code, 0.0) for code in range(8)], rel=1e-7)
    # Misregistration makes large gross changes of cropland that nearly cancel: about 56 ha are left of thousands.
    cropland = class_changes(matrix)["cropland"]
    assert abs(cropland.net_m2) < 0.1 * cropland.gain_m2
