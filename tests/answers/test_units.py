"""Quantities: dimension, SI value, ranges, bounds, and what is no measurement."""

import doctest
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.answers import units
from src.answers.units import AREA_UNIT_NAMES, convert, find_quantities, format_area, prepare, unit_of
from src.constants import AREA_UNITS_M2
from src.errors import InputError

POSITIVE = st.floats(1e-3, 1e7)


def read(text: str) -> list[tuple[float, str | None]]:
    return [(quantity.value, quantity.dimension) for quantity in find_quantities(prepare(text))]


def ends(text: str) -> list[tuple[float, float]]:
    return [(quantity.low, quantity.high) for quantity in find_quantities(prepare(text))]


@pytest.mark.parametrize(
    ("text", "value", "dimension"),
    [
        ("2 km2", 2e6, "area"),
        ("2 km²", 2e6, "area"),
        ("2 km^2", 2e6, "area"),
        ("2 sq. km", 2e6, "area"),
        ("2 square kilometres", 2e6, "area"),
        ("2平方公里", 2e6, "area"),
        ("2平方千米", 2e6, "area"),
        ("1.5 hectares", 15_000, "area"),
        ("1.5-hectare", 15_000, "area"),
        ("1.5公顷", 15_000, "area"),
        ("3公亩", 300, "area"),
        ("7.5亩", 5_000, "area"),
        ("18万亩", 120e6, "area"),
        ("7.5 mu", 5_000, "area"),
        ("1 acre", 4046.8564224, "area"),
        ("800㎡", 800, "area"),
        ("800平米", 800, "area"),
        ("1.2 million m2", 1.2e6, "area"),
        ("3千平方米", 3_000, "area"),
        ("3千米", 3_000, "length"),
        ("三千米", 3_000, "length"),
        ("5 km", 5_000, "length"),
        ("5m", 5, "length"),
        ("5厘米", 0.05, "length"),
        ("5 mm", 0.005, "length"),
        ("65%", 0.65, "ratio"),
        ("65 per cent", 0.65, "ratio"),
        ("3.7个百分点", 0.037, "ratio"),
        ("百分之六十五", 0.65, "ratio"),
        ("百分之65", 0.65, "ratio"),
        ("四分之一", 0.25, "ratio"),
        ("六成", 0.6, "ratio"),
        ("六成五", 0.65, "ratio"),
        ("负百分之五", -0.05, "ratio"),
        ("25℃", 25, "temperature"),
        ("3年", 3, "time"),
        ("2倍", 2, "multiple"),
        ("12处", 12, None),
        ("about 2.5±0.1 km2", 2.5e6, "area"),
        ("2.5 (±0.1) km2", 2.5e6, "area"),
        ("一半", 0.5, "ratio"),
        ("half of it", 0.5, "ratio"),
    ],
)
def test_one_quantity(text: str, value: float, dimension: str | None) -> None:
    ((found, found_dimension),) = read(text)
    assert found == pytest.approx(value, rel=1e-9)
    assert found_dimension == dimension


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("60%到70%", 0.6, 0.7),
        ("60-70%", 0.6, 0.7),
        ("0 to 10%", 0.0, 0.1),
        ("between 0m2 and 10m2", 0, 10),
        ("介于3公顷和4公顷之间", 30_000, 40_000),
        ("3-4万亩", 2e7, 4e7 / 1.5),
        ("0_to_10", 0, 10),
        ("more than 1000m2", 1000, math.inf),
        ("至少3处", 3, math.inf),
        ("三十多个", 30, math.inf),
        ("12个以上", 12, math.inf),
        ("no more than 3", -math.inf, 3),
        ("不到3公顷", -math.inf, 30_000),
    ],
)
def test_ranges_and_bounds(text: str, low: float, high: float) -> None:
    assert ends(text) == [(pytest.approx(low), pytest.approx(high))]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2024年9月25日增加3公顷", [30_000]),
        ("2023、2024年增加3公顷", [30_000]),
        ("2024-09-25: 3 ha", [30_000]),
        ("from 2023 to 2024 it grew by 3 ha", [30_000]),
        ("September 25, 2024: 3 ha", [30_000]),
        ("image 2 shows 3 ha", [30_000]),
        ("in 2000 m2", [2000]),
        ("between 1950 m2 and 2000 m2", [1975]),
        ("2012 buildings", [2012]),
        ("from 3 ha to 5 ha", [30_000, 50_000]),
        ("3 ha to 5 m", [30_000, 5]),
        ("3, 4 or 5 ha", [30_000, 40_000, 50_000]),
        ("共3处，5公顷", [3, 50_000]),
        ("1/3", [1, 3]),
    ],
)
def test_dates_lists_and_states(text: str, expected: list[float]) -> None:
    assert sorted(value for value, _ in read(text)) == sorted(map(pytest.approx, expected), key=lambda a: a.expected)


def test_mu_and_hectare_convert_by_one_fifteenth() -> None:
    assert convert(7.5, "亩", "公顷") == pytest.approx(0.5, rel=1e-12)
    assert convert(1, "km²", "亩") == pytest.approx(1500, rel=1e-12)
    assert convert(1, "km", "m") == 1000


@given(POSITIVE, st.sampled_from(sorted(AREA_UNITS_M2)), st.sampled_from(sorted(AREA_UNITS_M2)))
def test_conversion_is_undone_by_its_inverse(value: float, source: str, target: str) -> None:
    assert convert(convert(value, source, target), target, source) == pytest.approx(value, rel=1e-12)


@given(POSITIVE, st.sampled_from(sorted(AREA_UNITS_M2)), st.sampled_from(["zh", "en"]))
def test_formatted_area_reads_back(value_m2: float, unit: str, lang: str) -> None:
    ((value, dimension),) = read(format_area(value_m2, unit, lang))
    half_a_unit_of_the_last_decimal = AREA_UNITS_M2[unit] * {"m2": 0.5, "mu": 0.005, "ha": 0.005, "km2": 0.00005}[unit]
    assert dimension == "area"
    assert abs(value - value_m2) <= half_a_unit_of_the_last_decimal * (1 + 1e-6) + 1e-6


@given(st.integers(1, 9999), st.sampled_from(["亩", "公顷", "平方公里", "m2", "km"]))
def test_万_multiplies_the_unit(value: int, unit: str) -> None:
    assert read(f"{value}万{unit}")[0][0] == pytest.approx(10_000 * read(f"{value}{unit}")[0][0])


@given(st.text(alphabet="0123456789.,-~%± 至到万亩公顷之分百三and between m2kha", max_size=40))
def test_any_text_is_read_without_an_error(text: str) -> None:
    for quantity in find_quantities(prepare(text)):
        assert quantity.low <= quantity.high


def test_format_area() -> None:
    assert format_area(5000, "mu", "zh") == "7.5亩"
    assert format_area(5000, "ha", "en") == "0.5 ha"
    assert format_area(125_300_000, "km2", "zh") == "125.3平方公里"
    assert format_area(1234.4, "m2", "en") == "1234 m2"
    assert set(AREA_UNIT_NAMES) == set(AREA_UNITS_M2)


def test_errors_name_the_value() -> None:
    with pytest.raises(InputError, match="'furlong'"):
        unit_of("furlong")
    with pytest.raises(InputError, match=r"亩 \(area\) to km \(length\)"):
        convert(1, "亩", "km")
    with pytest.raises(InputError, match="'acre'"):
        format_area(1, "acre", "en")
    with pytest.raises(InputError, match="'fr'"):
        format_area(1, "ha", "fr")


def test_docstring_examples() -> None:
    result = doctest.testmod(units)
    assert result.attempted == 1 and result.failed == 0
