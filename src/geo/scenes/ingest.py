"""From a product to a scene folder: reflectance and mask on one grid, block by block.

The grid is that of the finest band: Sentinel-2 becomes 10 m, its 20 m bands
bilinear and its scene classification nearest. The folder is built under
another name and renamed once whole, so a scene is there or it is not; a scene
of the same content is not made twice. The originals are only read.
"""

import hashlib
import json
import shutil
from collections.abc import Iterable
from functools import partial
from pathlib import Path

from affine import Affine
from tqdm import tqdm

from src.errors import GridError, InputError
from src.geo.blocks import Runner, ThreadRunner, blocks_of
from src.geo.grid import Grid
from src.geo.raster import block_writer, read_grid, read_raster
from src.geo.scene import REFLECTANCE_NODATA, SceneRecord, open_scene
from src.geo.scenes.cloud_screen import REQUIRED_ROLES
from src.geo.scenes.grid_check import check_grid
from src.geo.scenes.ingest_block import Plan, SourceBand, make_block
from src.geo.scenes.product import Product, note
from src.geo.scenes.quality import OWN_KINDS
from src.geo.untrusted import check_raster, guarded_gdal

# A multiple of 1024, the tile of Sentinel-2's JPEG 2000 files, so that few tiles are decoded twice.
BLOCK_PX = 2048


def ingest(product: Product, scenes: Path, runner: Runner | None = None) -> Path:
    """Make the scene folder of a product.

    Args:
        product: as ``products.find_product`` gives it.
        scenes: folder of all scenes; made if missing.
        runner: threads or a cluster; default one thread per core.

    Returns:
        The scene's folder; an existing one where the same content was ingested before in the same way.

    Raises:
        GridError: bands without a usable CRS, in different CRS, rotated, or apart from each other.
        RasterReadError: a band cannot be decoded; no folder is left behind.
    """
    scenes.mkdir(parents=True, exist_ok=True)
    sources, content = _fingerprint(product)
    existing = _same_content(scenes, content)
    if existing:
        return existing
    with guarded_gdal():
        plan = _plan(product)
    scene_id = _free_id(scenes, f"{product.sensor}_{product.date}")
    partial_folder = scenes / f".{content[:16]}.partial"
    shutil.rmtree(partial_folder, ignore_errors=True)
    partial_folder.mkdir()
    try:
        measured, clear = _write_rasters(plan, partial_folder, runner or ThreadRunner(), scene_id)
        if measured == 0:
            raise InputError(f"{product.name}: holds no pixel with a measurement in all bands")
        record = _record(plan, scene_id, clear / measured, sources, content)
        text = json.dumps(record.to_json(), ensure_ascii=False, indent=1)
        (partial_folder / "scene.json").write_text(text, encoding="utf-8")
        partial_folder.rename(scenes / scene_id)
    finally:
        shutil.rmtree(partial_folder, ignore_errors=True)
    return scenes / scene_id


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's bytes, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _plan(product: Product) -> Plan:
    grids = []
    for band in product.bands:
        check_raster(band.path)
        grid = read_grid(band.path)[0]
        check_grid(grid, band.path.name)
        grids.append(grid)
    finest = min(grids, key=lambda grid: abs(grid.transform.a))
    assert finest.crs is not None
    for band, grid in zip(product.bands, grids, strict=True):
        if not finest.crs.equals(grid.crs, ignore_axis_order=True):
            raise GridError(
                f"{product.name}: {band.path.name} is in {grid.crs.name if grid.crs else None}, another band in "
                f"{finest.crs.name}; the bands of a scene share one CRS"
            )
        _check_overlap(finest, grid, band.path.name)
    target = _north_up(finest)
    bands = tuple(
        SourceBand(band, grid, read_raster(band.path, window=(0, 0, 1, 1)).nodata)
        for band, grid in zip(product.bands, grids, strict=True)
    )
    return Plan(product, target, bands, check_grid(target, product.name), _mask_source(product))


def _check_overlap(grid: Grid, other: Grid, name: str) -> None:
    left, bottom, right, top = grid.bounds()
    west, south, east, north = other.bounds()
    shared = max(0.0, min(right, east) - max(left, west)) * max(0.0, min(top, north) - max(bottom, south))
    if shared < 0.5 * (right - left) * (top - bottom):
        raise GridError(f"{name}: covers less than half of the scene's other bands; are the files of one scene?")


def _north_up(grid: Grid) -> Grid:
    """The same pixels counted from the upper left corner, for files stored bottom or right first."""
    left, _, _, top = grid.bounds()
    transform = Affine(abs(grid.transform.a), 0, left, 0, -abs(grid.transform.e), top)
    return Grid(grid.crs, transform, grid.shape_hw)


def _mask_source(product: Product) -> str:
    if product.quality is not None:
        return "user" if product.quality.kind in OWN_KINDS else product.quality.kind
    screened = product.quantity != "dn" and {band.role for band in product.bands} >= set(REQUIRED_ROLES)
    return "screen" if screened else "none"


def _write_rasters(plan: Plan, folder: Path, runner: Runner, scene_id: str) -> tuple[int, int]:
    """Fill bands.tif and mask.tif; returns the counts of measured and clear pixels."""
    blocks = blocks_of(plan.grid.shape_hw, BLOCK_PX)
    roles = [band.role for band in plan.product.bands]
    calibrated = plan.product.quantity != "dn"
    dtype, nodata = ("int16", float(REFLECTANCE_NODATA)) if calibrated else ("float32", float("nan"))
    tags = {"ACQUISITION_DATE": plan.product.date, "SENSOR": plan.product.sensor}
    measured = clear = 0
    with (
        block_writer(
            folder / "bands.tif", plan.grid, roles, dtype, nodata=nodata, tags=tags, overviews=True
        ) as band_sink,
        block_writer(folder / "mask.tif", plan.grid, ["mask"], "uint8", tags=tags, overviews=True) as mask_sink,
    ):
        done_blocks = runner.map(partial(make_block, plan), blocks)
        for done in tqdm(done_blocks, total=len(blocks), desc=scene_id, unit="block", disable=None):
            band_sink.write(done.block, done.bands)
            mask_sink.write(done.block, done.mask)
            measured += done.measured
            clear += done.clear
    return measured, clear


def _record(
    plan: Plan, scene_id: str, clear_share: float, sources: tuple[dict[str, str], ...], content: str
) -> SceneRecord:
    product = plan.product
    caveats = []
    if product.quantity == "dn":
        caveats.append("DN_ONLY")
    if plan.mask_source == "screen":
        caveats.append("CLOUD_SCREEN")
    notes = list(product.notes)
    if plan.mask_source == "none":
        notes.append(note("no_screen"))
    return SceneRecord(
        id=scene_id,
        date=product.date,
        sensor=product.sensor,
        level=product.level,
        quantity=product.quantity,
        pixel_m=round(plan.pixel_m, 3),
        clear_share=round(clear_share, 6),
        cloud_percent=product.cloud_percent,
        baseline=product.baseline,
        mask_source=plan.mask_source,
        sources=sources,
        caveats=tuple(caveats),
        notes=tuple(notes),
        content=content,
    )


def _fingerprint(product: Product) -> tuple[tuple[dict[str, str], ...], str]:
    """Name and hash of each original, and one hash over them and the way they are read."""
    unique: Iterable[Path] = dict.fromkeys(product.originals)
    sources = tuple({"name": path.name, "sha256": sha256_of(path)} for path in unique)
    quality = product.quality.kind if product.quality else None
    reading = [
        *(product.sensor, product.level, product.quantity, product.date, product.baseline, quality),
        *(product.fill, product.saturated),
        [(band.role, band.path.name, band.index, band.scale, band.offset) for band in product.bands],
    ]
    text = json.dumps([sources, reading], sort_keys=True)
    return sources, hashlib.sha256(text.encode()).hexdigest()


def _same_content(scenes: Path, content: str) -> Path | None:
    for folder in sorted(path.parent for path in scenes.glob("*/scene.json")):
        if not folder.name.startswith(".") and open_scene(folder).record.content == content:
            return folder
    return None


def _free_id(scenes: Path, wanted: str) -> str:
    taken = {path.name for path in scenes.iterdir()}
    return next(name for name in (wanted, *(f"{wanted}-{i}" for i in range(2, 1000))) if name not in taken)
