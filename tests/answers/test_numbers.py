"""Numbers: each value is what a reader of the text would say."""

import doctest

import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.answers import numbers
from src.answers.numbers import find_numbers, format_number, format_percent, normalise, number_value


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("12", [12]),
        ("1,230.5", [1230.5]),
        ("1e3", [1000]),
        ("１２", [12]),
        ("-4.5", [-4.5]),
        ("变化为-4.5", [-4.5]),
        ("负4.5", [-4.5]),
        ("minus three", [-3]),
        ("+4", [4]),
        ("twelve", [12]),
        ("twenty-one", [21]),
        ("one hundred and twenty-three", [123]),
        ("two thousand five hundred", [2500]),
        ("two hundred thousand", [200_000]),
        ("a dozen", [12]),
        ("3.2 million", [3_200_000]),
        ("十二", [12]),
        ("十五处", [15]),
        ("一百零五", [105]),
        ("一百五", [150]),
        ("两万三千", [23_000]),
        ("三万五", [35_000]),
        ("3万5千", [35_000]),
        ("18.8万", [188_000]),
        ("1亿2千万", [120_000_000]),
        ("三点五", [3.5]),
        ("二〇二四", [2024]),
        ("three or four", [3, 4]),
        ("3、4", [3, 4]),
        ("3,5", [3, 5]),
    ],
)
def test_reads(text: str, expected: list[float]) -> None:
    assert find_numbers(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "统一规划",
        "四川",
        "一些",
        "第三期",
        "几十",
        "上百",
        "3rd",
        "sentinel-2",
        "b04",
        "no one",
        "anyone",
        "五六个",
        "two three",
    ],
)
def test_words_and_names_are_no_numbers(text: str) -> None:
    assert find_numbers(text) == []


def test_normalise() -> None:
    assert normalise(" 800㎡。") == "800m2"
    assert normalise("“6５％”！") == "65%"
    assert normalise("Yes.") == "yes"
    assert normalise("-5%") == "-5%"  # the sign, the point and % stay: 3.7 is not 37


@given(st.integers(0, 10**9))
def test_thousands_separators_do_not_change_a_number(value: int) -> None:
    assert find_numbers(f"{value:,}") == find_numbers(str(value)) == [value]


def _in_chinese(value: int) -> str:
    """Write 0..9999 as a Chinese reader does, built digit by digit."""
    if value == 0:
        return "零"
    text, pending_zero = "", False
    for power, scale in ((1000, "千"), (100, "百"), (10, "十"), (1, "")):
        digit = value // power % 10
        if digit:
            text += ("零" if pending_zero and text else "") + "零一二三四五六七八九"[digit] + scale
        pending_zero = bool(text) and not digit
    return text


@given(st.integers(0, 9999))
def test_chinese_numerals(value: int) -> None:
    assert find_numbers(_in_chinese(value)) == [value]
    if value % 10:
        assert number_value(f"{_in_chinese(value)}万") == value * 10_000


_ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
).split()
_TENS = "- - twenty thirty forty fifty sixty seventy eighty ninety".split()


def _in_english(value: int) -> str:
    if value < 20:
        return _ONES[value]
    if value < 100:
        return _TENS[value // 10] + (f"-{_ONES[value % 10]}" if value % 10 else "")
    rest = f" and {_in_english(value % 100)}" if value % 100 else ""
    return f"{_ONES[value // 100]} hundred{rest}"


@given(st.integers(0, 999), st.sampled_from([("", 1), (" thousand", 1_000), (" million", 1_000_000)]))
def test_english_words(value: int, scale: tuple[str, int]) -> None:
    word, factor = scale
    if value:
        assert find_numbers(_in_english(value) + word) == [value * factor]
    else:
        assert find_numbers("zero") == [0]


@given(st.floats(-1e6, 1e6), st.integers(0, 6))
def test_format_then_parse(value: float, decimals: int) -> None:
    (parsed,) = find_numbers(format_number(value, decimals))
    assert abs(parsed - value) <= 0.5 * 10**-decimals + 1e-9


@given(st.text(max_size=60))
def test_any_text_is_read_without_an_error(text: str) -> None:
    find_numbers(text)


def test_format() -> None:
    assert format_number(12.50, 2) == "12.5"
    assert format_number(1200.0, 0) == "1200"
    assert format_number(-0.001, 2) == "0"
    assert format_percent(0.655) == "65.5%"
    assert format_percent(0.4) == "40%"


def test_docstring_examples() -> None:
    result = doctest.testmod(numbers)
    assert result.attempted == 1 and result.failed == 0
