"""What the land-cover classifier sees of a pixel: its bands, contrasts between them, and its near surroundings.

Bands enter as logarithms, so that sunlit and shaded slopes of one cover differ
by a shift; contrasts are the normalised differences of ``src.geo.cover.indices``;
surroundings are mean (all bands) and spread (red, near and shortwave infrared)
over 5 x 5 clear pixels. Chosen by spatially blocked cross-validation on the
real and simulated scenes of ``evaluation.benchmarks.landcover``.
"""

import numpy as np
from numpy.typing import NDArray

from src.geo.blocks import Block
from src.geo.cover.indices import INDICES, compute_index
from src.geo.scene import CORE_ROLES, Scene

_Floats = NDArray[np.float32]
# Pixels around a block that its features need.
HALO_PX = 2
_CONTRASTS = ("NDVI", "NDWI", "MNDWI", "NDBI", "NBR")
_SPREAD_ROLES = ("red", "nir", "swir1")
# Added before the logarithm, about the noise of dark pixels: reflectance, and raw digital numbers.
_LOG_OFFSET = {"reflectance": 0.01, "toa": 0.01, "dn": 1.0}


def feature_roles(roles: tuple[str, ...]) -> tuple[str, ...]:
    """The bands of a scene that features use, in the order of CORE_ROLES."""
    return tuple(role for role in CORE_ROLES if role in roles)


def feature_names(roles: tuple[str, ...]) -> tuple[str, ...]:
    """Names of the features of these bands, in order."""
    contrasts = [name for name in _CONTRASTS if set(INDICES[name].roles) <= set(roles)]
    spreads = [role for role in _SPREAD_ROLES if role in roles]
    return (
        *(f"log_{role}" for role in roles),
        *contrasts,
        *(f"mean_{role}" for role in roles),
        *(f"spread_{role}" for role in spreads),
    )


def point_features(
    scene: Scene, block: Block, rows: NDArray[np.integer], cols: NDArray[np.integer], roles: tuple[str, ...]
) -> tuple[_Floats, NDArray[np.bool_]]:
    """Features of single pixels of a block, to the last bit those of ``pixel_features``; clouds do not leak into them.

    Args:
        scene: where to read, with a halo.
        block: window.
        rows: (n,) of the pixels, in the block.
        cols: (n,) likewise.
        roles: from ``feature_roles``.

    Returns:
        (n, F) as ``feature_names``, and (n,) bool: seen clearly and measured in all bands. Elsewhere the features are
        finite but meaningless.
    """
    outer = block.grown(HALO_PX, scene.grid.shape_hw)
    bands, clear = scene.read(outer, roles), scene.clear(outer)
    reach = np.arange(-HALO_PX, HALO_PX + 1)
    down = (rows + (block.row - outer.row))[:, None] + reach
    right = (cols + (block.col - outer.col))[:, None] + reach
    inside = ((down >= 0) & (down < outer.height))[:, :, None] & ((right >= 0) & (right < outer.width))[:, None, :]
    place = np.clip(down, 0, outer.height - 1)[:, :, None], np.clip(right, 0, outer.width - 1)[:, None, :]
    # The surroundings of the pixels side by side, (B, 5, 5 n): what lies beyond the scene counts as not seen.
    side = len(reach)
    around = bands[:, place[0], place[1]].transpose(0, 2, 1, 3).reshape(len(bands), side, -1)
    seen = (clear[place] & inside).transpose(1, 0, 2).reshape(side, -1) & np.isfinite(around).all(0)
    features = pixel_features(around, seen, roles, scene.record.quantity)
    return np.ascontiguousarray(features[:, HALO_PX, HALO_PX::side].T), seen[HALO_PX, HALO_PX::side]


def pixel_features(bands: _Floats, seen: NDArray[np.bool_], roles: tuple[str, ...], quantity: str) -> _Floats:
    """Features of an array; its outermost two rows and columns see only the surroundings that it holds.

    Args:
        bands: (B, h, w) float32.
        seen: (h, w), pixels whose bands count.
        roles: of the bands.
        quantity: of the scene, one of QUANTITIES.

    Returns:
        (F, h, w) float32, finite.
    """
    offset = np.float32(_LOG_OFFSET[quantity])
    positive = np.where(seen, np.maximum(bands, 0), 0)
    logs = np.log(positive + offset)
    logs *= seen
    by_role = dict(zip(roles, positive, strict=True))
    contrasts = [
        np.nan_to_num(compute_index(name, by_role)) for name in _CONTRASTS if set(INDICES[name].roles) <= set(roles)
    ]
    count = np.maximum(_box_sum(seen.astype(np.float32)), 1)
    means = np.stack([_box_sum(band) / count for band in logs])
    spreads = []
    for role in _SPREAD_ROLES:
        if role in roles:
            index = roles.index(role)
            squares = _box_sum(logs[index] ** 2) / count - means[index] ** 2
            spreads.append(np.sqrt(np.maximum(squares, 0)))
    return np.concatenate([logs, *(part[None] for part in contrasts), means, *(part[None] for part in spreads)])


def _box_sum(values: _Floats) -> _Floats:
    """Sum over 5 x 5 pixels, 0 beyond the edges; sums in one order, so equal windows give equal bits."""
    height, width = values.shape
    padded = np.pad(values, ((HALO_PX, HALO_PX), (0, 0)))
    tall = padded[:height].copy()
    for step in range(1, 2 * HALO_PX + 1):
        tall += padded[step : step + height]
    padded = np.pad(tall, ((0, 0), (HALO_PX, HALO_PX)))
    total = padded[:, :width].copy()
    for step in range(1, 2 * HALO_PX + 1):
        total += padded[:, step : step + width]
    return total
