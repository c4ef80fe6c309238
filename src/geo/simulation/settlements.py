"""Villages, towns, works and the roads between them."""

from dataclasses import dataclass

import numpy as np
from affine import Affine
from rasterio.features import rasterize
from scipy import ndimage
from shapely import LineString, line_merge, unary_union
from shapely.geometry.base import BaseGeometry
from skimage.graph import MCP_Geometric

from src.geo.simulation.cover import Cover
from src.geo.simulation.noise import bricks, hash01
from src.geo.simulation.parcels import Cells, Parcels
from src.geo.simulation.profile import CountyProfile
from src.geo.simulation.terrain import Frame

VILLAGE, TOWN, WORKS = 1, 2, 3
# Cover mix inside each style, in fine cells of bricks. Roof shares follow what 10 m imagery of Chinese
# villages and county towns shows: red tile and grey concrete roofs, blue steel sheds in works.
_MIX: dict[int, dict[Cover, float]] = {
    VILLAGE: {
        Cover.ROOF_RED: 0.30,
        Cover.ROOF_GREY: 0.28,
        Cover.CONCRETE: 0.16,
        Cover.ROOF_WHITE: 0.03,
        Cover.ROOF_BLUE: 0.03,
        Cover.TOWN_GREEN: 0.20,
    },
    TOWN: {
        Cover.ROOF_GREY: 0.40,
        Cover.ROOF_RED: 0.13,
        Cover.CONCRETE: 0.18,
        Cover.ROOF_WHITE: 0.08,
        Cover.ROOF_BLUE: 0.08,
        Cover.TOWN_GREEN: 0.13,
    },
    WORKS: {
        Cover.ROOF_BLUE: 0.30,
        Cover.ROOF_WHITE: 0.28,
        Cover.ROOF_GREY: 0.14,
        Cover.CONCRETE: 0.20,
        Cover.TOWN_GREEN: 0.08,
    },
}
# Brick length and width, and distance of streets (metres) per style.
_BUILDING_M = {VILLAGE: (18.0, 12.0, 45.0), TOWN: (34.0, 18.0, 90.0), WORKS: (75.0, 36.0, 160.0)}


@dataclass(frozen=True)
class Place:
    """A village, town or works: style, centre in local metres and mean radius in metres."""

    style: int
    centre_m: tuple[float, float]
    radius_m: float


@dataclass(frozen=True)
class Road:
    """A road: centre line in local metres, width in metres, and whether it is a main road."""

    line: LineString
    width_m: float
    main: bool


def burn(shapes: list[tuple[BaseGeometry, int]], frame: Frame, all_touched: bool = False) -> np.ndarray:
    """Rasterise local-metre geometries on the fine grid; later shapes overwrite, background 0, uint8."""
    if not shapes:
        return np.zeros((frame.n, frame.n), np.uint8)
    transform = Affine(frame.cell_m, 0, 0, 0, frame.cell_m, 0)
    return rasterize(shapes, (frame.n, frame.n), transform=transform, all_touched=all_touched, dtype="uint8")


def place_settlements(
    profile: CountyProfile, frame: Frame, suitability: np.ndarray, ragged: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, list[Place]]:
    """Choose places and draw their footprints until the built-up share is nearly reached.

    Args:
        profile: gives the built-up share.
        frame: the fine grid.
        suitability: float32 (n, n); higher is better, -inf is forbidden.
        ragged: float32 (n, n), standard normal noise that frays the edges.
        rng: source of randomness.

    Returns:
        (style, places): uint8 (n, n) with 0 outside settlements, and the places, the town first.
    """
    style = np.zeros((frame.n, frame.n), np.uint8)
    coarse = frame.coarse(suitability).astype(float)
    step_m = frame.coarse_step * frame.cell_m
    wanted = 0.82 * profile.shares["built"] * frame.n**2
    places: list[Place] = []
    rows, cols = np.meshgrid(np.arange(coarse.shape[0]), np.arange(coarse.shape[1]), indexing="ij")
    border = np.minimum.reduce([rows, cols, rows[::-1], cols[:, ::-1]]) * step_m
    clearance = np.full(coarse.shape, np.inf)
    for attempt in range(400):
        drawn = np.count_nonzero(style)
        if drawn >= wanted:
            break
        kind, radius_m = _next_place(profile, frame, attempt, (wanted - drawn) * frame.cell_m**2, rng)
        score = coarse + rng.gumbel(0, 0.35, coarse.shape)
        score[(border < radius_m * 0.6) | (clearance < radius_m + 60.0 * frame.unit)] = -np.inf
        best = np.unravel_index(int(np.argmax(score)), score.shape)
        if not np.isfinite(score[best]):
            continue
        centre = ((best[1] + 0.5) * step_m, (best[0] + 0.5) * step_m)
        place = Place(kind, centre, radius_m)
        _draw_footprint(style, place, frame, ragged, np.isfinite(suitability), rng)
        places.append(place)
        away = np.hypot(cols * step_m - centre[0], rows * step_m - centre[1]) - radius_m
        clearance = np.minimum(clearance, away)
    return style, places


def _next_place(
    profile: CountyProfile, frame: Frame, attempt: int, left_m2: float, rng: np.random.Generator
) -> tuple[int, float]:
    """Style and radius of the next place: the town, then works, then villages of log-normal size."""
    cap_m = 0.12 * frame.side_m
    if attempt == 0 and profile.shares["built"] > 0.045:
        # The town takes up to half of the built-up area.
        return TOWN, float(min(np.sqrt(rng.uniform(0.3, 0.5) * left_m2 / np.pi), 900.0 * frame.unit, 1.5 * cap_m))
    if attempt in (1, 2) and profile.shares["built"] > 0.08:
        return WORKS, float(min(rng.uniform(110.0, 190.0) * frame.unit, cap_m))
    median_m = {"mountains": 42.0, "hills": 58.0, "orchards": 65.0}.get(profile.landform, 85.0)
    radius_m = median_m * frame.unit * float(np.exp(rng.normal(0.0, 0.4)))
    return VILLAGE, float(min(radius_m, cap_m))


def _draw_footprint(
    style: np.ndarray, place: Place, frame: Frame, ragged: np.ndarray, allowed: np.ndarray, rng: np.random.Generator
) -> None:
    """Mark a ragged ellipse in one piece, only where nothing stands and building is possible."""
    reach = int(2.0 * place.radius_m / frame.cell_m) + 1
    row, col = int(place.centre_m[1] / frame.cell_m), int(place.centre_m[0] / frame.cell_m)
    window = np.s_[max(row - reach, 0) : row + reach, max(col - reach, 0) : col + reach]
    x, y = frame.xy()
    dx, dy = x[:, window[1]] - place.centre_m[0], y[window[0]] - place.centre_m[1]
    turn, stretch = rng.uniform(0, np.pi), rng.uniform(1.0, 1.7 if place.style == VILLAGE else 1.3)
    along, across = dx * np.cos(turn) + dy * np.sin(turn), dy * np.cos(turn) - dx * np.sin(turn)
    if place.style == WORKS:
        metric = np.maximum(np.abs(along) / stretch, np.abs(across) * stretch) / place.radius_m
        inside = metric < 0.85
    else:
        metric = np.hypot(along / np.sqrt(stretch), across * np.sqrt(stretch)) / place.radius_m
        inside = metric + 0.28 * ragged[window] < 1.0
    pieces, count = ndimage.label(inside)
    if count > 1:
        inside = pieces == np.bincount(pieces[pieces > 0]).argmax()
    inside &= allowed[window] & (style[window] == 0)
    style[window][inside] = place.style


def mosaic(kind: np.ndarray, cells: Cells, parcels: Parcels, frame: Frame, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Roofs, yards, streets and greenery of settlement cells.

    Args:
        kind: uint8 (count,), settlement style of each cell, never 0.
        cells: rows and columns of the cells.
        parcels: gives row coordinates, so that buildings line up with the fields around.
        frame: the fine grid.
        seed: salt of the hashes.

    Returns:
        (cover, tone) of the cells: uint8 cover codes and float32 in [-1, 1], one value per building.
    """
    block = parcels.block[parcels.index[cells]]
    u_m, v_m = parcels.u_m[cells], parcels.v_m[cells]
    shape = np.array([(1.0, 1.0, 1.0)] + [_BUILDING_M[k] for k in (VILLAGE, TOWN, WORKS)], np.float32)[kind]
    # A building is at least two cells wide, or nothing of it would survive on coarse grids.
    length, width = np.maximum(shape[:, 0], 2 * frame.cell_m), np.maximum(shape[:, 1], 2 * frame.cell_m)
    street = np.maximum(shape[:, 2], 8 * frame.cell_m)
    row, column = bricks(u_m, v_m, length, width, seed + 31, block)
    # Half of the buildings follow their street block, as estates of one roof colour do.
    quarter = (block, np.floor(v_m / street).astype(np.int32), np.floor(u_m / (1.6 * street)).astype(np.int32))
    own, tone = hash01(seed + 33, block, row, column), hash01(seed + 34, block, row, column)
    pick = np.where(hash01(seed + 35, block, row, column) < 0.5, hash01(seed + 36, *quarter), own)
    cover = np.zeros(kind.shape, np.uint8)
    for code, mix in _MIX.items():
        chosen = kind == code
        limits = np.cumsum(list(mix.values()))
        codes = np.array([int(c) for c in mix], np.uint8)
        cover[chosen] = codes[np.searchsorted(limits / limits[-1] * 1.0001, pick[chosen], side="right")]
    wide = np.where(kind == VILLAGE, frame.cell_m, 2 * frame.cell_m)
    on_street = (np.mod(v_m, street) < wide) | (np.mod(u_m, 1.6 * street) < wide)
    cover[on_street] = np.where(kind[on_street] == VILLAGE, np.uint8(Cover.CONCRETE), np.uint8(Cover.ASPHALT))
    return cover, 2 * tone - 1


def lay_roads(
    frame: Frame, elevation_m: np.ndarray, water: np.ndarray, places: list[Place], rng: np.random.Generator
) -> list[Road]:
    """Lay a main road across the scene and link every place to the nearest road.

    Args:
        frame: the fine grid.
        elevation_m: float32 (n, n); steep ground is dear.
        water: bool (n, n); a bridge is dear but possible.
        places: the town first.
        rng: source of randomness.

    Returns:
        Roads, main ones first.
    """
    step_m = frame.coarse_step * frame.cell_m
    ground = ndimage.gaussian_filter(frame.coarse(elevation_m), 1.5)
    slope = np.hypot(*np.gradient(ground, step_m))
    wander = ndimage.gaussian_filter(rng.standard_normal(ground.shape), 4)
    cost = np.exp(np.clip(9.0 * slope, 0, 4) + 0.9 * wander / wander.std()) + 25.0 * frame.coarse(water)
    last = ground.shape[0] - 1
    nodes = [(min(int(y / step_m), last), min(int(x / step_m), last)) for x, y in (p.centre_m for p in places)]
    hub = nodes[0] if nodes else (last // 2, last // 2)
    mcp = MCP_Geometric(cost)
    reach, _ = mcp.find_costs([hub])
    gates = [(int(np.argmin(reach[:, 0])), 0), (int(np.argmin(reach[:, -1])), last)]
    if rng.integers(2):
        gates = [(0, int(np.argmin(reach[0]))), (last, int(np.argmin(reach[-1])))]
    paths = [mcp.traceback(gate) for gate in gates]
    roads = _as_roads(frame, paths, 11.0 * frame.unit, main=True)
    # Larger places are linked first, so that the lanes of the smaller ones end on their roads.
    order = sorted(range(1, len(nodes)), key=lambda i: -places[i].radius_m)
    for batch in (order[: len(order) // 4], order[len(order) // 4 :]):
        mcp = MCP_Geometric(cost)
        mcp.find_costs([tuple(node) for node in {node for path in paths for node in path}])
        fresh = [mcp.traceback(nodes[i]) for i in batch]
        paths += fresh
        roads += _as_roads(frame, fresh, 5.5 * frame.unit, main=False)
    return roads


def _as_roads(frame: Frame, paths: list[list[tuple[int, int]]], width_m: float, main: bool) -> list[Road]:
    """Turn coarse paths into smooth roads; stretches that several paths share are drawn once."""
    steps = {frozenset(edge) for path in paths for edge in zip(path, path[1:], strict=False)}
    merged = line_merge(unary_union([LineString(sorted(step)) for step in sorted(steps, key=sorted)]))
    lines = [merged] if isinstance(merged, LineString) else list(merged.geoms)
    width_m = max(width_m, 1.3 * frame.cell_m)
    smooth = [frame.line([(r, c) for r, c in line.coords], 2.5) for line in lines if not line.is_empty]
    return [Road(line, width_m, main) for line in smooth]
