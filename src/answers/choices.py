"""Yes or no, and one label out of several, in Chinese and English.

Both readers refuse what hedges: "yes and no", "rural or urban", "可能有" give None or several labels, never a guess.

    >>> polarity("不存在占用"), polarity("Yes, there is a road."), polarity("是或否")
    (False, True, None)
    >>> sorted(labels("耕地 rather than 林地")), sorted(labels("rural or urban"))
    (['cropland'], ['rural', 'urban'])
"""

import re
from functools import lru_cache

from src.answers.numbers import normalise

# An answer that leaves the question open; 不可能 and 不明显 are definite.
UNSURE = re.compile(
    r"\b(?:maybe|perhaps|possibl[ey]|probably|might|uncertain|unclear|unsure|not sure|unknown|no idea|depends)\b"
    r"|\b(?:can(?:no|')t|cannot|can not|unable to|hard to|difficult to|impossible to)\s(?:be\s)?"
    r"(?:determine|tell|say|judge|know|see|answer|confirm|identif)"
    r"|(?<!不)可能|也许|或许|不确定|不清|无法|难以|不好说|说不准|不知道|不明(?!显)|看不出|未知|(?:不是|并非)没有|不无"
)
# Nothing, as an amount: 无人机 and 未利用地 are words.
NOTHING = re.compile(r"\b(?:no|none|nothing|zero)\b|\bnot any\b|没有|没|未(?!利用)|无(?![人数锡])|零")

_NEGATIVE = re.compile(
    r"\bthere (?:is|are|was|were) (?:no|not)\b|\b(?:no|not|nope|none|never|neither|false|incorrect)\b|n't\b"
    r"|不存在|没有|没|不是|并非|并未|未(?!利用)|无(?![人锡])|否(?!则)|不(?!透水|动产|同|仅|但|断|规则)"
)
_POSITIVE = re.compile(
    r"\b(?:yes|yeah|yep|true|correct|there (?:is|are|was|were))\b"
    r"|^对(?![比面])|^(?:会|能|可以|已|确实|的确)|(?<![所国占拥含])有|(?<![但于可而])是(?!否)|存在"
)
# A positive after a negative: "no, yes", "否或是". A copula after a negative ("不是，是农田") is only a correction.
_TAKEN_BACK = re.compile(
    r"\b(?:yes|yeah|yep|true)\b|是的|有的|对的|(?:但|又|也|或者?|同时)(?:是|有|存在|会|能)"
    r"|(?:是|有|存在|对)(?=\s*(?:[,.;/、。!?)]|$))"
)

# Canonical label: its names, normalised, "_" as a space. The land classes are those of constants.LAND_CLASSES;
# nvg surface, low vegetation and playground are the other labels of CDVQA (https://github.com/YZHJessica/CDVQA).
LABELS: dict[str, tuple[str, ...]] = {
    "rural": ("rural", "countryside", "农村", "乡村", "村庄"),
    "urban": ("urban", "city", "城市", "城镇", "城区", "市区"),
    "cropland": ("cropland", "crop land", "farmland", "arable land", "耕地", "农田", "田地", "水田", "旱地", "水浇地"),
    "garden": ("garden land", "garden", "orchard", "园地", "果园", "茶园"),
    "forest": ("forest", "forest land", "woodland", "tree", "林地", "森林", "树林"),
    "grassland": ("grassland", "grass", "草地", "牧草地", "草原"),
    "water": ("water", "water body", "water bodies", "水域", "水体", "水面"),
    "built": (
        "built",
        "built up",
        "built-up",
        "built up land",
        "built-up land",
        "built-up area",
        "building",
        "建设用地",
        "建筑用地",
        "建筑",
        "建筑物",
    ),
    "unused": ("unused land", "unused", "bare land", "barren land", "未利用地", "裸地", "荒地", "沙地"),
    "nvg surface": ("nvg surface", "non-vegetated ground surface", "non-vegetated ground", "非植被地表", "无植被地表"),
    "low vegetation": ("low vegetation", "低矮植被"),
    "playground": ("playground", "操场"),
}
_CANONICAL = {name: label for label, names in LABELS.items() for name in names}
_DENIED = re.compile(
    r"(?:\b(?:not|no|neither|nor|rather than|instead of)|n't|不是|并非|而非|没有|非)\s*(?:an?\s|the\s|more\s)?\s*$"
)
_OPTIONS_EN = re.compile(r"([a-z-]+)(?:\s(?:area|land|one))?,?\sor\s(?:an?\s|the\s|more\s|less\s)?([a-z-]+)")
_OPTIONS_ZH = re.compile(r"(?:是|为|属于)?([^是为,]+?)了?,?还是(.+?)了?(?:呢|$)")


def polarity(text: str) -> bool | None:
    """Read yes or no.

    Returns:
        True or False; None where the text says neither, both, or that it cannot be told.
    """
    text = normalise(text)
    if UNSURE.search(text):
        return None
    negative = _NEGATIVE.search(text)
    # Blank the negatives first: 不存在 holds 存在, 没有 holds 有.
    rest = _NEGATIVE.sub(lambda match: "#" * len(match[0]), text)
    positive = _POSITIVE.search(rest)
    if negative is None:
        return True if positive else None
    if (positive and positive.start() < negative.start()) or _TAKEN_BACK.search(rest, negative.end()):
        return None
    return False


def says_none(text: str) -> bool:
    """Whether a normalised text without numbers states that there is none; not knowing is not none."""
    return bool(NOTHING.search(text)) and not UNSURE.search(text)


def options_in(question: str) -> tuple[str, ...]:
    """Return the two alternatives that a question names ("A or B", "A还是B"), or nothing."""
    text = _plain(question)
    match = _OPTIONS_ZH.search(text) or _OPTIONS_EN.search(text)
    return (match[1].strip(), match[2].strip()) if match else ()


def labels(text: str, extra: tuple[str, ...] = ()) -> set[str]:
    """Return the canonical labels that a text asserts; a denied one ("not rural") does not count.

    Args:
        text: an answer.
        extra: further labels that stand for themselves, such as the alternatives of the question.
    """
    text = _plain(text)
    # An alternative that is only another form of a known label ("buildings") must not become a label of its own.
    own = {name for name in map(_plain, extra) if name and not _label_regex(frozenset()).fullmatch(name)}
    found = (match for match in _label_regex(frozenset(own)).finditer(text))
    names = [match[1] or match[2] for match in found if not _DENIED.search(text[: match.start()][-24:])]
    return {_CANONICAL.get(name, name) for name in names}


@lru_cache(maxsize=512)
def _label_regex(extra: frozenset[str]) -> re.Pattern[str]:
    """Longest name first; English names are whole words, with their endings (roads, increased)."""
    names = sorted({*_CANONICAL, *extra}, key=len, reverse=True)
    english = "|".join(re.escape(name) for name in names if name.isascii())
    chinese = "|".join(re.escape(name) for name in names if not name.isascii())
    return re.compile(rf"(?<![a-z-])({english})(?:s|es|d|ed)?(?![a-z])|({chinese})")


def _plain(text: str) -> str:
    return normalise(text).replace("_", " ")
