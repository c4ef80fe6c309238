"""Numbers in Chinese and English text: digits, words, numerals, signs.

``normalise`` is the one text normalisation of this package. ``NUMBER`` is a regular expression source that other
modules embed (units adds the unit after it), and ``number_value`` reads what it matched.

Not covered: decimal commas ("3,5" is two numbers, since a list looks the same), fractions written with a slash,
vague counts ("dozens", "几十"), Chinese shorthand of two digits in a row ("五六个" is five or six, not a number).

    >>> find_numbers("增加了一千二百三十个，about 1,230 or twelve")
    [1230.0, 1230.0, 12.0]
"""

import re
import unicodedata

# Counters that may stand between a number and a noun; after 几/多少 they make a counting question.
MEASURE_WORDS = "个栋幢座条处块片所辆艘架家户宗棵株间段组类种项起批张幅道口眼根只头人"

_PUNCTUATION = " \t\r\n.,;:!?\"'`*()[]{}<>。、；：！？，“”‘’（）【】《》…"

_HAN_DIGITS = {char: value for value, chars in enumerate(("零〇", "一", "二两", *"三四五六七八九")) for char in chars}
_HAN_SCALES = {"十": 10.0, "百": 1e2, "千": 1e3, "万": 1e4, "亿": 1e8}
_WORDS = {
    word: value
    for value, word in enumerate(
        "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
        "seventeen eighteen nineteen".split()
    )
} | {word: 10 * tens for tens, word in enumerate("twenty thirty forty fifty sixty seventy eighty ninety".split(), 2)}
_WORD_SCALES = {"dozen": 12.0, "hundred": 1e2, "thousand": 1e3, "million": 1e6, "billion": 1e9}

# 1,230 or 1230, then .5, then e3; never a part of a longer number and never an ordinal (3rd).
_DIGITS = r"(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:e[+-]?\d+)?(?!\d)(?!(?:st|nd|rd|th)\b)"
# 千米 is a unit, 百分 belongs to per cent.
_SCALE = r"(?:[十万亿]|千(?!米|克)|百(?!分))"
_HAN = "".join(_HAN_DIGITS)
# A Chinese numeral counts as a number only before a counter, a unit, punctuation or the end: 统一, 四川 and 一些 are
# words. Runs that start with a scale other than 十 (上万, 百姓) are words as well.
_HAN_END = (
    r"(?=\s*(?:$|[^\u4e00-\u9fff]|平方|平米|公[里顷亩分]|亩|[千厘毫]?米|个|倍|成|度|摄氏|[年月天日周]|小时|左右|以[上下内]|分之|"
    rf"[到至或和与、多余{MEASURE_WORDS}]))"
)
_HAN_NUMBER = rf"[{_HAN}十](?:[{_HAN}]|点(?=[{_HAN}])|{_SCALE})*{_HAN_END}"
_SMALL_WORD = rf"(?:{'|'.join(sorted(_WORDS, key=len, reverse=True))})"
_BLOCK = (
    rf"(?:{_SMALL_WORD}(?:[\s-]+{_SMALL_WORD})?|\ba(?=\s+(?:dozen|hundred|thousand|million)))"
    rf"(?:\s+(?:dozen|hundred)(?:\s+(?:and\s+)?{_SMALL_WORD}(?:-{_SMALL_WORD})?)?)?"
)
_WORD_NUMBER = rf"(?<![a-z])(?<!no ){_BLOCK}(?:\s+(?:thousand|million|billion)(?:,?\s+(?:and\s+)?{_BLOCK})?)*(?![a-z])"
_DIGIT_NUMBER = rf"{_DIGITS}(?:\s*{_SCALE}+(?:\d+{_SCALE}+)*|\s*(?:dozen|hundred|thousand|million|billion)(?![a-z]))?"

# What may stand second in a range, where the character before it is a dash.
NUMBER_BODY = rf"(?:{_DIGIT_NUMBER}|{_WORD_NUMBER}|{_HAN_NUMBER})"
_NOT_INSIDE_A_NAME = r"(?<![a-z0-9_.第])(?<![a-z0-9]-)(?<![几数上近成统唯十百千万亿零〇一二两三四五六七八九])"
_SIGN = r"(?:(?<![a-z0-9%)\]\-])[-+]\s?|负\s?|(?<![a-z])(?:minus|negative)\s+)"
NUMBER = rf"(?:{_SIGN}|{_NOT_INSIDE_A_NAME}){NUMBER_BODY}"
_NUMBER = re.compile(NUMBER)
_ATOM = re.compile(rf"{_DIGITS}|[{_HAN}]+(?:点[{_HAN}]+)?|[十百千万亿]")


def normalise(text: str) -> str:
    """Return text in NFKC, lower case, without punctuation at its ends.

    NFKC makes ㎡ and m² "m2", ％ "%", full-width digits plain ones.
    """
    return unicodedata.normalize("NFKC", text).lower().replace("’", "'").strip(_PUNCTUATION)


def number_value(token: str) -> float | None:
    """Return the value of one match of NUMBER.

    Args:
        token: normalised text such as "-4.5", "18.8万", "一百零五" or "twenty-one".

    Returns:
        The value, or None where the parts do not form one number ("五六").
    """
    body = re.sub(rf"^{_SIGN}", "", token)
    negative = body != token and not token.startswith("+")
    value = _word_value(body) if re.match(r"[a-z]", body) else _han_value(body)
    return -value if value is not None and negative else value


def find_numbers(text: str) -> list[float]:
    """Return all numbers of a text, in order, without their units."""
    values = (number_value(match.group()) for match in _NUMBER.finditer(normalise(text)))
    return [value for value in values if value is not None]


def format_number(value: float, decimals: int) -> str:
    """Return a decimal without thousands separators and without trailing zeros: (12.50, 2) gives "12.5"."""
    text = f"{value:.{decimals}f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text == "-0" else text


def format_percent(ratio: float, decimals: int = 1) -> str:
    """Return a ratio as per cent: 0.655 gives "65.5%"."""
    return f"{format_number(100 * ratio, decimals)}%"


def _word_value(words: str) -> float | None:
    """Evaluate an English number; None for two units in a row ("two three")."""
    total, block, last = 0.0, 0.0, None
    for word in re.findall(r"[a-z]+", words):
        if word in ("dozen", "hundred"):
            block, last = (block or 1.0) * _WORD_SCALES[word], None
        elif word in _WORD_SCALES:
            total, block, last = total + (block or 1.0) * _WORD_SCALES[word], 0.0, None
        elif word in _WORDS:
            unit = _WORDS[word]
            if last is not None and not (last >= 20 and 0 < unit < 10):
                return None
            block, last = block + unit, unit
    return total + block


def _han_value(text: str) -> float | None:
    """Evaluate digits mixed with Chinese numerals: 18.8万, 3万5千, 一百零五, 三点五, 二〇二四.

    A last digit right after a scale is shorthand for the next scale: 一百五 is 150, 三万五 is 35,000.
    """
    english = re.search(r"\s*([a-z]{3,})$", text)
    if english:
        number = _han_value(text[: english.start()])
        return None if number is None else number * _WORD_SCALES[english.group(1)]
    total, section, pending, scale, shorthand = 0.0, 0.0, None, 0.0, False
    for atom in _ATOM.findall(text):
        if atom not in _HAN_SCALES:
            if pending is not None or (pending := _atom_value(atom)) is None:
                return None
            shorthand = scale > 10 and atom in _HAN_DIGITS
            continue
        scale = _HAN_SCALES[atom]
        if atom in "十百千":
            section += scale * (1.0 if pending is None else pending)
        else:
            section += pending or 0.0
            total = (total + section) * scale if atom == "亿" else total + section * scale
            section = 0.0
        pending = None
    if pending is not None:
        section += pending * (scale / 10 if shorthand else 1.0)
    return total + section


def _atom_value(atom: str) -> float | None:
    """Evaluate plain digits, or Chinese digits read one by one."""
    if atom[0].isdigit() and atom[0] not in _HAN_DIGITS:
        return float(atom.replace(",", ""))
    whole, _, fraction = atom.partition("点")
    # Two digits in a row are "five or six"; three or more, or any zero, are read one by one (二〇二四).
    if len(whole) == 2 and whole[0] not in "零〇" and whole[1] not in "零〇":
        return None
    digits = "".join(str(_HAN_DIGITS[char]) for char in whole)
    return float(f"{digits}.{''.join(str(_HAN_DIGITS[char]) for char in fraction) or '0'}")
