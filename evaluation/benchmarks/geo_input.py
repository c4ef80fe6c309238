"""Workspaces of any size for the speed benchmark: simulated Sentinel-2 counties laid side by side.

Every second tile is mirrored, so that tiles of one county join without an edge:
a group of two by two shows one county four times, and its towns and reserves
run on across the tiles. Groups of several counties meet at plain edges, alike
on both dates. A larger scene repeats what a smaller one holds: it costs more
for its area, not for new kinds of land.
"""

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
from affine import Affine

from src.geo.blocks import Block, ThreadRunner, blocks_of
from src.geo.grid import Grid
from src.geo.raster import block_writer, read_raster
from src.geo.scene import CLEAR, CORE_ROLES, NO_DATA, REFLECTANCE_NODATA
from src.geo.simulate import simulate_county
from src.geo.vector import read_vector, write_vector
from src.geo.workspace import Options, Workspace, add, init_workspace, open_workspace

DATES = ("2023-09-20", "2024-09-25")
SENSOR, CRS, PIXEL_M, CLOUD_SHARE = "sentinel2_l2a", "EPSG:32648", 10.0, 0.01
ZONES = ("towns", "reserve", "basic_farmland")
# Labels lie in squares of this side, like surveyed plots.
LABEL_CELL_PX = 16


@dataclass(frozen=True)
class InputPlan:
    """What a scene is made of, whatever its size.

    Args:
        seed: of the first county and of the labelled squares.
        counties: how many are simulated; each has a weather of its own.
        county_px: side of a county, which is a tile.
        label_share: share of the squares with labels.
    """

    seed: int
    counties: int
    county_px: int
    label_share: float


@dataclass(frozen=True)
class Tile:
    """Where in the scene a county lies, and how."""

    block: Block
    county: int
    flip_rows: bool
    flip_cols: bool
    group: str

    def cut(self, values: np.ndarray) -> np.ndarray:
        """What the scene shows of (..., T, T) values: mirrored, and cut at its far edges."""
        turned = values[..., :: -1 if self.flip_rows else 1, :: -1 if self.flip_cols else 1]
        return turned[..., : self.block.height, : self.block.width]

    def place(self, side: int) -> Affine:
        """From the county's pixels (column, row) to the scene's."""
        turned = Affine(-1 if self.flip_cols else 1, 0, 0, 0, -1 if self.flip_rows else 1, 0)
        shift = Affine.translation(self.block.col + side * self.flip_cols, self.block.row + side * self.flip_rows)
        return shift @ turned


def tiles_of(size: int, side: int, counties: int) -> list[Tile]:
    """Tiles of a square scene, row by row."""
    tiles = []
    for block in blocks_of((size, size), side):
        row, col = block.row // side, block.col // side
        county = (row // 2 + col // 2) % counties
        tiles.append(Tile(block, county, row % 2 == 1, col % 2 == 1, f"{row // 2 + 1}-{col // 2 + 1}"))
    return tiles


def build_workspace(plan: InputPlan, work: Path, size: int, dates: tuple[str, ...] = DATES) -> Workspace:
    """Make the workspace ``work/<size>/workspace``: scenes, labels of each date, zones.

    Args:
        plan: what to make.
        work: keeps the counties for other sizes.
        size: pixels on a side.
        dates: of the scenes, ISO.
    """
    side = min(plan.county_px, size)
    tiles = tiles_of(size, side, plan.counties)
    needed = range(max(tile.county for tile in tiles) + 1)
    counties = [county_workspace(plan.seed + i, side, work, dates) for i in needed]
    origin = counties[0].scene(dates[0]).grid
    # In the middle of the UTM zone: a full tile does not fit beside every county.
    left = 500_000 - PIXEL_M * (size // 2)
    grid = Grid(origin.crs, Affine(PIXEL_M, 0, left, 0, -PIXEL_M, origin.transform.f), (size, size))
    root = work / f"{size}/workspace"
    shutil.rmtree(root, ignore_errors=True)
    workspace = init_workspace(root, name="模拟景", code="510723", as_of="2025-01-01")
    for day in dates:
        _write_scene(root, grid, day, tiles, counties)
        _write_labels(root, grid, day, tiles, counties, plan)
    for name in ZONES:
        layers = list(_placed_zones(name, tiles, counties, side, grid))
        if layers:
            write_vector(root / f"zones/{name}.gpkg", gpd.GeoDataFrame(pd.concat(layers, ignore_index=True)))
    return workspace


def county_workspace(seed: int, side: int, work: Path, dates: tuple[str, ...] = DATES) -> Workspace:
    """A simulated county, ingested; the one that is there is taken again."""
    folder = work / "counties" / "_".join([f"{seed}_{side}", *(dates if dates != DATES else ())])
    if not (folder / "done").exists():
        shutil.rmtree(folder, ignore_errors=True)
        given = {"sensor": SENSOR, "dates": list(dates), "crs": CRS, "cloud_share": CLOUD_SHARE}
        simulate_county(folder / "county", seed=seed, size=side, **given)  # type: ignore[arg-type]
        add(init_workspace(folder / "workspace"), folder / "county", Options(), ThreadRunner(1))
        (folder / "done").touch()
    return open_workspace(folder / "workspace")


def _write_scene(root: Path, grid: Grid, day: str, tiles: list[Tile], counties: list[Workspace]) -> None:
    scenes = [county.scene(day) for county in counties]
    folder, seen = root / "scenes" / scenes[0].record.id, 0
    contents = []
    for scene in scenes:
        bands = read_raster(scene.folder / "bands.tif", bands=[scene.roles.index(role) for role in CORE_ROLES])
        contents.append((bands.data, scene.mask()))
    with (
        block_writer(folder / "bands.tif", grid, CORE_ROLES, "int16", nodata=REFLECTANCE_NODATA) as bands_to,
        block_writer(folder / "mask.tif", grid, ("mask",), "uint8", nodata=NO_DATA) as mask_to,
    ):
        for tile in tiles:
            values, codes = (tile.cut(part) for part in contents[tile.county])
            bands_to.write(tile.block, values)
            mask_to.write(tile.block, codes)
            seen += int((codes == CLEAR).sum())
    record = replace(scenes[0].record, clear_share=seen / (grid.shape_hw[0] * grid.shape_hw[1]))
    (folder / "scene.json").write_text(json.dumps(record.to_json()), encoding="utf-8")


def _write_labels(
    root: Path, grid: Grid, day: str, tiles: list[Tile], counties: list[Workspace], plan: InputPlan
) -> None:
    """Classes in squares chosen at random, the same on both dates."""
    squares = -(-grid.shape_hw[0] // LABEL_CELL_PX)
    known = np.random.default_rng([plan.seed, 9]).random((squares, squares)) < plan.label_share
    records = [next(record for record in county.labels() if record.date == day) for county in counties]
    classes = [read_raster(record.path).data[0] for record in records]
    path = root / "labels" / records[0].path.name
    with block_writer(path, grid, ("land_class",), "uint8", nodata=0) as labels_to:
        for tile in tiles:
            rows = np.arange(tile.block.row, tile.block.row + tile.block.height) // LABEL_CELL_PX
            cols = np.arange(tile.block.col, tile.block.col + tile.block.width) // LABEL_CELL_PX
            labels_to.write(tile.block, tile.cut(classes[tile.county]) * known[np.ix_(rows, cols)])
    path.with_suffix(".json").write_text(json.dumps(records[0].to_json()), encoding="utf-8")


def _placed_zones(
    name: str, tiles: list[Tile], counties: list[Workspace], side: int, grid: Grid
) -> Iterator[gpd.GeoDataFrame]:
    """The zones of every tile in the scene, cut at its edges; those of one group of tiles share their names."""
    for tile in tiles:
        county = counties[tile.county]
        path = county.zones().get(name)
        if path is None:
            continue
        zones = read_vector(path)
        move = grid.transform @ tile.place(side) @ ~county.scenes()[0].grid.transform
        moved = zones.to_crs(CRS).affine_transform([move.a, move.b, move.d, move.e, move.c, move.f])
        zones = zones.set_geometry(moved.set_crs(CRS, allow_override=True)).clip(grid.bounds(), keep_geom_type=True)
        yield zones.assign(name=zones["name"] + tile.group).to_crs(4490)
