"""Years, halves, quarters, months, seasons, weeks and days that a text names: where they stand and what they cover.

Without a year, a month, quarter or season is the latest that has begun by
``as_of``. Flood season is June to September, spring ploughing March to May,
autumn harvest September to November.
"""

import calendar
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Literal

Grain = Literal["year", "half", "quarter", "month", "season", "week", "day", "plan"]
Build = Callable[[int], tuple[date, date]]
_DAY = timedelta(days=1)

_MONTH_NAMES = "jan feb mar apr may jun jul aug sep oct nov dec".split()
_MONTH = (
    r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|"
    r"oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)\b\.?"
)
# First and last month; past 12 they lie in the next year.
_SEASONS: tuple[tuple[str, tuple[int, int]], ...] = (
    (r"主?汛期|雨季|(?:flood|rainy|wet|monsoon)\s+season", (6, 9)),
    (r"春(?:耕|季|天|播)|(?:this\s+)?spring(?:\s+(?:plough|plow|sow|plant)ing)?(?:\s+season)?", (3, 5)),
    (r"夏(?:季|天)|(?:this\s+)?summer", (6, 8)),
    (r"秋(?:收|季|天)|(?:this\s+)?autumn|fall(?=\s+(?:of\s+)?20)|(?:autumn\s+)?harvest\s+season", (9, 11)),
    (r"冬(?:季|天)|(?:this\s+)?winter", (12, 14)),
)
_SEASON = "|".join(words for words, _ in _SEASONS)
_RELATIVE_YEARS = (
    (r"大前年", -3),
    (r"前年|the\s+year\s+before\s+last", -2),
    (r"去年|上1?年度?|(?:last|previous)\s+year", -1),
    (r"明年|来年|下1?年度?|next\s+year", 1),
    (r"后年", 2),
)
# A bare figure is no year where it counts something.
_NO_UNIT = r"(?!\d|\.\d|\s*(?:亩|万|公顷|平方|平米|ha\b|hectares?\b|mu\b|m2|sq|km|acres?\b|个|处|块|条|米|m\b))"
YEAR = (
    rf"(?:(?<![\d.])(?:19|20)\d{{2}}(?:\s*年度?|(?=[qh][1-4]\b)|{_NO_UNIT})"
    r"|(?<![\d第近])\d{2}年度?(?![来间内半])|(?<![\d.-])\d{2}(?=[-~到至]\d{2}年)"
    r"|大前年|前年|去年|上1?年度?(?!来)|今年|本年度?|明年|来年|下1?年度?|后年"
    r"|the\s+year\s+before\s+last|(?<!the )(?:last|previous)\s+year|(?:this|current)\s+year|next\s+year)"
)
_ORDINALS = {"first": 1, "1st": 1, "second": 2, "2nd": 2, "third": 3, "3rd": 3, "fourth": 4, "4th": 4}
# What may follow a year, or stand alone; each group is named for what it holds.
_PART = (
    r"(?:第?(?P<half>[12])个?半年|(?P<half_zh>[上下前后])半年|前(?P<first_q>[23])个?季度?"
    r"|第?(?P<q>[1-4])(?:个?季度?|(?=\s*[-~到至]\s*[1-4]季度))|q(?P<q2>[1-4])\b|h(?P<h>[12])\b"
    r"|前(?P<first_m>\d{1,2})个月"
    rf"|(?P<m>\d{{1,2}})(?:月份?|(?=\s*[-~到至]\s*\d{{1,2}}月))(?:初|中旬?"
    rf"|(?P<m_end>[底末]))?(?:(?P<d>\d{{1,2}})[日号]?)?|(?P<season>{_SEASON}))"
)
_EDGE = r"年?(?P<edge>[底末初])(?![^,。?!]?(?:地|播|农))"
_CHINESE = re.compile(rf"(?P<year>{YEAR})?\s*(?:的|度)?\s*{_PART}|(?P<plan>十[一二三四五]五)(?:规划)?(?:期间|时期)?")
_CHINESE_YEAR = re.compile(rf"(?P<year>{YEAR})(?:\s*{_EDGE})?|(?<![0-9今去前明])年(?P<alone>[底末初])")
_NUMERIC = re.compile(
    r"(?<![\d.])(?P<y>(?:19|20)\d{2})(?P<sep>[-/.])(?P<m>\d{1,2})(?:(?P=sep)(?P<d>\d{1,2}))?(?![\d.]\d|\d|\s*(?:亩|万|公顷|平方|平米))[日号]?"
    r"|(?<![\d./-])(?P<d9>\d{1,2})(?P<sep9>[/.])(?P<m9>\d{1,2})(?P=sep9)(?P<y9>(?:19|20)\d{2})(?!\d)"
    r"|(?<![\d-])(?P<y8>(?:19|20)\d{2})(?P<m8>[01]\d)(?P<d8>[0-3]\d)(?![\d-])"
)
_ENGLISH = re.compile(
    rf"\b(?:(?:the\s+)?(?P<d1>\d{{1,2}})(?:st|nd|rd|th)?\s+(?:of\s+)?)?(?P<mon>{_MONTH})"
    rf"(?:\s+(?P<d2>\d{{1,2}})(?:st|nd|rd|th)?(?!\d))?(?:,?\s+(?:of\s+)?(?P<year>{YEAR}))?"
)
_ENGLISH_PART = re.compile(
    rf"\b(?:the\s+)?(?:(?P<ord>{'|'.join(_ORDINALS)})\s+(?P<what>quarter|half)|q(?P<q>[1-4])|h(?P<h>[12])"
    rf"|(?P<season>{_SEASON}))\b(?:,?\s+(?:of\s+)?(?:the\s+year\s+)?(?P<year>{YEAR}))?"
)
_ENGLISH_EDGE = re.compile(rf"\b(?:the\s+)?(?P<side>end|close|beginning|start)(?:\s+of\s+|[-\s])(?P<year>{YEAR})")
_NEAR: tuple[tuple[str, Grain, int], ...] = (
    (r"本季度?|这个?季度?|当季|(?:this|current)\s+quarter", "quarter", 0),
    (r"上1?个?季度?|(?:last|previous)\s+quarter", "quarter", -1),
    (r"下1?个?季度?|next\s+quarter", "quarter", 1),
    (r"本月|这个?月|当月|(?:this|current)\s+month", "month", 0),
    (r"上上个?月", "month", -2),
    (r"(?<!上)上1?个?月|(?<!the )last\s+month|previous\s+month", "month", -1),
    (r"下1?个?月|next\s+month", "month", 1),
    (r"本周|这1?周|这个?(?:星期|礼拜)|this\s+week", "week", 0),
    (r"上1?个?(?:周|星期|礼拜)|(?<!the )last\s+week|previous\s+week", "week", -1),
    (r"下1?个?(?:周|星期|礼拜)|next\s+week", "week", 1),
    (r"前天", "day", -2),
    (r"昨[天日]|yesterday", "day", -1),
    (r"明[天日]|tomorrow", "day", 1),
)
# The year before the first of a five-year plan.
_PLANS = {"十一五": 2005, "十二五": 2010, "十三五": 2015, "十四五": 2020, "十五五": 2025}


@dataclass(frozen=True)
class Moment:
    """One named time.

    Args:
        first: its first day.
        last: its last day.
        grain: what it is.
        start: of its words in the text.
        end: likewise.
        build: the days in a given year, where the text named none; else None.
        edge: the end (or start) of a year, which is a day rather than a period.
    """

    first: date
    last: date
    grain: Grain
    start: int
    end: int
    build: Build | None = None
    edge: bool = False

    @property
    def before(self) -> date:
        """The day before it."""
        return self.first - _DAY

    def in_year(self, year: int) -> "Moment":
        """The same in a year that words beside it named."""
        if self.build is None:
            return self
        try:
            first, last = self.build(year)
        except ValueError:
            return self
        return replace(self, first=first, last=last, build=None)


def read_moments(text: str, as_of: date) -> list[Moment]:
    """The moments of a text in order; of those that overlap, the one that starts first, then the longest."""
    found: list[Moment] = []
    for read in (_chinese, _numeric, _english, _near):
        found += (one for one in read(text, as_of) if one is not None)
    kept: list[Moment] = []
    for moment in sorted(found, key=lambda one: (one.start, -one.end)):
        if not kept or moment.start >= kept[-1].end:
            kept.append(moment)
    return kept


def _moment(
    match: re.Match[str], year: int | None, as_of: date, build: Build, grain: Grain, *, edge: bool = False
) -> Moment | None:
    """A moment of a year, or of the latest in which it has begun; None for days that do not exist."""
    try:
        first, last = build(as_of.year if year is None else year)
        if year is None and first > as_of:
            first, last = build(as_of.year - 1)
    except ValueError:
        return None
    start = match.start() + len(match[0]) - len(match[0].lstrip())
    return Moment(first, last, grain, start, match.end(), build if year is None else None, edge)


def _chinese(text: str, as_of: date) -> Iterator[Moment | None]:
    """2024年, 去年上半年, 第二季度, 3月5日, 2024年底, 汛期, 十四五."""
    for match in _CHINESE.finditer(text):
        if match["plan"]:
            base = _PLANS[match["plan"]]
            yield Moment(date(base + 1, 1, 1), date(base + 5, 12, 31), "plan", match.start(), match.end())
            continue
        year = _year_of(match["year"], as_of) if match["year"] else None
        groups = match.groupdict()
        number = groups["half"] or groups["h"]
        if groups["half_zh"] or number:
            first_half = groups["half_zh"] in ("上", "前") or number == "1"
            yield _moment(match, year, as_of, _span(1, 6) if first_half else _span(7, 12), "half")
        elif quarter := groups["q"] or groups["q2"]:
            yield _moment(match, year, as_of, _span(3 * int(quarter) - 2, 3 * int(quarter)), "quarter")
        elif groups["first_q"]:
            yield _moment(match, year, as_of, _span(1, 3 * int(groups["first_q"])), "quarter")
        elif groups["first_m"]:
            yield _moment(match, year, as_of, _span(1, int(groups["first_m"])), "month")
        elif groups["season"]:
            yield _moment(match, year, as_of, _span(*_season_of(groups["season"])), "season")
        elif groups["m_end"] and not groups["d"] and 1 <= int(groups["m"]) <= 12:
            yield _moment(match, year, as_of, _month_end(int(groups["m"])), "day", edge=True)
        else:
            yield _month_or_day(match, year, as_of, int(groups["m"]), groups["d"])
    for match in _CHINESE_YEAR.finditer(text):
        if side := match["edge"] or match["alone"]:
            year = _year_of(match["year"], as_of) if match["year"] else None
            yield _moment(match, year, as_of, _year_start if side == "初" else _year_end, "day", edge=True)
        else:
            yield _moment(match, _year_of(match["year"], as_of), as_of, _span(1, 12), "year")


def _numeric(text: str, as_of: date) -> Iterator[Moment | None]:
    """2024-03-05, 2024/3/5, 2024.3, 20240305, 5/3/2024 (the day first, unless there is no such month)."""
    for match in _NUMERIC.finditer(text):
        if match["y9"]:
            first, second = int(match["d9"]), match["m9"]
            month, day = (first, second) if int(second) > 12 else (int(second), match["d9"])
            yield _month_or_day(match, int(match["y9"]), as_of, month, day)
            continue
        year = int(match["y"] or match["y8"])
        yield _month_or_day(match, year, as_of, int(match["m"] or match["m8"]), match["d"] or match["d8"])


def _english(text: str, as_of: date) -> Iterator[Moment | None]:
    """March 5, 2024; Q2 2024; the second half of last year; the end of 2023; spring."""
    for match in _ENGLISH.finditer(text):
        day = match["d1"] or match["d2"]
        # "may" and "march" are words of other meanings as well.
        alone = day is None and match["year"] is None
        before = re.search(
            r"(?:in|since|from|to|until|till|of|last|by|before|after|between|and|-|this)\s*$", text[: match.start()]
        )
        if alone and match["mon"].strip(".") in ("may", "march", "mar") and not before:
            continue
        month = _MONTH_NAMES.index(match["mon"][:3]) + 1
        yield _month_or_day(match, _year_of(match["year"], as_of) if match["year"] else None, as_of, month, day)
    for match in _ENGLISH_PART.finditer(text):
        year = _year_of(match["year"], as_of) if match["year"] else None
        if match["season"]:
            yield _moment(match, year, as_of, _span(*_season_of(match["season"])), "season")
            continue
        number = _ORDINALS[match["ord"]] if match["ord"] else int(match["q"] or match["h"])
        if match["h"] or match["what"] == "half":
            yield _moment(match, year, as_of, _span(6 * number - 5, 6 * number), "half") if number < 3 else None
        else:
            yield _moment(match, year, as_of, _span(3 * number - 2, 3 * number), "quarter")
    for match in _ENGLISH_EDGE.finditer(text):
        build = _year_end if match["side"] in ("end", "close") else _year_start
        yield _moment(match, _year_of(match["year"], as_of), as_of, build, "day", edge=True)


def _near(text: str, as_of: date) -> Iterator[Moment | None]:
    """This and last quarter, month, week and day."""
    for pattern, grain, offset in _NEAR:
        for match in re.finditer(pattern, text):
            if grain == "day":
                first = last = as_of + offset * _DAY
            elif grain == "week":
                first = as_of + timedelta(days=7 * offset - as_of.weekday())
                last = first + 6 * _DAY
            else:
                length = 3 if grain == "quarter" else 1
                year, month = divmod(((as_of.year * 12 + as_of.month - 1) // length + offset) * length, 12)
                first, last = _span(month + 1, month + length)(year)
            yield Moment(first, last, grain, match.start(), match.end())


def _month_or_day(match: re.Match[str], year: int | None, as_of: date, month: int, day: str | None) -> Moment | None:
    if day is None:
        return _moment(match, year, as_of, _span(month, month), "month") if 1 <= month <= 12 else None
    return _moment(match, year, as_of, lambda y: (date(y, month, int(day)), date(y, month, int(day))), "day")


def _span(first: int, last: int) -> Build:
    """First day of one month to the last day of another; months past 12 lie in the next year."""

    def build(year: int) -> tuple[date, date]:
        end_year, end_month = year + (last - 1) // 12, (last - 1) % 12 + 1
        return date(year, first, 1), date(end_year, end_month, calendar.monthrange(end_year, end_month)[1])

    return build


def _month_end(month: int) -> Build:
    """The last day of a month."""

    def build(year: int) -> tuple[date, date]:
        last = date(year, month, calendar.monthrange(year, month)[1])
        return last, last

    return build


def _year_end(year: int) -> tuple[date, date]:
    return date(year, 12, 31), date(year, 12, 31)


def _year_start(year: int) -> tuple[date, date]:
    return _year_end(year - 1)


def _season_of(word: str) -> tuple[int, int]:
    return next(months for words, months in _SEASONS if re.fullmatch(words, word))


def _year_of(word: str, as_of: date) -> int:
    """The year that a word of ``YEAR`` names; two digits more than twenty years ahead are of the last century."""
    if digits := re.match(r"\d{4}|\d{2}", word):
        number = int(digits[0])
        return number if number > 99 else 2000 + number if number <= as_of.year % 100 + 20 else 1900 + number
    return as_of.year + next((offset for words, offset in _RELATIVE_YEARS if re.fullmatch(words, word)), 0)
