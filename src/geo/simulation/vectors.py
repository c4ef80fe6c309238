"""Vector layers of a simulated county: administrative and protection zones, and the objects on the ground.

Geometry is built in local metres (x east, y south, origin at the north-west
corner) and moved to the scene's CRS by ``to_crs_layer``.
"""

from collections.abc import Iterable

import geopandas as gpd
import numpy as np
from affine import Affine
from rasterio.features import shapes
from scipy import ndimage
from shapely import LineString, MultiPoint, Polygon, box, unary_union, voronoi_polygons
from shapely.geometry import shape
from shapely.geometry.base import BaseGeometry

from src.constants import LAND_CLASS_IDS
from src.geo.grid import Grid
from src.geo.simulation.change import State
from src.geo.simulation.cover import CLASS_OF_COVER, Cover, Crop
from src.geo.simulation.landscape import Landscape
from src.geo.simulation.settlements import TOWN, VILLAGE, WORKS
from src.geo.simulation.terrain import Frame

ZONE_LAYERS = ("basic_farmland", "reserve", "river_scope", "towns", "county")
_CROPLAND, _GARDEN = LAND_CLASS_IDS["cropland"], LAND_CLASS_IDS["garden"]
_WATER, _BUILT = LAND_CLASS_IDS["water"], LAND_CLASS_IDS["built"]
_PLACE_KINDS = {VILLAGE: "village", TOWN: "town", WORKS: "works"}
# Outer edges of the parts of a reserve as a share of its radius.
_RESERVE_PARTS = (("core", "核心区", 0.48), ("buffer", "缓冲区", 0.74), ("experimental", "实验区", 1.0))
# Share of the cropland that is protected: at least 80 % by law (Land Administration Law of China, art. 33),
# less what the outlines lose where they are smoothed.
_BASIC_FARMLAND_SHARE = 0.8

# Houses closer than this belong to one place.
_SAME_PLACE_M = 25.0

Feature = dict[str, object]


def to_crs_layer(features: Iterable[Feature], grid: Grid) -> gpd.GeoDataFrame:
    """Features with a local "geometry" as a layer in the grid's CRS."""
    left, top = grid.transform.c, grid.transform.f
    layer = gpd.GeoDataFrame(list(features), geometry="geometry", crs=grid.crs)
    moved = layer.affine_transform([1, 0, 0, -1, left, top])
    # Rounding of the new coordinates can make an outline touch itself.
    broken = ~moved.is_valid
    moved[broken] = moved[broken].make_valid(method="structure", keep_collapsed=False)
    return layer.set_geometry(moved)


def build_zones(landscape: Landscape, first: State, rng: np.random.Generator) -> dict[str, list[Feature]]:
    """Zones of the county, as they were drawn up before the first date.

    Args:
        landscape: the county.
        first: state on the first date; basic farmland is cropland then.
        rng: source of randomness.

    Returns:
        Features by layer name (ZONE_LAYERS), each with name, name_en, zone_type and geometry, reserve parts
        also with part. Features of one layer do not overlap. A layer may be empty.
    """
    frame, profile = landscape.frame, landscape.profile
    county = _county_boundary(frame, rng)
    towns = _townships(landscape, county, rng)
    river = landscape.terrain.channels[0]
    basins = _polygons(first.cover == Cover.LAKE, frame, 3000.0 * frame.unit**2)
    banks = [river.line.buffer(river.width_m / 2 + 35.0 * frame.unit), *(b.buffer(25.0 * frame.unit) for b in basins)]
    scope = unary_union(banks).intersection(county)
    river_zh, river_en = profile.towns[-1][0][:-1], profile.towns[-1][1].removesuffix(" Town")
    zones: dict[str, list[Feature]] = {
        "county": [_zone(profile.name_zh, profile.name_en, "county", county)],
        "towns": [_zone(zh, en, "town", area) for (zh, en), area in towns],
        "river_scope": [_zone(river_zh + "河道管理范围", river_en + " River scope", "river_scope", scope)],
        "reserve": _reserve(landscape, first, county, rng),
    }
    fields = _basic_farmland(landscape, first)
    zones["basic_farmland"] = [
        _zone(zh + "永久基本农田", en + " permanent basic farmland", "basic_farmland", part)
        for (zh, en), area in towns
        if not (part := fields.intersection(area).buffer(0)).is_empty
    ]
    return zones


def _zone(name: str, name_en: str, zone_type: str, geometry: BaseGeometry, part: str = "") -> Feature:
    return {"name": name, "name_en": name_en, "zone_type": zone_type, "part": part, "geometry": geometry}


def _county_boundary(frame: Frame, rng: np.random.Generator) -> Polygon:
    """A closed wavy line a few percent inside the scene."""
    steps = 240
    ring = np.array(
        [box(0, 0, 1, 1).exterior.interpolate(t, normalized=True).coords[0] for t in np.arange(steps) / steps]
    )
    wave = ndimage.gaussian_filter1d(rng.standard_normal(steps), 6, mode="wrap")
    inward = 0.035 + 0.018 * wave / wave.std()
    return Polygon((0.5 + (ring - 0.5) * (1 - 2 * np.clip(inward, 0.002, 0.1)[:, None])) * frame.side_m)


def _townships(
    landscape: Landscape, county: Polygon, rng: np.random.Generator
) -> list[tuple[tuple[str, str], BaseGeometry]]:
    """Divide the county among its largest, well-spread places."""
    frame = landscape.frame
    count = int(np.clip(round(frame.side_m / (1700.0 * frame.unit)), 2, 6))
    seats = [p.centre_m for p in sorted(landscape.places, key=lambda p: -p.radius_m)]
    seats += [tuple(xy) for xy in rng.uniform(0.2, 0.8, (6, 2)) * frame.side_m]
    chosen = [seats[0]]
    while len(chosen) < count:
        chosen.append(max(seats, key=lambda s: min(np.hypot(s[0] - c[0], s[1] - c[1]) for c in chosen)))
    cells = voronoi_polygons(MultiPoint(chosen), extend_to=box(0, 0, frame.side_m, frame.side_m))
    parts = sorted((cell.intersection(county) for cell in cells.geoms), key=lambda g: (g.centroid.y, g.centroid.x))
    return list(zip(landscape.profile.towns, [p for p in parts if not p.is_empty], strict=False))


def _reserve(landscape: Landscape, first: State, county: Polygon, rng: np.random.Generator) -> list[Feature]:
    """Three nested parts around the wildest spot of the county."""
    frame, profile = landscape.frame, landscape.profile
    natural = frame.coarse(np.isin(CLASS_OF_COVER[first.cover], (3, 4, 5))).astype(np.float32)
    radius_m = float(rng.uniform(0.13, 0.19)) * frame.side_m
    wild = ndimage.gaussian_filter(natural, 0.6 * radius_m / (frame.cell_m * frame.coarse_step), mode="constant")
    row, col = np.unravel_index(int(np.argmax(wild)), wild.shape)
    scale = frame.cell_m * frame.coarse_step
    centre = np.array((col, row)) * scale
    theta = np.linspace(0, 2 * np.pi, 72, endpoint=False)
    wave = ndimage.gaussian_filter1d(rng.standard_normal(72), 4, mode="wrap")
    radii = radius_m * (1 + 0.16 * wave / wave.std())
    outline = np.stack([np.cos(theta), np.sin(theta)], axis=1) * radii[:, None]
    zh, en = profile.towns[-2][0][:-1], profile.towns[-2][1].removesuffix(" Town")
    features, inner = [], Polygon()
    for part, part_zh, share in _RESERVE_PARTS:
        outer = Polygon(centre + share * outline).intersection(county)
        ring = outer.difference(inner)
        if not ring.is_empty:
            features.append(
                _zone(f"{zh}自然保护区{part_zh}", f"{en} Nature Reserve, {part} zone", "reserve", ring, part)
            )
        inner = outer
    return features


def _basic_farmland(landscape: Landscape, first: State) -> BaseGeometry:
    """The most densely cropped blocks, cut to their cropland."""
    parcels, frame = landscape.parcels, landscape.frame
    crop = CLASS_OF_COVER[first.cover] == _CROPLAND
    count = int(parcels.block.max()) + 1
    of_block = np.bincount(parcels.block, parcels.cells, count)
    cropped = np.bincount(parcels.block, parcels.cells * parcels.mean(crop.astype(np.float32)), count)
    order = np.argsort(-cropped / np.maximum(of_block, 1), kind="stable")
    chosen = np.zeros(count, bool)
    chosen[order[np.cumsum(cropped[order]) <= _BASIC_FARMLAND_SHARE * cropped.sum()]] = True
    mask = ndimage.binary_opening(crop & chosen[parcels.block][parcels.index])
    return unary_union([p.simplify(frame.cell_m) for p in _polygons(mask, frame, 2000.0)]).buffer(0)


def _polygons(mask: np.ndarray, frame: Frame, smallest_m2: float) -> list[Polygon]:
    """Outlines of the 4-connected parts of a mask that are not too small, in local metres."""
    return [p for p, _ in _labelled_polygons(mask.astype(np.uint8), mask, frame, smallest_m2)]


def _labelled_polygons(
    labels: np.ndarray, mask: np.ndarray, frame: Frame, smallest_m2: float
) -> list[tuple[Polygon, int]]:
    """Outlines of equal-valued 4-connected parts with their value."""
    transform = Affine(frame.cell_m, 0, 0, 0, frame.cell_m, 0)
    found = ((shape(g), int(v)) for g, v in shapes(labels, mask=mask, transform=transform))
    return [(polygon, value) for polygon, value in found if polygon.area >= smallest_m2]


def build_objects(landscape: Landscape, state: State) -> list[Feature]:
    """Things on the ground that can be counted, on one day.

    Args:
        landscape: the county.
        state: its state that day.

    Returns:
        Features with kind (village, town, works, road, main_road, river, stream, lake, pond, quarry, parcel),
        class_id, crop (parcels of cropland, else empty), width_m (lines, else 0), area_m2 (plane, polygons,
        else 0) and geometry: lines for roads and streams, polygons for the rest.
    """
    frame = landscape.frame
    pixel_m2 = (3 * frame.cell_m) ** 2
    features: list[Feature] = []
    features += _place_objects(state, frame, 6 * pixel_m2)
    for road in landscape.roads:
        features.append(_object("main_road" if road.main else "road", _BUILT, road.line, width_m=road.width_m))
    for channel in landscape.terrain.channels[1:]:
        features.append(_object("stream", _WATER, channel.line, width_m=channel.width_m))
    channels_of = {Cover.LAKE: ("lake", _WATER), Cover.POND: ("pond", _WATER), Cover.QUARRY: ("quarry", _BUILT)}
    for cover, (kind, class_id) in channels_of.items():
        features += [_object(kind, class_id, p) for p in _polygons(state.cover == cover, frame, 3 * pixel_m2)]
    main = landscape.terrain.channels[0]
    features.append(_object("river", _WATER, main.line.buffer(main.width_m / 2), width_m=main.width_m))
    return features + _parcel_objects(landscape, state, 2 * pixel_m2)


def _place_objects(state: State, frame: Frame, smallest_m2: float) -> list[Feature]:
    """One feature per cluster of houses; its kind is that of its largest part."""
    settled = state.style > 0
    reach = int(round(_SAME_PLACE_M * frame.unit / frame.cell_m / 2))
    cluster, _ = ndimage.label(ndimage.binary_dilation(settled, iterations=reach))
    # The low two bits carry the style.
    code = (cluster * 4 + state.style).astype(np.int32)
    parts: dict[int, list[tuple[Polygon, int]]] = {}
    for polygon, value in _labelled_polygons(code, settled, frame, 0.0):
        parts.setdefault(value // 4, []).append((polygon, value % 4))
    features = []
    for members in parts.values():
        outline = unary_union([polygon for polygon, _ in members])
        area = {style: sum(p.area for p, s in members if s == style) for style in _PLACE_KINDS}
        if outline.area >= smallest_m2:
            features.append(_object(_PLACE_KINDS[max(area, key=lambda style: area[style])], _BUILT, outline))
    return features


def _parcel_objects(landscape: Landscape, state: State, smallest_m2: float) -> list[Feature]:
    """Parcels that grow crops or fruit that day."""
    classes = CLASS_OF_COVER[state.cover]
    farmed = np.isin(classes, (_CROPLAND, _GARDEN)) & (state.cover != Cover.FIELD_PATH)
    # Both in one pass: the low bit tells garden from cropland.
    code = landscape.parcels.index * 2 + (classes == _GARDEN)
    features = []
    for polygon, value in _labelled_polygons(code.astype(np.int32), farmed, landscape.frame, smallest_m2):
        garden = value % 2 == 1
        crop = "" if garden else Crop(int(state.crop[value // 2])).name.lower()
        features.append(_object("parcel", _GARDEN if garden else _CROPLAND, polygon, crop=crop))
    return features


def _object(kind: str, class_id: int, geometry: BaseGeometry, crop: str = "", width_m: float = 0.0) -> Feature:
    area = 0.0 if isinstance(geometry, LineString) else geometry.area
    return {"kind": kind, "class_id": class_id, "crop": crop, "width_m": width_m, "area_m2": area, "geometry": geometry}
