"""Which of the classes of a question is the one before, and which the one after."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from src.assistant.reading.lexicon import Mention

# Classes stand as one private character each, so that patterns read "C became C".
_FIRST_CHAR = 0xE000
_C = "[\ue000-\ue0ff]"
_LIST = rf"{_C}(?:\s*(?:[/、,和与及或]|以及|and|or|&)\s*{_C})*"
_ZH_TURN = (
    r"(?:转变?[为成到]了?|变更?[为成]了?|改[为成]了?|转换[为成]|转化[为成]|演变[为成]|流向了?"
    r"|转[去给]|开发[为成]|调整[为成]|恢复[为成]?|退化[为成]了?|沙化[为成]了?|"
    r"复垦[为成]?|开垦[为成]?|改造[为成]|让位给|占成|整成|搞成|弄成|做成|推成|挖成|种成|盖成|建成)"
)
_EN_TURN = (
    r"\b(?:convert\w*|turn\w*|chang\w*|transform\w*|transition\w*|transfer\w*|lost|los[es]\w*"
    r"|switch\w*|conversions?|went|go(?:es|ne)?|"
    r"gave\s+way|given\s+(?:over|up)|revert\w*|restor\w*|reclaim\w*|reclassified|shift\w*|moved"
    r"|flow\w*|return\w*)\b[^.?!;]{0,15}?\b(?:in)?to\b"
)
_GAP_ZH, _GAP_EN = r"[^,。?!;]", r"[^.?!;]"
# (pattern, whether the first group is the class before)
_PATTERNS: tuple[tuple[re.Pattern[str], bool], ...] = tuple(
    (re.compile(pattern), forward)
    for pattern, forward in (
        # "Of the new built-up land, how much was cropland": what is new stands first.
        (
            rf"(?:新增|新建|增加|扩大)的?({_LIST})\s*(?:面积)?(?:当中|之?中|里面?|之?内){_GAP_ZH}{{0,8}}?({_LIST})",
            False,
        ),
        (rf"\bnew(?:ly)?\s+({_LIST}){_GAP_EN}{{0,20}}?\b(?:was|were|used\s+to\s+be|had\s+been)\s+({_LIST})", False),
        (rf"({_LIST})\s*(?:转|变|改|还|到|→|->|=>|变更)\s*(?:了)?\s*({_LIST})", True),
        (rf"({_LIST}){_GAP_ZH}{{0,14}}?{_ZH_TURN}{_GAP_ZH}{{0,6}}?({_LIST})", True),
        (rf"({_LIST}){_GAP_ZH}{{0,10}}?被{_GAP_ZH}{{0,6}}?({_LIST}){_GAP_ZH}{{0,3}}?[占吞侵挤吃用]", True),
        (
            rf"({_LIST}){_GAP_ZH}{{0,8}}?(?:被)?(?:拿去|用来|用于|拿来|开发|搞|修|建|盖|起|变|种|挖"
            rf"|改){_GAP_ZH}{{0,8}}?({_LIST})",
            True,
        ),
        (rf"({_LIST})\s*(?:上面?|里面?|中|内)(?:新)?{_GAP_ZH}{{0,6}}?(?<!来自)({_LIST})", True),
        (
            rf"({_LIST}){_GAP_ZH}{{0,5}}?(?:占用|侵占|挤占|蚕食|吞并|吞噬|吃掉|吃|压占"
            rf"|占)[了掉的]*{_GAP_ZH}{{0,6}}?({_LIST})",
            False,
        ),
        (
            rf"({_LIST}){_GAP_ZH}{{0,10}}?(?:来自于?|来源于?|源于|由|从|原来?是|原为"
            rf"|原){_GAP_ZH}{{0,6}}?({_LIST})",
            False,
        ),
        (rf"\bfrom\s+(?:the\s+)?({_LIST})\s+(?:in)?to\s+(?:the\s+)?({_LIST})", True),
        (rf"({_LIST})\s+(?:(?:was|were|is|are|got|has|have|been|being)\s+)*({_LIST})\s+(?:on|over)\b", True),
        (rf"({_LIST})\s*(?:to|into|-+>|→|=>|-to-)\s*({_LIST})", True),
        (rf"({_LIST}){_GAP_EN}{{0,45}}?{_EN_TURN}{_GAP_EN}{{0,15}}?({_LIST})", True),
        (rf"{_EN_TURN}{_GAP_EN}{{0,10}}?({_LIST})\s+from\s+({_LIST})", False),
        (rf"({_LIST}){_GAP_EN}{{0,25}}?\b(?:becam|becom)\w*\b{_GAP_EN}{{0,12}}?({_LIST})", True),
        (
            rf"({_LIST}){_GAP_EN}{{0,25}}?\b(?:taken|eaten|consumed|replaced|swallowed|occupied|displaced"
            rf"|covered|lost|cleared|used)\b"
            rf"{_GAP_EN}{{0,8}}?\b(?:by|with|for)\b{_GAP_EN}{{0,8}}?({_LIST})",
            True,
        ),
        (
            rf"({_LIST}){_GAP_EN}{{0,25}}?\b(?:replac\w+|t(?:ook|akes?|aken)\s+over|ate|eat\w*|swallow\w*"
            rf"|occup\w+|encroach\w*|consum\w+|cover\w*)"
            rf"\b{_GAP_EN}{{0,12}}?({_LIST})",
            False,
        ),
        (
            rf"({_LIST}){_GAP_EN}{{0,30}}?\b(?:came|com(?:e|es|ing)|gain\w*|deriv\w+|originat\w+|creat\w+"
            rf"|converted|reclaimed|made|taken|built|were|was|is)"
            rf"\s+(?:from|out\s+of|on|formerly|previously|once)\b{_GAP_EN}{{0,12}}?({_LIST})",
            False,
        ),
        (rf"({_LIST})\s+(?:on|over|from)\s+(?:former\s+|what\s+was\s+)?({_LIST})", False),
    )
)
# Set phrases that name both classes at once.
_IDIOMS: tuple[tuple[re.Pattern[str], str, str], ...] = tuple(
    (re.compile(pattern), before, after)
    for pattern, before, after in (
        (
            r"毁林(?:开荒|开垦|造[田地]|种[粮地]|复耕)|砍林种地|clear(?:ing|ed"
            r"|ance)\s+(?:of\s+)?(?:the\s+)?forests?\s+for\s+(?:farming|crops)",
            "forest",
            "cropland",
        ),
        (r"毁草(?:开荒|开垦|造田)", "grassland", "cropland"),
        (r"围[湖塘]造[田地]|填[湖塘]造[田地]", "water", "cropland"),
        (r"退耕还湿|退田还湖", "cropland", "water"),
        (r"退耕还草", "cropland", "grassland"),
        (r"退耕还林|退耕|grain[\s-]for[\s-]green", "cropland", "forest"),
        (r"退林还耕", "forest", "cropland"),
        (r"退[园果]还[耕粮]", "garden", "cropland"),
        (r"退塘还[耕田]|填塘造田", "water", "cropland"),
        (r"退草还耕", "grassland", "cropland"),
    )
)


@dataclass(frozen=True)
class Roles:
    """Classes by the part they play.

    Args:
        cls: the class spoken of by itself.
        from_cls: before.
        to_cls: after.
        several: one side of a change names several classes, so it is left open: "from", "to" or "".
        together: these classes.
        others: further classes spoken of by themselves, for comparisons.
        outside: classes that are excluded.
        listed: ``cls`` and ``others`` stand side by side ("A、B和C").
        mixed: two changes between other pairs of classes are asked for.
    """

    cls: str | None = None
    from_cls: str | None = None
    to_cls: str | None = None
    several: str = ""
    together: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    outside: tuple[str, ...] = ()
    listed: bool = False
    mixed: bool = False


def read_roles(text: str, mentions: Sequence[Mention]) -> Roles:
    """The parts that the classes of a text play.

    Args:
        text: with times, places and numbers masked.
        mentions: its classes.
    """
    for pattern, before, after in _IDIOMS:
        if pattern.search(text):
            return Roles(from_cls=before, to_cls=after)
    skeleton = _skeleton(text, mentions)
    outside = tuple(dict.fromkeys(one.cls for one in mentions if one.negated))
    plain = tuple(dict.fromkeys(one.cls for one in mentions if not one.negated))
    for pattern, forward in _PATTERNS:
        found, chained = [], False
        for match in pattern.finditer(skeleton):
            first, second = (_named(text, mentions) for text in match.groups())
            if {(one.cls, one.negated) for one in first} != {(one.cls, one.negated) for one in second}:
                # "A转B和B转A": the second B opens another change.
                chained = chained or len({one.cls for one in second}) < len(second)
                found.append(_changed(*((first, second) if forward else (second, first)), outside))
        if found:
            return replace(found[0], mixed=chained or len(set(found)) > 1)
    lists = (_named(match[0], mentions) for match in re.finditer(_LIST, skeleton))
    listed = any(len({one.cls for one in group if not one.negated}) > 1 for group in lists)
    return Roles(cls=plain[0] if plain else None, others=plain[1:], outside=outside, listed=listed)


def _skeleton(text: str, mentions: Sequence[Mention]) -> str:
    """The text with one private character for each class, "非" with it."""
    parts, reached = [], 0
    for index, one in enumerate(mentions[:256]):
        parts += [re.sub(r"(?:非|non[\s-]*)$", "", text[reached : one.start]), chr(_FIRST_CHAR + index)]
        reached = one.end
    return "".join([*parts, text[reached:]])


def _named(group: str, mentions: Sequence[Mention]) -> list[Mention]:
    return [mentions[ord(char) - _FIRST_CHAR] for char in group if char >= "\ue000"]


def _changed(before: Sequence[Mention], after: Sequence[Mention], outside: tuple[str, ...]) -> Roles:
    """A change from some classes to others; "to anything but X" is what X lost."""
    sides = []
    for side in (before, after):
        names = list(dict.fromkeys(one.cls for one in side if not one.negated))
        sides.append(names)
    (froms, tos) = sides
    if not froms and tos:  # from what it is not: its whole gain
        return Roles(cls=tos[0], to_cls=tos[0], outside=outside)
    if not tos and froms:
        return Roles(cls=froms[0], from_cls=froms[0], outside=outside)
    several = "from" if len(froms) > 1 else "to" if len(tos) > 1 else ""
    return Roles(
        from_cls=froms[0] if len(froms) == 1 else None,
        to_cls=tos[0] if len(tos) == 1 else None,
        several=several,
        together=tuple({"from": froms, "to": tos}.get(several, ())),
    )
