"""Sentinel-2 MSI, Level-1C (top of atmosphere) and Level-2A (surface).

From processing baseline 04.00 on (25 January 2022, and all of Collection 1
whatever its acquisition date) digital numbers carry an offset of 1000. The
baseline decides, never the date.
"""

import re
from dataclasses import replace

from src.errors import SensorError
from src.geo.sensors.base import Band, Sensor

_SOURCE = "https://sentiwiki.copernicus.eu/web/s2-products"

# Centre wavelengths of Sentinel-2A; 2B and 2C differ by a few nanometres.
_BANDS = (
    Band("B01", "coastal", 444, 60),
    Band("B02", "blue", 497, 10),
    Band("B03", "green", 560, 10),
    Band("B04", "red", 665, 10),
    Band("B05", "rededge1", 704, 20),
    Band("B06", "rededge2", 740, 20),
    Band("B07", "rededge3", 783, 20),
    Band("B08", "nir", 835, 10),
    Band("B8A", "nir2", 865, 20),
    Band("B09", "watervapour", 945, 60),
    Band("B10", "cirrus", 1374, 60),
    Band("B11", "swir1", 1614, 20),
    Band("B12", "swir2", 2202, 20),
)
_NAMES = tuple(band.name for band in _BANDS)
_STACKS = {
    4: ("B02", "B03", "B04", "B08"),
    6: ("B02", "B03", "B04", "B08", "B11", "B12"),
    10: ("B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B11", "B12"),
}

SENTINEL2_L1C = Sensor(
    name="sentinel2_l1c",
    bands=_BANDS,
    scale=0.0001,
    offset=-0.1,
    nodata=0,
    natural=("B04", "B03", "B02"),
    false_colour=("B08", "B04", "B03"),
    source=_SOURCE,
    dtype="uint16",
    offset_since=(4, 0),
    name_patterns=(
        r"(?<![A-Z0-9])S2[A-D]?_?(?:MSI)?L?1C",
        r"sentinel[-_ ]?2.*L?1C",
        # Granule files: Level-2A adds the resolution (_10m) before the suffix.
        r"(?<![A-Z0-9])T\d\d[A-Z]{3}_\d{8}T\d{6}_B\w\w\.jp2",
    ),
    # Without B8A, 12 bands of Level-1C are B01 to B12 (the stacks of the sen2r tool).
    stacks={**_STACKS, 12: tuple(name for name in _NAMES if name != "B8A"), 13: _NAMES},
)
SENTINEL2_L2A = replace(
    SENTINEL2_L1C,
    name="sentinel2_l2a",
    bands=tuple(band for band in _BANDS if band.name != "B10"),
    # Scene classification: 0 no data, 1 saturated, 3 cloud shadow, 8 and 9 cloud, 10 thin cirrus, 11 snow.
    # Kept: 2 dark area, 4 vegetation, 5 bare, 6 water, 7 unclassified.
    qa_bad_values=(0, 1, 3, 8, 9, 10, 11),
    name_patterns=(
        r"(?<![A-Z0-9])S2[A-D]?_?(?:MSI)?L?2A",
        r"sentinel[-_ ]?2",
        r"(?<![A-Z0-9])S(?:EN)?2[A-D]?(?=[-_. ])",
        r"(?<![A-Z0-9])T\d\d[A-Z]{3}_\d{8}T\d{6}_",
    ),
    band_pattern=r"\b(B8A|B0[1-9])\b",
    stacks={
        **_STACKS,
        11: tuple(name for name in _NAMES if name not in ("B8A", "B10")),
        12: tuple(name for name in _NAMES if name != "B10"),
    },
)


def parse_baseline(text: str) -> tuple[int, int]:
    """Processing baseline as (major, minor) from "05.09", "0509" or "N0509".

    Raises:
        SensorError: the text is no baseline.
    """
    found = re.fullmatch(r"N?(\d\d)\.?(\d\d)", text.strip(), flags=re.IGNORECASE)
    if not found:
        raise SensorError(f"processing baseline {text!r} is not of the form '05.09' or 'N0509'")
    return int(found.group(1)), int(found.group(2))


def baseline_from_name(name: str) -> str | None:
    """Processing baseline ("05.09") in a product name such as S2A_MSIL2A_..._N0509_R039_..., else None."""
    found = re.search(r"_N(\d\d)(\d\d)_R\d{3}", name)
    return f"{found.group(1)}.{found.group(2)}" if found else None
