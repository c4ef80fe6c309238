"""Routing: every wording rule, the dataset types, and the questions that were once sent the wrong way."""

import doctest
import math

import pytest

from src.answers import kinds
from src.answers.kinds import DATASET_KINDS, KINDS, asked_dimension, asked_unit, parse_bucket, question_kind

YES_NO_WORDS = "is are was were do does did has have had can could will would should whether".split()
YES_NO_ZH = [
    "是否有水体",
    "有没有水体",
    "有无水体",
    "是不是水体",
    "能否看到水体",
    "可否复耕",
    "会不会淹没",
    "水体存不存在",
    "有水体吗？",
]


@pytest.mark.parametrize("word", YES_NO_WORDS)
def test_english_yes_no_words(word: str) -> None:
    """Once only ten first words counted: did, had, could, would, should and whether fell through."""
    assert question_kind(f"{word.capitalize()} the forest here?", "yes") == "yn"


@pytest.mark.parametrize("question", YES_NO_ZH)
def test_chinese_yes_no_words(question: str) -> None:
    """Once no Chinese question was yes/no."""
    assert question_kind(question, "是") == "yn"


@pytest.mark.parametrize(
    ("question", "reference", "expected"),
    [
        # "count" and 几 were searched anywhere: county, country, account, 几乎.
        ("Which county is this?", "Funing", "open"),
        ("Which country owns the account?", "China", "open"),
        ("几乎看不到的是什么？", "小路", "open"),
        # "m" and digits anywhere made a number question of most sentences.
        ("What is at the top of the image?", "a road", "open"),
        ("What does image 2 show?", "a road", "open"),
        ("What is the amount of roads?", "3", "count"),
        ("What is the amount of water areas in the image?", "3", "count"),
        ("What is the total of parcels?", "3", "count"),
        # 多少 alone sent Chinese areas and shares to the integer counter.
        ("耕地面积是多少？", "3公顷", "num"),
        ("耕地占比是多少？", "65%", "num"),
        ("耕地有多少公顷？", "3", "num"),
        ("耕地有多少万亩？", "3", "num"),
        ("下降了多少个百分点？", "3", "num"),
        ("有多少耕地？", "3公顷", "num"),
        ("总共是多少？", "3", "num"),
        ("有多少处？", "3处", "count"),
        ("有多少房屋？", "3", "count"),
        ("有几条路？", "三条", "count"),
        ("图斑数量是多少？", "3", "count"),
        ("水库有多大？", "3公顷", "num"),
        ("河有多长？", "3公里", "num"),
        # "how many" with a unit is a quantity.
        ("How many hectares were lost?", "3", "num"),
        ("How many square kilometers is it?", "3 km2", "num"),
        ("How many percent is forest?", "3", "num"),
        ("How many km is it?", "3", "num"),
        ("How many houses are there?", "3", "count"),
        ("How many houses are in this area?", "3", "count"),
        ("How far is it?", "3 km", "num"),
        ("How much of it is forest?", "40%", "num"),
        # choices
        ("Is it a rural or an urban area?", "rural", "choice"),
        ("Is it rural or urban?", "urban", "choice"),
        ("该区域是农村还是城市？", "城市", "choice"),
        ("Is there a road or a river?", "yes", "yn"),
        ("Compared with 2023, did the forest shrink?", "yes", "yn"),
        # a reference that cannot be read as the wording wants
        ("What happened to the area?", "it became a park", "open"),
        ("How many roads are there?", "too many to see", "open"),
        ("Describe the image.", "A river.", "open"),
    ],
)
def test_wording(question: str, reference: str, expected: str) -> None:
    assert question_kind(question, reference) == expected


@pytest.mark.parametrize(
    ("dataset_type", "reference", "expected"),
    [
        ("presence", "yes", "yn"),
        ("comp", "no", "yn"),
        ("rural_urban", "rural", "choice"),
        ("change_to_what", "NVG_surface", "choice"),
        ("largest_change", "sand pit", "choice"),
        ("count", "3", "count"),
        ("area", "1230m2", "num"),
        ("change_ratio", "0", "bucket"),
        ("change_ratio_types", "0", "bucket"),
        ("change_ratio", "0_to_10", "bucket"),
        ("change_ratio", "7%", "num"),
        ("Basic Judging", "Yes", "yn"),
        ("Reasoning-based Counting", "3", "count"),
        ("Comprehensive Analysis", "3", "open"),
        ("change", "yes", "yn"),
        ("change", "耕地", "choice"),
        ("count", "between 10 and 100", "bucket"),
        ("no_such_type", "text", "open"),
        ("", "text", "open"),
        (None, "text", "open"),
    ],
)
def test_dataset_types(dataset_type: str | None, reference: str, expected: str) -> None:
    assert question_kind("What is it?", reference, dataset_type) == expected


def test_tables_are_consistent() -> None:
    assert len(DATASET_KINDS) == 21
    assert {kind for kinds_of_type in DATASET_KINDS.values() for kind in kinds_of_type} == set(KINDS)
    assert {kind for kind, _ in kinds.QUESTION_RULES} <= set(KINDS)


@pytest.mark.parametrize(
    ("text", "low", "high", "dimension"),
    [
        ("between 10 and 100", 10, 100, None),
        ("between 0m2 and 10m2", 0, 10, "area"),
        ("more than 1000", 1000, math.inf, None),
        ("more than 1000m2", 1000, math.inf, "area"),
        ("10_to_20", 0.1, 0.2, "ratio"),
        ("60%-70%", 0.6, 0.7, "ratio"),
    ],
)
def test_buckets(text: str, low: float, high: float, dimension: str | None) -> None:
    bucket = parse_bucket(text)
    assert bucket is not None
    assert (bucket.low, bucket.high, bucket.dimension) == (pytest.approx(low), pytest.approx(high), dimension)


@pytest.mark.parametrize(
    "text", ["3-4平方公里", "0m2", "0", "it is between 10 and 100", "65%", "between two roads", "between 1.2.3 and 4"]
)
def test_not_buckets(text: str) -> None:
    assert parse_bucket(text) is None


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("多少公顷？", ("area", 1e4)),
        ("有多少万亩？", ("area", 2e7 / 3)),
        ("What is the area in km2?", ("area", 1e6)),
        ("How many hectares within 5 km of the road?", ("area", 1e4)),
        ("面积（亩）是多少？", ("area", 2000 / 3)),
        ("占比是多少？", ("ratio", 0.01)),
        ("What is the temperature?", ("temperature", 1.0)),
        ("面积是多少？", None),
        ("玉米面积是多少？", None),
        ("How many maps are in mint condition?", None),
    ],
)
def test_asked_unit(question: str, expected: tuple[str, float] | None) -> None:
    asked = asked_unit(question)
    assert asked is None if expected is None else asked == (expected[0], pytest.approx(expected[1]))


def test_asked_dimension_prefers_the_ratio() -> None:
    assert asked_dimension("耕地面积占比是多少") == "ratio"
    assert asked_dimension("耕地面积是多少") == "area"
    assert asked_dimension("How far is it?") == "length"
    assert asked_dimension("What is it?") is None


def test_docstring_examples() -> None:
    result = doctest.testmod(kinds)
    assert result.attempted == 1 and result.failed == 0
