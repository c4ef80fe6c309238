"""Seeded random fields on square arrays: fractal noise, hashes, Voronoi blocks, bricks.

Everything is a pure function of its arguments, so a landscape is a function of
its seed alone. Lengths are metres; arrays are (n, n), row 0 in the north.
"""

import numpy as np
from scipy import fft


def hash01(salt: int, *keys: np.ndarray) -> np.ndarray:
    """Map integer arrays to reproducible pseudo-random numbers.

    Args:
        salt: separates independent uses of the same keys.
        keys: integer arrays that broadcast against each other.

    Returns:
        float32 in [0, 1), equal for equal keys. The mixing steps are the finaliser
        of MurmurHash3 (public domain, A. Appleby).
    """
    mixed = np.full(np.broadcast_shapes(*(k.shape for k in keys)), (salt * 0x9E3779B9) & 0xFFFFFFFF, np.uint32)
    for key in keys:
        mixed ^= (key.astype(np.int64) & 0xFFFFFFFF).astype(np.uint32) * np.uint32(0xCC9E2D51)
        mixed ^= mixed >> np.uint32(16)
        mixed *= np.uint32(0x85EBCA6B)
        mixed ^= mixed >> np.uint32(13)
        mixed *= np.uint32(0xC2B2AE35)
        mixed ^= mixed >> np.uint32(16)
    return (mixed >> np.uint32(8)).astype(np.float32) / np.float32(1 << 24)


def fractal_noise(
    rng: np.random.Generator, n: int, cell_m: float, longest_m: float, slope: float = 2.0, shortest_m: float = 0.0
) -> np.ndarray:
    """Gaussian noise with a power-law spectrum.

    Args:
        rng: source of the white noise.
        n: side of the array in cells.
        cell_m: side of a cell.
        longest_m: wavelength above which the amplitude stays flat.
        slope: amplitude falls as wavenumber ** -slope; 2 looks like terrain, 1 like texture.
        shortest_m: wavelengths below this are removed (0 keeps all).

    Returns:
        float32 (n, n), mean 0, standard deviation 1, periodic in both directions.
    """
    spectrum = fft.rfft2(rng.standard_normal((n, n), dtype=np.float32))
    ky = fft.fftfreq(n, cell_m).astype(np.float32)[:, None]
    kx = fft.rfftfreq(n, cell_m).astype(np.float32)[None, :]
    k = np.hypot(ky, kx)
    gain = (k**2 + np.float32(1.0 / longest_m) ** 2) ** np.float32(-slope / 2)
    if shortest_m > 0:
        gain *= np.exp(-np.square(k * np.float32(shortest_m)))
    gain[0, 0] = 0.0
    field = fft.irfft2(spectrum * gain, s=(n, n)).astype(np.float32)
    return (field - field.mean()) / field.std()


def voronoi_blocks(x: np.ndarray, y: np.ndarray, spacing_m: float, salt: int) -> tuple[np.ndarray, np.ndarray]:
    """Divide the plane into irregular cells around jittered lattice points.

    Args:
        x: metres, float32 (any shape); warp it before the call for curved edges.
        y: metres, same shape.
        spacing_m: mean distance of neighbouring points.
        salt: seed of the jitter.

    Returns:
        (index, edge_m): int32 block number, and the approximate distance to the nearest block edge.
    """
    i0, j0 = np.floor(y / spacing_m).astype(np.int32), np.floor(x / spacing_m).astype(np.int32)
    i_min, j_min = int(i0.min()) - 1, int(j0.min()) - 1
    rows, cols = int(i0.max()) + 2 - i_min, int(j0.max()) + 2 - j_min
    ii, jj = np.meshgrid(np.arange(rows), np.arange(cols), indexing="ij")
    point_y = ((ii + i_min + 0.5 + 0.8 * (hash01(salt, ii, jj) - 0.5)) * spacing_m).astype(np.float32).ravel()
    point_x = ((jj + j_min + 0.5 + 0.8 * (hash01(salt + 1, ii, jj) - 0.5)) * spacing_m).astype(np.float32).ravel()
    base = (i0 - i_min) * np.int32(cols) + (j0 - j_min)
    nearest = np.full(x.shape, np.inf, np.float32)
    second = np.full(x.shape, np.inf, np.float32)
    index = np.zeros(x.shape, np.int32)
    for step in (di * cols + dj for di in (-1, 0, 1) for dj in (-1, 0, 1)):
        candidate = base + np.int32(step)
        distance = np.square(y - point_y[candidate]) + np.square(x - point_x[candidate])
        closer = distance < nearest
        second = np.where(closer, nearest, np.minimum(second, distance))
        nearest = np.where(closer, distance, nearest)
        index = np.where(closer, candidate, index)
    return index, (np.sqrt(second) - np.sqrt(nearest)) / 2


def bricks(
    u: np.ndarray, v: np.ndarray, length: np.ndarray, width: np.ndarray, salt: int, block: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Cut rotated coordinates into staggered bricks of uneven size.

    Args:
        u: metres along the bricks (any shape).
        v: metres across them.
        length: mean brick length along u, metres (broadcasts).
        width: mean brick width along v, metres.
        salt: seed of the unevenness.
        block: int block number; bricks of different blocks are independent.

    Returns:
        (row, column) int32 arrays that together with ``block`` name the brick.
    """
    row = _uneven_index(v / width, salt, block)
    column = _uneven_index(u / length + hash01(salt + 7, block, row), salt + 3, block * np.int32(131) + row)
    return row, column


def _uneven_index(t: np.ndarray, salt: int, key: np.ndarray) -> np.ndarray:
    """Floor of t after moving each integer boundary by up to 0.3 to either side."""
    nearest = np.round(t).astype(np.int32)
    boundary = nearest + 0.6 * (hash01(salt, key, nearest) - 0.5)
    return np.where(t >= boundary, nearest, nearest - 1).astype(np.int32)


def top_share(score: np.ndarray, share: float, within: np.ndarray | None = None) -> np.ndarray:
    """Mask of the cells with the highest score that make up ``share`` of the whole array.

    Args:
        score: float (n, n).
        share: wanted share of all cells, 0..1.
        within: only these cells may be chosen; at most all of them are.

    Returns:
        bool (n, n).
    """
    allowed = np.ones(score.shape, bool) if within is None else within
    values = score[allowed]
    count = min(int(round(share * score.size)), values.size)
    if count <= 0:
        return np.zeros(score.shape, bool)
    threshold = np.partition(values, values.size - count)[values.size - count]
    return allowed & (score >= threshold)
