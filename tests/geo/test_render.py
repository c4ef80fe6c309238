import os
from pathlib import Path

import numpy as np
import pytest
from affine import Affine

from src.errors import InputError, LandUseError, RasterReadError, SensorError
from src.geo.grid import Grid, Raster
from src.geo.raster import read_raster
from src.geo.render import render_rgb, stretch_limits


def make(data, names=None, valid=None, sensor=None) -> Raster:
    data = np.asarray(data)
    mask = np.ones(data.shape[1:], bool) if valid is None else np.asarray(valid)
    names = names or tuple(f"B{index}" for index in range(1, len(data) + 1))
    return Raster(data, mask, Grid(None, Affine.identity(), data.shape[1:]), names, sensor=sensor, source="test.tif")


# --- the stretch ---


def test_limits_are_percentiles_of_valid_finite_values():
    # 0..100 in order: the 2nd percentile is 2 and the 98th is 98; an outlier that is invalid changes nothing.
    values = np.append(np.arange(101.0), [1e9, np.nan, np.inf]).reshape(1, 1, -1)
    valid = np.append(np.ones(101, bool), [False, True, True]).reshape(1, -1)
    assert stretch_limits(values, valid).tolist() == [[2.0, 98.0]]
    assert stretch_limits(values, valid, low=0, high=50).tolist() == [[0.0, 50.0]]


def test_limits_of_a_nearly_constant_and_of_a_constant_band():
    valid = np.ones((1, 1000), bool)
    nearly = np.zeros((1, 1, 1000), np.uint16)
    nearly[0, 0, 0] = 7
    assert stretch_limits(nearly, valid).tolist() == [[0.0, 7.0]]
    assert stretch_limits(np.full((1, 1, 1000), 5, np.uint8), valid).tolist() == [[4.5, 5.5]]
    black, white = stretch_limits(np.full((1, 1, 1000), 3e30), valid)[0]
    assert black < 3e30 < white


def test_grey_by_hand():
    # Limits 0 and 100: 50 becomes 127.5, rounded to 128; below and above are cut off.
    picture = render_rgb(make([[[0, 50, 100], [-9, 200, 20]]]), np.array([[0, 100]] * 3))
    assert picture.dtype == np.uint8 and picture.shape == (2, 3, 3)
    assert picture[..., 0].tolist() == [[0, 128, 255], [0, 255, 51]]
    assert (picture[..., 0] == picture[..., 1]).all() and (picture[..., 0] == picture[..., 2]).all()


def test_default_limits_are_the_rasters_own():
    picture = render_rgb(make(np.arange(101.0).reshape(1, 1, 101)))
    assert picture[0, [0, 2, 50, 98, 100], 0].tolist() == [0, 0, 128, 255, 255]


def test_invalid_and_nan_pixels_are_black():
    data = np.array([[[1.0, 2.0, np.nan, 4.0]]])
    picture = render_rgb(make(data, valid=[[False, True, True, True]]), np.array([[-10, 10]] * 3))
    assert picture[0, :, 0].tolist() == [0, 153, 0, 179]


def test_a_constant_image_is_mid_grey():
    assert np.unique(render_rgb(make(np.full((1, 3, 3), 7, np.uint16)))).tolist() == [128]


# --- which bands ---


def test_three_8_bit_bands_pass_unchanged():
    data = np.arange(27, dtype=np.uint8).reshape(3, 3, 3)
    valid = np.ones((3, 3), bool)
    valid[1, 1] = False
    picture = render_rgb(make(data, valid=valid))
    assert picture[0, 0].tolist() == [0, 9, 18] and picture[2, 2].tolist() == [8, 17, 26]
    assert picture[1, 1].tolist() == [0, 0, 0]
    # Limits given for a whole scene apply to 8 bits as well.
    assert render_rgb(make(data), np.array([[0, 26]] * 3))[2, 2].tolist() == [78, 167, 255]


@pytest.mark.parametrize(
    ("count", "sensor", "names", "shown"),
    [
        (4, None, None, (3, 2, 1)),
        (6, "landsat7", ("SR_B1", "SR_B2", "SR_B3", "SR_B4", "SR_B5", "SR_B7"), (3, 2, 1)),
        (6, "sentinel2_l2a", None, (3, 2, 1)),
        (7, "landsat8", None, (4, 3, 2)),
        (13, "sentinel2_l1c", None, (4, 3, 2)),
        (4, None, ("red", "green", "blue", "nir"), (1, 2, 3)),
        (2, None, None, (1, 1, 1)),
    ],
)
def test_natural_colours_reach_the_picture(count, sensor, names, shown):
    """Band k is the constant 10 k, so that each channel tells which band it shows."""
    data = np.full((count, 2, 2), 10, np.uint16) * np.arange(1, count + 1, dtype=np.uint16)[:, None, None]
    picture = render_rgb(make(data, names=names, sensor=sensor), np.array([[0, 255]] * 3))
    assert tuple(picture[0, 0] // 10) == shown


# --- any depth ---


@pytest.mark.parametrize(
    "dtype", ["uint8", "int8", "uint16", "int16", "uint32", "int32", "int64", "float32", "float64"]
)
@pytest.mark.parametrize("count", [1, 2, 3, 4, 13])
def test_every_depth_and_band_count_is_rendered(dtype, count):
    ramp = np.linspace(0, 100, 110).astype(dtype).reshape(1, 10, 11).repeat(count, axis=0)
    picture = render_rgb(make(ramp))
    assert picture.shape == (10, 11, 3)
    assert (np.diff(picture.reshape(-1, 3)[:, 0].astype(int)) >= 0).all()
    assert picture.max() == (100 if (dtype, count) == ("uint8", 3) else 255)


def test_complex_values_are_refused_with_the_reason():
    with pytest.raises(SensorError, match=r"test\.tif: complex values"):
        render_rgb(make(np.ones((1, 2, 2), np.complex64)))


def test_nothing_to_show_is_refused():
    with pytest.raises(InputError, match=r"test\.tif: there is nothing to show: all pixels are nodata"):
        render_rgb(make(np.ones((1, 2, 2)), valid=np.zeros((2, 2), bool)))
    with pytest.raises(InputError, match="no valid pixel"):
        stretch_limits(np.full((1, 2, 2), np.nan), np.ones((2, 2), bool))


# --- every odd file renders, or says why not ---

REFUSED: dict[str, tuple[type[LandUseError], str]] = {
    "all_nodata_planet_uint16.tif": (InputError, "all pixels are nodata"),
    "complex_int16_sar.tif": (SensorError, "complex"),
    "corrupt_tiles.tif": (RasterReadError, "damaged"),
    "envi_pair/2003TM.HDR": (RasterReadError, "cannot be read as ENVI"),
    "invalid_geojson_ring_nesting/LEVIR_CD_name_coords_first20.geojson": (InputError, "not a GeoTIFF"),
    "modis_137_layers_samples.csv": (InputError, "not a GeoTIFF"),
    "modis_137_layers_samples_projection.txt": (InputError, "not a GeoTIFF"),
    "modis_137_layers_timeline.txt": (InputError, "not a GeoTIFF"),
}
RENDERED: dict[str, tuple[int, int]] = {
    "bmp_label_no_georef/change.bmp": (400, 400),
    "declared_nodata_minus9999_dem.tif": (500, 500),
    "envi_pair/2003TM": (400, 400),
    "esri_wkt_crs.tif": (2, 2),
    "float32_reflectance/slovenia_S2L1C_20150830_float32.tif": (101, 100),
    "float64_nan_nodata.tif": (341, 316),
    "float_nan_no_crs.tif": (2, 3),
    "float_nodata_minus3.4e38.tif": (12, 13),
    "internal_mask_rgb.tif": (512, 512),
    "jp2_15bit_mostly_empty.jp2": (1830, 1830),
    "jp2_16bit_no_crs_mostly_empty.jp2": (1830, 1830),
    "jp2_tci_utm9.jp2": (343, 343),
    "landsat7_slc_off_stripes_custom_scale.tif": (168, 168),
    "landsat8_B5_zero_border_no_nodata.tif": (389, 381),
    "missing_nodata_minus9999_dem.tif": (500, 500),
    "modis_137_layers_sinusoidal.tif": (27, 37),
    "nodata0_rgb_utm18.tif": (718, 791),
    "other_crs_epsg3857.tif": (681, 676),
    "rgba_alpha_band_webmercator.tif": (512, 512),
    "rotated_no_crs.tif": (15, 10),
    "rpc_only_11bit_uint16.tif": (274, 232),
    "s2_B01_uint16_nodata0_600m.tif": (183, 183),
    "s2_B09_uint16_nodata0_600m.tif": (183, 183),
    "scale_offset_tags_int16.tif": (256, 256),
    "tiny_10x10.tif": (10, 10),
}
ODD = Path(os.environ.get("TEST_DATA", "")) / "odd"
ODD_FILES = (
    sorted(path.relative_to(ODD).as_posix() for path in ODD.rglob("*") if path.is_file())
    if os.environ.get("TEST_DATA")
    else []
)


def test_all_odd_files_are_collected(test_data):
    assert sorted([*REFUSED, *RENDERED]) == ODD_FILES
    assert len(ODD_FILES) == 33


@pytest.mark.parametrize("name", ODD_FILES)
def test_odd_file(name):
    if name in REFUSED:
        error, reason = REFUSED[name]
        with pytest.raises(error, match=reason) as caught:
            render_rgb(read_raster(ODD / name))
        assert Path(name).name in str(caught.value)
        return
    raster = read_raster(ODD / name)
    picture = render_rgb(raster)
    assert picture.dtype == np.uint8 and picture.shape == (*RENDERED[name], 3)
    assert picture.max() > picture[raster.valid].min()
    assert not picture[~raster.valid].any()


@pytest.mark.parametrize(
    ("name", "share"),
    [
        ("internal_mask_rgb.tif", 0.905),
        ("declared_nodata_minus9999_dem.tif", 0.705),
        # The same elevations without a declaration: -9999 is then a value like any other.
        ("missing_nodata_minus9999_dem.tif", 1.0),
        ("float64_nan_nodata.tif", 0.431),
        ("float_nodata_minus3.4e38.tif", 0.628),
        ("nodata0_rgb_utm18.tif", 0.675),
        ("landsat7_slc_off_stripes_custom_scale.tif", 0.528),
    ],
)
def test_valid_share_of_odd_files(test_data, name, share):
    assert read_raster(test_data / "odd" / name).valid.mean() == pytest.approx(share, abs=5e-4)


def test_8_bit_pictures_are_shown_as_they_are(test_data):
    raster = read_raster(test_data / "odd/jp2_tci_utm9.jp2")
    assert (render_rgb(raster) == raster.data.transpose(1, 2, 0)).all()


@pytest.mark.parametrize(
    ("path", "bands"),
    [
        ("slovenia_s2_2015/slovenia_S2L1C_20150830.tif", (3, 2, 1)),
        ("sundarbans_s2_2020/sundarbans_S2L2A_20200127.tif", (2, 1, 0)),
        ("pilbara_s2_fire_2018_2019/pilbara_S2L2A_20190105.tif", (2, 1, 0)),
        ("barbellino_s2_2017_2019/S2A2A_20190723_022_Barbellino_BOA_10.tif", (3, 2, 1)),
        ("taizhou_landsat7_2000_2003/taizhou_LE07_20000317.tif", (2, 1, 0)),
        ("chiapas_landsat7_1999_2002/LE70220491999322EDC01_stack.gtif", (2, 1, 0)),
        ("single_scenes/L8_Taylorsville.tif", (3, 2, 1)),
        ("single_scenes/olinda_L7_ETMs.tif", (2, 1, 0)),
        ("single_scenes/trombetas_sen2_RStoolbox.tif", (3, 2, 1)),
        ("northdakota_naip_2009_2020/m_4709963_se_14_1_20200831_crop.tif", (0, 1, 2)),
    ],
)
def test_real_scenes_show_red_green_blue(test_data, path, bands):
    raster = read_raster(test_data / path)
    for channel, band in enumerate(bands):
        values = raster.data[band].astype(np.float64)
        low, high = np.percentile(values[raster.valid], (2, 98))
        expected = np.clip((values - low) / (high - low) * 255, 0, 255)
        shown = render_rgb(raster)[..., channel].astype(np.float64)
        assert np.abs(shown - expected)[raster.valid].max() <= 0.5 + 1e-6


def test_reflectance_and_digital_numbers_give_the_same_picture(test_data):
    stored = render_rgb(read_raster(test_data / "slovenia_s2_2015/slovenia_S2L1C_20150830.tif")).astype(int)
    scaled = render_rgb(read_raster(ODD / "float32_reflectance/slovenia_S2L1C_20150830_float32.tif")).astype(int)
    assert np.abs(stored - scaled).max() <= 1
