"""Maps of a county as PNG: imagery, land cover, change, patches, and three chips per patch.

A map is for looking: nothing is measured on it. Large rasters are read thinned and
the sheet says so. The same inputs give the same bytes. Scenes and rasters need a CRS;
patches and zones may come in any (they are EPSG:4490 elsewhere in this project).
"""

from pathlib import Path

import geopandas as gpd
import numpy as np
import shapely
from matplotlib.artist import Artist
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

from src.constants import LAND_CLASS_NAMES, LAND_CLASSES, NODATA_CLASS
from src.geo.grid import Grid
from src.geo.maps.chips import PATCH_COLOUR, patch_trio
from src.geo.maps.geometry import to_pixels
from src.geo.maps.layout import (
    Caption,
    Dashes,
    Sheet,
    draw_outlines,
    fill_handle,
    line_handle,
    open_sheet,
    write_text,
)
from src.geo.maps.pictures import (
    CHANGE_COLOUR,
    COVER_COLOURS,
    NO_DATA_COLOUR,
    UNCHANGED_COLOUR,
    Stretch,
    change_picture,
    common_stretch,
    cover_picture,
    scene_picture,
    thinned_grid,
)
from src.geo.raster import read_grid, read_raster
from src.geo.scene import Scene
from src.geo.zones import ZONE_TYPES

__all__ = [
    "COVER_COLOURS",
    "ZONE_LINES",
    "Caption",
    "Stretch",
    "change_map",
    "common_stretch",
    "cover_map",
    "overview_map",
    "patch_trio",
]

# Colour and dashes of outlines, one per key of ZONE_TYPES.
ZONE_LINES: dict[str, tuple[str, Dashes]] = {
    "county": ("#000000", "solid"),
    "town": ("#444444", "dashed"),
    "village": ("#777777", "dotted"),
    "basic_farmland": ("#B8860B", "solid"),
    "red_line": ("#C2185B", "solid"),
    "reserve": ("#00695C", "solid"),
    "river": ("#1565C0", "solid"),
    "urban_boundary": ("#7B1FA2", "dashed"),
    "mining": ("#5D4037", "dashed"),
    "aoi": ("#0097A7", "dashed"),
}
MAX_SIDE_PX = 1600
_LABEL_PT = 8.0
# More numbers than this make a map unreadable; the list of patches has them all.
_MOST_LABELS = 60

TEXT = {
    "channel": {"zh": "{}：{}–{}", "en": "{}: {}–{}"},
    "no_data": {"zh": "无数据 no data", "en": "no data"},
    "changed": {"zh": "疑似变化 suspected change", "en": "suspected change"},
    "unchanged": {"zh": "未检出变化 no change found", "en": "no change found"},
    "patch": {"zh": "疑似图斑 suspected patch", "en": "suspected patch"},
    "grey": {"zh": "灰色底图为{}影像。", "en": "The grey background is the image of {}. "},
    "thinned": {
        "zh": "缩略显示：图上1个像素代表原始{:.1f}个像元，过小的地物可能不显示，不可据图量算。",
        "en": "Thinned: one pixel of the map stands for {:.1f} of the file; small things may not show, "
        "and nothing is measured on the map.",
    },
    "labels": {
        "zh": "共{}个疑似图斑，标注{}个（图斑编号末段）。",
        "en": "{} suspected patches, {} labelled with the last part of their number. ",
    },
    "clue": {
        "zh": "遥感线索，不能作为处罚依据，须实地核查。",
        "en": "Remote-sensing clues, no basis for a penalty; check them in the field.",
    },
}
_ROLES = {
    "blue": {"zh": "蓝 blue", "en": "blue"},
    "green": {"zh": "绿 green", "en": "green"},
    "red": {"zh": "红 red", "en": "red"},
    "nir": {"zh": "近红外 NIR", "en": "near infrared"},
    "swir1": {"zh": "短波红外1 SWIR1", "en": "shortwave infrared 1"},
    "swir2": {"zh": "短波红外2 SWIR2", "en": "shortwave infrared 2"},
}


def overview_map(
    scene: Scene,
    out: Path,
    stretch: Stretch,
    caption: Caption,
    *,
    zones: gpd.GeoDataFrame | None = None,
    patches: gpd.GeoDataFrame | None = None,
    max_side: int = MAX_SIDE_PX,
) -> None:
    """A scene in colours, with zones and numbered patches where given.

    Args:
        scene: what to show.
        out: .png file.
        stretch: from ``common_stretch`` of both dates, so that their maps compare.
        caption: title, dates, source, language.
        zones: outlines, drawn by column zone_type.
        patches: outlines, labelled by column TBBH, largest first, where labels find room.
        max_side: longest side read, in pixels.

    Raises:
        GridError: scene, zones or patches lack a CRS.
    """
    lang = caption.lang
    grid = thinned_grid(scene.grid, max_side)
    sheet = open_sheet(grid, scene_picture(scene, grid, stretch), caption)
    handles = [*_channel_handles(stretch, lang), fill_handle(NO_DATA_COLOUR, TEXT["no_data"][lang])]
    handles += _draw_zones(sheet, zones)
    notes = _thinned_note(scene.grid, grid, lang)
    if patches is not None:
        handles.append(line_handle(PATCH_COLOUR, TEXT["patch"][lang]))
        shown = _draw_patches(sheet, patches) if len(patches) else 0
        notes = [TEXT["labels"][lang].format(len(patches), shown) + TEXT["clue"][lang], *notes]
    sheet.save(out, handles, notes)


def cover_map(
    cover: Path, out: Path, caption: Caption, *, zones: gpd.GeoDataFrame | None = None, max_side: int = MAX_SIDE_PX
) -> None:
    """A land cover map in the palette COVER_COLOURS.

    Args:
        cover: uint8 raster of class ids of LAND_CLASSES, 0 no data.
        out: .png file.
        caption: title, date, source, language.
        zones: outlines, drawn by column zone_type.
        max_side: longest side read, in pixels.

    Raises:
        InputError: the raster holds other codes.
        GridError: raster or zones lack a CRS.
    """
    raster = read_raster(cover, max_side=max_side, bands=[0])
    codes = np.where(raster.valid, raster.data[0], NODATA_CLASS)
    sheet = open_sheet(raster.grid, cover_picture(codes), caption)
    legend = [fill_handle(COVER_COLOURS[code], cover_name(name, caption.lang)) for code, name in LAND_CLASSES.items()]
    legend.append(fill_handle(NO_DATA_COLOUR, TEXT["no_data"][caption.lang]))
    sheet.save(
        out, [*legend, *_draw_zones(sheet, zones)], _thinned_note(read_grid(cover)[0], raster.grid, caption.lang)
    )


def change_map(
    change: Path,
    out: Path,
    caption: Caption,
    *,
    background: tuple[Scene, Stretch] | None = None,
    zones: gpd.GeoDataFrame | None = None,
    max_side: int = MAX_SIDE_PX,
) -> None:
    """Changed pixels over a grey picture.

    Args:
        change: uint8 raster: 0 no data, 1 unchanged, 2 changed.
        out: .png file.
        caption: title, both dates, source, language.
        background: scene shown in grey where nothing changed, with its stretch; default flat grey.
        zones: outlines, drawn by column zone_type.
        max_side: longest side read, in pixels.

    Raises:
        GridError: raster, scene or zones lack a CRS.
    """
    lang = caption.lang
    raster = read_raster(change, max_side=max_side, bands=[0])
    codes = np.where(raster.valid, raster.data[0], 0)
    sheet = open_sheet(raster.grid, change_picture(codes, raster.grid, background), caption)
    legend = [
        fill_handle(CHANGE_COLOUR, TEXT["changed"][lang]),
        fill_handle(UNCHANGED_COLOUR, TEXT["unchanged"][lang]),
        fill_handle(NO_DATA_COLOUR, TEXT["no_data"][lang]),
    ]
    grey = TEXT["grey"][lang].format(background[0].record.date) if background else ""
    notes = [grey + TEXT["clue"][lang], *_thinned_note(read_grid(change)[0], raster.grid, lang)]
    sheet.save(out, [*legend, *_draw_zones(sheet, zones)], notes)


def cover_name(name: str, lang: str) -> str:
    """Legend name of a class: both languages on Chinese maps."""
    names = LAND_CLASS_NAMES[name]
    return f"{names['zh']} {names['en']}" if lang == "zh" else names["en"]


def _channel_handles(stretch: Stretch, lang: str) -> list[Artist]:
    """What the three colours show, with the values that are black and full colour."""
    colours = ("#FF0000", "#00C000", "#0000FF") if len(set(stretch.roles)) == 3 else ("#808080",)
    texts = [
        TEXT["channel"][lang].format(_ROLES.get(role, {}).get(lang, role), f"{low:.3g}", f"{high:.3g}")
        for role, (low, high) in zip(stretch.roles, stretch.limits, strict=True)
    ]
    return [fill_handle(colour, text) for colour, text in zip(colours, texts, strict=False)]


def _thinned_note(full: Grid, shown: Grid, lang: str) -> list[str]:
    ratio = max(full.shape_hw) / max(shown.shape_hw)
    return [TEXT["thinned"][lang].format(ratio)] if ratio > 1 else []


def _draw_zones(sheet: Sheet, zones: gpd.GeoDataFrame | None) -> list[Artist]:
    """Outlines of all zones and a legend entry per type; smaller kinds are drawn over larger ones."""
    if zones is None or zones.empty:
        return []
    handles: list[Artist] = []
    shapes = to_pixels(zones, sheet.grid)
    lang = sheet.caption.lang
    for kind, (colour, dashes) in ZONE_LINES.items():
        own = (zones["zone_type"] == kind).to_numpy()
        if own.any():
            draw_outlines(sheet.axes, shapes[own], colour, 1.3, dashes)
            names = ZONE_TYPES[kind]
            handles.append(line_handle(colour, f"{names.zh} {names.en}" if lang == "zh" else names.en, dashes))
    return handles


def _draw_patches(sheet: Sheet, patches: gpd.GeoDataFrame) -> int:
    """Outlines of patches, and numbers beside the largest where they find room; returns how many are numbered."""
    shapes = to_pixels(patches, sheet.grid)
    draw_outlines(sheet.axes, shapes, PATCH_COLOUR, 1.1, halo="black")
    order = np.argsort(-shapely.area(shapes), kind="stable")[:_MOST_LABELS]
    names = [str(name).rsplit("-", 1)[-1].lstrip("0") or "0" for name in patches["TBBH"]]
    boxes = shapely.bounds(shapes)
    places = _label_places(sheet, boxes, order, [names[index] for index in order])
    effects = [withStroke(linewidth=2.0, foreground="black")]
    for (left, _, _, bottom), name in places:
        write_text(sheet.axes, left, bottom, name, _LABEL_PT, color="white", va="bottom", path_effects=effects)
    return len(places)


def _label_places(
    sheet: Sheet, boxes: NDArray[np.float64], order: NDArray[np.intp], names: list[str]
) -> list[tuple[NDArray[np.float64], str]]:
    """Boxes (left, top, right, bottom) for texts beside their patches that overlap neither each other nor the frame.

    Each is tried right, left, above and below; the place with the fewest patches under it wins.
    A text without a free place is left out.
    """
    height, width = sheet.grid.shape_hw
    box = sheet.axes.get_position()
    wide_in, high_in = box.width * sheet.figure.get_figwidth(), box.height * sheet.figure.get_figheight()
    # The size of the letters in columns and in rows.
    em_x, em_y = _LABEL_PT / 72 * width / wide_in, _LABEL_PT / 72 * height / high_in
    placed: list[tuple[NDArray[np.float64], str]] = []
    taken = np.empty((0, 4))
    for (x0, y0, x1, y1), name in zip(boxes[order], names, strict=True):
        wide, high = 0.6 * em_x * len(name), 1.3 * em_y
        middle_x, middle_y = (x0 + x1 - wide) / 2, (y0 + y1 - high) / 2
        right, left, above, below = x1 + 0.35 * em_x, x0 - 0.35 * em_x - wide, y0 - 0.35 * em_y - high, y1 + 0.35 * em_y
        corners = [(right, middle_y), (left, middle_y), (middle_x, above), (middle_x, below)]
        tried = [np.array((x, y, x + wide, y + high)) for x, y in corners]
        frame = np.array((0, 0, width, height))
        free = [
            place
            for place in tried
            if (place[:2] >= frame[:2]).all() and (place[2:] <= frame[2:]).all() and not _overlaps(place, taken)
        ]
        if free:
            best = min(free, key=lambda place: _overlaps(place, boxes))
            placed.append((best, name))
            taken = np.vstack([taken, best])
    return placed


def _overlaps(place: NDArray[np.float64], others: NDArray[np.float64]) -> int:
    """How many of the boxes (n, 4) share ground with this one."""
    apart = (others[:, :2] >= place[2:]).any(axis=1) | (others[:, 2:] <= place[:2]).any(axis=1)
    return int((~apart).sum())
