"""Relief, drainage and standing-water basins of a simulated county.

Coordinates are local metres: x to the east, y to the south, origin at the
north-west corner of the scene.
"""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from shapely import LineString
from skimage.graph import MCP_Geometric

from src.geo.simulation.noise import fractal_noise
from src.geo.simulation.profile import CountyProfile

_COARSE_SIDE = 192
# Below this relief water stands in lakes; above it, behind dams.
_FLAT_RELIEF_M = 60.0


@dataclass(frozen=True)
class Frame:
    """Size of the fine grid that the landscape is drawn on.

    Attributes:
        n: cells on a side.
        cell_m: side of a cell in metres.
        unit: how much larger than life narrow things are drawn, so that they show at the sensor's
            pixel size (1 at 10 m, 1.7 at 30 m).
    """

    n: int
    cell_m: float
    unit: float

    @property
    def side_m(self) -> float:
        """Side of the scene in metres."""
        return self.n * self.cell_m

    @property
    def coarse_step(self) -> int:
        """Fine cells per cell of the coarse grid on which paths are searched."""
        return max(1, self.n // _COARSE_SIDE)

    def xy(self) -> tuple[np.ndarray, np.ndarray]:
        """Cell-centre coordinates x (1, n) and y (n, 1) in local metres, float32."""
        centres = ((np.arange(self.n) + 0.5) * self.cell_m).astype(np.float32)
        return centres[None, :], centres[:, None]

    def coarse(self, field: np.ndarray) -> np.ndarray:
        """Every coarse_step-th cell of a fine field."""
        offset = self.coarse_step // 2
        return field[offset :: self.coarse_step, offset :: self.coarse_step]

    def refine(self, coarse_field: np.ndarray) -> np.ndarray:
        """Interpolate a coarse field back to (n, n) float32."""
        offset = self.coarse_step // 2
        at = ((np.arange(self.n) - offset) / self.coarse_step).astype(np.float32)
        rows = ndimage.map_coordinates(
            coarse_field.astype(np.float32),
            np.meshgrid(at, np.arange(coarse_field.shape[1], dtype=np.float32), indexing="ij"),
            order=1,
            mode="nearest",
        )
        return ndimage.map_coordinates(
            rows, np.meshgrid(np.arange(self.n, dtype=np.float32), at, indexing="ij"), order=1, mode="nearest"
        ).astype(np.float32)

    def line(self, path: list[tuple[int, int]], smooth_cells: float) -> LineString:
        """Turn a coarse (row, column) path into a smoothed line in local metres; the ends stay."""
        points = np.array(path, float)
        smooth = ndimage.gaussian_filter1d(points, smooth_cells, axis=0, mode="nearest")
        smooth[0], smooth[-1] = points[0], points[-1]
        xy = ((smooth[:, ::-1] * self.coarse_step) + self.coarse_step // 2 + 0.5) * self.cell_m
        return LineString(xy)


@dataclass(frozen=True)
class Channel:
    """A river or stream: centre line in local metres, width in metres, and whether it is the main river."""

    line: LineString
    width_m: float
    main: bool


@dataclass(frozen=True)
class Terrain:
    """Relief and water of the county.

    Attributes:
        elevation_m: float32 (n, n).
        wetness: float32 (n, n), 1 at the drainage lines falling to 0 on the ridges.
        basin_m: float32 (n, n), depth of a lake or reservoir bed below its normal level; negative on its
            shore, -inf away from any basin.
        channels: rivers and streams; the main river first.
    """

    elevation_m: np.ndarray
    wetness: np.ndarray
    basin_m: np.ndarray
    channels: tuple[Channel, ...]


def build_terrain(profile: CountyProfile, frame: Frame, rng: np.random.Generator) -> Terrain:
    """Make relief, cut valleys along least-cost drainage paths, and fill basins.

    Args:
        profile: landform and relief.
        frame: the fine grid.
        rng: source of randomness.

    Returns:
        The terrain.
    """
    longest_m = min(0.7 * frame.side_m, 3500.0 * frame.unit)
    noise = fractal_noise(rng, frame.n, frame.cell_m, longest_m, slope=2.0)
    relief = (noise - noise.min()) / (noise.max() - noise.min())
    channels, distance_m = _drainage(profile, frame, frame.coarse(relief), rng)
    valley_m = (220.0 + 500.0 / (1.0 + profile.relief_m / 100.0)) * frame.unit
    wetness = frame.refine(ndimage.gaussian_filter(np.exp(-distance_m / valley_m), 1.5))
    scale_m = profile.relief_m * (frame.side_m / 5000.0) ** 0.7
    elevation_m = (scale_m * (relief + 0.15) * (1.0 - 0.8 * wetness)).astype(np.float32)
    basin_m = _basins(profile, frame, elevation_m, channels, rng)
    return Terrain(elevation_m, wetness, basin_m, channels)


def _drainage(
    profile: CountyProfile, frame: Frame, relief: np.ndarray, rng: np.random.Generator
) -> tuple[tuple[Channel, ...], np.ndarray]:
    """Main river from edge to edge and tributaries to it; also the coarse distance to them in metres."""
    rough = ndimage.gaussian_filter(rng.standard_normal(relief.shape), 2.0)
    cost = np.exp(5.0 * relief + 0.8 * rough / rough.std()).astype(float)
    flip = bool(rng.integers(2))
    costs = cost.T if flip else cost
    side = costs.shape[0]
    ends = [int(rng.uniform(0.2, 0.8) * side) for _ in range(2)]
    mcp = MCP_Geometric(costs)
    mcp.find_costs([(ends[0], 0)])
    path = mcp.traceback((ends[1], side - 1))
    path = [(c, r) for r, c in path] if flip else list(path)
    flow = {"dryland": 0.6, "mountains": 0.7}.get(profile.landform, 1.0)
    width_m = min(float(rng.uniform(22.0, 75.0)) * frame.unit * flow, 0.05 * frame.side_m)
    step_m = frame.cell_m * frame.coarse_step
    channels = [Channel(_meander(frame.line(path, 130.0 * frame.unit / step_m), width_m, rng), width_m, main=True)]
    visited = np.zeros(cost.shape, bool)
    visited[tuple(np.array(path).T)] = True
    mcp = MCP_Geometric(cost)
    mcp.find_costs(path)
    wanted = int(
        np.clip(frame.side_m / (900.0 * frame.unit), 1, 9) * {"dryland": 0.5, "lakes": 1.3}.get(profile.landform, 1)
    )
    for _ in range(max(1, wanted)):
        candidates = rng.integers(0, cost.shape[0], (12, 2))
        start = max(candidates, key=lambda rc: _cells_to_visited(visited, rc))
        branch = mcp.traceback((int(start[0]), int(start[1])))[::-1]
        stop = next((i for i, rc in enumerate(branch) if visited[rc]), len(branch) - 1)
        branch = branch[: stop + 1]
        if len(branch) < 8:
            continue
        visited[tuple(np.array(branch).T)] = True
        stream_m = float(rng.uniform(4.0, 11.0) * frame.unit)
        line = _meander(frame.line(branch, 60.0 * frame.unit / step_m), 2.0 * stream_m, rng)
        channels.append(Channel(line, stream_m, main=False))
    return tuple(channels), ndimage.distance_transform_edt(~visited) * step_m


def _cells_to_visited(visited: np.ndarray, row_col: np.ndarray) -> float:
    """Distance in cells from a cell to the nearest visited one."""
    rows, cols = np.nonzero(visited)
    return float(np.hypot(rows - row_col[0], cols - row_col[1]).min())


def _meander(line: LineString, width_m: float, rng: np.random.Generator) -> LineString:
    """Swing the line sideways; wavelength about eleven widths (Leopold and Wolman 1960)."""
    count = max(8, int(line.length / max(width_m / 2, 5.0)))
    along = np.linspace(0.0, line.length, count)
    points = np.array([line.interpolate(s).coords[0] for s in along])
    tangent = np.gradient(points, axis=0)
    tangent /= np.maximum(np.linalg.norm(tangent, axis=1, keepdims=True), 1e-9)
    phase = 2 * np.pi * along / (11.0 * width_m) + np.cumsum(rng.normal(0, 0.12, count))
    swing = width_m * rng.uniform(0.6, 1.6) * np.sin(phase) * np.clip(np.sin(np.pi * along / line.length), 0, 1) ** 0.3
    return LineString(points + swing[:, None] * tangent[:, ::-1] * np.array([1.0, -1.0]))


def _basins(
    profile: CountyProfile,
    frame: Frame,
    elevation_m: np.ndarray,
    channels: tuple[Channel, ...],
    rng: np.random.Generator,
) -> np.ndarray:
    """Lakes where the land is flat, else a reservoir behind a dam on the longest stream."""
    streams = [c for c in channels if not c.main]
    if profile.relief_m < _FLAT_RELIEF_M or not streams:
        share = max(profile.shares["water"] - 0.035, 0.004)
        bed = fractal_noise(rng, frame.n, frame.cell_m, min(1400.0 * frame.unit, 0.5 * frame.side_m), slope=2.6)
        return (3.5 * (bed - np.quantile(bed, 1.0 - share))).astype(np.float32)
    return _reservoir(frame, elevation_m, max(streams, key=lambda c: c.line.length).line, rng)


def _reservoir(frame: Frame, elevation_m: np.ndarray, stream: LineString, rng: np.random.Generator) -> np.ndarray:
    """Flood the valley above a dam as high as it closes by itself; -inf away from the water."""
    dam = np.array(stream.interpolate(0.5, normalized=True).coords[0])
    upstream = np.array(stream.interpolate(0.35, normalized=True).coords[0]) - dam
    upstream /= max(float(np.linalg.norm(upstream)), 1e-9)
    x, y = frame.xy()
    dx, dy = x - np.float32(dam[0]), y - np.float32(dam[1])
    forward = dx * np.float32(upstream[0]) + dy * np.float32(upstream[1])
    distance = np.hypot(dx, dy)
    reach_m = min(rng.uniform(500.0, 1000.0) * frame.unit, 0.3 * frame.side_m)
    inside = (forward > 0) & (distance < reach_m)
    basin_m = np.full(elevation_m.shape, -np.inf, np.float32)
    if not inside.any():
        return basin_m
    smooth = ndimage.gaussian_filter(elevation_m, 12.0 / frame.cell_m)
    rim = inside & (distance > reach_m - 2 * frame.cell_m)
    for share in (0.5, 0.4, 0.3, 0.22, 0.15, 0.1, 0.05):
        level = float(np.quantile(smooth[inside], share))
        flooded, _ = ndimage.label(inside & (smooth < level))
        water = flooded == np.bincount(flooded[flooded > 0]).argmax()
        if not (water & rim).any():
            break
    near = ndimage.binary_dilation(water, iterations=int(40.0 / frame.cell_m) + 1) & inside
    gentle = np.float32(min(9.0 / max(float(np.std(smooth[inside])), 1e-3), 1.0))
    basin_m[near] = (level - smooth[near]) * gentle
    return basin_m
