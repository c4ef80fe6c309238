"""Any other camera: values are used as stored, bands are found by role names.

A stack of four or more unnamed bands is taken as blue, green, red, near
infrared, ...: the order of Sentinel-2 10 m stacks, Landsat 4-7 stacks,
PlanetScope and Gaofen. Three unnamed bands are taken as red, green, blue.
"""

from src.geo.sensors.base import ROLES, Band, Sensor

GENERIC = Sensor(
    name="generic",
    bands=tuple(Band(role, role, None, None) for role in ROLES),
    scale=1.0,
    offset=0.0,
    nodata=None,
    natural=("red", "green", "blue"),
    false_colour=("nir", "red", "green"),
    source="the file's own metadata",
)
