import numpy as np
import pytest

from src.errors import InputError
from src.geo.change.persistence import (
    CONFIRMED,
    NOT_SEEN,
    REFUTED,
    UNDECIDED,
    confirmations,
    first_seen,
    persistence,
)

NAN = np.nan


def test_later_date_decides():
    """Columns: stays new, back to old, unlike both, near both but nearer the new, nearer the old, not seen."""
    from_first = np.array([[5.0, 0.3, 4.0, 0.9, 0.2, NAN]])
    from_second = np.array([[0.4, 4.0, 3.0, 0.3, 0.8, 0.1]])
    expected = [CONFIRMED, REFUTED, UNDECIDED, CONFIRMED, REFUTED, NOT_SEEN]
    assert persistence(from_first, from_second).tolist() == [expected]


def test_confirmations_count_and_one_refusal_wins():
    codes = [
        np.array([[CONFIRMED, CONFIRMED, NOT_SEEN]], np.uint8),
        np.array([[CONFIRMED, REFUTED, NOT_SEEN]], np.uint8),
    ]
    assert confirmations(codes).tolist() == [[2, -1, 0]]


def test_first_seen_is_the_interval_of_the_last_lasting_change():
    """Rows: from date 2 on; never; cloud between; for a while; and back, then again; from the first seen date on."""
    scores = np.array(
        [
            [0, 0, 2, 2],
            [0, 0, 0, 0],
            [0, NAN, 2, 2],
            [0, 2, 0, 0],
            [0, 2, 0, 3],
            [NAN, 3, 3, 3],
        ],
        float,
    ).T[:, :, None]
    last, first = first_seen(scores, ["2021-01-01", "2022-01-01", "2023-01-01", "2024-01-01"])
    assert last[:, 0].tolist() == [1, -1, 0, -1, 2, -1]
    assert first[:, 0].tolist() == [2, -1, 2, -1, 3, 1]


def test_dates_must_rise():
    with pytest.raises(InputError, match="rising"):
        first_seen(np.zeros((2, 1, 1)), ["2022-01-01", "2021-01-01"])
