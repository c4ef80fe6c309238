import math

import numpy as np
import pyproj
import pytest
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st

from src.errors import GridError, InputError
from src.geo.areas import class_areas_m2, convert_area, pixel_areas_m2
from src.geo.grid import Grid

# Geodesic area of 106-106.1 E, 30-30.1 N on GRS80, parallels densified (pyproj.Geod, 10,000 points a side).
BOX_M2 = 106_904_539.43
CHINA_ALBERS = pyproj.CRS.from_proj4("+proj=aea +lat_1=25 +lat_2=47 +lat_0=0 +lon_0=105 +datum=WGS84 +units=m")


def box_grid(crs: pyproj.CRS, side: int) -> Grid:
    """The box on ``side`` x ``side`` pixels; for geographic CRS and Mercator, whose grid lines are parallels."""
    transform = pyproj.Transformer.from_crs(4326, crs, always_xy=True)
    left, bottom = transform.transform(106, 30)
    right, top = transform.transform(106.1, 30.1)
    return Grid(crs, Affine((right - left) / side, 0, left, 0, (bottom - top) / side, top), (side, side))


def centre_grid(crs: pyproj.CRS, pixel: float, shape_hw: tuple[int, int]) -> Grid:
    x, y = pyproj.Transformer.from_crs(4326, crs, always_xy=True).transform(106.05, 30.05)
    return Grid(crs, Affine(pixel, 0, x, 0, -pixel, y), shape_hw)


def geodesic_pixel_m2(grid: Grid, row: int, col: int) -> float:
    """The trusted library's answer: geodesic area of one pixel with 200 points a side."""
    steps = np.linspace(0, 1, 200, endpoint=False)
    cols = np.concatenate([col + steps, np.full(200, col + 1.0), col + 1 - steps, np.full(200, float(col))])
    rows = np.concatenate([np.full(200, float(row)), row + steps, np.full(200, row + 1.0), row + 1 - steps])
    a, b, c, d, e, f = tuple(grid.transform)[:6]
    x, y = a * cols + b * rows + c, d * cols + e * rows + f
    lon, lat = pyproj.Transformer.from_crs(grid.crs, grid.crs.geodetic_crs, always_xy=True).transform(x, y)
    return abs(grid.crs.get_geod().polygon_area_perimeter(lon, lat)[0])


@pytest.mark.parametrize(("epsg", "side"), [(4326, 1), (4326, 700), (4490, 100), (3857, 1), (3857, 700)])
def test_the_box_has_its_geodesic_area_on_any_grid(epsg, side):
    areas = np.broadcast_to(pixel_areas_m2(box_grid(pyproj.CRS.from_epsg(epsg), side)), (side, side))
    assert areas.dtype == np.float64
    assert areas.sum() == pytest.approx(BOX_M2, abs=0.5)


def test_geographic_pixels_differ_by_row_only():
    areas = pixel_areas_m2(box_grid(pyproj.CRS.from_epsg(4326), 5))
    assert areas.shape == (5, 1)
    # Meridians converge northward, and row 0 is the northernmost.
    assert (np.diff(areas[:, 0]) > 0).all()


@pytest.mark.parametrize(("epsg", "ratio"), [(3857, 1.3392), (32648, 0.99945), (4544, 1.00025)])
def test_planar_area_over_ground_area(epsg, ratio):
    areas = pixel_areas_m2(centre_grid(pyproj.CRS.from_epsg(epsg), 10, (3, 3)))
    assert 100 / areas[1, 1] == pytest.approx(ratio, abs=5e-5)


@pytest.mark.parametrize("crs", [CHINA_ALBERS, pyproj.CRS.from_epsg(6933)], ids=["china_albers", "ease2"])
def test_equal_area_projections_keep_their_pixel_area(crs):
    assert pixel_areas_m2(centre_grid(crs, 10, (3, 3))) == pytest.approx(np.full((3, 3), 100.0), rel=1e-8)


@pytest.mark.parametrize("angle", [0, 30, 135])
@pytest.mark.parametrize("epsg", [32648, 4326, 2056, 32733])
def test_rotated_grids_agree_with_the_geodesic_library(epsg, angle):
    crs = pyproj.CRS.from_epsg(epsg)
    west, south, east, north = crs.area_of_use.bounds
    x, y = pyproj.Transformer.from_crs(4326, crs, always_xy=True).transform((west + east) / 2, (south + north) / 3)
    pixel = 0.005 if crs.is_geographic else 500
    turn = Affine.translation(x, y) @ Affine.rotation(angle) @ Affine.scale(pixel, -pixel)
    areas = np.broadcast_to(pixel_areas_m2(Grid(crs, turn, (3, 4))), (3, 4))
    assert areas[1, 2] == pytest.approx(geodesic_pixel_m2(Grid(crs, turn, (3, 4)), 1, 2), rel=2e-6)


def test_feet_and_grads_are_units_like_any_other():
    feet = pyproj.CRS.from_epsg(2264)
    x, y = pyproj.Transformer.from_crs(4326, feet, always_xy=True).transform(-78.6, 35.8)
    grid = Grid(feet, Affine(100, 0, x, 0, -100, y), (2, 2))
    # 100 US survey feet are 30.480061 m; the projection's own scale changes that by less than 0.02 %.
    assert pixel_areas_m2(grid)[0, 0] == pytest.approx(30.480061**2, rel=4e-4)
    paris_grads = pyproj.CRS.from_epsg(4807)
    areas = pixel_areas_m2(Grid(paris_grads, Affine(0.1, 0, 2, 0, -0.1, 50), (1, 1)))
    # 0.1 grad = 0.09 degree, from 45 down to 44.91 degrees north.
    geod = pyproj.Geod(a=6378249.2, b=6356515.0)
    lons = np.concatenate([np.linspace(0, 0.09, 500), np.linspace(0.09, 0, 500)])
    lats = np.concatenate([np.full(500, 44.91), np.full(500, 45.0)])
    assert areas[0, 0] == pytest.approx(geod.polygon_area_perimeter(lons, lats)[0], rel=1e-8)


def test_large_grids_are_interpolated_without_losing_area():
    grid = centre_grid(pyproj.CRS.from_epsg(32648), 30, (1500, 2000))
    areas = pixel_areas_m2(grid)
    for row, col in ((0, 0), (733, 1111), (1499, 1999)):
        assert areas[row, col] == pytest.approx(pixel_areas_m2(grid.window(row, col, 1, 1))[0, 0], rel=1e-8)


def test_a_wide_grid_of_one_row():
    grid = centre_grid(pyproj.CRS.from_epsg(32648), 30, (1, 600))
    assert pixel_areas_m2(grid)[0, 333] == pytest.approx(pixel_areas_m2(grid.window(0, 333, 1, 1))[0, 0], rel=1e-8)


def test_the_whole_earth_and_the_antimeridian():
    # Two rows of 100 degrees reach beyond both poles; the Earth has 510,065,621.7 km2 (WGS84).
    world = Grid(pyproj.CRS.from_epsg(4326), Affine(180, 0, -180, 0, -100, 100), (2, 2))
    assert np.broadcast_to(pixel_areas_m2(world), (2, 2)).sum() == pytest.approx(510_065_621.724e6, rel=1e-9)
    zone_60 = Grid(pyproj.CRS.from_epsg(32660), Affine(1000, 0, 800000, 0, -1000, 10000), (1, 100))
    steps = np.diff(pixel_areas_m2(zone_60)[0])
    # Areas shrink smoothly as the UTM scale grows; longitude jumps from 180 to -180 within the row.
    assert (steps < 0).all() and (np.abs(steps) < 100).all()


def test_a_spherical_crs_is_measured_on_its_sphere():
    modis = pyproj.CRS.from_proj4("+proj=sinu +lon_0=0 +R=6371007.181 +units=m")
    areas = pixel_areas_m2(Grid(modis, Affine(463.3127, 0, 1e6, 0, -463.3127, 3e6), (2, 2)))
    assert areas == pytest.approx(np.full((2, 2), 463.3127**2), rel=1e-7)


def test_class_areas_by_hand():
    grid = centre_grid(CHINA_ALBERS, 10, (3, 3))
    labels = np.array([[1, 1, 6], [1, 5, 6], [0, 5, 5]], dtype=np.uint8)
    areas = class_areas_m2(labels, grid)
    assert list(areas) == [0, 1, 5, 6]
    assert areas == pytest.approx({0: 100.0, 1: 300.0, 5: 300.0, 6: 200.0}, rel=1e-8)


def test_class_areas_over_several_strips_sum_to_the_grid():
    """Strips of 1024 rows must neither overlap nor leave rows out."""
    grid = centre_grid(CHINA_ALBERS, 10, (2500, 3))
    labels = np.ones(grid.shape_hw, dtype=np.uint8)
    labels[1023:1026] = 4
    assert class_areas_m2(labels, grid) == pytest.approx({1: 2497 * 300.0, 4: 900.0}, rel=1e-8)


def test_areas_need_a_place_on_earth():
    with pytest.raises(GridError, match="no CRS"):
        pixel_areas_m2(Grid(None, Affine(10, 0, 0, 0, -10, 0), (2, 2)))
    local = pyproj.CRS.from_wkt('LOCAL_CS["site",UNIT["metre",1]]')
    with pytest.raises(GridError, match="no CRS"):
        pixel_areas_m2(Grid(local, Affine(10, 0, 0, 0, -10, 0), (2, 2)))
    disc = pyproj.CRS.from_proj4("+proj=ortho +lat_0=30 +lon_0=105 +R=6371000")
    with pytest.raises(GridError, match="outside the area"):
        pixel_areas_m2(Grid(disc, Affine(1e6, 0, 6e6, 0, -1e6, 6e6), (3, 3)))
    with pytest.raises(GridError, match="do not lie on"):
        class_areas_m2(np.ones((2, 2), np.uint8), centre_grid(CHINA_ALBERS, 10, (3, 3)))


@pytest.mark.parametrize(("unit", "value"), [("m2", 20000.0), ("mu", 30.0), ("ha", 2.0), ("km2", 0.02)])
def test_units(unit, value):
    assert convert_area(20000.0, unit) == pytest.approx(value, rel=1e-15)


def test_unknown_unit_is_refused():
    with pytest.raises(InputError, match="acre"):
        convert_area(1.0, "acre")


@given(st.floats(1e-6, 1e13))
def test_fifteen_mu_make_a_hectare_and_a_hundred_hectares_a_square_kilometre(area):
    assert math.isclose(convert_area(area, "mu"), 15 * convert_area(area, "ha"), rel_tol=1e-12)
    assert math.isclose(convert_area(area, "ha"), 100 * convert_area(area, "km2"), rel_tol=1e-12)
