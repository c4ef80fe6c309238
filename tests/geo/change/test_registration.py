import numpy as np
import pytest
from scipy import ndimage

from src.geo.change.registration import MAX_TILES, combine_shifts, pick_tiles, tile_shift


def fields(seed: int = 0, side: int = 128) -> np.ndarray:
    """Square fields of different brightness, smoothed as a sensor does."""
    rng = np.random.default_rng(seed)
    blocks = np.kron(rng.uniform(0.1, 0.5, (side // 8, side // 8)), np.ones((8, 8)))
    return ndimage.gaussian_filter(blocks, 0.8)


@pytest.mark.parametrize("moved", [(0.0, 0.0), (0.4, -0.75), (2.3, 1.1), (-4.0, 3.0)])
def test_finds_a_known_shift(moved):
    first = fields()
    second = 1.4 * ndimage.shift(first, moved, order=3, mode="nearest") + 0.1
    found = tile_shift(first, second, np.ones(first.shape, bool))
    assert found == pytest.approx((-moved[0], -moved[1]), abs=0.1)


def test_a_field_that_turned_does_not_move_the_image():
    first = fields()
    second = first.copy()
    second[32:64, 32:64] = 0.6
    assert tile_shift(first, second, np.ones(first.shape, bool)) == pytest.approx((0, 0), abs=0.1)


def test_tiles_that_cannot_tell():
    first, everywhere = fields(), np.ones((128, 128), bool)
    cloudy = everywhere.copy()
    cloudy[:40] = False
    assert tile_shift(first, first, cloudy) is None
    assert tile_shift(first, np.full_like(first, 0.2), everywhere) is None
    assert tile_shift(first, fields(seed=5), everywhere) is None
    assert tile_shift(first, ndimage.shift(first, (30, 0), mode="wrap"), everywhere) is None


def test_combining_leaves_stray_tiles_out():
    shifts = [(0.6, -0.2)] * 4 + [(0.7, -0.2), None, (6.0, 5.0)]
    result = combine_shifts(shifts)
    assert result.row_col == pytest.approx((0.6, -0.2))
    assert result.tiles == 4 or result.tiles == 5
    assert result.apart == pytest.approx(np.hypot(0.6, 0.2))
    assert result.distance == pytest.approx(np.hypot(0.6, 0.2))


def test_no_tile_no_shift():
    assert combine_shifts([None, None]) == combine_shifts([])
    assert combine_shifts([]).tiles == 0


@pytest.mark.parametrize(("shape", "count"), [((100, 90), 1), ((128, 256), 3), ((400, 400), 25), ((10980, 10980), 64)])
def test_tiles_lie_inside_and_are_few(shape, count):
    tiles = pick_tiles(shape)
    assert len(tiles) == count <= MAX_TILES
    assert all(t.row + t.height <= shape[0] and t.col + t.width <= shape[1] for t in tiles)
