import hashlib
import json
import math
from pathlib import Path

import geopandas as gpd
import numpy as np
import pyproj
import pytest
from affine import Affine
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image
from shapely.geometry import box

from src.constants import LAND_CLASS_NAMES, LAND_CLASSES
from src.errors import GridError, InputError
from src.geo.grid import Grid, Raster
from src.geo.maps import layout as map_layout
from src.geo.maps.layout import fill_handle, open_sheet, wrap
from src.geo.maps.pictures import (
    CHANGE_COLOUR,
    NO_DATA_COLOUR,
    UNCHANGED_COLOUR,
    change_picture,
    scene_picture,
    thinned_grid,
)
from src.geo.maps.sheets import (
    COVER_COLOURS,
    ZONE_LINES,
    Caption,
    Stretch,
    change_map,
    common_stretch,
    cover_map,
    overview_map,
    patch_trio,
)
from src.geo.raster import write_raster
from src.geo.scene import NO_DATA, Scene, open_scene
from src.geo.zones import ZONE_TYPES

SHAPE = (60, 80)
UTM = Grid(pyproj.CRS.from_epsg(32648), Affine(10, 0, 500_000, 0, -10, 3_320_000), SHAPE)
ROLES = ("blue", "green", "red", "nir")
CAPTION = Caption("金滩县土地覆盖图", ("2023-04-20", "2024-04-25"), "Sentinel-2 L2A")


def rgb(colour: str) -> tuple[int, ...]:
    return tuple(int(colour[i : i + 2], 16) for i in (1, 3, 5))


def make_scene(
    folder: Path, values: np.ndarray, *, mask=None, grid=UTM, roles=ROLES, date="2023-04-20", quantity="reflectance"
) -> Scene:
    """An ingested scene of reflectance (B, H, W), NaN where not measured; of digital numbers for "dn"."""
    if quantity == "dn":
        stored, nodata = values.astype(np.uint8), None
    else:
        stored, nodata = (
            np.where(np.isnan(values), -32768, np.nan_to_num(values) * 1e4).round().astype(np.int16),
            -32768,
        )
    codes = np.ones(grid.shape_hw, np.uint8) if mask is None else np.asarray(mask, np.uint8)
    everywhere = np.ones(grid.shape_hw, bool)
    write_raster(folder / "bands.tif", Raster(stored, everywhere, grid, roles), nodata=nodata)
    write_raster(folder / "mask.tif", Raster(codes[None], everywhere, grid, ("mask",)))
    record = {"id": folder.name, "date": date, "sensor": "sentinel2_l2a", "level": "L2A", "quantity": quantity}
    record |= {"pixel_m": 10.0, "clear_share": 1.0, "sources": [], "caveats": [], "notes": []}
    (folder / "scene.json").write_text(json.dumps(record))
    return open_scene(folder)


def write_labels(path: Path, codes: np.ndarray, grid: Grid = UTM) -> Path:
    write_raster(path, Raster(codes[None].astype(np.uint8), codes > 0, grid, ("label",)), nodata=0)
    return path


def ramp(low: float, high: float) -> np.ndarray:
    """Values that rise from left to right, the same in all bands and rows."""
    return np.broadcast_to(np.linspace(low, high, SHAPE[1]), (len(ROLES), *SHAPE)).copy()


def patches_at(*rows_cols: tuple[int, int, int, int], crs: int = 32648) -> gpd.GeoDataFrame:
    """Rectangles of pixels (first row, first col, rows, cols), numbered from 1, in EPSG:4490."""
    shapes = []
    for row, col, height, width in rows_cols:
        left, top = UTM.transform @ (col, row)
        right, bottom = UTM.transform @ (col + width, row + height)
        shapes.append(box(left, bottom, right, top))
    names = [f"510723-20240425-DT-{index:05d}" for index in range(1, len(shapes) + 1)]
    return gpd.GeoDataFrame({"TBBH": names}, geometry=shapes, crs=crs).to_crs(4490)


def pixels(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("RGB"))


def map_window(path: Path, grid: Grid) -> np.ndarray:
    """The map inside its sheet: as many picture pixels as the frame holds."""
    sheet = open_sheet(grid, np.zeros((*grid.shape_hw, 3), np.uint8), CAPTION)
    picture = pixels(path)
    frame = sheet.axes.get_position()
    height, width = picture.shape[:2]
    rows = slice(round((1 - frame.y1) * height), round((1 - frame.y0) * height))
    return picture[rows, round(frame.x0 * width) : round(frame.x1 * width)]


def at_pixel(window: np.ndarray, grid: Grid, row: int, col: int) -> tuple[int, ...]:
    """Colour in the middle of a grid pixel."""
    y = (row + 0.5) / grid.shape_hw[0] * window.shape[0]
    x = (col + 0.5) / grid.shape_hw[1] * window.shape[1]
    return tuple(int(part) for part in window[int(y), int(x)])


@pytest.fixture
def drawn(monkeypatch) -> list[Figure]:
    """Figures as they go to the file, for looking at their parts."""
    figures: list[Figure] = []
    write = map_layout.save_png

    def keep(figure, out):
        figures.append(figure)
        write(figure, out)

    monkeypatch.setattr(map_layout, "save_png", keep)
    return figures


def texts_of(figure: Figure) -> list:
    legends = [text for legend in figure.legends for text in (*legend.get_texts(), legend.get_title())]
    ticks = [text for axes in figure.axes for text in (*axes.get_xticklabels(), *axes.get_yticklabels())]
    return [text for text in (*figure.texts, *legends, *ticks) if text.get_text()]


def assert_nothing_overlaps(figure: Figure) -> None:
    renderer = figure.canvas.get_renderer()
    page = figure.bbox
    boxes = [(text.get_text(), text.get_window_extent(renderer)) for text in texts_of(figure)]
    bars = [
        patch for patch in figure.findobj(Rectangle) if patch in figure.get_children() and patch is not figure.patch
    ]
    boxes += [("bar", bar.get_window_extent(renderer)) for bar in bars[:1]]
    for index, (name, one) in enumerate(boxes):
        assert page.x0 <= one.x0 and one.x1 <= page.x1 and page.y0 <= one.y0 and one.y1 <= page.y1, name
        for other, two in boxes[index + 1 :]:
            assert not (one.x0 < two.x1 and two.x0 < one.x1 and one.y0 < two.y1 and two.y0 < one.y1), (name, other)
        if not any(letter in name for letter in "′°"):
            assert not one.overlaps(figure.axes[0].get_window_extent(renderer)), name


def bar_length_m(figure: Figure, ground_width_m: float) -> tuple[float, str]:
    """Length of the scale bar by its size on the page against that of the map, and what it says."""
    bars = [patch for patch in figure.get_children() if isinstance(patch, Rectangle) and patch is not figure.patch]
    length = sum(bar.get_width() for bar in bars) / figure.axes[0].get_position().width * ground_width_m
    return length, [text.get_text() for text in figure.texts if text.get_text().endswith("m")][-1]


# --- pictures ---


def test_one_stretch_over_the_clear_pixels_of_both_dates(tmp_path):
    """0 to 0.2 and 0.2 to 0.4: the 2nd and 98th percentile of both together; a cloud of 0.9 changes nothing."""
    cloudy = ramp(0.2, 0.4)
    mask = np.ones(SHAPE)
    cloudy[:, :10], mask[:10] = 0.9, 2
    before, after = make_scene(tmp_path / "a", ramp(0, 0.2)), make_scene(tmp_path / "b", cloudy, mask=mask)
    stretch = common_stretch([before, after])
    expected = np.percentile(
        np.concatenate([np.tile(np.linspace(0, 0.2, 80), 60), np.tile(np.linspace(0.2, 0.4, 80), 50)]), (2, 98)
    )
    assert stretch.roles == ("red", "green", "blue")
    assert stretch.limits[0] == pytest.approx(expected, abs=1e-4)
    assert common_stretch([before, after], "false").roles == ("nir", "red", "green")


def test_scenes_without_the_colours_are_shown_in_what_they_share(tmp_path):
    grey = make_scene(tmp_path / "grey", ramp(0, 0.2)[:1], roles=("nir",))
    full = make_scene(tmp_path / "full", ramp(0, 0.2))
    assert common_stretch([grey, full]).roles == ("nir", "nir", "nir")
    swir = make_scene(tmp_path / "swir", ramp(0, 0.2)[:3], roles=("nir", "swir1", "swir2"))
    assert common_stretch([swir]).roles == ("nir", "swir1", "swir2")
    other = make_scene(tmp_path / "thermal", ramp(0, 0.2)[:1], roles=("thermal",))
    with pytest.raises(InputError, match="no band in common"):
        common_stretch([other, full])
    with pytest.raises(InputError, match="true, false"):
        common_stretch([full], "pretty")
    numbers = make_scene(tmp_path / "dn", ramp(0, 200), quantity="dn")
    with pytest.raises(InputError, match="digital numbers"):
        common_stretch([numbers, full])
    clouds = make_scene(tmp_path / "clouds", ramp(0, 0.2), mask=np.full(SHAPE, 2))
    with pytest.raises(InputError, match="no valid pixel"):
        common_stretch([clouds])


def test_scene_colours_by_hand(tmp_path):
    values = np.zeros((4, *SHAPE))
    values[2, 0, 1], values[1, 0, 1], values[0, 0, 1] = 0.1, 0.2, 0.5  # red, green, blue
    values[:, 0, 2] = np.nan
    mask = np.ones(SHAPE)
    mask[0, 3] = NO_DATA
    stretch = Stretch(("red", "green", "blue"), ((0, 0.2), (0, 0.2), (0, 0.2)))
    picture = scene_picture(make_scene(tmp_path / "a", values, mask=mask), UTM, stretch)
    assert picture[0, :4].tolist() == [[0, 0, 0], [128, 255, 255], list(rgb(NO_DATA_COLOUR)), list(rgb(NO_DATA_COLOUR))]


def test_a_scene_of_digital_numbers_is_shown_as_stored(tmp_path):
    scene = make_scene(tmp_path / "dn", np.full((4, *SHAPE), 51), quantity="dn")
    picture = scene_picture(scene, UTM, Stretch(("red", "green", "blue"), ((0, 255),) * 3))
    assert (picture == 51).all()


def test_both_ways_of_reading_show_the_same(tmp_path):
    """Thinned by the file's own reader or laid over a grid of the same ground by the warper: the same colours."""
    scene = make_scene(tmp_path / "a", ramp(0, 0.4))
    stretch = common_stretch([scene])
    shifted = Grid(UTM.crs, UTM.transform @ Affine.translation(40, 0), SHAPE)
    left, right = scene_picture(scene, UTM, stretch), scene_picture(scene, shifted, stretch)
    assert (right[:, :40] == left[:, 40:]).all()
    assert (right[:, 40:] == rgb(NO_DATA_COLOUR)).all()


def test_change_colours_by_hand(tmp_path):
    codes = np.array([[0, 1, 2]], np.uint8)
    assert change_picture(codes, UTM)[0].tolist() == [
        list(rgb(c)) for c in (NO_DATA_COLOUR, UNCHANGED_COLOUR, CHANGE_COLOUR)
    ]
    scene = make_scene(tmp_path / "a", np.full((4, *SHAPE), 0.1))
    picture = change_picture(np.ones(SHAPE, np.uint8), UTM, (scene, Stretch(("red", "green", "blue"), ((0, 0.2),) * 3)))
    # 128 becomes 90 + 0.6 * 128 = 166.8.
    assert (picture == 166).all()


def test_thinned_grid_covers_the_same_ground():
    small = thinned_grid(UTM, 20)
    assert small.shape_hw == (15, 20) and small.bounds() == UTM.bounds()
    assert thinned_grid(UTM, 500) == UTM


# --- sheets ---


def test_cover_map_shows_each_class_in_its_place(tmp_path):
    codes = np.repeat(np.repeat(np.arange(8).reshape(2, 4), 30, axis=0), 20, axis=1)
    cover_map(write_labels(tmp_path / "cover.tif", codes), tmp_path / "map.png", CAPTION)
    window = map_window(tmp_path / "map.png", UTM)
    for code in range(8):
        row, col = divmod(code, 4)
        expected = rgb(COVER_COLOURS[code]) if code else rgb(NO_DATA_COLOUR)
        assert at_pixel(window, UTM, 15 + 30 * row, 10 + 20 * col) == expected


def test_cover_map_says_all_it_must_and_nothing_overlaps(tmp_path, drawn):
    """A flat map has the least room beside it: eight classes and every kind of zone, in both languages."""
    grid = Grid(UTM.crs, UTM.transform, (20, 200))
    labels = write_labels(tmp_path / "cover.tif", np.ones((20, 200)), grid)
    parts = [box(500_000 + 100 * i, 3_319_850, 500_090 + 100 * i, 3_319_950) for i in range(len(ZONE_LINES))]
    zones = gpd.GeoDataFrame({"zone_type": list(ZONE_LINES)}, geometry=parts, crs=32648).to_crs(4490)
    long_title = (
        "新疆维吾尔自治区伊犁哈萨克自治州察布查尔锡伯自治县二〇二三年度土地覆盖遥感解译分布图（含各类管控边界）"
    )
    for lang in ("zh", "en"):
        caption = Caption(long_title, CAPTION.dates, "Sentinel-2 L2A S2A_20230420, S2B_20240425 " * 3, lang)
        cover_map(labels, tmp_path / "map.png", caption, zones=zones)
        words = " ".join(text.get_text().replace("\n", "") for text in texts_of(drawn[-1]))
        assert "2023-04-20 → 2024-04-25" in words and "EPSG:32648" in words and "S2B_20240425" in words
        for name in LAND_CLASSES.values():
            assert LAND_CLASS_NAMES[name]["en"] in words
            assert (LAND_CLASS_NAMES[name]["zh"] in words) == (lang == "zh")
        assert ZONE_TYPES["mining"].en in words and ("真北" in words) == (lang == "zh")
        assert_nothing_overlaps(drawn[-1])


def test_every_zone_type_has_a_line():
    assert set(ZONE_LINES) == set(ZONE_TYPES)
    assert len({colour for colour, _ in ZONE_LINES.values()}) == len(ZONE_LINES)


@pytest.mark.parametrize(("epsg", "pixel"), [(32648, 10.0), (3857, 10.0), (4326, 0.0001)])
def test_the_scale_bar_is_right_in_any_crs(tmp_path, drawn, epsg, pixel):
    crs = pyproj.CRS.from_epsg(epsg)
    x, y = pyproj.Transformer.from_crs(4326, crs, always_xy=True).transform(106.0, 40.0)
    grid = Grid(crs, Affine(pixel, 0, x, 0, -pixel, y + 50 * pixel), (100, 120))
    cover_map(write_labels(tmp_path / "cover.tif", np.ones((100, 120)), grid), tmp_path / "map.png", CAPTION)
    # Ground width of the map by the geodesic between the middles of its sides.
    back = pyproj.Transformer.from_crs(crs, 4326, always_xy=True)
    (lon0, lon1), (lat0, lat1) = back.transform([x, x + 120 * pixel], [y, y])
    width = pyproj.Geod(ellps="WGS84").inv(lon0, lat0, lon1, lat1)[2]
    length, says = bar_length_m(drawn[0], width)
    assert length == pytest.approx({"500 m": 500, "200 m": 200, "1 km": 1000}[says], rel=1e-4)
    # And the map is as high as its ground is, not as its degrees are.
    frame = drawn[0].axes[0].get_window_extent()
    south, north = back.transform(x + 60 * pixel, y - 50 * pixel), back.transform(x + 60 * pixel, y + 50 * pixel)
    height = pyproj.Geod(ellps="WGS84").inv(*south, *north)[2]
    assert frame.width / frame.height == pytest.approx(width / height, rel=1e-4)


def test_the_arrow_turns_with_the_grid(tmp_path, drawn):
    turned = UTM.transform @ Affine.rotation(-30)
    grid = Grid(UTM.crs, turned, SHAPE)
    cover_map(write_labels(tmp_path / "cover.tif", np.ones(SHAPE), grid), tmp_path / "map.png", CAPTION)
    arrow = next(patch for patch in drawn[0].get_children() if type(patch).__name__ == "Polygon")
    tip, *_ = arrow.get_xy() * drawn[0].get_size_inches()
    notch = (arrow.get_xy() * drawn[0].get_size_inches())[2]
    # Pixel axes that are turned counterclockwise on the ground (y up): north is right of the picture's top.
    assert math.degrees(math.atan2(*(tip - notch))) == pytest.approx(30, abs=0.1)


def test_same_inputs_same_bytes_and_no_stamp(tmp_path):
    scene = make_scene(tmp_path / "a", ramp(0, 0.2))
    stretch, patches = common_stretch([scene]), patches_at((10, 10, 5, 5))
    for name, these in (("one", patches), ("two", patches), ("three", patches_at((10, 11, 5, 5)))):
        overview_map(scene, tmp_path / f"{name}.png", stretch, CAPTION, patches=these)
    one, two, three = (
        hashlib.sha256((tmp_path / f"{n}.png").read_bytes()).hexdigest() for n in ("one", "two", "three")
    )
    assert one == two != three
    assert set(Image.open(tmp_path / "one.png").info) <= {"dpi"}


def test_change_map_over_a_grey_scene(tmp_path, drawn):
    scene = make_scene(tmp_path / "a", np.full((4, *SHAPE), 0.1), date="2024-04-25")
    stretch = Stretch(("red", "green", "blue"), ((0, 0.2),) * 3)
    codes = np.ones(SHAPE)
    codes[:20], codes[30:40, 20:40] = 0, 2
    path = write_labels(tmp_path / "change.tif", codes)
    change_map(path, tmp_path / "map.png", CAPTION, background=(scene, stretch))
    window = map_window(tmp_path / "map.png", UTM)
    assert at_pixel(window, UTM, 10, 40) == rgb(NO_DATA_COLOUR)
    assert at_pixel(window, UTM, 35, 30) == rgb(CHANGE_COLOUR)
    assert at_pixel(window, UTM, 50, 60) == (166, 166, 166)
    words = " ".join(text.get_text() for text in texts_of(drawn[0]))
    assert "灰色底图为2024-04-25影像" in words and "不能作为处罚依据" in words
    assert_nothing_overlaps(drawn[0])
    change_map(path, tmp_path / "flat.png", CAPTION)
    assert at_pixel(map_window(tmp_path / "flat.png", UTM), UTM, 50, 60) == rgb(UNCHANGED_COLOUR)


def test_overview_outlines_and_numbers_patches(tmp_path, drawn):
    scene = make_scene(tmp_path / "a", ramp(0, 0.2))
    patches = patches_at((20, 20, 20, 20), (5, 70, 4, 10), (50, 0, 4, 4))
    stretch = common_stretch([scene])
    overview_map(scene, tmp_path / "map.png", stretch, CAPTION, patches=patches)
    window = map_window(tmp_path / "map.png", UTM)
    edge = window[round(30 / 60 * len(window)), round(19 / 80 * window.shape[1]) : round(21 / 80 * window.shape[1])]
    assert (np.abs(edge.astype(int) - rgb("#FFD400")).sum(axis=1) < 30).any()
    assert [text.get_text() for text in drawn[0].axes[0].texts] == ["1", "2", "3"]
    words = " ".join(text.get_text() for text in texts_of(drawn[0]))
    assert "共3个疑似图斑，标注3个" in words and "近红外" not in words
    low, high = stretch.limits[0]
    assert f"红 red：{low:.3g}–{high:.3g}" in words
    assert_nothing_overlaps(drawn[0])


def test_numbers_of_crowded_patches_leave_out_rather_than_overlap(tmp_path, drawn):
    scene = make_scene(tmp_path / "a", ramp(0, 0.2))
    crowd = patches_at(*((row, col, 1, 1) for row in range(20, 40, 2) for col in range(20, 40, 2)))
    overview_map(scene, tmp_path / "map.png", common_stretch([scene]), CAPTION, patches=crowd)
    renderer = drawn[0].canvas.get_renderer()
    labels = drawn[0].axes[0].texts
    boxes = [text.get_window_extent(renderer) for text in labels]
    frame = drawn[0].axes[0].get_window_extent(renderer)
    assert 5 < len(labels) < 100 and f"共100个疑似图斑，标注{len(labels)}个" in "".join(
        t.get_text() for t in drawn[0].texts
    )
    assert sum(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[i + 1 :]) == 0
    assert all(frame.x0 <= one.x0 and one.x1 <= frame.x1 and frame.y0 <= one.y0 and one.y1 <= frame.y1 for one in boxes)


def test_a_map_without_patches_says_none(tmp_path, drawn):
    scene = make_scene(tmp_path / "a", ramp(0, 0.2))
    overview_map(scene, tmp_path / "map.png", common_stretch([scene]), CAPTION, patches=patches_at().set_crs(4490))
    assert any("共0个疑似图斑" in text.get_text() for text in drawn[0].texts)


def test_large_rasters_are_thinned_and_say_so(tmp_path, drawn):
    labels = write_labels(tmp_path / "cover.tif", np.ones(SHAPE))
    cover_map(labels, tmp_path / "map.png", CAPTION, max_side=32)
    assert any("代表原始2.5个像元" in text.get_text() for text in drawn[0].texts)
    cover_map(labels, tmp_path / "map.png", CAPTION)
    assert not any("代表原始" in text.get_text() for text in drawn[1].texts)


def test_refusals(tmp_path):
    with pytest.raises(InputError, match="class code 9"):
        cover_map(write_labels(tmp_path / "bad.tif", np.full(SHAPE, 9)), tmp_path / "map.png", CAPTION)
    nowhere = Grid(None, UTM.transform, SHAPE)
    with pytest.raises(GridError, match="no CRS"):
        cover_map(write_labels(tmp_path / "nowhere.tif", np.ones(SHAPE), nowhere), tmp_path / "map.png", CAPTION)
    with pytest.raises(GridError, match="does not lie"):
        open_sheet(UTM, np.zeros((5, 5, 3), np.uint8), CAPTION)
    assert not (tmp_path / "map.png").exists()


def test_dollar_signs_are_no_formulas(tmp_path, drawn):
    cover_map(write_labels(tmp_path / "cover.tif", np.ones(SHAPE)), tmp_path / "map.png", Caption("$x$ 图", (), "$"))
    assert drawn[0].texts[0].get_text() == "$x$ 图" and not drawn[0].texts[0].get_parse_math()


@pytest.mark.parametrize(
    ("text", "units", "lines"),
    [
        ("耕地变化图", 4, ["耕地", "变化", "图"]),
        ("no change found", 9, ["no change", "found"]),
        ("永久基本农田 permanent basic farmland", 31, ["永久基本农田 permanent basic", "farmland"]),
        ("short", 40, ["short"]),
        ("unbreakable", 4, ["unbreakable"]),
    ],
)
def test_wrap(text, units, lines):
    assert wrap(text, units).split("\n") == lines


def test_legend_labels_are_wrapped(tmp_path, drawn):
    sheet = open_sheet(UTM, np.zeros((*SHAPE, 3), np.uint8), CAPTION)
    sheet.save(tmp_path / "map.png", [fill_handle("#FF0000", "永久基本农田 permanent basic farmland of the county")])
    assert "\n" in drawn[0].legends[0].get_texts()[0].get_text()
    assert_nothing_overlaps(drawn[0])


# --- chips ---


@pytest.fixture
def pair(tmp_path) -> tuple[Scene, Scene, Path]:
    """Two equal scenes, grey 128 under STRETCH, and a square of changed pixels at rows and columns 30 to 39."""
    before = make_scene(tmp_path / "a", np.full((4, *SHAPE), 0.1), date="2023-04-20")
    after = make_scene(tmp_path / "b", np.full((4, *SHAPE), 0.1), date="2024-04-25")
    codes = np.ones(SHAPE)
    codes[30:40, 30:40] = 2
    return before, after, write_labels(tmp_path / "change.tif", codes)


STRETCH = Stretch(("red", "green", "blue"), ((0, 0.2),) * 3)


def test_three_chips_of_the_same_ground(pair, tmp_path):
    paths = patch_trio(*pair, patches_at((30, 30, 10, 10)), tmp_path / "chips", STRETCH)
    name = "510723-20240425-DT-00001"
    assert list(paths) == [f"{name}:before", f"{name}:after", f"{name}:change"]
    before, after, change = (pixels(path) for path in paths.values())
    assert before.shape == after.shape == change.shape == (448, 448, 3)
    # The chip is 48 pixels wide: the patch covers the middle 10/48, 177 to 271; its outline lies on that edge.
    assert tuple(change[224, 224]) == rgb(CHANGE_COLOUR)
    assert tuple(change[224, 160]) == (166, 166, 166)
    assert tuple(before[224, 224]) == tuple(after[224, 224]) == (128, 128, 128)
    outline = np.abs(before[224].astype(int) - rgb("#FFD400")).sum(axis=1) < 120
    assert 175 <= np.flatnonzero(outline).min() <= 179 and 269 <= np.flatnonzero(outline).max() <= 273
    # Equal scenes differ in nothing but the date at the top left.
    differ = np.argwhere((before != after).any(axis=2))
    assert len(differ) and differ.max(axis=0)[0] < 40 and differ.max(axis=0)[1] < 200


def test_chips_repeat_byte_for_byte(pair, tmp_path):
    hashes = []
    for folder in ("one", "two"):
        paths = patch_trio(*pair, patches_at((30, 30, 10, 10)), tmp_path / folder, STRETCH, "en")
        hashes.append([hashlib.sha256(path.read_bytes()).hexdigest() for path in paths.values()])
    assert hashes[0] == hashes[1] and len(set(hashes[0])) == 3


def test_a_large_patch_fills_half_of_its_chip(pair, tmp_path):
    paths = patch_trio(*pair, patches_at((0, 0, 60, 80)), tmp_path / "chips", STRETCH)
    before = pixels(next(iter(paths.values())))
    # 80 pixels wide on a chip of 160: the scene covers columns 112 to 336, the rest was not measured.
    assert tuple(before[224, 100]) == rgb(NO_DATA_COLOUR) and tuple(before[224, 130]) == (128, 128, 128)


def test_the_second_date_may_lie_on_another_grid(pair, tmp_path):
    """After in degrees, half of it brighter: the border between the halves falls on the same ground."""
    before, _, change = pair
    to_degrees = pyproj.Transformer.from_crs(32648, 4326, always_xy=True)
    lon, lat = to_degrees.transform(*(UTM.transform @ (35, 35)))
    grid = Grid(pyproj.CRS.from_epsg(4326), Affine(0.0001, 0, lon - 0.005, 0, -0.0001, lat + 0.005), (100, 100))
    values = np.full((4, 100, 100), 0.04)
    values[:, :, 50:] = 0.16
    after = make_scene(tmp_path / "degrees", values, grid=grid, date="2024-04-25")
    paths = patch_trio(before, after, change, patches_at((30, 30, 10, 10)), tmp_path / "chips", STRETCH)
    chip = pixels(paths["510723-20240425-DT-00001:after"])
    assert tuple(chip[224, 215]) == (51, 51, 51) and tuple(chip[224, 233]) == (204, 204, 204)


def test_patch_trio_takes_one_patch(pair, tmp_path):
    with pytest.raises(InputError, match="got 2 rows"):
        patch_trio(*pair, patches_at((1, 1, 3, 3), (9, 9, 3, 3)), tmp_path, STRETCH)
