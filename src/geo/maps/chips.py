"""Chips of the ground around one change patch: before, after and change, for the report and for review."""

from pathlib import Path

import geopandas as gpd
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Polygon, Rectangle
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

from src.errors import InputError
from src.geo.grid import Grid
from src.geo.maps.geometry import chip_window, format_length, ground_size_m, nice_length_m, north_direction, to_pixels
from src.geo.maps.layout import draw_outlines, save_png, write_text
from src.geo.maps.pictures import Stretch, change_picture, scene_picture
from src.geo.raster import read_onto
from src.geo.scene import Scene

CHIP_PX = 448
PATCH_COLOUR = "#FFD400"
_DPI = 100
# A chip shows the patch and as much around it, and at least this many pixels of the scene.
_MARGIN, _LEAST_PX = 2.0, 48

TEXT = {
    "before": {"zh": "前 {}", "en": "before {}"},
    "after": {"zh": "后 {}", "en": "after {}"},
    "change": {"zh": "变化 {}→{}", "en": "change {}→{}"},
    "north": {"zh": "北", "en": "N"},
}


def patch_trio(
    before: Scene,
    after: Scene,
    change: Path,
    patch: gpd.GeoDataFrame,
    folder: Path,
    stretch: Stretch,
    lang: str = "zh",
) -> dict[str, Path]:
    """Three square chips of the ground around one patch: before, after, change.

    All three show the same ground in the same stretch, with outline, date, scale bar and true north.

    Args:
        before: scene; the chips take its CRS and orientation.
        after: scene on any grid.
        change: uint8 raster: 0 no data, 1 unchanged, 2 changed.
        patch: one row with column TBBH and a CRS.
        folder: for ``<TBBH>_before.png`` and so on, CHIP_PX pixels a side.
        stretch: from ``common_stretch`` of both scenes.
        lang: "zh" or "en".

    Returns:
        Paths under "<TBBH>:before", "<TBBH>:after", "<TBBH>:change", as ``write_report`` takes them.

    Raises:
        InputError: not exactly one row.
        GridError: something lacks a CRS.
    """
    if len(patch) != 1:
        raise InputError(f"patch_trio draws one patch, got {len(patch)} rows")
    name = str(patch["TBBH"].iloc[0])
    grid = _chip_grid(before.grid, patch)
    codes, reached = read_onto(change, grid, bands=[0])
    changed = change_picture(np.where(reached, codes[0], 0), grid, (after, stretch))
    dates = (before.record.date, after.record.date)
    chips = {
        "before": (scene_picture(before, grid, stretch), TEXT["before"][lang].format(dates[0])),
        "after": (scene_picture(after, grid, stretch), TEXT["after"][lang].format(dates[1])),
        "change": (changed, TEXT["change"][lang].format(*dates)),
    }
    paths = {}
    for kind, (picture, words) in chips.items():
        paths[f"{name}:{kind}"] = folder / f"{name}_{kind}.png"
        _write_chip(paths[f"{name}:{kind}"], picture, grid, patch, words, lang)
    return paths


def _chip_grid(grid: Grid, patch: gpd.GeoDataFrame) -> Grid:
    """The square around the patch, in the scene's CRS and orientation."""
    left, top, right, bottom = to_pixels(patch, grid)[0].bounds
    centre = ((left + right) / 2, (top + bottom) / 2)
    across_m, down_m = ground_size_m(grid, centre)
    extent_m = max((right - left) * across_m, (bottom - top) * down_m)
    return chip_window(grid, centre, max(_MARGIN * extent_m, _LEAST_PX * max(across_m, down_m)), CHIP_PX)


def _write_chip(
    out: Path, picture: NDArray[np.uint8], grid: Grid, patch: gpd.GeoDataFrame, words: str, lang: str
) -> None:
    figure = Figure(figsize=(CHIP_PX / _DPI, CHIP_PX / _DPI), dpi=_DPI, facecolor="white")
    axes = figure.add_axes((0, 0, 1, 1))
    axes.imshow(picture, extent=(0, CHIP_PX, CHIP_PX, 0), interpolation="nearest", aspect="auto")
    axes.set_xlim(0, CHIP_PX)
    axes.set_ylim(CHIP_PX, 0)
    axes.set_axis_off()
    draw_outlines(axes, to_pixels(patch, grid), PATCH_COLOUR, 1.6, halo="black")
    box = {"facecolor": "black", "alpha": 0.65, "edgecolor": "none", "pad": 3}
    write_text(axes, 8, 8, words, 11, color="white", va="top", bbox=box)
    across_m, _ = ground_size_m(grid)
    metres = nice_length_m(0.3 * CHIP_PX * across_m)
    _draw_bar(axes, (12, CHIP_PX - 20), (metres / across_m, 7), format_length(metres))
    _draw_north(axes, (CHIP_PX - 26, 34), north_direction(grid), TEXT["north"][lang])
    save_png(figure, out)


def _draw_bar(axes: Axes, xy: tuple[float, float], size: tuple[float, float], text: str) -> None:
    """A scale bar of a black and a white half; ``xy`` is its upper left corner, its length written above."""
    (x, y), (length, height) = xy, size
    for half, colour in enumerate(("black", "white")):
        place = (x + half * length / 2, y)
        axes.add_patch(Rectangle(place, length / 2, height, facecolor=colour, edgecolor="white", linewidth=1))
    write_text(axes, x, y - 4, text, 10, color="white", va="bottom", path_effects=_halo())


def _draw_north(axes: Axes, centre: tuple[float, float], north: tuple[float, float], letter: str) -> None:
    """An arrow to true north, its letter at the foot, so that it stays inside the chip."""
    right, up = north
    shape = np.array([(0.0, 18.0), (8.0, -10.0), (0.0, -5.0), (-8.0, -10.0)])
    turned = shape @ np.array([(up, -right), (right, up)]) * (1, -1) + centre
    axes.add_patch(Polygon(turned, closed=True, facecolor="white", edgecolor="black", linewidth=1))
    foot = (centre[0] - 22 * right, centre[1] + 22 * up)
    write_text(axes, *foot, letter, 10, color="white", ha="center", va="center", path_effects=_halo())


def _halo() -> list[withStroke]:
    return [withStroke(linewidth=2.5, foreground="black")]
