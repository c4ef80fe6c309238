"""Landsat 5, 7, 8 and 9: Collection 2 Level-2 surface reflectance, and the gains of Level-1.

Level-1 digital numbers need the gains and the sun elevation of their MTL file
(``toa_gains``); ``to_reflectance`` refuses them. Their bands are still found
by name for display.
"""

import math
from dataclasses import replace

from src.errors import SensorError
from src.geo.sensors.base import Band, Sensor

_SOURCE = "https://www.usgs.gov/faqs/how-do-i-use-a-scale-factor-landsat-level-2-science-products"
# Kelvin = digital number * 0.00341802 + 149.0 (same page).
_ST_SCALE, _ST_OFFSET = 0.00341802, 149.0

# QA_PIXEL bits 0 fill, 1 dilated cloud, 2 cirrus (OLI only), 3 cloud, 4 cloud shadow, 5 snow hide the ground.
# Bit 6 "clear" is no substitute: it stays set on cloud shadow. Landsat 8-9 Collection 2 Level 2 Science Product
# Guide, LSDS-1619; the bits of Collection 1 BQA files differ.
_QA_BAD_BITS = (0, 1, 2, 3, 4, 5)

# TM and ETM+ centre wavelengths from the band limits in https://www.usgs.gov/faqs/what-are-band-designations-landsat-satellites
_TM_BANDS = (
    Band("SR_B1", "blue", 485, 30),
    Band("SR_B2", "green", 560, 30),
    Band("SR_B3", "red", 660, 30),
    Band("SR_B4", "nir", 830, 30),
    Band("SR_B5", "swir1", 1650, 30),
    Band("SR_B7", "swir2", 2215, 30),
    Band("ST_B6", "thermal", 11450, 120, _ST_SCALE, _ST_OFFSET),
)
_OLI_BANDS = (
    Band("SR_B1", "coastal", 443, 30),
    Band("SR_B2", "blue", 482, 30),
    Band("SR_B3", "green", 562, 30),
    Band("SR_B4", "red", 655, 30),
    Band("SR_B5", "nir", 865, 30),
    Band("SR_B6", "swir1", 1609, 30),
    Band("SR_B7", "swir2", 2201, 30),
    Band("ST_B10", "thermal", 10895, 100, _ST_SCALE, _ST_OFFSET),
)


def _patterns(number: int, families: str) -> tuple[str, ...]:
    """Expressions for product ids (LC08_..., LT5...), "Landsat-8" and "L8_"."""
    return (
        rf"(?<![A-Z0-9])L[{families}]0{number}(?![0-9])",
        rf"(?<![A-Z0-9])L[{families}]{number}\d{{13}}[A-Z]{{3}}\d\d",
        rf"landsat[-_ ]?0?{number}(?![0-9])",
        rf"(?<![A-Z0-9])L{number}(?=[-_. ])",
    )


LANDSAT7 = Sensor(
    name="landsat7",
    bands=_TM_BANDS,
    scale=0.0000275,
    offset=-0.2,
    nodata=0,
    natural=("SR_B3", "SR_B2", "SR_B1"),
    false_colour=("SR_B4", "SR_B3", "SR_B2"),
    source=_SOURCE,
    dtype="uint16",
    qa_bad_bits=_QA_BAD_BITS,
    name_patterns=(*_patterns(7, "E"), r"(?<![A-Z])ETM(?![A-Z])"),
    # Band names alone cannot tell Landsat 5 from 7; both share one table.
    band_pattern=r"\bSR_B[1-57]\b",
    stacks={
        6: ("SR_B1", "SR_B2", "SR_B3", "SR_B4", "SR_B5", "SR_B7"),
        7: ("SR_B1", "SR_B2", "SR_B3", "SR_B4", "SR_B5", "ST_B6", "SR_B7"),
    },
)
LANDSAT5 = replace(LANDSAT7, name="landsat5", name_patterns=_patterns(5, "T"), band_pattern=None)
LANDSAT8 = Sensor(
    name="landsat8",
    bands=_OLI_BANDS,
    scale=0.0000275,
    offset=-0.2,
    nodata=0,
    natural=("SR_B4", "SR_B3", "SR_B2"),
    false_colour=("SR_B5", "SR_B4", "SR_B3"),
    source=_SOURCE,
    dtype="uint16",
    qa_bad_bits=_QA_BAD_BITS,
    name_patterns=_patterns(8, "CO"),
    band_pattern=r"\b(SR_B6|ST_B10)\b",
    stacks={
        6: ("SR_B2", "SR_B3", "SR_B4", "SR_B5", "SR_B6", "SR_B7"),
        7: ("SR_B1", "SR_B2", "SR_B3", "SR_B4", "SR_B5", "SR_B6", "SR_B7"),
        8: ("SR_B1", "SR_B2", "SR_B3", "SR_B4", "SR_B5", "SR_B6", "SR_B7", "ST_B10"),
    },
)
LANDSAT9 = replace(LANDSAT8, name="landsat9", name_patterns=_patterns(9, "CO"), band_pattern=None)


def toa_gains(mult: float, add: float, sun_elevation_deg: float) -> tuple[float, float]:
    """Scale and offset from Level-1 digital numbers to top-of-atmosphere reflectance.

    reflectance = (mult * number + add) / sin(sun elevation), with the sun at
    the scene's centre; https://www.usgs.gov/landsat-missions/using-usgs-landsat-level-1-data-product.

    Args:
        mult: REFLECTANCE_MULT_BAND_n of the MTL file.
        add: REFLECTANCE_ADD_BAND_n of the MTL file.
        sun_elevation_deg: SUN_ELEVATION of the MTL file, degrees.

    Raises:
        SensorError: the sun is not above the horizon.
    """
    if not 0 < sun_elevation_deg <= 90:
        raise SensorError(f"sun elevation {sun_elevation_deg} degrees: reflectance needs the sun above the horizon")
    sine = math.sin(math.radians(sun_elevation_deg))
    return mult / sine, add / sine
