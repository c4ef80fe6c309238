from collections import Counter
from pathlib import Path

import numpy as np
import pyproj
import pytest
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st

from src.errors import GridError, InputError
from src.geo.blocks import Block, ThreadRunner
from src.geo.estimates.design import RING, Target, allocate, draw_sample
from src.geo.grid import Grid, Raster
from src.geo.raster import write_raster

UTM = Affine(10, 0, 600_000, 0, -10, 3_300_000)
ONE = ThreadRunner(1)


def write_map(path: Path, codes: np.ndarray, transform: Affine = UTM, epsg: int = 32648) -> Path:
    grid = Grid(pyproj.CRS.from_epsg(epsg), transform, codes.shape)
    write_raster(path, Raster(codes[None], codes > 0, grid, ("class",)), nodata=0)
    return path


@pytest.fixture(scope="module")
def change(tmp_path_factory):
    """1300 x 1100 pixels, four blocks: two changed squares, and a strip without data."""
    codes = np.ones((1300, 1100), np.uint8)
    codes[:50] = 0
    codes[1000:1040, 1010:1050] = codes[100:110, 100:110] = 2
    return write_map(tmp_path_factory.mktemp("maps") / "change.tif", codes), codes


def test_allocation_by_hand():
    # 2 % and 1 % get the minimum; 600 - 100 is left for the large stratum.
    assert allocate(600, [20_000, 10_000, 970_000]) == [50, 50, 500]
    # Proportional where all are large, by largest remainder.
    assert allocate(100, [500_000, 333_333, 166_667], minimum=2) == [50, 33, 17]
    # A stratum smaller than the minimum is taken whole.
    assert allocate(600, [7, 999_993]) == [7, 593]
    # Neyman: deviations of 0.4 and 0.1 in equal strata share as 4 to 1.
    assert allocate(500, [1000, 1000], deviations=[0.4, 0.1]) == [400, 100]
    # No more than there are.
    assert allocate(300, [60, 100]) == [60, 100]
    with pytest.raises(InputError, match="100 or more"):
        allocate(99, [1000, 1000])


@given(st.integers(100, 3000), st.lists(st.integers(1, 10**8), min_size=1, max_size=8))
def test_allocation_keeps_the_total_and_the_bounds(total, pixels):
    least = [min(size, 10) for size in pixels]
    drawn = allocate(total, pixels, minimum=10)
    assert sum(drawn) == min(total, sum(pixels))
    assert all(low <= count <= size for low, count, size in zip(least, drawn, pixels, strict=True))


def test_a_drawn_sample_is_what_the_design_says(change):
    path, codes = change
    design = draw_sample(Target("change", (path,)), 300, 4, ONE)
    strata = {stratum.code: stratum for stratum in design.strata}
    assert {code: stratum.pixels for code, stratum in strata.items()} == dict(Counter(codes[codes > 0].tolist()))
    assert (strata[1].drawn, strata[2].drawn) == (250, 50)
    assert strata[2].inclusion == 50 / 1700
    # 1700 pixels of 100 m2 over the areal scale of UTM, about 1.0 at 600 km east.
    assert strata[2].area_m2 == pytest.approx(170_000, rel=1e-3)
    assert design.mapped_m2 == pytest.approx({code: stratum.area_m2 for code, stratum in strata.items()})
    assert len({(point.row, point.col) for point in design.points}) == 300
    to_degrees = pyproj.Transformer.from_crs(32648, 4326, always_xy=True)
    for point in design.points:
        assert codes[point.row, point.col] == point.stratum == point.mapped
        assert (point.x, point.y) == (600_005 + 10 * point.col, 3_299_995 - 10 * point.row)
        assert (point.lon, point.lat) == pytest.approx(to_degrees.transform(point.x, point.y), abs=1e-7)
        assert point.inclusion == strata[point.stratum].inclusion


def test_numbers_and_order_tell_nothing_of_the_strata(change):
    design = draw_sample(Target("change", (change[0],)), 300, 4, ONE)
    assert [point.sample for point in design.points] == [f"{i:04d}" for i in range(1, 301)]
    places = [i for i, point in enumerate(design.points) if point.stratum == 2]
    # 50 of 300 in random order: mean place 149.5, standard deviation of the mean 11.2.
    assert np.mean(places) == pytest.approx(149.5, abs=45)


def test_seed_decides_and_threads_do_not(change):
    target = Target("change", (change[0],), ring=2)
    assert draw_sample(target, 300, 4, ONE) == draw_sample(target, 300, 4, ThreadRunner(3))
    assert draw_sample(target, 300, 5, ONE).points != draw_sample(target, 300, 4, ONE).points


def test_every_pixel_of_a_stratum_has_the_same_chance(tmp_path):
    """8 of 16 pixels, 64 times: each is drawn 32 times, give or take 4 standard deviations of 4."""
    path = write_map(tmp_path / "change.tif", np.ones((4, 4), np.uint8))
    counts = np.zeros((4, 4), int)
    for seed in range(64):
        for point in draw_sample(Target("change", (path,)), 8, seed, ONE, minimum=2).points:
            counts[point.row, point.col] += 1
    assert counts.sum() == 512
    assert np.abs(counts - 32).max() <= 16


def test_a_ring_around_change_is_a_stratum_across_blocks(tmp_path):
    codes = np.ones((30, 1030), np.uint8)
    codes[10:12, 1023:1026] = 2
    codes[9, 1023] = 0
    target = Target("change", (write_map(tmp_path / "change.tif", codes),), ring=2)
    design = draw_sample(target, 200, 0, ONE)
    strata = {stratum.code: stratum for stratum in design.strata}
    # 6 x 7 pixels around 2 x 3, less one without data.
    assert strata[RING + 1].pixels == 6 * 7 - 6 - 1
    assert strata[RING + 1].name == "未变化 unchanged 变化周边 near change"
    assert {point.mapped for point in design.points if point.stratum == RING + 1} == {1}
    assert set(design.mapped_m2) == {1, 2}


def test_gain_and_loss_of_a_class(tmp_path):
    before = write_map(tmp_path / "before.tif", np.array([[1, 1, 6, 3, 1, 0]], np.uint8))
    after = write_map(tmp_path / "after.tif", np.array([[1, 6, 1, 6, 0, 1]], np.uint8))
    target = Target("gain_loss", (before, after), focus=1)
    strata, mapped = target.read(Block(0, 0, 1, 6), (1, 6))
    # Always cropland, lost, gained, never, and twice not seen on both dates.
    assert mapped.tolist() == strata.tolist() == [[4, 2, 3, 1, 0, 0]]


def test_strata_of_ones_own(tmp_path):
    path = write_map(tmp_path / "change.tif", np.array([[1, 1, 2, 2, 1]], np.uint8))
    strata = write_map(tmp_path / "towns.tif", np.array([[200, 201, 200, 201, 0]], np.uint8))
    design = draw_sample(Target("change", (path,), strata=strata), 4, 0, ONE, minimum=2)
    assert [(s.code, s.name, s.pixels) for s in design.strata] == [(200, "stratum 200", 2), (201, "stratum 201", 2)]
    assert Counter((p.stratum, p.mapped) for p in design.points) == {(200, 1): 1, (200, 2): 1, (201, 1): 1, (201, 2): 1}
    assert list(design.mapped_m2) == [1, 2]


def test_the_advised_size_is_drawn_where_none_is_given(tmp_path):
    path = write_map(tmp_path / "change.tif", np.ones((100, 100), np.uint8))
    # Equation 13 with an accuracy of 0.85 and a standard error of 0.015: 566.7; with 0.99: 44, raised to the minimum.
    assert len(draw_sample(Target("change", (path,)), None, 0, ONE).points) == 567
    assert len(draw_sample(Target("change", (path,)), None, 0, ONE, expected={1: 0.99}).points) == 50
    with pytest.raises(InputError, match=r"0\.\.1"):
        draw_sample(Target("change", (path,)), 60, 0, ONE, expected={1: 1.5})


def test_maps_that_cannot_be_sampled(tmp_path):
    good = write_map(tmp_path / "good.tif", np.ones((4, 4), np.uint8))
    other = write_map(tmp_path / "other.tif", np.ones((4, 4), np.uint8), UTM @ Affine.translation(1, 0))
    with pytest.raises(GridError, match="another grid"):
        Target("gain_loss", (good, other), focus=1).grid()
    prefix = write_map(tmp_path / "prefix.tif", np.ones((4, 4), np.uint8), epsg=4523)
    with pytest.raises(GridError, match="EPSG:4544"):
        Target("change", (prefix,)).grid()
    nine = write_map(tmp_path / "nine.tif", np.full((4, 4), 9, np.uint8))
    for kind in ("change", "landcover"):
        with pytest.raises(InputError, match=r"codes \[9\]"):
            draw_sample(Target(kind, (nine,)), 10, 0, ONE)
    empty = write_map(tmp_path / "empty.tif", np.zeros((4, 4), np.uint8))
    with pytest.raises(InputError, match="no data"):
        draw_sample(Target("change", (empty,)), 10, 0, ONE)
    many = write_map(tmp_path / "many.tif", np.full((4, 4), 700, np.uint16))
    with pytest.raises(InputError, match="uint16"):
        draw_sample(Target("change", (many,)), 10, 0, ONE)
    for parts in (("change", (good, good)), ("gain_loss", (good, good)), ("change", (good,), 1)):
        with pytest.raises(InputError, match="takes"):
            Target(*parts)
    with pytest.raises(InputError, match="ring"):
        Target("landcover", (good,), ring=1)
