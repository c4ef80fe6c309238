import numpy as np
import pytest
from scipy import ndimage, stats

from src.errors import InputError
from src.geo.cover.validation import (
    BlockedScores,
    block_side_px,
    blocked_folds,
    compare,
    majority_classify,
    paired_difference,
    spatial_groups,
)


def test_blocks_are_squares_of_land():
    rows, cols = np.array([0, 19, 20, 0, 45], np.int32), np.array([0, 19, 0, 20, 45], np.int32)
    found = spatial_groups(rows, cols, 20)
    assert found[0] == found[1] and len(set(found.tolist())) == 4


@pytest.mark.parametrize(("smooth", "low", "high"), [(0.0, 20, 20), (12.0, 18, 40)])
def test_block_side_follows_the_autocorrelation(smooth, low, high):
    """Noise smoothed with sigma s correlates as exp(-lag^2 / 4 s^2): 1/e at lag 2 s."""
    noise = np.random.default_rng(1).standard_normal((256, 256)).astype(np.float32)
    values = ndimage.gaussian_filter(noise, smooth) if smooth else noise
    assert low <= block_side_px(values) <= high


def test_block_side_leaves_enough_blocks():
    ramp = np.add.outer(np.arange(100.0), np.arange(100.0)).astype(np.float32)
    assert block_side_px(ramp) == 25


def test_folds_hold_every_pixel_once_and_never_split_a_group():
    rng = np.random.default_rng(0)
    groups, classes = rng.integers(0, 30, 600), rng.integers(1, 4, 600).astype(np.uint8)
    folds = blocked_folds(classes, groups, 5, seed=3)
    held = np.concatenate([test for _, test in folds])
    assert len(folds) == 5 and np.array_equal(np.sort(held), np.arange(600))
    for train, test in folds:
        assert not set(groups[train]) & set(groups[test])
    again, other = blocked_folds(classes, groups, 5, seed=3), blocked_folds(classes, groups, 5, seed=4)
    assert np.array_equal(folds[0][1], again[0][1]) and not np.array_equal(folds[0][1], other[0][1])


def test_too_few_blocks_are_refused():
    with pytest.raises(InputError, match="2 blocks of labelled land cannot make 5 folds"):
        blocked_folds(np.array([1, 2], np.uint8), np.array([0, 1]), 5, seed=0)


def test_compare_weights_pixels_and_fills_the_matrix():
    """One competitor is always right, the floor always says the heavier class 2."""
    classes = np.array([1, 2] * 10, np.uint8)
    weights = np.where(classes == 2, 3.0, 1.0)
    competitors = {
        "right": lambda train, held: classes[held],
        "majority": majority_classify(classes, weights),
    }
    scores, held = compare(competitors, classes, np.repeat(np.arange(10), 2), weights, repeats=3, folds=5, seed=0)
    assert scores["right"].classes == (1, 2)
    np.testing.assert_allclose(scores["right"].confusion, [[10, 0], [0, 30]])
    np.testing.assert_allclose(scores["majority"].confusion, [[0, 0], [10, 30]])
    assert scores["majority"].measures.overall == pytest.approx(0.75)
    assert scores["majority"].mean_f1 == pytest.approx((0 + 6 / 7) / 2)
    np.testing.assert_allclose(held.sum(1), 40)
    np.testing.assert_allclose(scores["majority"].by_repeat, 0.75)


def scored(accuracy):
    accuracy = np.array(accuracy)
    return BlockedScores((1, 2), np.eye(2), accuracy, accuracy.mean(1))


def test_paired_interval_by_hand():
    """Two repeats of two folds; differences 0.1, 0.3, 0.2, 0.2: variance 0.02/3, factor 1/4 + 1."""
    ours, other = scored([[0.9, 0.9], [0.8, 0.8]]), scored([[0.8, 0.6], [0.6, 0.6]])
    found = paired_difference(ours, other, np.ones((2, 2)))
    reach = stats.t.ppf(0.975, 3) * np.sqrt((1 / 4 + 1) * 0.02 / 3)
    assert found.mean == pytest.approx(0.2)
    assert (found.low, found.high) == (pytest.approx(0.2 - reach), pytest.approx(0.2 + reach))
    assert found.verdict == "no difference seen"


def test_folds_count_by_what_they_hold_out_and_empty_ones_do_not():
    ours, other = scored([[0.9, 0.5, np.nan]]), scored([[0.8, 0.6, np.nan]])
    found = paired_difference(ours, other, np.array([[30.0, 10.0, 0.0]]))
    assert found.mean == pytest.approx(0.75 * 0.1 - 0.25 * 0.1)


def test_verdicts():
    better = paired_difference(scored([[0.9, 0.91]] * 5), scored([[0.5, 0.5]] * 5), np.ones((5, 2)))
    worse = paired_difference(scored([[0.5, 0.5]] * 5), scored([[0.9, 0.91]] * 5), np.ones((5, 2)))
    assert (better.verdict, worse.verdict) == ("better", "worse")
    with pytest.raises(InputError, match="at least two folds"):
        paired_difference(scored([[0.5]]), scored([[0.5]]), np.ones((1, 1)))
