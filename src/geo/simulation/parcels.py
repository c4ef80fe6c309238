"""Field parcels: blocks of uneven bricks that follow roads, ditches and contours."""

from dataclasses import dataclass

import numpy as np

from src.geo.simulation.cover import Crop
from src.geo.simulation.noise import bricks, fractal_noise, hash01, voronoi_blocks
from src.geo.simulation.profile import CountyProfile
from src.geo.simulation.terrain import Frame

# Share of parcels that keep their crop from one year to the next; the rest draw again.
_KEEP_CROP = 0.7


# Rows and columns of chosen cells, as np.nonzero gives them.
Cells = tuple[np.ndarray, ...]


@dataclass(frozen=True)
class Parcels:
    """A division of the whole scene into parcels (used or not).

    Attributes:
        index: int32 (n, n), parcel of each cell, 0..count-1.
        block_edge_m: float32 (n, n), distance to the nearest edge of the parcel's block.
        boundary: bool (n, n), cells that touch another parcel.
        u_m: float32 (n, n), metres along the rows of the block.
        v_m: float32 (n, n), metres across them.
        block: int32 (count,), block number of each parcel.
        cells: int64 (count,), cells in each parcel.
        centre_m: float64 (count, 2), mean x and y in local metres.
    """

    index: np.ndarray
    block_edge_m: np.ndarray
    boundary: np.ndarray
    u_m: np.ndarray
    v_m: np.ndarray
    block: np.ndarray
    cells: np.ndarray
    centre_m: np.ndarray

    @property
    def count(self) -> int:
        """Number of parcels."""
        return len(self.cells)

    def mean(self, field: np.ndarray) -> np.ndarray:
        """Mean of a fine field per parcel, float64 (count,)."""
        return np.bincount(self.index.ravel(), field.ravel(), self.count) / self.cells


def divide(
    profile: CountyProfile, frame: Frame, elevation_m: np.ndarray, seed: int, rng: np.random.Generator
) -> Parcels:
    """Divide the scene into parcels.

    Args:
        profile: gives the mean field size and how far rows bend along contours.
        frame: the fine grid.
        elevation_m: float32 (n, n).
        seed: salt of the hashes.
        rng: source of the noise that bends block edges.

    Returns:
        The parcels.
    """
    x, y = frame.xy()
    scale = frame.unit
    spacing_m = min(430.0 * scale, frame.side_m / 3)
    bend = fractal_noise(rng, frame.n, frame.cell_m, 500.0 * scale, slope=2.6, shortest_m=40.0 * scale)
    block_x, block_y = x + bend * np.float32(0.10 * spacing_m), y - bend * np.float32(0.08 * spacing_m)
    block, edge_m = voronoi_blocks(block_x, block_y, spacing_m, salt=seed)
    # Neighbouring blocks turn alike: half of the angle is regional, half is their own.
    regional = float(hash01(seed + 5, np.array([0]))[0])
    numbers = np.arange(int(block.max()) + 1, dtype=np.int32)
    angle = np.pi * (regional + 0.35 * (hash01(seed + 6, numbers) - 0.5)).astype(np.float32)
    cos, sin = np.cos(angle)[block], np.sin(angle)[block]
    u_m = (x * cos + y * sin).astype(np.float32)
    contour = np.float32(profile.contour_fields) * elevation_m
    v_m = (y * cos - x * sin + contour + bend * np.float32(6.0 * scale)).astype(np.float32)
    size = (0.7 + 0.7 * hash01(seed + 8, numbers)).astype(np.float32)[block] * np.float32(scale)
    length_m, width_m = profile.field_m
    row, column = bricks(u_m, v_m, size * np.float32(length_m), size * np.float32(width_m), seed + 11, block)
    key = block.astype(np.int64) << 40
    key += ((row & 0xFFFFF).astype(np.int64) << 20) + (column & 0xFFFFF)
    names, flat = np.unique(key.ravel(), return_inverse=True)
    index = flat.reshape(key.shape).astype(np.int32)
    cells = np.bincount(flat, minlength=len(names))
    centre = [np.bincount(flat, np.broadcast_to(axis, key.shape).ravel(), len(names)) / cells for axis in (x, y)]
    return Parcels(
        index=index,
        block_edge_m=edge_m,
        boundary=_boundary(index),
        u_m=u_m,
        v_m=v_m,
        block=(names >> 40).astype(np.int32),
        cells=cells,
        centre_m=np.stack(centre, axis=1),
    )


def _boundary(index: np.ndarray) -> np.ndarray:
    """Cells whose right or lower neighbour is in another parcel: a line one cell wide."""
    edge = np.zeros(index.shape, bool)
    edge[:, :-1] |= index[:, :-1] != index[:, 1:]
    edge[:-1, :] |= index[:-1, :] != index[1:, :]
    return edge


def crops_in_year(profile: CountyProfile, parcels: Parcels, year: int, seed: int) -> np.ndarray:
    """Crop of every parcel in a crop year.

    Args:
        profile: gives the probability of each crop.
        parcels: neighbours in a block often grow the same.
        year: crop year; it begins with the autumn sowing of the year before.
        seed: salt of the hashes.

    Returns:
        uint8 (count,) of Crop codes.
    """
    crops = np.array([int(c) for c in profile.crop_mix], np.uint8)
    limits = np.cumsum(list(profile.crop_mix.values()))
    number = np.arange(parcels.count)
    rotated = hash01(seed + 21, number, np.array([year])) > _KEEP_CROP
    alone = hash01(seed + 22, number, np.where(rotated, year, 0))
    # Half of the parcels follow their block's leading crop.
    shared = hash01(seed + 23, parcels.block)
    draw = np.where((hash01(seed + 24, number) < 0.5) & ~rotated, shared, alone)
    chosen = crops[np.minimum(np.searchsorted(limits / limits[-1], draw, side="right"), len(crops) - 1)]
    # Greenhouses stay where they are.
    greenhouse = hash01(seed + 25, number) < profile.crop_mix.get(Crop.GREENHOUSE, 0.0)
    moved = np.where(chosen == Crop.GREENHOUSE, np.uint8(Crop.VEGETABLES), chosen)
    return np.where(greenhouse, np.uint8(Crop.GREENHOUSE), moved).astype(np.uint8)
