import numpy as np
import pytest

from src.constants import LAND_CLASS_IDS
from src.errors import InputError
from src.geo.cover.indices import compute_index
from src.geo.cover.rules import rule_probability
from src.geo.simulation.spectra import MATERIALS

ROLES = ("blue", "green", "red", "nir", "swir1", "swir2")


def classify(spectrum):
    probability = rule_probability({role: np.array([value]) for role, value in zip(ROLES, spectrum, strict=True)})
    return int(probability[:, 0].argmax()) + 1, probability[:, 0]


@pytest.mark.parametrize(
    ("material", "expected"),
    [
        ("deep_water", "water"),
        ("turbid_water", "water"),
        ("broadleaf", "forest"),
        ("conifer", "forest"),
        ("crop", "cropland"),
        ("concrete", "built"),
        ("roof_grey", "built"),
        ("asphalt", "built"),
        ("sand", "built"),
    ],
)
def test_pure_materials(material, expected):
    """Sand looks like a white roof to every index used; the expectation keeps that limit in view."""
    assert classify(MATERIALS[material])[0] == LAND_CLASS_IDS[expected]


@pytest.mark.parametrize("soil", ["soil_red", "soil_brown", "soil_loess", "soil_black"])
def test_fallow_soil_is_not_called_built_although_its_ndbi_is_positive(soil):
    spectrum = MATERIALS[soil]
    bands = {role: np.array([value]) for role, value in zip(ROLES, spectrum, strict=True)}
    assert compute_index("NDBI", bands)[0] > 0.05
    found, probability = classify(spectrum)
    assert found == LAND_CLASS_IDS["cropland"] and probability[LAND_CLASS_IDS["built"] - 1] < probability.max()


def test_probabilities_sum_to_one_are_never_sure_and_know_no_garden():
    rng = np.random.default_rng(0)
    bands = {role: rng.uniform(0.005, 0.4, (5, 7)).astype(np.float32) for role in ROLES}
    found = rule_probability(bands)
    assert found.shape == (7, 5, 7) and found.dtype == np.float32
    np.testing.assert_allclose(found.sum(0), 1, atol=1e-5)
    assert found.max() < 0.8
    assert (found.argmax(0) + 1 != LAND_CLASS_IDS["garden"]).all()


def test_missing_values_stay_missing_and_missing_bands_are_named():
    bands = {role: np.array([value, np.nan]) for role, value in zip(ROLES, MATERIALS["crop"], strict=True)}
    found = rule_probability(bands)
    assert np.isfinite(found[:, 0]).all() and np.isnan(found[:, 1]).all()
    with pytest.raises(InputError, match="the scene lacks swir1"):
        rule_probability({role: np.ones(1) for role in ("blue", "green", "red", "nir")})
