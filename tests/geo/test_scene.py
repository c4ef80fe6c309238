import json
import pickle

import numpy as np
import pyproj
import pytest
from affine import Affine

from src.errors import GridError, InputError, LandUseError, MissingPathError
from src.geo.blocks import Block
from src.geo.grid import Grid, Raster
from src.geo.raster import write_raster
from src.geo.scene import CLEAR, CLOUD, MASK_CODES, NO_DATA, SATURATED, SHADOW, SNOW, SceneRecord, open_scene

GRID = Grid(pyproj.CRS.from_epsg(32648), Affine(10, 0, 500000, 0, -10, 3330000), (3, 4))
ROLES = ("green", "red", "nir")
# Band 100 * (band + 1) + pixel number; pixel 5 was not measured at all, pixel 6 in one band only.
STORED = (np.arange(12).reshape(3, 4) + np.array([100, 200, 300])[:, None, None]).astype(np.int16)
STORED[:, 1, 1] = -32768
STORED[1, 1, 2] = -32768
MASK = np.array([[1, 1, 2, 3], [1, 0, 0, 1], [4, 5, 1, 1]], np.uint8)
EVERYWHERE = np.ones((3, 4), bool)


def save(folder, stored=STORED, nodata=-32768, **changes):
    fields = {"sensor": "sentinel2_l2a", "level": "L2A", "quantity": "reflectance", "pixel_m": 10.0, "clear_share": 0.6}
    record = SceneRecord(id="s2_20240925", date="2024-09-25", **(fields | changes))
    write_raster(folder / "bands.tif", Raster(stored, EVERYWHERE, GRID, ROLES), nodata=nodata)
    write_raster(folder / "mask.tif", Raster(MASK[None], EVERYWHERE, GRID, ("mask",)), nodata=0)
    (folder / "scene.json").write_text(json.dumps(record.to_json(), ensure_ascii=False), encoding="utf-8")
    return open_scene(folder)


@pytest.fixture
def scene(tmp_path):
    return save(tmp_path)


def test_the_whole_scene_is_reflectance_with_holes(scene):
    values = scene.read()
    assert values.shape == (3, 3, 4) and values.dtype == np.float32
    assert values[:, 0, 0] == pytest.approx([0.01, 0.02, 0.03])
    assert values[2, 2, 3] == np.float32(0.0311)
    assert np.argwhere(np.isnan(values)).tolist() == [[0, 1, 1], [1, 1, 1], [1, 1, 2], [2, 1, 1]]


def test_a_block_of_some_bands_in_the_order_asked_for(scene):
    values = scene.read(Block(1, 1, 2, 3), ("nir", "green"))
    expected = [[[np.nan, 306, 307], [309, 310, 311]], [[np.nan, 106, 107], [109, 110, 111]]]
    np.testing.assert_allclose(values * 1e4, expected, rtol=1e-6)
    assert scene.read(roles=["red"]).shape == (1, 3, 4)


def test_negative_reflectance_is_a_measurement(tmp_path):
    """Dark water goes below zero after the offset of baseline 04.00."""
    stored = STORED.copy()
    stored[0, 0, 0] = -50
    assert save(tmp_path, stored).read()[0, 0, 0] == np.float32(-0.005)


def test_mask_and_clear(scene):
    assert (scene.mask() == MASK).all() and scene.mask().dtype == np.uint8
    assert scene.mask(Block(0, 2, 2, 2)).tolist() == [[CLOUD, SHADOW], [NO_DATA, CLEAR]]
    assert scene.clear(Block(2, 0, 1, 4)).tolist() == [[False, False, True, True]]
    assert (SNOW, SATURATED) == (4, 5) and list(MASK_CODES) == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize("nodata", [float("nan"), -9999.0])
def test_digital_numbers_stay_as_they_are(tmp_path, nodata):
    """Ingested scenes hold NaN where nothing was stored, warped ones -9999."""
    stored = np.where(STORED == -32768, nodata, STORED).astype(np.float32)
    scene = save(tmp_path, stored, nodata, quantity="dn", level="unknown")
    values = scene.read()
    assert values[:, 0, 1].tolist() == [101, 201, 301]
    assert np.argwhere(np.isnan(values)).tolist() == [[0, 1, 1], [1, 1, 1], [1, 1, 2], [2, 1, 1]]


def test_the_record_comes_back_and_the_scene_can_be_sent_to_a_worker(tmp_path):
    facts = {
        "cloud_percent": 12.5,
        "baseline": "05.11",
        "mask_source": "SCL",
        "sources": ({"name": "B04.jp2", "sha256": "ab"},),
        "caveats": ("CLOUD_SCREEN",),
        "notes": ("比例由用户给出 | scale given by the user",),
        "content": "cd",
    }
    scene = save(tmp_path, **facts)
    assert {key: getattr(scene.record, key) for key in facts} == facts
    assert scene.roles == ROLES and scene.grid.same_as(GRID)
    sent = pickle.loads(pickle.dumps(scene))
    assert sent.record == scene.record and np.array_equal(sent.read(), scene.read(), equal_nan=True)


# --- refusals ---


def test_a_band_that_the_scene_lacks(scene):
    with pytest.raises(InputError, match="s2_20240925 has no band swir1, blue; it has green, red, nir"):
        scene.read(roles=("red", "swir1", "blue"))


def test_a_block_outside(scene):
    with pytest.raises(GridError, match="not inside 3 x 4 pixels"):
        scene.read(Block(2, 0, 2, 4))


@pytest.mark.parametrize("name", ["bands.tif", "mask.tif", "scene.json"])
def test_a_folder_that_lacks_a_file(scene, name):
    (scene.folder / name).unlink()
    with pytest.raises(MissingPathError, match=rf"has no {name}; scenes are made by python -m src\.geo\.workspace add"):
        open_scene(scene.folder)


def test_an_unknown_quantity(tmp_path):
    with pytest.raises(LandUseError, match="'radiance', expected one of reflectance, toa, dn"):
        save(tmp_path, quantity="radiance")
