import numpy as np
import pyproj
import pytest
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st

from src.errors import GridError
from src.geo.grid import Grid, Raster

UTM = pyproj.CRS.from_epsg(32648)


def grid_3x5() -> Grid:
    return Grid(UTM, Affine(10, 0, 500000, 0, -10, 3330000), (3, 5))


def test_bounds_and_pixel_centres():
    grid = grid_3x5()
    assert grid.bounds() == (500000, 3329970, 500050, 3330000)
    assert grid.xy(0, 0) == (500005, 3329995)
    assert grid.xy(2, 4) == (500045, 3329975)


def test_bounds_of_a_rotated_grid_are_the_box_around_it():
    # 2 x 2 pixels of side 1 turned by 45 degrees around the upper left corner: a diamond 2 * sqrt(2) wide.
    grid = Grid(UTM, Affine.rotation(45) @ Affine.scale(1, -1), (2, 2))
    assert grid.bounds() == pytest.approx((0, -(2**0.5), 2 * 2**0.5, 2**0.5))


def test_window_moves_the_origin():
    part = grid_3x5().window(row=1, col=2, height=2, width=3)
    assert part.shape_hw == (2, 3)
    assert part.bounds() == (500020, 3329970, 500050, 3329990)
    assert part.xy(0, 0) == grid_3x5().xy(1, 2)


@pytest.mark.parametrize("window", [(-1, 0, 1, 1), (0, 0, 4, 1), (0, 3, 1, 3), (0, 0, 0, 1)])
def test_window_outside_is_refused(window):
    with pytest.raises(GridError, match="is not inside 3 x 5"):
        grid_3x5().window(*window)


def test_resized_keeps_the_ground():
    coarse = Grid(UTM, Affine(10, 0, 0, 0, -10, 0), (4, 6)).resized((2, 3))
    assert coarse.transform.a == 20 and coarse.transform.e == -20
    assert coarse.bounds() == (0, -40, 60, 0)


@given(row=st.integers(0, 2), col=st.integers(0, 4), data=st.data())
def test_windows_compose(row, col, data):
    height, width = data.draw(st.integers(1, 3 - row)), data.draw(st.integers(1, 5 - col))
    part = grid_3x5().window(row, col, height, width)
    last = part.window(height - 1, width - 1, 1, 1)
    assert last.same_as(grid_3x5().window(row + height - 1, col + width - 1, 1, 1))


def test_same_as_ignores_rounding_but_not_shifts_shapes_or_crs():
    grid = grid_3x5()
    assert grid.same_as(Grid(pyproj.CRS.from_wkt(UTM.to_wkt()), Affine(10, 0, 500000.0001, 0, -10, 3330000), (3, 5)))
    assert not grid.same_as(Grid(UTM, Affine(10, 0, 500001, 0, -10, 3330000), (3, 5)))
    assert not grid.same_as(Grid(UTM, grid.transform, (5, 3)))
    assert not grid.same_as(Grid(pyproj.CRS.from_epsg(32649), grid.transform, (3, 5)))
    assert not grid.same_as(Grid(None, grid.transform, (3, 5)))
    assert Grid(None, grid.transform, (3, 5)).same_as(Grid(None, grid.transform, (3, 5)))


def test_same_as_ignores_the_axis_order_of_the_crs_definition():
    transform = Affine(0.1, 0, 106, 0, -0.1, 30)
    lon_lat = Grid(pyproj.CRS.from_user_input("OGC:CRS84"), transform, (2, 2))
    assert Grid(pyproj.CRS.from_epsg(4326), transform, (2, 2)).same_as(lon_lat)


def test_unusable_grids_are_refused():
    with pytest.raises(GridError, match="at least one row"):
        Grid(UTM, Affine.identity(), (0, 5))
    with pytest.raises(GridError, match="distinct places"):
        Grid(UTM, Affine(0, 0, 1, 0, -10, 1), (2, 2))


@pytest.mark.parametrize(
    ("data", "valid", "names", "message"),
    [
        (np.zeros((3, 5)), np.ones((3, 5), bool), ("B1",), "does not lie on a grid"),
        (np.zeros((1, 5, 3)), np.ones((3, 5), bool), ("B1",), "does not lie on a grid"),
        (np.zeros((1, 3, 5)), np.ones((3, 5), np.uint8), ("B1",), "valid must be bool"),
        (np.zeros((2, 3, 5)), np.ones((3, 5), bool), ("B1",), "2 bands but 1 band names"),
    ],
)
def test_raster_parts_must_fit(data, valid, names, message):
    with pytest.raises(GridError, match=message):
        Raster(data, valid, grid_3x5(), names)
