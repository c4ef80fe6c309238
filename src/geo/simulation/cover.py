"""Cover types of the fine grid and the land class that each belongs to.

A cover type is what the ground is made of (a red roof, a flooded paddy); a land
class (``constants.LAND_CLASSES``) is what the truth rasters hold. Land-use rules
decide the doubtful ones: paths and greenhouses between fields are cropland, trees
and yards inside a settlement and open pits are built-up, and bare ground waiting
for a building is unused land until the building stands.
"""

from enum import IntEnum

import numpy as np

from src.constants import LAND_CLASS_IDS


class Cover(IntEnum):
    """Cover type of one fine cell (uint8)."""

    CROP = 0  # which crop, and its growth, comes from the parcel
    FIELD_PATH = 1
    ORCHARD_CANOPY = 2
    ORCHARD_FLOOR = 3
    YOUNG_ORCHARD = 4
    BROADLEAF = 5
    CONIFER = 6
    SHRUB = 7
    YOUNG_FOREST = 8
    GRASS = 9
    DRY_GRASS = 10
    RIVER = 11
    LAKE = 12
    POND = 13
    ROOF_RED = 14
    ROOF_GREY = 15
    ROOF_BLUE = 16
    ROOF_WHITE = 17
    CONCRETE = 18
    ASPHALT = 19
    TOWN_GREEN = 20
    QUARRY = 21
    BARE_SOIL = 22
    SAND = 23
    SALINE = 24
    ROCK = 25
    MUDFLAT = 26
    CONSTRUCTION = 27


class Crop(IntEnum):
    """What grows on a cropland parcel in one crop year."""

    RICE = 0
    RAPESEED_RICE = 1
    WHEAT_MAIZE = 2
    MAIZE = 3
    VEGETABLES = 4
    GREENHOUSE = 5
    FALLOW = 6


_CLASS_MEMBERS = {
    "cropland": (Cover.CROP, Cover.FIELD_PATH),
    "garden": (Cover.ORCHARD_CANOPY, Cover.ORCHARD_FLOOR, Cover.YOUNG_ORCHARD),
    "forest": (Cover.BROADLEAF, Cover.CONIFER, Cover.SHRUB, Cover.YOUNG_FOREST),
    "grassland": (Cover.GRASS, Cover.DRY_GRASS),
    "water": (Cover.RIVER, Cover.LAKE, Cover.POND),
    "built": (
        Cover.ROOF_RED,
        Cover.ROOF_GREY,
        Cover.ROOF_BLUE,
        Cover.ROOF_WHITE,
        Cover.CONCRETE,
        Cover.ASPHALT,
        Cover.TOWN_GREEN,
        Cover.QUARRY,
    ),
    "unused": (Cover.BARE_SOIL, Cover.SAND, Cover.SALINE, Cover.ROCK, Cover.MUDFLAT, Cover.CONSTRUCTION),
}


def _class_table() -> np.ndarray:
    table = np.zeros(len(Cover), np.uint8)
    for name, members in _CLASS_MEMBERS.items():
        table[list(members)] = LAND_CLASS_IDS[name]
    assert (table > 0).all()
    return table


# Index with a Cover code (or an array of them) to get the canonical class id.
CLASS_OF_COVER = _class_table()
