import pickle
from functools import partial
from pathlib import Path

import numpy as np
import pyproj
import pytest
from affine import Affine
from scipy import ndimage
from sklearn.metrics import cohen_kappa_score, roc_auc_score

from evaluation.benchmarks.change import TAIZHOU, detect, no_change, paste_patches, save_scene, source_pair
from src.geo.blocks import Block, ThreadRunner, blocks_of
from src.geo.caveats import CannotTell
from src.geo.change.detect import (
    CLIP_THRESHOLDS,
    _lattice,
    average_similar,
    change_block,
    change_pixels,
    clipped_otsu,
    cva_residuals,
    fit_change,
    fit_cva,
    fit_pixels,
    lattice_step,
    write_change,
)
from src.geo.change.pairs import Pair, make_pair
from src.geo.grid import Grid
from src.geo.raster import read_raster
from src.geo.scene import Scene

GRID = Grid(pyproj.CRS.from_epsg(32648), Affine(10, 0, 500_000, 0, -10, 3_400_000), (128, 128))
RUNNER = ThreadRunner(1)


def ground() -> np.ndarray:
    """(6, 128, 128) reflectance of square fields."""
    blocks = np.random.default_rng(3).uniform(0.05, 0.5, (6, 16, 16))
    return ndimage.gaussian_filter(np.kron(blocks, np.ones((1, 8, 8))), (0, 0.8, 0.8))


def scene(folder: Path, day: str, values: np.ndarray | None = None, clear: np.ndarray | None = None) -> Scene:
    stored = np.rint(1e4 * (ground() if values is None else values)).astype(np.int16)
    seen = np.ones(GRID.shape_hw, bool) if clear is None else clear
    return save_scene(folder, stored, seen, GRID, day, "sentinel2_l2a", "reflectance")


def noisy(rng: np.random.Generator, values: np.ndarray) -> np.ndarray:
    return values + 0.002 * rng.normal(size=values.shape)


@pytest.fixture(scope="module")
def patched(tmp_path_factory) -> tuple[Pair, np.ndarray]:
    """A pair with gain, offset and noise between the dates, cloud in a corner, and patches of 3 x 3; their places."""
    folder, rng = tmp_path_factory.mktemp("pair"), np.random.default_rng(1)
    first, second = ground(), ground()
    truth = np.zeros(GRID.shape_hw, bool)
    for row in range(20, 120, 25):
        for col in range(20, 120, 25):
            second[:, row : row + 3, col : col + 3] = np.reshape((0.25, 0.28, 0.30, 0.33, 0.38, 0.35), (6, 1, 1))
            truth[row : row + 3, col : col + 3] = True
    clear = np.ones(GRID.shape_hw, bool)
    clear[:8, :8] = False
    before = scene(folder / "a", "2023-09-20", noisy(rng, first), clear=clear)
    after = scene(folder / "b", "2024-09-20", noisy(rng, 0.8 * second + 0.05))
    return make_pair(before, after, folder / "cache", RUNNER), truth


def test_patches_of_nine_pixels_are_found_whole(patched):
    pair, truth = patched
    model = fit_change(pair, RUNNER)
    score, mask = change_block(pair, model, Block(0, 0, *GRID.shape_hw))
    assert model.found and model.fit_pixels == 128 * 128 - 64
    assert (mask[truth] == 2).mean() > 0.97
    assert (mask[~truth] == 2).mean() < 0.003
    assert (mask[:8, :8] == 0).all() and np.isnan(score[:8, :8]).all()
    assert ((score > 1) == (mask == 2)).all()


def test_blocks_give_what_the_whole_gives_bit_for_bit(patched):
    pair, _ = patched
    model = fit_change(pair, RUNNER)
    whole = change_block(pair, model, Block(0, 0, *GRID.shape_hw))
    for block in blocks_of(GRID.shape_hw, 48):
        for part, full in zip(change_block(pair, model, block), whole, strict=True):
            np.testing.assert_array_equal(part, full[block.slices])


def test_files_and_runners_agree(patched, tmp_path):
    pair, _ = patched
    for name, runner in (("one", RUNNER), ("two", ThreadRunner(2))):
        write_change(pair, fit_change(pair, runner), runner, tmp_path / name)
    for name in ("change.tif", "change_score.tif"):
        rasters = [read_raster(tmp_path / run / name) for run in ("one", "two")]
        np.testing.assert_array_equal(rasters[0].data, rasters[1].data)
        assert rasters[0].grid.same_as(GRID)
    score, mask = change_block(pair, fit_change(pair, RUNNER), Block(0, 0, *GRID.shape_hw))
    np.testing.assert_array_equal(rasters[0].data[0], score)
    np.testing.assert_array_equal(read_raster(tmp_path / "one/change.tif").data[0], mask)


def test_work_for_a_cluster_pickles(patched):
    pair, _ = patched
    model, block = fit_change(pair, RUNNER), Block(30, 30, 40, 40)
    sent = pickle.loads(pickle.dumps(partial(change_block, pair, model)))
    np.testing.assert_array_equal(sent(block)[0], change_block(pair, model, block)[0])


def test_gate_stays_closed_on_one_distribution():
    """Otsu alone flagged 45 % of such pixels."""
    rng = np.random.default_rng(0)
    ground_truth = rng.normal(size=(6, 6)) @ rng.normal(size=(6, 60_000))
    x, y = (ground_truth + 0.1 * rng.normal(size=ground_truth.shape) for _ in range(2))
    model = fit_pixels(x, y)
    _, mask = change_pixels(model, x.reshape(6, 200, 300), y.reshape(6, 200, 300), np.ones((200, 300), bool))
    assert not model.found
    assert (mask == 1).all()


def test_identical_images_show_no_change():
    x = ground().astype(np.float32).reshape(6, -1)
    model = fit_pixels(x, x)
    assert model.cva.freedom == 6
    _, mask = change_pixels(model, ground(), ground(), np.ones(GRID.shape_hw, bool))
    assert (mask == 1).all()


def test_unchanged_counties_show_no_patch(tmp_path):
    figures = no_change(2, 96, tmp_path, RUNNER, seed=7001)
    assert figures["without_patch_share"] == 1.0
    assert figures["changed_pixels_share"] < 0.005


def test_too_few_pixels_seen(tmp_path):
    clear = np.zeros(GRID.shape_hw, bool)
    clear[:10, :40] = True
    pair = Pair(
        scene(tmp_path / "a", "2023-09-20", clear=clear),
        scene(tmp_path / "b", "2024-09-20"),
        ("red", "nir", "swir1"),
        (0.0, 0.0),
        None,
        0.02,
        (),
    )
    with pytest.raises(CannotTell, match="400 pixels"):
        fit_change(pair, RUNNER)


def test_cva_normalises_on_the_unchanged():
    rng = np.random.default_rng(2)
    x = rng.uniform(0.1, 0.5, (4, 20_000))
    y = 1.3 * x - 0.02 + 0.005 * rng.normal(size=x.shape)
    y[:, :2000] += 0.4
    z = np.concatenate([np.full(2000, 1e3), np.linspace(0, 15, 18_000)])
    cva = fit_cva(x, y, z)
    residual = cva_residuals(cva, x, y)
    np.testing.assert_allclose(cva.scale_x / cva.scale_y, 1.3, rtol=0.01)
    np.testing.assert_allclose(residual[:, 2000:].std(axis=1), 1.0, rtol=0.05)
    assert cva.freedom == pytest.approx(4.0, rel=0.02)
    assert residual[:, :2000].mean() > 50


def test_clipped_otsu_ignores_how_far_the_farthest_lie():
    rng = np.random.default_rng(3)
    still, moved = np.abs(rng.normal(0, 1, 9000)), rng.normal(10, 1, 900)
    threshold = clipped_otsu(np.concatenate([still, moved]))
    dazzling = clipped_otsu(np.concatenate([still, moved, np.full(100, 1e3)]))
    assert 2 < threshold < 8
    assert dazzling < 8 < CLIP_THRESHOLDS * dazzling


def test_only_similar_neighbours_are_averaged():
    """By hand: equal neighbours weigh 1, one at the distance of the threshold in both scores exp(-0.5 / 0.35^2)."""
    vectors = np.zeros((2, 1, 3), np.float32)
    vectors[:, 0, 2] = 1.0
    valid = np.ones((1, 3), bool)
    weight = np.exp(-0.5 / 0.35**2)
    expected = [0.0, weight / (2 + weight), 1 / (1 + weight)]
    np.testing.assert_allclose(average_similar(vectors, valid)[0, 0], expected, rtol=1e-5)
    valid[0, 1] = False
    np.testing.assert_array_equal(average_similar(vectors, valid), vectors)


def test_a_weak_patch_of_nine_keeps_its_pixels():
    vectors = np.zeros((2, 9, 9), np.float32)
    vectors[:, 3:6, 3:6] = 1.6
    result = average_similar(vectors, np.ones((9, 9), bool))
    assert (result[:, 3:6, 3:6] > 1.5).all()
    assert (np.delete(result[0], np.s_[3:6], axis=0) < 0.1).all()


@pytest.mark.parametrize(
    ("shape", "step"), [((400, 400), 1), ((1000, 1000), 1), ((1000, 1001), 2), ((10980, 10980), 11)]
)
def test_lattice_keeps_the_fit_small(shape, step):
    assert lattice_step(shape) == step


def test_lattice_does_not_depend_on_the_blocks(patched):
    pair, _ = patched
    parts = map(partial(_lattice, pair, 5), blocks_of(GRID.shape_hw, 48))
    split = np.concatenate([part[0] for part in parts], axis=1)
    whole = _lattice(pair, 5, Block(0, 0, *GRID.shape_hw))[0]
    np.testing.assert_array_equal(np.sort(split, axis=1), np.sort(whole, axis=1))


def test_pasted_patches_are_of_another_cover():
    values = (1e4 * ground()).astype(np.int16)
    changed, truth = paste_patches(values, np.ones(GRID.shape_hw, bool), np.random.default_rng(0))
    assert truth.max() == 65
    assert (np.bincount(truth.ravel())[1:] == 9).all()
    assert (np.abs(changed - values)[:, truth > 0].max(axis=0) > 0).mean() > 0.95
    np.testing.assert_array_equal(changed[:, truth == 0], values[:, truth == 0])


def test_taizhou(test_data, tmp_path):
    """Issue's target on the labelled pixels, and small patches found with the same settings."""
    pair, _ = source_pair(test_data, TAIZHOU, tmp_path, RUNNER)
    score, mask, _ = detect(pair, RUNNER)
    reference = read_raster(test_data / "taizhou_landsat7_2000_2003/taizhou_change_reference.tif").data[0]
    labelled = reference > 0
    truth = reference[labelled] == 2
    assert cohen_kappa_score(truth, mask[labelled] == 2) >= 0.94
    assert roc_auc_score(truth, score[labelled]) >= 0.994
    assert pair.caveats == ("DN_ONLY", "SEASON_MISMATCH")
    pair, patches = source_pair(test_data, TAIZHOU, tmp_path, RUNNER, seed=1)
    _, after, _ = detect(pair, RUNNER)
    still = ndimage.minimum(mask == 1, patches, np.arange(1, patches.max() + 1)).astype(bool)
    hits = ndimage.sum(after == 2, patches, np.flatnonzero(still) + 1)
    assert (hits >= 5).mean() >= 0.9
