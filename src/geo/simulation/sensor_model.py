"""From the fine grid to what a satellite delivers: light, blur, haze, clouds, noise, digital numbers."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from src.geo.sensors import Sensor
from src.geo.simulation.change import State
from src.geo.simulation.cover import CLASS_OF_COVER, Cover
from src.geo.simulation.landscape import Landscape
from src.geo.simulation.noise import fractal_noise
from src.geo.simulation.spectra import BAND_ROLES, COVER_SPECTRA, cover_table, crop_table

# Standard deviation of a Gaussian point spread in pixels. With the averaging over the pixel itself it gives a
# modulation transfer of exp(-2 (0.5 pi 0.45)^2) * 2 / pi = 0.23 at Nyquist, as multispectral scanners have
# (0.15-0.30); the second value is for 20 m bands on the 10 m grid.
_BLUR_PX = 0.45
_BLUR_PX_20M = 0.85
# Path reflectance left by the atmospheric correction at haze 1, and noise (absolute, relative).
_PATH = (0.010, 0.007, 0.005, 0.002, 0.0006, 0.0004)
_NOISE = (0.0012, 0.006)
# Share of the topographic effect that level-2 processing leaves in the data.
_TOPOGRAPHY_EXPONENT = 0.6
_CLOUD_RHO = np.array((0.62, 0.61, 0.60, 0.63, 0.45, 0.34), np.float32)
# Fraction of light that a cloud takes from its shadow per band.
_SHADOW_DEPTH = np.array((0.50, 0.54, 0.58, 0.62, 0.64, 0.64), np.float32)
_CLOUD_EDGE = 0.04

CLEAR, SHADOW, CLOUD, CLOUD_EDGE = 0, 1, 2, 3


@dataclass(frozen=True)
class Observation:
    """One simulated acquisition.

    Attributes:
        reflectance: float32 (6, size, size), bands as BAND_ROLES.
        obstruction: uint8 (size, size): CLEAR, SHADOW, CLOUD or CLOUD_EDGE (thin).
        sun_elevation_deg: at 10:30 local solar time.
        sun_azimuth_deg: clockwise from north.
        haze: multiple of the typical residual path reflectance.
    """

    reflectance: np.ndarray
    obstruction: np.ndarray
    sun_elevation_deg: float
    sun_azimuth_deg: float
    haze: float


def sun_position(latitude_deg: float, day_of_year: int) -> tuple[float, float]:
    """Sun elevation and azimuth in degrees at 10:30 local solar time.

    Declination after Cooper (1969): 23.45 sin(360 (284 + n) / 365).
    """
    declination = np.radians(23.45 * np.sin(2 * np.pi * (284 + day_of_year) / 365.0))
    latitude, hour = np.radians(latitude_deg), np.radians(-22.5)
    up = np.sin(latitude) * np.sin(declination) + np.cos(latitude) * np.cos(declination) * np.cos(hour)
    east = -np.cos(declination) * np.sin(hour)
    north = np.cos(latitude) * np.sin(declination) - np.sin(latitude) * np.cos(declination) * np.cos(hour)
    return float(np.degrees(np.arcsin(up))), float(np.degrees(np.arctan2(east, north)) % 360.0)


def block_mean(field: np.ndarray, factor: int) -> np.ndarray:
    """Mean over factor x factor blocks, float32."""
    n = field.shape[0] // factor
    return field.reshape(n, factor, n, factor).mean(axis=(1, 3), dtype=np.float32)


def majority_class(cover: np.ndarray, factor: int) -> np.ndarray:
    """Class that covers most of each pixel (the smaller id on a tie), uint8 canonical ids."""
    classes = CLASS_OF_COVER[cover]
    shares = [block_mean((classes == code).astype(np.float32), factor) for code in range(1, 8)]
    return (np.argmax(np.stack(shares), axis=0) + 1).astype(np.uint8)


def observe(
    landscape: Landscape, state: State, pixel_m: float, cloud_share: float, coarse_swir: bool, rng: np.random.Generator
) -> Observation:
    """Look at the county on one day.

    Args:
        landscape: textures, relief and parcels.
        state: cover of that day.
        pixel_m: pixel of the sensor; a whole multiple of the fine cell.
        cloud_share: mean share of the scene under cloud; the day's own share varies around it.
        coarse_swir: blur the shortwave infrared as Sentinel-2's 20 m bands.
        rng: source of weather and noise.

    Returns:
        The observation.
    """
    frame = landscape.frame
    factor = int(round(pixel_m / frame.cell_m))
    elevation, azimuth = sun_position(landscape.profile.latitude, state.day.timetuple().tm_yday)
    light = _light(landscape, state.cover, elevation, azimuth)
    fine_band = fine_reflectance(landscape, state)
    haze, gain = float(rng.uniform(0.3, 1.8)), 1.0 + rng.normal(0.0, 0.012, len(BAND_ROLES))
    bands = []
    for index in range(len(BAND_ROLES)):
        blur = _BLUR_PX_20M if coarse_swir and index >= 4 else _BLUR_PX
        seen = ndimage.gaussian_filter(fine_band(index) * light, blur * factor, mode="nearest", truncate=3.0)
        through = np.float32(gain[index] * (1 - 0.02 * haze))
        bands.append(block_mean(seen, factor) * through + np.float32(_PATH[index] * haze))
    rho, obstruction = _clouds(np.stack(bands), pixel_m, cloud_share, elevation, azimuth, rng)
    sigma = np.hypot(_NOISE[0], _NOISE[1] * rho).astype(np.float32)
    rho += sigma * rng.standard_normal(rho.shape, dtype=np.float32)
    return Observation(rho, obstruction, elevation, azimuth, haze)


def fine_reflectance(landscape: Landscape, state: State) -> Callable[[int], np.ndarray]:
    """Prepare the surface reflectance of the fine grid.

    Args:
        landscape: textures and parcels.
        state: cover, crops and building tones of a day.

    Returns:
        A function of the band index (as BAND_ROLES) that gives float32 (n, n), before light and atmosphere.
    """
    profile, day_of_year = landscape.profile, state.day.timetuple().tm_yday
    covers = cover_table(profile, day_of_year)
    crops = crop_table(profile, state.crop, day_of_year, landscape.seed)
    table = np.concatenate([covers, crops])
    code = np.where(
        state.cover == Cover.CROP, landscape.parcels.index + np.int32(len(covers)), state.cover.astype(np.int32)
    )
    looks = [COVER_SPECTRA[c] for c in Cover]
    shared, green, tone = (
        np.array([getattr(look, name) for look in looks], np.float32)[state.cover]
        for name in ("brightness", "greenness", "tone")
    )
    base = 1 + shared * landscape.brightness + tone * state.tone
    swing = green * landscape.greenness
    limits = np.float32(0.35), np.float32(1.9)
    factors = [np.clip(base + np.float32(weight) * swing, *limits) for weight in (-1.0, 1.0, -0.4)]
    group = (0, 0, 0, 1, 2, 2)

    def band(index: int) -> np.ndarray:
        return table[:, index][code] * factors[group[index]]

    return band


def _light(landscape: Landscape, cover: np.ndarray, elevation_deg: float, azimuth_deg: float) -> np.ndarray:
    """Light on each cell relative to flat ground, float32; water is flat."""
    cell_m = landscape.frame.cell_m
    south, east = np.gradient(ndimage.gaussian_filter(landscape.terrain.elevation_m, 8.0 / cell_m), np.float32(cell_m))
    sun, turn = np.radians(elevation_deg), np.radians(azimuth_deg)
    cos_incidence = np.sin(sun) + np.cos(sun) * (np.cos(turn) * south - np.sin(turn) * east)
    cos_incidence = cos_incidence / np.sqrt(1 + south**2 + east**2)
    light = np.clip(cos_incidence / np.sin(sun), 0.15, 2.5) ** _TOPOGRAPHY_EXPONENT
    return np.where(np.isin(cover, (Cover.RIVER, Cover.LAKE, Cover.POND)), 1.0, light).astype(np.float32)


def _clouds(
    rho: np.ndarray,
    pixel_m: float,
    mean_share: float,
    elevation_deg: float,
    azimuth_deg: float,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Lay clouds and their shadows over the scene; also what obstructs each pixel."""
    size = rho.shape[1]
    share = float(np.clip(mean_share * rng.uniform(0.3, 1.7), 0.0, 0.95))
    noise = fractal_noise(rng, size, pixel_m, min(1600.0, 0.4 * size * pixel_m), slope=1.9)
    height_m = float(rng.uniform(450.0, 1100.0))
    if share * size * size < 1:
        return rho, np.zeros((size, size), np.uint8)
    opacity = np.clip((noise - np.quantile(noise, 1.0 - share)) / 0.45, 0.0, 1.0) ** 0.8
    reach_px = height_m / np.tan(np.radians(elevation_deg)) / pixel_m
    turn = np.radians(azimuth_deg)
    # The shadow falls away from the sun; the noise is periodic, so what leaves one side enters the other.
    shift = (int(round(reach_px * np.cos(turn))), int(round(-reach_px * np.sin(turn))))
    shade = ndimage.gaussian_filter(np.roll(opacity, shift, axis=(0, 1)), 0.7, mode="wrap").astype(np.float32)
    opacity = opacity.astype(np.float32)
    rho = rho * (1 - _SHADOW_DEPTH[:, None, None] * shade)
    puff = 1 + 0.12 * np.clip(noise, -2, 2)
    rho = rho * (1 - opacity) + _CLOUD_RHO[:, None, None] * puff.astype(np.float32) * opacity
    obstruction = np.where(shade > _CLOUD_EDGE, SHADOW, CLEAR)
    obstruction = np.where(opacity > 0, np.where(opacity > 0.5, CLOUD, CLOUD_EDGE), obstruction)
    return rho, obstruction.astype(np.uint8)


def digital_numbers(reflectance: np.ndarray, sensor: Sensor) -> np.ndarray:
    """Reflectance as the sensor's product stores it, uint16; 0 is kept for no data."""
    return np.clip(np.rint((reflectance - sensor.offset) / sensor.scale), 1, 65535).astype(np.uint16)


def scl_mask(rho: np.ndarray, obstruction: np.ndarray) -> np.ndarray:
    """Sentinel-2 scene classification (SCL) codes.

    Codes: 2 dark, 3 cloud shadow, 4 vegetation, 5 not vegetated, 6 water, 7 unclassified, 8 cloud medium
    probability, 9 cloud high probability
    (https://sentiwiki.copernicus.eu/web/s2-processing, scene classification).

    Args:
        rho: float32 (6, H, W) reflectance.
        obstruction: uint8 (H, W).

    Returns:
        uint8 (H, W).
    """
    _, green, red, nir, swir1, _ = rho
    ndvi = (nir - red) / np.maximum(nir + red, 1e-3)
    water = ((green - swir1) / np.maximum(green + swir1, 1e-3) > 0.2) & (nir < 0.12)
    codes = np.select([water, ndvi > 0.4, nir < 0.09, ndvi < 0.25], [6, 4, 2, 5], 7)
    return np.choose(obstruction, [codes, 3, 9, 8]).astype(np.uint8)


def qa_pixel_mask(rho: np.ndarray, obstruction: np.ndarray) -> np.ndarray:
    """Landsat Collection 2 QA_PIXEL words.

    21824 clear land, 21952 clear water, 23888 cloud shadow, 22280 high-confidence cloud, and 21762 dilated
    cloud (bit 1 set, clear bit 6 off), bits as in USGS LSDS-1619
    (https://www.usgs.gov/landsat-missions/landsat-collection-2-quality-assessment-bands).

    Args:
        rho: float32 (6, H, W) reflectance.
        obstruction: uint8 (H, W).

    Returns:
        uint16 (H, W).
    """
    _, green, _, nir, swir1, _ = rho
    water = ((green - swir1) / np.maximum(green + swir1, 1e-3) > 0.2) & (nir < 0.12)
    return np.choose(obstruction, [np.where(water, 21952, 21824), 23888, 22280, 21762]).astype(np.uint16)
