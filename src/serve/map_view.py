"""What the map shows, as plain values for static/map.js: pictures, outlines, patches, legend, scale, coordinates.

All places are pixels (column, row) of the pictures, counted from the upper left
edge; the browser draws them as SVG and needs no projection. Names are data, not
markup: map.js writes them with textContent.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray

from src.assistant.record import Evidence, PatchRow
from src.assistant.review import STATES
from src.assistant.text import SECTORS, area, class_name, listed, pick, type_name
from src.constants import LAND_CLASS_NAMES, LAND_CLASSES
from src.geo.grid import Grid
from src.geo.maps.geometry import ground_size_m, lonlat_of, north_direction, to_pixels
from src.geo.maps.pictures import COVER_COLOURS
from src.geo.maps.sheets import ZONE_LINES
from src.geo.patches.export import LAYER
from src.geo.vector import read_vector
from src.geo.workspace import Workspace
from src.geo.zones import CGCS2000, PARTS, ZONE_TYPES, read_zone
from src.serve.pictures import Pictures
from src.serve.texts import Lang, say

# Told apart on imagery and by readers who cannot tell red from green (after Okabe and Ito,
# https://jfly.uni-koeln.de/color/).
KIND_COLOURS = {
    "20": "#E8452C",
    "DT": "#F2B705",
    "DL": "#C084FC",
    "SM": "#38BDF8",
    "CK": "#FB923C",
    "ZB": "#4ADE80",
    "QT": "#E2E8F0",
}
# Shown where the asker named no unit.
AREA_UNIT: dict[str, str] = {"zh": "mu", "en": "ha"}
_AREA_PLACES = 2
GRADE_COLOURS = {"A": "#E8452C", "B": "#F2B705", "C": "#38BDF8"}
# Outlines beyond this many are parcels, which would hide the picture and slow the browser.
_MOST_OUTLINES = 400
# Half a pixel: what simplifying may move an outline by.
_TOLERANCE_PX = 0.5
# The browser finds coordinates between this many marks a side: off by less than a metre on 110 km of UTM.
_MARKS = 17
_DASHES = {"solid": "", "dashed": "6 4", "dotted": "2 3"}


def map_data(
    evidence: Evidence, workspace: Workspace, pictures: Pictures, url_of: Callable[[Path], str], lang: Lang
) -> dict[str, Any]:
    """The map of an answer.

    Args:
        evidence: its patches are shown, no others.
        workspace: whose zones are outlined.
        pictures: backgrounds.
        url_of: address of a picture file for the browser.
        lang: of all labels.
    """
    grid = pictures.grid
    height, width = grid.shape_hw
    right, up = north_direction(grid)
    survey = workspace.outputs / evidence.survey if evidence.survey else None
    return {
        "width": width,
        "height": height,
        "metres_per_px": ground_size_m(grid)[0],
        "north_deg": float(np.degrees(np.arctan2(right, up))),
        "marks": _marks(grid),
        "layers": _layers(pictures, url_of, lang),
        "zones": _zones(workspace, grid, lang),
        "patches": _patches(evidence.patches, survey, grid, lang, evidence.query.unit or AREA_UNIT[lang]),
        "legends": _legends(evidence.patches, lang),
        "text": _labels(lang),
    }


def empty_map(lang: Lang) -> dict[str, Any]:
    """A map without anything on it, which says so."""
    return {"width": 0, "height": 0, "patches": [], "text": _labels(lang)}


def _labels(lang: Lang) -> dict[str, str]:
    return {key.removeprefix("map_"): say(key, lang) for key in _MAP_KEYS}


_MAP_KEYS = (
    *("map_base", "map_over", "map_opacity", "map_none", "map_colour", "map_by_kind", "map_by_grade", "map_zones"),
    *("map_zoom_in", "map_zoom_out", "map_home", "map_north", "map_empty", "map_no_patches", "map_hint", "map_legend"),
    *("map_col_id", "map_col_kind", "map_col_change", "map_col_area", "map_col_grade", "map_col_town", "map_col_zones"),
    *("map_col_status", "map_col_place", "map_label", "map_table_label"),
)


def _marks(grid: Grid) -> list[list[float]]:
    """Longitude and latitude on a regular lattice of _MARKS x _MARKS places, row by row."""
    height, width = grid.shape_hw
    rows, cols = np.meshgrid(np.linspace(0, height, _MARKS), np.linspace(0, width, _MARKS), indexing="ij")
    lon, lat = lonlat_of(grid, np.column_stack([cols.ravel(), rows.ravel()]).astype(np.float64))
    return [[round(float(x), 7), round(float(y), 7)] for x, y in zip(lon, lat, strict=True)]


def _layers(pictures: Pictures, url_of: Callable[[Path], str], lang: Lang) -> list[dict[str, str]]:
    days = dict(zip(("before", "after")[-len(pictures.scenes) :], pictures.scenes, strict=True))
    layers = []
    for key in ("after", "before", "cover_after", "cover_before"):
        if key in pictures.files:
            day = days[key.removeprefix("cover_")].record.date
            kind = "map_layer_cover" if key.startswith("cover_") else "map_layer_image"
            layers.append({"key": key, "label": say(kind, lang, day=day), "url": url_of(pictures.files[key])})
    return layers


def _zones(workspace: Workspace, grid: Grid, lang: Lang) -> list[dict[str, Any]]:
    """One entry per kind of zone, with an outline per zone."""
    shown = []
    for kind, layer in zone_layers(workspace):
        shapes = to_pixels(layer, grid)
        colour, dashes = ZONE_LINES.get(kind, ("#444444", "solid"))
        names = [_zone_name(name, part, lang) for name, part in zip(layer["name"], layer["part"], strict=True)]
        outlines = [
            {"name": name, "d": d} for name, shape in zip(names, shapes, strict=True) if (d := _path(shape)) != ""
        ]
        if outlines:
            style = {"colour": colour, "dashes": _DASHES[dashes], "shown": kind != "basic_farmland"}
            shown.append(
                {"kind": kind, "label": zone_label(kind, lang), **style, "outlines": outlines[:_MOST_OUTLINES]}
            )
    return shown


def zone_layers(workspace: Workspace) -> tuple[tuple[str, gpd.GeoDataFrame], ...]:
    """Zones of a workspace by kind, the largest outlines of each first; kept while the files stay the same."""
    return _read_zones(tuple((str(path), path.stat().st_mtime) for path in workspace.zones().values()))


@lru_cache(maxsize=16)
def _read_zones(files: tuple[tuple[str, float], ...]) -> tuple[tuple[str, gpd.GeoDataFrame], ...]:
    if not files:
        return ()
    table = pd.concat([read_zone(Path(name)) for name, _ in files], ignore_index=True)
    zones = gpd.GeoDataFrame(table, geometry="geometry", crs=CGCS2000)
    zones = zones.assign(size=zones.geometry.bounds.pipe(lambda box: (box.maxx - box.minx) * (box.maxy - box.miny)))
    zones = zones.sort_values("size", ascending=False)
    return tuple((str(kind), group) for kind, group in zones.groupby("zone_type", sort=True))


def zone_label(kind: str, lang: Lang) -> str:
    """A kind of zone as a label; an unknown one as it is."""
    known = ZONE_TYPES.get(kind)
    return kind if known is None else known.zh if lang == "zh" else known.en


def _zone_name(name: object, part: object, lang: Lang) -> str:
    known = PARTS.get(str(part))
    return f"{name} {known[lang]}" if known else str(name or "")


def _patches(rows: Sequence[PatchRow], survey: Path | None, grid: Grid, lang: Lang, unit: str) -> list[dict[str, Any]]:
    shapes = _patch_shapes(rows, survey, grid)
    return [_patch(row, shapes.get(row.id), grid) | _patch_words(row, lang, unit) for row in rows]


def _patch_shapes(rows: Sequence[PatchRow], survey: Path | None, grid: Grid) -> dict[str, Any]:
    """Outlines in pixels by patch number."""
    path = None if survey is None else survey / "patches.gpkg"
    if not rows or path is None or not path.is_file():
        return {}
    features = read_vector(path, LAYER)
    features = features[features["TBBH"].isin([row.id for row in rows])]
    return dict(zip(features["TBBH"], to_pixels(features, grid), strict=True)) if len(features) else {}


def _patch(row: PatchRow, shape: Any, grid: Grid) -> dict[str, Any]:
    """Where a patch lies in the picture; a point where its outline is not there."""
    if shape is None:
        shape = to_pixels(gpd.GeoDataFrame(geometry=[shapely.Point(row.lon, row.lat)], crs=CGCS2000), grid)[0]
    point = shape.representative_point()
    return {
        "id": row.id,
        "d": _path(shape, simplify=False),
        "xy": [round(point.x, 2), round(point.y, 2)],
        "box": [round(value, 1) for value in shape.bounds],
        "kind": row.kind,
        "grade": row.grade,
        "area_m2": row.area_m2,
    }


def _patch_words(row: PatchRow, lang: Lang, unit: str) -> dict[str, str]:
    """What the table says of a patch."""
    before = class_name(row.from_cls, lang) if row.from_cls else say("unknown_class", lang)
    return {
        "kind_label": type_name(row.kind, lang),
        "grade_label": f"{row.grade} {row.confidence:.2f}",
        "change": f"{before} → {class_name(row.to_cls, lang)}" if row.to_cls else "",
        "area": area(row.area_m2, unit, lang, _AREA_PLACES),
        "town": " ".join(part for part in (row.town, pick(SECTORS, row.sector, lang)) if part),
        "zones": listed([zone_label(kind, lang) for kind in row.zones], lang),
        "place": f"{row.lon:.5f}, {row.lat:.5f}",
        "status": pick(STATES, row.status, lang),
    }


def _path(shape: Any, simplify: bool = True) -> str:
    """SVG path of the outlines of a polygon in pixels; "" where it is smaller than a pixel."""
    if simplify:
        shape = shape.simplify(_TOLERANCE_PX)
    rings: list[NDArray[np.float64]] = [
        shapely.get_coordinates(ring)
        for part in shapely.get_parts(shape)
        if part.geom_type == "Polygon"
        for ring in (part.exterior, *part.interiors)
    ]
    return "".join(f"M{' '.join(f'{x:.1f},{y:.1f}' for x, y in ring[:-1])}Z" for ring in rings if len(ring) > 3)


def _legends(rows: Sequence[PatchRow], lang: Lang) -> dict[str, list[list[str]]]:
    """Colour and label of what is there: by type, by grade, and the classes of the land cover layers."""
    kinds = [kind for kind in KIND_COLOURS if any(row.kind == kind for row in rows)]
    grades = [grade for grade in GRADE_COLOURS if any(row.grade == grade for row in rows)]
    return {
        "kind": [[kind, KIND_COLOURS[kind], type_name(kind, lang)] for kind in kinds],
        "grade": [[grade, GRADE_COLOURS[grade], say(f"grade_{grade}", lang)] for grade in grades],
        "cover": [[name, COVER_COLOURS[code], LAND_CLASS_NAMES[name][lang]] for code, name in LAND_CLASSES.items()],
    }
