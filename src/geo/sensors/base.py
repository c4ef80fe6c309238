"""What a sensor table holds, and how a band's name leads to its role."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

ROLES = (
    "coastal",
    "blue",
    "green",
    "red",
    "rededge1",
    "rededge2",
    "rededge3",
    "nir",
    "nir2",
    "watervapour",
    "cirrus",
    "swir1",
    "swir2",
    "thermal",
)
# Names that catalogues (STAC common names) and people give to a role.
_ROLE_ALIASES = {
    "coastal_aerosol": "coastal",
    "near_infrared": "nir",
    "nir08": "nir",
    "swir_1": "swir1",
    "swir_2": "swir2",
    "swir16": "swir1",
    "swir22": "swir2",
    "lwir": "thermal",
    "lwir11": "thermal",
}
# "B04", "SR_B4", "ST_B10", "B8A", "band 4 reflectance", "B1_dn", "Resize (ETM+ Meta (Band 1):...)".
_BAND_NUMBER = re.compile(r"(?<![a-z0-9])(?:band[ _]?|b)0*(\d{1,2}a?)(?![a-z0-9])")


@dataclass(frozen=True)
class Band:
    """One spectral band.

    Args:
        name: as in the product's file names, such as "B04" or "SR_B4".
        role: what the band is for, one of ROLES.
        centre_nm: centre wavelength in nanometres, None if unknown.
        gsd_m: native ground sampling distance in metres, None if unknown.
        scale: overrides the sensor's scale (thermal bands).
        offset: overrides the sensor's offset.
    """

    name: str
    role: str
    centre_nm: float | None
    gsd_m: float | None
    scale: float | None = None
    offset: float | None = None


@dataclass(frozen=True)
class Sensor:
    """A product's bands, scaling, quality layer and names.

    Reflectance is ``digital_number * scale + offset``.

    Args:
        name: key in SENSORS.
        bands: in the product's order.
        scale: reflectance per digital number.
        offset: reflectance added after scaling.
        nodata: digital number without measurement in any band.
        natural: band names for (red, green, blue).
        false_colour: band names shown as (red, green, blue) so that vegetation is red.
        source: where scale, offset and bits are documented.
        dtype: stored type of the digital numbers; None accepts any.
        offset_since: first Sentinel-2 processing baseline with the offset.
        qa_bad_bits: bits of the quality layer that hide the ground.
        qa_bad_values: values of the quality layer that hide the ground.
        name_patterns: case-insensitive expressions found in file names or sensor tags.
        band_pattern: expression found in the space-joined band names.
        stacks: band names by count, for files that name no bands.
    """

    name: str
    bands: tuple[Band, ...]
    scale: float
    offset: float
    nodata: int | None
    natural: tuple[str, str, str]
    false_colour: tuple[str, str, str]
    source: str
    dtype: str | None = None
    offset_since: tuple[int, int] | None = None
    qa_bad_bits: tuple[int, ...] = ()
    qa_bad_values: tuple[int, ...] = ()
    name_patterns: tuple[str, ...] = ()
    band_pattern: str | None = None
    stacks: Mapping[int, tuple[str, ...]] = field(default_factory=dict)

    def find_band(self, name: str) -> Band | None:
        """The band that a file's band name means, by role ("red", "swir16") or number ("B04", "band 4")."""
        text = name.strip().lower()
        key = re.sub(r"[\s-]+", "_", text)
        role = _ROLE_ALIASES.get(key, key)
        number = _number(text)
        for band in self.bands:
            if band.role == role or band.name.lower() == text or (number and _number(band.name.lower()) == number):
                return band
        return None

    def role_index(self, band_names: tuple[str, ...], role: str) -> int | None:
        """Zero-based position of the first band with this role, None if the file has none."""
        for index, name in enumerate(band_names):
            band = self.find_band(name)
            if band is not None and band.role == role:
                return index
        return None


def _number(text: str) -> str | None:
    found = _BAND_NUMBER.search(text)
    return found.group(1) if found else None


def positional_names(count: int) -> tuple[str, ...]:
    """Names of bands that a file does not name: "B1", "B2", ..."""
    return tuple(f"B{index}" for index in range(1, count + 1))
