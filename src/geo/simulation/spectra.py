"""Surface reflectance of cover types and crops by day of year.

Every cover is a mixture of a canopy and a background, ``f * canopy + (1 - f) *
background`` (linear mixing, Adams et al. 1986, doi:10.1029/JB091iB08p08098). The
green fraction f follows a double logistic through the year (Beck et al. 2006,
doi:10.1016/j.rse.2005.10.021).

The six values of a material are blue, green, red, near infrared, shortwave
infrared 1 and 2 (Sentinel-2 B02 B03 B04 B08 B11 B12; Landsat 8 bands 2-7). They
are rounded typical values set by hand within what the named sources report, not
copies of single spectra, and the small differences between the sensors' bands
are left out; each landscape adds variance within a class. A test compares them
with class means of a real surface-reflectance scene. Sources:

- USGS: Spectral Library Version 7 (Kokaly et al. 2017, doi:10.3133/ds1035),
  chapters V (vegetation), S (soils and mixtures), A (artificial materials) and L;
- ECOSTRESS spectral library 1.0 (Meerdink et al. 2019, doi:10.1016/j.rse.2019.05.015);
- Herold et al. 2004 (doi:10.1016/j.rse.2004.02.013) for roofs and roads, lowered
  for the shade between buildings.
"""

from dataclasses import dataclass

import numpy as np

from src.geo.simulation.cover import Cover, Crop
from src.geo.simulation.noise import hash01
from src.geo.simulation.profile import CountyProfile

BAND_ROLES = ("blue", "green", "red", "nir", "swir1", "swir2")
MATERIALS: dict[str, tuple[float, float, float, float, float, float]] = {
    # Closed canopies: leaf spectra of USGS chapter V lowered to canopy level by shade.
    "broadleaf": (0.028, 0.058, 0.034, 0.360, 0.165, 0.075),
    "conifer": (0.021, 0.039, 0.026, 0.240, 0.110, 0.048),
    "shrub": (0.036, 0.066, 0.047, 0.290, 0.185, 0.095),
    "crop": (0.030, 0.075, 0.036, 0.460, 0.210, 0.100),
    "rice": (0.030, 0.066, 0.036, 0.400, 0.160, 0.070),
    "maize": (0.028, 0.064, 0.032, 0.430, 0.190, 0.085),
    "rapeseed_flower": (0.055, 0.160, 0.145, 0.430, 0.230, 0.115),
    "orchard": (0.028, 0.058, 0.034, 0.370, 0.175, 0.078),
    "grass": (0.045, 0.086, 0.066, 0.310, 0.230, 0.125),
    # Dry grass, straw and stubble: USGS chapter V "dry grass", ECOSTRESS non-photosynthetic vegetation.
    "straw": (0.085, 0.125, 0.170, 0.280, 0.340, 0.240),
    "ripe": (0.060, 0.110, 0.130, 0.330, 0.270, 0.160),
    "litter": (0.050, 0.068, 0.090, 0.180, 0.230, 0.160),
    # Soils: ECOSTRESS ultisol, inceptisol, loess-derived and mollisol samples, field dry.
    "soil_red": (0.058, 0.084, 0.132, 0.210, 0.285, 0.240),
    "soil_brown": (0.075, 0.102, 0.138, 0.205, 0.280, 0.235),
    "soil_loess": (0.105, 0.150, 0.198, 0.280, 0.350, 0.300),
    "soil_black": (0.048, 0.062, 0.080, 0.140, 0.210, 0.180),
    "sand": (0.180, 0.235, 0.285, 0.350, 0.420, 0.380),
    "saline": (0.270, 0.315, 0.345, 0.395, 0.390, 0.320),
    "rock": (0.150, 0.170, 0.190, 0.225, 0.260, 0.240),
    "gravel": (0.215, 0.245, 0.270, 0.310, 0.340, 0.310),
    "mud": (0.090, 0.112, 0.124, 0.135, 0.120, 0.090),
    # Water: USGS chapter L; turbid and green waters as inland ranges of Spyrakos et al. 2018
    # (doi:10.1002/lno.10674).
    "deep_water": (0.032, 0.034, 0.018, 0.007, 0.003, 0.002),
    "turbid_water": (0.058, 0.082, 0.072, 0.034, 0.008, 0.005),
    "green_water": (0.034, 0.058, 0.036, 0.026, 0.008, 0.005),
    "flooded_soil": (0.055, 0.072, 0.070, 0.068, 0.035, 0.022),
    # Roofs and pavement: Herold et al. 2004; USGS chapter A (concrete, asphalt, brick, painted steel).
    "tile_red": (0.078, 0.096, 0.152, 0.215, 0.265, 0.235),
    "roof_grey": (0.115, 0.125, 0.133, 0.158, 0.180, 0.165),
    "steel_blue": (0.185, 0.190, 0.140, 0.205, 0.230, 0.215),
    "roof_white": (0.290, 0.310, 0.320, 0.345, 0.320, 0.275),
    "concrete": (0.145, 0.168, 0.184, 0.220, 0.250, 0.225),
    "asphalt": (0.078, 0.088, 0.096, 0.118, 0.138, 0.128),
    "plastic": (0.175, 0.205, 0.210, 0.315, 0.290, 0.220),
}


@dataclass(frozen=True)
class CoverSpectrum:
    """How a cover looks through the year.

    Attributes:
        canopy: material of the green part.
        background: material of the rest; "soil" is the county's own soil.
        winter: green fraction in winter.
        summer: green fraction in summer.
        brightness: standard deviation of reflectance, relative, shared by all bands.
        greenness: the same for near infrared against red.
        tone: relative spread between buildings.
    """

    canopy: str
    background: str
    winter: float
    summer: float
    brightness: float
    greenness: float
    tone: float = 0.0


COVER_SPECTRA: dict[Cover, CoverSpectrum] = {
    Cover.CROP: CoverSpectrum("crop", "soil", 0.0, 0.0, 0.035, 0.045),
    Cover.FIELD_PATH: CoverSpectrum("grass", "soil", 0.25, 0.55, 0.06, 0.05),
    Cover.ORCHARD_CANOPY: CoverSpectrum("orchard", "litter", 0.45, 0.90, 0.08, 0.06),
    Cover.ORCHARD_FLOOR: CoverSpectrum("grass", "soil", 0.08, 0.30, 0.07, 0.05),
    Cover.YOUNG_ORCHARD: CoverSpectrum("orchard", "soil", 0.20, 0.62, 0.08, 0.06),
    Cover.BROADLEAF: CoverSpectrum("broadleaf", "litter", 0.42, 0.96, 0.14, 0.07),
    Cover.CONIFER: CoverSpectrum("conifer", "litter", 0.84, 0.94, 0.16, 0.06),
    Cover.SHRUB: CoverSpectrum("shrub", "litter", 0.35, 0.85, 0.13, 0.07),
    Cover.YOUNG_FOREST: CoverSpectrum("shrub", "soil", 0.35, 0.75, 0.10, 0.07),
    Cover.GRASS: CoverSpectrum("grass", "straw", 0.18, 0.80, 0.06, 0.10),
    Cover.DRY_GRASS: CoverSpectrum("grass", "straw", 0.08, 0.50, 0.07, 0.10),
    Cover.RIVER: CoverSpectrum("deep_water", "turbid_water", 0.45, 0.15, 0.03, 0.0),
    Cover.LAKE: CoverSpectrum("deep_water", "green_water", 0.75, 0.60, 0.03, 0.0),
    Cover.POND: CoverSpectrum("deep_water", "green_water", 0.35, 0.10, 0.05, 0.0),
    Cover.ROOF_RED: CoverSpectrum("tile_red", "tile_red", 0.0, 0.0, 0.05, 0.0, 0.18),
    Cover.ROOF_GREY: CoverSpectrum("roof_grey", "roof_grey", 0.0, 0.0, 0.05, 0.0, 0.20),
    Cover.ROOF_BLUE: CoverSpectrum("steel_blue", "steel_blue", 0.0, 0.0, 0.04, 0.0, 0.20),
    Cover.ROOF_WHITE: CoverSpectrum("roof_white", "roof_white", 0.0, 0.0, 0.04, 0.0, 0.25),
    Cover.CONCRETE: CoverSpectrum("grass", "concrete", 0.02, 0.05, 0.06, 0.0, 0.20),
    Cover.ASPHALT: CoverSpectrum("grass", "asphalt", 0.02, 0.05, 0.05, 0.0, 0.0),
    Cover.TOWN_GREEN: CoverSpectrum("broadleaf", "litter", 0.35, 0.80, 0.10, 0.06, 0.10),
    Cover.QUARRY: CoverSpectrum("gravel", "gravel", 0.0, 0.0, 0.14, 0.0, 0.0),
    Cover.BARE_SOIL: CoverSpectrum("grass", "soil", 0.02, 0.10, 0.09, 0.03),
    Cover.SAND: CoverSpectrum("grass", "sand", 0.01, 0.04, 0.07, 0.0),
    Cover.SALINE: CoverSpectrum("grass", "saline", 0.01, 0.05, 0.09, 0.0),
    Cover.ROCK: CoverSpectrum("shrub", "rock", 0.05, 0.14, 0.12, 0.03),
    Cover.MUDFLAT: CoverSpectrum("grass", "mud", 0.01, 0.08, 0.08, 0.0),
    Cover.CONSTRUCTION: CoverSpectrum("grass", "soil", 0.0, 0.02, 0.09, 0.0),
}
# Turned-over subsoil of building sites is brighter than field soil.
_SITE_SOIL_GAIN = 1.25
# Green-up and leaf-fall of natural vegetation at 28 degrees north, day of year.
_GREEN_UP, _LEAF_FALL = 92.0, 310.0


@dataclass(frozen=True)
class Season:
    """One crop season: canopy material, days of green-up, ripening and harvest, green fraction at the peak."""

    canopy: str
    green_up: float
    ripening: float
    harvest: float
    peak: float


@dataclass(frozen=True)
class CropCalendar:
    """Seasons of a crop and what lies below it: (from day, to day, material); the county's soil otherwise."""

    seasons: tuple[Season, ...]
    ground: tuple[tuple[float, float, str], ...] = ()


# Days follow the usual calendars of eastern and central China; paddies are flooded at transplanting
# (Xiao et al. 2005, doi:10.1016/j.rse.2004.12.009).
CROP_CALENDARS: dict[Crop, CropCalendar] = {
    Crop.RICE: CropCalendar((Season("rice", 163, 242, 266, 0.96),), ((118, 170, "flooded_soil"), (266, 320, "straw"))),
    Crop.RAPESEED_RICE: CropCalendar(
        (Season("crop", -45, 118, 140, 0.82), Season("rice", 178, 262, 286, 0.95)),
        ((142, 182, "flooded_soil"), (286, 312, "straw")),
    ),
    Crop.WHEAT_MAIZE: CropCalendar(
        (Season("crop", -45, 138, 157, 0.45), Season("crop", 72, 138, 157, 0.48), Season("maize", 192, 256, 276, 0.92)),
        ((157, 186, "straw"),),
    ),
    Crop.MAIZE: CropCalendar((Season("maize", 165, 246, 270, 0.92),), ((270, 345, "straw"),)),
    Crop.VEGETABLES: CropCalendar(
        (
            Season("crop", 62, 112, 118, 0.8),
            Season("crop", 138, 188, 194, 0.75),
            Season("crop", 218, 272, 278, 0.85),
            Season("crop", 300, 380, 390, 0.6),
        )
    ),
    Crop.GREENHOUSE: CropCalendar((Season("crop", 40, 330, 340, 0.12),), ((0, 366, "plastic"),)),
    Crop.FALLOW: CropCalendar((Season("grass", 108, 255, 330, 0.55),), ((255, 366, "straw"), (0, 90, "straw"))),
}
# Rapeseed flowers for about three weeks around day 82 (d'Andrimont et al. 2020, doi:10.1016/j.rse.2020.111660).
_FLOWER_DAY, _FLOWER_SPREAD_DAYS, _FLOWER_SHARE = 82.0, 10.0, 0.7


def _sigmoid(t: np.ndarray) -> np.ndarray:
    return 1.0 / (1.0 + np.exp(-np.clip(t, -40, 40)))


def cover_table(profile: CountyProfile, day_of_year: int) -> np.ndarray:
    """Mean reflectance of every cover type on a day.

    Args:
        profile: gives the soil and how late spring is.
        day_of_year: 1..366.

    Returns:
        float32 (len(Cover), 6), bands as BAND_ROLES; the row of Cover.CROP is not meaningful.
    """
    shift = profile.season_shift_days
    day = np.array(float(day_of_year))
    green = _sigmoid((day - _GREEN_UP - shift) / 9.0) * _sigmoid((_LEAF_FALL - shift - day) / 10.0)
    table = np.zeros((len(Cover), 6), np.float32)
    for code, look in COVER_SPECTRA.items():
        fraction = look.winter + (look.summer - look.winter) * float(green)
        ground = np.array(MATERIALS[profile.soil if look.background == "soil" else look.background])
        if code in (Cover.CONSTRUCTION, Cover.BARE_SOIL):
            ground = ground * _SITE_SOIL_GAIN
        table[code] = fraction * np.array(MATERIALS[look.canopy]) + (1 - fraction) * ground
    return table


def crop_table(profile: CountyProfile, crop: np.ndarray, day_of_year: int, seed: int) -> np.ndarray:
    """Reflectance of every parcel if its cells are cropland.

    Args:
        profile: gives the soil.
        crop: uint8 (count,), Crop code of each parcel.
        day_of_year: 1..366.
        seed: salt of each parcel's own timing, vigour and soil moisture.

    Returns:
        float32 (count, 6), bands as BAND_ROLES.
    """
    number = np.arange(len(crop), dtype=np.int64)
    late = 20.0 * (hash01(seed + 71, number) - 0.5)
    vigour = 0.78 + 0.26 * hash01(seed + 72, number)
    soil_gain = 0.82 + 0.36 * hash01(seed + 73, number)
    table = np.zeros((len(crop), 6), np.float32)
    for code, calendar in CROP_CALENDARS.items():
        chosen = crop == code
        if chosen.any():
            day = day_of_year - late[chosen]
            ground = _ground(profile, calendar, day) * soil_gain[chosen, None]
            table[chosen] = _grow(calendar, day, vigour[chosen], ground, flowers=code is Crop.RAPESEED_RICE)
    return table


def _ground(profile: CountyProfile, calendar: CropCalendar, day: np.ndarray) -> np.ndarray:
    """What lies below the crop, (parcels, 6)."""
    ground = np.tile(np.array(MATERIALS[profile.soil]), (len(day), 1))
    for start, end, material in calendar.ground:
        share = 1.0 if material in ("plastic", "flooded_soil") else 0.65
        inside = (day >= start) & (day < end)
        ground[inside] = share * np.array(MATERIALS[material]) + (1 - share) * ground[inside]
    return ground


def _grow(calendar: CropCalendar, day: np.ndarray, vigour: np.ndarray, ground: np.ndarray, flowers: bool) -> np.ndarray:
    """Mix canopy, ripe canopy and ground, (parcels, 6)."""
    mixed, covered = np.zeros_like(ground), np.zeros_like(day)
    ripe_spectrum = np.array(MATERIALS["ripe"])
    bloom = _FLOWER_SHARE * np.exp(-0.5 * ((day - _FLOWER_DAY) / _FLOWER_SPREAD_DAYS) ** 2) if flowers else 0.0 * day
    for season in calendar.seasons:
        for year_start in (-365.0, 0.0, 365.0):
            t = day - year_start
            grown = season.peak * vigour * _sigmoid((t - season.green_up) / 7.0) * _sigmoid((season.harvest - t) / 1.5)
            ripe = _sigmoid((t - season.ripening) / 5.0)
            canopy = np.array(MATERIALS[season.canopy])
            if season.canopy == "crop":
                canopy = canopy + bloom[:, None] * (np.array(MATERIALS["rapeseed_flower"]) - canopy)
            spectrum = canopy + ripe[:, None] * (ripe_spectrum - canopy)
            grown = np.minimum(grown, 1.0 - covered)
            mixed += grown[:, None] * spectrum
            covered += grown
    return mixed + (1.0 - covered)[:, None] * ground
