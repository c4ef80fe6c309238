"""Parts of the simulated county, each against values worked out by hand."""

from datetime import date, timedelta

import numpy as np
import pytest

from src.constants import LAND_CLASS_IDS
from src.geo.raster import read_raster
from src.geo.sensors import SENSORS
from src.geo.simulation.change import plan_events, state_on
from src.geo.simulation.cover import CLASS_OF_COVER, Cover, Crop
from src.geo.simulation.landscape import build_landscape
from src.geo.simulation.noise import bricks, fractal_noise, hash01, top_share, voronoi_blocks
from src.geo.simulation.profile import draw_profile
from src.geo.simulation.sensor_model import (
    block_mean,
    digital_numbers,
    majority_class,
    qa_pixel_mask,
    scl_mask,
    sun_position,
)
from src.geo.simulation.spectra import COVER_SPECTRA, MATERIALS, cover_table, crop_table
from src.geo.simulation.terrain import Frame

S2, L8 = "sentinel2_l2a", "landsat8"


@pytest.fixture(scope="module")
def county_5():
    """Landscape 5 (a wheat plain) with its events, straight from the parts."""
    profile, frame = draw_profile(5), Frame(n=384, cell_m=10 / 3, unit=1.0)
    landscape = build_landscape(profile, frame, 5, 10.0)
    days = [date(2023, 3, 1), date(2024, 3, 1)]
    return landscape, plan_events(landscape, days)


def test_building_sites_are_bare_first_and_built_after(county_5):
    landscape, events = county_5
    site = next(event for event in events if event.kind == "construction" and event.site_days)
    days = [site.start + timedelta(days=age) for age in (-1, 1, site.site_days + 1)]
    stages = [np.unique(CLASS_OF_COVER[state_on(landscape, events, day).cover.ravel()[site.cells]]) for day in days]
    assert set(stages[0]) <= {LAND_CLASS_IDS["cropland"], LAND_CLASS_IDS["garden"]}
    assert list(stages[1]) == [LAND_CLASS_IDS["unused"]]
    assert list(stages[2]) == [LAND_CLASS_IDS["built"]]


def test_events_never_share_a_cell_and_leave_the_rest_alone(county_5):
    landscape, events = county_5
    cells = np.concatenate([event.cells for event in events])
    assert len(events) > 5 and len(np.unique(cells)) == len(cells)
    before, after = (state_on(landscape, events, day) for day in (date(2021, 1, 1), date(2026, 1, 1)))
    moved = (before.cover != after.cover).ravel()
    moved[cells] = False
    # Outside events only the water line moves.
    assert set(np.unique(landscape.terrain.basin_m.ravel()[moved] > -3)) <= {True}
    kinds = {event.kind for event in events}
    assert "construction" in kinds and len(kinds) >= 4


def test_crop_calendar_through_the_year():
    """Flooded paddy in May, closed canopy in August; wheat green in April, stubble in late June."""
    profile = draw_profile(5)
    many = 400

    def mean(crop: Crop, day: int) -> np.ndarray:
        return crop_table(profile, np.full(many, crop, np.uint8), day, seed=1).mean(axis=0)

    def ndvi(rho: np.ndarray) -> float:
        return float((rho[3] - rho[2]) / (rho[3] + rho[2]))

    assert mean(Crop.RICE, 145)[3] < 0.1 and ndvi(mean(Crop.RICE, 220)) > 0.7
    assert ndvi(mean(Crop.WHEAT_MAIZE, 110)) > 0.65 > 0.3 > ndvi(mean(Crop.WHEAT_MAIZE, 172))
    yellow, green = mean(Crop.RAPESEED_RICE, 82), mean(Crop.RAPESEED_RICE, 110)
    assert yellow[2] / yellow[0] > 1.8 > green[2] / green[0]
    assert mean(Crop.GREENHOUSE, 220)[0] > 0.12


def test_cover_table_mixes_canopy_and_ground_by_hand():
    """In deep winter green fractions are the winter ones: conifer = 0.84 conifer + 0.16 litter."""
    table = cover_table(draw_profile(5), 15)
    conifer, litter = np.array(MATERIALS["conifer"]), np.array(MATERIALS["litter"])
    assert table[Cover.CONIFER] == pytest.approx(0.84 * conifer + 0.16 * litter, abs=2e-4)
    assert table[Cover.ROOF_RED] == pytest.approx(MATERIALS["tile_red"])
    assert set(COVER_SPECTRA) == set(Cover)
    assert all(0 < value < 0.6 for spectrum in MATERIALS.values() for value in spectrum)


def test_forest_and_soil_match_a_real_scene(test_data):
    """Class means of labelled pixels in a Landsat 7 surface-reflectance scene (1 forest, 4 barren)."""
    folder = test_data / "chiapas_landsat7_1999_2002"
    rho = read_raster(folder / "LE70220491999322EDC01_stack.gtif").data[:6] / 1e4
    label = read_raster(folder / "training_data.gtif").data[0]
    forest, barren = (rho[:, label == code].mean(axis=1) for code in (1, 4))
    assert cover_table(draw_profile(5), 220)[Cover.BROADLEAF] == pytest.approx(forest, rel=0.4)
    assert np.array(MATERIALS["soil_brown"]) == pytest.approx(barren, rel=0.4)


def test_digital_numbers_by_hand():
    rho = np.array([0.05, -0.3, 0.3125725, 9.0], np.float64)
    assert digital_numbers(rho, SENSORS[S2]).tolist() == [1500, 1, 4126, 65535]
    # 0.05 -> (0.05 + 0.2) / 0.0000275 = 9090.9; 18639 is the USGS example.
    assert digital_numbers(rho, SENSORS[L8]).tolist() == [9091, 1, 18639, 65535]


def test_sun_at_the_equinox_by_hand():
    """Day 81 has declination 0; sin h = cos 30 cos 22.5 and tan A = sin 22.5 / -(sin 30 cos 22.5)."""
    elevation, azimuth = sun_position(30.0, 81)
    assert elevation == pytest.approx(53.14, abs=0.01)
    assert azimuth == pytest.approx(140.36, abs=0.01)


def test_quality_codes_by_hand():
    """Vegetation, water, bare ground and dark ground; then the same under shadow, cloud and thin cloud."""
    rho = np.zeros((6, 1, 7), np.float32)
    rho[:, 0, 0] = (0.03, 0.06, 0.03, 0.40, 0.2, 0.1)
    rho[:, 0, 1] = (0.04, 0.05, 0.04, 0.02, 0.01, 0.01)
    rho[:, 0, 2] = (0.10, 0.14, 0.18, 0.26, 0.33, 0.28)
    rho[:, 0, 3] = (0.05, 0.05, 0.05, 0.07, 0.10, 0.09)
    obstruction = np.array([[0, 0, 0, 0, 1, 2, 3]], np.uint8)
    assert scl_mask(rho, obstruction).tolist() == [[4, 6, 5, 2, 3, 9, 8]]
    assert qa_pixel_mask(rho, obstruction).tolist() == [[21824, 21952, 21824, 21824, 23888, 22280, 21762]]


def test_block_mean_and_majority_by_hand():
    assert block_mean(np.arange(16.0).reshape(4, 4), 2).tolist() == [[2.5, 4.5], [10.5, 12.5]]
    cover = np.array(
        [[Cover.CROP, Cover.CROP, Cover.LAKE, Cover.POND], [Cover.CROP, Cover.LAKE, Cover.GRASS, Cover.GRASS]]
    )
    # A tie of water (5) and grassland (4) goes to the smaller id.
    square = np.vstack([cover, cover])
    assert majority_class(square, 2).tolist() == [[1, 4], [1, 4]]


def test_noise_blocks_and_bricks():
    rng = np.random.default_rng(0)
    field = fractal_noise(rng, 64, 10.0, 200.0)
    assert abs(float(field.mean())) < 1e-4 and float(field.std()) == pytest.approx(1.0, abs=1e-4)
    keys = np.arange(20000)
    assert hash01(1, keys).mean() == pytest.approx(0.5, abs=0.01)
    assert (hash01(1, keys) == hash01(1, keys)).all() and (hash01(1, keys) != hash01(2, keys)).mean() > 0.99
    assert np.corrcoef(hash01(1, keys), hash01(1, keys + 1))[0, 1] == pytest.approx(0, abs=0.03)
    assert top_share(np.arange(100.0).reshape(10, 10), 0.2).sum() == 20
    assert top_share(np.ones((2, 2)), 0.5, np.zeros((2, 2), bool)).sum() == 0
    x, y = np.meshgrid(np.arange(0, 300, 5, dtype=np.float32), np.arange(0, 300, 5, dtype=np.float32))
    block, edge_m = voronoi_blocks(x, y, 100.0, salt=3)
    assert 5 <= len(np.unique(block)) <= 30
    inner = (block[:, 1:] != block[:, :-1]) & (np.maximum(edge_m[:, 1:], edge_m[:, :-1]) > 6.0)
    assert not inner.any()
    row, column = bricks(x, y, np.full_like(x, 40.0), np.full_like(x, 20.0), 1, np.zeros(x.shape, np.int32))
    sizes = np.bincount(np.unique(np.stack([row, column]).reshape(2, -1), axis=1, return_inverse=True)[1])
    assert np.median(sizes) * 25 == pytest.approx(800, rel=0.3)
