import numpy as np
import pytest
from scipy.stats import binom, binomtest

from src.geo.estimates.intervals import binomial_limits, is_rare, weighted_interval


@pytest.mark.parametrize(("hits", "size"), [(0, 10), (1, 50), (7, 20), (50, 50), (3, 2000)])
def test_exact_limits_equal_those_of_scipy(hits, size):
    low, high = binomial_limits(hits, size, mid_p=False)
    exact = binomtest(hits, size).proportion_ci(0.95, method="exact")
    assert (float(low), float(high)) == pytest.approx((exact.low, exact.high), abs=1e-12)


@pytest.mark.parametrize(("hits", "size"), [(1, 50), (7, 20), (49, 50)])
def test_mid_p_limits_leave_half_of_the_observed_number_in_the_tail(hits, size):
    low, high = (float(limit) for limit in binomial_limits(hits, size, mid_p=True))
    assert binom.sf(hits, size, low) + 0.5 * binom.pmf(hits, size, low) == pytest.approx(0.025, rel=1e-9)
    assert binom.cdf(hits - 1, size, high) + 0.5 * binom.pmf(hits, size, high) == pytest.approx(0.025, rel=1e-9)


def test_mid_p_limits_at_the_ends():
    low, high = binomial_limits([0, 20], [20, 20], mid_p=True)
    # Half of (1 - p)^20 is 0.025.
    assert low.tolist() == pytest.approx([0.0, 0.05 ** (1 / 20)], abs=1e-12)
    assert high.tolist() == pytest.approx([1 - 0.05 ** (1 / 20), 1.0], abs=1e-12)


def test_one_stratum_has_its_binomial_limits():
    share, low, high = weighted_interval([[6], [1]], [50], [1.0])
    expected_common = binomial_limits(6, 50, mid_p=True)
    expected_rare = binomial_limits(1, 100, mid_p=False)
    assert (share[0], low[0], high[0]) == pytest.approx((0.12, *map(float, expected_common)))
    _, low, high = weighted_interval([1], [100], [1.0])
    assert (float(low), float(high)) == pytest.approx(tuple(map(float, expected_rare)))


def test_two_strata_by_hand():
    """Distances of the strata combine as the root of the sum of their squares."""
    (l1, l2), (u1, u2) = binomial_limits([40, 2], [50, 100], mid_p=True)
    share, low, high = weighted_interval([40, 2], [50, 100], [0.25, 0.75])
    assert float(share) == pytest.approx(0.25 * 0.8 + 0.75 * 0.02)
    assert float(low) == pytest.approx(0.215 - np.hypot(0.25 * (0.8 - l1), 0.75 * (0.02 - l2)))
    assert float(high) == pytest.approx(0.215 + np.hypot(0.25 * (u1 - 0.8), 0.75 * (u2 - 0.02)))


def test_a_class_and_all_the_rest_mirror_each_other():
    sizes, weights = [60, 300], [0.01, 0.99]
    share, low, high = weighted_interval([50, 1], sizes, weights)
    rest, rest_low, rest_high = weighted_interval([10, 299], sizes, weights)
    assert is_rare(share) and is_rare(rest)
    assert [rest, rest_low, rest_high] == pytest.approx([1 - share, 1 - high, 1 - low])


def test_nothing_found_still_has_an_upper_limit():
    share, low, high = weighted_interval([0, 0], [50, 500], [0.01, 0.99])
    assert share == low == 0.0
    # 3.69 / 500 of the large stratum: the exact limit of no hits.
    assert float(high) == pytest.approx(0.99 * (1 - 0.025 ** (1 / 500)), rel=0.01)


@pytest.mark.parametrize("omission", [0.05, 0.2, 0.5])
@pytest.mark.parametrize("share", [0.001, 0.005, 0.01, 0.03])
def test_coverage_enumerated(share, omission):
    """Exact coverage for one map, summed over all outcomes; the plain interval covers 8 to 93 % here."""
    commission, sizes = 0.2, (100, 500)
    weight = share * (1 - omission) / (1 - commission)
    rates = (1 - commission, share * omission / (1 - weight))
    first, second = np.meshgrid(np.arange(sizes[0] + 1), np.arange(40), indexing="ij")
    chance = binom.pmf(first, sizes[0], rates[0]) * binom.pmf(second, sizes[1], rates[1])
    _, low, high = weighted_interval(np.stack([first, second], -1), sizes, [weight, 1 - weight])
    assert chance.sum() == pytest.approx(1.0, abs=1e-6)
    assert chance[(low <= share) & (share <= high)].sum() >= 0.94
