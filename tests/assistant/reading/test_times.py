"""Time words against dates worked out by hand; today is Tuesday, 2024-12-31, unless the case says otherwise."""

from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from src.assistant.reading.numerals import number_of, plain
from src.assistant.reading.times import read_times

TODAY = date(2024, 12, 31)
# (words, start or None, end)
CASES = [
    ("2024年", "2023-12-31", "2024-12-31"),
    ("2024年度", "2023-12-31", "2024-12-31"),
    ("in 2023", "2022-12-31", "2023-12-31"),
    ("二〇二三年", "2022-12-31", "2023-12-31"),
    ("两千零二十三年", "2022-12-31", "2023-12-31"),
    ("２０２３年", "2022-12-31", "2023-12-31"),
    ("23年", "2022-12-31", "2023-12-31"),
    ("今年", "2023-12-31", "2024-12-31"),
    ("去年", "2022-12-31", "2023-12-31"),
    ("前年", "2021-12-31", "2022-12-31"),
    ("大前年", "2020-12-31", "2021-12-31"),
    ("this year", "2023-12-31", "2024-12-31"),
    ("last year", "2022-12-31", "2023-12-31"),
    ("the year before last", "2021-12-31", "2022-12-31"),
    ("2024年上半年", "2023-12-31", "2024-06-30"),
    ("2023年下半年", "2023-06-30", "2023-12-31"),
    ("去年上半年", "2022-12-31", "2023-06-30"),
    ("first half of 2024", "2023-12-31", "2024-06-30"),
    ("H2 2023", "2023-06-30", "2023-12-31"),
    ("2024年第二季度", "2024-03-31", "2024-06-30"),
    ("2024年一季度", "2023-12-31", "2024-03-31"),
    ("Q2 2024", "2024-03-31", "2024-06-30"),
    ("2024Q3", "2024-06-30", "2024-09-30"),
    ("the third quarter of 2023", "2023-06-30", "2023-09-30"),
    ("本季度", "2024-09-30", "2024-12-31"),
    ("上季度", "2024-06-30", "2024-09-30"),
    ("last quarter", "2024-06-30", "2024-09-30"),
    ("前三季度", "2023-12-31", "2024-09-30"),
    ("今年前8个月", "2023-12-31", "2024-08-31"),
    ("本月", "2024-11-30", "2024-12-31"),
    ("上个月", "2024-10-31", "2024-11-30"),
    ("last month", "2024-10-31", "2024-11-30"),
    ("2024年5月", "2024-04-30", "2024-05-31"),
    ("2024年2月份", "2024-01-31", "2024-02-29"),
    ("五月", "2024-04-30", "2024-05-31"),
    ("May 2023", "2023-04-30", "2023-05-31"),
    ("in May", "2024-04-30", "2024-05-31"),
    ("3月到6月", "2024-02-29", "2024-06-30"),
    ("2023年3月到6月", "2023-02-28", "2023-06-30"),
    ("2024年1-6月", "2023-12-31", "2024-06-30"),
    ("2023年10月到2024年3月", "2023-09-30", "2024-03-31"),
    ("from March to June 2024", "2024-02-29", "2024-06-30"),
    ("上周", "2024-12-22", "2024-12-29"),
    ("汛期", "2024-05-31", "2024-09-30"),
    ("去年汛期", "2023-05-31", "2023-09-30"),
    ("春耕", "2024-02-29", "2024-05-31"),
    ("spring 2023", "2023-02-28", "2023-05-31"),
    ("2023-2024年", "2023-12-31", "2024-12-31"),
    ("2015–2025", "2015-12-31", "2024-12-31"),
    ("2020年到2022年", "2020-12-31", "2022-12-31"),
    ("between 2020 and 2023", "2020-12-31", "2023-12-31"),
    ("from 2020 to 2023", "2020-12-31", "2023-12-31"),
    ("2022年和2020年之间", "2020-12-31", "2022-12-31"),
    ("2020-22年", "2020-12-31", "2022-12-31"),
    ("since 2020", "2020-12-31", "2024-12-31"),
    ("自2020年以来", "2020-12-31", "2024-12-31"),
    ("2020年至今", "2020-12-31", "2024-12-31"),
    ("去年到现在", "2023-12-31", "2024-12-31"),
    ("今年以来", "2023-12-31", "2024-12-31"),
    ("年初以来", "2023-12-31", "2024-12-31"),
    ("5月以来", "2024-04-30", "2024-12-31"),
    ("since March 2024", "2024-02-29", "2024-12-31"),
    ("跟2020年比", "2020-12-31", "2024-12-31"),
    ("与去年相比", "2023-12-31", "2024-12-31"),
    ("compared with 2021", "2021-12-31", "2024-12-31"),
    ("去年同期", "2023-12-31", "2024-12-31"),
    ("近三年", "2021-12-31", "2024-12-31"),
    ("近几年", "2021-12-31", "2024-12-31"),
    ("过去十年", "2014-12-31", "2024-12-31"),
    ("近一年", "2023-12-31", "2024-12-31"),
    ("近半年", "2024-06-30", "2024-12-31"),
    ("最近一个月", "2024-12-01", "2024-12-31"),
    ("最近三个月", "2024-09-30", "2024-12-31"),
    ("最近30天", "2024-12-01", "2024-12-31"),
    ("最近两周", "2024-12-17", "2024-12-31"),
    ("past two weeks", "2024-12-17", "2024-12-31"),
    ("in the last month", "2024-12-01", "2024-12-31"),
    ("the past 3 years", "2021-12-31", "2024-12-31"),
    ("over the last year", "2023-12-31", "2024-12-31"),
    ("within 90 days", "2024-10-02", "2024-12-31"),
    ("十四五期间", "2020-12-31", "2024-12-31"),
    ("2024年3月5日", None, "2024-03-05"),
    ("2024-03-05", None, "2024-03-05"),
    ("2024/3/5", None, "2024-03-05"),
    ("20240305", None, "2024-03-05"),
    ("March 5, 2024", None, "2024-03-05"),
    ("5 March 2024", None, "2024-03-05"),
    ("2023年底", None, "2023-12-31"),
    ("end of 2023", None, "2023-12-31"),
    ("2024年初", None, "2023-12-31"),
    ("截至2024年6月", None, "2024-06-30"),
    ("2020年以前", None, "2019-12-31"),
    ("2023-11-02到2024-10-28", "2023-11-02", "2024-10-28"),
    ("2024年3月5日以来", "2024-03-05", "2024-12-31"),
]
OTHER_DAYS = [
    ("2024-08-15", "本季度", "2024-06-30", "2024-08-15"),  # ends at today
    ("2024-08-15", "今年", "2023-12-31", "2024-08-15"),
    ("2024-08-15", "2024年", "2023-12-31", "2024-08-15"),
    ("2024-08-15", "四季度", "2023-09-30", "2023-12-31"),  # the latest that has begun
    ("2024-08-15", "11月", "2023-10-31", "2023-11-30"),
    ("2024-03-31", "最近一个月", "2024-03-01", "2024-03-31"),
    ("2024-05-31", "最近三个月", "2024-02-29", "2024-05-31"),
    ("2024-02-29", "近一年", "2023-02-28", "2024-02-29"),
    ("2024-01-15", "上个月", "2023-11-30", "2023-12-31"),
    ("2024-01-15", "上季度", "2023-09-30", "2023-12-31"),
    ("2024-08-15", "11月到2月", "2023-10-31", "2024-02-29"),
]
FUTURE = ["2025年", "明年", "next year", "未来三年", "下个月", "the next two years", "2030年到2035年"]
NO_TIME = [
    "2024亩",
    "第3个图斑",
    "5 ha",
    "may i ask",
    "统一年度",
    "前10名",
    "多年生",
    "120个",
    "哪一年",
    "2024.5亩",
    "",
    "3公里",
]


def only(text, today=TODAY):
    found = read_times(plain(text), today).periods
    assert len(found) == 1, found
    return found[0]


def test_number_of_cases():
    assert len(CASES) == 94
    assert len({words for words, *_ in CASES}) == len(CASES)


@pytest.mark.parametrize(("words", "start", "end"), CASES, ids=[case[0] for case in CASES])
def test_by_hand(words, start, end):
    period = only(words)
    assert (str(period.t1) if period.t1 else None, str(period.t2)) == (start, end)
    assert not period.future


@pytest.mark.parametrize(("words", "start", "end"), CASES[:60], ids=[case[0] for case in CASES[:60]])
def test_inside_a_sentence(words, start, end):
    """The words around a time neither add to it nor hide it."""
    text = f"请问{words}新增耕地多少亩" if any(c > "\u4e00" for c in words) else f"how much new forest {words}, in ha?"
    period = only(text)
    assert (str(period.t1) if period.t1 else None, str(period.t2)) == (start, end)


@pytest.mark.parametrize(("today", "words", "start", "end"), OTHER_DAYS)
def test_on_other_days(today, words, start, end):
    period = only(words, date.fromisoformat(today))
    assert (str(period.t1), str(period.t2)) == (start, end)


@pytest.mark.parametrize("words", FUTURE)
def test_what_has_not_begun_is_future(words):
    assert only(words).future


@pytest.mark.parametrize("words", NO_TIME)
def test_numbers_that_are_no_times(words):
    assert read_times(plain(words), TODAY).periods == ()


def test_two_periods_stay_two():
    spans = [[str(day) for day in one.span] for one in read_times("2020-2022 与 2022-2024", TODAY).periods]
    assert spans == [["2020-12-31", "2022-12-31"], ["2022-12-31", "2024-12-31"]]
    assert [one.grain for one in read_times("今年比去年", TODAY).periods] == ["year", "year"]


def test_present_and_lately_are_no_periods():
    now, lately = read_times("目前耕地", TODAY), read_times("最近有没有", TODAY)
    assert (now.now, now.recent, now.periods) == (True, False, ())
    assert (lately.now, lately.recent, lately.periods) == (False, True, ())


def test_days_that_do_not_exist_are_left_out():
    assert [str(one.t2) for one in read_times("2024年2月30日", TODAY).periods] == ["2024-12-31"]


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("五亩以上", "5亩以上"),
        ("前十名", "前10名"),
        ("三万五千亩", "35000亩"),
        ("五万亩", "5万亩"),
        ("五六个", "五六个"),
        ("哪一年", "哪一年"),
        ("统一年度", "统一年度"),
        ("第二个图斑", "第2个图斑"),
        ("三点五公顷", "3.5公顷"),
        ("２０２４年", "2024年"),
        ("2O24年", "2024年"),
        ("shp发我", "shp 发我"),
    ],
)
def test_plain(text, read):
    assert plain(text) == read


def test_number_of():
    assert [number_of(word) for word in ("3", "十", "two", "a")] == [3, 10, 2, 1]
    for word in ("几", "xyz", "10twns"):
        with pytest.raises(ValueError):
            number_of(word)


WORDS = st.sampled_from([words for words, *_ in CASES] + FUTURE + ["到", "以来", "and", "比", "-", "年", "月", " "])


@settings(max_examples=150, deadline=None)
@given(
    st.lists(WORDS | st.text(max_size=4), max_size=5).map("".join),
    st.dates(date(1990, 1, 1), date(2090, 12, 31)),
)
def test_never_raises_and_never_ends_after_today(text, today):
    found = read_times(plain(text), today)
    for period in found.periods:
        assert period.t2 <= today
        assert period.future or period.t1 is None or period.t1 <= period.t2
    assert len(found.rest) == len(plain(text))
