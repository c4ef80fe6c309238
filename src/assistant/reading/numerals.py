"""The one form of text that the parser reads: NFKC, lower case, one space, Chinese numerals before units as digits.

>>> plain("二〇二四年　五亩以上，前十名")
'2024年 5亩以上,前10名'
"""

import re
import unicodedata

from src.answers.numbers import number_value

_HAN = "零〇○一二两三四五六七八九"
_DIGITS = {char: str(value) for value, chars in enumerate(("零〇○", "一", "二两", *"三四五六七八九")) for char in chars}
# A numeral is turned into digits before these only; 统一年度, 哪一年 and 这一块 keep their characters.
_COUNTED = (
    r"年|[上下]?半年|个?月|日|号|天|周|个?星期|个?礼拜|个?季度?|万?亩|万|公顷|平方|平米|个|名|处|块"
    r"|条|宗|米|公里|千米|成|大|"
    r"度|分|点|期|位|图斑|$|[,。?!;、到至\-~)]"
)
_NUMERAL = re.compile(
    rf"(?<![统唯之同哪每单另任其某万])([{_HAN}十][{_HAN}十百千万亿点]*)(?=(?<=[前][{_HAN}十])的"
    rf"|\s*(?:{_COUNTED}))"
)
# Signs of one meaning that NFKC leaves apart.
_SIGNS = str.maketrans(dict(zip("“”‘’－–—−‐～〜∼\u200b\ufeff", "\"\"''-----~~~  ", strict=True)))
_ENGLISH = {
    word: value
    for value, word in enumerate("zero one two three four five six seven eight nine ten eleven twelve".split())
} | {"a": 1, "an": 1, "fifteen": 15, "twenty": 20, "thirty": 30, "fifty": 50, "hundred": 100, "dozen": 12}
_MIXED = re.compile(
    r"(?<=[\u4e00-\u9fff])[a-z0-9]*[a-z][a-z0-9]+(?![a-z0-9-])"
    r"|(?<![a-z0-9-])[a-z0-9]*[a-z][a-z0-9]+(?=[\u4e00-\u9fff])"
)
_LONGEST = 2000


def plain(text: str) -> str:
    """The text as the parser reads it; what lies past 2,000 characters is not read."""
    text = unicodedata.normalize("NFKC", text[:_LONGEST].translate(_SIGNS)).lower().translate(_SIGNS)
    text = re.sub(r"(?<=\d)[o〇○](?=\d)", "0", text)
    # Private characters stand for classes later on.
    text = re.sub(r"[\s\x00-\x1f\ue000-\uf8ff]+", " ", text).strip()
    # So that word boundaries stand where Latin letters meet Chinese ones; A乡 stays one word.
    text = _MIXED.sub(lambda match: f" {match[0]} ", text)
    return re.sub(r" +", " ", _NUMERAL.sub(_as_digits, text)).strip()


def number_of(word: str) -> float:
    """A count in digits, Chinese or English words.

    Raises:
        ValueError: it is no number.
    """
    word = word.strip()
    if word in _ENGLISH:
        return float(_ENGLISH[word])
    try:
        value = number_value(word) if re.search(rf"[\d{_HAN}十]", word) else None
    except KeyError:  # letters after the figure that are no scale
        value = None
    if value is None:
        raise ValueError(f"{word!r} is no number")
    return value


def _as_digits(match: re.Match[str]) -> str:
    word = match[1]
    if re.fullmatch(rf"[{_HAN}]{{2,}}", word):
        # 二四年 is a year, 五六个 is five or six.
        if len(word) == 2 and not re.match(r"\s*年", match.string[match.end() :]):
            return word
        return "".join(_DIGITS[char] for char in word)
    # A scale that the counted unit needs (万亩) stays with the unit.
    scale = "万" if word.endswith("万") and len(word) > 1 else ""
    value = number_value(word.removesuffix("万") if scale else word)
    if value is None or value > 1e9:
        return word
    # "2024三年" is a year and a count of years.
    apart = " " if match.string[: match.start()][-1:].isdigit() else ""
    return f"{apart}{value:.10g}{scale}"
