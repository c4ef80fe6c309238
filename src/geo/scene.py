"""An ingested scene: reflectance and quality of one date on one grid, read window by window.

A scene is a folder that ``src.geo.workspace`` makes:

    bands.tif    one band per role ("blue", "green", "red", "nir", "swir1", "swir2", ...).
                 quantity "reflectance" or "toa": int16, reflectance times 10000, no data -32768;
                 quantity "dn": float32, the numbers of an uncalibrated product, NaN where none was stored
    mask.tif     uint8, the codes of MASK_CODES; no data where any band misses
    scene.json   the record below
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from src.errors import InputError, MissingPathError
from src.geo.blocks import Block
from src.geo.grid import Grid
from src.geo.raster import read_grid, read_raster

MASK_CODES = {0: "no data", 1: "clear", 2: "cloud", 3: "cloud shadow", 4: "snow", 5: "saturated"}
NO_DATA, CLEAR, CLOUD, SHADOW, SNOW, SATURATED = MASK_CODES
QUANTITIES = ("reflectance", "toa", "dn")
REFLECTANCE_SCALE = 1e4
REFLECTANCE_NODATA = -32768
# The bands that land cover and change use, where a scene has them.
CORE_ROLES = ("blue", "green", "red", "nir", "swir1", "swir2")


@dataclass(frozen=True)
class SceneRecord:
    """What is known about a scene; ``scene.json``.

    Args:
        id: folder name, unique in a workspace: sensor and date, and a number where these repeat.
        date: acquisition, ISO.
        sensor: key of SENSORS.
        level: of processing, such as "L2A", "L1C", "L2SP", "L1TP"; "unknown" where the user gave the scale.
        quantity: one of QUANTITIES.
        pixel_m: side of a pixel in metres (of a geographic grid, at its centre).
        clear_share: share of the measured pixels that are clear, 0..1.
        cloud_percent: as the product's own metadata says, None where it does not.
        baseline: Sentinel-2 processing baseline, None elsewhere.
        mask_source: "QA_PIXEL", "BQA", "SCL", "Fmask", "user", "screen" (our own cloud screen) or "none".
        sources: name and SHA-256 of each original file.
        caveats: codes that hold for every use of the scene.
        notes: assumptions in words, such as a scale that the user gave; Chinese, " | ", English.
        content: SHA-256 over the originals and the way they were read; equal scenes are ingested once.
    """

    id: str
    date: str
    sensor: str
    level: str
    quantity: str
    pixel_m: float
    clear_share: float
    cloud_percent: float | None = None
    baseline: str | None = None
    mask_source: str = "none"
    sources: tuple[dict[str, str], ...] = ()
    caveats: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    content: str = ""

    def __post_init__(self) -> None:
        if self.quantity not in QUANTITIES:
            raise InputError(f"scene {self.id}: quantity {self.quantity!r}, expected one of {', '.join(QUANTITIES)}")

    def to_json(self) -> dict[str, Any]:
        """Plain values, as scene.json holds them."""
        return asdict(self)


@dataclass(frozen=True)
class Scene:
    """A scene on disk; cheap to make and to send to a worker, opens its files at each read.

    Args:
        folder: holds bands.tif, mask.tif and scene.json.
        record: content of scene.json.
        grid: of both rasters.
        roles: one per band of bands.tif.
    """

    folder: Path
    record: SceneRecord
    grid: Grid = field(repr=False)
    roles: tuple[str, ...]

    def read(self, block: Block | None = None, roles: Sequence[str] | None = None) -> NDArray[np.float32]:
        """Bands of a block.

        Args:
            block: window; default all.
            roles: bands in this order; default all.

        Returns:
            (B, h, w) reflectance (of quantity "dn", digital numbers); NaN where nothing was measured.
            Clouds are still in it: see ``mask``.

        Raises:
            InputError: the scene lacks a role.
        """
        wanted = self.roles if roles is None else tuple(roles)
        missing = [role for role in wanted if role not in self.roles]
        if missing:
            raise InputError(f"scene {self.record.id} has no band {', '.join(missing)}; it has {', '.join(self.roles)}")
        raster = read_raster(
            self.folder / "bands.tif",
            window=block.window if block else None,
            bands=[self.roles.index(role) for role in wanted],
        )
        values = raster.data.astype(np.float32)
        if self.record.quantity != "dn":
            values /= np.float32(REFLECTANCE_SCALE)
        if raster.nodata is not None:
            np.copyto(values, np.float32(np.nan), where=raster.data == raster.nodata)
        if not raster.valid.all():
            np.copyto(values, np.float32(np.nan), where=~raster.valid)
        return values

    def mask(self, block: Block | None = None) -> NDArray[np.uint8]:
        """Codes of MASK_CODES, (h, w)."""
        return read_raster(self.folder / "mask.tif", window=block.window if block else None).data[0]

    def clear(self, block: Block | None = None) -> NDArray[np.bool_]:
        """Where the ground was seen, (h, w)."""
        return self.mask(block) == CLEAR


def open_scene(folder: Path) -> Scene:
    """A scene from its folder.

    Raises:
        MissingPathError: the folder lacks one of its three files.
    """
    for name in ("scene.json", "bands.tif", "mask.tif"):
        if not (folder / name).is_file():
            raise MissingPathError(f"{folder}: has no {name}; scenes are made by python -m src.geo.workspace add")
    values = json.loads((folder / "scene.json").read_text(encoding="utf-8"))
    lists = {key: tuple(values[key]) for key in ("sources", "caveats", "notes")}
    grid, names = read_grid(folder / "bands.tif")
    return Scene(folder, SceneRecord(**(values | lists)), grid, names)
