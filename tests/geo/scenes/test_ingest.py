"""Products become scenes: values and masks worked out by hand, whole or not at all, and never twice."""

import hashlib
import pickle
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine

import src.geo.scenes.ingest as ingest_module
from src.errors import GridError, InputError, RasterReadError
from src.geo.blocks import Block, ThreadRunner
from src.geo.scene import CLEAR, CLOUD, NO_DATA, SATURATED, SHADOW, SNOW, Scene, open_scene
from src.geo.scenes.ingest import ingest
from src.geo.scenes.ingest_block import encode_reflectance, make_block
from src.geo.scenes.products import Given, find_product
from src.geo.scenes.quality import decode_quality

ROLES = ("blue", "green", "red", "nir", "swir1", "swir2")
S2_BANDS = ("B02", "B03", "B04", "B08", "B11", "B12")
DAY = "2024-09-25"
ONE_THREAD = ThreadRunner(1)


def write(path: Path, data: np.ndarray, metres: float = 30.0, names: tuple[str, ...] = (), tags=None, **more) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    count, height, width = data.shape
    profile = {"driver": "GTiff", "count": count, "height": height, "width": width, "dtype": data.dtype.name}
    profile |= {"crs": "EPSG:32648", "transform": Affine(metres, 0, 500_000, 0, -metres, 3_400_000)} | more
    with rasterio.open(path, "w", **profile) as sink:
        sink.write(data)
        if names:
            sink.descriptions = names
        sink.update_tags(**(tags or {}))
    return path


def scene_of(path: Path, tmp_path: Path, **given) -> Scene:
    product = find_product(path, Given(**given), tmp_path / "scratch")
    return open_scene(ingest(product, tmp_path / "scenes", ONE_THREAD))


stack_scene = partial(scene_of, bands=ROLES, scale=1e-4, date=DAY)


def row(values: list[int], bands: int = 6, dtype: str = "uint16") -> np.ndarray:
    """(bands, 1, n): the same row in every band."""
    return np.repeat(np.array(values, dtype)[None, None], bands, axis=0)


# --- Sentinel-2 ---


def s2_folder(folder: Path, fine: np.ndarray, coarse: np.ndarray, scl: np.ndarray | None = None) -> Path:
    """Loose Level-2A bands: 10 m (h, w), 20 m (h/2, w/2), SCL at 20 m."""
    for band in S2_BANDS:
        data, metres = (coarse, 20) if band in ("B11", "B12") else (fine, 10)
        write(folder / f"T48RVV_20240925T032131_{band}_{metres}m.tif", data[None].astype(np.uint16), metres)
    if scl is not None:
        write(folder / "T48RVV_20240925T032131_SCL_20m.tif", scl[None].astype(np.uint8), 20)
    return folder


@pytest.mark.parametrize(("baseline", "reflectance"), [("05.09", 0.05), ("02.14", 0.15)])
def test_offset_goes_by_baseline_and_zero_is_no_data_in_both(tmp_path, baseline, reflectance):
    fine = np.full((4, 4), 1500)
    fine[0, 0], fine[3, 3] = 0, 65535
    folder = s2_folder(tmp_path / "s", fine, np.full((2, 2), 1500), np.full((2, 2), 4))
    scene = scene_of(folder, tmp_path, baseline=baseline)
    values, mask = scene.read(), scene.mask()
    assert scene.roles == ROLES and (scene.record.pixel_m, scene.record.baseline) == (10.0, baseline)
    assert np.isnan(values[:4, 0, 0]).all() and mask[0, 0] == NO_DATA
    assert values[:, 1, 1] == pytest.approx([reflectance] * 6)
    assert mask[3, 3] == SATURATED and mask[1, 1] == CLEAR


def test_twenty_metre_bands_are_bilinear(tmp_path):
    """Pixel centres at 10 m lie a quarter and three quarters between those at 20 m; beyond the outermost, constant."""
    coarse = np.array([[2000, 3000], [2000, 3000]])
    scene = scene_of(s2_folder(tmp_path / "s", np.full((4, 4), 5000), coarse), tmp_path, baseline="02.14")
    assert scene.read(roles=["swir1"])[0, 1] == pytest.approx([0.2, 0.225, 0.275, 0.3])


def test_a_missing_coarse_pixel_is_not_mixed_into_its_neighbours(tmp_path):
    """Numbers of 0 mean nothing was measured; a bilinear mean with 0 would darken the edge."""
    coarse = np.array([[0, 3000, 3000], [3000, 3000, 3000], [3000, 3000, 3000]])
    scene = scene_of(s2_folder(tmp_path / "s", np.full((6, 6), 5000), coarse), tmp_path, baseline="02.14")
    swir = scene.read(roles=["swir1"])[0]
    missing = np.zeros((6, 6), bool)
    missing[:3, :3] = True
    assert np.array_equal(np.isnan(swir), missing) and swir[~missing] == pytest.approx(0.3)
    assert np.array_equal(scene.mask() == NO_DATA, missing)


def test_scene_classification_is_read_and_clouds_grow_by_100_m(tmp_path):
    scl = np.full((16, 16), 4)
    scl[2, 2], scl[13, 13], scl[13, 2], scl[2, 13], scl[8, 8] = 9, 3, 1, 11, 2
    scene = scene_of(
        s2_folder(tmp_path / "s", np.full((32, 32), 5000), np.full((16, 16), 5000), scl), tmp_path, baseline="05.09"
    )
    mask = scene.mask()
    # Cloud in rows and columns 4 and 5 of the 10 m grid: ten pixels more to each side.
    assert mask[4, 4] == CLOUD and mask[4, 15] == CLOUD and mask[4, 16] == CLEAR
    assert mask[26, 26] == SHADOW and mask[26, 16] == SHADOW and mask[26, 15] == CLEAR
    # Saturated pixels and snow have sharp edges; dark areas (2) are kept.
    assert (mask == SATURATED).sum() == 4 and (mask == SNOW).sum() == 4 and mask[20, 16] in (CLEAR, SHADOW)
    assert scene.record.mask_source == "SCL" and scene.record.clear_share == pytest.approx(
        (mask == CLEAR).mean(), abs=1e-6
    )


# --- Landsat ---

QA_CODES = {23888: SHADOW, 21824: CLEAR, 22280: CLOUD, 21952: CLEAR, 5440: CLEAR, 5568: CLEAR, 1: NO_DATA, 21826: CLOUD}
BQA_CODES = {2720: CLEAR, 2800: CLOUD, 2976: SHADOW, 6816: CLOUD, 672: CLEAR, 1: NO_DATA, 3744: SNOW, 2724: SATURATED}


def landsat_folder(folder: Path, name: str, prefix: str, qa_name: str, qa: dict[int, int], numbers: list[int]) -> Path:
    for number in range(2, 8):
        write(folder / f"{name}_{prefix}B{number}.TIF", row(numbers, 1))
    write(folder / f"{name}_{qa_name}.TIF", np.array(list(qa), np.uint16)[None, None])
    return folder


def test_landsat_quality_bits(tmp_path):
    name = "LC08_L2SP_140041_20130503_20190828_02_T1"
    folder = landsat_folder(tmp_path / "s", name, "SR_", "QA_PIXEL", QA_CODES, [18639] * 8)
    # Bits of QA_RADSAT are bands less one: bit 3 is B4 (red), bit 8 the unused B9.
    write(folder / f"{name}_QA_RADSAT.TIF", np.array([0, 1 << 3, 0, 1 << 8, 0, 0, 0, 0], np.uint16)[None, None])
    scene = scene_of(folder, tmp_path)
    expected = list(QA_CODES.values())
    expected[1] = SATURATED
    assert scene.mask()[0].tolist() == expected
    assert scene.read(roles=["red"])[0, 0] == pytest.approx([0.3126] * 8)
    assert scene.record.mask_source == "QA_PIXEL" and scene.record.clear_share == pytest.approx(3 / 7, abs=1e-6)


def test_collection_1_bits_have_a_table_of_their_own(tmp_path):
    name = "LC08_L1TP_013032_20180405_20180417_01_T1"
    folder = landsat_folder(tmp_path / "s", name, "", "BQA", BQA_CODES, [9000] * 8)
    scene = scene_of(folder, tmp_path)
    assert scene.mask()[0].tolist() == list(BQA_CODES.values())
    assert scene.record.quantity == "dn" and scene.record.caveats == ("DN_ONLY",)


def test_fill_of_level_1_stays_no_data(tmp_path):
    name = "LC08_L1TP_013032_20180405_20180417_01_T1"
    scene = scene_of(landsat_folder(tmp_path / "s", name, "", "BQA", {2720: 1, 2752: 1}, [0, 9000]), tmp_path)
    assert np.isnan(scene.read()[:, 0, 0]).all() and scene.read()[0, 0, 1] == 9000
    assert scene.mask()[0].tolist() == [NO_DATA, CLEAR]


def test_hls_fmask(tmp_path):
    name = "HLS.L30.T48RVV.2024269T032131.v2.0"
    for number in range(2, 8):
        write(tmp_path / "s" / f"{name}.B0{number}.tif", row([1500] * 6 + [-9999], 1, "int16"), nodata=-9999)
    fmask = [0b01000000, 0b00000010, 0b00000100, 0b00001000, 0b00010000, 0b00100000, 255]
    write(tmp_path / "s" / f"{name}.Fmask.tif", np.array(fmask, np.uint8)[None, None], nodata=255)
    scene = scene_of(tmp_path / "s", tmp_path)
    assert scene.mask()[0].tolist() == [CLEAR, CLOUD, CLOUD, SHADOW, SNOW, CLEAR, NO_DATA]
    assert scene.read()[0, 0, 0] == pytest.approx(0.15) and scene.record.sensor == "hls_l30"


def test_a_quality_layer_of_another_kind_or_type_is_refused():
    with pytest.raises(InputError, match="unknown quality layer 'QA60'"):
        decode_quality(np.zeros(2, np.uint8), "QA60")
    with pytest.raises(InputError, match="holds integers"):
        decode_quality(np.zeros(2), "SCL")


# --- stacks and broken variants ---


@pytest.mark.parametrize(("kind", "codes"), [("clear", [CLOUD, CLEAR]), ("hidden", [CLEAR, CLOUD])])
def test_a_mask_of_the_users_own(tmp_path, kind, codes):
    path = write(tmp_path / "a.tif", row([1500, 1500]))
    mask = write(tmp_path / "m.tif", np.array([[[0, 1]]], np.uint8))
    scene = stack_scene(path, tmp_path, mask=mask, mask_kind=kind)
    assert scene.mask()[0].tolist() == codes and scene.record.mask_source == "user"


def test_without_quality_layer_reflectance_is_screened_and_says_so(tmp_path):
    data = np.repeat(np.array([4500, 4400, 4500, 5200, 4000, 3000], np.uint16)[:, None, None], 9, axis=1).repeat(
        9, axis=2
    )
    scene = stack_scene(write(tmp_path / "a.tif", data), tmp_path)
    assert scene.mask()[4, 4] == CLOUD
    assert (scene.record.mask_source, scene.record.caveats) == ("screen", ("CLOUD_SCREEN",))


def test_digital_numbers_are_stored_as_they_are_and_not_screened(tmp_path):
    scene = scene_of(
        write(tmp_path / "a.tif", row([80, 0, 255], dtype="uint8")), tmp_path, bands=ROLES, level="DN", date=DAY
    )
    assert scene.read()[:, 0, 0].tolist() == [80] * 6 and np.isnan(scene.read()[:, 0, 1]).all()
    assert scene.mask()[0].tolist() == [CLEAR, NO_DATA, SATURATED]
    assert scene.record.mask_source == "none" and "clouds are not masked" in scene.record.notes[-1]


def test_flipped_rows_come_out_north_up(tmp_path):
    data = np.arange(6 * 4 * 3, dtype=np.uint16).reshape(6, 4, 3) + 1000
    up = stack_scene(write(tmp_path / "up.tif", data), tmp_path)
    flipped = Affine(30, 0, 500_000, 0, 30, 3_400_000 - 4 * 30)
    down = stack_scene(write(tmp_path / "down.tif", data[:, ::-1], transform=flipped), tmp_path)
    assert down.grid.same_as(up.grid) and down.grid.transform.e == -30
    assert np.array_equal(down.read(), up.read())


@pytest.mark.parametrize(
    ("data", "more", "scale", "expected"),
    [
        (row([4095, 100]), {"nbits": 12}, 1e-4, [0.4095, 0.01]),
        (row([0.25, np.nan], dtype="float32"), {}, 1.0, [0.25, np.nan]),
        (row([0.25, -3.4e38], dtype="float32"), {"nodata": -3.4e38}, 1.0, [0.25, np.nan]),
        (row([2500, -9999], dtype="int16"), {}, 1e-4, [0.25, np.nan]),
        (row([2500, -9999], dtype="int16"), {"nodata": -9999}, 1e-4, [0.25, np.nan]),
        (row([2500, 0]), {}, 1e-4, [0.25, np.nan]),
        (row([2500, 65535]), {"nodata": 65535}, 1e-4, [0.25, np.nan]),
    ],
    ids=["12 bit", "float", "float nodata", "undeclared -9999", "declared -9999", "zero border", "nodata 65535"],
)
def test_types_and_nodata_of_all_kinds(tmp_path, data, more, scale, expected):
    scene = scene_of(write(tmp_path / "a.tif", data, **more), tmp_path, bands=ROLES, scale=scale, date=DAY)
    assert scene.read()[3, 0] == pytest.approx(expected, nan_ok=True)
    assert ((scene.mask()[0] == NO_DATA) == np.isnan(expected)).all()


def test_nodata_that_the_file_does_not_declare_can_be_given(tmp_path):
    scene = stack_scene(write(tmp_path / "a.tif", row([2500, 9999])), tmp_path, nodata=9999)
    assert scene.mask()[0].tolist() == [CLEAR, NO_DATA]


def test_an_alpha_band_marks_no_data(tmp_path):
    data = np.concatenate([row([2500, 2500]), np.array([[[65535, 0]]], np.uint16)])
    path = write(tmp_path / "a.tif", data, alpha="yes")
    with rasterio.open(path, "r+") as sink:
        sink.colorinterp = [*[rasterio.enums.ColorInterp.undefined] * 6, rasterio.enums.ColorInterp.alpha]
    assert stack_scene(path, tmp_path).mask()[0].tolist() == [CLEAR, NO_DATA]


def test_bands_in_different_zones_are_refused(tmp_path):
    folder = s2_folder(tmp_path / "s", np.full((4, 4), 1500), np.full((2, 2), 1500))
    write(folder / "T48RVV_20240925T032131_B04_10m.tif", np.full((1, 4, 4), 1500, np.uint16), 10, crs="EPSG:32649")
    with pytest.raises(GridError, match="share one CRS"):
        scene_of(folder, tmp_path, baseline="05.09")


def test_bands_of_different_places_are_refused(tmp_path):
    folder = s2_folder(tmp_path / "s", np.full((4, 4), 1500), np.full((2, 2), 1500))
    far = Affine(10, 0, 600_000, 0, -10, 3_400_000)
    write(folder / "T48RVV_20240925T032131_B04_10m.tif", np.full((1, 4, 4), 1500, np.uint16), transform=far)
    with pytest.raises(GridError, match="less than half"):
        scene_of(folder, tmp_path, baseline="05.09")


# --- whole or not at all ---


def leftovers(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in (tmp_path / "scenes").glob("*"))


def test_a_truncated_file_leaves_nothing_behind(tmp_path):
    rng = np.random.default_rng(0)
    path = write(
        tmp_path / "a.tif",
        rng.integers(1, 9000, (6, 300, 300)).astype(np.uint16),
        tiled=True,
        blockxsize=128,
        blockysize=128,
    )
    path.write_bytes(path.read_bytes()[:-200_000])
    with pytest.raises(RasterReadError, match="damaged or cut off"):
        stack_scene(path, tmp_path)
    assert leftovers(tmp_path) == []


def test_a_file_without_any_measurement_is_refused(tmp_path):
    with pytest.raises(InputError, match="no pixel with a measurement"):
        stack_scene(write(tmp_path / "a.tif", row([0, 0])), tmp_path)
    assert leftovers(tmp_path) == []


def test_the_same_content_is_not_ingested_twice(tmp_path, monkeypatch):
    path = write(tmp_path / "a.tif", row([1500, 2500]))
    before = hashlib.sha256(path.read_bytes()).hexdigest()
    first = stack_scene(path, tmp_path)
    monkeypatch.setattr(ingest_module, "make_block", None)
    again = stack_scene(path, tmp_path)
    assert again.folder == first.folder and leftovers(tmp_path) == [f"generic_{DAY}"]
    assert first.record.sources == ({"name": "a.tif", "sha256": before},)
    assert hashlib.sha256(path.read_bytes()).hexdigest() == before


def test_another_reading_of_the_same_file_is_another_scene(tmp_path):
    path = write(tmp_path / "a.tif", row([1500, 2500]))
    stack_scene(path, tmp_path)
    assert scene_of(path, tmp_path, bands=ROLES, scale=2e-4, date=DAY).record.id == f"generic_{DAY}-2"


def test_a_run_that_was_cut_off_is_taken_up(tmp_path, monkeypatch):
    path = write(tmp_path / "a.tif", row([1500, 2500]))
    product = find_product(path, Given(bands=ROLES, scale=1e-4, date=DAY), tmp_path / "scratch")

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(ingest_module, "_record", die)
        with pytest.raises(KeyboardInterrupt):
            ingest(product, tmp_path / "scenes", ONE_THREAD)
    assert leftovers(tmp_path) == []
    assert ingest(product, tmp_path / "scenes", ONE_THREAD).name == f"generic_{DAY}"


def test_blocks_do_not_show(tmp_path, monkeypatch):
    """Small blocks, two threads and one whole block give the same rasters, at seams of mask and bilinear bands too."""
    rng = np.random.default_rng(1)
    fine, coarse = rng.integers(1200, 6000, (160, 200)), rng.integers(0, 6000, (80, 100)) // 50 * 50
    scl = np.where(rng.random((80, 100)) < 0.004, 9, 4)
    folder = s2_folder(tmp_path / "s", fine, coarse, scl)
    product = find_product(folder, Given(baseline="05.09"), tmp_path / "scratch")
    whole = open_scene(ingest(product, tmp_path / "whole", ONE_THREAD))
    monkeypatch.setattr(ingest_module, "BLOCK_PX", 48)
    parts = open_scene(ingest(product, tmp_path / "parts", ThreadRunner(2)))
    assert np.array_equal(parts.read(), whole.read(), equal_nan=True)
    assert np.array_equal(parts.mask(), whole.mask()) and set(np.unique(whole.mask())) == {NO_DATA, CLEAR, CLOUD}
    assert parts.record == whole.record


def test_the_work_on_a_block_can_be_sent_to_a_cluster(tmp_path):
    """Function and plan pickle, so Dask can run what threads run."""
    product = find_product(
        write(tmp_path / "a.tif", row([1500, 0])), Given(bands=ROLES, scale=1e-4, date=DAY), tmp_path
    )
    work = partial(make_block, ingest_module._plan(product))
    block = Block(0, 0, 1, 2)
    here, there = work(block), pickle.loads(pickle.dumps(work))(block)
    assert np.array_equal(here.bands, there.bands) and np.array_equal(here.mask, there.mask)


def test_rasters_are_tiled_deflated_and_have_overviews(tmp_path):
    scene = stack_scene(write(tmp_path / "a.tif", np.full((6, 600, 600), 1500, np.uint16)), tmp_path)
    for name in ("bands.tif", "mask.tif"):
        with rasterio.open(scene.folder / name) as source:
            assert source.profile["blockxsize"] == source.profile["blockysize"] == 512
            assert source.profile["compress"] == "deflate" and source.overviews(1) == [2]


def test_reflectance_is_rounded_and_clipped():
    values = np.array([0.3125725, -0.00004, 6.5, np.nan], np.float32)
    assert encode_reflectance(values).tolist() == [3126, 0, 32767, -32768]
