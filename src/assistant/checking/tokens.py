"""What a text names and how it writes numbers: the tokens that the checker reads, Chinese and English.

Every digit of a text ends up in a token: a name (patch number, sensor, scene),
a date, or a number. What no pattern knows becomes a bare number, so that
nothing slips past the check because it was written in an unusual way.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from src.assistant.checking.dates import DATES, date_of
from src.assistant.checking.numbers import BODY, DIGITS, EN_FRACTION, HAN_PLAIN, SIGN, Number, fraction, number_at
from src.assistant.checking.text import HAN
from src.assistant.checking.words import ASCII_WORD, WORDS


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of a text that means something.

    Args:
        kind: "number", "date", "class", "place", "zone", "part", "qty", "role", "word" and so on.
        value: depends on the kind.
        start: position in the clean text.
        end: likewise.
    """

    kind: str
    value: Any
    start: int
    end: int


_DATE_SOURCE = "|".join(
    f"(?P<d{i}>{_ungrouped})"
    for i, (_, _ungrouped) in enumerate(
        (kind, re.sub(r"\((?!\?)", "(?:", re.sub(r"\\2", r"[-/.]", source))) for kind, source in DATES
    )
)
_DATE_PATTERNS = [re.compile(source) for _, source in DATES]
_LIST_MARK = (
    r"(?m:^[ \t]*(?:[-*•·][ \t]+)?(?:\(?\d{1,2}(?:[.、](?!\d)|\))|\(?[一二三四五六七八九十]{1,2}(?:、|\)))[ \t]*)"
)
_ORDINAL = (
    r"第\s?(?:\d+|[一二三四五六七八九十百]+)|(?<![a-z\d])\d+(?:st|nd|rd|th)(?![a-z])|(?:图|表|附件|figure|fig\.|"
    r"table)\s?\d+(?![\d.]|\s?[个处亩])"
)
_CODES = (
    r"95\s?%?\s?(?:的)?\s?(?:置信|可信|ci\b|confidence|interval)|(?:置信度|置信水平|confidence level)(?:为|"
    r"of)?\s?95\s?%|"
    r"ci95|(?:置信区间|可信区间|confidence interval)\s?\(\s?95\s?%\s?\)"
)
_OTHER_CI = r"\d+(?:\.\d+)?\s?%\s?(?:的)?\s?(?:置信|可信|ci\b|confidence|interval)"
_PATCH_ID = r"\d{6}-\d{8}-[a-z0-9]{2}-\d{3,6}"
_NAMES = (
    r"〔20\d\d〕\s?\d+\s?号|\[20\d\d\]\s?\d+|epsg:\s?\d+|cgcs\s?2000|f1(?!\d)|km2|m2|"
    r"12-31|[三二]调|三区三线|gb/t\s?[\d-]+|sha-?256|[0-9a-f]{12,64}(?![0-9a-z])|ndvi|ndbi|ndwi|mndwi|bsi"
)
_DMS = r"\d{1,3}\s?°\s?\d{1,2}\s?['′]\s?\d{1,2}(?:\.\d+)?\s?(?:[\"″]|['′]{2})"


def tokens(text: str, names: Iterable[tuple[str, str, Any]] = ()) -> list[Token]:
    """Tokens of a clean text, in order.

    Args:
        text: result of ``clean``.
        names: (kind, written form as in a clean text, value) of the names that the evidence knows; longest match wins.
    """
    known = {written: (kind, value) for kind, written, value in names if written and written in text}
    ordered = sorted(known, key=len, reverse=True)
    literal = "|".join(re.escape(one) for one in ordered)
    # Two patterns, so that the large one is compiled once and not for each set of names.
    names_pattern = re.compile(literal) if literal else None
    found: list[Token] = []
    position = 0
    while True:
        match = _STATIC_PATTERN.search(text, position)
        named = names_pattern.search(text, position) if names_pattern else None
        if named and (match is None or named.start() <= match.start()):
            match, group = named, "known"
        elif match is not None:
            group = match.lastgroup or ""
        else:
            break
        position = max(match.end(), position + 1)
        if group == "known":
            kind, value = known[match[0]]
            found.append(Token(kind, value, match.start(), match.end()))
        elif group[0] == "d" and group[1:].isdecimal():
            found.append(_date_token(match, int(group[1:])))
        elif group == "body":
            number = number_at(text, match)
            if number is not None:
                found.append(Token("number", number[0], match.start(), number[1]))
                position = number[1]
        elif group in ("fraction", "enfraction", "tenths"):
            found.append(Token("number", fraction(group, match), match.start(), match.end()))
        elif group == "grade_letter":
            found.append(Token("grade", match[0].upper(), match.start(), match.end()))
        elif group == "dms":
            degrees, minutes, seconds = (float(one) for one in re.findall(r"\d+(?:\.\d+)?", match[0]))
            value = degrees + minutes / 60 + seconds / 3600
            found.append(
                Token("number", Number(value, 2 / 3600, 0, "degrees", decimal=True), match.start(), match.end())
            )
        elif group == "word":
            found.extend(Token(kind, value, match.start(), match.end()) for kind, value in WORDS[match[0]])
        else:
            found.append(Token(group, match[0], match.start(), match.end()))
    return found


def _date_token(match: re.Match[str], index: int) -> Token:
    kind = DATES[index][0]
    again = _DATE_PATTERNS[index].match(match.string, match.start())
    try:
        value = date_of(kind, again) if again else None
    except (ValueError, StopIteration, IndexError):
        value = None
    return Token("date", value, match.start(), match.end())


_STATIC = "|".join(
    (
        r"(?P<grade_letter>(?<![a-z0-9])[abc](?=:\s?\d|\s\d))",
        f"(?P<ci95>{_CODES})",
        f"(?P<ci_other>{_OTHER_CI})",
        f"(?P<patch_unknown>{_PATCH_ID})",
        f"(?P<name>{_NAMES}|{_LIST_MARK}|{_ORDINAL})",
        f"(?P<dms>{_DMS})",
        _DATE_SOURCE,
        f"(?P<fraction>(?:[千万]|{HAN_PLAIN}|{DIGITS})分之(?:{DIGITS}|{HAN_PLAIN})|一半|半数)",
        f"(?P<tenths>[{HAN}]成[{HAN}])",
        f"(?P<enfraction>{re.sub(r'[?]P<[nd]>', '?:', EN_FRACTION.pattern)})",
        f"(?P<word>{ASCII_WORD})",
        f"(?P<sign>{SIGN})?(?P<body>{BODY})",
    )
)
_STATIC_PATTERN = re.compile(_STATIC)
