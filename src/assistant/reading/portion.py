"""A part of what was measured: "of which from cropland", "占耕地的呢", "how much of that became forest?".

After a gain, the class named is the one before; after a loss, the one after.
Words such as 占, 来自 or 转为 say it as well; where they speak against what was
measured, it is asked back. The class is never swapped for the one measured.
"""

import re
from typing import Any

from src.assistant.query import Query
from src.assistant.reading.before import FLOWS, LISTS, ask, lists_patches, measured
from src.assistant.reading.lexicon import class_mentions
from src.assistant.reading.roles import Roles
from src.assistant.reading.slots import Slots

OF_IT = re.compile(
    r"其中|(?:^|[这那]些?)(?:里面|里头|当中|之中)"
    r"|\b(?:out\s+)?of\s+(?:which|that|those|these|them|it|this)\b|\bamong\s+(?:them|those|these)\b"
)
# "耕地占了多少": of what was measured, not of the county.
_SHARE_AFTER = re.compile(r"占了?(?:多少|几成)")
_FROM_BEFORE = re.compile(
    r"(?:(?<!乱)占用?|侵占|挤占|蚕食|占掉|吃掉|毁掉?|砍掉?|来自于?|来源于?|源[于自]|从|由|原来?(?:都)?[是为]?|(?:以前|之前|原先|先前)(?:都)?是)"
    r"(?:过|了|掉|的)*(?:是)?(?:(?:多少|几)(?:亩|公顷)?的?)?\s*$"
    r"|\b(?:from|on|over|taken|formerly|previously|was|were|replac\w+|took|taking|at\s+the\s+expense\s+of)\s+"
    r"(?:(?:the|former|once|previously|formerly|what\s+was)\s+)*$"
)
_FROM_AFTER = re.compile(r"\s*(?:变来|转来|转入|流入|被占|(?:was|were)\s+(?:taken|lost)|\bbefore\b)")
_TO_BEFORE = re.compile(
    r"(?:(?:转|变|改|变更|转变|转换|转化|开发|退化|恢复|复垦|种|建|盖|占|整|搞)[为成到作给]|流向|转去|被|让)(?:了|的|是)*\s*$"
    r"|\b(?:to|into|becam\w+|becom\w+|by|for)\s+(?:the\s+)?$"
)
_TAKER_AFTER = re.compile(r"\s*(?:占用|占掉|占去|占了|吃掉|侵占)(?!多少)")


def part_of(base: Query, slots: Slots) -> Query | None:
    """The transition that a part of what was measured is; None where the question names no part.

    Args:
        base: query before.
        slots: parts of the question.
    """
    of_it = OF_IT.search(slots.text) is not None or _shared(slots.rest)
    side = _side(slots.rest)
    named = slots.roles.cls
    if named is None or slots.digging or not (side or of_it):
        return None
    way = measured(base)
    if slots.roles != Roles(cls=named):  # several classes, or both sides of a change
        return ask(slots, "which_part") if slots.roles.listed and way in FLOWS else None
    if base.compare == "classes" or way not in (*FLOWS, *LISTS, "rank"):
        return ask(slots, "which_part") if side else None
    before, after = _sides(base, way, named, side)
    if before == after or (before, after) == (None, None):
        return ask(slots, "which_part")
    fields: dict[str, Any] = {"cls": None, "from_cls": before, "to_cls": after}
    if lists_patches(base):
        return base.changed(**fields)
    if slots.has("patch", "count"):
        metric = "count" if slots.has("count") else "patches"
        return base.changed(metric=metric, rank=None, group_by=None, compare=None, others=(), **fields)
    grouped = base.group_by if base.group_by in ("town", "village") else None
    fields |= {"metric": "transition", "group_by": grouped, "rank": None}
    others = [one.changed(**fields).to_json() for one in base.others]
    return base.changed(**(fields | ({"metric": "compare"} if others else {})), others=others)


def cued(slots: Slots) -> bool:
    """Whether words beside a class say that a part is meant."""
    return bool(_side(slots.rest)) or _shared(slots.rest)


def _shared(text: str) -> bool:
    return any(_SHARE_AFTER.match(text, one.end) for one in class_mentions(text))


def _side(text: str) -> str:
    """ "from", "to", or "" where no words stand by a class."""
    for one in class_mentions(text):
        before, after = text[: one.start], text[one.end :]
        if _TO_BEFORE.search(before) or _TAKER_AFTER.match(after):
            return "to"
        if _FROM_BEFORE.search(before) or _FROM_AFTER.match(after):
            return "from"
    return ""


def _sides(base: Query, way: str, named: str, side: str) -> tuple[str | None, str | None]:
    """Class before and after of the part; both None where the words and what was measured disagree."""
    if way == "transition" or lists_patches(base):
        before, after = base.from_cls, base.to_cls or base.cls
        side = side or ("to" if before and not after else "from" if after and not before else "")
        return (named, after) if side == "from" else (before, named) if side == "to" else (None, None)
    if way == "gain":
        return (named, base.cls or base.to_cls) if side != "to" else (None, None)
    if way == "loss":
        return (base.cls or base.from_cls, named) if side != "from" else (None, None)
    return (named, base.cls) if side == "from" else (base.cls, named) if side == "to" else (None, None)
