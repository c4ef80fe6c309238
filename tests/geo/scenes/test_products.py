"""What lies on disk is recognised, and what cannot be known is asked for by the name of its flag."""

import json
import tarfile
import zipfile
from pathlib import Path
from xml.sax.saxutils import escape

import numpy as np
import pytest
import rasterio
from affine import Affine

from src.errors import GridError, InputError, MissingPathError, SensorError
from src.geo.scenes.landsat import read_mtl
from src.geo.scenes.products import Given, Product, find_product
from src.geo.scenes.sentinel2 import band_offset
from src.geo.sensors.landsat import toa_gains

ROLES = ("blue", "green", "red", "nir", "swir1", "swir2")
UTM48 = "EPSG:32648"


def write(
    path: Path, data: np.ndarray, names: tuple[str, ...] = (), tags: dict[str, str] | None = None, **more
) -> Path:
    """A GeoTIFF of (B, h, w) at 30 m, or as ``more`` says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    count, height, width = data.shape
    profile = {"driver": "GTiff", "count": count, "height": height, "width": width, "dtype": data.dtype.name}
    profile |= {"crs": UTM48, "transform": Affine(30, 0, 500_000, 0, -30, 3_400_000)} | more
    with rasterio.open(path, "w", **profile) as sink:
        sink.write(data)
        if names:
            sink.descriptions = names
        sink.update_tags(**(tags or {}))
    return path


def one(value: int, dtype: str = "uint16", side: int = 3) -> np.ndarray:
    return np.full((1, side, side), value, dtype)


def stack(count: int = 6, dtype: str = "uint16") -> np.ndarray:
    return (
        (np.arange(count * 9).reshape(count, 3, 3) + 5000).astype(dtype)
        if dtype != "uint8"
        else np.full((count, 3, 3), 9, dtype)
    )


def find(path: Path, tmp_path: Path, **given) -> Product:
    scratch = tmp_path / "scratch"
    scratch.mkdir(exist_ok=True)
    return find_product(path, Given(**given), scratch)


def refused(path: Path, tmp_path: Path, match: str, error: type[Exception] = InputError, **given) -> None:
    with pytest.raises(error, match=match):
        find(path, tmp_path, **given)


# --- Landsat ---

L8_ID = "LC08_L2SP_140041_20130503_20190828_02_T1"
L8_MTL = {
    "PRODUCT_CONTENTS": {"PROCESSING_LEVEL": "L2SP", "COLLECTION_NUMBER": "02"},
    "IMAGE_ATTRIBUTES": {
        "SPACECRAFT_ID": "LANDSAT_8",
        "DATE_ACQUIRED": "2013-05-03",
        "CLOUD_COVER": "12.5",
        "SUN_ELEVATION": "45.0",
    },
    "LEVEL2_SURFACE_REFLECTANCE_PARAMETERS": {f"REFLECTANCE_MULT_BAND_{i}": "2.75e-05" for i in range(1, 8)}
    | {f"REFLECTANCE_ADD_BAND_{i}": "-0.2" for i in range(1, 8)},
    "LEVEL1_RADIOMETRIC_RESCALING": {f"REFLECTANCE_MULT_BAND_{i}": "2.0E-05" for i in range(1, 8)}
    | {f"REFLECTANCE_ADD_BAND_{i}": "-0.1" for i in range(1, 8)},
}


def mtl_text(groups: dict[str, dict[str, str]]) -> str:
    lines = ["GROUP = LANDSAT_METADATA_FILE"]
    for name, values in groups.items():
        lines += [
            f"  GROUP = {name}",
            *(f'    {key} = "{value}"' for key, value in values.items()),
            f"  END_GROUP = {name}",
        ]
    return "\n".join([*lines, "END_GROUP = LANDSAT_METADATA_FILE", "END"])


def landsat(
    folder: Path, name: str = L8_ID, groups: dict[str, dict[str, str]] | None = L8_MTL, prefix: str = "SR_"
) -> Path:
    for number in (2, 3, 4, 5, 6, 7) if name[3] in "89" else (1, 2, 3, 4, 5, 7):
        write(folder / f"{name}_{prefix}B{number}.TIF", one(18639))
    write(folder / f"{name}_QA_PIXEL.TIF", one(21824))
    if groups:
        (folder / f"{name}_MTL.txt").write_text(mtl_text(groups))
    return folder


def test_landsat_level_2_folder(tmp_path):
    product = find(landsat(tmp_path / L8_ID), tmp_path)
    assert (product.sensor, product.level, product.quantity) == ("landsat8", "L2SP", "reflectance")
    # The first date is the acquisition, the second the processing.
    assert (product.date, product.cloud_percent, product.fill) == ("2013-05-03", 12.5, 0)
    assert [(band.role, band.path.name[-6:-4]) for band in product.bands] == list(
        zip(ROLES, ("B2", "B3", "B4", "B5", "B6", "B7"), strict=True)
    )
    assert 18639 * product.bands[0].scale + product.bands[0].offset == pytest.approx(0.3125725, abs=1e-9)
    assert product.quality is not None and product.quality.kind == "QA_PIXEL"


@pytest.mark.parametrize(
    ("name", "sensor"), [("LT05", "landsat5"), ("LE07", "landsat7"), ("LC08", "landsat8"), ("LC09", "landsat9")]
)
def test_landsat_without_mtl_goes_by_its_name(tmp_path, name, sensor):
    product = find(landsat(tmp_path / "scene", f"{name}_L2SP_140041_20130503_20190828_02_T1", None), tmp_path)
    assert (product.sensor, product.date, product.level, len(product.bands)) == (sensor, "2013-05-03", "L2SP", 6)
    assert product.bands[0].scale == 0.0000275 and product.bands[0].offset == -0.2


def test_null_gains_of_level_2_fall_back_to_the_documented_scale(tmp_path):
    groups = L8_MTL | {
        "LEVEL2_SURFACE_REFLECTANCE_PARAMETERS": {"REFLECTANCE_MULT_BAND_2": "NULL", "REFLECTANCE_ADD_BAND_2": "NULL"}
    }
    band = find(landsat(tmp_path / "scene", groups=groups), tmp_path).bands[0]
    assert (band.scale, band.offset) == (0.0000275, -0.2)


def test_landsat_level_1_gains():
    scale, offset = toa_gains(2e-5, -0.1, 45.0)
    assert 10000 * scale + offset == pytest.approx(0.141421, abs=1e-6)
    with pytest.raises(SensorError, match="above the horizon"):
        toa_gains(2e-5, -0.1, -3.0)


def test_landsat_level_1_folder_uses_the_level_1_gains(tmp_path):
    name = "LC08_L1TP_140041_20130503_20200912_02_T1"
    groups = L8_MTL | {"PRODUCT_CONTENTS": {"PROCESSING_LEVEL": "L1TP"}}
    product = find(landsat(tmp_path / name, name, groups, prefix=""), tmp_path)
    assert (product.level, product.quantity) == ("L1TP", "toa")
    assert 10000 * product.bands[3].scale + product.bands[3].offset == pytest.approx(0.141421, abs=1e-6)


def test_level_1_without_gains_stays_digital_numbers(tmp_path):
    name = "LC08_L1TP_140041_20130503_20200912_02_T1"
    product = find(landsat(tmp_path / name, name, None, prefix=""), tmp_path)
    assert product.quantity == "dn" and "no MTL file" in product.notes[0]


def test_mtl_forms_agree(tmp_path):
    text, xml, js = tmp_path / "a_MTL.txt", tmp_path / "a_MTL.xml", tmp_path / "a_MTL.json"
    text.write_bytes(mtl_text(L8_MTL).encode() + b"\n" + bytes(500))
    groups = "".join(
        f"<{g}>{''.join(f'<{k}>{escape(v)}</{k}>' for k, v in values.items())}</{g}>" for g, values in L8_MTL.items()
    )
    xml.write_text(f"<LANDSAT_METADATA_FILE>{groups}</LANDSAT_METADATA_FILE>")
    js.write_text(json.dumps({"LANDSAT_METADATA_FILE": L8_MTL}))
    assert read_mtl(text) == read_mtl(xml) == read_mtl(js) == L8_MTL


@pytest.mark.parametrize(
    ("suffix", "content", "match"),
    [
        ("json", "{", "cannot be read as an MTL file"),
        ("xml", "<a", "cannot be read as an MTL file"),
        ("xml", '<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>', "no document type"),
    ],
)
def test_broken_and_hostile_mtl_files_are_refused(tmp_path, suffix, content, match):
    path = tmp_path / f"a_MTL.{suffix}"
    path.write_text(content)
    with pytest.raises(InputError, match=match):
        read_mtl(path)


def test_a_landsat_tar_is_unpacked_beside_nothing(tmp_path):
    folder = landsat(tmp_path / "in")
    path = tmp_path / f"{L8_ID}.tar"
    with tarfile.open(path, "w") as archive:
        for file in sorted(folder.iterdir()):
            archive.add(file, file.name)
    product = find(path, tmp_path)
    assert product.date == "2013-05-03" and product.originals == (path,)


def test_several_scenes_in_a_folder_are_refused(tmp_path):
    landsat(tmp_path / "both")
    landsat(tmp_path / "both", "LC08_L2SP_140041_20140503_20190828_02_T1")
    refused(tmp_path / "both", tmp_path, "bands of 2 scenes")


def test_what_the_user_says_must_not_contradict_the_product(tmp_path):
    folder = landsat(tmp_path / "scene")
    refused(folder, tmp_path, "says date 2013-05-03, but --date 2019-08-28", date="2019-08-28")
    refused(folder, tmp_path, "says sensor landsat8", sensor="landsat9")


def test_an_unsupported_spacecraft_is_refused_by_name(tmp_path):
    refused(
        landsat(tmp_path / "a", "LT04_L2SP_140041_19890503_20190828_02_T1", None), tmp_path, "landsat4 is not among"
    )


def test_a_bqa_file_older_than_collection_1_is_refused_by_name(tmp_path):
    folder = tmp_path / "old"
    for number in range(2, 8):
        write(folder / f"LC81400412013123LGN00_B{number}.TIF", one(9000))
    write(folder / "LC81400412013123LGN00_BQA.TIF", one(20480))
    refused(folder, tmp_path, "older than Collection 1", level="L1T")


def test_collection_1_folders(test_data, tmp_path):
    folders = test_data / "landsat_per_band_folders"
    product = find(folders / "marburg_LC08_20130707", tmp_path)
    assert (product.sensor, product.level, product.quantity, product.cloud_percent) == ("landsat8", "L1TP", "toa", 6.03)
    assert product.quality is not None and product.quality.kind == "BQA"
    # MTL: 2.0000E-05, -0.100000, sun 58.99675180 degrees, sine 0.857138.
    assert product.bands[0].scale == pytest.approx(2e-5 / 0.857138, rel=1e-6)
    tm = find(folders / "bale_LT05_20000309", tmp_path)
    assert (tm.sensor, tm.date, tm.saturated) == ("landsat5", "2000-03-09", 255)


def test_the_nul_padded_mtl_of_2010_is_read(test_data, tmp_path):
    """Its gains are radiance only, so the numbers stay uncalibrated."""
    product = find(test_data / "landsat_per_band_folders" / "bale_LT05_20101218", tmp_path)
    assert (product.sensor, product.date, product.quantity, product.cloud_percent) == (
        "landsat5",
        "2010-12-18",
        "dn",
        0.0,
    )
    assert "no reflectance gains" in product.notes[0]


def test_a_folder_of_scene_folders_names_them(test_data, tmp_path):
    refused(test_data / "newyork_l8_offset_grids", tmp_path, "20180405, 20180710")


# --- Sentinel-2 ---

S2_BANDS = ("B02", "B03", "B04", "B08", "B11", "B12")
S2_ID = "S2A_MSIL2A_20240925T032131_N0511_R118_T48RVV_20240925T070000.SAFE"


def s2_metadata(level: str, baseline: str, offsets: dict[int, int] | None, start: str = "2024-09-25") -> str:
    tag = {"2A": "BOA_ADD_OFFSET", "1C": "RADIO_ADD_OFFSET"}[level]
    quantification = {"2A": "BOA_QUANTIFICATION_VALUE", "1C": "QUANTIFICATION_VALUE"}[level]
    rows = "".join(f'<{tag} band_id="{band}">{offset}</{tag}>' for band, offset in (offsets or {}).items())
    return (
        f"<p><PRODUCT_START_TIME>{start}T03:21:31.024Z</PRODUCT_START_TIME>"
        f"<PROCESSING_LEVEL>Level-{level}</PROCESSING_LEVEL>"
        f"<PROCESSING_BASELINE>{baseline}</PROCESSING_BASELINE><{quantification}>10000</{quantification}>{rows}"
        "<Cloud_Coverage_Assessment>3.25</Cloud_Coverage_Assessment></p>"
    )


def safe_l2a(root: Path, name: str = S2_ID, baseline: str = "05.11", offsets: dict[int, int] | None = None) -> Path:
    """A SAFE of today's layout; bands are GeoTIFF, which readers tell from the content."""
    image = root / name / "GRANULE" / "L2A_T48RVV_A048345_20240925T032131" / "IMG_DATA"
    for band in S2_BANDS:
        for metres in (20,) if band in ("B11", "B12") else (10, 20):
            place = Affine(metres, 0, 500_000, 0, -metres, 3_400_000)
            write(
                image / f"R{metres}m" / f"T48RVV_20240925T032131_{band}_{metres}m.tif",
                one(1500, side=60 // metres),
                transform=place,
            )
    write(
        image / "R20m" / "T48RVV_20240925T032131_SCL_20m.tif",
        one(4, "uint8"),
        transform=Affine(20, 0, 500_000, 0, -20, 3_400_000),
    )
    (root / name / "MTD_MSIL2A.xml").write_text(s2_metadata("2A", baseline, offsets))
    return root / name


def test_sentinel2_level_2a_safe(tmp_path):
    product = find(safe_l2a(tmp_path, offsets=dict.fromkeys(range(13), -1000)), tmp_path)
    assert (product.sensor, product.level, product.quantity) == ("sentinel2_l2a", "L2A", "reflectance")
    assert (product.date, product.baseline, product.cloud_percent) == ("2024-09-25", "05.11", 3.25)
    assert [band.role for band in product.bands] == list(ROLES)
    # The finest file of each band.
    assert [band.path.parent.name for band in product.bands] == ["R10m"] * 4 + ["R20m"] * 2
    assert 1500 * product.bands[0].scale + product.bands[0].offset == pytest.approx(0.05)
    assert product.quality is not None and product.quality.path.name.endswith("SCL_20m.tif")


@pytest.mark.parametrize(
    ("baseline", "reflectance"), [("05.09", 0.05), ("04.00", 0.05), ("02.14", 0.15), ("03.01", 0.15)]
)
def test_the_baseline_decides_the_offset_where_the_metadata_has_none(tmp_path, baseline, reflectance):
    """The scene is of 2024; a baseline before 04.00 has no offset whatever the date."""
    band = find(safe_l2a(tmp_path, baseline=baseline), tmp_path).bands[0]
    assert 1500 * band.scale + band.offset == pytest.approx(reflectance)
    assert band_offset(baseline) == (1000 if reflectance == 0.05 else 0)


def test_offsets_go_by_band_id(tmp_path):
    # band_id 11 is B11 and 12 is B12, because B8A and B10 count.
    offsets = {index: -1000 for index in range(13)} | {11: -500}
    bands = {band.role: band for band in find(safe_l2a(tmp_path, offsets=offsets), tmp_path).bands}
    assert bands["swir1"].offset == pytest.approx(-0.05) and bands["swir2"].offset == pytest.approx(-0.1)


def test_a_zipped_safe(tmp_path):
    safe = safe_l2a(tmp_path / "in")
    path = tmp_path / f"{S2_ID}.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(file for file in safe.rglob("*") if file.is_file()):
            archive.write(file, file.relative_to(safe.parent))
    product = find(path, tmp_path)
    assert (product.baseline, product.originals, len(product.bands)) == ("05.11", (path,), 6)


def test_the_metadata_file_stands_for_its_folder(tmp_path):
    assert find(safe_l2a(tmp_path) / "MTD_MSIL2A.xml", tmp_path).baseline == "05.11"


def old_l1c(root: Path, granules: tuple[str, ...] = ("T32TQM",)) -> Path:
    """The layout before December 2016: long names, one or more granules."""
    safe = root / "S2A_OPER_PRD_MSIL1C_PDMC_20160102T100000_R022_V20151231T101000_20151231T101000.SAFE"
    for tile in granules:
        name = f"S2A_OPER_MSI_L1C_TL_EPA__20160102T090000_A002740_{tile}"
        for band in (*S2_BANDS, "B10"):
            write(safe / "GRANULE" / f"{name}_N02.01" / "IMG_DATA" / f"{name}_{band}.tif", one(1500))
    (safe / "S2A_OPER_MTD_SAFL1C_PDMC_20160102T100000.xml").write_text(s2_metadata("1C", "02.01", None, "2015-12-31"))
    return safe


def test_the_old_safe_layout(tmp_path):
    product = find(old_l1c(tmp_path), tmp_path)
    assert (product.sensor, product.quantity, product.date, product.baseline) == (
        "sentinel2_l1c",
        "toa",
        "2015-12-31",
        "02.01",
    )
    assert len(product.bands) == 6 and product.quality is None


def test_several_granules_are_refused_and_one_can_be_added(tmp_path):
    safe = old_l1c(tmp_path, ("T32TQM", "T32TQN"))
    refused(safe, tmp_path, "bands of 2 granules")
    granule = sorted((safe / "GRANULE").iterdir())[1]
    assert find(granule, tmp_path).date == "2015-12-31"


def test_loose_bands_of_a_granule(test_data, tmp_path):
    folder = test_data / "brandenburg_s2_jp2_20170216" / "IMG_DATA"
    refused(folder, tmp_path, "give --baseline")
    product = find(folder, tmp_path, baseline="02.04")
    assert (product.sensor, product.level, product.date) == ("sentinel2_l1c", "L1C", "2017-02-16")
    assert [band.path.stem[-3:] for band in product.bands] == list(S2_BANDS)
    refused(folder / "T33UUU_20170216T102101_B04.jp2", tmp_path, "is one band of a scene; add its folder")


def test_b8a_stands_in_for_a_missing_b08(tmp_path):
    for band in ("B02", "B03", "B04", "B8A", "B11", "B12"):
        write(tmp_path / "s" / f"T48RVV_20240925T032131_{band}_20m.tif", one(1500))
    product = find(tmp_path / "s", tmp_path, baseline="05.11")
    assert product.level == "L2A" and product.bands[3].path.stem.endswith("B8A_20m") and "B8A" in product.notes[0]


def test_hostile_sentinel2_metadata_is_refused(tmp_path):
    safe = safe_l2a(tmp_path)
    (safe / "MTD_MSIL2A.xml").write_text('<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>')
    refused(safe, tmp_path, "no document type")


# --- HLS ---


@pytest.mark.parametrize(("kind", "nir"), [("L30", "B05"), ("S30", "B8A")])
def test_hls_folders(tmp_path, kind, nir):
    name = f"HLS.{kind}.T48RVV.2024269T032131.v2.0"
    swir = ("B06", "B07") if kind == "L30" else ("B11", "B12")
    for band in ("B02", "B03", "B04", nir, *swir):
        write(tmp_path / "hls" / f"{name}.{band}.tif", one(1500, "int16"), nodata=-9999)
    write(tmp_path / "hls" / f"{name}.Fmask.tif", one(64, "uint8"))
    product = find(tmp_path / "hls", tmp_path)
    # Day 269 of 2024 is 25 September.
    assert (product.sensor, product.date, product.quantity) == (f"hls_{kind.lower()}", "2024-09-25", "reflectance")
    assert product.bands[3].path.name.endswith(f"{nir}.tif") and 1500 * product.bands[3].scale == pytest.approx(0.15)
    assert product.quality is not None and product.quality.kind == "Fmask"


# --- stacks ---


def s2_stack(path: Path, **tags: str) -> Path:
    return write(path, stack(), S2_BANDS, {"SENSOR": "sentinel2_l2a", **tags})


def test_a_stack_with_tags_of_ours_needs_no_word(tmp_path):
    path = s2_stack(tmp_path / "a.tif", ACQUISITION_DATE="2024-09-25", PROCESSING_BASELINE="05.00")
    product = find(path, tmp_path)
    assert (product.level, product.date, product.baseline, product.bands[0].offset) == (
        "L2A",
        "2024-09-25",
        "05.00",
        -0.1,
    )


@pytest.mark.parametrize(
    ("tags", "given", "flag"),
    [
        ({"PROCESSING_BASELINE": "05.00"}, {}, "--date"),
        ({"ACQUISITION_DATE": "2024-09-25"}, {"level": "L2A"}, "--baseline"),
        ({"ACQUISITION_DATE": "2024-09-25"}, {"baseline": "05.00"}, "--level"),
    ],
)
def test_what_a_stack_does_not_say_is_asked_for(tmp_path, tags, given, flag):
    refused(s2_stack(tmp_path / "a.tif", **tags), tmp_path, f"give {flag}", **given)


def test_an_unknown_stack_asks_for_sensor_or_bands_then_scale_then_date(tmp_path):
    path = write(tmp_path / "a.tif", stack())
    refused(path, tmp_path, "give --sensor")
    refused(path, tmp_path, "give --scale", bands=ROLES)
    refused(path, tmp_path, "give --date", bands=ROLES, scale=1e-4)
    product = find(path, tmp_path, bands=ROLES, scale=1e-4, offset=-0.1, date="2024-09-25")
    assert (product.sensor, product.level, product.quantity) == ("generic", "unknown", "reflectance")
    assert product.bands[5].index == 5 and product.bands[5].offset == -0.1


def test_the_band_map_can_leave_bands_out(tmp_path):
    path = write(tmp_path / "a.tif", stack(5))
    product = find(path, tmp_path, bands=("nir", "-", "red", "green", "thermal"), scale=1e-4, date="2024-09-25")
    assert [(band.role, band.index) for band in product.bands] == [("green", 3), ("red", 2), ("nir", 0)]


@pytest.mark.parametrize(
    ("bands", "match"),
    [
        (ROLES, "has 5 bands, --bands names 6"),
        (("red", "red", "nir", "blue", "green"), "unknown or repeated"),
        (("red", "infra", "nir", "blue", "green"), "unknown or repeated"),
        (("red", "-", "-", "thermal", "green"), "at least 3 of the bands"),
    ],
)
def test_band_maps_that_do_not_fit_are_refused(tmp_path, bands, match):
    refused(write(tmp_path / "a.tif", stack(5)), tmp_path, match, bands=bands, scale=1e-4, date="2024-09-25")


def test_scale_and_uncalibrated_exclude_each_other(tmp_path):
    path = write(tmp_path / "a.tif", stack())
    refused(path, tmp_path, "exclude each other", bands=ROLES, scale=1e-4, level="DN", date="2024-09-25")
    assert find(path, tmp_path, bands=ROLES, level="DN", date="2024-09-25").quantity == "dn"


def test_eight_bits_of_tm_are_digital_numbers(test_data, tmp_path):
    product = find(test_data / "taizhou_landsat7_2000_2003" / "taizhou_LE07_20000317.tif", tmp_path)
    assert (product.sensor, product.level, product.quantity, product.date) == ("landsat7", "L1", "dn", "2000-03-17")
    assert [band.index for band in product.bands] == [0, 1, 2, 3, 4, 5]


def test_a_landsat_stack_of_sixteen_bits_needs_its_level(tmp_path):
    path = write(tmp_path / "LC08_20240925_stack.tif", stack())
    refused(path, tmp_path, "give --level")
    refused(path, tmp_path, "gains of their MTL file", level="L1TP")
    assert find(path, tmp_path, level="L2SP").bands[0].offset == -0.2


@pytest.mark.parametrize("count", [3, 4])
def test_colour_pictures_are_refused(tmp_path, count):
    colours = {"photometric": "RGB"} | ({"alpha": "yes"} if count == 4 else {})
    refused(write(tmp_path / "shot_20240925.tif", stack(count, "uint8"), **colours), tmp_path, "8-bit colour picture")


def test_one_band_is_no_scene(tmp_path):
    refused(write(tmp_path / "a.tif", one(5)), tmp_path, "holds 1 band, a scene needs at least 3")


@pytest.mark.parametrize(
    ("place", "match"),
    [
        ({"crs": None}, "no CRS"),
        ({"transform": Affine.identity()}, "no CRS or no position"),
        ({"transform": Affine(20, 5, 500_000, 5, -20, 3_400_000)}, "rotated"),
        ({"crs": "EPSG:4326"}, "lie nowhere on earth"),
        ({"transform": Affine(0.0001, 0, 106, 0, -0.0001, 30)}, "a pixel of 0.0001 m"),
        ({"crs": "EPSG:4326", "transform": Affine(30, 0, 0, 0, -30, 60)}, "nowhere on earth|a pixel of"),
    ],
    ids=["no CRS", "no position", "rotated", "wrong CRS", "degrees as metres", "metres as degrees"],
)
@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_grids_that_cannot_be_measured_on_are_refused(tmp_path, place, match):
    refused(
        write(tmp_path / "a.tif", stack(), **place),
        tmp_path,
        match,
        GridError,
        bands=ROLES,
        scale=1e-4,
        date="2024-09-25",
    )


@pytest.mark.parametrize(
    ("given", "match"),
    [
        ({"date": "2024-9-25"}, "--date"),
        ({"sensor": "spot"}, "--sensor spot"),
        ({"offset": -0.1}, "--offset needs --scale"),
        ({"scale": 0.0}, "--scale"),
        ({"mask_kind": "cloud"}, "--mask-kind"),
    ],
)
def test_bad_words_of_the_user_are_refused(given, match):
    with pytest.raises(InputError, match=match):
        Given(**given)
    with pytest.raises(SensorError):
        Given(baseline="5.9")


def test_the_kind_of_a_mask_comes_from_its_name_or_is_asked_for(tmp_path):
    path = s2_stack(tmp_path / "a.tif", ACQUISITION_DATE="2024-09-25", PROCESSING_BASELINE="05.00")
    scl = write(tmp_path / "a_SCL_10.tif", one(4, "uint8"))
    own = write(tmp_path / "mine.tif", one(1, "uint8"))
    assert find(path, tmp_path, mask=scl).quality.kind == "SCL"
    refused(path, tmp_path, "give --mask-kind", mask=own)
    assert find(path, tmp_path, mask=own, mask_kind="hidden").quality.kind == "hidden"
    refused(path, tmp_path, "whole numbers", mask=write(tmp_path / "f.tif", one(1, "float32")), mask_kind="clear")


def test_nothing_there_and_nothing_in_it(tmp_path):
    refused(tmp_path / "none", tmp_path, "no such file", MissingPathError)
    (tmp_path / "empty").mkdir()
    refused(tmp_path / "empty", tmp_path, "holds no bands")
    with zipfile.ZipFile(tmp_path / "e.zip", "w") as archive:
        archive.writestr("readme.txt", "x")
    refused(tmp_path / "e.zip", tmp_path, "holds 0 images")
