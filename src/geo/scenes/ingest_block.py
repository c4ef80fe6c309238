"""One block of a scene: numbers read from band files, scaled, laid on the scene's grid, and masked."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from src.geo.blocks import Block
from src.geo.grid import Grid
from src.geo.raster import read_onto, read_raster
from src.geo.scene import CLEAR, NO_DATA, REFLECTANCE_NODATA, REFLECTANCE_SCALE, SATURATED
from src.geo.scenes.cloud_screen import halo_px, screen_clouds
from src.geo.scenes.product import BandFile, Product
from src.geo.scenes.quality import SCL_MARGIN_M, decode_quality, widen
from src.geo.untrusted import guarded_gdal

# Reflectance below this is no measurement: an undeclared fill such as -9999 scaled by 0.0001.
_LOWEST_REFLECTANCE = -0.5
# Pixels this much larger than the scene's are interpolated; others are moved to the nearest.
_COARSER = 1.01


@dataclass(frozen=True)
class SourceBand:
    """A band file with the facts of its header: its grid, and its declared nodata."""

    file: BandFile
    grid: Grid
    nodata: float | None


@dataclass(frozen=True)
class Plan:
    """All that a worker needs to make one block.

    Args:
        product: what is ingested.
        grid: of the scene, north-up.
        bands: in the order of the scene's roles.
        pixel_m: side of a pixel, metres.
        mask_source: as in SceneRecord.
    """

    product: Product
    grid: Grid
    bands: tuple[SourceBand, ...]
    pixel_m: float
    mask_source: str


@dataclass(frozen=True)
class DoneBlock:
    """One block of a scene: stored numbers (B, h, w), codes of MASK_CODES (h, w), and its pixel counts."""

    block: Block
    bands: NDArray[np.int16] | NDArray[np.float32]
    mask: NDArray[np.uint8]
    measured: int
    clear: int


def make_block(plan: Plan, block: Block) -> DoneBlock:
    """Bands and mask of one block; reads as much around it as the mask depends on.

    The mask says no data wherever a band misses, and saturated only where it would else say clear.
    """
    with guarded_gdal():
        outer = block.grown(halo_px(plan.pixel_m), plan.grid.shape_hw) if plan.mask_source == "screen" else block
        values, saturated = _read_bands(plan, outer)
        inside = block.inside(outer)
        codes = _screened(plan, values)[inside] if plan.mask_source == "screen" else _quality_codes(plan, block)
        own = values[:, *inside]
        codes[(codes == CLEAR) & (saturated[inside] | _radsat(plan, block))] = SATURATED
        codes[~np.isfinite(own).all(axis=0)] = NO_DATA
    out = own if plan.product.quantity == "dn" else encode_reflectance(own)
    return DoneBlock(block, out, codes, int((codes != NO_DATA).sum()), int((codes == CLEAR).sum()))


def encode_reflectance(values: NDArray[np.float32]) -> NDArray[np.int16]:
    """Reflectance as int16 times 10000, clipped to what int16 holds; NaN becomes REFLECTANCE_NODATA."""
    numbers = np.clip(np.rint(values.astype(np.float64) * REFLECTANCE_SCALE), REFLECTANCE_NODATA + 1, 32767)
    return np.where(np.isnan(numbers), REFLECTANCE_NODATA, numbers).astype(np.int16)


def _read_bands(plan: Plan, block: Block) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """(B, h, w) values with NaN where nothing was measured, and (h, w) where some band is saturated."""
    shape = (block.height, block.width)
    values = np.empty((len(plan.bands), *shape), np.float32)
    saturated, some = np.zeros(shape, bool), np.zeros(shape, bool)
    product = plan.product
    lowest = 0.0 if product.quantity == "dn" else _LOWEST_REFLECTANCE
    for out, band in zip(values, plan.bands, strict=True):
        numbers = _read_band(plan, band, block)
        with np.errstate(invalid="ignore"):
            some |= numbers != 0
            if product.saturated is not None:
                saturated |= numbers >= product.saturated
            scaled = numbers * band.file.scale + band.file.offset
            out[...] = np.where(scaled >= lowest, scaled, np.nan)
    if product.zero_is_empty:
        values[:, ~some] = np.nan
    return values, saturated


def _read_band(plan: Plan, band: SourceBand, block: Block) -> NDArray[np.float64]:
    """(h, w) stored numbers on the scene's grid, NaN where there is no measurement."""
    if band.grid.same_as(plan.grid):
        return _numbers(plan, band, block)
    # Both grids are upright and share a CRS: rows and columns of the source follow from y and x alone.
    target = plan.grid.window(*block.window)
    to_source = ~band.grid.transform
    rows = to_source.e * (target.transform.f + target.transform.e * (np.arange(block.height) + 0.5)) + to_source.f
    cols = to_source.a * (target.transform.c + target.transform.a * (np.arange(block.width) + 0.5)) + to_source.c
    height, width = band.grid.shape_hw
    out_rows, out_cols = (rows < 0) | (rows >= height), (cols < 0) | (cols >= width)
    if out_rows.all() or out_cols.all():
        return np.full((block.height, block.width), np.nan)
    top, bottom = _span(rows, height)
    left, right = _span(cols, width)
    numbers = _numbers(plan, band, Block(top, left, bottom - top, right - left))
    smooth = abs(band.grid.transform.a) > _COARSER * abs(plan.grid.transform.a)
    for axis, places in ((0, rows - top), (1, cols - left)):
        numbers = _interpolate(numbers, places, axis) if smooth else _nearest(numbers, places, axis)
    numbers[out_rows] = np.nan
    numbers[:, out_cols] = np.nan
    return numbers


def _numbers(plan: Plan, band: SourceBand, block: Block) -> NDArray[np.float64]:
    """Stored numbers of a window of the file, NaN where it declares or the product knows no measurement."""
    raster = read_raster(band.file.path, window=block.window, bands=[band.file.index])
    missing = ~raster.valid
    for nodata in (plan.product.fill, band.nodata):
        if nodata is not None:
            missing |= raster.data[0] == nodata
    return np.where(missing, np.nan, raster.data[0].astype(np.float64))


def _span(places: NDArray[np.float64], size: int) -> tuple[int, int]:
    """First and last + 1 source pixel that these places (pixel edges at whole numbers) and their neighbours touch."""
    low, high = float(places.min()), float(places.max())
    return max(0, min(size - 1, int(np.floor(low - 0.5)))), max(1, min(size, int(np.floor(high + 0.5)) + 1))


def _nearest(numbers: NDArray[np.float64], places: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    index = np.clip(np.floor(places).astype(np.intp), 0, numbers.shape[axis] - 1)
    return np.take(numbers, index, axis=axis)


def _interpolate(numbers: NDArray[np.float64], places: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    """Linear between pixel centres along one axis, constant beyond the outermost; NaN where either neighbour is."""
    last = numbers.shape[axis] - 1
    centres = np.clip(places - 0.5, 0, last)
    low = np.floor(centres).astype(np.intp)
    weight = centres - low
    weight = weight[:, None] if axis == 0 else weight[None, :]
    before = np.take(numbers, low, axis=axis)
    after = np.take(numbers, np.minimum(low + 1, last), axis=axis)
    return np.where(weight > 0, before * (1 - weight) + after * weight, before)


def _screened(plan: Plan, values: NDArray[np.float32]) -> NDArray[np.uint8]:
    roles = [band.file.role for band in plan.bands]
    return screen_clouds(dict(zip(roles, values, strict=True)), plan.pixel_m)


def _quality_codes(plan: Plan, block: Block) -> NDArray[np.uint8]:
    """Codes of MASK_CODES of a block from the quality layer; all clear where there is none."""
    quality = plan.product.quality
    if quality is None:
        return np.full((block.height, block.width), CLEAR, np.uint8)
    margin_px = SCL_MARGIN_M / plan.pixel_m if quality.kind == "SCL" else 0.0
    outer = block.grown(int(np.ceil(margin_px)), plan.grid.shape_hw)
    data, reached = read_onto(quality.path, plan.grid.window(*outer.window), bands=[quality.index])
    codes = widen(decode_quality(data[0], quality.kind), margin_px)
    codes[~reached] = NO_DATA
    return codes[block.inside(outer)]


def _radsat(plan: Plan, block: Block) -> NDArray[np.bool_]:
    saturation = plan.product.saturation
    if saturation is None:
        return np.zeros((block.height, block.width), bool)
    data, _ = read_onto(saturation.path, plan.grid.window(*block.window), bands=[0])
    return (data[0].astype(np.int64) & saturation.bits) != 0
