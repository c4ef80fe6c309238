import numpy as np
import pytest

from src.errors import InputError
from src.geo.cover.indices import INDICES, compute_index

# Reflectance of one pixel, and each index worked out by hand.
BANDS = {"blue": 0.05, "green": 0.10, "red": 0.15, "nir": 0.25, "swir1": 0.30, "swir2": 0.20}
NDVI, MNDWI, NDBI = 0.10 / 0.40, -0.20 / 0.40, 0.05 / 0.55
SAVI = 1.5 * 0.10 / 0.90
BY_HAND = {
    "NDVI": NDVI,
    "NDWI": -0.15 / 0.35,
    "MNDWI": MNDWI,
    "NDBI": NDBI,
    "BSI": (0.45 - 0.30) / (0.45 + 0.30),
    "EVI": 2.5 * 0.10 / (0.25 + 0.90 - 0.375 + 1.0),
    "NBR": 0.05 / 0.45,
    "NDMI": -0.05 / 0.55,
    "UI": -0.05 / 0.45,
    "DBSI": 0.20 / 0.40 - NDVI,
    "IBI": (NDBI - (SAVI + MNDWI) / 2) / (NDBI + (SAVI + MNDWI) / 2),
}


def one(name, bands):
    return compute_index(name, {role: np.array([value], np.float32) for role, value in bands.items()})[0]


@pytest.mark.parametrize("name", list(BY_HAND))
def test_values_by_hand(name):
    assert one(name, BANDS) == pytest.approx(BY_HAND[name], abs=2e-6)


def test_every_index_has_a_case_a_source_and_known_bands():
    assert set(BY_HAND) == set(INDICES) and len(INDICES) == 11
    for index in INDICES.values():
        assert index.source and set(index.roles) <= set(BANDS)


def test_unsigned_integers_do_not_wrap_around():
    """uint16 arithmetic gives 15.884 for these numbers."""
    found = compute_index("NDVI", {"nir": np.array([1000], np.uint16), "red": np.array([3000], np.uint16)})
    assert found.dtype == np.float32 and found[0] == pytest.approx(-0.5)


def test_zero_denominator_and_missing_values_are_nan_without_a_warning(recwarn):
    nir, red = np.array([0.0, 0.00004, np.nan, 0.3]), np.array([0.0, 0.00004, 0.1, 0.1])
    found = compute_index("NDVI", {"nir": nir, "red": red})
    assert np.isnan(found[:3]).all() and found[3] == pytest.approx(0.5)
    assert not recwarn.list


def test_unknown_index_and_missing_band_are_named():
    with pytest.raises(InputError, match="unknown index 'SAVI'"):
        compute_index("SAVI", {})
    with pytest.raises(InputError, match="NBR.*needs the bands swir2"):
        compute_index("NBR", {"nir": np.ones(1)})
