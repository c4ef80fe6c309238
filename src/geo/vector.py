"""Reading and writing vector layers: the only place that opens vector files.

Reads GeoPackage, Shapefile, GeoJSON and KML, and nothing that merely claims
to be one of them; writes GeoPackage, Shapefile and GeoJSON.
"""

import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import geopandas as gpd
import numpy as np
import pandas as pd
import pyogrio
from rasterio.features import rasterize as burn

from src.errors import GridError, InputError, MissingPathError
from src.geo.grid import Grid
from src.geo.raster import atomic_path

# Suffix -> what the file must begin with (after white space, for text), and the GDAL drivers that may open it.
_FORMATS: dict[str, tuple[tuple[bytes, ...], set[str]]] = {
    ".gpkg": ((b"SQLite format 3\x00",), {"GPKG"}),
    ".shp": ((b"\x00\x00\x27\x0a",), {"ESRI Shapefile"}),
    ".geojson": ((b"{",), {"GeoJSON"}),
    ".json": ((b"{",), {"GeoJSON"}),
    ".kml": ((b"<?xml", b"<kml"), {"KML", "LIBKML"}),
}
# What is written, and what a DBF file can hold: bytes of a column name and of a text.
_WRITTEN = (".gpkg", ".shp", ".geojson")
_DBF_NAME, _DBF_TEXT = 10, 254


def read_vector(path: str | Path, layer: str | None = None) -> gpd.GeoDataFrame:
    """Read a layer of features.

    Args:
        path: a local .gpkg, .shp, .geojson, .json or .kml file.
        layer: which layer; needed where the file has several.

    Returns:
        Features with a CRS. Features without geometry are left out, with a warning that counts them.

    Raises:
        MissingPathError: there is no such file.
        InputError: another format, no such layer, several layers and none
            named, or no feature with a geometry.
        GridError: the layer has no CRS.
    """
    path = Path(path)
    _check_format(path)
    try:
        layers = [str(name) for name in pyogrio.list_layers(path)[:, 0]]
        if layer is None and len(layers) > 1:
            raise InputError(f"{path}: holds the layers {', '.join(layers)}; name one")
        if layer is not None and layer not in layers:
            raise InputError(f"{path}: has no layer {layer!r}; it holds {', '.join(layers)}")
        driver = pyogrio.read_info(path, layer=layer)["driver"]
        if driver not in _FORMATS[path.suffix.lower()][1]:
            raise InputError(f"{path}: its content is {driver}, not what {path.suffix} promises")
        features = gpd.read_file(path, layer=layer, engine="pyogrio")
    except (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError) as error:
        raise InputError(f"{path}: cannot be read as {path.suffix[1:]} ({error})") from error
    return _check_features(features, path)


def write_vector(
    path: str | Path,
    features: gpd.GeoDataFrame,
    *,
    layer: str | None = None,
    tables: Mapping[str, pd.DataFrame] | None = None,
    date: str | None = None,
) -> None:
    """Write features in one step as GeoPackage, Shapefile or GeoJSON, by the name's suffix; missing folders are made.

    Args:
        path: .gpkg (UTF-8), .shp (with .dbf, .shx, .prj and a .cpg that says UTF-8; the files move to their place one
            by one, .shp last) or .geojson (RFC 7946: WGS 84, longitude first, 7 decimals, UTF-8).
        features: with a CRS; polygons are written as multipolygons where a file must hold one kind.
        layer: name of the layer in a GeoPackage; default the file's.
        tables: tables without geometry that go into the same GeoPackage, by name.
        date: ISO day that the file carries instead of today's, so that equal features give equal bytes.

    Raises:
        InputError: another suffix, tables for a file that takes none, or a column name or text too long for a DBF.
        GridError: the features have no CRS.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in _WRITTEN:
        raise InputError(f"{path}: vectors are written as GeoPackage, Shapefile or GeoJSON: {', '.join(_WRITTEN)}")
    if features.crs is None:
        raise GridError(f"{path}: features without a CRS cannot be written")
    if tables and suffix != ".gpkg":
        raise InputError(f"{path}: only a GeoPackage takes further tables")
    name = layer or path.stem
    if suffix == ".shp":
        _write_shapefile(path, features, date)
        return
    with atomic_path(path) as partial, _dated(date):
        if suffix == ".geojson":
            degrees = features.to_crs(4326)
            pyogrio.write_dataframe(degrees, partial, driver="GeoJSON", layer=name, RFC7946="YES", WRITE_BBOX="NO")
            return
        kind = _one_kind(features)
        pyogrio.write_dataframe(
            features, partial, driver="GPKG", layer=name, geometry_type=kind, promote_to_multi=kind == "MultiPolygon"
        )
        for title, table in (tables or {}).items():
            pyogrio.write_dataframe(table, partial, driver="GPKG", layer=title, append=True)


def _one_kind(features: gpd.GeoDataFrame) -> str | None:
    """MultiPolygon where all features are areas (or there are none), else whatever the features are."""
    return "MultiPolygon" if features.geom_type.isin(("Polygon", "MultiPolygon")).all() else None


@contextmanager
def _dated(date: str | None) -> Iterator[None]:
    """GDAL writes this day into the file's own bookkeeping instead of the present moment."""
    if date is None:
        yield
        return
    pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": f"{date}T00:00:00.000Z"})
    try:
        yield
    finally:
        pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": None})


def _write_shapefile(path: Path, features: gpd.GeoDataFrame, date: str | None) -> None:
    texts = features.drop(columns=features.geometry.name)
    for column in texts.columns:
        longest = max((len(str(value).encode()) for value in texts[column]), default=0)
        if len(str(column).encode()) > _DBF_NAME or longest > _DBF_TEXT:
            raise InputError(
                f"{path}: column {column!r} with values of up to {longest} bytes; a Shapefile takes names of "
                f"{_DBF_NAME} and texts of {_DBF_TEXT} bytes. Shorten them or write .gpkg"
            )
    path.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=f".{path.stem}.", dir=path.parent) as folder:
        options = {"ENCODING": "UTF-8"} | ({"DBF_DATE_LAST_UPDATE": date} if date else {})
        pyogrio.write_dataframe(
            features, Path(folder) / path.name, driver="ESRI Shapefile", geometry_type=_shape_kind(features), **options
        )
        for part in sorted(Path(folder).iterdir(), key=lambda file: file.suffix == ".shp"):
            os.replace(part, path.with_name(part.name))


def _shape_kind(features: gpd.GeoDataFrame) -> str | None:
    return "Polygon" if _one_kind(features) else None


def rasterize(
    features: gpd.GeoDataFrame,
    grid: Grid,
    column: str | None = None,
    *,
    values: Sequence[int] | np.ndarray | None = None,
) -> np.ndarray:
    """Burn features into a grid, in their order: a later feature covers an earlier one.

    Args:
        features: with a CRS; projected to the grid's CRS where it differs.
        grid: target, with a CRS.
        column: column of whole numbers to burn.
        values: whole numbers to burn, one per feature, instead of a column.

    Returns:
        (H, W), 0 where no feature covers the pixel's centre; uint8 where all values lie in 0..255, else int32.

    Raises:
        InputError: not exactly one of column and values; unknown column; values that are no whole numbers.
        GridError: a CRS is missing, or the features lie outside the grid.
    """
    if (column is None) == (values is None):
        raise InputError("rasterize takes either a column or values")
    if column is not None and column not in features.columns:
        raise InputError(f"the features have no column {column!r}; they have {', '.join(map(str, features.columns))}")
    numbers = _whole_numbers(features[column].to_numpy() if column is not None else np.asarray(values), len(features))
    if grid.crs is None or features.crs is None:
        raise GridError("features and grid both need a CRS to be laid over each other")
    shapes = features.geometry.to_crs(grid.crs)
    left, bottom, right, top = grid.bounds()
    west, south, east, north = shapes.total_bounds
    if not (west < right and left < east and south < top and bottom < north):
        raise GridError(
            f"the features (x {west:.6g} to {east:.6g}, y {south:.6g} to {north:.6g}) lie outside the grid "
            f"(x {left:.6g} to {right:.6g}, y {bottom:.6g} to {top:.6g}) in {grid.crs.name}"
        )
    dtype = np.uint8 if numbers.min() >= 0 and numbers.max() <= 255 else np.int32
    return burn(
        zip(shapes, numbers.tolist(), strict=True), out_shape=grid.shape_hw, transform=grid.transform, dtype=dtype
    )


def _check_format(path: Path) -> None:
    if not path.is_file():
        raise MissingPathError(f"{path}: no such file")
    if path.suffix.lower() not in _FORMATS:
        raise InputError(f"{path}: vectors are read from {', '.join(_FORMATS)} files")
    with path.open("rb") as file:
        head = file.read(4096).removeprefix(b"\xef\xbb\xbf").lstrip(b" \t\r\n")
    if not head.startswith(_FORMATS[path.suffix.lower()][0]):
        raise InputError(f"{path}: its content is not what {path.suffix} promises")


def _check_features(features: gpd.GeoDataFrame, path: Path) -> gpd.GeoDataFrame:
    if not isinstance(features, gpd.GeoDataFrame):
        raise InputError(f"{path}: the layer has no geometry column")
    kept = features[~(features.geometry.isna() | features.geometry.is_empty)]
    if kept.empty:
        raise InputError(f"{path}: none of its {len(features)} features has a geometry; is the file damaged?")
    if kept.crs is None:
        raise GridError(f"{path}: has no CRS; a Shapefile needs its .prj file beside it")
    if len(kept) < len(features):
        warnings.warn(f"{path}: {len(features) - len(kept)} features without geometry are left out", stacklevel=3)
    return kept


def _whole_numbers(values: np.ndarray, count: int) -> np.ndarray:
    """Values to burn as int64, or an InputError that names the first bad one."""
    if len(values) != count:
        raise InputError(f"{len(values)} values for {count} features")
    try:
        numbers = values.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"only whole numbers can be burned, got {values[0]!r}; map class names to codes") from error
    bad = ~np.isfinite(numbers) | (numbers != np.round(numbers))
    if bad.any():
        raise InputError(f"only whole numbers can be burned, got {values[bad][0]!r}")
    return numbers.astype(np.int64)
