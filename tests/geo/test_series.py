import json
from pathlib import Path

import geopandas as gpd
import numpy as np
import pyproj
import pytest
from affine import Affine
from shapely.geometry import box

from src.errors import GridError, InputError
from src.geo.blocks import ThreadRunner
from src.geo.caveats import CannotTell
from src.geo.grid import Grid, Raster
from src.geo.raster import write_raster
from src.geo.scene import CLEAR, CLOUD, REFLECTANCE_NODATA, Scene, SceneRecord, open_scene
from src.geo.series import (
    GROWN_SHARE,
    Fields,
    days_apart,
    idle_cropland,
    index_series,
    linear_trend,
    same_season,
)

ONE = ThreadRunner(1)
LEFT, TOP = 500_000, 3_330_000
# Ground of a pixel at the central meridian of UTM.
PIXEL_M2 = 100 / 0.9996**2


def grid_of(shape=(4, 5), east=0.0) -> Grid:
    return Grid(pyproj.CRS.from_epsg(32648), Affine(10, 0, LEFT + east, 0, -10, TOP), shape)


def scene(folder: Path, day: str, ndvi: np.ndarray, *, hidden=(), quantity="reflectance", east=0.0) -> Scene:
    """A scene whose red is 0.1 and whose near infrared gives the NDVI: nir = red (1 + n) / (1 - n)."""
    values = np.asarray(ndvi, np.float64)
    bands = np.stack([np.full(values.shape, 0.1), 0.1 * (1 + values) / (1 - values)])
    mask = np.full(values.shape, CLEAR, np.uint8)
    for row, col in hidden:
        mask[row, col] = CLOUD
    grid, everywhere = grid_of(values.shape, east), np.ones(values.shape, bool)
    stored = np.rint(bands * 1e4).astype(np.int16)
    write_raster(folder / "bands.tif", Raster(stored, everywhere, grid, ("red", "nir")), nodata=REFLECTANCE_NODATA)
    write_raster(folder / "mask.tif", Raster(mask[None], everywhere, grid, ("mask",)))
    record = SceneRecord(folder.name, day, "sentinel2_l2a", "L2A", quantity, 10.0, 1.0)
    (folder / "scene.json").write_text(json.dumps(record.to_json()), encoding="utf-8")
    return open_scene(folder)


def zone(rows, cols) -> gpd.GeoDataFrame:
    """A zone over rows and columns of the grid, from and to."""
    shape = box(LEFT + 10 * cols[0], TOP - 10 * rows[1], LEFT + 10 * cols[1], TOP - 10 * rows[0])
    return gpd.GeoDataFrame({"name": ["z"]}, geometry=[shape], crs="EPSG:32648").to_crs(4490)


HALVES = np.array([[0.2, 0.2, 0.6, 0.6, 0.6]] * 4)


def test_mean_counts_partial_pixels_and_clear_ones_only(tmp_path):
    dates = [
        scene(tmp_path / "a", "2023-07-01", HALVES),
        scene(tmp_path / "b", "2024-07-01", HALVES + 0.1, hidden=[(0, 2), (1, 2)]),
    ]
    # Columns 1 and half of 2: 4 pixels of 0.2, 4 halves of 0.6 before; two of the halves are hidden after.
    first, second = index_series(dates, "NDVI", zone((0, 4), (1, 2.5)), tmp_path / "cache", ONE)
    assert first.mean == pytest.approx((4 * 0.2 + 2 * 0.6) / 6, abs=2e-4)
    assert first.spread == pytest.approx(np.sqrt((4 * 0.04 + 2 * 0.36) / 6 - (2 / 6) ** 2), abs=5e-4)
    assert second.mean == pytest.approx((4 * 0.3 + 1 * 0.7) / 5, abs=2e-4)
    assert (first.seen_share, second.seen_share) == (pytest.approx(1.0), pytest.approx(5 / 6, abs=1e-6))
    assert (first.date, second.scene) == ("2023-07-01", "b")


def test_together_means_the_same_pixels_on_every_date(tmp_path):
    hidden = [(row, col) for row in range(4) for col in (2, 3, 4)]
    dates = [scene(tmp_path / "a", "2023-07-01", HALVES), scene(tmp_path / "b", "2024-07-01", HALVES, hidden=hidden)]
    apart = index_series(dates, "NDVI", None, tmp_path / "cache", ONE)
    both = index_series(dates, "NDVI", None, tmp_path / "cache", ONE, together=True)
    assert apart[0].mean == pytest.approx(0.44, abs=2e-4)
    assert [one.mean for one in both] == pytest.approx([0.2, 0.2], abs=2e-4)
    assert both[0].seen_share == pytest.approx(0.4, abs=1e-6)


def test_scene_on_another_grid_is_laid_onto_the_first(tmp_path):
    first = scene(tmp_path / "a", "2023-07-01", np.full((12, 12), 0.5))
    other = scene(tmp_path / "b", "2024-07-01", np.full((12, 12), 0.3), east=25.0)
    found = index_series([first, other], "NDVI", None, tmp_path / "cache", ONE)
    assert found[1].mean == pytest.approx(0.3, abs=2e-3)
    assert 0.7 < found[1].seen_share < 0.85


def test_nothing_seen_is_no_number(tmp_path):
    blind = scene(tmp_path / "a", "2023-07-01", HALVES[:1, :1], hidden=[(0, 0)])
    (found,) = index_series([blind], "NDVI", None, tmp_path / "cache", ONE)
    assert np.isnan(found.mean) and found.seen_share == 0.0


def test_index_refuses_what_means_nothing(tmp_path):
    raw = scene(tmp_path / "raw", "2023-07-01", HALVES, quantity="dn")
    good = scene(tmp_path / "good", "2023-07-01", HALVES)
    with pytest.raises(CannotTell, match="DN_ONLY"):
        index_series([raw], "NDVI", None, tmp_path, ONE)
    with pytest.raises(InputError, match="greenness"):
        index_series([good], "greenness", None, tmp_path, ONE)
    with pytest.raises(InputError, match="no band"):
        index_series([good], "NDMI", None, tmp_path, ONE)
    with pytest.raises(GridError):
        index_series([good], "NDVI", zone((100, 104), (0, 2)), tmp_path, ONE)


def test_trend_is_least_squares():
    # Four years of 365.25 days (one leap year among them); residuals -1, 1, 1, -1 around 10 + 5 t.
    dates = ["2021-01-01", "2022-01-01", "2023-01-01", "2024-01-01"]
    found = linear_trend(dates, [9.0, 16.0, 21.0, 24.0])
    # Sum of (t - 1.5) (y - 17.5): (-1.5)(-8.5) + (-0.5)(-1.5) + 0.5 * 3.5 + 1.5 * 6.5; over 5, a year of 365 days.
    assert found.slope == pytest.approx((12.75 + 0.75 + 1.75 + 9.75) / 5 * 365.25 / 365, rel=1e-3)
    # Residual sum of squares 4, two degrees of freedom: error = sqrt(4 / 2 / 5).
    assert found.error == pytest.approx(np.sqrt(2 / 5), rel=2e-3)
    assert found.r2 == pytest.approx(1 - 4 / 129, rel=1e-4)
    # Student's t of two degrees of freedom at 97.5 %: 4.30265.
    assert found.interval == pytest.approx(
        (found.slope - 4.30265 * found.error, found.slope + 4.30265 * found.error), rel=1e-4
    )
    assert found.breaks == ()


def test_trend_of_two_dates_has_no_error():
    found = linear_trend(["2023-07-01", "2024-07-01"], [100.0, 90.0])
    assert found.slope == pytest.approx(-10 * 365.25 / 366)
    assert np.isnan(found.error) and found.interval is None


def test_trend_of_equal_values_is_flat():
    found = linear_trend(["2021-07-01", "2022-07-01", "2023-07-01"], [5.0, 5.0, 5.0])
    assert (found.slope, found.r2, found.error) == (0.0, 1.0, 0.0)


def test_interval_that_stands_out_is_a_break():
    dates = [f"{year}-07-01" for year in range(2018, 2025)]
    values = np.cumsum([0, 1.0, 1.1, 0.9, 9.0, 1.05, 1.0])
    assert linear_trend(dates, values).breaks == (3,)
    assert linear_trend(dates[:4], [0, 1, 2, 30]).breaks == ()


@pytest.mark.parametrize("dates", [["2023-07-01"], ["2024-07-01", "2023-07-01"], ["2023-07-01", "2023-07-01"]])
def test_trend_refuses_dates_that_do_not_rise(dates):
    with pytest.raises(InputError, match="rising"):
        linear_trend(dates, [1.0] * len(dates))


def test_season_is_counted_around_the_year():
    assert days_apart("2023-12-24", "2024-01-08") == pytest.approx(365.25 - 350)
    assert same_season("2023-12-24", "2024-01-08")
    assert same_season("2023-09-01", "2024-09-30")
    assert not same_season("2023-09-01", "2024-10-02")


def year_of(folder: Path, year: int, idle: np.ndarray, hidden=()) -> list[Scene]:
    """Four dates: fields green at 0.8 on the third, idle ones never above 0.2."""
    dates = []
    for month, green in ((3, 0.3), (5, 0.5), (7, 0.8), (9, 0.4)):
        ndvi = np.where(idle, 0.2, green)
        spots = hidden if month == 5 else ()
        dates.append(scene(folder / f"{year}{month}", f"{year}-{month:02d}-15", ndvi, hidden=spots))
    return dates


def write_cover(path: Path, codes: np.ndarray) -> Path:
    grid = grid_of(codes.shape)
    write_raster(path, Raster(codes.astype(np.uint8)[None], np.ones(codes.shape, bool), grid, ("land_class",)))
    return path


def test_idle_cropland_is_low_in_every_year_and_seen_often_enough(tmp_path):
    codes = np.ones((6, 6))
    codes[0] = 3
    first, second = np.zeros((6, 6), bool), np.zeros((6, 6), bool)
    first[1:3, 1:4] = True  # six pixels in the first year,
    second[1:3, 1:3] = True  # four of them in the second;
    second[4, 4] = True  # one in the second alone.
    first[0, :2] = second[0, :2] = True  # Forest does not count.
    years = {
        2023: year_of(tmp_path, 2023, first),
        # One idle pixel and one green one were seen on three dates only.
        2024: year_of(tmp_path, 2024, second, hidden=[(1, 1), (5, 5)]),
    }
    later = codes.copy()
    later[1:3] = 4  # Grass may be an idle field,
    later[5, 0] = 6  # a building is none.
    fields = Fields(write_cover(tmp_path / "a.tif", codes), write_cover(tmp_path / "b.tif", later), grid_of((6, 6)))
    found = idle_cropland(fields, years, None, tmp_path / "cache", ONE)
    assert found.cropland_m2 == pytest.approx(29 * PIXEL_M2, rel=1e-4)
    assert found.judged_m2 == pytest.approx(27 * PIXEL_M2, rel=1e-4)
    assert found.idle_m2 == pytest.approx(3 * PIXEL_M2, rel=1e-4)
    # (1, 2), (2, 1), (2, 2) meet seen fields on 1, 2 and 2 sides: forest above and the hidden pixel do not count.
    assert found.edge_m2 == pytest.approx(0.5 * 5 * PIXEL_M2, rel=1e-4)
    assert found.limits == {year: pytest.approx(GROWN_SHARE * 0.8, abs=1e-3) for year in (2023, 2024)}
    assert found.dates[2024] == ("2024-03-15", "2024-05-15", "2024-07-15", "2024-09-15")


def test_idle_cropland_says_what_is_missing(tmp_path):
    idle = np.zeros((2, 2), bool)
    years = {2023: year_of(tmp_path, 2023, idle), 2024: year_of(tmp_path, 2024, idle)[:3]}
    cover = write_cover(tmp_path / "cover.tif", np.ones((2, 2)))
    fields = Fields(cover, cover, grid_of((2, 2)))
    with pytest.raises(CannotTell, match="2024: 3; 4 a year"):
        idle_cropland(fields, years, None, tmp_path, ONE)
    with pytest.raises(InputError, match="two years"):
        idle_cropland(fields, {2023: years[2023]}, None, tmp_path, ONE)
