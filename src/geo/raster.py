"""Reading and writing rasters: the only place that opens raster files.

Reads GeoTIFF, JPEG 2000, ENVI, BMP, PNG and JPEG; each file is opened with
the one driver that its first bytes call for, so a virtual raster (VRT) cannot
pass as something else. Values come as stored: no scaling, no filling. Writes
tiled, deflated GeoTIFF by way of a temporary file, so a reader never sees half
a file.
"""

import os
import uuid
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock

import numpy as np
import pyproj
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio.enums import ColorInterp, MaskFlags, Resampling
from rasterio.errors import NotGeoreferencedWarning, RasterioIOError
from rasterio.vrt import WarpedVRT
from rasterio.windows import Window

from src.errors import GridError, InputError, MissingPathError, RasterReadError
from src.geo.blocks import Block
from src.geo.grid import Grid, Raster
from src.geo.sensors import (
    SENSORS,
    Sensor,
    band_from_name,
    baseline_from_name,
    date_from_name,
    detect_sensor,
    positional_names,
)

__all__ = [
    "BlockWriter",
    "Raster",
    "atomic_path",
    "block_writer",
    "read_grid",
    "read_onto",
    "read_raster",
    "write_raster",
]

# First bytes of a file -> GDAL driver; ENVI has none and is known by its header file.
_MAGIC = (
    (b"II*\x00", "GTiff"),
    (b"MM\x00*", "GTiff"),
    (b"II+\x00", "GTiff"),
    (b"MM\x00+", "GTiff"),
    (b"\x00\x00\x00\x0cjP  ", "JP2OpenJPEG"),
    (b"\xff\x4f\xff\x51", "JP2OpenJPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"\xff\xd8\xff", "JPEG"),
    (b"BM", "BMP"),
)
_DATE_TAG, _SENSOR_TAG, _BASELINE_TAG = "ACQUISITION_DATE", "SENSOR", "PROCESSING_BASELINE"
_TILE_PX = 512
_SMALLEST_OVERVIEW_PX = 256
_COLOURS = {ColorInterp.red: "red", ColorInterp.green: "green", ColorInterp.blue: "blue"}


def read_raster(
    path: str | Path,
    *,
    window: tuple[int, int, int, int] | None = None,
    max_side: int | None = None,
    bands: Sequence[int] | None = None,
) -> Raster:
    """Read a raster with its mask, grid, band names, date and sensor.

    Args:
        path: a local file.
        window: (row, col, height, width) in pixels; default all.
        max_side: longest side of the result in pixels; a larger file is thinned
            (nearest neighbour, or the file's own overviews) and its grid follows.
        bands: zero-based, in the order wanted, counted without the alpha band; default all.

    Returns:
        Values in the stored dtype. ``valid`` is False where the alpha band or
        the mask says so, or where all bands hold the declared nodata value or
        no finite number; an undeclared nodata value counts as a measurement.
        The alpha band itself is left out. A CRS without a transform (rational
        polynomials, ground control points) counts as no CRS.

    Raises:
        MissingPathError: there is no such file.
        InputError: it is not one of the formats above.
        GridError: the window reaches outside the file.
        RasterReadError: it cannot be opened or decoded.
    """
    path = Path(path)
    with _opened(path) as source:
        return _read_open(source, path, window, max_side, bands)


def read_grid(path: str | Path) -> tuple[Grid, tuple[str, ...]]:
    """Grid and band names of a raster, without reading its pixels; errors as of ``read_raster``."""
    path = Path(path)
    with _opened(path) as source:
        alpha = _alpha_bands(source)
        names, _ = _names_and_sensor(source, path, [band for band in source.indexes if band not in alpha])
        return Grid(_crs_of(source), source.transform, source.shape), names


def read_onto(
    path: str | Path, grid: Grid, *, resampling: str = "nearest", bands: Sequence[int] | None = None
) -> tuple[np.ndarray, NDArray[np.bool_]]:
    """Read a raster onto another grid (its window alone, not the whole file).

    Args:
        path: a local file with a CRS.
        grid: target, with a CRS; a block of a larger one is ``grid.window(*block.window)``.
        resampling: "nearest", "mode" (classes from finer pixels), "average", "bilinear" or "cubic" (never for classes).
        bands: zero-based, counted without the alpha band; default all.

    Returns:
        (B, h, w) in the stored dtype, and (h, w) bool, True where the file reaches and holds data in some band.
        Where bilinear and cubic go to coarser pixels they average over them.

    Raises:
        GridError: file or grid has no CRS. Others as of ``read_raster``.
    """
    path = Path(path)
    with _opened(path) as source:
        own = _crs_of(source)
        if own is None or grid.crs is None:
            raise GridError(f"{path}: file and target both need a CRS to be laid over each other")
        method = Resampling[resampling]
        target = {"crs": grid.crs.to_wkt(), "transform": grid.transform}
        size = {"height": grid.shape_hw[0], "width": grid.shape_hw[1]}
        scales = _scales(own, source.transform, grid) if resampling in ("bilinear", "cubic") else {}
        alpha = _alpha_bands(source)
        stored = [band for band in source.indexes if band not in alpha]
        wanted = stored if bands is None else [stored[index] for index in bands]
        added = source.nodata is None and not alpha
        with WarpedVRT(source, **target, **size, resampling=method, add_alpha=added, **scales) as warped:
            data = warped.read(wanted)
            # GDAL takes an alpha band for the mask of bytes only, so it is read as a band.
            mask = [*alpha, source.count + 1][0] if alpha or added else None
            reached = (warped.dataset_mask() if mask is None else warped.read(mask)) > 0
        return data, reached & _some_band_measured(data, [source.nodata] * len(data))


def _scales(own: pyproj.CRS, transform: Affine, grid: Grid) -> dict[str, float]:
    """Target pixels per source pixel along the target's axes at its middle, at most 1, for GDAL's kernels.

    GDAL else takes them from the extents of each chunk of its work, and blurs narrow ones.
    """
    row, col = (side // 2 for side in grid.shape_hw)
    xs, ys = zip(*(grid.xy(row + down, col + right) for down, right in ((0, 0), (0, 1), (1, 0))), strict=True)
    places = pyproj.Transformer.from_crs(grid.crs, own, always_xy=True).transform(xs, ys)
    middle, right, below = (np.array(~transform @ xy) for xy in zip(*places, strict=True))
    steps = [float(np.hypot(*(place - middle))) for place in (right, below)]
    return {key: min(1.0, 1.0 / step) for key, step in zip(("XSCALE", "YSCALE"), steps, strict=True) if step < np.inf}


@contextmanager
def _opened(path: Path) -> Iterator[rasterio.DatasetReader]:
    """The file, opened with the one driver that its first bytes call for."""
    driver = _driver_of(path)
    try:
        with warnings.catch_warnings():
            # Raster.grid.crs is None says the same.
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            with rasterio.open(path, driver=driver) as source:
                yield source
    except RasterioIOError as error:
        raise RasterReadError(f"{path}: cannot be read as {driver}, it may be damaged or cut off ({error})") from error


def write_raster(
    path: str | Path,
    raster: Raster,
    *,
    nodata: float | None = None,
    tags: Mapping[str, str] | None = None,
    overviews: bool = False,
) -> None:
    """Write a tiled, deflated GeoTIFF in one step; missing folders are made.

    Args:
        path: target; replaced only once the new file is complete.
        raster: what to write; date, sensor and baseline become tags that ``read_raster`` returns.
        nodata: value written where ``raster.valid`` is False, and declared. A
            valid pixel that holds it in all bands comes back invalid. Without
            it (and without ``raster.nodata``) invalid pixels go to an internal mask.
        tags: more tags.
        overviews: add overviews down to 256 pixels (nearest neighbour, safe for classes).

    Raises:
        InputError: nodata does not fit the raster's dtype.
    """
    data = raster.data.astype(np.uint8) if raster.data.dtype == np.bool_ else raster.data
    nodata = raster.nodata if nodata is None else nodata
    if nodata is not None:
        if not _fits(nodata, data.dtype):
            raise InputError(f"nodata {nodata} does not fit the raster's type {data.dtype}")
        data = np.where(raster.valid, data, np.asarray(nodata, dtype=data.dtype))
    known = {_DATE_TAG: raster.date, _SENSOR_TAG: raster.sensor, _BASELINE_TAG: raster.baseline}
    with (
        atomic_path(path) as partial,
        warnings.catch_warnings(),
        rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True),
    ):
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(partial, "w", nodata=nodata, **_profile(data.dtype, len(data), raster.grid)) as sink:
            sink.write(data)
            sink.descriptions = raster.band_names
            sink.update_tags(**{key: value for key, value in known.items() if value}, **(tags or {}))
            if nodata is None and not raster.valid.all():
                sink.write_mask(raster.valid)
        factors = _overview_factors(raster.grid.shape_hw) if overviews else []
        if factors:
            with rasterio.open(partial, "r+") as sink:
                sink.build_overviews(factors, Resampling.nearest)


class BlockWriter:
    """An open GeoTIFF that takes blocks, from several threads too; made by ``block_writer``."""

    def __init__(self, sink: rasterio.io.DatasetWriter) -> None:
        self._sink = sink
        self._lock = Lock()

    def write(self, block: Block, data: np.ndarray) -> None:
        """Write one block.

        Args:
            block: where.
            data: (B, h, w), or (h, w) for a file of one band, in the file's dtype.
        """
        stack = data[None] if data.ndim == 2 else data
        row, col, height, width = block.window
        with self._lock:
            self._sink.write(stack, window=Window(col, row, width, height))


@contextmanager
def block_writer(
    path: str | Path,
    grid: Grid,
    band_names: Sequence[str],
    dtype: str,
    *,
    nodata: float | None = None,
    tags: Mapping[str, str] | None = None,
    overviews: bool = False,
) -> Iterator[BlockWriter]:
    """A tiled, deflated GeoTIFF to fill block by block, in its place only once complete.

    Args:
        path: target; missing folders are made.
        grid: of the whole raster.
        band_names: one per band.
        dtype: of the pixels, a numpy name.
        nodata: declared, not written: blocks that are never written hold it (or 0).
        tags: such as date and sensor.
        overviews: add overviews down to 256 pixels (nearest neighbour, safe for classes).
    """
    profile = _profile(np.dtype(dtype), len(band_names), grid)
    with atomic_path(path) as partial, warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(partial, "w", nodata=nodata, **profile) as sink:
            sink.descriptions = tuple(band_names)
            sink.update_tags(**(tags or {}))
            yield BlockWriter(sink)
        factors = _overview_factors(grid.shape_hw) if overviews else []
        if factors:
            with rasterio.open(partial, "r+") as sink:
                sink.build_overviews(factors, Resampling.nearest)


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """A temporary path beside ``path``, moved over it when the block ends well and removed when it does not."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.stem}.{uuid.uuid4().hex}{path.suffix}")
    try:
        yield partial
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def _driver_of(path: Path) -> str:
    if not path.is_file():
        raise MissingPathError(f"{path}: no such file")
    with path.open("rb") as file:
        head = file.read(16)
    for magic, driver in _MAGIC:
        if head.startswith(magic):
            return driver
    headers = {path.name + ".hdr", path.stem + ".hdr"}
    if any(sibling.name.lower() in {name.lower() for name in headers} for sibling in path.parent.iterdir()):
        return "ENVI"
    raise InputError(f"{path}: not a GeoTIFF, JPEG 2000, ENVI, BMP, PNG or JPEG file")


def _read_open(
    source: rasterio.DatasetReader,
    path: Path,
    window: tuple[int, int, int, int] | None,
    max_side: int | None,
    chosen: Sequence[int] | None,
) -> Raster:
    full = Grid(_crs_of(source), source.transform, source.shape)
    row, col, height, width = window or (0, 0, *source.shape)
    grid = full.window(row, col, height, width)
    shrink = max(1.0, max(height, width) / max_side) if max_side else 1.0
    grid = grid.resized((max(1, round(height / shrink)), max(1, round(width / shrink))))
    area = {"window": Window(col, row, width, height)}
    alpha = _alpha_bands(source)
    bands = [band for band in source.indexes if band not in alpha]
    if not bands:
        raise RasterReadError(f"{path}: holds nothing but an alpha band")
    names, sensor = _names_and_sensor(source, path, bands)
    if chosen is not None:
        bands, names = [bands[i] for i in chosen], tuple(names[i] for i in chosen)
    data = source.read(bands, out_shape=(len(bands), *grid.shape_hw), **area)
    valid = _some_band_measured(data, [source.nodatavals[band - 1] for band in bands])
    if alpha:
        valid &= source.read(alpha[0], out_shape=grid.shape_hw, **area) > 0
    elif source.mask_flag_enums[0] == [MaskFlags.per_dataset]:
        valid &= source.dataset_mask(out_shape=grid.shape_hw, **area) > 0
    tags = source.tags()
    return Raster(
        data=data,
        valid=valid,
        grid=grid,
        band_names=names,
        date=date_from_name(tags.get(_DATE_TAG, "")) or date_from_name(path.name),
        sensor=sensor,
        source=str(path),
        nodata=source.nodata,
        baseline=tags.get(_BASELINE_TAG) or baseline_from_name(path.name),
    )


def _alpha_bands(source: rasterio.DatasetReader) -> list[int]:
    """Bands that say where the picture is; a fourth band described as something else, such as nir, is data."""
    kinds = zip(source.indexes, source.colorinterp, source.descriptions, strict=True)
    return [
        band
        for band, colour, description in kinds
        if colour == ColorInterp.alpha and (description or "alpha").lower() == "alpha"
    ]


def _crs_of(source: rasterio.DatasetReader) -> pyproj.CRS | None:
    if source.crs is None or source.transform.is_identity:
        return None
    return pyproj.CRS.from_wkt(source.crs.to_wkt())


def _some_band_measured(data: np.ndarray, nodata: list[float | None]) -> NDArray[np.bool_]:
    """(H, W): at least one band holds a finite number that is not its declared nodata."""
    valid = np.zeros(data.shape[1:], dtype=np.bool_)
    for band, missing in zip(data, nodata, strict=True):
        if valid.all():
            break
        measured = np.isfinite(band) if band.dtype.kind in "fc" else np.ones(band.shape, dtype=np.bool_)
        if missing is not None and _fits(missing, band.dtype):
            with np.errstate(over="ignore"):
                measured &= band != band.dtype.type(missing)
        valid |= measured
    return valid


def _names_and_sensor(
    source: rasterio.DatasetReader, path: Path, bands: list[int]
) -> tuple[tuple[str, ...], str | None]:
    """Band names (descriptions, colours, the sensor's defaults, or B1...) and the sensor's key."""
    given = [source.descriptions[band - 1] or _COLOURS.get(source.colorinterp[band - 1]) for band in bands]
    names = positional_names(len(bands))
    if any(given):
        names = tuple(name or f"unnamed{index}" for index, name in enumerate(given, 1))
    sensor = detect_sensor(path, names, len(bands), source.tags().get(_SENSOR_TAG) or " ".join(names))
    if not any(given):
        names = _default_names(sensor, path, len(bands))
    return names, None if sensor is SENSORS["generic"] else sensor.name


def _default_names(sensor: Sensor, path: Path, count: int) -> tuple[str, ...]:
    if count == 1:
        band = band_from_name(path.name)
        return (band,) if band else positional_names(1)
    return sensor.stacks.get(count, positional_names(count))


def _fits(value: float, dtype: np.dtype) -> bool:
    """Whether a nodata value can be stored in this type."""
    if dtype.kind in "fc":
        return True
    limits = np.iinfo(dtype)
    return bool(float(value).is_integer() and limits.min <= value <= limits.max)


def _predictor(dtype: np.dtype) -> int:
    """2 takes differences of whole numbers, 3 of floating point; bytes (classes, percent) and complex take none."""
    if dtype.itemsize == 1 or dtype.kind == "c":
        return 1
    return 3 if dtype.kind == "f" else 2


def _profile(dtype: np.dtype, count: int, grid: Grid) -> dict[str, object]:
    height, width = grid.shape_hw
    side = min(_TILE_PX, -(-max(height, width) // 16) * 16)
    return {
        "driver": "GTiff",
        "count": count,
        "height": height,
        "width": width,
        "dtype": dtype.name,
        "crs": None if grid.crs is None else rasterio.crs.CRS.from_wkt(grid.crs.to_wkt()),
        "transform": grid.transform,
        "tiled": True,
        "blockxsize": side,
        "blockysize": side,
        "compress": "deflate",
        # Four times as fast to write as the default of 6, for a few percent more bytes.
        "zlevel": 1,
        "predictor": _predictor(dtype),
        "BIGTIFF": "IF_SAFER",
        # GDAL would take four bands of bytes for red, green, blue and alpha.
        **({"photometric": "minisblack"} if count == 4 and dtype == np.uint8 else {}),
    }


def _overview_factors(shape_hw: tuple[int, int]) -> list[int]:
    factors: list[int] = []
    while max(shape_hw) / 2 ** (len(factors) + 1) >= _SMALLEST_OVERVIEW_PX:
        factors.append(2 ** (len(factors) + 1))
    return factors
