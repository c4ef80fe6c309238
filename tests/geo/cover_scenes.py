"""Small ingested scenes for the tests of land cover."""

import json
from pathlib import Path

import numpy as np
import pyproj
from affine import Affine

from src.geo.grid import Grid, Raster
from src.geo.raster import write_raster
from src.geo.scene import CORE_ROLES, Scene, SceneRecord, open_scene
from src.geo.simulation.spectra import MATERIALS

GRID_CRS = "EPSG:32648"
# Land class -> material that shows it.
LOOKS = {1: "crop", 3: "conifer", 4: "straw", 5: "deep_water", 6: "roof_grey", 7: "sand"}


def grid_of(shape_hw: tuple[int, int], pixel_m: float = 10.0) -> Grid:
    return Grid(pyproj.CRS(GRID_CRS), Affine(pixel_m, 0, 500_000, 0, -pixel_m, 3_400_000), shape_hw)


def make_scene(
    folder: Path,
    classes: np.ndarray,
    *,
    mask: np.ndarray | None = None,
    sensor: str = "sentinel2_l2a",
    quantity: str = "reflectance",
    roles: tuple[str, ...] = CORE_ROLES,
    noise: float = 0.02,
    seed: int = 0,
) -> Scene:
    """A scene that shows a class raster: each pixel its class's material, times noise; class 0 is no data."""
    table = np.zeros((8, len(CORE_ROLES)))
    for code, material in LOOKS.items():
        table[code] = MATERIALS[material]
    chosen = [CORE_ROLES.index(role) for role in roles]
    rng = np.random.default_rng(seed)
    bands = table[classes].transpose(2, 0, 1)[chosen] * (1 + noise * rng.standard_normal((len(roles), *classes.shape)))
    stored = np.where(classes > 0, np.rint(bands * 1e4), -32768).astype(np.int16)
    grid, everywhere = grid_of(classes.shape), np.ones(classes.shape, bool)
    codes = np.where(classes > 0, 1, 0) if mask is None else mask
    write_raster(folder / "bands.tif", Raster(stored, classes > 0, grid, roles), nodata=-32768)
    write_raster(folder / "mask.tif", Raster(codes.astype(np.uint8)[None], everywhere, grid, ("mask",)))
    record = SceneRecord(folder.name, "2024-09-25", sensor, "L2A", quantity, 10.0, 1.0)
    (folder / "scene.json").write_text(json.dumps(record.to_json()), encoding="utf-8")
    return open_scene(folder)


def patchwork(shape_hw: tuple[int, int], codes: tuple[int, ...], side: int, seed: int = 0) -> np.ndarray:
    """Squares of random classes, uint8."""
    rng = np.random.default_rng(seed)
    coarse = rng.choice(codes, (-(-shape_hw[0] // side), -(-shape_hw[1] // side)))
    return np.kron(coarse, np.ones((side, side), np.uint8)).astype(np.uint8)[: shape_hw[0], : shape_hw[1]]
