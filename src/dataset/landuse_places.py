"""Places to ask about: scenes of one or several dates with labels, all on one grid.

A place is a simulated county, or real co-registered scenes with label rasters or vectors and a
crosswalk to the canonical classes.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rasterio.warp import Resampling, reproject

from src.constants import LAND_CLASSES, NODATA_CLASS
from src.errors import GridError, InputError, LegendError, MissingPathError
from src.geo.areas import pixel_areas_m2
from src.geo.grid import Grid, Raster
from src.geo.legend import CROSSWALKS, Crosswalk, to_canonical
from src.geo.raster import read_raster
from src.geo.render import render_rgb, stretch_limits
from src.geo.sensors import SENSORS, clear_mask, natural_band_indices
from src.geo.vector import rasterize, read_vector

VECTOR_SUFFIXES = {".gpkg", ".shp", ".geojson", ".json", ".kml"}


@dataclass(frozen=True)
class DatedScene:
    """One date of a place: pictures and labels on the same grid.

    Args:
        date: ISO date or "undated".
        rgb: (H, W, 3) uint8, stretched alike for all dates of the place.
        labels: (H, W) uint8 canonical classes, or None where this date has no labels of its own.
        clear: (H, W) bool, valid and free of cloud and cloud shadow.
    """

    date: str
    rgb: np.ndarray
    labels: np.ndarray
    clear: np.ndarray


@dataclass(frozen=True)
class Place:
    """A county or scene; ``own_labels`` says whether each date has labels of its own."""

    name: str
    grid: Grid
    scenes: tuple[DatedScene, ...]
    pixel_areas_m2: np.ndarray
    complete: bool | None
    own_labels: bool


def load_county(folder: Path) -> Place:
    """Read a simulated county: its scenes, cloud masks and label rasters.

    Raises:
        MissingPathError: the folder is no county.
    """
    record = folder / "county.json"
    if not record.is_file():
        raise MissingPathError(f"{record}: not found; --county needs a folder written by python -m src.geo.simulate")
    county = json.loads(record.read_text(encoding="utf-8"))
    dates = sorted(county["dates"])
    images = [folder / "scenes" / f"{county['sensor']}_{date}.tif" for date in dates]
    rasters = [read_raster(path) for path in images]
    sensor = SENSORS[county["sensor"]]
    masks = [read_raster(path.with_name(f"{path.stem}_mask.tif")).data[0] for path in images]
    clear = [raster.valid & clear_mask(mask, sensor) for raster, mask in zip(rasters, masks, strict=True)]
    labels = [read_raster(folder / "labels" / f"landcover_{date}.tif").data[0] for date in dates]
    return _place(folder.resolve().name, dates, rasters, labels, clear, True, own_labels=True)


def load_scenes(
    images: Sequence[Path],
    dates: Sequence[str],
    label_paths: Sequence[Path],
    *,
    column: str | None,
    crosswalk: str | None,
    complete: bool | None,
) -> Place:
    """Read a real place: co-registered scenes with label rasters or vectors.

    Args:
        images: one raster per date, all on one grid.
        dates: ISO dates, one per image, or none where the images carry them.
        label_paths: one per image, or one for all (then no change can be asked).
        column: the class column of vector labels.
        crosswalk: name in CROSSWALKS or a JSON file {code: class id or name}.
        complete: True, False, or None to decide per chip.

    Raises:
        GridError: scenes differ in grid, or labels do not overlap them.
        LegendError: no crosswalk, or a code that it lacks.
        InputError: numbers of images, dates and labels do not fit.
    """
    if len(label_paths) not in (1, len(images)):
        raise InputError(f"{len(images)} --scene but {len(label_paths)} --labels: give one per scene, or one for all")
    rasters = [read_raster(path) for path in images]
    for path, raster in zip(images, rasters, strict=True):
        if not raster.grid.same_as(rasters[0].grid):
            raise GridError(f"{path}: its grid differs from {images[0]}; scenes of one call must be co-registered")
    known = _scene_dates(dates, rasters)
    if crosswalk is None:
        raise LegendError(
            f"missing --crosswalk: name one of {', '.join(CROSSWALKS)}, or a .json file; 'canonical' where "
            f"the codes already are {LAND_CLASSES}"
        )
    table = load_crosswalk(crosswalk)
    grids = [read_labels(path, rasters[0].grid, column, table) for path in label_paths]
    own = len(grids) == len(images)
    order = np.argsort(known, kind="stable")
    labels = grids if own else grids * len(images)
    return _place(
        images[0].stem,
        [known[i] for i in order],
        [rasters[i] for i in order],
        [labels[i] for i in order],
        [rasters[i].valid for i in order],
        complete,
        own_labels=own,
    )


def _scene_dates(given: Sequence[str], rasters: Sequence[Raster]) -> list[str]:
    """Distinct dates, from the command line or the files, or scene1, scene2 where neither tells."""
    if given and len(given) != len(rasters):
        raise InputError(f"{len(rasters)} --scene but {len(given)} --date: give one date per scene, or none")
    dates = list(given) or [raster.date or f"scene{number}" for number, raster in enumerate(rasters, start=1)]
    if not all(re.fullmatch(r"[\w.-]+", date) for date in dates):
        raise InputError(f"dates {dates}: expected ISO dates such as 2024-09-25; they become part of file names")
    if len(set(dates)) != len(dates):
        raise InputError(f"dates {dates} repeat: give each --scene its own --date")
    return dates


def load_crosswalk(name: str) -> Crosswalk:
    """Code -> class id, by the name of a known scheme or from a JSON object {code: class id or name}.

    Raises:
        LegendError: neither; or a target that is no canonical class.
    """
    if name in CROSSWALKS:
        return CROSSWALKS[name]
    path = Path(name)
    if not path.is_file():
        raise LegendError(f"--crosswalk {name}: neither a JSON file nor one of {', '.join(CROSSWALKS)}")
    try:
        rows = dict(json.loads(path.read_text(encoding="utf-8")))
        targets = to_canonical(np.array([str(target) for target in rows.values()]), "canonical")
    except (TypeError, ValueError) as error:
        raise LegendError(
            f'{path}: expected a JSON object such as {{"0101": "cropland", "12": 7}} ({error})'
        ) from error
    return dict(zip(rows, targets.tolist(), strict=True))


def read_labels(path: Path, grid: Grid, column: str | None, crosswalk: Crosswalk) -> np.ndarray:
    """Labels of a raster or vector file as canonical classes on a grid.

    Rasters on another grid are warped: nearest where their pixels are as large as the grid's, else
    the most frequent class of the pixels that fall into one.

    Returns:
        (H, W) uint8, 0 where unlabelled.

    Raises:
        GridError: the labels do not overlap the grid.
        InputError: a vector without its class column.
    """
    if path.suffix.lower() in VECTOR_SUFFIXES:
        table = read_vector(path)
        if column is None or column not in table.columns:
            have = [name for name in table.columns if name != "geometry"]
            raise InputError(f"{path}: --label_column {column} is not one of its columns {have}")
        labels = rasterize(table, grid, values=to_canonical(table[column].to_numpy(), crosswalk))
    else:
        raster = read_raster(path)
        codes = np.zeros(raster.data.shape[1:], dtype=np.uint8)
        codes[raster.valid] = to_canonical(raster.data[0][raster.valid], crosswalk)
        labels = codes if raster.grid.same_as(grid) else _warp_labels(codes, raster.grid, grid)
    if not np.any(labels != NODATA_CLASS):
        raise GridError(f"{path}: its labels do not overlap the scene {grid.bounds()}; are both of one place?")
    return labels


def _warp_labels(codes: np.ndarray, source: Grid, target: Grid) -> np.ndarray:
    warped = np.zeros(target.shape_hw, dtype=np.uint8)
    if source.crs is None or target.crs is None:
        raise GridError("labels and scene lie on different grids and one has no CRS: they cannot be aligned")
    same_crs = source.crs == target.crs
    finer = same_crs and abs(source.transform.determinant) < 0.5 * abs(target.transform.determinant)
    reproject(
        codes,
        warped,
        src_transform=source.transform,
        src_crs=source.crs.to_wkt(),
        dst_transform=target.transform,
        dst_crs=target.crs.to_wkt(),
        src_nodata=NODATA_CLASS,
        dst_nodata=NODATA_CLASS,
        resampling=Resampling.mode if finer else Resampling.nearest,
    )
    return warped


def _place(
    name: str,
    dates: Sequence[str],
    rasters: Sequence[Raster],
    labels: Sequence[np.ndarray],
    clear: Sequence[np.ndarray],
    complete: bool | None,
    *,
    own_labels: bool,
) -> Place:
    grid = rasters[0].grid
    limits = _common_limits(rasters, clear)
    scenes = tuple(
        DatedScene(date, render_rgb(raster, limits), label, ok)
        for date, raster, label, ok in zip(dates, rasters, labels, clear, strict=True)
    )
    areas = np.broadcast_to(pixel_areas_m2(grid), grid.shape_hw)
    return Place(name, grid, scenes, areas, complete, own_labels)


def _common_limits(rasters: Sequence[Raster], clear: Sequence[np.ndarray]) -> np.ndarray | None:
    """One stretch for all dates, so that a change of colour is a change on the ground; None for 8-bit pictures."""
    if all(raster.data.shape[0] == 3 and raster.data.dtype == np.uint8 for raster in rasters):
        return None
    shown = []
    for raster in rasters:
        sensor = SENSORS[raster.sensor or "generic"]
        shown.append(raster.data[list(natural_band_indices(sensor, raster.band_names, len(raster.data)))])
    return stretch_limits(np.concatenate(shown, axis=1), np.concatenate(list(clear), axis=0))
