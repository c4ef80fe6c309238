"""Expected lengths: WGS 84 radii of curvature by their formulas, a = 6378137 m, e2 = 0.00669437999014."""

import math

import geopandas as gpd
import numpy as np
import pyproj
import pytest
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from shapely.geometry import Point, box

from src.errors import GridError
from src.geo.grid import Grid
from src.geo.maps.geometry import (
    chip_window,
    crs_name,
    degree_marks,
    format_length,
    ground_size_m,
    lonlat_of,
    nice_length_m,
    north_direction,
    scale_spread,
    to_pixels,
)

A, E2 = 6378137.0, 0.00669437999014


def radii(latitude: float) -> tuple[float, float]:
    """Of the meridian and of the prime vertical."""
    root = 1 - E2 * math.sin(math.radians(latitude)) ** 2
    return A * (1 - E2) / root**1.5, A / math.sqrt(root)


def grid_at(epsg: int, x: float, y: float, pixel: float, shape=(100, 200)) -> Grid:
    """North-up, centred on a place."""
    transform = Affine(pixel, 0, x - shape[1] / 2 * pixel, 0, -pixel, y + shape[0] / 2 * pixel)
    return Grid(pyproj.CRS.from_epsg(epsg), transform, shape)


def utm(lon: float, lat: float, pixel: float = 10.0) -> Grid:
    x, y = pyproj.Transformer.from_crs(4326, 32648, always_xy=True).transform(lon, lat)
    return grid_at(32648, x, y, pixel)


def test_ground_size_of_a_geographic_pixel():
    meridian, normal = radii(30.0)
    across, down = ground_size_m(grid_at(4326, 106.0, 30.0, 0.001))
    assert across == pytest.approx(normal * math.cos(math.radians(30)) * math.radians(0.001), rel=1e-6)
    assert down == pytest.approx(meridian * math.radians(0.001), rel=1e-6)


def test_ground_size_of_a_mercator_pixel_shrinks_with_latitude():
    _, y = pyproj.Transformer.from_crs(4326, 3857, always_xy=True).transform(106.0, 40.0)
    meridian, normal = radii(40.0)
    across, down = ground_size_m(grid_at(3857, 0.0, y, 100.0))
    cosine = math.cos(math.radians(40))
    assert across == pytest.approx(100 * normal / A * cosine, rel=1e-6)
    assert down == pytest.approx(100 * meridian / A * cosine, rel=1e-6)
    assert 76 < across < 77


def test_ground_size_on_the_central_meridian_of_utm():
    across, down = ground_size_m(utm(105.0, 30.0))
    assert across == pytest.approx(10 / 0.9996, rel=1e-5) and down == pytest.approx(10 / 0.9996, rel=1e-5)


def test_scale_spread_grows_on_a_tall_mercator_map():
    assert scale_spread(utm(105.0, 30.0)) < 1e-5
    _, y = pyproj.Transformer.from_crs(4326, 3857, always_xy=True).transform(106.0, 40.0)
    # 100 rows of 2 km: about 76 km on the ground to either edge, 0.69 degrees: tan(40) * 0.012 = 1 %.
    assert scale_spread(grid_at(3857, 0.0, y, 2000.0)) == pytest.approx(0.01, rel=0.1)


def test_north_of_grids_that_need_no_turn():
    assert north_direction(utm(105.0, 30.0)) == pytest.approx((0, 1), abs=1e-6)
    assert north_direction(grid_at(4326, 106.0, 30.0, 0.001)) == pytest.approx((0, 1), abs=1e-9)
    assert north_direction(grid_at(4326, -70.0, -30.0, 0.001)) == pytest.approx((0, 1), abs=1e-9)


def test_north_leans_by_the_meridian_convergence():
    # East of the central meridian true north is left of grid north, by atan(tan(2.9) sin(30)) = 1.451 degrees.
    angle = math.atan(math.tan(math.radians(2.9)) * math.sin(math.radians(30)))
    right, up = north_direction(utm(107.9, 30.0))
    assert math.atan2(-right, up) == pytest.approx(angle, rel=2e-3)


def test_north_of_a_turned_grid():
    # Columns run 30 degrees north of east: north is 30 degrees to the right of the picture's upper edge.
    base = utm(105.0, 30.0)
    centre = base.transform @ (100, 50)
    turned = Affine.translation(*centre) @ Affine.rotation(30) @ Affine.scale(10, -10) @ Affine.translation(-100, -50)
    assert north_direction(Grid(base.crs, turned, (100, 200))) == pytest.approx((0.5, math.sqrt(0.75)), abs=1e-4)
    # Rows that run up (as in some climate grids): north is down in the picture.
    flipped = Affine.translation(*centre) @ Affine.scale(10, 10) @ Affine.translation(-100, -50)
    assert north_direction(Grid(base.crs, flipped, (100, 200))) == pytest.approx((0, -1), abs=1e-6)


@pytest.mark.parametrize(("longest", "nice"), [(1, 1), (1.99, 1), (2, 2), (4999, 2000), (5000, 5000), (0.07, 0.05)])
def test_nice_lengths(longest, nice):
    assert nice_length_m(longest) == pytest.approx(nice)


@given(st.floats(1e-3, 1e7))
def test_a_nice_length_fits_and_is_not_much_shorter(longest):
    assert longest / 2.5 * (1 - 1e-6) <= nice_length_m(longest) <= longest * (1 + 1e-6)


def test_lengths_are_named_in_m_and_km():
    assert [format_length(value) for value in (50, 500, 1000, 2500, 20000)] == [
        "50 m",
        "500 m",
        "1 km",
        "2.5 km",
        "20 km",
    ]


def test_degree_marks_by_hand():
    # 106.0 to 106.5 degrees over 100 pixels, at most 2 steps: every 15 minutes.
    places, names = degree_marks(np.array([106.0, 106.25, 106.5]), np.array([0.0, 50, 100]), 2, "EW")
    assert places == [0, 50, 100] and names == ["106°E", "106°15′E", "106°30′E"]
    # Southern latitudes run down: -30.002 to -30.0 degrees is 7.2 seconds; steps of 5.
    places, names = degree_marks(np.array([-30.0, -30.001, -30.002]), np.array([0.0, 50, 100]), 2, "NS")
    assert names == ["30°00′05″S", "30°S"] and places == pytest.approx([500 / 7.2, 0])


def test_degree_marks_of_an_edge_that_turns_back_are_left_out():
    assert degree_marks(np.array([1.0, 3.0, 2.0]), np.arange(3.0), 3, "EW") == ([], [])


def test_lonlat_and_back_to_pixels():
    grid = utm(105.0, 30.0)
    lon, lat = lonlat_of(grid, np.array([[0.0, 0.0], [100.0, 50.0]]))
    assert (lon[1], lat[1]) == pytest.approx((105.0, 30.0), abs=1e-9)
    shape = to_pixels(gpd.GeoDataFrame(geometry=[Point(lon[0], lat[0])], crs=4326), grid)[0]
    assert (shape.x, shape.y) == pytest.approx((0, 0), abs=1e-4)
    with pytest.raises(GridError, match="CRS"):
        to_pixels(gpd.GeoDataFrame(geometry=[box(0, 0, 1, 1)]), grid)


@pytest.mark.parametrize("epsg", [4326, 32648])
def test_a_chip_is_square_on_the_ground(epsg):
    grid = grid_at(4326, 106.0, 30.0, 0.0001) if epsg == 4326 else utm(106.0, 30.0)
    chip = chip_window(grid, (150.0, 20.0), 896.0, 448)
    assert chip.shape_hw == (448, 448)
    assert ground_size_m(chip) == pytest.approx((2.0, 2.0), rel=1e-5)
    assert ~grid.transform @ (chip.transform @ (224, 224)) == pytest.approx((150, 20), abs=1e-6)


def test_names_of_crs():
    assert crs_name(utm(105.0, 30.0)) == "WGS 84 / UTM zone 48N (EPSG:32648)"
    assert "EPSG" not in crs_name(
        Grid(pyproj.CRS("+proj=aea +lat_1=25 +lat_2=47 +lon_0=105"), Affine.identity(), (2, 2))
    )


def test_a_grid_without_crs_has_no_ground():
    with pytest.raises(GridError, match="no CRS"):
        ground_size_m(Grid(None, Affine.identity(), (3, 3)))
