"""Land cover by spectral rules alone, for scenes without any labels: the least certain of the three routes.

Soft memberships, set by hand near published thresholds; only that of bare soil was
moved after a look at simulated and real scenes. Water by MNDWI, vegetation by NDVI,
bare soil against built-up land by DBSI. A high NDBI alone never makes a pixel
built-up: fallow fields have one too. What one date
cannot tell stays open in the probabilities: bare soil is fallow cropland or
unused land, green ground is cropland or grassland; garden land never comes out.
Measured accuracy: ``evaluation.benchmarks.landcover``.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from src.constants import LAND_CLASS_IDS, LAND_CLASSES
from src.errors import InputError
from src.geo.cover.indices import compute_index

_Floats = NDArray[np.float32]
# Middle and width of each soft threshold.
# Water: MNDWI above 0, Xu 2006, doi:10.1080/01431160600589179; without shortwave infrared NDWI above 0, McFeeters 1996.
_WATER = (0.0, 0.05)
# Vegetation covers the ground from NDVI 0.2 (bare) to 0.5 (full): Sobrino et al. 2004, doi:10.1016/j.rse.2004.02.003.
_GREEN, _DENSE = (0.3, 0.05), (0.5, 0.05)
# Dense dark vegetation: red below 0.05 (Kaufman and Sendra 1988, doi:10.1080/01431168808954942) and swir1 below 0.2,
# as closed forest canopies shade themselves.
_DARK_RED, _DARK_SWIR1 = (0.05, 0.008), (0.20, 0.02)
# Bare soil: DBSI above 0.26 in dry climates, Rasul et al. 2018, doi:10.3390/land7030081. Loess soils reach 0.23 only,
# and a fallow field called built-up would be a false alarm, so the middle lies lower.
# The price: bright dry towns are missed (built-up F1 in the Chiapas scene 0.04 instead of 0.56).
_BARE = (0.20, 0.05)
# Bright ground without plants is sand, salt or rock rather than a field: red above 0.25, the top of the
# field soils in the ECOSTRESS library, doi:10.1016/j.rse.2019.05.015.
_BRIGHT = (0.25, 0.03)
# No rule is surer than this; the rest is spread over all classes.
_TRUST = 0.75

NEEDED_ROLES = ("green", "red", "nir", "swir1")


def rule_probability(bands: Mapping[str, np.ndarray]) -> _Floats:
    """Class probabilities by rules.

    Args:
        bands: reflectance by role, arrays of one shape; NaN where unknown.

    Returns:
        (7, ...) float32 in the order of LAND_CLASSES, summing to 1; NaN where a band is NaN.

    Raises:
        InputError: green, red, near infrared or the first shortwave infrared is missing.
    """
    missing = [role for role in NEEDED_ROLES if role not in bands]
    if missing:
        raise InputError(f"spectral rules need {', '.join(NEEDED_ROLES)}; the scene lacks {', '.join(missing)}")
    ndvi, dbsi = compute_index("NDVI", bands), compute_index("DBSI", bands)
    red, swir1 = (np.asarray(bands[role], dtype=np.float32) for role in ("red", "swir1"))
    water = _above(compute_index("MNDWI", bands), _WATER) * (1 - _above(ndvi, _DENSE))
    green = (1 - water) * _above(ndvi, _GREEN)
    bald = 1 - water - green
    dense = _above(ndvi, _DENSE)
    forest = green * dense * (1 - _above(red, _DARK_RED)) * (1 - _above(swir1, _DARK_SWIR1))
    open_green = green - forest
    bare = bald * _above(dbsi, _BARE)
    bright = bare * _above(red, _BRIGHT)
    shares = {
        "water": water,
        "forest": forest,
        # Dense open green is a crop in its season more often than grass; sparse green the other way round.
        "cropland": open_green * (0.3 + 0.4 * dense) + (bare - bright) * 0.7 + bright * 0.2,
        "grassland": open_green * (0.7 - 0.4 * dense),
        "built": bald - bare,
        "unused": (bare - bright) * 0.3 + bright * 0.8,
    }
    out = np.full((len(LAND_CLASSES), *ndvi.shape), (1 - _TRUST) / len(LAND_CLASSES), dtype=np.float32)
    for name, share in shares.items():
        out[LAND_CLASS_IDS[name] - 1] += _TRUST * share
    return np.where(np.isfinite(out).all(0), out, np.float32(np.nan))


def _above(values: _Floats, threshold: tuple[float, float]) -> _Floats:
    """Membership 0..1 of lying above a soft threshold (middle, width): logistic."""
    middle, width = np.float32(threshold[0]), np.float32(threshold[1])
    return 1 / (1 + np.exp(-np.clip((values - middle) / width, -30, 30)))
