"""The rough cloud screen on spectra whose kind is known, and on scenes known to be clear or clouded."""

import numpy as np
import pytest

from src.geo.blocks import Block
from src.geo.raster import read_raster
from src.geo.scene import CLEAR, CLOUD, NO_DATA, SNOW
from src.geo.scenes.cloud_screen import halo_px, screen_clouds

ROLES = ("blue", "green", "red", "nir", "swir1", "swir2")
# Typical reflectance of ROLES at the top of the atmosphere.
SPECTRA = {
    "cloud": (0.45, 0.44, 0.45, 0.52, 0.40, 0.30),
    "thin cloud": (0.22, 0.20, 0.19, 0.33, 0.22, 0.14),
    "snow": (0.80, 0.78, 0.76, 0.70, 0.10, 0.06),
    "forest": (0.08, 0.06, 0.04, 0.30, 0.12, 0.05),
    "rape in flower": (0.10, 0.16, 0.13, 0.42, 0.22, 0.12),
    "dry soil": (0.14, 0.17, 0.22, 0.30, 0.38, 0.33),
    "clear water": (0.08, 0.06, 0.03, 0.02, 0.01, 0.01),
    "muddy water": (0.13, 0.15, 0.15, 0.08, 0.02, 0.01),
    "town": (0.15, 0.15, 0.16, 0.22, 0.23, 0.20),
}
EXPECTED = {"cloud": CLOUD, "thin cloud": CLOUD, "snow": SNOW}


def even(name: str, side: int = 9) -> dict[str, np.ndarray]:
    return {role: np.full((side, side), value, np.float32) for role, value in zip(ROLES, SPECTRA[name], strict=True)}


@pytest.mark.parametrize("name", SPECTRA)
def test_known_spectra(name):
    # The middle: the opening eats the border of a window.
    assert screen_clouds(even(name), 30.0)[4, 4] == EXPECTED.get(name, CLEAR)


def test_a_white_roof_is_no_cloud_but_a_cloud_takes_its_rim():
    """A spot of two pixels is dropped; one of five pixels is kept and grown by 100 m, ten pixels of 10 m."""
    bands = even("forest", 41)
    for role, value in zip(ROLES, SPECTRA["cloud"], strict=True):
        bands[role][2:4, 2:4] = value
        bands[role][18:23, 18:23] = value
    codes = screen_clouds(bands, 10.0)
    assert codes[2, 2] == CLEAR and (codes[18:23, 18:23] == CLOUD).all()
    assert codes[20, 32] == CLOUD and codes[20, 33] == CLEAR


def test_what_was_not_measured_is_no_data():
    bands = even("cloud")
    bands["green"][4, 4] = np.nan
    assert screen_clouds(bands, 30.0)[4, 4] == NO_DATA


def test_blocks_with_their_halo_fit_together():
    rng = np.random.default_rng(0)
    bands = even("forest", 60)
    for row, col in rng.integers(0, 52, (6, 2)):
        for role, value in zip(ROLES, SPECTRA["cloud"], strict=True):
            bands[role][row : row + 7, col : col + 7] = value
    whole = screen_clouds(bands, 10.0)
    assert 0 < (whole == CLOUD).mean() < 1
    block = Block(20, 10, 23, 30)
    outer = block.grown(halo_px(10.0), whole.shape)
    part = screen_clouds({role: band[outer.slices] for role, band in bands.items()}, 10.0)
    assert np.array_equal(part[block.inside(outer)], whole[block.slices])


@pytest.mark.parametrize(
    ("day", "low", "high"),
    [("20150711", 0.0, 0.01), ("20150731_cloudy", 0.85, 1.0), ("20150830", 0.0, 0.01), ("20150909", 0.0, 0.01)],
)
def test_real_scenes_known_to_be_clear_or_clouded(test_data, day, low, high):
    data = read_raster(test_data / "slovenia_s2_2015" / f"slovenia_S2L1C_{day}.tif").data.astype(np.float32) * 1e-4
    bands = {role: data[index] for role, index in zip(ROLES, (1, 2, 3, 7, 11, 12), strict=True)}
    assert low <= (screen_clouds(bands, 10.0) == CLOUD).mean() <= high
