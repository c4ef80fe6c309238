import json
import pickle
import zipfile
from dataclasses import replace

import numpy as np
import pytest

from src.errors import InputError, MissingPathError
from src.geo.blocks import Block, ThreadRunner, blocks_of
from src.geo.caveats import CAVEATS, CannotTell
from src.geo.cover import landcover as module
from src.geo.cover import network as cover_network
from src.geo.cover.classify import cover_block, write_cover
from src.geo.cover.features import feature_names, pixel_features
from src.geo.cover.landcover import (
    fit_cover,
    load_cover,
    require_match,
    sample_features,
    save_cover,
    validate_cover,
)
from src.geo.cover.samples import LabelSource, draw_samples
from src.geo.grid import Raster
from src.geo.raster import read_raster, write_raster
from src.geo.scene import CORE_ROLES
from tests.geo.cover_scenes import make_scene, patchwork

RUNNER = ThreadRunner(1)
SHAPE = (90, 100)


@pytest.fixture(scope="module", autouse=True)
def short_fits():
    """A few passes are enough for these easy scenes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cover_network, "_EPOCHS", (15, 20))
        yield


@pytest.fixture(scope="module")
def county(tmp_path_factory, short_fits):
    """A scene with a cloud and a gap, its labels, samples and a fitted model."""
    folder = tmp_path_factory.mktemp("county")
    classes = patchwork(SHAPE, (1, 3, 5, 6), 10)
    shown, mask = classes.copy(), np.ones(SHAPE, np.uint8)
    shown[:7, :7] = 0
    mask[:7, :7] = 0
    mask[40:50, 40:50] = 2
    scene = make_scene(folder / "scene", shown, mask=mask)
    labels = folder / "labels.tif"
    write_raster(labels, Raster(classes[None], np.ones(SHAPE, bool), scene.grid, ("c",)), nodata=0)
    samples = draw_samples(scene, LabelSource(labels, "canonical", "2024"), RUNNER, seed=0, per_class=300)
    return scene, classes, samples, fit_cover(scene, samples, RUNNER, seed=0), labels


def whole(scene):
    return Block(0, 0, *scene.grid.shape_hw)


def test_features_by_hand():
    """A flat 7 x 7 area with one brighter pixel in the middle and a cloud beside it."""
    bands = np.full((6, 7, 7), 0.2, np.float32)
    bands[3] = 0.4
    bands[:, 3, 3] = 0.5
    seen = np.ones((7, 7), bool)
    seen[3, 4] = False
    found = dict(zip(feature_names(CORE_ROLES), pixel_features(bands, seen, CORE_ROLES, "reflectance"), strict=True))
    assert len(found) == 6 + 5 + 6 + 3
    assert found["log_red"][0, 0] == pytest.approx(np.log(0.21), abs=1e-6)
    assert found["NDVI"][0, 0] == pytest.approx(0.2 / 0.6, abs=1e-6) and found["NDVI"][3, 3] == 0
    values = np.array([np.log(0.51)] + [np.log(0.21)] * 23)
    assert found["mean_red"][3, 3] == pytest.approx(values.mean(), abs=1e-5)
    assert found["spread_red"][3, 3] == pytest.approx(values.std(), abs=1e-3)
    # A corner sees its 3 x 3 part of the window.
    assert found["mean_red"][0, 0] == pytest.approx(np.log(0.21), abs=1e-5)


def test_roles_that_a_scene_lacks_take_their_features_with_them():
    assert "NBR" not in feature_names(CORE_ROLES[:5]) and len(feature_names(CORE_ROLES[:5])) == 5 + 4 + 5 + 3


def test_classes_that_look_different_are_found(county):
    scene, classes, _, model, _ = county
    found, probability = cover_block(scene, model, whole(scene))
    assert found.dtype == np.uint8 and probability.shape == (7, *SHAPE) and probability.dtype == np.uint8
    seen = scene.clear()
    assert (found[~seen] == 0).all() and (probability[:, ~seen] == 0).all()
    assert (found == classes)[seen].mean() > 0.97
    assert np.abs(probability[:, seen].sum(0).astype(int) - 100).max() <= 3
    np.testing.assert_array_equal(probability.argmax(0)[seen] + 1, found[seen])
    assert model.classes == (1, 3, 5, 6) and (probability[[1, 3, 6]] == 0).all()
    assert (model.route, model.label_date, model.caveats) == ("labels", "2024", ())


def test_blocks_give_the_same_map_as_the_whole(county):
    """The halo makes results independent of the tiling; float32 products may round differently by a percent."""
    scene, _, _, model, _ = county
    found, probability = cover_block(scene, model, whole(scene))
    for block in blocks_of(SHAPE, 33):
        part, percent = cover_block(scene, model, block)
        np.testing.assert_array_equal(part, found[block.slices])
        assert np.abs(percent.astype(int) - probability[:, *block.slices].astype(int)).max() <= 1


def test_same_seed_same_model_and_the_model_pickles(county):
    scene, _, samples, model, _ = county
    again = fit_cover(scene, samples, ThreadRunner(2), seed=0)
    for ours, theirs in zip(model.network.layers[0], again.network.layers[0], strict=True):
        np.testing.assert_array_equal(ours[0], theirs[0])
    copy = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(cover_block(scene, copy, whole(scene))[0], cover_block(scene, model, whole(scene))[0])


def test_written_rasters(county, tmp_path):
    scene, _, _, model, _ = county
    cover, percent = write_cover(scene, model, ThreadRunner(2), tmp_path)
    assert (cover.name, percent.name) == ("landcover_2024-09-25.tif", "landcover_2024-09-25_probability.tif")
    found, probability = cover_block(scene, model, whole(scene))
    stored = read_raster(cover)
    np.testing.assert_array_equal(stored.data[0], found)
    np.testing.assert_array_equal(stored.valid, found > 0)
    assert stored.grid.same_as(scene.grid) and stored.date == "2024-09-25"
    shares = read_raster(percent)
    np.testing.assert_array_equal(shares.data, probability)
    assert shares.band_names == ("cropland", "garden", "forest", "grassland", "water", "built", "unused")


def test_saved_and_loaded_model_is_the_same(county, tmp_path):
    scene, _, _, model, _ = county
    save_cover(tmp_path / "model.npz", model)
    loaded = load_cover(tmp_path / "model.npz")
    assert {k: v for k, v in vars(loaded).items() if k != "network"} == {
        k: v for k, v in vars(model).items() if k != "network"
    }
    for one, two in zip(cover_block(scene, loaded, whole(scene)), cover_block(scene, model, whole(scene)), strict=True):
        np.testing.assert_array_equal(one, two)
    rules = fit_cover(scene, None, RUNNER, seed=0)
    save_cover(tmp_path / "rules.npz", rules)
    assert vars(load_cover(tmp_path / "rules.npz")) == vars(rules)


class Bomb:
    """Unpickled, it leaves a file behind."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


def test_a_hostile_model_file_runs_nothing(tmp_path):
    trace = tmp_path / "executed"
    np.savez(tmp_path / "bad.npz", header=np.array([Bomb(trace)], dtype=object))
    with pytest.raises(InputError, match="not a land-cover model"):
        load_cover(tmp_path / "bad.npz")
    (tmp_path / "raw.npz").write_bytes(pickle.dumps(Bomb(trace)))
    with pytest.raises(InputError, match="not a land-cover model"):
        load_cover(tmp_path / "raw.npz")
    assert not trace.exists()


def test_broken_model_files_are_refused(county, tmp_path, monkeypatch):
    _, _, _, model, _ = county
    with pytest.raises(MissingPathError, match="no such land-cover model"):
        load_cover(tmp_path / "none.npz")
    with pytest.raises(InputError, match="written as .npz"):
        save_cover(tmp_path / "model.pkl", model)
    network = model.network
    (weights, bias), *rest = network.layers[0]
    cases = {
        "weights of shape": replace(network, layers=(((weights[:-1], bias), *rest),)),
        "not finite": replace(network, mean=np.full_like(network.mean, np.nan)),
        "temperature": replace(network, temperature=1e9),
        "outputs for": replace(network, layers=(((weights, bias), rest[0]),)),
    }
    for reason, broken in cases.items():
        save_cover(tmp_path / "broken.npz", replace(model, network=broken))
        with pytest.raises(InputError, match=reason):
            load_cover(tmp_path / "broken.npz")
    save_cover(tmp_path / "route.npz", replace(model, route="magic"))
    with pytest.raises(InputError, match="magic"):
        load_cover(tmp_path / "route.npz")
    with zipfile.ZipFile(tmp_path / "other.npz", "w") as archive:
        archive.writestr("header.npy", b"nothing")
    with pytest.raises(InputError, match="not a land-cover model"):
        load_cover(tmp_path / "other.npz")
    save_cover(tmp_path / "large.npz", model)
    monkeypatch.setattr(module, "_LARGEST_MODEL_BYTES", 1000)
    with pytest.raises(InputError, match="unpacks to more"):
        load_cover(tmp_path / "large.npz")


def test_models_of_other_sensors_quantities_bands_and_legends_are_refused_by_name(county, tmp_path):
    scene, classes, _, model, _ = county
    others = {
        "sensor sentinel2_l2a, scene s1 has landsat8": make_scene(tmp_path / "s1", classes, sensor="landsat8"),
        "quantity reflectance, scene s2 has toa": make_scene(tmp_path / "s2", classes, quantity="toa"),
        "scene s3 gives others from its bands": make_scene(tmp_path / "s3", classes, roles=CORE_ROLES[:5]),
    }
    for reason, other in others.items():
        with pytest.raises(InputError, match=reason):
            cover_block(other, model, whole(other))
    with pytest.raises(InputError, match="legend old"):
        require_match(replace(model, legend_version="old"), scene)


def test_excluded_pixels_do_not_train(county, tmp_path):
    scene, _, samples, _, _ = county
    change = np.ones(SHAPE, np.uint8)
    change[:, 50:] = 2
    write_raster(tmp_path / "change.tif", Raster(change[None], np.ones(SHAPE, bool), scene.grid, ("c",)), nodata=0)
    features, kept = sample_features(scene, samples, RUNNER, tmp_path / "change.tif")
    assert len(features) == len(kept) and kept.cols.max() < 50 and len(kept) == (samples.cols < 50).sum()


def test_rules_are_the_last_resort_and_say_so(county, tmp_path):
    scene, classes, _, _, _ = county
    model = fit_cover(scene, None, RUNNER, seed=0)
    assert model.caveats == ("SPECTRAL_RULES",) and model.caveats[0] in CAVEATS and model.samples == 0
    found, probability = cover_block(scene, model, whole(scene))
    seen = scene.clear()
    assert (found[~seen] == 0).all() and (found == classes)[seen].mean() > 0.95 and probability.max() < 80
    with pytest.raises(CannotTell, match="DN_ONLY"):
        fit_cover(make_scene(tmp_path / "dn", classes, quantity="dn"), None, RUNNER, seed=0)
    with pytest.raises(CannotTell, match="need the bands swir1"):
        fit_cover(make_scene(tmp_path / "rgbn", classes, roles=CORE_ROLES[:4]), None, RUNNER, seed=0)


def test_labels_classify_uncalibrated_numbers_too(tmp_path):
    classes = patchwork((60, 60), (1, 5), 10)
    scene = make_scene(tmp_path / "dn", classes, quantity="dn", sensor="landsat7")
    write_raster(tmp_path / "l.tif", Raster(classes[None], np.ones((60, 60), bool), scene.grid, ("c",)), nodata=0)
    samples = draw_samples(scene, LabelSource(tmp_path / "l.tif", "canonical"), RUNNER, seed=0, per_class=100)
    model = fit_cover(scene, samples, RUNNER, seed=0)
    assert (cover_block(scene, model, whole(scene))[0] == classes).mean() > 0.98


def test_one_class_or_another_grid_cannot_train(county, tmp_path):
    scene, _, samples, _, _ = county
    with pytest.raises(CannotTell, match="CLASS_NOT_SEPARABLE"):
        fit_cover(scene, samples.take(samples.classes == 1), RUNNER, seed=0)
    with pytest.raises(InputError, match="do not fit scene"):
        fit_cover(scene, replace(samples, shape_hw=(5, 5)), RUNNER, seed=0)


def test_reference_route_says_that_classes_were_merged(county):
    scene, _, samples, _, labels = county
    source = LabelSource(labels, "canonical", "2021", reference=True)
    drawn = draw_samples(scene, source, RUNNER, seed=0, per_class=50)
    assert fit_cover(scene, drawn, RUNNER, seed=0).caveats == ("LEGEND_MERGED",)


def test_blocked_validation_of_an_easy_county_is_near_perfect_and_of_noise_is_not(county):
    scene, _, samples, _, _ = county
    assert validate_cover(scene, samples, RUNNER, 0, folds=3).measures.overall > 0.95
    rng = np.random.default_rng(0)
    shuffled = replace(samples, classes=rng.permutation(samples.classes), weights=np.ones(len(samples)))
    assert validate_cover(scene, shuffled, RUNNER, 0, folds=3).measures.overall < 0.45


def test_the_header_of_a_model_file_is_plain_json(county, tmp_path):
    save_cover(tmp_path / "model.npz", county[3])
    with np.load(tmp_path / "model.npz", allow_pickle=False) as stored:
        header = json.loads(str(stored["header"]))
    assert header["sensor"] == "sentinel2_l2a" and header["features"][0] == "log_blue"
