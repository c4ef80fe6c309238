"""Labels of a workspace: rasters and vectors of known cover, kept with how their codes are to be read."""

import json
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np

from src.constants import LAND_CLASSES, NODATA_CLASS
from src.errors import InputError, LegendError, MissingPathError
from src.geo.blocks import blocks_of
from src.geo.legend import CROSSWALKS, to_canonical
from src.geo.raster import atomic_path, block_writer, read_raster
from src.geo.scenes.grid_check import check_grid
from src.geo.untrusted import check_raster, guarded_gdal
from src.geo.vector import read_vector, write_vector

# More codes than any class scheme has: the file holds measurements, not classes.
_MAX_CODES = 1000
# Columns and bands whose codes are known by their name: land survey codes, and this project's own classes.
_KNOWN_COLUMNS = {"DLBM": "sandiao", "class_id": "canonical", "land_class": "canonical"}


@dataclass(frozen=True)
class LabelRecord:
    """What is known about a label layer; ``labels/<name>.json``.

    Args:
        name: of the layer, unique in the workspace.
        path: raster or vector, beside the record.
        kind: "raster" or "vector".
        crosswalk: key of ``legend.CROSSWALKS`` that reads the codes.
        column: of a vector, holds the codes; None for rasters.
        date: the labels' own, ISO; None where nobody said.
        source: name and SHA-256 of the original.
        counts: code as text -> pixels or features.
        classes: canonical class -> pixels or features.
    """

    name: str
    path: Path = field(compare=False)
    kind: str
    crosswalk: str
    column: str | None = None
    date: str | None = None
    source: dict[str, str] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    classes: dict[str, int] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Plain values; the path becomes a file name."""
        return asdict(self) | {"path": self.path.name}


def add_raster_labels(
    path: Path, folder: Path, name: str, *, crosswalk: str | None, date: str | None, sha256: str
) -> LabelRecord:
    """Copy a raster of class codes, checking that every code is known.

    Args:
        path: one band of whole numbers with a CRS.
        folder: labels of the workspace.
        name: of the layer.
        crosswalk: key of CROSSWALKS; may be left out where the band's name tells.
        date: ISO date of the labels.
        sha256: of the original.

    Raises:
        InputError: several bands, or no class codes. LegendError: codes that the crosswalk lacks.
        GridError: no usable CRS.
    """
    grid, count, dtype = check_raster(path)
    check_grid(grid, path.name)
    if count != 1:
        raise InputError(f"{path.name}: labels are one band of class codes, this file has {count}")
    counts: Counter[float] = Counter()
    with guarded_gdal():
        first = read_raster(path, window=(0, 0, 1, 1))
        crosswalk = _crosswalk(path, crosswalk, _KNOWN_COLUMNS.get(first.band_names[0]))
        target = folder / f"{name}.tif"
        with block_writer(target, grid, first.band_names, dtype, nodata=first.nodata, overviews=True) as sink:
            for block in blocks_of(grid.shape_hw):
                raster = read_raster(path, window=block.window)
                codes, numbers = np.unique(raster.data[0][raster.valid], return_counts=True)
                counts.update(dict(zip(codes.tolist(), numbers.tolist(), strict=True)))
                if len(counts) > _MAX_CODES:
                    raise InputError(
                        f"{path.name}: holds more than {_MAX_CODES} different values; these are no classes"
                    )
                sink.write(block, raster.data)
            classes = _classes(np.array(list(counts)), list(counts.values()), crosswalk)
    shown = {f"{code:g}": number for code, number in sorted(counts.items())}
    source = {"name": path.name, "sha256": sha256}
    return _save(LabelRecord(name, target, "raster", crosswalk, None, date, source, shown, classes))


def add_vector_labels(
    path: Path,
    folder: Path,
    name: str,
    *,
    column: str | None,
    crosswalk: str | None,
    date: str | None,
    sha256: str,
) -> LabelRecord:
    """Copy a vector layer of labelled points or polygons, checking that every code is known.

    Args:
        path: vector file with a CRS.
        folder: labels of the workspace.
        name: of the layer.
        column: holds the codes; may be left out where a column has a known name, such as DLBM.
        crosswalk: key of CROSSWALKS; may be left out for such a column.
        date: ISO date of the labels.
        sha256: of the original.

    Raises:
        InputError: no such column. LegendError: codes that the crosswalk lacks. Others as of ``read_vector``.
    """
    features = read_vector(path)
    column = column or known_column(features)
    if column is None or column not in features.columns:
        found = ", ".join(str(one) for one in features.columns if one != "geometry")
        raise InputError(f"{path.name}: which column holds the classes? give --label-column, one of {found}")
    crosswalk = _crosswalk(path, crosswalk, _KNOWN_COLUMNS.get(column))
    counts = Counter(features[column].tolist())
    classes = _classes(np.array(list(counts)), list(counts.values()), crosswalk)
    target = folder / f"{name}.gpkg"
    write_vector(target, features)
    shown = {str(code): number for code, number in sorted(counts.items(), key=lambda pair: str(pair[0]))}
    source = {"name": path.name, "sha256": sha256}
    return _save(LabelRecord(name, target, "vector", crosswalk, column, date, source, shown, classes))


def known_column(features: gpd.GeoDataFrame) -> str | None:
    """The column whose codes are known by its name, else None."""
    return next((name for name in _KNOWN_COLUMNS if name in features.columns), None)


def read_label_record(path: Path) -> LabelRecord:
    """A record from its JSON file.

    Raises:
        MissingPathError: the layer beside it is gone.
    """
    values = json.loads(path.read_text(encoding="utf-8"))
    layer = path.with_name(values["path"])
    if not layer.is_file():
        raise MissingPathError(f"{layer}: its record {path.name} is there, the layer is not; add it again")
    return LabelRecord(**(values | {"path": layer}))


def _crosswalk(path: Path, given: str | None, known: str | None) -> str:
    crosswalk = given or known
    if crosswalk not in CROSSWALKS:
        raise LegendError(
            f"{path.name}: {'unknown crosswalk ' + repr(crosswalk) if crosswalk else 'what do its codes mean?'}; "
            f"give --crosswalk, one of {', '.join(CROSSWALKS)}"
        )
    return crosswalk


def _classes(codes: np.ndarray, numbers: list[int], crosswalk: str) -> dict[str, int]:
    """Counts by canonical class; raises LegendError for unknown codes."""
    names = {NODATA_CLASS: "no data"} | LAND_CLASSES
    totals: Counter[str] = Counter()
    for class_id, number in zip(to_canonical(codes, crosswalk).tolist(), numbers, strict=True):
        totals[names[class_id]] += number
    return {name: totals[name] for name in names.values() if name in totals}


def _save(record: LabelRecord) -> LabelRecord:
    with atomic_path(record.path.with_suffix(".json")) as partial:
        partial.write_text(json.dumps(record.to_json(), ensure_ascii=False, indent=1), encoding="utf-8")
    return record
