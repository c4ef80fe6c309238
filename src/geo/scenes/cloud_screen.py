"""A rough cloud and snow screen for scenes that come without a quality layer.

Spectral tests alone: those for potential clouds of Zhu and Woodcock (2012),
Fmask, https://doi.org/10.1016/j.rse.2011.10.028 (section 3.1.1, without its
thermal test), and the snow test of Hall et al. (1995),
https://doi.org/10.1016/0034-4257(95)00137-P. Fmask thins out its potential
clouds with temperatures and scene statistics; here tighter limits do that. They
were chosen by looking at the real scenes of this project's test data and five
simulated counties, so figures on those scenes are no independent accuracy. Large
white roofs may pass for cloud, thin haze for clear ground, and cloud shadow is
not found at all: scenes screened this way carry the caveat CLOUD_SCREEN.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_opening

from src.geo.scene import CLEAR, CLOUD, NO_DATA, SNOW
from src.geo.scenes.quality import widen

REQUIRED_ROLES = ("blue", "green", "red", "nir")
# Clouds are brighter than their rim; the rim is screened out too.
MARGIN_M = 100.0

# As in Zhu and Woodcock (2012).
_SWIR2_MIN, _NIR_BY_SWIR1_MIN = 0.03, 0.75
_HOT_SLOPE, _HOT_MIN = 0.5, 0.08
# Tighter than the paper's 0.8 (indices) and 0.7 (whiteness), and a brightness that the paper does not ask for.
_INDEX_MAX, _WHITENESS_MAX, _BRIGHTNESS_MIN = 0.5, 0.3, 0.12
# Hall et al. (1995).
_SNOW_NDSI, _SNOW_NIR, _SNOW_GREEN = 0.4, 0.11, 0.10
# Bright spots narrower than this are roofs and greenhouses rather than clouds.
_SMALLEST_CLOUD_M = 50.0


def screen_clouds(bands: Mapping[str, NDArray[np.float32]], pixel_m: float) -> NDArray[np.uint8]:
    """Screen a block for clouds and snow.

    Args:
        bands: role -> (h, w) reflectance 0..1 (top of atmosphere or surface), NaN where nothing was measured.
            REQUIRED_ROLES must be there; swir1 and swir2 sharpen the tests.
        pixel_m: side of a pixel, metres; a block needs a halo of ``halo_px(pixel_m)`` to fit its neighbours.

    Returns:
        (h, w) uint8: no data, clear, cloud or snow of MASK_CODES.
    """
    blue, green, red, nir = (bands[role] for role in REQUIRED_ROLES)
    swir1, swir2 = bands.get("swir1"), bands.get("swir2")
    # NaN compares as False; those pixels are set to no data at the end.
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = (blue + green + red) / 3
        whiteness = (np.abs(blue - mean) + np.abs(green - mean) + np.abs(red - mean)) / mean
        cloud = (whiteness < _WHITENESS_MAX) & (mean > _BRIGHTNESS_MIN)
        cloud &= (np.abs((nir - red) / (nir + red)) < _INDEX_MAX) & (blue - _HOT_SLOPE * red - _HOT_MIN > 0)
        snow = np.zeros(cloud.shape, bool)
        if swir2 is not None:
            cloud &= swir2 > _SWIR2_MIN
        if swir1 is not None:
            ndsi = (green - swir1) / (green + swir1)
            cloud &= (np.abs(ndsi) < _INDEX_MAX) & (nir / swir1 > _NIR_BY_SWIR1_MIN)
            snow = (ndsi > _SNOW_NDSI) & (nir > _SNOW_NIR) & (green > _SNOW_GREEN)
    codes = np.where(snow, SNOW, CLEAR).astype(np.uint8)
    side = _smallest_px(pixel_m)
    codes[binary_opening(cloud & ~snow, np.ones((side, side), bool))] = CLOUD
    codes = widen(codes, MARGIN_M / pixel_m)
    measured = np.isfinite(blue) & np.isfinite(green) & np.isfinite(red) & np.isfinite(nir)
    codes[~measured] = NO_DATA
    return codes


def halo_px(pixel_m: float) -> int:
    """Pixels around a block that its screen depends on: the margin, and twice the reach of the opening."""
    return int(np.ceil(MARGIN_M / pixel_m)) + _smallest_px(pixel_m)


def _smallest_px(pixel_m: float) -> int:
    """Side of the smallest cloud in pixels: odd, at least three."""
    return max(3, 2 * round(_SMALLEST_CLOUD_M / pixel_m / 2 - 0.5) + 1)
