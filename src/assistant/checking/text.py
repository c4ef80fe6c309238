"""Text as the checker reads it: one form for signs, digits and dates that can be written in many ways."""

import re
import unicodedata

from src.answers.numbers import number_value

HAN = "零〇一二两三四五六七八九"
HAN_DIGIT = {char: str(value) for value, chars in enumerate(("零〇", "一", "二", *"三四五六七八九")) for char in chars}
_FORMAL = dict(zip("壹贰叁肆伍陆柒捌玖拾佰仟萬億", "一二三四五六七八九十百千万亿", strict=True))
_TRADITIONAL = str.maketrans("萬億畝頃兩個點負減轉為與實據間", "万亿亩顷两个点负减转为与实据间")
_SIGNS = str.maketrans("‐‑‒–−﹣〜∼⁓→⇒⟶➔➡“”‘’", "------~~~→→→→→\"\"''")


def clean(text: str) -> str:
    """NFKC, lower case, one kind of dash, arrow and quote; without emphasis marks and invisible characters."""
    text = unicodedata.normalize("NFKC", text.replace("，", ", ").translate(_SIGNS).translate(_TRADITIONAL))
    text = "".join(_plain(char) for char in text)
    text = re.sub(r"\*\*|__|`|\^(?=2)", "", re.sub(r"—+", "~", text)).replace("->", "→").replace("=>", "→")
    text = re.sub(r"[壹贰叁肆伍陆柒捌玖拾佰仟萬億零]{2,}", lambda m: "".join(_FORMAL.get(c, c) for c in m[0]), text)
    text = re.sub(r"[壹贰叁肆伍陆柒捌玖拾](?=\s?[亩个处块成])", lambda m: _FORMAL[m[0]], text)
    text = text.replace("廿", "二十").replace("卅", "三十")
    return _HAN_DATE.sub(_digits_of_date, text)


def _plain(char: str) -> str:
    if "A" <= char <= "Z":
        return char.lower()
    if char < "\x80":
        return char
    category = unicodedata.category(char)
    if category == "Cf":
        return ""
    return str(unicodedata.digit(char)) if category == "Nd" else char


_HAN_DATE = re.compile(
    rf"(?<![{HAN}十百千万])(?:([{HAN}]{{4}})年)(?:([一二三四五六七八九十]{{1,2}})月)?(?:([一二三四五六七八九十]{{1,3}})[日号])?"
    r"|(?<![第十])([一二三四五六七八九十]{1,2})月([一二三四五六七八九十]{1,3})[日号]"
)


def _digits_of_date(match: re.Match[str]) -> str:
    year, month, day = match[1], match[2] or match[4], match[3] or match[5]
    text = "".join(HAN_DIGIT.get(char, char) for char in year) + "年" if year else ""
    text += f"{number_value(month) or 0:.0f}月" if month else ""
    return text + (f"{number_value(day) or 0:.0f}日" if day else "")
