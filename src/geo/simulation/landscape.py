"""Assembly of a county's land cover as it was before any change.

The order is that of dependence: relief and drainage, parcels, water, settlements
and roads, farmland on the flattest parcels, orchards at its upper edge, and
forest, grass and bare ground on what is left. Class shares follow the profile.
"""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from src.geo.simulation.cover import Cover
from src.geo.simulation.noise import fractal_noise, hash01, top_share
from src.geo.simulation.parcels import Cells, Parcels, divide
from src.geo.simulation.profile import CountyProfile
from src.geo.simulation.settlements import Place, Road, burn, lay_roads, mosaic, place_settlements
from src.geo.simulation.terrain import Frame, Terrain, build_terrain


@dataclass(frozen=True)
class Landscape:
    """A county on its fine grid, before the first change.

    Attributes:
        seed: what it was made from.
        profile: what kind of county it is.
        frame: the fine grid.
        terrain: relief, channels and basins.
        parcels: division into parcels (everywhere, farmed or not).
        cover: uint8 (n, n) of Cover codes at normal water level.
        style: uint8 (n, n), settlement style or 0.
        tone: float32 (n, n) in [-1, 1], one value per building.
        ragged: float32 (n, n), smooth standard normal noise that frays edges.
        brightness: float32 (n, n), standard normal texture shared by all bands.
        greenness: float32 (n, n), standard normal texture of the vegetation.
        places: villages and towns.
        roads: main roads first.
        garden_period_m: distance of orchard rows.
    """

    seed: int
    profile: CountyProfile
    frame: Frame
    terrain: Terrain
    parcels: Parcels
    cover: np.ndarray
    style: np.ndarray
    tone: np.ndarray
    ragged: np.ndarray
    brightness: np.ndarray
    greenness: np.ndarray
    places: tuple[Place, ...]
    roads: tuple[Road, ...]
    garden_period_m: float


def build_landscape(profile: CountyProfile, frame: Frame, seed: int, pixel_m: float) -> Landscape:
    """Build a county.

    Args:
        profile: from ``draw_profile(seed)``.
        frame: the fine grid.
        seed: non-negative integer.
        pixel_m: pixel of the sensor that will look at it; orchard rows are drawn wide enough for it.

    Returns:
        The landscape.
    """
    rng = np.random.default_rng([seed, 2])
    terrain = build_terrain(profile, frame, rng)
    parcels = divide(profile, frame, terrain.elevation_m, seed, rng)
    channels = burn([(c.line.buffer(c.width_m / 2), 1) for c in reversed(terrain.channels)], frame) > 0
    open_water = channels | (terrain.basin_m > 0)
    lowland = _lowland(frame, terrain)
    suitability = np.where(ndimage.binary_dilation(open_water, iterations=2), -np.inf, lowland).astype(np.float32)
    ragged = fractal_noise(rng, frame.n, frame.cell_m, 260.0 * frame.unit, slope=2.0)
    style, places = place_settlements(profile, frame, suitability, ragged, rng)
    roads = lay_roads(frame, terrain.elevation_m, open_water, places, rng)
    cover = _upland(profile, frame, terrain, parcels, rng)
    period_m = max(2.6 * pixel_m, 8.0)
    _farm(cover, profile, frame, terrain, parcels, open_water | (style > 0), lowland, period_m, rng)
    _shelter_belts(cover, frame, parcels, lowland, seed)
    tone = np.zeros(cover.shape, np.float32)
    settled = np.nonzero(style)
    cover[settled], tone[settled] = mosaic(style[settled], settled, parcels, frame, seed)
    _quarry(cover, frame, terrain, ragged, open_water | (style > 0), rng)
    _banks_and_water(cover, frame, terrain, channels, rng)
    _pave(cover, frame, roads)
    brightness, greenness = _textures(frame, rng)
    return Landscape(
        seed=seed,
        profile=profile,
        frame=frame,
        terrain=terrain,
        parcels=parcels,
        cover=cover,
        style=style,
        tone=tone,
        ragged=ragged,
        brightness=brightness,
        greenness=greenness,
        places=tuple(places),
        roads=tuple(roads),
        garden_period_m=period_m,
    )


def orchard_cover(parcels: Parcels, cells: Cells, period_m: float) -> np.ndarray:
    """Rows of tree crowns on the given cells.

    The rows are a stand-in: real ones (4-6 m) are below the pixel; terraces and service lanes make the
    pattern that imagery shows, so the period is tied to the pixel.

    Args:
        parcels: gives row coordinates.
        cells: rows and columns.
        period_m: distance of rows.

    Returns:
        uint8 cover codes of those cells.
    """
    across = np.sin(2 * np.pi * parcels.v_m[cells] / period_m)
    along = np.sin(2 * np.pi * parcels.u_m[cells] / (1.15 * period_m))
    crowns = (across > -0.25) & (along > -0.55)
    return np.where(crowns, np.uint8(Cover.ORCHARD_CANOPY), np.uint8(Cover.ORCHARD_FLOOR))


def pond_cover(parcels: Parcels, cells: Cells) -> np.ndarray:
    """Ponds with a bund along their edge, uint8 cover codes of the given cells."""
    return np.where(parcels.boundary[cells], np.uint8(Cover.FIELD_PATH), np.uint8(Cover.POND))


def _lowland(frame: Frame, terrain: Terrain) -> np.ndarray:
    """How fit the ground is for farming: low, flat and near water; standard normal-like float32."""
    smooth = ndimage.gaussian_filter(terrain.elevation_m, 25.0 / frame.cell_m)
    slope = np.hypot(*np.gradient(smooth, frame.cell_m)).astype(np.float32)
    height = smooth / max(float(smooth.max()), 1e-6)
    score = -1.5 * height - 2.0 * slope / max(float(slope.std()) * 3, 0.02) + 0.8 * terrain.wetness
    return ((score - score.mean()) / score.std()).astype(np.float32)


def _upland(
    profile: CountyProfile, frame: Frame, terrain: Terrain, parcels: Parcels, rng: np.random.Generator
) -> np.ndarray:
    """Forest, grass and bare ground everywhere, in the proportions that they have to one another."""
    shares = profile.shares
    wild = shares["forest"] + shares["grassland"] + shares["unused"]
    height = terrain.elevation_m / max(float(terrain.elevation_m.max()), 1e-6)
    moisture = fractal_noise(rng, frame.n, frame.cell_m, 900.0 * frame.unit, slope=1.6)
    stand = fractal_noise(rng, frame.n, frame.cell_m, 600.0 * frame.unit, slope=1.7)
    patches = fractal_noise(rng, frame.n, frame.cell_m, 420.0 * frame.unit, slope=2.2)
    if profile.relief_m < 60.0:
        # In the plain woods, meadows and waste ground keep to parcels too.
        moisture, patches = (parcels.mean(f)[parcels.index].astype(np.float32) for f in (moisture, patches))
        patches += 0.5 * hash01(int(rng.integers(1 << 30)), parcels.index)
    cover = np.full(moisture.shape, Cover.GRASS, np.uint8)
    dry = profile.climate == "maize"
    cover[stand > (-0.2 if dry else 0.5)] = Cover.DRY_GRASS
    bare = top_share(patches + 1.0 * height - 0.6 * moisture, shares["unused"] / wild)
    forest = top_share(moisture + 0.8 * height, shares["forest"] / wild, ~bare)
    cover[forest] = np.where(stand[forest] + 1.5 * height[forest] > 0.9, Cover.CONIFER, Cover.BROADLEAF)
    cover[forest & (ndimage.uniform_filter(forest.astype(np.float32), 7) < 0.6)] = Cover.SHRUB
    low, high = (Cover.SALINE if dry else Cover.SAND), (Cover.BARE_SOIL if profile.relief_m < 120 else Cover.ROCK)
    kind = np.where(height < (0.25 if dry else 0.12), low, np.where(stand > 0.2, Cover.BARE_SOIL, high))
    cover[bare] = kind[bare]
    return cover


def _farm(
    cover: np.ndarray,
    profile: CountyProfile,
    frame: Frame,
    terrain: Terrain,
    parcels: Parcels,
    taken: np.ndarray,
    lowland: np.ndarray,
    period_m: float,
    rng: np.random.Generator,
) -> None:
    """Give the fittest parcels to crops, ponds and orchards; a parcel is farmed as a whole."""
    shares = profile.shares
    size = parcels.cells / frame.n**2
    free = 1.0 - parcels.mean(taken.astype(np.float32))
    score = parcels.mean(lowland) + 0.35 * rng.standard_normal(parcels.count)
    block_noise = hash01(int(rng.integers(1 << 30)), parcels.block)
    score = np.where(free > 0.35, score, -np.inf)
    # The surplus makes up for the paths, roads and belts that are drawn over farmland later.
    farmed = _greedy(score, size * free, 1.06 * (shares["cropland"] + shares["garden"]))
    middle = -np.abs(parcels.mean(lowland) - 0.2) + 2.2 * block_noise + 0.3 * rng.standard_normal(parcels.count)
    garden = _greedy(np.where(farmed, middle, -np.inf), size * free, 1.04 * shares["garden"])
    pond_share = {"lakes": 0.05, "plain": 0.012, "orchards": 0.008}.get(profile.landform, 0.004)
    wet = parcels.mean(terrain.wetness) + 1.0 * hash01(int(rng.integers(1 << 30)), parcels.block)
    pond = _greedy(np.where(farmed & ~garden & (free > 0.95), wet, -np.inf), size, pond_share)
    cells = farmed[parcels.index]
    cover[cells] = Cover.CROP
    cover[cells & parcels.boundary & (parcels.block_edge_m < 40.0 * frame.unit)] = Cover.FIELD_PATH
    cover[cells & (parcels.block_edge_m < 0.8 * frame.cell_m)] = Cover.FIELD_PATH
    rows = np.nonzero(garden[parcels.index])
    cover[rows] = orchard_cover(parcels, rows, period_m)
    ponds = np.nonzero(pond[parcels.index])
    cover[ponds] = pond_cover(parcels, ponds)
    _village_ponds(cover, frame, cells & ~taken, rng)


def _greedy(score: np.ndarray, size: np.ndarray, share: float) -> np.ndarray:
    """Take items by falling score until their sizes add up to the share; bool per item."""
    order = np.argsort(-score, kind="stable")
    total = np.cumsum(size[order])
    chosen = np.zeros(score.shape, bool)
    chosen[order[total <= share]] = True
    return chosen & np.isfinite(score)


def _village_ponds(cover: np.ndarray, frame: Frame, allowed: np.ndarray, rng: np.random.Generator) -> None:
    """Small round ponds scattered over farmland."""
    x, y = frame.xy()
    for _ in range(int(6 * (frame.side_m / (2500.0 * frame.unit)) ** 2) + 1):
        cx, cy = rng.uniform(0, frame.side_m, 2)
        radius_m, squash = rng.uniform(12.0, 34.0) * frame.unit, rng.uniform(1.0, 1.8)
        rows = slice(max(int((cy - 2 * radius_m) / frame.cell_m), 0), int((cy + 2 * radius_m) / frame.cell_m) + 1)
        cols = slice(max(int((cx - 2 * radius_m) / frame.cell_m), 0), int((cx + 2 * radius_m) / frame.cell_m) + 1)
        inside = np.hypot((x[:, cols] - cx) * squash, y[rows] - cy) < radius_m
        if inside.any() and allowed[rows, cols][inside].all():
            cover[rows, cols][inside] = Cover.POND


def _shelter_belts(cover: np.ndarray, frame: Frame, parcels: Parcels, lowland: np.ndarray, seed: int) -> None:
    """Rows of trees along some block edges of the farmland."""
    belt = (parcels.block_edge_m < 5.0 * frame.unit) & (parcels.block_edge_m >= 0.8 * frame.cell_m)
    belt &= hash01(seed + 41, parcels.block)[parcels.index] > 0.72
    cover[belt & (cover == Cover.CROP)] = Cover.BROADLEAF


def _quarry(
    cover: np.ndarray, frame: Frame, terrain: Terrain, ragged: np.ndarray, taken: np.ndarray, rng: np.random.Generator
) -> None:
    """One or two open pits on wild slopes."""
    x, y = frame.xy()
    wild = np.isin(cover, (Cover.BROADLEAF, Cover.CONIFER, Cover.SHRUB, Cover.GRASS, Cover.DRY_GRASS)) & ~taken
    for _ in range(int(rng.integers(1, 3))):
        spots = np.argwhere(frame.coarse(wild & (terrain.wetness < 0.4)))
        if len(spots) == 0:
            return
        row, col = spots[int(rng.integers(len(spots)))] * frame.coarse_step
        radius_m = min(float(rng.uniform(45.0, 110.0)) * frame.unit, 0.08 * frame.side_m)
        metric = np.hypot(x - col * frame.cell_m, y - row * frame.cell_m) / radius_m
        cover[(metric + 0.3 * ragged < 1.0) & wild] = Cover.QUARRY


def _banks_and_water(
    cover: np.ndarray, frame: Frame, terrain: Terrain, channels: np.ndarray, rng: np.random.Generator
) -> None:
    """Sand bars and trees along the main river, then the water itself at its normal level."""
    main = terrain.channels[0]
    band = burn([(main.line.buffer(main.width_m / 2 + 26.0 * frame.unit), 1)], frame) > 0
    noise = fractal_noise(rng, frame.n, frame.cell_m, 240.0 * frame.unit, slope=1.6)
    soft = np.isin(cover, (Cover.CROP, Cover.FIELD_PATH, Cover.GRASS, Cover.DRY_GRASS, Cover.BROADLEAF, Cover.SHRUB))
    cover[band & soft & (noise > 0.75)] = Cover.SAND
    cover[band & soft & (noise < -0.4)] = Cover.BROADLEAF
    cover[channels] = Cover.RIVER
    cover[terrain.basin_m > 0] = Cover.LAKE


def _pave(cover: np.ndarray, frame: Frame, roads: list[Road]) -> None:
    """Draw roads over everything; bridges included."""
    codes = {True: Cover.ASPHALT, False: Cover.CONCRETE}
    shapes = [(road.line.buffer(road.width_m / 2), int(codes[road.main])) for road in reversed(roads)]
    surface = burn(shapes, frame)
    cover[surface > 0] = surface[surface > 0]


def _textures(frame: Frame, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Brightness and greenness textures: mostly at the scale of crowns, some at that of stands."""
    fields = []
    for _ in range(2):
        fine = fractal_noise(rng, frame.n, frame.cell_m, 14.0 * frame.unit, slope=1.6)
        coarse = fractal_noise(rng, frame.n, frame.cell_m, 500.0 * frame.unit, slope=1.7)
        fields.append((0.8 * fine + 0.6 * coarse).astype(np.float32))
    return fields[0], fields[1]
