import numpy as np
import pandas as pd
import pytest

from src.constants import LAND_CLASSES
from src.errors import LegendError
from src.geo.legend import CROSSWALKS, to_canonical
from src.geo.raster import read_raster
from src.geo.vector import read_vector

CROP, GARDEN, FOREST, GRASS, WATER, BUILT, UNUSED = range(1, 8)

# Every code of each scheme, with its class, written out by hand from the schemes' own documents.
EXPECTED: dict[str, dict[int, list[int | str]]] = {
    "canonical": {0: [0], **{code: [code, name] for code, name in LAND_CLASSES.items()}},
    "worldcover": {CROP: [40], FOREST: [10, 20, 95], GRASS: [30], WATER: [70, 80, 90], BUILT: [50], UNUSED: [60, 100]},
    "dynamic_world": {CROP: [4], FOREST: [1, 5], GRASS: [2], WATER: [0, 3, 8], BUILT: [6], UNUSED: [7]},
    "clcd": {0: [0], CROP: [1], FOREST: [2, 3], GRASS: [4], WATER: [5, 6, 9], BUILT: [8], UNUSED: [7]},
    "from_glc10": {CROP: [10], FOREST: [20, 40], GRASS: [30], WATER: [50, 60, 100], BUILT: [80], UNUSED: [70, 90]},
    "esri": {0: [0, 10], CROP: [5], FOREST: [2], GRASS: [11], WATER: [1, 4, 9], BUILT: [7], UNUSED: [8]},
    "sandiao": {
        CROP: ["01", "0101", "0102", "0103", "1006", "1202", "1203"],
        GARDEN: ["02", "0201", "0202", "0203", "0204", "0201K", "0202K", "0203K", "0204K"],
        FOREST: ["03", "0301", "0302", "0303", "0304", "0305", "0306", "0307", "0301K", "0302K", "0305K", "0307K"],
        GRASS: ["04", "0401", "0402", "0403", "0404", "0403K"],
        WATER: ["00", "11", *(f"110{i}" for i in range(1, 9)), "1110", "1104A", "1104K", "1107K"],
        BUILT: [
            *["05", "05H1", "0508", "06", "0601", "0602", "0603", "07", "0701", "0702", "08", "08H1", "08H2", "08H2A"],
            *["0809", "0810", "0810A", "09", "10", "1001", "1002", "1003", "1004", "1005", "1007", "1008", "1009"],
            *["1109", "1107A", "1201", "201", "202", "203", "204", "205", "201A", "202A", "203A"],
        ],
        UNUSED: ["12", "1204", "1205", "1206", "1207", "1208"],
    },
    "corine": {
        0: [48, 255],
        BUILT: [*range(1, 12), 111, 112, 121, 122, 123, 124, 131, 132, 133, 141, 142],
        CROP: [12, 13, 14, 19, 20, 21, 22, 211, 212, 213, 241, 242, 243, 244],
        GARDEN: [15, 16, 17, 221, 222, 223],
        GRASS: [18, 26, 231, 321],
        FOREST: [23, 24, 25, 27, 28, 29, 311, 312, 313, 322, 323, 324],
        UNUSED: [30, 31, 32, 33, 331, 332, 333, 334],
        WATER: [*range(34, 45), 335, 411, 412, 421, 422, 423, 511, 512, 521, 522, 523],
    },
    "raleigh": {
        0: [0],
        BUILT: [1, "developed"],
        CROP: [2, "agriculture"],
        GRASS: [3, "herbaceous"],
        FOREST: [4, 5, "shrubland", "forest"],
        WATER: [6, "water"],
        UNUSED: [7, "sediment"],
    },
    "slovenia": {
        0: [0, ""],
        CROP: [1, "cultivated land"],
        FOREST: [2, 4, "forest", "schrubland"],
        GRASS: [3, "grassland"],
        WATER: [5, 6, 10],
        UNUSED: [7, 9],
        BUILT: [8, "artificial surface"],
    },
    "chiapas": {
        0: [0],
        FOREST: [1, "forest"],
        WATER: [2, "water"],
        GRASS: [3, "herbaceous"],
        UNUSED: [4, "barren"],
        BUILT: [5, "urban"],
    },
}
CASES = [(scheme, code, target) for scheme, codes in EXPECTED.items() for target, row in codes.items() for code in row]


def test_every_crosswalk_is_covered():
    assert set(EXPECTED) == set(CROSSWALKS)
    assert len(CASES) == 290
    assert all(set(crosswalk.values()) <= set(range(8)) for crosswalk in CROSSWALKS.values())


@pytest.mark.parametrize(("scheme", "code", "target"), CASES)
def test_code(scheme, code, target):
    assert to_canonical(np.array([code]), scheme).tolist() == [target]


def test_a_raster_keeps_its_shape():
    codes = np.array([[40, 40, 50], [80, 10, 30], [60, 0, 20]], dtype=np.uint8)
    result = to_canonical(codes, "worldcover")
    assert result.dtype == np.uint8
    assert result.tolist() == [[1, 1, 6], [5, 3, 4], [7, 0, 3]]


@pytest.mark.parametrize("dtype", [np.int8, np.uint16, np.int32, np.int64, np.float32, np.float64])
def test_any_number_type(dtype):
    """int8 codes span more than an int8 can count: differences are taken in a wider type."""
    crosswalk = {-100: 1, 100: 6} if np.issubdtype(dtype, np.signedinteger) else {3: 1, 100: 6}
    codes = np.array([[min(crosswalk), 100]], dtype=dtype)
    assert to_canonical(codes, crosswalk).tolist() == [[1, 6]]


def test_codes_far_apart():
    codes = np.array([[0, 10**9], [10**9, 5]])
    assert to_canonical(codes, {0: 0, 5: 3, 10**9: 7}).tolist() == [[0, 7], [7, 3]]


def test_strings_of_a_database_column():
    column = pd.Series([" 0101", "0301k", "1107A", "0201"]).to_numpy()
    assert to_canonical(column, "sandiao").tolist() == [CROP, FOREST, BUILT, GARDEN]
    assert to_canonical(np.array(["10", "40"]), "worldcover").tolist() == [FOREST, CROP]
    assert to_canonical(np.array([10, 40]), {"10": 3, "40": 1}).tolist() == [FOREST, CROP]


def test_numbers_get_their_leading_zero_back():
    """As a number, orchard 0201 reads 201, which as text is city land: it must stay an orchard."""
    assert to_canonical(np.array([101, 201, 1107, 1]), "sandiao").tolist() == [CROP, GARDEN, WATER, CROP]
    assert to_canonical(np.array([201.0]), "sandiao").tolist() == [GARDEN]
    assert to_canonical(np.array(["201"]), "sandiao").tolist() == [BUILT]


@pytest.mark.parametrize(
    ("codes", "crosswalk", "named"),
    [
        (np.array([[1, 99], [98, 1]], np.uint8), "clcd", "98, 99"),
        (np.array(["0101", "9999"]), "sandiao", "'9999'"),
        (np.array(["0101", None], object), "sandiao", "'None'"),
        (np.array([1.0, np.nan]), "clcd", "nan"),
        (np.array([1.5]), "clcd", "1.5"),
        (np.array([1]), {1: 9}, "{1: 9}"),
        (np.array([1]), "no_such_scheme", "no_such_scheme"),
        # A suffix falls back for DLBM codes only.
        (np.array(["10A"]), "worldcover", "10A"),
    ],
)
def test_unknown_codes_are_named(codes, crosswalk, named):
    with pytest.raises(LegendError, match=named):
        to_canonical(codes, crosswalk)


def test_nothing_in_nothing_out():
    assert to_canonical(np.zeros((0, 3), np.uint8), "clcd").shape == (0, 3)


@pytest.mark.parametrize(
    ("path", "crosswalk"),
    [
        ("raleigh_landsat7_2000/strata.tif", "raleigh"),
        ("raleigh_landsat7_2000/landsat96_labelled_pixels.tif", "raleigh"),
        ("slovenia_s2_2015/slovenia_LULC_reference.tif", "slovenia"),
        ("chiapas_landsat7_1999_2002/training_data.gtif", "chiapas"),
        ("vaud_corine_2006_2012/ls100_06.tif", "corine"),
        ("vaud_corine_2006_2012/ls100_12.tif", "corine"),
    ],
)
def test_real_label_rasters_map_completely(test_data, path, crosswalk):
    raster = read_raster(test_data / path)
    classes = to_canonical(raster.data[0], crosswalk)
    assert ((classes > 0) == raster.valid).all()


@pytest.mark.parametrize(
    ("path", "column", "crosswalk"),
    [
        ("raleigh_landsat7_2000/landsat96_polygons.shp", "label", "raleigh"),
        ("raleigh_landsat7_2000/landsat96_polygons.shp", "id", "raleigh"),
        ("slovenia_s2_2015/slovenia_LULC_parcels.gpkg", "LULC_NAME", "slovenia"),
        ("slovenia_s2_2015/slovenia_LULC_parcels.gpkg", "LULC_ID", "slovenia"),
        ("chiapas_landsat7_1999_2002/training_data.shp", "class", "chiapas"),
    ],
)
def test_real_label_columns_map_completely(test_data, path, column, crosswalk):
    features = read_vector(test_data / path)
    classes = to_canonical(features[column].to_numpy(), crosswalk)
    assert len(classes) == len(features) and classes.max() <= 7
