"""Harmonized Landsat Sentinel-2 (HLS) v2.0: surface reflectance at 30 m on one grid, BRDF-adjusted.

L30 comes from Landsat 8-9, S30 from Sentinel-2. In S30 the narrow near
infrared (B8A) is the one that matches L30's B05, so it carries the role
"nir", and the wide one (B08) is "nir2".
"""

from dataclasses import replace

from src.geo.sensors.base import Band, Sensor

_SOURCE = "https://lpdaac.usgs.gov/documents/1698/HLS_User_Guide_V2.pdf"

HLS_L30 = Sensor(
    name="hls_l30",
    bands=(
        Band("B01", "coastal", 443, 30),
        Band("B02", "blue", 482, 30),
        Band("B03", "green", 562, 30),
        Band("B04", "red", 655, 30),
        Band("B05", "nir", 865, 30),
        Band("B06", "swir1", 1609, 30),
        Band("B07", "swir2", 2201, 30),
        Band("B09", "cirrus", 1373, 30),
        Band("B10", "thermal", 10895, 30, 0.01, 273.15),
    ),
    scale=0.0001,
    offset=0.0,
    nodata=-9999,
    natural=("B04", "B03", "B02"),
    false_colour=("B05", "B04", "B03"),
    source=_SOURCE,
    dtype="int16",
    # Fmask bits 1 cloud, 2 beside cloud or shadow, 3 shadow, 4 snow; bit 5 water and 6-7 aerosol hide nothing.
    qa_bad_bits=(1, 2, 3, 4),
    name_patterns=(r"(?<![A-Z0-9])HLS[._-]?L30",),
)
HLS_S30 = replace(
    HLS_L30,
    name="hls_s30",
    bands=(
        Band("B01", "coastal", 444, 30),
        Band("B02", "blue", 497, 30),
        Band("B03", "green", 560, 30),
        Band("B04", "red", 665, 30),
        Band("B05", "rededge1", 704, 30),
        Band("B06", "rededge2", 740, 30),
        Band("B07", "rededge3", 783, 30),
        Band("B08", "nir2", 835, 30),
        Band("B8A", "nir", 865, 30),
        Band("B09", "watervapour", 945, 30),
        Band("B10", "cirrus", 1374, 30),
        Band("B11", "swir1", 1614, 30),
        Band("B12", "swir2", 2202, 30),
    ),
    false_colour=("B8A", "B04", "B03"),
    name_patterns=(r"(?<![A-Z0-9])HLS[._-]?S30",),
)
