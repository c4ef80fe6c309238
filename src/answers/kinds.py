"""Which kind of answer a question wants; the kind decides how the answer is compared.

Order: a reference that is a bucket; the dataset's own question type; the question's wording, first fitting rule; open.
A rule fits only where the reference can be read as its kind, so "Is there a road or a river?" with the reference
"yes" is yes/no and "How many buildings are in this area?" with the reference "12" is a count.

    >>> question_kind("新增建设用地面积是多少？", "800平方米"), question_kind("Which county is it?", "Xundian")
    ('num', 'open')
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from src.answers.choices import labels, options_in, polarity, says_none
from src.answers.numbers import MEASURE_WORDS, normalise
from src.answers.units import UNIT, find_quantities, prepare, unit_of

KINDS = ("yn", "choice", "count", "num", "bucket", "open")

# Question types of RSVQA, CDVQA, EarthVQA and of this project's own questions. Several kinds: the first that fits.
DATASET_KINDS: dict[str, tuple[str, ...]] = {
    "presence": ("yn",),
    "comp": ("yn",),
    "change_or_not": ("yn",),
    "increase_or_not": ("yn",),
    "decrease_or_not": ("yn",),
    "judging": ("yn",),
    "rural_urban": ("choice",),
    "smallest_change": ("choice",),
    "largest_change": ("choice",),
    "change_to_what": ("choice",),
    "dominant": ("choice",),
    "change": ("yn", "choice"),
    "count": ("count",),
    "counting": ("count",),
    "area": ("num",),
    "share": ("num",),
    "change_share": ("num",),
    "change_ratio": ("bucket", "num"),
    "change_ratio_types": ("bucket", "num"),
    "analysis": ("open",),
    "caption": ("open",),
}

_SCALES = {"million": 1e6, "thousand": 1e3, "万": 1e4, "十万": 1e5, "百万": 1e6, "千万": 1e7, "亿": 1e8}
_SCALE = rf"(?:{'|'.join(_SCALES)})?\s?"
# The unit that a question asks for: "how many hectares", "多少万亩", "in km2", "(公顷)".
_ASKED = re.compile(
    rf"(?:\b(?:how many|how much|in)\s|多少|几|单位[:为是]?|[以用(])\s?(?P<scale>{_SCALE})(?P<unit>{UNIT})"
)
_HOW_MANY_UNITS = re.compile(rf"(?:how many\s|多少|几)\s?{_SCALE}{UNIT}")
# The dimension that a question talks about, most specific first: 面积占比 is a ratio.
_DIMENSIONS = (
    (
        "ratio",
        r"占比|比例|比率|百分|增长率|变化率|覆盖率"
        r"|\b(?:per\s?cent(?:age)?|proportion|ratio|rate|share|coverage)\b",
    ),
    ("temperature", r"温度|气温|\btemperature\b"),
    ("area", r"面积|多大|\b(?:area|how (?:large|big))\b"),
    (
        "length",
        r"距离|[长宽高]度|周长|多[长远高宽]"
        r"|\b(?:distance|length|width|height|perimeter|how (?:far|long|wide|high))\b",
    ),
)
# A bare "65" answers "what share" in per cent and "what temperature" in degrees; areas and lengths have no such habit.
_USUAL_FACTOR = {"ratio": 0.01, "temperature": 1.0}

_YES_NO = re.compile(
    r"(?:^|,\s)(?:is|are|was|were|do|does|did|has|have|had|can|could|will|would|should|whether)\b"
    r"|是否|有没有|有无|是不是|能否|可否|会不会|存不存在|吗$"
)
_COUNT = re.compile(
    rf"\bhow many\b|\b(?:number|amount|count|total) of\b|(?:几|多少)\s?[{MEASURE_WORDS}]|数量|个数|数目|总数"
)
QUESTION_RULES: tuple[tuple[str, re.Pattern[str]], ...] = (
    (
        "choice",
        re.compile(r"\brural\b.*\bor\b.*\burban\b|^(?:is|are|was|were|did|does|do|has|have)\b.*\bor\b|是.*还是"),
    ),
    ("yn", _YES_NO),
    ("num", _HOW_MANY_UNITS),
    ("num", re.compile("|".join((r"\bhow much\b", *(words for _, words in _DIMENSIONS))))),
    ("count", _COUNT),
    ("num", re.compile("多少$")),
    ("count", re.compile("多少")),
    ("num", re.compile("多少")),
)

_END = r"\d+(?:\.\d+)?"
_BUCKETS = (
    (re.compile(rf"between (?P<low>{_END})(?P<unit>m2)? and (?P<high>{_END})(?:m2)?"), None),
    (re.compile(rf"more than (?P<low>{_END})(?P<unit>m2)?"), None),
    (re.compile(r"(?P<low>\d+)_to_(?P<high>\d+)"), "%"),
    (re.compile(rf"(?P<low>{_END})(?P<unit>%)\s?(?:[-~到至]|to)\s?(?P<high>{_END})%"), None),
)


@dataclass(frozen=True)
class Bucket:
    """A class of values, low < x <= high, in SI of its dimension; low == high holds that one value.

    Attributes:
        low, high: ends; high is infinite for "more than 1000".
        dimension: area, ratio, or None for a count.
        factor: SI value of one written unit.
        unit_written: False for CDVQA's deciles ("0_to_10"), whose per cent is understood.
    """

    low: float
    high: float
    dimension: str | None
    factor: float
    unit_written: bool


def question_kind(question: str, reference: str, dataset_type: str | None = None) -> str:
    """Return the kind of answer that a question wants.

    Args:
        question: the question as asked.
        reference: the reference answer; it decides between rules that the wording alone cannot tell apart.
        dataset_type: the dataset's question type, looked up whole in DATASET_KINDS and by its last word
            ("Basic Judging"); an unknown type is as good as none.

    Returns:
        One of KINDS.
    """
    if parse_bucket(reference):
        return "bucket"
    words = (dataset_type or "").lower().split()
    typed = DATASET_KINDS.get("_".join(words)) or DATASET_KINDS.get(words[-1] if words else "", ())
    text = normalise(question)
    worded = (kind for kind, rule in QUESTION_RULES if rule.search(text))
    for kind in (*typed, *worded):
        if kind == "open" or _FITS[kind](text, reference):
            return kind
    return "open"


def parse_bucket(text: str, zero: bool = False) -> Bucket | None:
    """Read "between 10 and 100", "more than 1000m2", "0_to_10", "60%-70%".

    Args:
        text: a reference answer.
        zero: also read CDVQA's "0", the class of no change.
    """
    text = normalise(text)
    if zero and re.fullmatch(r"0\s?%?", text):
        return Bucket(0.0, 0.0, "ratio", 0.01, unit_written=False)
    for pattern, implied in _BUCKETS:
        match = pattern.fullmatch(text)
        if match:
            groups = match.groupdict()
            unit = groups.get("unit")
            dimension, factor = unit_of(unit or implied) if unit or implied else (None, 1.0)
            high = float(groups.get("high") or "inf")
            return Bucket(float(match["low"]) * factor, high * factor, dimension, factor, unit_written=bool(unit))
    return None


def asked_unit(question: str) -> tuple[str, float] | None:
    """Return (dimension, SI value) of the unit that a question asks for: "多少万亩" gives area and 1e4 mu.

    A share in per cent or a temperature in degrees Celsius is understood where the question names the dimension only.
    """
    text = prepare(question)
    for quantity in reversed(find_quantities(text)):  # "within 5 km" is a condition
        text = text[: quantity.start] + ";" + text[quantity.end :]
    match = _ASKED.search(text)
    if match:
        dimension, factor = unit_of(match["unit"])
        return dimension, factor * _SCALES.get(match["scale"].strip(), 1.0)
    dimension_named = asked_dimension(question)
    factor_usual = _USUAL_FACTOR.get(dimension_named or "")
    return (dimension_named, factor_usual) if dimension_named and factor_usual else None


def asked_dimension(question: str) -> str | None:
    """Return the dimension that the words of a question name, or None."""
    text = normalise(question)
    return next((dimension for dimension, words in _DIMENSIONS if re.search(words, text)), None)


def _fits_choice(question: str, reference: str) -> bool:
    """One label, or a text that is none of ours and no yes or no."""
    found = labels(reference, options_in(question))
    return len(found) == 1 or (not found and polarity(reference) is None)


def _fits_num(question: str, reference: str) -> bool:
    """A quantity with a dimension; a bare number only where it cannot be the answer to a counting question."""
    text = prepare(reference)
    quantities = find_quantities(text)
    if any(quantity.dimension for quantity in quantities):
        return True
    bare = bool(quantities) or says_none(text)
    return bare and (asked_unit(question) is not None or not _COUNT.search(question))


def _fits_count(question: str, reference: str) -> bool:
    text = prepare(reference)
    quantities = find_quantities(text)
    if not quantities:
        return says_none(text)
    return len({(q.low, q.high) for q in quantities if q.dimension is None}) == 1


_FITS: dict[str, Callable[[str, str], bool]] = {
    "yn": lambda question, reference: polarity(reference) is not None,
    "choice": _fits_choice,
    "count": _fits_count,
    "num": _fits_num,
    "bucket": lambda question, reference: parse_bucket(reference, zero=True) is not None,
}
