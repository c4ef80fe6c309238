"""Time words of a question as periods, resolved against the day that counts as today.

A year Y is the change from (Y-1)-12-31 to Y-12-31; halves, quarters, months, seasons and weeks likewise start at the
end of the period before. "Y1-Y2" runs from Y1-12-31 to Y2-12-31; finer ranges from the end of the period before the
first to the end of the last. "Since Y" and "compared with Y" start at Y-12-31 (at (Y-1)-12-31 where Y is this year);
"since May" starts before May, "compared with May" after it; all end at ``as_of``. "The past N" are windows that end
at ``as_of``: one month is 30 days, more months and years go by the calendar, "a few" is three. "Last month" is the
calendar month, "the last month" a window. A single day, the start and the end of a year have ``t1`` None. Periods end
at ``as_of`` at the latest.

    >>> [str(day) for day in read_times("2024年第2季度", date(2024, 12, 31)).periods[0].span]
    ['2024-03-31', '2024-06-30']
"""

import calendar
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Literal

from src.assistant.reading.moments import Grain, Moment, read_moments
from src.assistant.reading.numerals import number_of

# Stands for read text, so that positions stay and no later pattern reads it again.
MASK = "\u25a1"
_DAY = timedelta(days=1)
_FEW, _COUPLE = 3.0, 2.0
_MONTH_DAYS = 30
Form = Literal["moment", "range", "since", "versus", "window", "until"]

_COUNT = (
    r"(?:\d+(?:\.5)?|几|数|两三|半|a\s+few|few|several|a\s+couple\s+of|couple\s+of|an?|one|two|three"
    r"|four|five|six|seven|"
    r"eight|nine|ten|eleven|twelve)"
)
_ZH_UNIT, _EN_UNIT = "天|日|周|星期|礼拜|月|季度|年", "day|week|fortnight|month|quarter|year"
_WINDOWS = (
    rf"(?:最近|近|过去|以往|这|前(?=\S+[天年]))(?:的|这)?\s*(?P<n>{_COUNT})\s*个?(?P<u>{_ZH_UNIT})(?:时间)?"
    r"(?:以来|之内|以内|来|内|间|里)?",
    rf"(?<![第\d年月-])(?P<n>(?!\d\d年以来|\d{{4}}){_COUNT})\s*(?P<u>个月|个?季度|个?星期|天|日|周|年)(?:时间)?"
    r"(?:以来|之内|以内|来|内|间)",
    rf"(?:\b(?:in|over|within|during|for)\s+)?(?:the\s+|these\s+)?\b(?:past|last|recent|previous"
    rf"|within)\s+(?P<n>{_COUNT})"
    rf"[\s-]+(?P<u>{_EN_UNIT})s?\b",
    rf"(?:(?:\b(?:in|over|within|during|for)\s+(?:the\s+)?|\bthe\s+)(?:past|last)"
    rf"|\bpast)\s+(?P<u>{_EN_UNIT})\b(?!\s+before)",
    r"(?P<few>近年来?|近些年来?|\b(?:in\s+)?recent\s+years)",
)
_AHEAD = re.compile(
    rf"(?:未来|今后|接下来|\bin\s+the\s+next|\bthe\s+next|\bnext|\bcoming)\s*{_COUNT}\s*个?(?:{_ZH_UNIT}|{_EN_UNIT})s?"
)
_UNIT_NAMES = {"天": "day", "日": "day", "周": "week", "星期": "week", "礼拜": "week"} | {
    "月": "month",
    "季度": "quarter",
    "年": "year",
}
_UNIT_DAYS = {"day": 1, "week": 7, "fortnight": 14}
_UNIT_MONTHS = {"month": 1, "quarter": 3, "year": 12}
_NOW = re.compile(
    r"现在|目前|当前|现有|现状|眼下|如今|此刻|今天|今日|最新|\bcurrent(?:ly)?\b|\b(?:right\s+)?now\b|\btoday\b|"
    r"\bat\s+present\b|\bpresent(?:ly)?\b|\blatest\b|\bas\s+of\s+today\b"
)
_RECENT = re.compile(
    r"最近(?:[1一]段时间|这段时间)?|近期|近来|近日|这阵子|这段时间|前段时间|前阵子|\brecent(?:ly)?\b"
    r"|\blately\b|\bof\s+late\b"
)
_SAME_PERIOD = re.compile(
    r"(?:跟|和|与|同|比|较)?(?:去年|上年)同期(?:相?比)?|同比|(?:\b(?:than|compared\s+(?:to|with))\s+)?(?:in\s+)?"
    r"(?:\bthe\s+)?\bsame\s+(?:period|time|quarter|month)\s+(?:of\s+)?last\s+year|\byear[\s-]on[\s-]year\b"
)
# "More this year than last".
_ELIDED = re.compile(r"\bthis\s+(?P<unit>year|quarter|month)\s+than\s+(?:in\s+)?last(?!\s+(?:year|quarter|month|week))")

_TO = re.compile(r"\s*(?:份|的)?\s*(?:-+|~|到了?|至|直到|\bto\b|\buntil\b|\btill\b|\bthrough\b)\s*(?:the\s+)?")
_BETWEEN = re.compile(r"\s*(?:和|与|跟|及|至|到|and)\s*(?:the\s+)?")
_THEN_NOW = re.compile(
    r"\s*(?:份|底|初)?\s*(?:-+|~|到|至|直到|一直到|\bto\b|\buntil\b|\btill\b)\s*"
    r"(?:现在|目前|如今|眼下|今天|今日|今(?!年)|(?:the\s+)?present\b|now\b|today\b|date\b)(?:为止)?"
)
_SINCE_BEFORE = re.compile(
    r"(?:自从|自|从|打|\bever\s+since|\bsince|\bafter|\bstarting(?:\s+(?:from|in))?)\s*(?:the\s+)?$"
)
_FROM_BEFORE = re.compile(r"(?:自从|自|从|由|\bbetween|\bfrom)\s*(?:the\s+)?$")
_SINCE_AFTER = re.compile(
    r"\s*(?:以来|以后|之后|过后|(?<=[年月日号底末初])起|开始|来(?=[,。?!\s耕林草园水建]|$))|\s*\bonwards?\b"
)
_VERSUS_AFTER = re.compile(r"\s*(?:的(?:时候)?|底|末)?\s*(?:相比|相较|比起来|比较|对比|比)")
_WITH_BEFORE = re.compile(r"(?:跟|和|与|同)\s*$")
_VERSUS_BEFORE = re.compile(
    r"(?:比起|相比于?|相较于?|相对于?|对比|较|比|\bcompared?\s+(?:to|with)|\bversus|\bvs\.?|\bthan(?:\s+in)?(?:\s+at)?|"
    r"\brelative\s+to|\bagainst)\s*(?:the\s+)?$"
)
_UNTIL_BEFORE = re.compile(r"(?:截至|截止到?|到了?|\bas\s+of|\bby|\buntil|\bup\s+to)\s*(?:the\s+)?$")
_BEFORE_BEFORE, _BEFORE_AFTER = re.compile(r"\bbefore\s*$"), re.compile(r"\s*(?:以前|之前|前(?!\d))")


@dataclass(frozen=True)
class Period:
    """A time that a question names.

    Args:
        t1: start; None for a single day.
        t2: end, ``as_of`` at the latest.
        form: how it was said.
        grain: of a moment, or of the ends of a range.
        start: of its words in the text.
        end: likewise.
        future: it has not begun by ``as_of``.
    """

    t1: date | None
    t2: date
    form: Form
    grain: Grain
    start: int
    end: int
    future: bool = False

    @property
    def span(self) -> tuple[date | None, date]:
        """Both ends."""
        return self.t1, self.t2


@dataclass(frozen=True)
class Times:
    """All times of a text.

    Args:
        periods: in the order of the text.
        now: it asks about the present state.
        recent: "lately", without a length.
        same_period: it compares with the same period a year before.
        rest: the text with everything read masked.
    """

    periods: tuple[Period, ...]
    now: bool
    recent: bool
    same_period: bool
    rest: str


def read_times(text: str, as_of: date) -> Times:
    """All times of a text.

    Args:
        text: as ``numerals.plain`` returns it.
        as_of: the day that counts as today.
    """
    text = _ELIDED.sub(r"\g<0> \g<unit>", text)
    same = _SAME_PERIOD.search(text)
    rest = masked(text, same.start(), same.end()) if same else text
    windows = list(_windows(rest, as_of))
    for period in windows:
        rest = masked(rest, period.start, period.end)
    named = _periods(rest, read_moments(rest, as_of), as_of)
    # "From May to June, these two months": said twice.
    ends = {one.end for one in named}
    found = [one for one in windows if not (text[one.start] == "这" and one.start in ends)] + named
    for period in found:
        rest = masked(rest, period.start, period.end)
    if same and not found:
        found.append(Period(years_back(as_of, 1), as_of, "versus", "year", same.start(), same.end()))
    now, recent = _NOW.search(rest) is not None, _RECENT.search(rest) is not None
    for match in [*_NOW.finditer(rest), *_RECENT.finditer(rest)]:
        rest = masked(rest, match.start(), match.end())
    ordered = sorted(found, key=lambda one: one.start)
    return Times(tuple(_clipped(one, as_of) for one in ordered), now, recent, same is not None, rest)


def masked(text: str, start: int, end: int) -> str:
    """The text with a part that no later pattern shall read."""
    return text[:start] + MASK * (end - start) + text[end:]


def years_back(day: date, years: int) -> date:
    """The same day so many years before; 29 February becomes the 28th."""
    return _months_back(day, 12 * years)


def _months_back(day: date, months: int) -> date:
    year, month = divmod(day.year * 12 + day.month - 1 - months, 12)
    return date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))


def _clipped(period: Period, as_of: date) -> Period:
    future = period.t1 >= as_of if period.t1 is not None else period.t2 > as_of
    return replace(period, t2=min(period.t2, as_of), future=future or period.future)


def _windows(text: str, as_of: date) -> Iterator[Period]:
    """Windows that end at ``as_of``, and those that begin there."""
    for match in _AHEAD.finditer(text):
        text = masked(text, match.start(), match.end())
        yield Period(as_of, as_of + _DAY, "window", "day", match.start(), match.end(), future=True)
    for pattern in _WINDOWS:
        for match in re.finditer(pattern, text):
            groups = match.groupdict()
            unit, count = ("year", "few") if groups.get("few") else (groups["u"].lstrip("个"), groups.get("n") or "1")
            start = _back(as_of, count.strip(), _UNIT_NAMES.get(unit, unit))
            if start is not None:
                text = masked(text, match.start(), match.end())
                yield Period(start, as_of, "window", "day", match.start(), match.end())


def _back(as_of: date, count: str, unit: str) -> date | None:
    """The day so many units before ``as_of``; None for no time at all, or one before the calendar."""
    if re.search("几|数|两三|few|several|couple", count):
        number = _COUPLE if "couple" in count else _FEW
    else:
        number = 0.5 if count == "半" else number_of(count)
    try:
        if unit in _UNIT_DAYS:
            days = int(number * _UNIT_DAYS[unit])
        elif (months := round(number * _UNIT_MONTHS[unit])) != 1:
            return _months_back(as_of, months) if months else None
        else:
            days = _MONTH_DAYS
        return as_of - timedelta(days=days) if days else None
    except (OverflowError, ValueError):
        return None


def _periods(text: str, moments: Sequence[Moment], as_of: date) -> list[Period]:
    """Moments joined to ranges where words between them say so; the others one by one."""
    periods: list[Period] = []
    index = 0
    years = _with_years(text, moments)
    while index < len(years):
        one = years[index]
        following = years[index + 1] if index + 1 < len(years) else None
        if following is not None and _joined(text, one, following):
            opened = _FROM_BEFORE.search(text, 0, one.start)
            periods.append(_range(one, following, opened.start() if opened else one.start))
            index += 2
            continue
        periods.append(_single(text, one, as_of, alone=len(years) == 1))
        index += 1
    return periods


def _with_years(text: str, moments: Sequence[Moment]) -> list[Moment]:
    """Moments without a year take that of a neighbour that words join them to."""
    found = list(moments)
    link = re.compile(rf"{_TO.pattern}|\s*(?:和|与|跟|及|、|,|and|vs\.?|比|较|还是)\s*(?:the\s+)?")
    for index in range(1, len(found)):
        before, one = found[index - 1], found[index]
        if one.build is not None and before.build is None and link.fullmatch(text, before.end, one.start):
            found[index] = one.in_year(before.last.year)
    for index in range(len(found) - 2, -1, -1):
        one, after = found[index], found[index + 1]
        if one.build is not None and link.fullmatch(text, one.end, after.start):
            near = one.in_year(after.last.year)
            found[index] = near if near.first <= after.first else one.in_year(after.last.year - 1)
    return found


def _joined(text: str, one: Moment, other: Moment) -> bool:
    if _TO.fullmatch(text, one.end, other.start):
        return True
    around = re.search(r"\bbetween\s*(?:the\s+)?$", text[: one.start]) or re.match(
        r"\s*(?:之间|期间|间|这段时间|两期)", text[other.end :]
    )
    return bool(around) and bool(_BETWEEN.fullmatch(text, one.end, other.start))


def _range(one: Moment, other: Moment, start: int) -> Period:
    """From the first to the second, whichever order they stand in."""
    early, late = (one, other) if one.first <= other.first else (other, one)
    begin = early.last if early.grain in ("year", "day") else early.before
    return Period(begin, late.last, "range", late.grain, start, other.end)


def _single(text: str, one: Moment, as_of: date, *, alone: bool) -> Period:
    """A moment with the words around it."""
    this_year = one.grain == "year" and one.first.year == as_of.year
    after_it = one.before if this_year else one.last
    opened = _SINCE_BEFORE.search(text, 0, one.start) or _FROM_BEFORE.search(text, 0, one.start)
    closed = _THEN_NOW.match(text, one.end) or _SINCE_AFTER.match(text, one.end)
    since = _SINCE_BEFORE.search(text, 0, one.start)
    if closed or (since and alone):
        begin = after_it if one.grain in ("year", "day") else one.before
        start, end = opened.start() if opened else one.start, closed.end() if closed else one.end
        return Period(begin, as_of, "since", one.grain, start, end)
    versus = _VERSUS_BEFORE.search(text, 0, one.start)
    with_it = _WITH_BEFORE.search(text, 0, one.start)
    after = _VERSUS_AFTER.match(text, one.end)
    if alone and (versus or (with_it and after)):
        start = versus.start() if versus else one.start
        return Period(after_it, as_of, "versus", one.grain, start, after.end() if after and not versus else one.end)
    until = _UNTIL_BEFORE.search(text, 0, one.start)
    if until and alone:
        return Period(None, one.last, "until", one.grain, until.start(), one.end)
    ended = _BEFORE_AFTER.match(text, one.end)
    if ended or _BEFORE_BEFORE.search(text, 0, one.start):
        return Period(None, one.before, "until", one.grain, one.start, ended.end() if ended else one.end)
    return Period(None if one.grain == "day" else one.before, one.last, "moment", one.grain, one.start, one.end)
