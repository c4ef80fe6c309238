"""Land cover where a change was found, and what the rest keeps; features of single pixels."""

import numpy as np
import pytest

from src.geo.blocks import Block, ThreadRunner, blocks_of
from src.geo.cover import classify
from src.geo.cover import network as cover_network
from src.geo.cover.classify import ChangedOnly, cover_block, write_cover
from src.geo.cover.features import feature_roles, pixel_features, point_features
from src.geo.cover.landcover import fit_cover
from src.geo.cover.samples import LabelSource, draw_samples
from src.geo.grid import Raster
from src.geo.raster import read_raster, write_raster
from tests.geo.cover_scenes import make_scene, patchwork

RUNNER = ThreadRunner(1)
SHAPE = (90, 100)


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    """A scene with a cloud and a gap, and a model."""
    folder = tmp_path_factory.mktemp("fitted")
    classes = patchwork(SHAPE, (1, 3, 5, 6), 10)
    shown, mask = classes.copy(), np.ones(SHAPE, np.uint8)
    shown[:7, :7] = 0
    mask[:7, :7] = 0
    mask[40:50, 40:50] = 2
    scene = make_scene(folder / "scene", shown, mask=mask)
    labels = folder / "labels.tif"
    write_raster(labels, Raster(classes[None], np.ones(SHAPE, bool), scene.grid, ("c",)), nodata=0)
    samples = draw_samples(scene, LabelSource(labels, "canonical", "2024"), RUNNER, seed=0, per_class=300)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cover_network, "_EPOCHS", (15, 20))
        return scene, fit_cover(scene, samples, RUNNER, seed=0)


@pytest.fixture(scope="module")
def kept(fitted, tmp_path_factory):
    """All forest before; changed in two squares, one of them under the cloud, and not seen in the last rows."""
    folder, grid = tmp_path_factory.mktemp("kept"), fitted[0].grid
    change = np.ones(SHAPE, np.uint8)
    change[20:35, 60:90] = change[38:52, 38:60] = 2
    change[80:] = 0
    percent = np.zeros((7, *SHAPE), np.uint8)
    percent[2], percent[6] = 90, 10
    seen = np.ones(SHAPE, bool)
    paths = [folder / f"{name}.tif" for name in ("classes", "probability", "change")]
    names = tuple("abcdefg")
    write_raster(paths[0], Raster(np.full((1, *SHAPE), 3, np.uint8), seen, grid, ("c",)))
    write_raster(paths[1], Raster(percent, seen, grid, names))
    write_raster(paths[2], Raster(change[None], seen, grid, ("c",)))
    return ChangedOnly(paths[2], (paths[0], paths[1])), change


def test_changed_ground_is_classified_and_the_rest_keeps_its_class(fitted, kept, tmp_path, monkeypatch):
    scene, model = fitted
    earlier, change = kept
    every, chances = cover_block(scene, model, Block(0, 0, *SHAPE))
    monkeypatch.setattr(classify, "WIDE_PX", 64)
    cover, percent = (read_raster(path).data for path in write_cover(scene, model, RUNNER, tmp_path, earlier))
    changed, same = change == 2, change == 1
    assert (cover[0][changed] == every[changed]).all() and len(np.unique(every[changed])) == 5
    assert (cover[0][same] == 3).all() and (cover[0][change == 0] == 0).all()
    assert np.abs(percent[:, changed].astype(int) - chances[:, changed]).max() <= 1
    assert (percent[2][same] == 90).all() and (percent[6][same] == 10).all() and (percent[:, change == 0] == 0).all()
    # Changed under the cloud: no class.
    assert (cover[0][40:50, 40:50] == 0).all()


def test_without_an_earlier_cover_only_changed_ground_has_a_class(fitted, kept):
    scene, model = fitted
    earlier, change = kept
    block = Block(0, 0, *SHAPE)
    since, chances = cover_block(scene, model, block, earlier)
    alone, percent = cover_block(scene, model, block, ChangedOnly(earlier.change))
    changed = change == 2
    assert (alone[changed] == since[changed]).all() and (percent[:, changed] == chances[:, changed]).all()
    assert alone[changed].any() and not alone[~changed].any() and not percent[:, ~changed].any()


def test_blocks_without_change_are_not_even_read(fitted, kept, monkeypatch):
    scene, model = fitted
    reads = []
    monkeypatch.setattr(type(scene), "read", lambda *a, **k: reads.append(a))
    classes, percent = cover_block(scene, model, Block(55, 0, 35, 40), kept[0])
    assert not reads
    assert (classes[:25] == 3).all() and (classes[25:] == 0).all() and percent[2].max() == 90


def test_features_of_single_pixels_are_those_of_the_whole(fitted):
    """At the rim, beside the cloud and the gap, and in every block, to the last bit."""
    scene, _ = fitted
    roles = feature_roles(scene.roles)
    bands = scene.read(None, roles)
    clear = scene.clear() & np.isfinite(bands).all(0)
    whole = pixel_features(bands, clear, roles, scene.record.quantity)
    for block in blocks_of(SHAPE, 48):
        rows, cols = (part.ravel() for part in np.mgrid[: block.height, : block.width])
        features, seen = point_features(scene, block, rows, cols, roles)
        place = rows + block.row, cols + block.col
        np.testing.assert_array_equal(seen, clear[place])
        np.testing.assert_array_equal(features[seen], whole[:, place[0], place[1]].T[seen])
