"""Dates in a text, Chinese and English: the forms in which they are written and the days that they mean."""

import calendar
import re
from datetime import date
from typing import NamedTuple


class Span(NamedTuple):
    """Days that a date expression covers; ``precision`` is day, month, year, quarter, half, monthday or period."""

    first: date
    last: date
    precision: str
    second: "Span | None" = None


_Y = r"(?:19|20)\d\d"
_MONTHS = "jan feb mar apr may jun jul aug sep oct nov dec".split()
_M = (
    r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?|"
    r"nov(?:ember)?|dec(?:ember)?)\.?"
)
_UNIT_NEXT = (
    r"(?!\d)(?![.,]\d)(?!\s*(?:%|[万亿多余]|亩|公顷|平方|平米|米|公里|个|处|块|宗|片|mu\b|ha\b|hectares?|km|m2?\b|"
    r"m²|sq|"
    r"square|acres?|per\s?cent|percent|patch|site|town|sample|clue))"
)
_SEP = r"\s?(?:-|~|至|到|/|to|and|与|和)\s?"
DATES: tuple[tuple[str, str], ...] = (
    ("iso", rf"({_Y})\s?([-/.])\s?(\d{{1,2}})\s?\2\s?(\d{{1,2}})(?!\d)"),
    ("compact", r"((?:19|20)\d\d)(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])(?!\d)"),
    ("zh_day", rf"({_Y})\s?年\s?(\d{{1,2}})\s?月\s?(\d{{1,2}})\s?[日号]?(?!\d)"),
    ("zh_half", rf"({_Y})\s?年\s?([上下]|前|后)半年"),
    ("zh_quarter", rf"({_Y})\s?年?\s?第?([1-4一二三四])\s?季度?"),
    ("en_quarter", rf"(?:q([1-4])\s?(?:of\s)?({_Y})|({_Y})\s?-?q([1-4]))(?!\d)"),
    ("en_quarter_word", rf"\b(first|second|third|fourth)\squarter\s(?:of\s)?({_Y})(?!\d)"),
    ("en_half", rf"\b(?:(first|second)\shalf\sof\s({_Y})|h([12])\s?({_Y}))(?!\d)"),
    ("zh_edge", rf"({_Y})\s?年?\s?(年?底|年?末|年?初)"),
    ("zh_month", rf"({_Y})\s?年\s?(\d{{1,2}})\s?月(?!\d)"),
    ("years", rf"({_Y})\s?年?{_SEP}({_Y})\s?年?{_UNIT_NEXT}"),
    ("zh_year", rf"({_Y})\s?年度?"),
    ("en_day", rf"\b(\d{{1,2}})(?:st|nd|rd|th)?\s(?:of\s)?({_M}),?\s({_Y})(?!\d)"),
    ("en_day2", rf"\b({_M})\s(\d{{1,2}})(?:st|nd|rd|th)?,?\s({_Y})(?!\d)"),
    ("en_month", rf"\b({_M}),?\s({_Y})(?!\d)"),
    ("slash", rf"(\d{{1,2}})([/.])(\d{{1,2}})\2({_Y})(?!\d)"),
    ("iso_month", rf"({_Y})-(0[1-9]|1[0-2])(?![\d-])"),
    ("zh_monthday", r"(\d{1,2})\s?月\s?(\d{1,2})\s?[日号]"),
    ("en_monthday", rf"\b(?:(\d{{1,2}})(?:st|nd|rd|th)?\s({_M})|({_M})\s(\d{{1,2}})(?:st|nd|rd|th)?)(?![a-z\d])"),
    ("zh_onlymonth", r"(?<!\d)(1[0-2]|[1-9])\s?月(?:份|底|末|初)?(?!\d)"),
    (
        "year",
        rf"({_Y}){_UNIT_NEXT}(?![a-z_])(?!\s(?:[a-z-]+\s){{0,3}}(?:patch(?:es)?|sites?|clues?|samples?|towns?|"
        rf"pixels?)(?![a-z]))(?!\s?[-~至到]\s?[\d,.]+\s?(?:%|万|亿|亩|公顷|平方|米|公里|mu\b|ha\b|hectares?|km|m2))",
    ),
)
_ORDINALS = {"first": 1, "second": 2, "third": 3, "fourth": 4, "一": 1, "二": 2, "三": 3, "四": 4}


def _month_of(name: str) -> int:
    return _MONTHS.index(name[:3]) + 1


def _span(year: int, first: int, last: int, precision: str) -> Span:
    return Span(date(year, first, 1), date(year, last, calendar.monthrange(year, last)[1]), precision)


def _day(year: str | int, month: str | int, day: str | int, precision: str = "day") -> Span:
    one = date(int(year), int(month), int(day))
    return Span(one, one, precision)


def _year_span(year: str) -> Span:
    return _span(int(year), 1, 12, "year")


def date_of(kind: str, found: re.Match[str]) -> Span:
    """The days that one match of DATES means.

    Raises:
        ValueError: there is no such day.
    """
    group = [one for one in found.groups() if one is not None]
    if kind == "iso":
        return _day(group[0], group[2], group[3])
    if kind in ("compact", "zh_day"):
        return _day(*group)
    if kind == "slash":
        # Day first where that is a day, as in most countries; else month first.
        first, second = (int(group[0]), int(group[2]))
        return _day(group[3], second, first) if second <= 12 else _day(group[3], first, second)
    if kind == "en_day":
        return _day(group[2], _month_of(group[1]), group[0])
    if kind == "en_day2":
        return _day(group[2], _month_of(group[0]), group[1])
    if kind == "zh_monthday":
        return _day(2000, group[0], group[1], "monthday")
    if kind == "en_monthday":
        number, name = (group[0], group[1]) if group[0].isdecimal() else (group[1], group[0])
        return _day(2000, _month_of(name), number, "monthday")
    if kind == "zh_onlymonth":
        return _span(2000, int(group[0]), int(group[0]), "onlymonth")
    if kind in ("zh_month", "iso_month"):
        return _span(int(group[0]), int(group[1]), int(group[1]), "month")
    if kind == "en_month":
        month = _month_of(group[0])
        return _span(int(group[1]), month, month, "month")
    if kind in ("zh_half", "en_half"):
        return _half(kind, group)
    if kind.endswith(("quarter", "quarter_word")):
        return _quarter(group)
    if kind == "zh_edge":
        start = group[1].endswith("初")
        return _span(int(group[0]), 1 if start else 12, 2 if start else 12, "edge")
    if kind == "years":
        start, end = _year_span(group[0]), _year_span(group[1])
        return Span(start.first, start.last, "period", end)
    return _year_span(group[0])


def _half(kind: str, group: list[str]) -> Span:
    year, half = (group[0], group[1] in "上前") if kind == "zh_half" else (group[1], group[0] in ("first", "1"))
    return _span(int(year), 1 if half else 7, 6 if half else 12, "half")


def _quarter(group: list[str]) -> Span:
    year = next(one for one in group if len(one) == 4 and one.isdecimal())
    word = next(one for one in group if one != year)
    number = _ORDINALS.get(word) or int(word)
    return _span(int(year), 3 * number - 2, 3 * number, "quarter")
