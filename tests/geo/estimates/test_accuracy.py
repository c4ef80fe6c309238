import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score, f1_score

from src.errors import InputError
from src.geo.caveats import CannotTell
from src.geo.estimates.accuracy import (
    SampleCounts,
    confusion_matrix,
    estimate_areas,
    from_matrix,
    matrix_measures,
    sample_size,
    tally,
)

# Olofsson et al. (2014), table 8: deforestation, forest gain, stable forest, stable non-forest; pixels of 30 m.
MATRIX = [[66, 0, 5, 4], [0, 55, 8, 12], [1, 0, 153, 11], [2, 1, 9, 313]]
MAPPED_M2 = np.array([200_000, 150_000, 3_200_000, 6_450_000]) * 900.0
TABLE = {
    "mapped_ha": (18000.0, 13500.0, 288000.0, 580500.0),
    "area_ha": (21157.7622, 11686.1538, 285769.9301, 581386.1538),
    "share_error": (0.003491, 0.002129, 0.008792, 0.009230),
    "margin_ha": (6157.6344, 3755.8260, 15509.8363, 16281.6564),
    "users": (0.8800, 0.7333, 0.9273, 0.9631),
    "users_margin": (0.0740, 0.1008, 0.0397, 0.0205),
    "producers": (0.7487, 0.8472, 0.9345, 0.9616),
    "producers_margin": (0.2133, 0.2544, 0.0343, 0.0184),
    "f1": (0.8090, 0.7861, 0.9309, 0.9623),
}


@pytest.fixture(scope="module")
def olofsson():
    return estimate_areas(from_matrix(MATRIX, MAPPED_M2))


@pytest.mark.parametrize("row", list(TABLE))
def test_every_row_of_the_olofsson_table_to_four_digits(olofsson, row):
    computed = {
        "mapped_ha": lambda c: c.mapped_m2 / 1e4,
        "area_ha": lambda c: c.area_m2 / 1e4,
        "share_error": lambda c: c.standard_error_m2 / olofsson.total_m2,
        "margin_ha": lambda c: c.margin_m2 / 1e4,
    }
    values = [computed[row](c) if row in computed else getattr(c, row) for c in olofsson.classes]
    digits = 6 if row == "share_error" else 4
    assert values == pytest.approx(TABLE[row], abs=0.51 * 10**-digits)


def test_the_rest_of_the_olofsson_example(olofsson):
    assert (olofsson.overall, olofsson.overall_margin) == pytest.approx((0.946512, 0.018484), abs=6e-7)
    assert olofsson.kappa == pytest.approx(0.888814, abs=6e-7)
    assert (olofsson.raw.overall, olofsson.raw.kappa) == pytest.approx((0.917188, 0.869964), abs=6e-7)
    assert sample_size([0.02, 0.015, 0.32, 0.645], [0.7, 0.6, 0.9, 0.95], 0.01) == pytest.approx(640.5, abs=0.05)


def test_intervals_hold_the_estimate_and_say_where_the_class_is_rare(olofsson):
    for row in olofsson.classes:
        assert row.low_m2 < row.area_m2 < row.high_m2
    assert [row.caveats for row in olofsson.classes] == [(), ("RARE_CLASS",), (), ()]
    # Common classes: close to the plain interval. Deforestation: omissions unseen may lie in the large strata.
    forest, loss = olofsson.of(3), olofsson.of(1)
    assert forest.high_m2 - forest.low_m2 == pytest.approx(2 * forest.margin_m2, rel=0.05)
    assert loss.high_m2 - loss.area_m2 > 1.5 * loss.margin_m2


def test_areas_sum_to_the_whole(olofsson):
    assert sum(row.area_m2 for row in olofsson.classes) == pytest.approx(9e9)
    with pytest.raises(InputError, match="class 9"):
        olofsson.of(9)


def test_matrix_measures_equal_those_of_scikit_learn():
    rng = np.random.default_rng(5)
    truth = rng.integers(1, 5, 500)
    mapped = np.where(rng.random(500) < 0.7, truth, rng.integers(1, 5, 500))
    measures = matrix_measures(confusion_matrix(mapped, truth, (1, 2, 3, 4)))
    assert measures.kappa == pytest.approx(cohen_kappa_score(truth, mapped))
    assert measures.f1 == pytest.approx(f1_score(truth, mapped, average=None))
    assert measures.overall == pytest.approx((truth == mapped).mean())


def test_confusion_matrix_by_hand():
    matrix = confusion_matrix([[1, 1], [6, 6]], [[1, 6], [6, 6]], (6, 1))
    assert matrix.tolist() == [[2, 0], [1, 1]]
    with pytest.raises(InputError, match=r"codes \[0\]"):
        confusion_matrix([0, 1], [1, 1], (1, 6))
    with pytest.raises(InputError, match="as many"):
        confusion_matrix([1], [1, 1], (1,))


def test_measures_that_are_not_defined_are_none():
    measures = matrix_measures(np.array([[5, 0], [0, 0]]))
    assert measures.users == (1.0, None)
    assert measures.producers == (1.0, None)
    assert measures.f1 == (1.0, None)
    assert measures.kappa is None
    assert matrix_measures(np.array([[0, 2], [2, 0]])).f1 == (0.0, 0.0)
    for bad in ([[1.0, float("nan")], [0.0, 1.0]], [[0, 0], [0, 0]], [[1, 2, 3]]):
        with pytest.raises(InputError, match="error matrix"):
            matrix_measures(np.array(bad))


def test_a_class_of_the_reference_that_the_map_lacks():
    """Its row has no area and no samples; its area comes from the other rows' errors."""
    estimate = estimate_areas(from_matrix([[45, 5], [0, 0]], [1e6, 0.0]))
    missing = estimate.of(2)
    assert (missing.mapped_m2, missing.area_m2) == (0.0, pytest.approx(1e5))
    assert (missing.users, missing.users_margin, missing.producers) == (None, None, 0.0)
    # By hand: 1.96 * sqrt(0.1 * 0.9 / 49) of 1e6 m2.
    assert missing.margin_m2 == pytest.approx(1.96 * np.sqrt(0.09 / 49) * 1e6)
    same = tally([1] * 50, [1] * 50, [1] * 45 + [2] * 5, {1: 1e6}, {1: 1e6})
    assert estimate_areas(same).of(2) == missing


def test_missing_is_not_a_class():
    sample = tally(
        [1, 1, 1, 2, 2, 2], [1, 1, 1, 2, 2, 2], [1, 1, None, 2, 2, None], {1: 10.0, 2: 30.0}, {1: 10.0, 2: 30.0}
    )
    assert sample.missing == 2
    assert sample.counts.sum() == 4
    assert estimate_areas(sample).missing == 2
    with pytest.raises(InputError, match="missing cell is not 0"):
        from_matrix([[1, np.nan], [0, 2]], [1.0, 1.0])


def test_one_pixel_gives_no_interval():
    with pytest.raises(CannotTell, match=r"stratum 2 \(75.0% of the ground\) has 1 interpreted") as caught:
        estimate_areas(from_matrix([[9, 1], [0, 1]], [1.0, 3.0]))
    assert caught.value.code == "UNCALIBRATED_AREA"


def test_counts_that_do_not_fit_are_refused():
    with pytest.raises(InputError, match="covers no ground but has 3 samples"):
        estimate_areas(from_matrix([[9, 1], [0, 3]], [1.0, 0.0]))
    with pytest.raises(InputError, match="no stratum covers"):
        estimate_areas(from_matrix([[0]], [0.0]))
    with pytest.raises(InputError, match="2 mapped areas"):
        from_matrix([[1, 2, 3]], [1.0, 2.0])
    with pytest.raises(InputError, match="codes"):
        tally([1, 3], [1, 1], [1, 1], {1: 1.0}, {1: 1.0})
    with pytest.raises(InputError, match="codes"):
        tally([1, 1], [1, 2], [1, 2], {1: 1.0}, {1: 1.0})
    with pytest.raises(InputError, match="as many"):
        tally([1], [1, 1], [1, 1], {1: 1.0}, {1: 1.0})
    with pytest.raises(InputError, match="do not fit"):
        SampleCounts((1,), (1,), np.zeros((1, 2, 2), np.int64), np.ones(1), np.ones(1))
    with pytest.raises(InputError, match="positive standard error"):
        sample_size([1.0], [0.5], 0.0)


def test_strata_that_are_not_the_map_classes_by_hand():
    """Stehman (2014): the map's change lies in two strata; 2 of 4 and 1 of 4 pixels of reference class 2."""
    strata = [1] * 4 + [2] * 4
    mapped = [2, 2, 1, 1, 2, 1, 1, 1]
    reference = [2, 1, 2, 1, 2, 1, 1, 1]
    estimate = estimate_areas(tally(strata, mapped, reference, {1: 40.0, 2: 60.0}, {1: 70.0, 2: 30.0}))
    change = estimate.of(2)
    assert change.area_m2 == pytest.approx(100 * (0.4 * 0.5 + 0.6 * 0.25))
    assert change.standard_error_m2 == pytest.approx(100 * np.sqrt(0.16 * 0.25 / 3 + 0.36 * 0.1875 / 3))
    # Mapped and right: 1 of 4 in both strata; mapped: 2 of 4 and 1 of 4.
    assert change.users == pytest.approx((0.4 * 0.25 + 0.6 * 0.25) / (0.4 * 0.5 + 0.6 * 0.25))
    assert estimate.overall == pytest.approx(0.4 * 0.5 + 0.6 * 1.0)
    # Variance of y - R x within strata, by numpy: rows of (y, x) as above.
    ratio, bottom, parts = change.users, 0.35, []
    for weight, y, x in ((0.4, [1, 0, 0, 0], [1, 1, 0, 0]), (0.6, [1, 0, 0, 0], [1, 0, 0, 0])):
        parts.append(weight**2 * np.var(np.array(y) - ratio * np.array(x), ddof=1) / 4)
    assert change.users_margin == pytest.approx(1.96 * np.sqrt(sum(parts)) / bottom)
