"""95 % intervals for shares of ground from stratified samples, valid where the share is small.

The usual interval, estimate +- 1.96 standard errors, fails where a class is rare: most samples then hold none of
the pixels that the map omitted in its large stratum, the estimate comes out too small and its standard error with
it. ``evaluation.benchmarks.coverage`` measures both intervals.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import betainc

_Floats = NDArray[np.float64]
# Two-sided 95 %: the probability beyond each limit.
_TAIL = 0.025
# Below this share (or above 1 minus it) exact limits are used. With mid-P limits the coverage of single maps falls to
# 92.5 % at a share of 1 %; with this switch it stays above 94 % (enumerated over omission and commission of 2-60 %).
RARE_SHARE = 0.02
# Bisections of the unit interval: 2**-60 is below the spacing of float64 near any limit that matters.
_BISECTIONS = 60


def is_rare(share: ArrayLike) -> NDArray[np.bool_]:
    """Whether a class (or all the rest) covers so little ground that exact limits are used."""
    values = np.asarray(share)
    return np.minimum(values, 1.0 - values) < RARE_SHARE


def weighted_interval(hits: ArrayLike, sizes: ArrayLike, weights: ArrayLike) -> tuple[_Floats, _Floats, _Floats]:
    """Share of ground and its 95 % interval from a stratified sample, valid for rare classes too.

    Each stratum's share gets limits of its own, and these are combined by the method of variance estimates recovery
    (MOVER): Zou & Donner (2008), Construction of confidence limits about effect measures, Statistics in Medicine 27,
    1693-1702, https://doi.org/10.1002/sim.3095; for weighted sums Zou, Huang & Zhang (2009), A note on confidence
    interval estimation for a linear function of binomial proportions, https://doi.org/10.1016/j.csda.2008.09.033.
    Limits of a stratum: Clopper & Pearson (1934) where the class is rare, else mid-P, which is less cautious.

    Args:
        hits: (..., H) sampled pixels of the class in each stratum.
        sizes: (H,) sampled pixels, at least 1 each.
        weights: (H,) share of the ground, summing to 1.

    Returns:
        Estimate, lower and upper limit, each (...) in 0..1.
    """
    count, n, w = (np.asarray(values, dtype=np.float64) for values in (hits, sizes, weights))
    part = count / n
    share = (part * w).sum(-1)
    limits = [_combined(count, n, w, part, mid_p=mid_p) for mid_p in (False, True)]
    rare = is_rare(share)
    low = np.where(rare, share - limits[0][0], share - limits[1][0])
    high = np.where(rare, share + limits[0][1], share + limits[1][1])
    return share, np.clip(low, 0.0, 1.0), np.clip(high, 0.0, 1.0)


def binomial_limits(hits: ArrayLike, sizes: ArrayLike, *, mid_p: bool) -> tuple[_Floats, _Floats]:
    """95 % limits of a proportion, exact (Clopper-Pearson) or mid-P.

    Mid-P counts half the probability of the observed number: Berry & Armitage (1995), Mid-P confidence intervals: a
    brief review, The Statistician 44, 417-423, https://doi.org/10.2307/2348891.
    """
    x, n = np.broadcast_arrays(np.asarray(hits, dtype=np.float64), np.asarray(sizes, dtype=np.float64))
    pairs, inverse = np.unique(np.stack([x.ravel(), n.ravel()]), axis=1, return_inverse=True)
    low = _lower_limits(pairs[0], pairs[1], mid_p)
    # The upper limit of x hits is one minus the lower limit of n - x misses.
    high = 1.0 - _lower_limits(pairs[1] - pairs[0], pairs[1], mid_p)
    return low[inverse].reshape(x.shape), high[inverse].reshape(x.shape)


def _lower_limits(x: _Floats, n: _Floats, mid_p: bool) -> _Floats:
    """The proportion at which x hits or more (of mid-P, half of exactly x) have probability 0.025; 0 for no hits."""
    low, high = np.zeros_like(x), np.ones_like(x)
    some = np.maximum(x, 1.0)
    for _ in range(_BISECTIONS):
        middle = 0.5 * (low + high)
        beyond = betainc(some, n - some + 1.0, middle)
        if mid_p:
            beyond = 0.5 * (beyond + np.where(some < n, betainc(some + 1.0, np.maximum(n - some, 0.5), middle), 0.0))
        above = beyond > _TAIL
        low, high = np.where(above, low, middle), np.where(above, middle, high)
    return np.where(x > 0, low, 0.0)


def _combined(count: _Floats, n: _Floats, w: _Floats, part: _Floats, *, mid_p: bool) -> tuple[_Floats, _Floats]:
    """Distances from the estimate down to the lower and up to the upper limit, by MOVER."""
    low, high = binomial_limits(count, n, mid_p=mid_p)
    return np.sqrt(((w * (part - low)) ** 2).sum(-1)), np.sqrt(((w * (high - part)) ** 2).sum(-1))
