"""Rasters as 8-bit pictures for maps and chips: imagery in one stretch for both dates, land cover, change.

A picture is for looking: nothing is ever measured on it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.colors import to_rgb
from numpy.typing import NDArray

from src.constants import LAND_CLASSES
from src.errors import InputError
from src.geo.grid import Grid
from src.geo.raster import read_onto, read_raster
from src.geo.render import stretch_limits
from src.geo.scene import CLEAR, NO_DATA, REFLECTANCE_NODATA, REFLECTANCE_SCALE, Scene

# Roles shown as red, green and blue: true colour, and false colour with red vegetation.
COLOUR_SETS = {"true": ("red", "green", "blue"), "false": ("nir", "red", "green")}
# One palette for every map of classes: crops straw, woods green, water blue, built-up land red.
COVER_COLOURS = {
    1: "#F4E285",
    2: "#F2A65A",
    3: "#2E7D4F",
    4: "#A6D49F",
    5: "#4A90D9",
    6: "#D1495B",
    7: "#B8A48C",
}
NO_DATA_COLOUR, CHANGE_COLOUR, UNCHANGED_COLOUR = "#D5DCEB", "#E31A1C", "#BDBDBD"
_CHANGED = 2  # of change.tif: 0 no data, 1 unchanged


@dataclass(frozen=True)
class Stretch:
    """How values become colours, the same for every picture of a pair.

    Args:
        roles: bands shown as red, green and blue; one band three times is grey.
        limits: (black, white) per shown band, in reflectance or digital numbers.
    """

    roles: tuple[str, str, str]
    limits: tuple[tuple[float, float], ...]


def common_stretch(scenes: Sequence[Scene], colours: str = "true", max_side: int = 1024) -> Stretch:
    """Black and white at the 2nd and 98th percentile of the clear pixels of all scenes together.

    Args:
        scenes: both dates; of one quantity.
        colours: key of COLOUR_SETS; a scene without these bands is shown in its first three, or in grey.
        max_side: pixels of the longest side that are looked at.

    Raises:
        InputError: unknown colours; scenes without a common band, of several quantities, or without clear pixels.
    """
    if colours not in COLOUR_SETS:
        raise InputError(f"colours {colours!r}, expected one of {', '.join(COLOUR_SETS)}")
    if len({scene.record.quantity for scene in scenes}) != 1:
        raise InputError("scenes in reflectance and in digital numbers cannot share one stretch")
    common = [role for role in scenes[0].roles if all(role in scene.roles for scene in scenes)]
    if not common:
        raise InputError("the scenes have no band in common to show")
    roles = COLOUR_SETS[colours]
    if not set(roles) <= set(common):
        roles = (common[0], common[1], common[2]) if len(common) > 2 else (common[0],) * 3
    samples = []
    for scene in scenes:
        values, mask = _read_values(scene, thinned_grid(scene.grid, max_side), roles)
        samples.append(values[:, (mask == CLEAR) & np.isfinite(values).all(axis=0)])
    pixels = np.concatenate(samples, axis=1)[:, np.newaxis]
    limits = stretch_limits(pixels, np.ones(pixels.shape[1:], dtype=np.bool_))
    return Stretch(roles, tuple((float(black), float(white)) for black, white in limits))


def thinned_grid(grid: Grid, max_side: int) -> Grid:
    """The grid over the same ground with at most so many pixels a side."""
    height, width = grid.shape_hw
    shrink = max(1.0, max(height, width) / max_side)
    return grid.resized((max(1, round(height / shrink)), max(1, round(width / shrink))))


def scene_picture(scene: Scene, grid: Grid, stretch: Stretch) -> NDArray[np.uint8]:
    """A scene on a grid as (H, W, 3) 8-bit colours; NO_DATA_COLOUR where nothing was measured."""
    values, mask = _read_values(scene, grid, stretch.roles)
    limits = np.array(stretch.limits)[:, :, np.newaxis, np.newaxis]
    black, white = limits[:, 0], limits[:, 1]
    shares = np.clip((values - black) / (white - black), 0.0, 1.0)
    gone = ~np.isfinite(values).all(axis=0) | (mask == NO_DATA)
    picture = np.nan_to_num(shares * 255.0 + 0.5).astype(np.uint8).transpose(1, 2, 0)
    return np.where(gone[..., np.newaxis], np.array(_rgb(NO_DATA_COLOUR), dtype=np.uint8), picture)


def cover_picture(codes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Class ids (H, W) in COVER_COLOURS, (H, W, 3); 0 in NO_DATA_COLOUR.

    Raises:
        InputError: other codes than 0 and those of LAND_CLASSES.
    """
    if codes.size and int(codes.max()) > max(LAND_CLASSES):
        raise InputError(f"class code {int(codes.max())}: a land cover raster holds 0 to {max(LAND_CLASSES)}")
    table = np.array([_rgb(NO_DATA_COLOUR), *(_rgb(COVER_COLOURS[code]) for code in LAND_CLASSES)], dtype=np.uint8)
    return np.asarray(table[codes])


def change_picture(
    codes: NDArray[np.uint8], grid: Grid, background: tuple[Scene, Stretch] | None = None
) -> NDArray[np.uint8]:
    """Codes of change.tif (0 no data, 1 unchanged, 2 changed) as (H, W, 3): red over a grey scene, or flat grey."""
    picture = np.full((*codes.shape, 3), _rgb(UNCHANGED_COLOUR), dtype=np.uint8)
    if background is not None:
        scene, stretch = background
        mean = scene_picture(scene, grid, stretch).astype(np.float64).mean(axis=2, keepdims=True)
        # Lightened, so that red and outlines stand out.
        picture[:] = (90 + 0.6 * mean).astype(np.uint8)
    picture[codes == 0] = _rgb(NO_DATA_COLOUR)
    picture[codes == _CHANGED] = _rgb(CHANGE_COLOUR)
    return picture


def _read_values(scene: Scene, grid: Grid, roles: Sequence[str]) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Bands (B, H, W), NaN where not measured, and the mask codes (H, W), nearest neighbour on any grid."""
    bands = [scene.roles.index(role) for role in roles]
    side = max(grid.shape_hw)
    if grid.same_as(thinned_grid(scene.grid, side)):
        # Takes the overviews, which the warper does not: 2 s against 60 s for a pair of Sentinel-2 tiles.
        stored = read_raster(scene.folder / "bands.tif", max_side=side, bands=bands).data
        mask = read_raster(scene.folder / "mask.tif", max_side=side).data[0]
    else:
        stored, _ = read_onto(scene.folder / "bands.tif", grid, bands=bands)
        codes, reached = read_onto(scene.folder / "mask.tif", grid)
        mask = np.where(reached, codes[0], NO_DATA).astype(np.uint8)
    values = stored.astype(np.float32)
    if scene.record.quantity != "dn":
        values[stored == REFLECTANCE_NODATA] = np.nan
        values /= np.float32(REFLECTANCE_SCALE)
    values[:, mask == NO_DATA] = np.nan
    return values, mask


def _rgb(colour: str) -> tuple[int, int, int]:
    red, green, blue = (round(255 * part) for part in to_rgb(colour))
    return red, green, blue
