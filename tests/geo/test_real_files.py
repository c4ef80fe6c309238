"""Every file of the test data, added as it comes or with what the user says: taken, or refused with the reason."""

from pathlib import Path

import pytest

from src.errors import LandUseError
from src.geo.blocks import ThreadRunner
from src.geo.scene import open_scene
from src.geo.scenes.products import Given
from src.geo.workspace import Options, Workspace, add, init_workspace

ROLES = ("blue", "green", "red", "nir", "swir1", "swir2")
ONE_THREAD = ThreadRunner(1)


@pytest.fixture
def space(tmp_path: Path) -> Workspace:
    return init_workspace(tmp_path / "space")


PICTURE, ASK_SCALE, ASK_SENSOR, NO_CRS, ONE_BAND = (
    "8-bit colour picture",
    "give --scale",
    "give --sensor",
    "no CRS",
    "holds 1 band",
)
REFUSED = {
    "odd/all_nodata_planet_uint16.tif": ASK_SENSOR,
    "odd/bmp_label_no_georef/change.bmp": NO_CRS,
    "odd/complex_int16_sar.tif": "holds complex64 numbers",
    "odd/corrupt_tiles.tif": PICTURE,
    "odd/declared_nodata_minus9999_dem.tif": ONE_BAND,
    "odd/envi_pair/2003TM": "give --date",
    "odd/esri_wkt_crs.tif": ONE_BAND,
    "odd/float32_reflectance/slovenia_S2L1C_20150830_float32.tif": ASK_SCALE,
    "odd/float64_nan_nodata.tif": ONE_BAND,
    "odd/float_nan_no_crs.tif": NO_CRS,
    "odd/float_nodata_minus3.4e38.tif": ONE_BAND,
    "odd/internal_mask_rgb.tif": PICTURE,
    "odd/invalid_geojson_ring_nesting/LEVIR_CD_name_coords_first20.geojson": "none of its 20 features has a geometry",
    "odd/jp2_15bit_mostly_empty.jp2": ONE_BAND,
    "odd/jp2_16bit_no_crs_mostly_empty.jp2": NO_CRS,
    "odd/jp2_tci_utm9.jp2": PICTURE,
    "odd/landsat7_slc_off_stripes_custom_scale.tif": ONE_BAND,
    "odd/landsat8_B5_zero_border_no_nodata.tif": ONE_BAND,
    "odd/missing_nodata_minus9999_dem.tif": ONE_BAND,
    "odd/modis_137_layers_sinusoidal.tif": "holds 137 bands, at most 64",
    "odd/nodata0_rgb_utm18.tif": PICTURE,
    "odd/other_crs_epsg3857.tif": ONE_BAND,
    "odd/rgba_alpha_band_webmercator.tif": PICTURE,
    "odd/rotated_no_crs.tif": NO_CRS,
    "odd/rpc_only_11bit_uint16.tif": NO_CRS,
    "odd/s2_B01_uint16_nodata0_600m.tif": ONE_BAND,
    "odd/s2_B09_uint16_nodata0_600m.tif": ONE_BAND,
    "odd/scale_offset_tags_int16.tif": ONE_BAND,
    "odd/tiny_10x10.tif": ONE_BAND,
    "single_scenes/L8_Taylorsville.tif": ASK_SCALE,
    "single_scenes/S2_Harsha.tif": "give --bands",
    "single_scenes/olinda_L7_ETMs.tif": "give --date",
    "single_scenes/texas_hls_10band_224.tif": ASK_SENSOR,
    "single_scenes/trombetas_sen2_RStoolbox.tif": ASK_SCALE,
    "single_scenes/tucurui_LT05_19880814_lsat.tif": ASK_SCALE,
    "single_scenes/Harsha_Lake_CRS.gpkg": "give --as zone",
    "single_scenes/Harsha_Simple_Points_CRS.gpkg": "give --as zone",
    "single_scenes/Harsha_Lake_other_crs.gpkg": "give --as zone",
    "single_scenes/Taylorsville.gpkg": "give --as zone",
    "barbellino_s2_2017_2019/S2A2A_20170703_022_Barbellino_BOA_10.tif": "give --baseline",
    "brandenburg_s2_jp2_20170216": "give --baseline",
    "brandenburg_s2_jp2_20170216/IMG_DATA/T33UUU_20170216T102101_B04.jp2": "add its folder",
    "chiapas_landsat7_1999_2002/LE70220491999322EDC01_stack.gtif": ASK_SCALE,
    "chiapas_landsat7_1999_2002/training_data.gtif": ONE_BAND,
    "newyork_l8_offset_grids": "20180405, 20180710",
    "northdakota_naip_2009_2020/m_4709963_se_14_1_20090818_crop.tif": ASK_SENSOR,
    "pilbara_s2_fire_2018_2019/pilbara_S2L2A_20181201.tif": "give --baseline .* or --scale",
    "pucallpa_landsat_1985_2020/pucallpa_1985.tif": ASK_SENSOR,
    "raleigh_landsat7_2000/raleigh_LE07_2000.tif": "give --date",
    "sinop_modis_ndvi/TERRA_MODIS_012010_NDVI_2013-09-14.jp2": ONE_BAND,
    "slovenia_s2_2015/slovenia_NDVI_cloudfree_2015_2017.tif": ASK_SENSOR,
    "slovenia_s2_2015/slovenia_S2L1C_20150711.tif": "give --baseline",
    "sundarbans_s2_2020/sundarbans_S2L2A_20200127.tif": "give --baseline .* or --scale",
    "vaud_corine_2006_2012/ls100_06.tif": ONE_BAND,
}
_65535 = {"scale": 1 / 65535}
# File, what the user must say, and the record: sensor, date, quantity, mask source, clear share at least.
TAKEN = [
    (
        "barbellino_s2_2017_2019/S2A2A_20190723_022_Barbellino_BOA_10.tif",
        {"baseline": "02.08", "mask": "barbellino_s2_2017_2019/S2A2A_20190723_022_Barbellino_SCL_10.tif"},
        ("sentinel2_l2a", "2019-07-23", "reflectance", "SCL", 1.0),
    ),
    (
        "barbellino_s2_2017_2019/S2A1C_20190723_022_Barbellino_TOA_10.tif",
        {"baseline": "02.08"},
        ("sentinel2_l1c", "2019-07-23", "toa", "screen", 0.99),
    ),
    ("brandenburg_s2_jp2_20170216", {"baseline": "02.04"}, ("sentinel2_l1c", "2017-02-16", "toa", "screen", 0.3)),
    (
        "chiapas_landsat7_1999_2002/LE70220491999322EDC01_stack.gtif",
        {"scale": 1e-4},
        ("landsat7", "1999-11-18", "reflectance", "screen", 0.99),
    ),
    (
        "chiapas_landsat7_1999_2002/LE70220492002106EDC00_stack.gtif",
        {"scale": 1e-4},
        ("landsat7", "2002-04-16", "reflectance", "screen", 0.5),
    ),
    ("landsat_per_band_folders/bale_LT05_20000309", {}, ("landsat5", "2000-03-09", "toa", "BQA", 0.99)),
    ("landsat_per_band_folders/bale_LT05_20101218", {}, ("landsat5", "2010-12-18", "dn", "none", 0.99)),
    ("landsat_per_band_folders/marburg_LC08_20130707", {}, ("landsat8", "2013-07-07", "toa", "BQA", 0.99)),
    ("landsat_per_band_folders/marburg_LE07_20010730", {}, ("landsat7", "2001-07-30", "toa", "BQA", 0.99)),
    ("newyork_l8_offset_grids/20180405", {}, ("landsat8", "2018-04-05", "dn", "BQA", 0.8)),
    ("newyork_l8_offset_grids/20180710", {}, ("landsat8", "2018-07-10", "dn", "BQA", 0.95)),
    (
        "northdakota_naip_2009_2020/m_4709963_se_14_1_20090818_crop.tif",
        {"sensor": "generic", "level": "DN"},
        ("generic", "2009-08-18", "dn", "none", 0.9),
    ),
    ("odd/envi_pair/2003TM", {"date": "2003-02-06"}, ("landsat7", "2003-02-06", "dn", "none", 0.99)),
    (
        "odd/float32_reflectance/slovenia_S2L1C_20150830_float32.tif",
        {"scale": 1.0},
        ("sentinel2_l1c", "2015-08-30", "toa", "screen", 0.99),
    ),
    (
        "pilbara_s2_fire_2018_2019/pilbara_S2L2A_20190105.tif",
        _65535,
        ("sentinel2_l2a", "2019-01-05", "reflectance", "screen", 0.9),
    ),
    (
        "pucallpa_landsat_1985_2020/pucallpa_1985.tif",
        {"sensor": "landsat5", "level": "DN", "date": "1985-07-01", "bands": ("swir1", "nir", "red", "green")},
        ("landsat5", "1985-07-01", "dn", "none", 0.9),
    ),
    (
        "raleigh_landsat7_2000/raleigh_LE07_2000.tif",
        {"date": "2000-03-31"},
        ("landsat7", "2000-03-31", "dn", "none", 0.99),
    ),
    (
        "single_scenes/L8_Taylorsville.tif",
        {"scale": 1e-4, "date": "2016-06-01"},
        ("landsat8", "2016-06-01", "reflectance", "screen", 0.7),
    ),
    (
        "single_scenes/S2_Harsha.tif",
        {
            "scale": 1e-4,
            "date": "2016-06-01",
            "bands": ("coastal", "blue", "green", "red", "rededge1", "rededge2", "rededge3", "nir", "-"),
        },
        ("sentinel2_l2a", "2016-06-01", "reflectance", "screen", 0.99),
    ),
    ("single_scenes/olinda_L7_ETMs.tif", {"date": "2000-08-04"}, ("landsat7", "2000-08-04", "dn", "none", 0.99)),
    (
        "single_scenes/texas_hls_10band_224.tif",
        {"scale": 1e-4, "date": "2018-06-01", "bands": (*ROLES, "-", "-", "-", "-")},
        ("generic", "2018-06-01", "reflectance", "screen", 0.99),
    ),
    (
        "single_scenes/trombetas_sen2_RStoolbox.tif",
        {"scale": 1.0, "offset": -0.1, "date": "2022-08-01"},
        ("sentinel2_l2a", "2022-08-01", "reflectance", "screen", 0.99),
    ),
    ("single_scenes/tucurui_LT05_19880814_lsat.tif", {"level": "DN"}, ("landsat5", "1988-08-14", "dn", "none", 0.99)),
    (
        "slovenia_s2_2015/slovenia_S2L1C_20150731_cloudy.tif",
        {"baseline": "02.04"},
        ("sentinel2_l1c", "2015-07-31", "toa", "screen", 0.0),
    ),
    (
        "slovenia_s2_2015/slovenia_S2L1C_20150830.tif",
        {"baseline": "02.04"},
        ("sentinel2_l1c", "2015-08-30", "toa", "screen", 0.99),
    ),
    (
        "sundarbans_s2_2020/sundarbans_S2L2A_20200127.tif",
        _65535,
        ("sentinel2_l2a", "2020-01-27", "reflectance", "screen", 0.9),
    ),
    ("taizhou_landsat7_2000_2003/taizhou_LE07_20000317.tif", {}, ("landsat7", "2000-03-17", "dn", "none", 1.0)),
    ("taizhou_landsat7_2000_2003/taizhou_LE07_20030206.tif", {}, ("landsat7", "2003-02-06", "dn", "none", 1.0)),
]
NOT_IMAGERY = {".hdr", ".txt", ".csv"}


def test_every_odd_file_and_single_scene_has_its_outcome(test_data):
    found = {
        str(path.relative_to(test_data))
        for folder in ("odd", "single_scenes")
        for path in (test_data / folder).rglob("*")
        if path.is_file() and path.suffix.lower() not in NOT_IMAGERY
    }
    named = {name for name in REFUSED if name.startswith(("odd/", "single_scenes/"))}
    assert found == named and len(found) > 35


@pytest.mark.parametrize("name", REFUSED)
def test_files_that_are_refused_as_they_come(test_data, space, name):
    with pytest.raises(LandUseError, match=REFUSED[name]):
        add(space, test_data / name, Options(), ONE_THREAD)
    assert not any(any((space.root / folder).iterdir()) for folder in ("scenes", "zones", "labels", "cache"))


@pytest.mark.parametrize(
    ("name", "given", "expected"), TAKEN, ids=[Path(row[0]).name + str(index) for index, row in enumerate(TAKEN)]
)
def test_files_that_are_taken_with_what_the_user_says(test_data, space, name, given, expected):
    words = given | ({"mask": test_data / given["mask"]} if "mask" in given else {})
    (added,) = add(space, test_data / name, Options(Given(**words)), ONE_THREAD)
    record = open_scene(space.root / added).record
    assert (record.sensor, record.date, record.quantity, record.mask_source) == expected[:4]
    assert expected[4] <= record.clear_share <= 1
    assert ("DN_ONLY" in record.caveats) == (record.quantity == "dn")
    assert ("CLOUD_SCREEN" in record.caveats) == (record.mask_source == "screen")
