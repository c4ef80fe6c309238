"""How far two graders of the same answers agree, with intervals that resample whole dialogues."""

import math
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from scipy.stats import ConstantInputWarning, spearmanr

from evaluation.scores.bootstrap import estimate
from evaluation.scores.judge import figure

_RESAMPLES = 500


def clustered(
    statistic: Callable[[np.ndarray], float | None], clusters: Sequence[str], seed: int, resamples: int = _RESAMPLES
) -> dict[str, Any]:
    """A statistic that is no mean, with its 95 % interval; whole dialogues are resampled.

    Args:
        statistic: of the rows at some places, (M,) int; nan or None where undefined.
        clusters: the dialogue of every row.
        seed: of the resampling.
        resamples: how many.
    """
    names, order = np.unique(np.asarray(clusters), return_inverse=True)
    rows = [np.flatnonzero(order == number) for number in range(len(names))]
    rng = np.random.default_rng(seed)
    draws: list[float | None] = []
    if len(names) > 1:
        chosen = (rng.integers(0, len(names), len(names)) for _ in range(resamples))
        draws = [statistic(np.concatenate([rows[number] for number in numbers])) for numbers in chosen]
    value = statistic(np.arange(len(order)))
    known = np.array([math.nan if draw is None else draw for draw in draws])
    return estimate(math.nan if value is None else value, known)


def spearman(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Rank correlation; None where one side is constant.

    Example:
        >>> spearman([1, 2, 3, 4], [2, 4, 6, 8])
        1.0
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConstantInputWarning)
        value = float(spearmanr(first, second).statistic) if len(first) > 1 else math.nan
    return None if math.isnan(value) else round(value, 6)


def kappa(first: Sequence[float] | np.ndarray, second: Sequence[float] | np.ndarray) -> float | None:
    """Quadratically weighted kappa of scores rounded half up; None where neither side varies.

    With squared weights it is 1 - E(a - b)^2 / (var a + var b + (E a - E b)^2): disagreement over disagreement by
    chance (Fleiss and Cohen, Educ. Psychol. Meas. 33, 1973, doi:10.1177/001316447303300309). A test compares it with
    scikit-learn's, which takes a hundred times as long per resample.
    """
    a, b = (np.floor(np.asarray(scores, dtype=float) + 0.5) for scores in (first, second))
    by_chance = a.var() + b.var() + (a.mean() - b.mean()) ** 2
    return float(1 - np.mean((a - b) ** 2) / by_chance) if by_chance else None


def agreement(first: Sequence[float], second: Sequence[float], clusters: Sequence[str], seed: int) -> dict[str, Any]:
    """How far two graders of the same answers agree."""
    a, b = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
    return {
        "n": len(a),
        "kappa": clustered(lambda rows: kappa(a[rows], b[rows]), clusters, seed),
        "spearman": clustered(lambda rows: spearman(a[rows], b[rows]), clusters, seed),
        "mean_difference": figure(a - b, clusters, seed) if len(a) else None,
        "mean_absolute_difference": figure(np.abs(a - b), clusters, seed) if len(a) else None,
    }
