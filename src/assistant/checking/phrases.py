"""Turns of phrase that say a thing in a roundabout way, put into the words that the checker reads."""

import re

_NUMBER = r"[^,。;\n]{1,18}?"
# A list mark, not a sign: a dash or a star with a space behind it where a line starts.
_BULLET = re.compile(r"^[ \t]*[-*+•·]\s+", re.MULTILINE)
_TURNS: tuple[tuple[re.Pattern[str], str], ...] = (
    # "最少5亩、最多9亩": the two ends of a span.
    (
        re.compile(
            rf"(?:最少|少则|(?:可能?)?低(?:可)?(?:至|到)|下至)(?P<low>{_NUMBER}\d?{_NUMBER})(?P<sep>[,、]\s?|和)(?:也)?"
            r"(?:最多|多则|(?:可能?)?高(?:可)?(?:至|到)|上至)"
        ),
        r"下限\g<low>\g<sep>上限",
    ),
    # "原为耕地,现为水域": the class before and the one after.
    (
        re.compile(
            r"原(?:为|是|系|属)(?P<before>[^,。;\d]{1,8}?)[,、]\s?(?:现在|后来|如今|现|后)?(?:已)?(?:为|是|系|成为|变为|变成|转为)"
        ),
        r"由\g<before>变为",
    ),
)


def rephrase(text: str) -> str:
    """A clean text without list marks, with plain words for the turns that are known."""
    text = _BULLET.sub("", text)
    for pattern, plain in _TURNS:
        text = pattern.sub(plain, text)
    return text
