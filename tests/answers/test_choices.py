"""Yes/no and labels: hedges are never read as an answer."""

import doctest

import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.answers import choices
from src.answers.choices import LABELS, labels, options_in, polarity
from src.constants import LAND_CLASS_NAMES, LAND_CLASSES

CASES = {
    True: [
        "yes",
        "Yes, a road.",
        "是。",
        "是的，存在",
        "有",
        "对的",
        "存在水体",
        "图中有道路",
        "There is one.",
        "会",
        "有，新增不透水面",
        "所有地块均有建筑",
    ],
    False: [
        "no",
        "No road.",
        "None",
        "There is no road.",
        "It isn't",
        "否",
        "没有",
        "无",
        "不存在占用",
        "不是，是农田",
        "未发现存在占用",
        "不可能",
        "变化不明显",
    ],
    None: [
        "",
        "north",
        "yes and no",
        "No. Yes.",
        "yes/no",
        "是或否",
        "否或是",
        "没有，但有",
        "可能有",
        "maybe",
        "unclear",
        "无法判断",
        "不清楚",
        "不是没有",
        "cannot tell",
        "有道路，没有水体",
    ],
}


@pytest.mark.parametrize(("text", "expected"), [(text, value) for value, texts in CASES.items() for text in texts])
def test_polarity(text: str, expected: bool | None) -> None:
    assert polarity(text) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("NVG_surface", {"nvg surface"}),
        ("non-vegetated ground surface", {"nvg surface"}),
        ("low vegetation", {"low vegetation"}),
        ("buildings", {"built"}),
        ("农田", {"cropland"}),
        ("未利用地", {"unused"}),
        ("suburban", set()),
        ("non-urban", set()),
        ("rural or urban", {"rural", "urban"}),
        ("not urban", set()),
        ("urban rather than rural", {"urban"}),
        ("不是耕地，是园地", {"garden"}),
        ("neither rural nor urban", set()),
    ],
)
def test_labels(text: str, expected: set[str]) -> None:
    assert labels(text) == expected


def test_every_land_class_reads_as_itself() -> None:
    read = {name: labels(text) for name, texts in LAND_CLASS_NAMES.items() for text in texts.values()}
    assert read == {name: {name} for name in LAND_CLASSES.values()}


@given(st.sampled_from(sorted(LABELS)), st.sampled_from(sorted(LABELS)), st.data())
def test_two_names_are_two_labels(first: str, second: str, data: st.DataObject) -> None:
    name_1, name_2 = (data.draw(st.sampled_from(LABELS[label])) for label in (first, second))
    assert labels(f"{name_1}, {name_2}") == {first, second}


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("Is it a rural or an urban area?", ("rural", "urban")),
        ("Is the roof red or blue?", ("red", "blue")),
        ("Did cropland increase or decrease?", ("increase", "decrease")),
        ("该区域是农村还是城市？", ("农村", "城市")),
        ("耕地是增加了还是减少了呢？", ("增加", "减少")),
        ("Is there a road?", ()),
    ],
)
def test_options_in(question: str, expected: tuple[str, ...]) -> None:
    assert options_in(question) == expected


def test_alternatives_of_the_question_are_labels() -> None:
    assert labels("it decreased", ("increase", "decrease")) == {"decrease"}
    assert labels("building", ("roads", "buildings")) == {"built"}
    assert labels("red and blue", ("red", "blue")) == {"red", "blue"}


def test_docstring_examples() -> None:
    result = doctest.testmod(choices)
    assert result.attempted == 2 and result.failed == 0
