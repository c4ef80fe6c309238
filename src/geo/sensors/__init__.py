"""Sensors: which one took a file, what its bands are, and what its numbers mean.

``SENSORS`` is the one table; add a sensor as a module with a ``Sensor`` and a
line here. Detection reads names and tags only, never pixel values.
"""

import re
from datetime import date, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from src.errors import SensorError
from src.geo.grid import Raster
from src.geo.sensors.base import Band, Sensor, positional_names
from src.geo.sensors.generic import GENERIC
from src.geo.sensors.hls import HLS_L30, HLS_S30
from src.geo.sensors.landsat import LANDSAT5, LANDSAT7, LANDSAT8, LANDSAT9
from src.geo.sensors.sentinel2 import SENTINEL2_L1C, SENTINEL2_L2A, baseline_from_name, parse_baseline

__all__ = [
    "SENSORS",
    "Band",
    "Sensor",
    "band_from_name",
    "baseline_from_name",
    "clear_mask",
    "date_from_name",
    "detect_sensor",
    "natural_band_indices",
    "positional_names",
    "to_reflectance",
]

SENSORS = {
    sensor.name: sensor
    for sensor in (
        *(LANDSAT5, LANDSAT7, LANDSAT8, LANDSAT9),
        *(SENTINEL2_L1C, SENTINEL2_L2A, HLS_L30, HLS_S30, GENERIC),
    )
}

# Stack sizes that only Sentinel-2 products have: used when neither file nor band names tell the sensor.
_SENSOR_BY_COUNT = {12: SENTINEL2_L2A, 13: SENTINEL2_L1C}


def detect_sensor(path: str | Path, band_names: tuple[str, ...], count: int, hint: str = "") -> Sensor:
    """Find the sensor from a file's name, its sensor tag, its band names, or how many bands it has.

    Args:
        path: the file; of its folders only one ending in .SAFE counts.
        band_names: band descriptions; "B1", "B2", ... stand for a file without any.
        count: number of bands.
        hint: further text, such as a sensor tag.

    Returns:
        The generic sensor where nothing matches.
    """
    if hint in SENSORS:
        return SENSORS[hint]
    folders = [part for part in Path(path).parts[:-1] if part.upper().endswith(".SAFE")]
    text = " ".join([*folders, Path(path).name, hint])
    unnamed = band_names == positional_names(count)
    has_cirrus = count == 13 if unnamed else any(re.search(r"\bB10\b", name) for name in band_names)
    for sensor in SENSORS.values():
        if any(re.search(pattern, text, flags=re.IGNORECASE) for pattern in sensor.name_patterns):
            # Level-2A has no B10: a 13-band stack is Level-1C whatever its name says.
            return SENTINEL2_L1C if sensor is SENTINEL2_L2A and has_cirrus else sensor
    if unnamed:
        return _SENSOR_BY_COUNT.get(count, GENERIC)
    # Landsat 8 before 7: only its own names tell SR_B6 from the Landsat 7 table, which has none.
    for sensor in (LANDSAT8, LANDSAT7, SENTINEL2_L2A):
        if sensor.band_pattern and re.search(sensor.band_pattern, " ".join(band_names)):
            return SENTINEL2_L1C if sensor is SENTINEL2_L2A and has_cirrus else sensor
    return GENERIC


def natural_band_indices(sensor: Sensor, band_names: tuple[str, ...], count: int) -> tuple[int, int, int]:
    """Zero-based bands to show as red, green and blue.

    In this order: bands named as red, green and blue; the sensor's default
    stack of that many bands; nir, red, green where a named stack has no blue;
    one grey band for one or two bands or a named stack of other things;
    bands 1, 2, 3 of three; bands 3, 2, 1 of four or more (blue, green, red,
    near infrared: see ``sensors.generic``).
    """
    unnamed = band_names == positional_names(count)
    names = sensor.stacks.get(count, ()) if unnamed else band_names
    for roles in (("red", "green", "blue"), ("nir", "red", "green")):
        found = [sensor.role_index(names, role) for role in roles]
        if None not in found:
            red, green, blue = (int(index) for index in found if index is not None)
            return red, green, blue
    if count < 3 or any(sensor.find_band(name) for name in names):
        return 0, 0, 0
    return (0, 1, 2) if count == 3 else (2, 1, 0)


def to_reflectance(raster: Raster, sensor: Sensor, *, baseline: str | None = None) -> NDArray[np.float32]:
    """Digital numbers to reflectance (thermal bands: kelvin).

    Args:
        raster: digital numbers as stored by the product.
        sensor: whose scale and offset to use; the generic sensor keeps values.
        baseline: Sentinel-2 processing baseline such as "05.09"; default the raster's own.

    Returns:
        (B, H, W); NaN outside ``valid`` and wherever a band itself holds no data.
        Values below 0 or above 1 are kept.

    Raises:
        SensorError: the numbers are not this product's, a band is unknown, or
            the Sentinel-2 baseline is unknown (its offset would be a guess).
    """
    if np.iscomplexobj(raster.data):
        raise SensorError(f"{raster.source}: complex values have no reflectance")
    if sensor.dtype and raster.data.dtype != sensor.dtype:
        raise SensorError(
            f"{raster.source}: {sensor.name} stores {sensor.dtype} digital numbers, this file holds "
            f"{raster.data.dtype}; use sensor 'generic' if it holds reflectance already"
        )
    offset = _sensor_offset(raster, sensor, baseline or raster.baseline)
    out = np.empty(raster.data.shape, dtype=np.float32)
    for index, name in enumerate(raster.band_names):
        band = sensor.find_band(name)
        if band is None and sensor is not GENERIC:
            known = ", ".join(known.name for known in sensor.bands)
            raise SensorError(f"{raster.source}: {sensor.name} has no band {name!r}; known bands: {known}")
        scale = band.scale if band and band.scale is not None else sensor.scale
        shift = band.offset if band and band.offset is not None else offset
        numbers = raster.data[index]
        missing = ~raster.valid
        for nodata in (sensor.nodata, raster.nodata):
            if nodata is not None:
                missing = missing | (numbers == nodata)
        out[index] = np.where(missing, np.nan, numbers.astype(np.float64) * scale + shift)
    return out


def _sensor_offset(raster: Raster, sensor: Sensor, baseline: str | None) -> float:
    if sensor.offset_since is None:
        return sensor.offset
    if baseline is None:
        raise SensorError(
            f"{raster.source}: the Sentinel-2 processing baseline is unknown; give it (such as '05.09'), "
            "because from 04.00 on every digital number is 1000 higher"
        )
    return sensor.offset if parse_baseline(baseline) >= sensor.offset_since else 0.0


def clear_mask(qa: np.ndarray, sensor: Sensor) -> NDArray[np.bool_]:
    """Where the quality layer says that the ground is seen.

    Args:
        qa: integers of any shape: QA_PIXEL (Landsat Collection 2), SCL (Sentinel-2 Level-2A) or Fmask (HLS).
        sensor: whose codes they are.

    Returns:
        True where clear; fill, cloud, cloud shadow, cirrus and snow are False.

    Raises:
        SensorError: the sensor has no quality layer or the values are not integers.
    """
    if not np.issubdtype(qa.dtype, np.integer):
        raise SensorError(f"a quality layer holds integers, got {qa.dtype}")
    if sensor.qa_bad_bits:
        return (qa.astype(np.int64) & sum(1 << bit for bit in sensor.qa_bad_bits)) == 0
    if sensor.qa_bad_values:
        return ~np.isin(qa, sensor.qa_bad_values)
    raise SensorError(f"{sensor.name} has no quality layer that this project knows; give a mask of your own")


def date_from_name(name: str) -> str | None:
    """Acquisition date (ISO) in a file name: the first valid YYYYMMDD, YYYY-MM-DD, or Landsat and HLS YYYYDDD.

    Product ids put the acquisition before the processing date.
    """
    day_of_year = re.match(r"L[CTE]\d{7}((?:19|20)\d{5})[A-Z]{3}\d\d", name)
    day_of_year = day_of_year or re.match(r"HLS\.[LS]30\.T\w{5}\.((?:19|20)\d{5})T", name)
    if day_of_year:
        return datetime.strptime(day_of_year.group(1), "%Y%j").date().isoformat()
    for found in re.finditer(r"(?<!\d)((?:19|20)\d\d)-?(\d\d)-?(\d\d)(?!\d)", name):
        try:
            return date(*(int(part) for part in found.groups())).isoformat()
        except ValueError:
            continue
    return None


def band_from_name(name: str) -> str | None:
    """Band in the name of a one-band product file, such as "SR_B4", "B8A", "QA_PIXEL", "SCL" or "Fmask"; else None."""
    found = re.search(r"(?<![A-Za-z0-9])((?:SR_|ST_)?B\d{1,2}A?|QA_PIXEL|BQA|SCL|Fmask)(?![A-Za-z0-9])", name)
    return found.group(1) if found else None
