"""How far two dates are apart, in pixels, from small tiles spread over the scene.

Each tile's shift comes from phase correlation (Guizar-Sicairos et al. 2008,
doi:10.1364/OL.33.000156, in scikit-image); the scene's shift is the median over
the tiles that agree, so that clouds, water and change do not steer it. Not
covered: rotation, scale and shifts that vary within the scene; their size shows
in what is still measured after the shift.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.registration import phase_cross_correlation

from src.geo.blocks import Block

# Twentieths of a pixel: finer than the 0.08-0.20 px that registered scenes still differ by
# (Skakun et al. 2017, doi:10.3390/rs9060520).
UPSAMPLE = 20
TILE_PX = 128
MAX_TILES = 64
# A tile takes part when at least this share of it was seen on both dates.
MIN_CLEAR_SHARE = 0.9
# Tiles whose best correlation after the shift is below this hold no common structure (water, cloud, noise).
MIN_CORRELATION = 0.3
# Beyond this the product is misplaced, not misregistered.
MAX_SHIFT_PX = 10.0


@dataclass(frozen=True)
class Shift:
    """Offset of the second date against the first.

    Attributes:
        row_col: pixels by which the second image must move down and right to lie on the first.
        apart: median length in pixels of the tiles' own shifts: what is left where nothing is done about it.
        tiles: tiles that took part; 0 where none could be used, with a shift of 0 that means nothing.
    """

    row_col: tuple[float, float]
    apart: float
    tiles: int

    @property
    def distance(self) -> float:
        """Length of the shift in pixels."""
        return float(np.hypot(*self.row_col))


def pick_tiles(shape_hw: tuple[int, int], side: int = TILE_PX, most: int = MAX_TILES) -> list[Block]:
    """Tiles on a regular lattice over a scene, overlapping by up to a half in small ones.

    Args:
        shape_hw: rows and columns of the scene.
        side: of a tile in pixels; smaller scenes are one tile.
        most: tiles at most, about.
    """
    height, width = shape_hw
    side_h, side_w = min(side, height), min(side, width)
    per_axis = max(1, int(most**0.5))
    rows, cols = (
        np.unique(np.linspace(0, length - tile, min(per_axis, 2 * length // tile - 1)).astype(int))
        for length, tile in ((height, side_h), (width, side_w))
    )
    return [Block(int(row), int(col), side_h, side_w) for row in rows for col in cols]


def tile_shift(first: np.ndarray, second: np.ndarray, valid: NDArray[np.bool_]) -> tuple[float, float] | None:
    """Shift of one tile.

    Args:
        first: (h, w) one band or mean of bands of the first date.
        second: (h, w) of the second date.
        valid: (h, w) bool, seen on both dates.

    Returns:
        (row, col) pixels that move the second onto the first; None where the tile cannot tell.
    """
    if valid.mean() < MIN_CLEAR_SHARE:
        return None
    images = [_edges(np.where(valid, image, image[valid].mean())) for image in (first, second)]
    if min(image.std() for image in images) == 0:
        return None
    shift, _, _ = phase_cross_correlation(images[0], images[1], upsample_factor=UPSAMPLE, normalization=None)
    if np.abs(shift).max() > MAX_SHIFT_PX:
        return None
    margin = int(np.ceil(np.abs(shift).max())) + 1
    moved = ndimage.shift(images[1], shift, order=1, mode="nearest")
    inner = (slice(margin, -margin),) * 2
    if np.corrcoef(images[0][inner].ravel(), moved[inner].ravel())[0, 1] < MIN_CORRELATION:
        return None
    return float(shift[0]), float(shift[1])


def combine_shifts(shifts: Sequence[tuple[float, float] | None]) -> Shift:
    """Median shift of the tiles; tiles far from it are left out and the median taken again.

    Args:
        shifts: from ``tile_shift``; None entries are skipped.
    """
    found = np.array([shift for shift in shifts if shift is not None], dtype=np.float64)
    if not len(found):
        return Shift((0.0, 0.0), 0.0, 0)
    middle = np.median(found, axis=0)
    distance = np.hypot(*(found - middle).T)
    # Three robust standard deviations (1.4826 median distance), and never less than the step of the search.
    kept = found[distance <= max(3 * 1.4826 * float(np.median(distance)), 1.0 / UPSAMPLE)]
    middle = np.median(kept, axis=0)
    return Shift((float(middle[0]), float(middle[1])), float(np.median(np.hypot(*kept.T))), len(kept))


def _edges(image: np.ndarray) -> np.ndarray:
    """Strength of edges, standardised and faded to zero at the border.

    Edges stay where they are when a field turns from green to brown, brightness does not.
    """
    values = image.astype(np.float64)
    strength = np.hypot(ndimage.sobel(values, axis=0), ndimage.sobel(values, axis=1))
    # A few bright roofs would otherwise decide alone.
    strength = np.minimum(strength, np.quantile(strength, 0.99))
    strength = (strength - strength.mean()) / (strength.std() or 1.0)
    fade = np.outer(np.hanning(image.shape[0]), np.hanning(image.shape[1]))
    return strength * fade
