"""Rasters of any depth and band count as 8-bit pictures, for people and for the vision model.

A picture is for looking: nothing is ever measured on it.
"""

import numpy as np
from numpy.typing import NDArray

from src.errors import InputError, SensorError
from src.geo.raster import Raster
from src.geo.sensors import SENSORS, natural_band_indices


def stretch_limits(data: np.ndarray, valid: NDArray[np.bool_], low: float = 2, high: float = 98) -> NDArray[np.float64]:
    """Values to show as black and as white, per band.

    Use the limits of one scene (or of both dates together) for all chips cut
    from it, so that colours mean the same everywhere.

    Args:
        data: (B, H, W) of real numbers.
        valid: (H, W) bool.
        low: percentile of the finite valid values that becomes black.
        high: percentile that becomes white.

    Returns:
        (B, 2) of (black, white), black < white. Where the percentiles meet
        (one value fills the scene) the extremes are taken, and around a
        constant a range that shows it as mid grey.

    Raises:
        InputError: a band has no valid finite value.
    """
    limits = np.empty((len(data), 2))
    for index, band in enumerate(data):
        values = band[valid]
        values = values[np.isfinite(values)].astype(np.float64)
        if values.size == 0:
            raise InputError("there is nothing to show: no valid pixel, all are nodata or masked")
        black, white = np.percentile(values, (low, high))
        if black == white:
            black, white = values.min(), values.max()
        if black == white:
            margin = max(0.5, abs(black) * 1e-6)
            black, white = black - margin, white + margin
        limits[index] = black, white
    return limits


def render_rgb(raster: Raster, limits: np.ndarray | None = None) -> NDArray[np.uint8]:
    """An 8-bit picture in natural colours where the sensor has them, grey for a single band.

    Args:
        raster: any real dtype and band count.
        limits: (3, 2) of (black, white) per shown band, from ``stretch_limits``
            on those bands; default the raster's own 2 and 98 percentiles.

    Returns:
        (H, W, 3); invalid pixels are 0. Three 8-bit bands are a picture
        already and pass unchanged unless limits are given.

    Raises:
        SensorError: the values are complex (unprocessed radar).
        InputError: the raster has no valid pixel.
    """
    if np.iscomplexobj(raster.data):
        raise SensorError(f"{raster.source}: complex values (unprocessed radar) have no colour; give the amplitude")
    if not raster.valid.any():
        raise InputError(f"{raster.source}: there is nothing to show: all pixels are nodata or masked")
    count = len(raster.data)
    indices = natural_band_indices(SENSORS[raster.sensor or "generic"], raster.band_names, count)
    shown = raster.data[list(indices)]
    if limits is None and count == 3 and shown.dtype == np.uint8:
        picture = shown
    else:
        picture = _stretch(shown, stretch_limits(shown, raster.valid) if limits is None else limits)
    return np.where(raster.valid, picture, np.uint8(0)).transpose(1, 2, 0)


def _stretch(data: np.ndarray, limits: np.ndarray) -> NDArray[np.uint8]:
    """Map (black, white) of each band to 0..255, rounding; NaN becomes 0."""
    out = np.empty(data.shape, dtype=np.uint8)
    for index, (band, (black, white)) in enumerate(zip(data, limits, strict=True)):
        share = np.clip((band.astype(np.float64) - black) / (white - black), 0.0, 1.0)
        out[index] = np.nan_to_num(share * 255.0 + 0.5)
    return out
