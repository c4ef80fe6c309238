"""What kind of county a seed stands for: landform, class shares, climate, soil, names.

Counties of different seeds must differ as real ones do, so the seed first picks a
landform and then perturbs its figures.
"""

from dataclasses import dataclass

import numpy as np

from src.geo.simulation.cover import Crop

_SHARE_KEYS = ("cropland", "garden", "forest", "grassland", "water", "built", "unused")
# Per landform: class shares in the order of _SHARE_KEYS (rough figures of Chinese county types, chosen to
# span what a county can look like) and relief in metres over a 5 km window.
_LANDFORMS = {
    "plain": ((0.62, 0.04, 0.07, 0.05, 0.05, 0.14, 0.03), 15.0),
    "hills": ((0.36, 0.09, 0.34, 0.08, 0.04, 0.07, 0.02), 160.0),
    "mountains": ((0.12, 0.05, 0.60, 0.14, 0.02, 0.03, 0.04), 520.0),
    "lakes": ((0.36, 0.05, 0.12, 0.09, 0.25, 0.10, 0.03), 20.0),
    "dryland": ((0.24, 0.03, 0.06, 0.42, 0.02, 0.05, 0.18), 110.0),
    "orchards": ((0.26, 0.28, 0.20, 0.09, 0.04, 0.09, 0.04), 110.0),
    "urban_fringe": ((0.40, 0.06, 0.10, 0.07, 0.06, 0.27, 0.04), 35.0),
}
_CLIMATES = {
    "plain": ("rice", "wheat", "wheat"),
    "hills": ("rice", "rice", "wheat"),
    "mountains": ("rice", "maize"),
    "lakes": ("rice",),
    "dryland": ("maize", "maize", "wheat"),
    "orchards": ("rice", "wheat", "maize"),
    "urban_fringe": ("rice", "wheat"),
}
_CROP_MIX = {
    "rice": {
        Crop.RICE: 0.38,
        Crop.RAPESEED_RICE: 0.30,
        Crop.MAIZE: 0.08,
        Crop.VEGETABLES: 0.14,
        Crop.GREENHOUSE: 0.03,
        Crop.FALLOW: 0.07,
    },
    "wheat": {
        Crop.WHEAT_MAIZE: 0.58,
        Crop.MAIZE: 0.14,
        Crop.VEGETABLES: 0.14,
        Crop.GREENHOUSE: 0.06,
        Crop.FALLOW: 0.08,
    },
    "maize": {
        Crop.MAIZE: 0.58,
        Crop.WHEAT_MAIZE: 0.10,
        Crop.VEGETABLES: 0.10,
        Crop.GREENHOUSE: 0.03,
        Crop.FALLOW: 0.19,
    },
}
# Latitude range in degrees north and soil materials (see spectra.MATERIALS) that go with each climate.
_LATITUDES = {"rice": (24.0, 32.0), "wheat": (32.0, 37.0), "maize": (34.0, 41.0)}
_SOILS = {
    "rice": ("soil_red", "soil_brown"),
    "wheat": ("soil_brown", "soil_loess"),
    "maize": ("soil_loess", "soil_black"),
}
# Syllables of invented names: Chinese, English.
_FIRST = "青Qing 云Yun 石Shi 龙Long 白Bai 清Qing 柳Liu 松Song 金Jin 双Shuang 高Gao 新Xin 大Da 永Yong".split()
_LAST = "溪xi 坪ping 河he 桥qiao 滩tan 岭ling 塘tang 湾wan 口kou 台tai 坝ba 沟gou 泉quan 店dian".split()


@dataclass(frozen=True)
class CountyProfile:
    """Everything about a county that does not depend on its size or dates.

    Attributes:
        landform: key of the landform that the figures were drawn around.
        climate: "rice", "wheat" or "maize" cropping.
        shares: wanted share of each land class, summing to 1.
        relief_m: height range over 5 km.
        field_m: mean length and width of a parcel.
        contour_fields: how strongly field rows follow the contours (0 straight).
        crop_mix: probability of each crop on a parcel.
        latitude: degrees north; sets the sun.
        soil: key of spectra.MATERIALS.
        season_shift_days: how much later spring comes than in the calendars.
        name_zh: invented county name.
        name_en: the same in English.
        towns: names of townships, (Chinese, English).
    """

    landform: str
    climate: str
    shares: dict[str, float]
    relief_m: float
    field_m: tuple[float, float]
    contour_fields: float
    crop_mix: dict[Crop, float]
    latitude: float
    soil: str
    season_shift_days: float
    name_zh: str
    name_en: str
    towns: tuple[tuple[str, str], ...]


def draw_profile(seed: int) -> CountyProfile:
    """Draw the profile of a county.

    Args:
        seed: non-negative integer; equal seeds give equal profiles.

    Returns:
        The profile.
    """
    rng = np.random.default_rng([seed, 1])
    landform = str(rng.choice(list(_LANDFORMS)))
    base, relief_m = _LANDFORMS[landform]
    shares = np.array(base) * np.exp(rng.normal(0.0, 0.3, len(base)))
    shares /= shares.sum()
    climate = str(rng.choice(_CLIMATES[landform]))
    relief_m *= float(np.exp(rng.normal(0.0, 0.25)))
    width_m = float(rng.uniform(28.0, 60.0) * (0.75 if relief_m > 80 else 1.0))
    names = [(a[0] + b[0], a[1:] + b[1:]) for a in _FIRST for b in _LAST]
    picked = [names[i] for i in rng.choice(len(names), 9, replace=False)]
    low, high = _LATITUDES[climate]
    return CountyProfile(
        landform=landform,
        climate=climate,
        shares={key: float(value) for key, value in zip(_SHARE_KEYS, shares, strict=True)},
        relief_m=relief_m,
        field_m=(width_m * float(rng.uniform(1.8, 3.5)), width_m),
        contour_fields=float(min(relief_m / 60.0, 3.0)),
        crop_mix=_CROP_MIX[climate],
        latitude=float(rng.uniform(low, high)),
        soil=str(rng.choice(_SOILS[climate])),
        season_shift_days=float((low - 28.0) + rng.normal(0.0, 4.0)),
        name_zh=picked[0][0] + "县",
        name_en=picked[0][1] + " County",
        towns=tuple((zh + "镇", en + " Town") for zh, en in picked[1:]),
    )
