"""Iteratively re-weighted multivariate alteration detection (IR-MAD) with calibrated chi-square scores.

Canonical correlation analysis finds combinations of the bands of two dates that
agree best; the standardised differences of the pairs (MAD variates) are free of
any separate affine change of the bands, so of gain, offset and most of the
haze. Pixels that changed are weighted down and the analysis repeated. Sources:
Nielsen 2007 (doi:10.1109/TIP.2006.888195); Canty and Nielsen 2008
(doi:10.1016/j.rse.2007.07.013) for the iteration; own calibration, because
re-weighting shrinks the variances and leaves 12 % instead of 0.1 % of unchanged
pixels beyond the 0.001 limit.

Not covered: pairs in which most pixels changed, or with fewer than three bands.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import linalg
from scipy.stats import chi2

from src.errors import InputError

# Nielsen 2007: canonical correlations that move by less than this have settled.
RHO_TOLERANCE = 0.001
MAX_ITERATIONS = 50
# Share of the identity in the band correlations: keeps constant or repeated bands solvable, and being laid on
# correlations rather than covariances it leaves the invariance to gain and offset intact.
_RIDGE = 1e-6
# A canonical correlation of 1 would give a variate without variance.
_LARGEST_RHO = 1.0 - 1e-9
_CHUNK_PX = 1 << 17
# Rounds of the calibration; its share of changed pixels settles in a handful.
_CALIBRATION_ROUNDS = 30
_CALIBRATION_TAIL = 0.01
# Identical images have Z = 0 everywhere; the scale must still fit into float32.
_SMALLEST_FACTOR = 1e-12


@dataclass(frozen=True, eq=False)
class IrMad:
    """A fitted transform.

    Attributes:
        mean_x: (p,) float64, weighted mean of the first date's bands.
        mean_y: (p,) of the second date's.
        a: (p, p) float64; rows weigh the first date's bands for one variate of unit no-change variance.
        b: (p, p) of the second date.
        rho: (p,) canonical correlations, rising.
        iterations: analyses run.
        converged: whether rho settled within MAX_ITERATIONS.
        calibration: factor f that Z was divided by.
    """

    mean_x: NDArray[np.float64]
    mean_y: NDArray[np.float64]
    a: NDArray[np.float64]
    b: NDArray[np.float64]
    rho: NDArray[np.float64]
    iterations: int
    converged: bool
    calibration: float

    @property
    def bands(self) -> int:
        """Bands of each date: the degrees of freedom of Z."""
        return len(self.rho)


def fit_irmad(x: np.ndarray, y: np.ndarray) -> IrMad:
    """Fit on pixels seen on both dates.

    Args:
        x: (p, n) float, bands of the first date, without NaN.
        y: (p, n) of the second date.

    Returns:
        The transform, calibrated: Z of unchanged pixels follows chi-square(p) around its median.

    Raises:
        InputError: fewer than three bands, or fewer than ten pixels per band pair.
    """
    bands, pixels = x.shape
    if bands < 3 or y.shape != x.shape:
        raise InputError(f"IR-MAD of arrays {x.shape} and {y.shape}: expected two of equal shape with 3 bands or more")
    if pixels < 20 * bands:
        raise InputError(f"IR-MAD of {pixels} pixels: expected at least {20 * bands} for {bands} bands")
    # Standard units first: the ridge then means the same for every band, sensor and quantity.
    centre, spread = _standards(x, y)
    weight = np.ones(pixels)
    rho = np.full(bands, np.inf)
    for iteration in range(1, MAX_ITERATIONS + 1):
        mean, covariance = _moments(x, y, weight, centre, spread)
        previous, (rho, a, b) = rho, _canonical(covariance)
        a, b = a / spread[:bands], b / spread[bands:]
        model = IrMad(
            centre[:bands] + spread[:bands] * mean[:bands],
            centre[bands:] + spread[bands:] * mean[bands:],
            a,
            b,
            rho,
            iteration,
            bool(np.abs(rho - previous).max() < RHO_TOLERANCE),
            1.0,
        )
        z = _chunked_z(model, x, y)
        if model.converged:
            break
        weight = chi2.sf(z, bands)
    return _calibrated(model, z)


def mad_variates(model: IrMad, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Standardised, calibrated MAD variates.

    Args:
        model: from ``fit_irmad``.
        x: (p, ...) bands of the first date.
        y: (p, ...) of the second.

    Returns:
        (p, ...) in the dtype of x; each of variance 1 where nothing changed. NaN passes through.
    """
    shape, dtype = x.shape, x.dtype
    dx = x.reshape(shape[0], -1) - model.mean_x.astype(dtype)[:, None]
    dy = y.reshape(shape[0], -1) - model.mean_y.astype(dtype)[:, None]
    return (model.a.astype(dtype) @ dx - model.b.astype(dtype) @ dy).reshape(shape)


def chi_square(model: IrMad, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Calibrated Z: the sum of squared variates, (...) for bands (p, ...)."""
    return np.square(mad_variates(model, x, y)).sum(axis=0)


def calibration_factor(z: np.ndarray, bands: float) -> float:
    """Median of the unchanged pixels' Z over that of chi-square(p).

    The share of changed pixels is estimated in the same loop, from what lies
    beyond the 1 % limit, and left out of the median: with 40 % change the plain
    median would no longer be that of unchanged pixels.

    Args:
        z: (n,) Z of all pixels.
        bands: degrees of freedom p.
    """
    ordered = np.sort(z)
    limit, middle = chi2.isf(_CALIBRATION_TAIL, bands), chi2.median(bands)
    changed, factor = 0.0, 0.0
    for _ in range(_CALIBRATION_ROUNDS):
        previous, factor = factor, float(ordered[int(0.5 * (1.0 - changed) * (len(z) - 1))]) / middle
        if factor == previous:
            break
        beyond = 1.0 - float(np.searchsorted(ordered, limit * factor)) / len(z)
        changed = max(0.0, (beyond - _CALIBRATION_TAIL) / (1.0 - _CALIBRATION_TAIL))
    return max(factor, _SMALLEST_FACTOR)


def _chunks(pixels: int) -> Iterator[slice]:
    return (slice(start, min(start + _CHUNK_PX, pixels)) for start in range(0, pixels, _CHUNK_PX))


def _standards(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Means and standard deviations of the 2p bands."""
    centre = np.concatenate([values.mean(axis=1, dtype=np.float64) for values in (x, y)])
    spread = np.concatenate([values.std(axis=1, dtype=np.float64) for values in (x, y)])
    return centre, np.where(spread > 0, spread, 1.0)


def _moments(
    x: np.ndarray, y: np.ndarray, weight: np.ndarray, centre: np.ndarray, spread: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Weighted mean and covariance of the standardised 2p bands, summed chunk by chunk in float64."""
    size = 2 * len(x)
    total, first, second = 0.0, np.zeros(size), np.zeros((size, size))
    for part in _chunks(x.shape[1]):
        values = (np.concatenate([x[:, part], y[:, part]]).astype(np.float64) - centre[:, None]) / spread[:, None]
        weighted = values * weight[part]
        total += float(weight[part].sum())
        first += weighted.sum(axis=1)
        second += weighted @ values.T
    mean = first / total
    return mean, second / total - np.outer(mean, mean)


def _canonical(covariance: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Correlations (rising) and rows of weights whose difference has unit variance."""
    bands = len(covariance) // 2
    scale = np.sqrt(np.maximum(np.diag(covariance), 1e-12))
    correlation = (1.0 - _RIDGE) * covariance / np.outer(scale, scale)
    xx = correlation[:bands, :bands] + _RIDGE * np.eye(bands)
    yy = correlation[bands:, bands:] + _RIDGE * np.eye(bands)
    xy = correlation[:bands, bands:]
    to_y = linalg.solve(yy, xy.T, assume_a="pos")
    square, vectors = linalg.eigh(xy @ to_y, xx)
    rho = np.sqrt(np.clip(square, 0.0, _LARGEST_RHO**2))
    # The sign of an eigenvector is arbitrary: let each variate rise with the bands of the first date.
    vectors = vectors * np.where((xx @ vectors).sum(axis=0) < 0, -1.0, 1.0)
    partner = to_y @ vectors / np.maximum(rho, 1e-12)
    unit = np.sqrt(2.0 * (1.0 - rho))
    return rho, (vectors / unit).T / scale[:bands], (partner / unit).T / scale[bands:]


def _chunked_z(model: IrMad, x: np.ndarray, y: np.ndarray) -> NDArray[np.float64]:
    return np.concatenate(
        [
            chi_square(model, x[:, part].astype(np.float64), y[:, part].astype(np.float64))
            for part in _chunks(x.shape[1])
        ]
    )


def _calibrated(model: IrMad, z: np.ndarray) -> IrMad:
    factor = calibration_factor(z, model.bands)
    scale = factor**-0.5
    return IrMad(
        model.mean_x,
        model.mean_y,
        model.a * scale,
        model.b * scale,
        model.rho,
        model.iterations,
        model.converged,
        factor,
    )
