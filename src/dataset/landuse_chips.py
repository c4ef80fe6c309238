"""Chips of a place: a lattice of squares, split by blocks of land, with pictures and facts.

Chips never overlap. The lattice is made of square blocks of chips with a strip of GAP_SHARE of a
chip between neighbouring blocks. A whole block goes to one split, so pixels of different splits are
never the same and never closer than that strip.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from src.constants import NODATA_CLASS
from src.dataset.landuse_places import DatedScene, Place
from src.dataset.landuse_questions import ChipFacts, chip_facts
from src.errors import InputError
from src.geo.grid import Raster
from src.geo.raster import write_raster

# Width of the strip between blocks, in chips: half a chip costs less land than a whole one and is
# wider than what resampling or a mixed pixel can carry across.
GAP_SHARE = 0.5
LARGEST_BLOCK = 4
# Blocks wanted per split, so that a split is more than one corner of the place.
BLOCKS_PER_SPLIT = 3
# As small as a class that is not asked about: a cloud cannot hide an answer.
MAX_UNCLEAR_SHARE = 0.02
# Labels cover a chip from this labelled share on; between the two, only where the user vouches.
COMPLETE_SHARE = 0.98
VOUCHED_SHARE = 0.5


@dataclass(frozen=True)
class Chip:
    """A square of ``size`` source pixels at (row, col) of a place, assigned to a split."""

    row: int
    col: int
    size: int
    split: str

    @property
    def window(self) -> tuple[slice, slice]:
        """Rows and columns in the source arrays."""
        return slice(self.row, self.row + self.size), slice(self.col, self.col + self.size)

    @property
    def name(self) -> str:
        """Position in source pixels, unique within the place."""
        return f"r{self.row:05d}c{self.col:05d}"


def usable(scene: DatedScene, window: tuple[slice, slice]) -> bool:
    """Whether a chip at one date is free of cloud and nodata and carries any label."""
    clear = np.count_nonzero(scene.clear[window]) >= (1 - MAX_UNCLEAR_SHARE) * scene.clear[window].size
    return bool(clear and np.any(scene.labels[window] != NODATA_CLASS))


def lattice(shape_hw: tuple[int, int], size: int, block: int | None) -> list[tuple[int, int, int, int]]:
    """Chip positions as (block row, block column, row, column).

    Args:
        shape_hw: source pixels.
        size: chip side in source pixels.
        block: chips per block side, separated by the gap; None for one lattice without gaps.
    """

    run = block or max(shape_hw)
    pitch = run * size + int(np.ceil(GAP_SHARE * size))

    def axis(length: int) -> list[tuple[int, int]]:
        starts = [(first // pitch, first + i * size) for first in range(0, length, pitch) for i in range(run)]
        return [(index, start) for index, start in starts if start + size <= length]

    rows, cols = axis(shape_hw[0]), axis(shape_hw[1])
    return [(block_row, block_col, row, col) for block_row, row in rows for block_col, col in cols]


def place_chips(
    place: Place, size: int, shares: Mapping[str, float], rng: np.random.Generator
) -> tuple[list[Chip], int]:
    """Cut a place into chips and give whole blocks of them to the splits.

    Args:
        place: scenes on one grid.
        size: chip side in source pixels.
        shares: split -> wanted share of the chips, all above 0.
        rng: shuffles the blocks.

    Returns:
        The chips that are usable at one date at least, and the number left out as cloudy, invalid
        or unlabelled at every date.

    Raises:
        InputError: the place holds no whole chip, or too few blocks for the splits.
    """
    height, width = place.grid.shape_hw
    if min(height, width) < size:
        raise InputError(f"{place.name}: {width} x {height} px hold no chip of {size} px; lower --chip_px")
    wanted = BLOCKS_PER_SPLIT * len(shares)
    for block in range(LARGEST_BLOCK, 0, -1) if len(shares) > 1 else (None,):
        spots = lattice((height, width), size, block)
        blocks = defaultdict(list)
        for block_row, block_col, row, col in spots:
            if _any_usable(place, row, col, size):
                blocks[block_row, block_col].append((row, col))
        if len(blocks) >= (wanted if block and block > 1 else len(shares)):
            owner = assign_blocks({key: len(found) for key, found in blocks.items()}, shares, rng)
            chips = [Chip(row, col, size, owner[key]) for key, found in blocks.items() for row, col in found]
            return chips, len(spots) - len(chips)
    raise InputError(
        f"{place.name}: {len(blocks)} usable blocks of {size} px chips for {len(shares)} splits; "
        "lower --chip_px, or give the whole place to one split with --only_split"
    )


def _any_usable(place: Place, row: int, col: int, size: int) -> bool:
    window = Chip(row, col, size, "").window
    return any(usable(scene, window) for scene in place.scenes)


def assign_blocks(
    sizes: Mapping[tuple[int, int], int], shares: Mapping[str, float], rng: np.random.Generator
) -> dict[tuple[int, int], str]:
    """Give each block to the split that lacks most; every split gets one at least.

    Args:
        sizes: block -> number of chips.
        shares: split -> wanted share, not necessarily summing to 1.
        rng: order in which blocks are handed out.
    """
    keys = sorted(sizes)
    rng.shuffle(keys)
    total, weight = sum(sizes.values()), sum(shares.values())
    missing = {split: share / weight * total for split, share in shares.items()}
    without = sorted(shares, key=lambda split: missing[split])
    owner = {}
    for key in keys:
        split = without.pop() if without else max(missing, key=lambda name: missing[name])
        owner[key] = split
        missing[split] -= sizes[key]
    return owner


def facts_at(place: Place, scene: DatedScene, chip: Chip) -> ChipFacts:
    """Facts of a chip at one date, with the place's word on whether labels are complete."""
    labels = scene.labels[chip.window]
    labelled = np.count_nonzero(labels != NODATA_CLASS) / labels.size
    least = COMPLETE_SHARE if place.complete is None else VOUCHED_SHARE
    complete = place.complete is not False and bool(labelled >= least)
    return chip_facts(labels, place.pixel_areas_m2[chip.window], complete)


def write_chip(path: Path, place: Place, scene: DatedScene, chip: Chip, render_px: int) -> None:
    """Write a chip as a georeferenced uint8 RGB GeoTIFF of render_px a side.

    Integer magnification repeats pixels (no invented detail); any other factor is bilinear.
    """
    rgb = scene.rgb[chip.window]
    if render_px % chip.size == 0:
        factor = render_px // chip.size
        rgb = rgb.repeat(factor, axis=0).repeat(factor, axis=1)
    else:
        rgb = np.asarray(Image.fromarray(rgb).resize((render_px, render_px), Image.Resampling.BILINEAR))
    grid = place.grid.window(chip.row, chip.col, chip.size, chip.size).resized((render_px, render_px))
    valid = np.ones((render_px, render_px), dtype=bool)
    write_raster(path, Raster(rgb.transpose(2, 0, 1), valid, grid, ("red", "green", "blue"), date=scene.date))
