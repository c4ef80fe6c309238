"""Spectral indices of reflectance: one table, guarded arithmetic.

``INDICES`` holds formula, bands and source of each. Values are float32 and NaN
where a band is missing (NaN) or a denominator is almost zero. No single index
on a single date names a class: NDBI, UI and BSI light up fallow cropland as
they do towns.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from src.errors import InputError

_Floats = NDArray[np.float32]
# Denominators closer to zero than this have no meaningful quotient; reflectance is stored in steps of 1e-4.
_SMALLEST_DENOMINATOR = 1e-4
# Soil adjustment of SAVI inside IBI: Huete 1988, doi:10.1016/0034-4257(88)90106-X.
_SAVI_L = 0.5


@dataclass(frozen=True)
class Index:
    """One index.

    Args:
        name: key of INDICES.
        formula: as published, with roles as names.
        roles: bands that it needs, in the order that ``compute`` takes them.
        compute: float32 arrays of one shape in, float32 out.
        source: where the formula is from.
    """

    name: str
    formula: str
    roles: tuple[str, ...]
    compute: Callable[..., _Floats]
    source: str


def ratio(numerator: _Floats, denominator: _Floats) -> _Floats:
    """Quotient, NaN where the denominator is within 1e-4 of zero."""
    safe = np.abs(denominator) >= _SMALLEST_DENOMINATOR
    quotient = np.full(np.broadcast(numerator, denominator).shape, np.nan, dtype=np.float32)
    return np.divide(numerator, denominator, out=quotient, where=safe)


def normalized_difference(first: _Floats, second: _Floats) -> _Floats:
    """(first - second) / (first + second); -1 to 1 for positive reflectance."""
    return ratio(first - second, first + second)


def _bsi(swir1: _Floats, red: _Floats, nir: _Floats, blue: _Floats) -> _Floats:
    return normalized_difference(swir1 + red, nir + blue)


def _evi(nir: _Floats, red: _Floats, blue: _Floats) -> _Floats:
    return ratio(2.5 * (nir - red), nir + 6.0 * red - 7.5 * blue + 1.0)


def _dbsi(swir1: _Floats, green: _Floats, nir: _Floats, red: _Floats) -> _Floats:
    return normalized_difference(swir1, green) - normalized_difference(nir, red)


def _ibi(swir1: _Floats, nir: _Floats, red: _Floats, green: _Floats) -> _Floats:
    savi = ratio((1.0 + _SAVI_L) * (nir - red), nir + red + _SAVI_L)
    others = (savi + normalized_difference(green, swir1)) / 2.0
    return normalized_difference(normalized_difference(swir1, nir), others)


INDICES = {
    index.name: index
    for index in (
        Index("NDVI", "(nir-red)/(nir+red)", ("nir", "red"), normalized_difference, "NASA SP-351, Rouse et al. 1974"),
        Index(
            "NDWI",
            "(green-nir)/(green+nir)",
            ("green", "nir"),
            normalized_difference,
            "McFeeters 1996, doi:10.1080/01431169608948714",
        ),
        Index(
            "MNDWI",
            "(green-swir1)/(green+swir1)",
            ("green", "swir1"),
            normalized_difference,
            "Xu 2006, doi:10.1080/01431160600589179",
        ),
        Index(
            "NDBI",
            "(swir1-nir)/(swir1+nir)",
            ("swir1", "nir"),
            normalized_difference,
            "Zha et al. 2003, doi:10.1080/01431160304987",
        ),
        Index(
            "BSI",
            "((swir1+red)-(nir+blue))/((swir1+red)+(nir+blue))",
            ("swir1", "red", "nir", "blue"),
            _bsi,
            "Rikimaru et al. 2002, Tropical Ecology 43(1), 39-47",
        ),
        Index(
            "EVI",
            "2.5*(nir-red)/(nir+6*red-7.5*blue+1)",
            ("nir", "red", "blue"),
            _evi,
            "Huete et al. 2002, doi:10.1016/S0034-4257(02)00096-2",
        ),
        Index(
            "NBR",
            "(nir-swir2)/(nir+swir2)",
            ("nir", "swir2"),
            normalized_difference,
            "Key and Benson 2006, USDA RMRS-GTR-164-CD",
        ),
        Index(
            "NDMI",
            "(nir-swir1)/(nir+swir1)",
            ("nir", "swir1"),
            normalized_difference,
            "Gao 1996, doi:10.1016/S0034-4257(96)00067-3",
        ),
        Index(
            "UI",
            "(swir2-nir)/(swir2+nir)",
            ("swir2", "nir"),
            normalized_difference,
            "Kawamura et al. 1996, ISPRS Archives 31(B7), 321-326",
        ),
        Index(
            "DBSI",
            "(swir1-green)/(swir1+green)-NDVI",
            ("swir1", "green", "nir", "red"),
            _dbsi,
            "Rasul et al. 2018, doi:10.3390/land7030081",
        ),
        Index(
            "IBI",
            "(NDBI-(SAVI+MNDWI)/2)/(NDBI+(SAVI+MNDWI)/2)",
            ("swir1", "nir", "red", "green"),
            _ibi,
            "Xu 2008, doi:10.1080/01431160802039957",
        ),
    )
}


def compute_index(name: str, bands: Mapping[str, np.ndarray]) -> _Floats:
    """An index of some bands.

    Unsigned integers wrap around below zero (NDVI of 1000 and 3000 would be 15.884), so all bands
    become float32 first. Indices with an additive constant (EVI, IBI) mean something on reflectance only.

    Args:
        name: key of INDICES.
        bands: reflectance by role, arrays of one shape.

    Returns:
        float32 of that shape; NaN where a band is NaN or the denominator is within 1e-4 of zero.

    Raises:
        InputError: the index is unknown, or a band that it needs is missing.

    Example:
        >>> compute_index("NDVI", {"nir": np.array([1000], "uint16"), "red": np.array([3000], "uint16")})
        array([-0.5], dtype=float32)
    """
    if name not in INDICES:
        raise InputError(f"unknown index {name!r}; expected one of {', '.join(INDICES)}")
    index = INDICES[name]
    missing = [role for role in index.roles if role not in bands]
    if missing:
        raise InputError(f"{name} = {index.formula} needs the bands {', '.join(missing)}; given: {', '.join(bands)}")
    return index.compute(*(np.asarray(bands[role]).astype(np.float32) for role in index.roles))
