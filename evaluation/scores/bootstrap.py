"""Intervals of means and ratios over answers that share a picture or a dialogue.

Answers about one picture are no independent draws, so whole clusters are
resampled: the cluster bootstrap (C. A. Field and A. H. Welsh, Bootstrapping
clustered data, J. R. Stat. Soc. B 69, 2007, doi:10.1111/j.1467-9868.2007.00593.x)
with percentile limits. One cluster says nothing about spread: no interval then.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

RESAMPLES = 2000


def resampled(
    columns: np.ndarray, clusters: Sequence[str] | np.ndarray, seed: int = 0, resamples: int = RESAMPLES
) -> np.ndarray:
    """Column sums of resampled clusters.

    Args:
        columns: (N, K) float, one row an answer; K sums that the caller turns into figures.
        clusters: (N,) the picture or dialogue of every row.
        seed: of the resampling.
        resamples: R.

    Returns:
        (R, K) float64; (0, K) where there are fewer than two clusters.
    """
    order = np.unique(np.asarray(clusters), return_inverse=True)[1]
    count = int(order.max()) + 1 if len(order) else 0
    if count < 2:
        return np.empty((0, columns.shape[1]))
    sums = np.stack([np.bincount(order, column, minlength=count) for column in columns.T], axis=1)
    rng = np.random.default_rng(seed)
    draws = (np.bincount(rng.integers(0, count, count), minlength=count) for _ in range(resamples))
    return np.stack([draw @ sums for draw in draws])


def ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """Element by element; nan where the denominator is 0."""
    top, bottom = np.broadcast_arrays(np.asarray(numerator, dtype=float), np.asarray(denominator, dtype=float))
    return np.divide(top, bottom, out=np.full(top.shape, np.nan), where=bottom != 0)


def estimate(value: float, draws: np.ndarray) -> dict[str, Any]:
    """A figure with its 95 % percentile interval; None for what cannot be said.

    Args:
        value: the figure itself, nan where undefined.
        draws: (R,) the same figure of every resample; undefined ones (nan) are left out.
    """
    said = draws[np.isfinite(draws)]
    limits = [round(float(q), 4) for q in np.quantile(said, (0.025, 0.975))] if len(said) else None
    return {"value": round(float(value), 4) if np.isfinite(value) else None, "ci95": limits}
