import re
from dataclasses import replace

import numpy as np
import pytest
from affine import Affine

from src.errors import SensorError
from src.geo.grid import Grid, Raster
from src.geo.raster import read_raster
from src.geo.sensors import (
    SENSORS,
    band_from_name,
    baseline_from_name,
    clear_mask,
    date_from_name,
    detect_sensor,
    natural_band_indices,
    positional_names,
    to_reflectance,
)
from src.geo.sensors.base import ROLES
from src.geo.sensors.sentinel2 import parse_baseline

L5, L8 = SENSORS["landsat5"], SENSORS["landsat8"]
L1C, L2A, GENERIC = SENSORS["sentinel2_l1c"], SENSORS["sentinel2_l2a"], SENSORS["generic"]


def row_raster(values, names, dtype=np.uint16, valid=None, **more) -> Raster:
    """Bands of one row: values is a list of rows, one per band."""
    data = np.array(values, dtype=dtype)[:, np.newaxis, :]
    mask = np.ones(data.shape[1:], bool) if valid is None else np.array([valid])
    return Raster(data, mask, Grid(None, Affine.identity(), data.shape[1:]), tuple(names), **more)


def test_the_table_is_complete_and_consistent():
    assert list(SENSORS) == [
        *("landsat5", "landsat7", "landsat8", "landsat9", "sentinel2_l1c", "sentinel2_l2a"),
        *("hls_l30", "hls_s30", "generic"),
    ]
    for key, sensor in SENSORS.items():
        names = [band.name for band in sensor.bands]
        assert sensor.name == key and len(set(names)) == len(names)
        assert {band.role for band in sensor.bands} <= set(ROLES)
        assert {*sensor.natural, *sensor.false_colour} <= set(names)
        assert [sensor.find_band(name).role for name in sensor.natural] == ["red", "green", "blue"]
        assert [sensor.find_band(name).role for name in sensor.false_colour] == ["nir", "red", "green"]
        for count, stack in sensor.stacks.items():
            assert len(stack) == count and set(stack) <= set(names)
        assert sensor is GENERIC or re.match(r"https://", sensor.source)


@pytest.mark.parametrize(
    ("sensor", "roles"),
    [
        ("landsat5", "blue green red nir swir1 swir2 thermal"),
        ("landsat7", "blue green red nir swir1 swir2 thermal"),
        ("landsat8", "coastal blue green red nir swir1 swir2 thermal"),
        ("landsat9", "coastal blue green red nir swir1 swir2 thermal"),
    ],
)
def test_landsat_roles(sensor, roles):
    assert [band.role for band in SENSORS[sensor].bands] == roles.split()


# --- digital numbers to reflectance ---


@pytest.mark.parametrize("sensor", ["landsat5", "landsat7", "landsat8", "landsat9"])
def test_landsat_reflectance_of_four_pixels(sensor):
    # 18639 * 0.0000275 - 0.2 = 0.3125725; 7273 is 0.0000075; 43636 is 0.99999; 0 is fill.
    raster = row_raster([[18639, 7273, 43636, 0]], ["SR_B4"])
    result = to_reflectance(raster, SENSORS[sensor])
    assert result.dtype == np.float32
    assert result[0, 0, :3] == pytest.approx([0.3125725, 0.0000075, 0.99999], abs=1e-7)
    assert np.isnan(result[0, 0, 3])


def test_landsat_temperature_is_kelvin():
    result = to_reflectance(row_raster([[44947], [18639]], ["ST_B10", "SR_B2"]), L8)
    assert result[:, 0, 0] == pytest.approx([302.62975, 0.3125725], rel=1e-6)


@pytest.mark.parametrize(
    ("baseline", "expected"),
    [("05.09", [0.05, -0.0999, 0.9]), ("N0400", [0.05, -0.0999, 0.9]), ("02.14", [0.15, 0.0001, 1.0])],
)
@pytest.mark.parametrize("sensor", ["sentinel2_l1c", "sentinel2_l2a"])
def test_sentinel2_reflectance_of_four_pixels(sensor, baseline, expected):
    raster = row_raster([[1500, 1, 10000, 0]], ["B04"], baseline=baseline)
    result = to_reflectance(raster, SENSORS[sensor])[0, 0]
    assert result[:3] == pytest.approx(expected, abs=1e-7)
    assert np.isnan(result[3])


def test_sentinel2_without_a_baseline_is_refused():
    raster = row_raster([[1500]], ["B04"], date="2021-06-01")
    with pytest.raises(SensorError, match="baseline is unknown"):
        to_reflectance(raster, L2A)
    assert to_reflectance(raster, L2A, baseline="N0300")[0, 0, 0] == pytest.approx(0.15)
    with pytest.raises(SensorError, match="'five'"):
        to_reflectance(raster, L2A, baseline="five")


def test_invalid_pixels_and_each_bands_own_nodata_become_nan():
    raster = row_raster([[18639, 18639, 9], [18639, 9, 9]], ["red", "nir"], valid=[True, True, False], nodata=9)
    assert np.isnan(to_reflectance(raster, L8)[:, 0]).tolist() == [[False, False, True], [False, True, True]]


def test_generic_keeps_values():
    raster = row_raster([[0.25, 0.5, 7.0]], ["anything"], dtype=np.float64, valid=[True, True, False])
    result = to_reflectance(raster, GENERIC)[0, 0]
    assert result[:2].tolist() == [0.25, 0.5] and np.isnan(result[2])


@pytest.mark.parametrize(
    ("raster", "sensor", "message"),
    [
        # Level-1 numbers of 8 bits and ready-made reflectance look nothing like Level-2 numbers.
        (row_raster([[77]], ["SR_B4"], dtype=np.uint8), L5, "stores uint16"),
        (row_raster([[0.2]], ["B04"], dtype=np.float32, baseline="05.00"), L2A, "use sensor 'generic'"),
        (row_raster([[77]], ["SR_B9"]), L8, "no band 'SR_B9'"),
        (row_raster([[1 + 2j]], ["B1"], dtype=np.complex64), GENERIC, "complex"),
    ],
)
def test_numbers_of_another_product_are_refused(raster, sensor, message):
    with pytest.raises(SensorError, match=message):
        to_reflectance(raster, sensor)


# --- quality layers ---


@pytest.mark.parametrize(
    ("value", "clear"),
    [
        *((21824, True), (21952, True), (5440, True), (5568, True)),  # clear land and water, OLI and TM
        (1, False),  # fill
        (22280, False),  # high-confidence cloud, bit 3
        (23888, False),  # shadow, bit 4, although bit 6 "clear" is set
        (21824 | 1 << 1, False),  # dilated cloud
        (21824 | 1 << 2, False),  # cirrus
        (21824 | 1 << 5, False),  # snow
    ],
)
def test_landsat_qa(value, clear):
    assert clear_mask(np.array([[value]], np.uint16), L8).tolist() == [[clear]]


def test_sentinel2_scene_classification():
    result = clear_mask(np.arange(12, dtype=np.uint8), L2A)
    assert result.dtype == np.bool_
    assert np.flatnonzero(result).tolist() == [2, 4, 5, 6, 7]


def test_quality_layers_that_do_not_exist():
    with pytest.raises(SensorError, match="sentinel2_l1c has no quality layer"):
        clear_mask(np.zeros(3, np.uint8), L1C)
    with pytest.raises(SensorError, match="integers"):
        clear_mask(np.zeros(3, np.float32), L8)


# --- names ---


@pytest.mark.parametrize(
    ("path", "names", "expected"),
    [
        ("LC08_L2SP_140041_20130503_20190828_02_T1_SR_B4.TIF", None, "landsat8"),
        ("LC09_L2SP_140041_20230503_20230828_02_T1_SR_B4.TIF", None, "landsat9"),
        ("LE07_L1TP_195025_20010730_20170204_01_T1_B1.TIF", None, "landsat7"),
        ("LT05_L1TP_167055_20000309_20161214_01_T1_B1.TIF", None, "landsat5"),
        ("LT51670552010352MLK00_B1.tif", None, "landsat5"),
        ("LE70220491999322EDC01_stack.gtif", None, "landsat7"),
        ("taizhou_LE07_20000317.tif", None, "landsat7"),
        ("L8_Taylorsville.tif", None, "landsat8"),
        ("landsat8_2023-09-20.tif", None, "landsat8"),
        ("sentinel2_l2a_2023-09-20.tif", None, "sentinel2_l2a"),
        ("S2A_MSIL2A_20230920T032541_N0509_R018_T48RVV_20230920T080000.SAFE/x/B04.jp2", None, "sentinel2_l2a"),
        ("S2B_MSIL1C_20230920T032541_N0509_R018_T48RVV_20230920T080000.SAFE/x/B04.jp2", None, "sentinel2_l1c"),
        ("T33UUU_20170216T102101_B02.jp2", None, "sentinel2_l1c"),
        ("T33UUU_20170216T102101_B02_10m.jp2", None, "sentinel2_l2a"),
        ("S2A1C_20170703_022_Barbellino_TOA_10.tif", positional_names(12), "sentinel2_l1c"),
        # Unnamed bands are no B10.
        ("S2A2A_20170703_022_Barbellino_BOA_10.tif", positional_names(11), "sentinel2_l2a"),
        ("trombetas_sen2.tif", ("B2", "B3", "B4"), "sentinel2_l2a"),
        ("slovenia_S2_20150711.tif", positional_names(13), "sentinel2_l1c"),
        ("x.tif", positional_names(13), "sentinel2_l1c"),
        ("x.tif", positional_names(12), "sentinel2_l2a"),
        ("x.tif", tuple(f"2015-07-{day}" for day in range(10, 22)), "generic"),
        ("x.tif", ("B02", "B03", "B04", "B08"), "sentinel2_l2a"),
        ("x.tif", ("B02", "B03", "B04", "B8A", "B10"), "sentinel2_l1c"),
        ("x.tif", ("SR_B2", "SR_B3", "SR_B4", "SR_B5", "SR_B6", "SR_B7"), "landsat8"),
        ("x.tif", ("SR_B1", "SR_B2", "SR_B3", "SR_B4", "SR_B5", "SR_B7"), "landsat7"),
        ("x.tif", ("blue", "green", "red", "nir"), "generic"),
        ("x.tif", positional_names(6), "generic"),
        # A folder may be called anything.
        ("landsat8_archive/x.tif", positional_names(6), "generic"),
        ("village_L10_map.tif", positional_names(3), "generic"),
    ],
)
def test_detection(path, names, expected):
    names = names or ("B1",)
    assert detect_sensor(path, names, len(names)).name == expected


def test_a_sensor_tag_decides():
    assert detect_sensor("x.tif", ("B1",), 1, "landsat9") is SENSORS["landsat9"]
    assert detect_sensor("x.tif", ("B1",), 1, "Sentinel-2A MSI L1C (top of atmosphere)") is L1C
    assert detect_sensor("x.tif", ("B1",), 1, "Landsat-7 ETM+") is SENSORS["landsat7"]


@pytest.mark.parametrize(
    ("sensor", "name", "role"),
    [
        (L8, "SR_B4", "red"),
        (L8, "B4", "red"),
        (L8, "Red", "red"),
        (L8, "nir08", "nir"),
        (L8, "SWIR 1", "swir1"),
        (L8, "lwir11", "thermal"),
        (L5, "band 4 reflectance", "nir"),
        (L5, "B1_dn", "blue"),
        (L5, "Resize (ETM+ Meta (Band 7):L71119038_MTL.txt) (2.22 Micrometers)", "swir2"),
        (L5, "B6_VCID_1", "thermal"),
        (L1C, "B8A", "nir2"),
        (L1C, "B8", "nir"),
        (L1C, "B08", "nir"),
        (L1C, "band_12", "swir2"),
        (L1C, "b10", "cirrus"),
        (L2A, "B10", None),
        (L5, "Band 8", None),
        (GENERIC, "B4", None),
        (GENERIC, "near infrared", "nir"),
    ],
)
def test_band_names_lead_to_roles(sensor, name, role):
    band = sensor.find_band(name)
    assert (band and band.role) == role


@pytest.mark.parametrize(
    ("sensor", "names", "expected"),
    [
        (L1C, positional_names(13), (3, 2, 1)),
        (L2A, positional_names(12), (3, 2, 1)),
        (L2A, positional_names(11), (3, 2, 1)),
        (L2A, positional_names(10), (2, 1, 0)),
        (L2A, positional_names(6), (2, 1, 0)),
        (L2A, positional_names(4), (2, 1, 0)),
        (L2A, ("B08", "B03", "B02", "B04"), (3, 1, 2)),
        (L5, positional_names(6), (2, 1, 0)),
        (L5, positional_names(7), (2, 1, 0)),
        (L8, positional_names(6), (2, 1, 0)),
        (L8, positional_names(7), (3, 2, 1)),
        (L8, positional_names(8), (3, 2, 1)),
        (L8, ("SR_B2", "SR_B3", "SR_B4", "SR_B5"), (2, 1, 0)),
        (GENERIC, positional_names(1), (0, 0, 0)),
        (GENERIC, positional_names(2), (0, 0, 0)),
        (GENERIC, positional_names(3), (0, 1, 2)),
        (GENERIC, positional_names(4), (2, 1, 0)),
        (GENERIC, positional_names(137), (2, 1, 0)),
        (GENERIC, ("red", "green", "blue", "nir"), (0, 1, 2)),
        # No blue: vegetation in red. Neither: the first band in grey.
        (GENERIC, ("swir1", "nir", "red", "green"), (1, 2, 3)),
        (GENERIC, ("nir", "red", "swir1"), (0, 0, 0)),
    ],
)
def test_natural_colours(sensor, names, expected):
    assert natural_band_indices(sensor, names, len(names)) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("LC08_L2SP_140041_20130503_20190828_02_T1_SR_B4.TIF", "2013-05-03"),
        ("S2A_MSIL2A_20230920T032541_N0509_R018_T48RVV_20240101T080000.SAFE", "2023-09-20"),
        ("T33UUU_20170216T102101_B02.jp2", "2017-02-16"),
        ("LT51670552010352MLK00_B1.tif", "2010-12-18"),
        ("LE70220491999322EDC01_stack.gtif", "1999-11-18"),
        ("landsat8_2023-09-20_mask.tif", "2023-09-20"),
        ("m_4709963_se_14_1_20090818_crop.tif", "2009-08-18"),
        ("scene_20231301.tif", None),
        ("pucallpa_1985.tif", None),
        ("2000", None),
    ],
)
def test_dates(name, expected):
    assert date_from_name(name) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("LC08_L2SP_140041_20130503_20190828_02_T1_SR_B4.TIF", "SR_B4"),
        ("LC08_L2SP_140041_20130503_20190828_02_T1_QA_PIXEL.TIF", "QA_PIXEL"),
        ("T33UUU_20170216T102101_B8A.jp2", "B8A"),
        ("T33UUU_20170216T102101_B02_10m.jp2", "B02"),
        ("LE07_L1TP_195025_20010730_20170204_01_T1_B6_VCID_1.TIF", "B6"),
        ("S2A2A_20170703_022_Barbellino_SCL_10.tif", "SCL"),
        ("landcover_2023-09-20.tif", None),
    ],
)
def test_bands_in_file_names(name, expected):
    assert band_from_name(name) == expected


def test_baselines():
    assert baseline_from_name("S2A_MSIL2A_20230920T032541_N0509_R018_T48RVV_20230920T080000") == "05.09"
    assert baseline_from_name("county_N0509.tif") is None
    assert parse_baseline("N0214") == (2, 14) < parse_baseline("04.00") == (4, 0) < parse_baseline("10.00")


def test_another_export_scale_is_a_replaced_sensor(test_data):
    """EO Browser writes reflectance times 65535; with its own scale the NDVI of a real scene is a plausible one."""
    raster = read_raster(test_data / "sundarbans_s2_2020/sundarbans_S2L2A_20200127.tif")
    exported = replace(L2A, scale=1 / 65535, offset=0.0, offset_since=None)
    reflectance = to_reflectance(raster, exported)
    red, nir = (reflectance[exported.role_index(raster.band_names, role)] for role in ("red", "nir"))
    assert np.nanmax(reflectance) <= 1.0
    ndvi = (nir - red) / (nir + red)
    assert 0.4 < np.nanpercentile(ndvi, 90) < 0.95


def test_ndvi_of_a_real_scene_equals_the_published_one(test_data):
    folder = test_data / "slovenia_s2_2015"
    published = read_raster(folder / "slovenia_NDVI_cloudfree_2015_2017.tif")
    for date in ("2015-07-11", "2015-08-30", "2015-09-09"):
        scene = read_raster(folder / f"slovenia_S2L1C_{date.replace('-', '')}.tif")
        assert (scene.sensor, scene.date) == ("sentinel2_l1c", date)
        reflectance = to_reflectance(scene, L1C, baseline="02.04").astype(np.float64)
        red, nir = (reflectance[L1C.role_index(scene.band_names, role)] for role in ("red", "nir"))
        expected = published.data[published.band_names.index(date)]
        # Digital numbers were rounded to 1e-4 when this copy of the scene was made.
        assert np.abs((nir - red) / (nir + red) - expected).max() < 1e-3


# --- HLS ---


def test_hls_names_tell_sensor_date_and_band():
    name = "HLS.S30.T48RVV.2024269T032131.v2.0.B8A.tif"
    assert detect_sensor(name, positional_names(1), 1) is SENSORS["hls_s30"]
    assert detect_sensor(name.replace("S30", "L30"), positional_names(1), 1) is SENSORS["hls_l30"]
    # Day 269 of the leap year 2024.
    assert date_from_name(name) == "2024-09-25"
    assert band_from_name(name) == "B8A" and band_from_name(name.replace("B8A", "Fmask")) == "Fmask"


def test_hls_bands_of_both_sensors_match_by_role():
    """The narrow near infrared of Sentinel-2 is the one that matches Landsat's."""
    l30, s30 = SENSORS["hls_l30"], SENSORS["hls_s30"]
    assert (l30.find_band("B05").role, s30.find_band("B8A").role, s30.find_band("B08").role) == ("nir", "nir", "nir2")
    assert to_reflectance(row_raster([[1500, -9999]], ["B04"], np.int16), l30)[0, 0] == pytest.approx(
        [0.15, np.nan], nan_ok=True
    )


def test_hls_fmask_bits():
    # Cloud, beside cloud, shadow, snow; water and aerosol hide nothing.
    fmask = np.array([1 << 1, 1 << 2, 1 << 3, 1 << 4, 1 << 5, 0b11000000], np.uint8)
    assert clear_mask(fmask, SENSORS["hls_l30"]).tolist() == [False] * 4 + [True] * 2
