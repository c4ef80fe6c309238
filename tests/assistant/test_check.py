"""The checker on true texts, on lies, on any text at all, and how long it takes."""

import random
import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from src.assistant.check import Problem, check
from src.assistant.checking.numbers import Number
from src.assistant.checking.text import clean
from src.assistant.checking.tokens import tokens
from src.assistant.record import Evidence
from tests.assistant.check_cases import ALL, BAD, FLOWS, GOOD, MU, TREND, area

GOOD_CASES = [(name, text) for name, texts in GOOD.items() for text in texts]
BAD_CASES = [(name, kind, text) for name, cases in BAD.items() for kind, text in cases]


def kinds(problems: tuple[Problem, ...]) -> set[str]:
    return {problem.kind for problem in problems}


def test_how_many_cases_there_are() -> None:
    assert len(GOOD_CASES) >= 100
    assert len(BAD_CASES) >= 300
    texts = [text for _, text in GOOD_CASES] + [text for _, _, text in BAD_CASES]
    assert len(set(texts)) >= len(texts) - 5


@pytest.mark.parametrize(("name", "text"), GOOD_CASES)
def test_true_texts_stand(name: str, text: str) -> None:
    assert check(text, ALL[name]) == ()


@pytest.mark.parametrize(("name", "kind", "text"), BAD_CASES)
def test_lies_are_refused(name: str, kind: str, text: str) -> None:
    found = kinds(check(text, ALL[name]))
    assert found
    assert not kind or kind in found


def test_a_problem_tells_what_would_be_right() -> None:
    (problem,) = check("全县新增耕地1235.5亩。", FLOWS)
    assert (problem.kind, problem.found) == ("number", "1235.5亩")
    assert problem.expected[0] == "gain=1234.5"


def test_the_word_for_a_verdict_is_refused_and_its_denial_is_not() -> None:
    assert kinds(check("该图斑违法。", FLOWS)) == {"verdict"}
    assert check("是否违法不作判断。", FLOWS) == ()
    assert check("疑似违法线索须核查。", FLOWS) == ()


@pytest.mark.parametrize(
    ("written", "value", "step", "dimension"),
    [
        ("1234.5亩", 1234.5 * MU, 0.1 * MU, "area"),
        ("12000亩", 12000 * MU, 1000 * MU, "area"),
        ("10000亩", 10000 * MU, 1000 * MU, "area"),
        ("1.2万亩", 12000 * MU, 1000 * MU, "area"),
        ("一万二千亩", 12000 * MU, 1000 * MU, "area"),
        ("一百一十点六公顷", 110.6e4, 0.1e4, "area"),
        ("82.3 ha", 823000.0, 1000.0, "area"),
        ("1.5 million square metres", 1.5e6, 1e5, "area"),
        ("三成", 0.3, 0.1, "share"),
        ("六成五", 0.65, 0.01, "share"),
        ("百分之三十二点五", 0.325, 0.001, "share"),
        ("32.5 per cent", 0.325, 0.001, "share"),
        ("三分之一", 1 / 3, 0.01, "share"),
        ("12个", 12, 1, "count"),
        ("106°03′20″", 106 + 3 / 60 + 20 / 3600, 2 / 3600, "degrees"),
    ],
)
def test_numbers_are_read_with_their_precision(written: str, value: float, step: float, dimension: str) -> None:
    (number,) = [one.value for one in tokens(clean(written)) if one.kind == "number"]
    assert isinstance(number, Number)
    assert number.value == pytest.approx(value)
    assert number.step == pytest.approx(step)
    assert number.dimension == dimension


@pytest.mark.parametrize(
    "text", ["统一口径", "一般来说", "第三次调查", "三调", "一个参考", "四至清楚", "三区三线", "no one", "one of them"]
)
def test_numerals_that_are_words_are_no_numbers(text: str) -> None:
    assert not [one for one in tokens(clean(text)) if one.kind == "number"]


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=200))
def test_never_raises_on_any_text(text: str) -> None:
    check(text, FLOWS)


_PIECES = [
    "耕地",
    "流入",
    "流出",
    "12.5",
    "亩",
    "%",
    "（",
    "）",
    "，",
    "。",
    "至",
    "-",
    "和",
    "分别",
    "2024",
    "年",
    "月",
    "|",
    "\n",
    "由",
    "转为",
    "青禾乡",
    "二十",
    "成",
]
_PIECES += [
    "net",
    " gain ",
    " of ",
    "to ",
    "from ",
    "between ",
    " and ",
    "ha",
    "mu",
    "respectively",
    "Q2 ",
    "99/99/2024",
    "13月45日",
    "〇",
    "点",
    "万",
    "分之",
]


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(_PIECES), max_size=40))
def test_never_raises_on_pieces_of_answers(pieces: list[str]) -> None:
    check("".join(pieces), TREND)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            ["我们", "认为", "这里", "天气", "很好", "，", "。", "please", " ", "note", "that", "the weather"]
        ),
        max_size=30,
    )
)
def test_words_without_claims_pass(words: list[str]) -> None:
    assert check("".join(words), FLOWS) == ()


@settings(max_examples=200, deadline=None)
@given(
    value=st.integers(1000, 9_999_999),
    place=st.integers(0, 6),
    digit=st.integers(0, 9),
    cls=st.sampled_from(["cropland", "forest"]),
)
def test_a_changed_digit_is_refused(value: int, place: int, digit: int, cls: str) -> None:
    """Of a figure that is printed with all its digits, no other digit string stands."""
    text = f"{value / 100:.2f}"
    positions = [index for index, char in enumerate(text) if char.isdigit()]
    at = positions[place % len(positions)]
    changed = text[:at] + str(digit) + text[at + 1 :]
    evidence = FLOWS.model_copy(update={"figures": (area("gain", "gain", value / 100, cls=cls),), "patches": ()})
    sentence = {"cropland": "全县耕地流入{}亩。", "forest": "全县林地流入{}亩。"}[cls]
    assert check(sentence.format(text), evidence) == ()
    assert bool(check(sentence.format(changed), evidence)) == (changed != text)


def test_every_changed_digit_of_a_long_answer_is_refused() -> None:
    text = "\n".join(
        text for name, text in GOOD_CASES if name == "flows" and re.search(r"\d\.\d亩", text) and "|" not in text
    )
    rng = random.Random(0)
    numbers = [match for match in re.finditer(r"\d+\.\d(?=亩)", text)]
    assert len(numbers) > 30
    for match in numbers:
        at = rng.choice([index for index in range(*match.span()) if text[index].isdigit()])
        changed = str((int(text[at]) + rng.randint(1, 9)) % 10)
        assert check(text[:at] + changed + text[at + 1 :], FLOWS), text[match.start() - 20 : match.end() + 5]


def test_it_takes_less_than_20_ms_for_a_long_text() -> None:
    towns = tuple(area(f"t{i}", "gain", 10 + i * 1.7, cls="cropland", place=f"第{i}测试乡") for i in range(260))
    evidence: Evidence = FLOWS.model_copy(update={"figures": (*FLOWS.figures, *towns)})
    text = "".join(text for name, text in GOOD_CASES if name == "flows" and "|" not in text)[:1000]
    assert len(evidence.figures) >= 300
    check(text, evidence)
    times = []
    for _ in range(5):
        start = time.process_time()
        check(text, evidence)
        times.append(time.process_time() - start)
    # Twice the figure in the name, since the machines that run the tests may be busy.
    assert min(times) < 0.04
