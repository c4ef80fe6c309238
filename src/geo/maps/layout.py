"""The sheet around a map: frame with degrees, title, legend, north arrow, scale bar, source lines.

Everything is drawn in pixel coordinates of the map's grid (column to the right,
row down), so rotated, geographic and projected grids need no special case.
Lengths and directions are measured on the ellipsoid at the centre of the map:
the scale bar is right there on a Mercator grid too, and the arrow points to true
north. The object interface of matplotlib is used, without pyplot and its state.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import shapely
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Polygon, Rectangle
from matplotlib.patheffects import withStroke
from matplotlib.text import Text
from numpy.typing import NDArray

from src.errors import GridError
from src.geo.grid import Grid
from src.geo.maps.fonts import cjk_font
from src.geo.maps.geometry import (
    crs_name,
    degree_marks,
    format_length,
    ground_size_m,
    lonlat_of,
    nice_length_m,
    north_direction,
    scale_spread,
)
from src.geo.raster import atomic_path

Dashes = Literal["solid", "dashed", "dotted"]

DPI = 150
# Inches: longest side of the map, smallest height that the legend needs, legend, and the margins around.
_MAP_IN, _LOWEST_IN, _PANEL_IN = 7.0, 6.0, 2.55
_LEFT_IN, _TOP_IN, _BOTTOM_IN, _GAP_IN = 0.55, 0.85, 1.0, 0.25
_FOOTER_PT, _FOOTER_LINE_IN = 7.5, 0.155
# Latin letters of this font are about 0.54 of its size wide, Chinese characters the double.
_LETTER = 0.54
_LEGEND_PT = 9.0
_LEGEND_UNITS = int((_PANEL_IN - 0.4) * 72 / _LEGEND_PT / _LETTER)

TEXT = {
    "north": {"zh": "北", "en": "N"},
    "legend": {"zh": "图例", "en": "Legend"},
    "crs": {"zh": "坐标系：{}", "en": "CRS: {}"},
    "source": {"zh": "数据来源：{}", "en": "Source: {}"},
    "measured": {
        "zh": "指北针为真北；比例尺按图幅中心的椭球面距离，图内其他位置长度相差不超过{:.2f}%。",
        "en": "The arrow points to true north; the scale bar is measured on the ellipsoid at the map centre, "
        "lengths elsewhere differ by {:.2f}% at most.",
    },
}


@dataclass(frozen=True)
class Caption:
    """What a map says about itself.

    Args:
        title: of the map, such as "金滩县变化图斑分布图".
        dates: acquisition dates shown, ISO; one or two.
        source: sensors, products and scenes, in words.
        lang: "zh" or "en".
    """

    title: str
    dates: tuple[str, ...]
    source: str
    lang: str = "zh"

    def text(self, key: str) -> str:
        """A text of this module in the map's language."""
        return TEXT[key][self.lang]


def draw_outlines(
    axes: Axes, shapes: NDArray[np.object_], colour: str, width_pt: float, dashes: Dashes = "solid", halo: str = "white"
) -> None:
    """Lines around polygons, holes too, and along lines, with a halo that keeps them visible on any ground."""
    lines = shapely.get_parts(np.array([shape.boundary if _is_area(shape) else shape for shape in shapes]))
    rings = [shapely.get_coordinates(line) for line in lines]
    effects = [withStroke(linewidth=width_pt + 1.0, foreground=halo)]
    axes.add_collection(
        LineCollection(rings, colors=colour, linewidths=width_pt, linestyles=dashes, path_effects=effects),
        autolim=False,
    )


def write_text(parent: Axes | Figure, x: float, y: float, text: str, size_pt: float, **style: Any) -> Text:
    """A text in the Chinese font; dollar signs are signs, not formulas."""
    return parent.text(x, y, text, fontproperties=cjk_font(size_pt), parse_math=False, **style)


def save_png(figure: Figure, out: Path) -> None:
    """Write a picture in one step; the same figure gives the same bytes (no time stamp, no version)."""
    with atomic_path(out) as partial:
        FigureCanvasAgg(figure).print_png(partial, metadata={"Software": None})


def wrap(text: str, units: int) -> str:
    """Break a text into lines of so many Latin letters, a Chinese character counting two; words stay whole."""
    lines, line, used = [], "", 0
    for piece in _pieces(text):
        size = sum(1 if ord(letter) < 0x2E80 else 2 for letter in piece)
        if used + size > units and line:
            lines.append(line.rstrip())
            piece, line, used = piece.lstrip(), "", 0
            size = sum(1 if ord(letter) < 0x2E80 else 2 for letter in piece)
        line, used = line + piece, used + size
    return "\n".join([*lines, line.rstrip()])


@dataclass(frozen=True, eq=False)
class Sheet:
    """A page with an empty map on it; made by ``open_sheet``.

    Args:
        figure: the page.
        axes: the map, in pixel coordinates of the grid.
        grid: of the picture shown.
        caption: title, dates, source, language.
        panel_in: left edge of the legend column and its height, in inches.
    """

    figure: Figure
    axes: Axes
    grid: Grid
    caption: Caption
    panel_in: tuple[float, float]

    def save(self, out: Path, legend: Sequence[Artist], notes: Sequence[str] = ()) -> None:
        """Add legend, arrow, scale bar and source lines, and write the page.

        Args:
            out: .png file.
            legend: handles with labels.
            notes: sentences below the map, before those on CRS and source.
        """
        left, height = self.panel_in
        wide, high = self.figure.get_size_inches()
        _draw_north(self.figure, (left + 0.35, _BOTTOM_IN + height - 0.55), north_direction(self.grid), self.caption)
        for handle in legend:
            handle.set_label(wrap(str(handle.get_label()), _LEGEND_UNITS))
        self.figure.legend(
            handles=list(legend),
            loc="upper left",
            bbox_to_anchor=(left / wide, (_BOTTOM_IN + height - 1.2) / high),
            prop=cjk_font(_LEGEND_PT),
            title=self.caption.text("legend"),
            title_fontproperties=cjk_font(10.5),
            alignment="left",
            frameon=False,
            borderaxespad=0,
            borderpad=0,
            labelspacing=0.55,
        )
        box = self.axes.get_position()
        across_m, _ = ground_size_m(self.grid)
        metres_per_inch = across_m * self.grid.shape_hw[1] / (box.width * wide)
        _draw_scale_bar(self.figure, (left + 0.1, _BOTTOM_IN + 0.05), metres_per_inch)
        self._write_footer(notes)
        save_png(self.figure, out)

    def _write_footer(self, notes: Sequence[str]) -> None:
        wide, high = self.figure.get_size_inches()
        caption = self.caption
        last = [caption.text("crs").format(crs_name(self.grid)), caption.text("source").format(caption.source)]
        measured = caption.text("measured").format(math.ceil(1e4 * scale_spread(self.grid)) / 100)
        units = int((wide - 2 * 0.3) * 72 / _FOOTER_PT / _LETTER)
        lines = [line for text in (*notes, measured, *last) for line in wrap(text, units).split("\n")]
        for index, line in enumerate(lines[:5]):
            y = _BOTTOM_IN - 0.32 - index * _FOOTER_LINE_IN
            write_text(self.figure, 0.3 / wide, y / high, line, _FOOTER_PT, color="#333333", va="top")


def open_sheet(grid: Grid, picture: NDArray[np.uint8], caption: Caption) -> Sheet:
    """A page with a picture in its frame, title and degree marks.

    Args:
        grid: of the picture, with a CRS.
        picture: (H, W, 3) 8-bit RGB.
        caption: what the page says.

    Raises:
        GridError: shapes differ, or the grid has no CRS.
    """
    if picture.shape != (*grid.shape_hw, 3):
        raise GridError(f"a picture of shape {picture.shape} does not lie on a grid of {grid.shape_hw} pixels")
    across_m, down_m = ground_size_m(grid)
    height, width = grid.shape_hw
    shape = (width * across_m) / (height * down_m)
    map_wide, map_high = _MAP_IN * min(1.0, shape), _MAP_IN * min(1.0, 1 / shape)
    room_wide, room_high = max(map_wide, 3.2), max(map_high, _LOWEST_IN)
    wide, high = _LEFT_IN + room_wide + _GAP_IN + _PANEL_IN, _BOTTOM_IN + room_high + _TOP_IN
    figure = Figure(figsize=(wide, high), dpi=DPI, facecolor="white")
    left, bottom = _LEFT_IN + (room_wide - map_wide) / 2, _BOTTOM_IN + (room_high - map_high) / 2
    axes = figure.add_axes((left / wide, bottom / high, map_wide / wide, map_high / high))
    axes.imshow(picture, extent=(0, width, height, 0), interpolation="nearest", aspect="auto")
    axes.set_xlim(0, width)
    axes.set_ylim(height, 0)
    _mark_degrees(axes, grid, (map_wide, map_high))
    title = wrap(caption.title, int((wide - 0.6) * 72 / 15 / _LETTER))
    two = "\n" in title
    size = 12 if two else 15
    write_text(figure, 0.5, (high - 0.14) / high, title, size, ha="center", va="top", color="black")
    dates = " → ".join(caption.dates)
    write_text(figure, 0.5, (high - (0.58 if two else 0.48)) / high, dates, 10, ha="center", va="top", color="#333333")
    return Sheet(figure, axes, grid, caption, (_LEFT_IN + room_wide + _GAP_IN, room_high))


def _is_area(shape: shapely.Geometry) -> bool:
    return shape.geom_type in ("Polygon", "MultiPolygon")


def _pieces(text: str) -> list[str]:
    """Latin words with the space before them, and single Chinese characters."""
    pieces: list[str] = []
    for letter in text:
        joins = pieces and ord(letter) < 0x2E80 and ord(pieces[-1][-1]) < 0x2E80 and letter != " "
        if joins:
            pieces[-1] += letter
        else:
            pieces.append(letter)
    return pieces


def _draw_north(figure: Figure, at_in: tuple[float, float], north: tuple[float, float], caption: Caption) -> None:
    """An arrow around a place given in inches, and its letter beyond the tip."""
    size = figure.get_size_inches()
    right, up = north
    shape = np.array([(0.0, 0.36), (0.15, -0.22), (0.0, -0.1), (-0.15, -0.22)])
    # Turned so that its own "up" becomes north.
    turned = shape @ np.array([(up, -right), (right, up)]) + np.array(at_in)
    figure.add_artist(Polygon(turned / size, closed=True, facecolor="black", transform=figure.transFigure))
    x, y = (np.array(at_in) + 0.48 * np.array(north)) / size
    write_text(figure, x, y, caption.text("north"), 11, ha="center", va="center")


def _draw_scale_bar(figure: Figure, at_in: tuple[float, float], metres_per_inch: float) -> None:
    """Four segments, lower left corner at a place in inches, with the lengths at its ends and middle."""
    wide, high = figure.get_size_inches()
    length_m = nice_length_m((_PANEL_IN - 0.6) * metres_per_inch)
    length_in = length_m / metres_per_inch
    x, y = at_in
    for part in range(4):
        corner = ((x + part * length_in / 4) / wide, y / high)
        colour = "black" if part % 2 == 0 else "white"
        style = {"facecolor": colour, "edgecolor": "black", "transform": figure.transFigure}
        segment = Rectangle(corner, length_in / 4 / wide, 0.07 / high, linewidth=0.8)
        segment.set(**style)
        figure.add_artist(segment)
    for share, text in ((0.0, "0"), (0.5, format_length(length_m / 2)), (1.0, format_length(length_m))):
        write_text(figure, (x + share * length_in) / wide, (y + 0.12) / high, text, 8, ha="center", va="bottom")


def _mark_degrees(axes: Axes, grid: Grid, size_in: tuple[float, float]) -> None:
    """Longitudes along the lower edge and latitudes along the left edge."""
    height, width = grid.shape_hw
    along = np.linspace(0.0, 1.0, 65)
    lon, _ = lonlat_of(grid, np.column_stack([along * width, np.full(65, height)]))
    _, lat = lonlat_of(grid, np.column_stack([np.zeros(65), along * height]))
    axes.tick_params(length=3, width=0.8, pad=2)
    xs, names = degree_marks(lon, along * width, max(1, int(size_in[0] / 1.3)), "EW")
    axes.set_xticks(xs, names, fontproperties=cjk_font(7.5))
    ys, names = degree_marks(lat, along * height, max(1, int(size_in[1] / 1.3)), "NS")
    axes.set_yticks(ys, names, fontproperties=cjk_font(7.5), rotation=90, va="center")


def line_handle(colour: str, label: str, dashes: Dashes = "solid") -> Line2D:
    """Legend entry of an outline."""
    return Line2D([], [], color=colour, linewidth=2, linestyle=dashes, label=label)


def fill_handle(colour: str, label: str) -> Rectangle:
    """Legend entry of a filled class."""
    return Rectangle((0, 0), 1, 1, facecolor=colour, edgecolor="#555555", linewidth=0.5, label=label)
