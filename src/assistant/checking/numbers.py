"""Numbers in a text as they are written: value, unit, last written place, and words such as "about"."""

import math
import re
from typing import NamedTuple

from src.answers.numbers import number_value
from src.answers.units import UNITS, unit_of
from src.assistant.checking.text import HAN, HAN_DIGIT


class Number(NamedTuple):
    """A number as it is written.

    Args:
        value: in SI of the dimension, with the sign that is written.
        step: one unit in the last written place, same unit.
        sign: -1, 0 (none written) or 1.
        dimension: "area", "share", "count", "length", "time", "degrees", "multiple", "unknown"; "" for a bare number.
        noun: what is counted, "" where not said.
        mode: "", "about", "least" (at least, more than) or "most".
        per_year: "a year" follows.
        high: other end of a range.
        decimal: a point is written.
        factor: SI value of one unit.
        places: digits written behind the point.
    """

    value: float
    step: float
    sign: int
    dimension: str
    noun: str = ""
    mode: str = ""
    per_year: bool = False
    high: "Number | None" = None
    decimal: bool = False
    factor: float = 1.0
    places: int = 0


DIGITS = r"(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?"
_SCALE = r"(?:[十万亿]|千(?![米克瓦])|百(?!分))"
_EN_SCALE = r"(?:hundred|thousand|million|billion|dozen)(?![a-z])"
_SMALL = (
    r"(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen|fourteen|fifteen|sixteen|seventeen|"
    r"eighteen|nineteen|twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety|zero)"
)
_UNIT_NAMES = {
    dimension: "|".join(
        rf"{name}(?![a-z0-9])" if re.search("[a-z]", name) else name
        for names, kind, _ in UNITS
        if kind == source
        for name in names
    )
    for dimension, source in (("area", "area"), ("share", "ratio"), ("length", "length"))
}
_COUNTERS = "个处块宗片幅景期类种项家户座栋条张名位次人县乡镇村级"
_HAN_NEXT = (
    rf"(?=\s*[多余来]?\s*(?:{'|'.join(_UNIT_NAMES.values())}|[{_COUNTERS}]|[{_COUNTERS}]?图斑|分之|度|[年天日周]|"
    rf"小时|倍|成|"
    rf"[%‰°]|[至到~-]\s?[{HAN}十\d]|[、和与][{HAN}十\d]+|左右|上下|以[上下内]|[^\u4e00-\u9fff]|$))"
)
_HAN_NUMBER = (
    r"(?<![第统唯同万单专任某每另逐不其之合归初周期拜几数上成百千亿零〇一二两三四五六七八九十])"
    rf"[{HAN}十](?:[{HAN}]|点(?=[{HAN}])|{_SCALE})*{_HAN_NEXT}"
)
_WORD_NUMBER = (
    rf"(?<![a-z-])(?:{_SMALL}(?:[\s-]{_SMALL})?|"
    rf"an?(?=\s{_EN_SCALE}))(?:\s{_EN_SCALE}(?:,?\s(?:and\s)?{_SMALL}(?:[\s-]{_SMALL})?)?)*"
    r"(?![a-z])"
)
HAN_PLAIN = rf"[{HAN}十百](?:[{HAN}]|点(?=[{HAN}])|{_SCALE})*"
BODY = rf"(?:{DIGITS}(?:\s?{_SCALE}+(?:\d+{_SCALE}+)*|\s?{_EN_SCALE})?|{_HAN_NUMBER}|{_WORD_NUMBER})"
# The dash in front of a date joins a period.
SIGN = (
    r"(?:(?<![a-z0-9_%°)\]\-])[-+]\s?(?!(?:19|20)\d\d\s?[-/.年]\s?\d{1,2}\s?[-/.月]\s?\d"
    r"|\d{1,2}\s(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec))|负|"
    r"(?<![a-z])(?:minus|negative)\s)"
)
_MODE_BEFORE = (
    (
        "about",
        r"约为?|大约|大概|近似|大致|差不多|about|around|approximately|approx\.?|roughly|some|≈|~|circa|ca\.|"
        r"an estimated",
    ),
    (
        "most",
        r"近|接近|将近|不足|不到|不超过|小于|少于|低于|至多|最多|nearly|almost|under|below|less than|fewer than|"
        r"at most|up to|no more than|"
        r"not more than|<=?|≤",
    ),
    (
        "least",
        r"超过?|逾|不小于|不少于|不低于|至少|大于|多于|高于|over|above|more than|at least|no less than|"
        r"not less than|exceed(?:s|ing)?|"
        r">=?|≥",
    ),
)
_MODES = {name: re.compile(rf"(?:{words.replace('|', '|(?<![a-z])')})\s*$") for name, words in _MODE_BEFORE}
_AFTER_ABOUT = re.compile(r"\s?(?:左右|上下|or so)")
_AFTER_LEAST = re.compile(r"\s?(?:以上|or more|and more|and above)")
_AFTER_MOST = re.compile(r"\s?(?:以下|以内|or less|or fewer)")
_UNITS_AFTER: tuple[tuple[str, re.Pattern[str]], ...] = (
    (
        "count",
        re.compile(r"-?\s?(?:个|处|块|宗|片|幅|景|期(?!间|初|末)|类|种|项|家|户|座|栋|条|张|名|位|次)(?!百分点|月)"),
    ),
    ("area", re.compile(rf"[\s-]?(?:{_UNIT_NAMES['area']})")),
    ("share", re.compile(rf"[\s-]?(?:{_UNIT_NAMES['share']})")),
    ("length", re.compile(rf"[\s-]?(?:{_UNIT_NAMES['length']})")),
    ("degrees", re.compile(r"\s?(?:°|度)(?!\s?c)")),
    (
        "time",
        re.compile(r"[\s-]?(?:个月|个季度|季度|小时|年|月|天|日|周|(?:year|month|week|day|hour|quarter)s?(?![a-z]))"),
    ),
    ("multiple", re.compile(r"[\s-]?(?:倍|times(?![a-z])|-?fold|x(?![a-z]))")),
    ("count", re.compile(r"\s?(?:px|pixels?|像元|像素)")),
)
_TIME_DAYS = {
    "年": 365.25,
    "year": 365.25,
    "季度": 91.3,
    "个季度": 91.3,
    "quarter": 91.3,
    "个月": 30.44,
    "月": 30.44,
    "month": 30.44,
    "周": 7.0,
    "week": 7.0,
    "天": 1.0,
    "日": 1.0,
    "day": 1.0,
    "小时": 1 / 24,
    "hour": 1 / 24,
}
_PER_YEAR = re.compile(
    r"\s?(?:/\s?(?:年|a(?![a-z])|yr|year)|每年|per\s(?:year|annum)|a\syear|each\syear|annually|yearly)"
)
_NOUNS = (
    (
        "patches",
        r"图斑|斑块|线索|地块|疑似|点位|patch(?:es)?|clues?|sites?|plots?|spots?|finds?|facilities|polygons?|"
        r"parcels?|changes?",
    ),
    ("towns", r"乡镇|街道|乡|镇|村|towns?|townships?|villages?"),
    ("samples", r"样本|样点|检验点|samples?"),
    ("dates", r"期|景|时相|影像|日期|dates?|images?|scenes?|epochs?|acquisitions?|periods?"),
    ("classes", r"地类|类|class(?:es)?|kinds?|types?"),
    ("pixels", r"像元|像素|pixels?|px"),
)
_NOUN = re.compile("|".join(rf"(?P<{name}>{words})" for name, words in _NOUNS))
EN_FRACTION = re.compile(
    r"(?<![a-z])(?:(?P<n>one|two|three|four|a|\d+)[\s-])?(?P<d>half|thirds?|quarters?|fifths?|tenths?)(?=\s?of\b|$|"
    r"[\s,.;)](?!of\s(?:19|20)))"
)
_DENOMINATORS = {"half": 2, "third": 3, "quarter": 4, "fifth": 5, "tenth": 10}
_HAN_TENTHS = re.compile(rf"([{HAN}])成([{HAN}])")
_RANGE = re.compile(r"\s?(?:-|~|至|到|to|and)\s?(?=[-+\d零一二两三四五六七八九十])|\s(?:to|and)\s")


def _step_of(mantissa: str, value: float, scale: float) -> float:
    """One unit in the last place that a number claims; trailing zeros claim nothing beyond two digits."""
    if "." in mantissa:
        return 10.0 ** -len(mantissa.split(".")[1]) * scale
    whole = f"{abs(value):.0f}"
    zeros = len(whole) - len(whole.rstrip("0"))
    return 10.0 ** min(zeros, max(0, len(whole) - 2)) if abs(value) >= 1 else 0.1


def _read(body: str) -> tuple[float, float, bool] | None:
    """Value, step and whether a point is written; None where the parts form no number."""
    value = number_value(body)
    point = re.fullmatch(rf"([^点]+)点([{HAN}]+)([万亿]*)", body)
    if point:
        whole = number_value(point[1])
        scale = math.prod({"万": 1e4, "亿": 1e8}[one] for one in point[3])
        decimals = "".join(HAN_DIGIT[one] if one != "两" else "2" for one in point[2])
        return (
            None if whole is None else ((whole + float(f"0.{decimals}")) * scale, 10.0 ** -len(decimals) * scale, True)
        )
    if value is None:
        return None
    digits = re.match(r"[\d,]+(?:\.\d+)?", body)
    if digits:
        mantissa = digits[0].replace(",", "")
        scale = value / float(mantissa) if float(mantissa) else 1.0
        return value, _step_of(mantissa, value, scale), "." in mantissa
    return value, _step_of("", value, 1.0), False


def _mode(text: str, start: int, end: int) -> str:
    before = text[max(0, start - 16) : start]
    if _AFTER_ABOUT.match(text, end):
        return "about"
    if _AFTER_LEAST.match(text, end):
        return "least"
    if _AFTER_MOST.match(text, end):
        return "most"
    return next((name for name in ("most", "least", "about") if _MODES[name].search(before)), "")


def _noun(text: str, end: int, limit: int) -> str:
    stop = re.compile(r"[,;:。.!?\n()、|]|(?<![a-z])(?:and|of|in|are|is|were|was|with)(?![a-z])").search(
        text, end, limit
    )
    found = _NOUN.search(text, end, stop.start() if stop else limit)
    return found.lastgroup or "" if found else ""


class _Numbers:
    """Reads numbers at given places of one clean text."""

    def __init__(self, text: str) -> None:
        self.text = text

    def at(self, start: int, sign: str, body: str, end: int) -> tuple[Number, int] | None:
        """The number whose digits end at ``end``, with the unit behind it, and where all of it ends."""
        read = _read(body)
        if read is None:
            return Number(float("nan"), 0.0, 0, "unknown"), end
        value, step, decimal = read
        marked = -1 if sign and sign[0] not in "+" else 1 if sign else 0
        text = self.text
        more = re.compile(r"\s?[多余](?=\s?(?:[万亿]|个|处|亩|公|平))").match(text, end)
        if more:
            end = more.end()
            scale = {"万": 1e4, "亿": 1e8}.get(text[end : end + 1])
            if scale:
                value, step, end = value * scale, step * scale, end + 1
        dimension, factor, after = self._unit(end)
        noun = ""
        if dimension in ("count", ""):
            noun = _noun(text, end, min(len(text), end + (14 if after > end else 48)))
            if dimension == "" and noun and self._counted(end):
                dimension = "count"
        mode = "least" if more else _mode(text, start, after)
        year = _PER_YEAR.match(text, after)
        number = Number(
            value * factor * (marked or 1),
            step * factor,
            marked,
            dimension,
            noun,
            mode,
            year is not None,
            None,
            decimal,
            factor,
            len(re.split("[.点]", body)[1].rstrip("十百千万亿 ")) if decimal else 0,
        )
        return number, year.end() if year else after

    def _counted(self, end: int) -> bool:
        """Whether an English noun or 图斑 stands within a few words."""
        return (
            re.compile(rf"\s?(?:[a-z-]+\s){{0,4}}?(?:{'|'.join(words for _, words in _NOUNS)})(?![a-z])").match(
                self.text, end
            )
            is not None
        )

    def _unit(self, end: int) -> tuple[str, float, int]:
        for dimension, pattern in _UNITS_AFTER:
            found = pattern.match(self.text, end)
            if not found:
                continue
            name = found[0].strip(" -")
            if dimension in ("area", "share", "length"):
                return dimension, unit_of(name)[1], found.end()
            if dimension == "time":
                return dimension, _TIME_DAYS[name.rstrip("s")], found.end()
            return dimension, 1.0, found.end()
        unknown = re.compile(r"[a-z]|\s?(?:元|吨|人民币|斤|顷|垧|dunam|feet|ft\b|yards?|miles?)").match(self.text, end)
        return ("unknown" if unknown else ""), 1.0, end


_NUMBER = re.compile(rf"(?P<sign>{SIGN})?(?P<body>{BODY})")
_ARTICLE = re.compile(
    r"一(?![亩公平成半倍])(?!(?:个|处|块|宗|片)(?:疑似|变化|新增)*(?:图斑|地块|斑块|线索)(?!\s?\d{6}-))"
)


def _is_word(text: str, found: re.Match[str]) -> bool:
    """Numerals that are words: one of, 一个 as an article, 三调."""
    body, start, end = found["body"], found.start("body"), found.end("body")
    if body == "一":
        return _ARTICLE.match(text, start) is not None
    if body == "one":
        return not re.compile(
            r"\s(?:[a-z-]+\s){0,2}(?:patch|site|mu|ha|hectare|town|per\s?cent|percent|image|scene|clue)"
        ).match(text, end)
    if body in ("两", "二", "三", "四"):
        return re.compile(r"[调向至乱]|者|侧|端|方面|区三线").match(text, end) is not None
    return False


def number_at(text: str, found: re.Match[str]) -> tuple[Number, int] | None:
    """The number or range that starts with a match of the number pattern; None where it is a word."""
    if _is_word(text, found):
        return None
    reader = _Numbers(text)
    read = reader.at(found.start(), found["sign"] or "", found["body"], found.end())
    if read is None:
        return None
    low, end = read
    sep = _RANGE.match(text, end)
    if sep and (
        sep[0].strip() != "and"
        or re.compile(r"between\s*$|介于\s*$").search(text, max(0, found.start() - 9), found.start())
    ):
        second = _NUMBER.match(text, sep.end())
        if second and not _is_word(text, second):
            other = reader.at(second.start(), second["sign"] or "", second["body"], second.end())
            changing = re.compile(r"(?:从|由|自|from\s)\s*$").search(text, max(0, found.start() - 6), found.start())
            if other and not changing and _one_range(low, other[0]):
                high, end = other
                return _shared(low, high, found["body"], second["body"]), end
    return low, end


def _one_range(low: Number, high: Number) -> bool:
    return low.dimension in ("", high.dimension) or high.dimension == ""


def _shared(low: Number, high: Number, low_body: str, high_body: str) -> Number:
    """Both ends of a range in the unit that is written once; 1.1–1.4万亩 shares its scale, too."""
    if low.dimension == "" and high.dimension:
        plain = _read(high_body)
        factor = abs(high.value) / plain[0] if plain and plain[0] else 1.0
        digits = re.match(r"[\d,.]+", high_body)
        if re.fullmatch(r"[\d,.]+", low_body) and digits and plain:
            written = float(digits[0].replace(",", "").rstrip(".") or 0)
            if written and abs(low.value) <= written:
                factor *= plain[0] / written
        low = low._replace(value=low.value * factor, step=low.step * factor, dimension=high.dimension)
    if high.dimension == "" and low.dimension:
        high = high._replace(dimension=low.dimension)
    return low._replace(high=high, noun=high.noun or low.noun, per_year=high.per_year)


def fraction(group: str, match: re.Match[str]) -> Number:
    """A share in words: 三分之一, 百分之五, 六成五, 一半, "two thirds of"."""
    if group == "tenths":
        first, second = HAN_DIGIT.get(match[0][0], "2"), HAN_DIGIT.get(match[0][2], "2")
        return Number(float(f"{first}.{second}") / 10, 0.01, 0, "share", decimal=True)
    if group == "enfraction":
        part = EN_FRACTION.match(match.string, match.start())
        assert part is not None
        count = {"one": 1, "two": 2, "three": 3, "four": 4, "a": 1, None: 1}.get(part["n"]) or float(part["n"])
        return Number(
            count / _DENOMINATORS[part["d"].rstrip("s")],
            0.02,
            0,
            "share",
            mode=_mode(match.string, match.start(), match.end()),
        )
    if match[0] in ("一半", "半数"):
        return Number(0.5, 0.02, 0, "share", mode=_mode(match.string, match.start(), match.end()))
    whole_text, part_text = match[0].split("分之", 1)
    whole = {"百": 100.0, "千": 1000.0, "万": 10000.0}.get(whole_text) or number_value(whole_text)
    read = _read(part_text)
    if not whole or read is None:
        return Number(float("nan"), 0.0, 0, "unknown")
    step = read[1] / whole if whole in (100.0, 1000.0, 10000.0) else 0.01
    mode = _mode(match.string, match.start(), match.end())
    return Number(read[0] / whole, step, 0, "share", mode=mode, decimal=read[2])
