"""Quantities: numbers with a dimension and a value in SI, Chinese and English.

``find_quantities(prepare(text))`` gives every number of a text with its unit. ``prepare`` first takes out what is
no measurement (dates, "image 2", the part after ±) and writes ranges and fractions in one form. A bound
("more than 1000", "至少3处") is a range that is open on one side, so no caller can take it for a point.

Not covered: weights, money, imperial lengths; 里 and 顷 (too many meanings).

    >>> [(q.value, q.dimension) for q in find_quantities(prepare("2024年增加了7.5亩, i.e. 0.5 ha or 65%"))]
    [(5000.0, 'area'), (5000.0, 'area'), (0.65, 'ratio')]
"""

import math
import re
from dataclasses import dataclass
from functools import lru_cache

from src.answers.numbers import MEASURE_WORDS, NUMBER, NUMBER_BODY, format_number, normalise, number_value
from src.constants import AREA_UNITS_M2
from src.errors import InputError

# (names as regular expressions, dimension, SI value of one unit). SI here: m2, m, 1 (ratio), degrees Celsius.
# 1 mu = 2000/3 m2 and 1 ha = 15 mu exactly; the acre is the international one, 43,560 square feet of 0.3048 m.
UNITS: tuple[tuple[tuple[str, ...], str, float], ...] = (
    (
        ("km2", r"sq\.?\s?km", r"square[\s-]kilomet(?:er|re)s?", r"square\skm", "平方公里", "平方千米"),
        "area",
        AREA_UNITS_M2["km2"],
    ),
    (("ha", "hectares?", "公顷"), "area", AREA_UNITS_M2["ha"]),
    (("公亩",), "area", 100.0),
    (("mu", "亩"), "area", AREA_UNITS_M2["mu"]),
    (("acres?", "英亩"), "area", 4046.8564224),
    (
        ("m2", r"sq\.?\s?m", "sqm", r"square[\s-]met(?:er|re)s?", r"square\sm", "平方米", "平米"),
        "area",
        AREA_UNITS_M2["m2"],
    ),
    (("km", "kilomet(?:er|re)s?", "公里", "千米"), "length", 1000.0),
    (("m", "met(?:er|re)s?", "米"), "length", 1.0),
    (("cm", "centimet(?:er|re)s?", "厘米", "公分"), "length", 0.01),
    (("mm", "millimet(?:er|re)s?", "毫米"), "length", 0.001),
    (("%", r"per\s?cent", r"percentage[\s-]points?", "pp", "个?百分点"), "ratio", 0.01),
    (("‰",), "ratio", 0.001),
    (("成(?![功为立])",), "ratio", 0.1),
    (("°c", r"degrees?(?:\s(?:celsius|c))?", "摄氏度", "度"), "temperature", 1.0),
    ((r"(?:year|month|week|day|hour)s?", "个月", "小时", "[年月天日周]"), "time", 1.0),
    (("times", "-?fold", "倍"), "multiple", 1.0),
)
# An English name ends at the end of a word; a Chinese one may be followed by anything.
UNIT = "(?:{})".format(
    "|".join(rf"{name}(?![a-z0-9])" if re.search("[a-z]", name) else name for names, _, _ in UNITS for name in names)
)

AREA_UNIT_NAMES = {
    "m2": {"zh": "平方米", "en": " m2"},
    "mu": {"zh": "亩", "en": " mu"},
    "ha": {"zh": "公顷", "en": " ha"},
    "km2": {"zh": "平方公里", "en": " km2"},
}
# Decimals printed: about one Sentinel-2 pixel (100 m2) or less in each unit.
_AREA_DECIMALS = {"m2": 0, "mu": 2, "ha": 2, "km2": 4}

_YEAR = r"(?:19|20)\d{2}"
_NO_UNIT_AFTER = rf"(?![\d%])(?![.,]\d)(?!\s*(?:{UNIT}|[{MEASURE_WORDS}万亿]))"
_MONTH = r"(?:jan|feb|mar|apr|may|june?|july?|aug|sept?|oct|nov|dec)[a-z]*\.?"
# Numbers that are names or dates. The word before a bare English year is part of the pattern: "2012 buildings" is
# a count, "in 2012" is not. 第 needs no entry: NUMBER never starts after it.
_NOT_MEASURED = re.compile(
    rf"{_YEAR}\s?[-/.]\s?\d{{1,2}}\s?[-/.]\s?\d{{1,2}}(?!\d)"
    rf"|{_YEAR}(?:\s*[-~到至、和与及]\s*{_YEAR})*\s*年(?:\d{{1,2}}月(?:\d{{1,2}}[日号])?)?"
    rf"|(?<!\d)\d{{1,2}}月(?:\d{{1,2}}[日号])?"
    rf"|\b{_MONTH}(?:\s\d{{1,2}}(?:st|nd|rd|th)?)?,?\s{_YEAR}(?!\d)"
    rf"|\b(?:in|since|during|until|from|between|before|after|of|year|with)\s+{_YEAR}{_NO_UNIT_AFTER}"
    rf"(?:\s*(?:-|~|to|and|vs\.?|until)\s*{_YEAR}{_NO_UNIT_AFTER})?"
    rf"|(?<![\d.]){_YEAR}\s*[-~/]\s*{_YEAR}{_NO_UNIT_AFTER}"
    rf"|(?<![\d.]){_YEAR}(?=\s*:)"
    r"|(?:\b(?:image|figure|fig\.?|band|no\.)|图|表|编号)\s?\d+(?!\d)"
)
_FRACTION = re.compile(rf"([百千万]|{NUMBER})分之({NUMBER_BODY})")
_HALF = re.compile(r"一半|(?<!a )\bhalf(?=\sof\b|$)")
_TENTHS = re.compile(r"([一二三四五六七八九])成([一二三四五六七八九])")  # 六成五 is 65 %
_PLUS_MINUS = re.compile(rf"\s*\(?(?:±|\+/-)\s*{NUMBER_BODY}%?\)?")
_FROM = re.compile(rf"((?:\bfrom\s+|[从由自]){NUMBER_BODY}\s*{UNIT}?)\s*(?:-|~|到|至|\bto\b)")
_BETWEEN = re.compile(rf"\bbetween\s+({NUMBER_BODY}\s*{UNIT}?)\s+and\s+")
_BETWEEN_ZH = re.compile(rf"(?:介于)?({NUMBER}\s*{UNIT}?)[和与](?={NUMBER_BODY}\s*{UNIT}?之间)")

_QUANTITY = re.compile(
    rf"(?P<low>{NUMBER})(?:[\s-]?(?P<low_unit>{UNIT}))?"
    rf"(?:(?:\s*[-~到至]\s*|\s+to\s+|_to_)(?P<high>{NUMBER_BODY})(?:[\s-]?(?P<high_unit>{UNIT}))?)?"
)
_LIST = re.compile(r"\s*(?:,|、|/|;|\bor\b|\band\b|或者?|和)\s*(?:or|and)?\s*")
_AT_MOST = re.compile(
    r"(?:\b(?:no|not) more than|\b(?:less|fewer|lower|smaller) than|\b(?:under|below|at most|up to)|不超过|不足|不到|"
    r"小于|少于|低于|至多|最多|[<≤])\s*$"
)
_AT_LEAST = re.compile(
    r"(?:\b(?:more|greater|larger) than|\b(?:no|not) (?:less|fewer) than|\b(?:over|above|at least|exceed(?:s|ing)?)|"
    r"不少于|不低于|不小于|超过|大于|多于|高于|至少|[>≥])\s*$"
)
_BOUND_CHARS = 24  # the longest words of a bound and a space
_OR_LESS = re.compile(rf"\s*(?:or (?:less|fewer)\b|[{MEASURE_WORDS}]?以[下内])")
_OR_MORE = re.compile(rf"\s*(?:or more\b|[{MEASURE_WORDS}]?以上|[多余](?=[{MEASURE_WORDS}\s]|{UNIT}|$))")


@dataclass(frozen=True)
class Quantity:
    """One number of a text, or one range.

    Attributes:
        low, high: ends in SI of the dimension (m2, m, 1, degrees Celsius), or plain numbers where dimension is
            None; equal for a point, infinite for an open bound.
        dimension: area, length, ratio, temperature, time, multiple; None for a bare number.
        factor: SI value of one written unit.
        start, end: position in the prepared text.
    """

    low: float
    high: float
    dimension: str | None
    factor: float
    start: int
    end: int

    @property
    def value(self) -> float:
        """The middle of the range, which is the number itself for a point."""
        return self.low if self.low == self.high else (self.low + self.high) / 2


@lru_cache(maxsize=256)
def unit_of(name: str) -> tuple[str, float]:
    """Return (dimension, SI value) of a unit's normalised name.

    Raises:
        InputError: for a name that UNITS does not hold.
    """
    for names, dimension, factor in UNITS:
        if re.fullmatch("|".join(names), normalise(name)):
            return dimension, factor
    raise InputError(f"unit {name!r} is unknown; expected a name from src.answers.units.UNITS")


def prepare(text: str) -> str:
    """Normalise a text and write its dates, fractions, tolerances and ranges so that find_quantities can read it."""
    text = re.sub(r"—+", "~", re.sub(r"[‐‑–−]", "-", text.replace("，", ", ")))
    text = normalise(text).replace("^2", "2").replace("〜", "~").replace("∼", "~")
    text = _HALF.sub("50%", text)
    text = _TENTHS.sub(r"\1点\2成", _FRACTION.sub(_as_percent, text))
    text = _NOT_MEASURED.sub(" # ", text)
    text = _PLUS_MINUS.sub("", text)
    text = _FROM.sub(r"\1 # ", text)
    return _BETWEEN_ZH.sub(r"\1~", _BETWEEN.sub(r"\1~", text))


def find_quantities(text: str) -> list[Quantity]:
    """Return the quantities of a prepared text in order.

    "a-b", "a to b" and "between a and b" are ranges; "from a to b" is two values, the state before and after. In a
    list ("3, 4 or 5 ha") the bare numbers take the unit that follows them.
    """
    found: list[Quantity] = []
    for match in reversed(list(_QUANTITY.finditer(text))):
        low, high = number_value(match["low"]), number_value(match["high"] or match["low"])
        if low is None or high is None:
            continue
        following = found[-1] if found and _LIST.fullmatch(text, match.end(), found[-1].start) else None
        outer = (following.dimension, following.factor) if following else (None, 1.0)
        low_unit, high_unit = match["low_unit"] or match["high_unit"], match["high_unit"] or match["low_unit"]
        dimension, factor = unit_of(low_unit) if low_unit else outer
        high_dimension, high_factor = unit_of(high_unit) if high_unit else outer
        start, end = match.span()
        low, high = low * factor * _shared_scale(match), high * high_factor
        if dimension == high_dimension:
            low, high = _open_ends(text, start, end, *sorted((low, high)))
        else:  # "3 ha to 5 m" is two values, not a range
            found.append(Quantity(high, high, high_dimension, high_factor, start, end))
            high = low
        found.append(Quantity(low, high, dimension, factor, start, end))
    return found[::-1]


def convert(value: float, source: str, target: str) -> float:
    """Convert between two unit names of one dimension: (7.5, "亩", "公顷") gives 0.5.

    Raises:
        InputError: for an unknown unit or two dimensions.
    """
    (source_dimension, source_factor), (target_dimension, target_factor) = unit_of(source), unit_of(target)
    if source_dimension != target_dimension:
        raise InputError(f"cannot convert {source} ({source_dimension}) to {target} ({target_dimension})")
    return value * source_factor / target_factor


def format_area(value_m2: float, unit: str, lang: str) -> str:
    """Return an area with its unit: (5000, "mu", "zh") gives "7.5亩".

    Args:
        value_m2: area in square metres.
        unit: m2, mu, ha or km2.
        lang: zh or en.

    Raises:
        InputError: for an unknown unit or language.
    """
    name = AREA_UNIT_NAMES.get(unit, {}).get(lang)
    if name is None:
        raise InputError(f"area unit {unit!r} in {lang!r} is unknown; expected m2, mu, ha or km2, and zh or en")
    return f"{format_number(value_m2 / AREA_UNITS_M2[unit], _AREA_DECIMALS[unit])}{name}"


def _as_percent(match: re.Match[str]) -> str:
    """百分之六十五 as "65%", 三分之一 as "33.333...%"."""
    whole = {"百": 100.0, "千": 1000.0, "万": 10000.0}.get(match[1]) or number_value(match[1])
    part = number_value(match[2])
    return match[0] if not whole or part is None else f"{format_number(100 * part / whole, 10)}%"


def _shared_scale(match: re.Match[str]) -> float:
    """The scale that "3-4万亩" writes once for both ends."""
    if not match["high"] or match["low_unit"]:
        return 1.0
    high = re.fullmatch(r"([\d.]+)\s*([万亿]+|thousand|million|billion)", match["high"])
    if not high or not re.fullmatch(r"[\d.]+", match["low"]) or float(match["low"]) >= float(high[1]):
        return 1.0
    return (number_value(match["high"]) or 1.0) / float(high[1])


def _open_ends(text: str, start: int, end: int, low: float, high: float) -> tuple[float, float]:
    """Widen a number to an open range where the words around it make it a bound."""
    before = text[max(0, start - _BOUND_CHARS) : start]
    if _AT_MOST.search(before) or _OR_LESS.match(text, end):
        return -math.inf, high
    if _AT_LEAST.search(before) or _OR_MORE.match(text, end):
        return low, math.inf
    return low, high
