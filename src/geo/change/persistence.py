"""Series of three and more dates: does a change stay, and between which dates did it begin?

A change between t1 and t2 is confirmed by a later date t3 where t3 looks like
t2 and unlike t1; it is refuted where t3 looks like t1 again (a cloud edge, a
crop stage, a flood). Both distances come from ``change_pixels`` of the pairs
(t1, t3) and (t2, t3), so in units of each pair's own threshold. With none but
two dates a find stays a clue of grade C (facts of confidence ladders: GFW
integrated alerts, https://www.globalforestwatch.org).
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from src.errors import InputError

NOT_SEEN, CONFIRMED, REFUTED, UNDECIDED = 0, 1, 2, 3


def persistence(from_first: np.ndarray, from_second: np.ndarray) -> NDArray[np.uint8]:
    """What a later date says about a change between two earlier ones.

    Args:
        from_first: (h, w) score of (t1, t3); NaN where not seen.
        from_second: (h, w) score of (t2, t3).

    Returns:
        (h, w) uint8: NOT_SEEN; CONFIRMED, t3 is like t2 and unlike t1; REFUTED, t3 is like t1;
        UNDECIDED, t3 is unlike both (it went on changing).
    """
    seen = np.isfinite(from_first) & np.isfinite(from_second)
    with np.errstate(invalid="ignore"):
        like_first, like_second = from_first <= 1.0, from_second <= 1.0
        # Where both are within their thresholds, the nearer one decides.
        back = like_first & (~like_second | (from_first < from_second))
        stays = like_second & ~back
    codes = np.select([~seen, stays, back], [NOT_SEEN, CONFIRMED, REFUTED], UNDECIDED)
    return codes.astype(np.uint8)


def confirmations(codes: Sequence[NDArray[np.uint8]]) -> NDArray[np.int16]:
    """Later dates that confirm a change, (h, w); -1 where any of them refutes it.

    Args:
        codes: one array of ``persistence`` per later date, at least one.
    """
    stack = np.stack(codes)
    count = (stack == CONFIRMED).sum(axis=0)
    return np.where((stack == REFUTED).any(axis=0), -1, count).astype(np.int16)


def first_seen(scores: np.ndarray, dates: Sequence[str]) -> tuple[NDArray[np.int16], NDArray[np.int16]]:
    """Interval in which each pixel's change began.

    Args:
        scores: (n, h, w) score of each date against the first, changed beyond 1, NaN where not seen; scores[0] is
            the first date itself, 0 where seen.
        dates: n ISO dates, rising.

    Returns:
        Two (h, w) int16 arrays of indices into ``dates``: the last clear date that was unchanged, and the first
        that shows the change and is followed by no clear unchanged one. -1 in both where the last clear date shows
        no change, and in the first where no unchanged date was seen.

    Raises:
        InputError: dates that do not rise, or not one per score.
    """
    if list(dates) != sorted(set(dates)) or len(dates) != len(scores):
        raise InputError(f"first_seen of {len(scores)} scores for the dates {', '.join(dates)}: one each, rising")
    last_same = np.full(scores.shape[1:], -1, np.int16)
    first_new = np.full(scores.shape[1:], -1, np.int16)
    for index, score in enumerate(scores):
        with np.errstate(invalid="ignore"):
            same, new = score <= 1.0, score > 1.0
        last_same[same] = index
        first_new[same] = -1
        first_new[new & (first_new < 0)] = index
    last_same[first_new < 0] = -1
    return last_same, first_new
