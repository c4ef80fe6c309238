import math
import warnings

import geopandas as gpd
import numpy as np
import pyproj
import pytest
import shapely
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st

from src.errors import GridError, InputError
from src.geo.areas import (
    block_areas_m2,
    check_coordinates,
    class_areas_m2,
    convert_area,
    map_class_areas_m2,
    pixel_areas_m2,
    polygon_areas_m2,
)
from src.geo.blocks import Block, ThreadRunner
from src.geo.grid import Grid, Raster
from src.geo.raster import write_raster

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


def outline(west: float, south: float, east: float, north: float) -> np.ndarray:
    """A box along meridians and parallels with 500 points a side, (2000, 2), anticlockwise."""
    steps = np.linspace(0, 1, 500, endpoint=False)
    lon = np.concatenate([west + steps * (east - west), np.full(500, east), east - steps * (east - west)])
    lat = np.concatenate([np.full(500, south), south + steps * (north - south), np.full(500, north)])
    return np.column_stack([np.append(lon, np.full(500, west)), np.append(lat, north - steps * (north - south))])


# CGCS2000: 6-degree zone 18 with and without prefix, 3-degree zone 35 with and without prefix.
MEASURING_CRS = [4326, 4490, 3857, 32648, 4496, 4507, 4523, 4544, CHINA_ALBERS, 6933]


@pytest.mark.parametrize("crs", MEASURING_CRS, ids=[*map(str, MEASURING_CRS[:-2]), "china_albers", "6933"])
@pytest.mark.parametrize("hole_turns", [1, -1])
def test_a_polygon_with_a_hole_has_its_ellipsoidal_area_in_every_crs(crs, hole_turns):
    """Whichever way the hole winds, it is taken off (added, it would give 111.18 km2)."""
    hole = outline(106.02, 30.02, 106.04, 30.04)[::hole_turns]
    polygon = shapely.Polygon(outline(106, 30, 106.1, 30.1), [hole])
    area = polygon_areas_m2(gpd.GeoSeries([polygon], crs=4490).to_crs(crs))
    # The geodesic area with corners alone; parallels instead of geodesics make it 7 m2 smaller.
    assert area.dtype == np.float64
    assert area == pytest.approx([102_627_518.23], rel=1e-7)


@pytest.mark.parametrize("zone", range(4491, 4555))
def test_all_cgcs2000_zones(zone):
    """A box beside each zone's own meridian, against the geodesic library."""
    crs = pyproj.CRS.from_epsg(zone)
    meridian = crs.coordinate_operation.params[1].value
    ring = outline(meridian + 0.5, 30, meridian + 0.6, 30.1)
    area = polygon_areas_m2(gpd.GeoSeries([shapely.Polygon(ring)], crs=4490).to_crs(crs))
    assert area == pytest.approx([BOX_M2], rel=1e-8)


@pytest.mark.parametrize("crs", [4326, 3857, 32648, 4544])
@pytest.mark.parametrize("side_m", [1000, 30_000, 300_000])
def test_long_edges_are_straight_in_their_own_crs(crs, side_m):
    x, y = pyproj.Transformer.from_crs(4326, crs, always_xy=True).transform(106.05, 30.05)
    side = side_m / 111_000 if crs == 4326 else side_m
    triangle = shapely.Polygon([(x, y), (x + side, y + 0.2 * side), (x + 0.3 * side, y + 0.9 * side)])
    fine = shapely.get_coordinates(shapely.segmentize(triangle, side / 3000))
    geodesic = pyproj.Transformer.from_crs(crs, 4326, always_xy=True).transform(*fine.T)
    expected = abs(pyproj.Geod(ellps="WGS84").polygon_area_perimeter(*geodesic)[0])
    assert polygon_areas_m2(gpd.GeoSeries([triangle], crs=crs)) == pytest.approx([expected], rel=1e-8)


def test_small_and_many_part_polygons_in_an_equal_area_crs():
    x, y = pyproj.Transformer.from_crs(4326, CHINA_ALBERS, always_xy=True).transform(106, 30)
    square = shapely.box(x, y, x + 10, y + 10)
    two = shapely.MultiPolygon([square, shapely.box(x + 20, y, x + 25, y + 10)])
    areas = polygon_areas_m2(gpd.GeoSeries([square, two, shapely.Polygon()], crs=CHINA_ALBERS))
    assert areas == pytest.approx([100.0, 150.0, 0.0], rel=1e-8)
    # A polygon over the antimeridian is as large as one elsewhere.
    pair = [shapely.box(179.9, 30, 180.1, 30.1), shapely.box(9.9, 30, 10.1, 30.1)]
    date_line, elsewhere = polygon_areas_m2(gpd.GeoSeries(pair, crs=4326))
    assert date_line == pytest.approx(elsewhere, rel=1e-12)


def test_polygons_that_cannot_be_measured_are_refused():
    bow = shapely.Polygon([(0, 0), (1, 1), (1, 0), (0, 1)])
    with pytest.raises(InputError, match=r"1 of 2 .* number 1, .*Self-intersection"):
        polygon_areas_m2(gpd.GeoSeries([shapely.box(0, 0, 1, 1), bow], crs=4326))
    with pytest.raises(InputError, match="no polygon"):
        polygon_areas_m2(gpd.GeoSeries([shapely.Point(0, 0)], crs=4326))
    with pytest.raises(GridError, match="no CRS"):
        polygon_areas_m2(gpd.GeoSeries([shapely.box(0, 0, 1, 1)]))
    disc = pyproj.CRS.from_proj4("+proj=ortho +lat_0=30 +lon_0=105 +R=6371000")
    with pytest.raises(GridError, match="outside the area"):
        polygon_areas_m2(gpd.GeoSeries([shapely.box(7e6, 0, 8e6, 1e6)], crs=disc))


@pytest.mark.parametrize(("epsg", "pixel"), [(32648, 10), (4544, 30), (3857, 10), (4326, 1e-4)])
def test_blocks_of_a_tile_keep_each_pixels_geodesic_area(epsg, pixel):
    grid = centre_grid(pyproj.CRS.from_epsg(epsg), pixel, (10980, 10980))
    block = Block(3072, 4096, 1024, 1024)
    areas = np.broadcast_to(block_areas_m2(grid, block), (1024, 1024))
    for row, col in ((0, 0), (511, 333), (1023, 1023)):
        expected = geodesic_pixel_m2(grid, block.row + row, block.col + col)
        # The geodesic library itself is good to 1e-6 for so small a polygon.
        assert areas[row, col] == pytest.approx(expected, rel=2e-5)
        exact = pixel_areas_m2(grid.window(block.row + row, block.col + col, 1, 1))[0, 0]
        assert areas[row, col] == pytest.approx(exact, rel=1e-8)


def test_class_areas_of_a_file_block_by_block(tmp_path):
    grid = centre_grid(pyproj.CRS.from_epsg(32648), 10, (1100, 1050))
    labels = np.ones(grid.shape_hw, np.uint8)
    labels[1000:, 1000:], labels[:3] = 6, 0
    path = tmp_path / "labels.tif"
    write_raster(path, Raster(labels[None], labels > 0, grid, ("class",)), nodata=0)
    one, three = (map_class_areas_m2(path, ThreadRunner(workers)) for workers in (1, 3))
    assert one == three
    assert one == pytest.approx(class_areas_m2(labels, grid), rel=1e-9)
    # The planar area, over the areal scale of UTM there.
    assert one[6] == pytest.approx(100 * 50 * 100 / 0.99945, rel=1e-4)
    write_raster(path, Raster(labels[None].astype(np.float32), labels > 0, grid, ("class",)))
    with pytest.raises(InputError, match="float32"):
        map_class_areas_m2(path, ThreadRunner(1))


@pytest.mark.parametrize(
    ("epsg", "bounds", "message"),
    [
        (4523, (5e5, 3.3e6, 6e5, 3.4e6), "six digits belong to EPSG:4544"),
        (4544, (355e5, 3.3e6, 356e5, 3.4e6), "zone prefix 35 belongs to EPSG:4523"),
        (4523, (365e5, 3.3e6, 366e5, 3.4e6), "zone prefix 36 belongs to EPSG:4524"),
        (4496, (5e5, 3.3e6, 6e5, 3.4e6), "six digits belong to EPSG:4507"),
        (4507, (185e5, 3.3e6, 186e5, 3.4e6), "zone prefix 18 belongs to EPSG:4496"),
        (32648, (106, 30, 106.1, 30.1), "look like degrees"),
        (4326, (5e5, 3.3e6, 6e5, 3.4e6), "no longitudes"),
        (32648, (5e5, -4e6, 6e5, -3.9e6), "outside the area of"),
        (4544, (5e5, float("nan"), 6e5, 3.4e6), "no coordinates"),
        (3577, (9e7, 9e7, 9.1e7, 9.1e7), "lie outside the area"),
    ],
)
def test_coordinates_that_cannot_belong_to_their_crs(epsg, bounds, message):
    with pytest.raises(GridError, match=message):
        check_coordinates(pyproj.CRS.from_epsg(epsg), bounds, "town.shp")


def test_coordinates_that_may_belong_to_their_crs():
    for epsg, bounds in (
        (4523, (354e5, 3.3e6, 356e5, 3.4e6)),
        (4544, (4e5, 3.3e6, 6e5, 3.4e6)),
        (4326, (106, 30, 107, 31)),
        (3857, (1.18e7, 3.5e6, 1.19e7, 3.6e6)),
        (32601, (2e5, 3.3e6, 3e5, 3.4e6)),
    ):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            check_coordinates(pyproj.CRS.from_epsg(epsg), bounds)
    with pytest.warns(UserWarning, match="is the CRS right"):
        check_coordinates(pyproj.CRS.from_epsg(4544), (8.5e5, 3.3e6, 8.6e5, 3.4e6))
    with pytest.raises(GridError, match="has no CRS"):
        check_coordinates(None, (0, 0, 1, 1), "town.shp")
