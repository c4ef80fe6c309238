"""What stands behind an answer: its patches, the largest one, the second of a ranking, where they lie."""

import re

from src.assistant.query import Query
from src.assistant.reading.before import FLOWS, as_patches, ask, lists_patches, measured, names_any, ranks_places
from src.assistant.reading.fill import build, direction, ranked
from src.assistant.reading.numerals import number_of
from src.assistant.reading.roles import Roles
from src.assistant.reading.slots import Slots

_ORDINALS = {"second": 2, "third": 3, "fourth": 4, "fifth": 5}
_NTH = re.compile(
    r"^(?:那么?|排名?|排在)?\s*第\s*(?P<n>\d{1,2}|[二三四五六七八九十])\s*(?P<unit>个|块|处|位|名|多|大)?(?:的|是|呢|谁|哪[个里]|乡?镇|情况|怎么样|多少|什么|[?。!~\s])*$"
    r"|^(?:and\s+|what\s+about\s+|how\s+about\s+|which\s+is\s+)?(?:the\s+)?(?P<w>second|third|fourth|fifth)"
    r"(?:\s+(?:one|place|town|largest|most))?\s*[?.!]*$"
)
_EXTREME = re.compile(
    r"最(?P<side>大|小)的?(?:那|这)?\s*[1一]?(?:个|块|处|片|宗|图斑|地块)*(?=的?(?:是|在|有|什么|啥|怎么|情况|详情|呢|位置|哪|多[大少]|[?。!~\s]|$))"
    r"|\b(?P<en>largest|biggest|smallest)\s+(?:one|patch|site|plot)\b"
)
_WHERE = re.compile(
    r"(?:具体|详细)?(?:的)?(?:位置|地点|坐标|方位)|具体在哪|^(?:都|它们?|分别|这些|那些|图斑)*在(?:哪|什么地方|什么位置)[里儿个]?"
    r"|\bwhere\s+(?:exactly\s+)?(?:are|is|were|was)\s+(?:they|it|these|those|this|that)\b|\blocat(?:ion|ed)\w*|\bcoordinates\b"
)
_ALL_OF_THEM = re.compile(r"分别|都|各|它们|这些|那些|\b(?:they|these|those)\b")
_HOW_MUCH = re.compile(
    r"(?:那么?|它们?|这些|图斑|总|一共|合计|的|有|是|占地)*(?:面积|亩数)(?:是|有|1?共|总共|合计|[一1]共)*(?:多少|多大|几)?(?:亩|公顷|平方米)?[呢?。\s]*"
    r"|(?:and\s+)?(?:how\s+(?:large|big)\s+(?:is|are)\s+(?:it|they|that|these|those)|what\s+is\s+(?:the|its|their)\s+(?:total\s+)?area)"
    r"[?.\s]*"
)
_TAKEN = re.compile(
    r"占(?:用|了|掉|的|去)*(?:都)?(?:是)?(?:哪些|哪类|哪种|什么|啥)|\bwhat\s+(?:land\s+)?(?:was|were)\s+(?:it|they|taken)"
)
# Asked anew rather than about the answer before.
_AFRESH = re.compile(
    r"变化|疑似|可疑|全县|全域|有没有|是否|有无|\bchange|\bsuspect|\bwhole\b|\bany\b"
    r"|违|非法|非农|乱[占建盖搭挖倒堆]|私[建搭]|偷|擅自|大棚房|\billegal|\bunauthori|\bunlawful|\bunpermitted|\bwithout\b"
)
_OF_THE_ANSWER = re.compile(
    r"具体|其中|这些|那些|它们|都是?(?:哪|有)|里面?的?有?|\b(?:these|those|they|them|it|that)\b|是哪些"
)
_NEW_SUBJECT = ("encroach", "human", "solar", "greenhouse", "abandoned", "export", "review")


def nth(base: Query, slots: Slots) -> Query | None:
    """The second of a ranking or list; None where none is asked for."""
    match = _NTH.search(slots.text)
    if match is None or slots.roles != Roles() or slots.times.periods or slots.zones:
        return None
    number = int(number_of(match["n"])) if match["n"] else _ORDINALS[match["w"]]
    if ranks_places(base) and number >= 1:
        order = base.rank.order if base.rank else "desc"
        return base.changed(rank=ranked(number, order), lang=slots.lang)
    if not (lists_patches(base) or base.metric == "transition"):
        return None
    ids = slots.known.patch_ids
    return _detail(slots, ids[number - 1]) if 1 <= number <= len(ids) else ask(slots, "need_patch")


def largest(base: Query, slots: Slots) -> Query | None:
    """The largest or smallest patch of the answer before; None where none is asked for."""
    match = _EXTREME.search(slots.text)
    afresh = names_any(slots) or slots.has("export", "review", "count") or "village" in slots.groups
    if match is None or afresh or slots.lonlat is not None:
        return None
    order = "asc" if (match["side"] or match["en"]) in ("小", "smallest") else "desc"
    in_order = lists_patches(base) and (base.rank is None or base.rank.order == order)
    if (in_order or base.metric == "transition") and slots.known.patch_ids and (order == "desc" or base.rank):
        return _detail(slots, slots.known.patch_ids[0])
    if base.metric in ("matrix", "structure"):
        return None  # the largest class
    found = as_patches(base, "rank")
    if found is None:
        return ask(slots, "which_patches") if measured(base) in (*FLOWS, "compare") else None
    return found.changed(rank=ranked(1, order), lang=slots.lang)


def where(base: Query, slots: Slots) -> Query | None:
    """Where the patches of the answer before lie: all of them by town, or, of several, it is asked back which one."""
    text = slots.text
    if not _WHERE.search(text) or names_any(slots) or slots.lonlat is not None or slots.patch_named:
        return None
    if slots.has("most", "gain", "loss", "change", "provenance"):
        return None
    ids = slots.known.patch_ids
    if base.metric == "patch_detail" or (lists_patches(base) and not ids):
        return base.changed(lang=slots.lang)
    if lists_patches(base):
        if len(ids) > 1 and _ALL_OF_THEM.search(text) and "town" in slots.known.zones:
            return base.changed(group_by="town", lang=slots.lang)
        return _detail(slots, ids[0]) if len(ids) == 1 else ask(slots, "need_patch")
    found = as_patches(base)
    if found is None:
        return ask(slots, "which_patches") if measured(base) in FLOWS else None
    return found.changed(lang=slots.lang)


def how_much(base: Query, slots: Slots) -> Query | None:
    """The area of what was listed or measured: its answer tells it; None where the question asks more."""
    if not _HOW_MUCH.fullmatch(slots.text.strip()) or names_any(slots):
        return None
    told = lists_patches(base) or base.metric == "patch_detail" or base.metric in FLOWS
    return base.changed(lang=slots.lang, unit=slots.units[-1] if slots.units else base.unit) if told else None


def what_was_taken(base: Query, slots: Slots) -> Query | None:
    """ "占的是什么地": where a gain came from; a list of patches tells it beside each."""
    if not _TAKEN.search(slots.text) or names_any(slots):
        return None
    if base.metric == "gain":
        return base.changed(group_by="class", lang=slots.lang)
    return base.changed(lang=slots.lang) if lists_patches(base) or base.metric == "patch_detail" else None


def which(base: Query, slots: Slots, alone: Query) -> Query | None:
    """The patches of what was measured: "具体有哪些图斑", "which patches are these?", "在保护区里的有几个".

    Args:
        base: query before.
        slots: parts of the question.
        alone: what the question would mean by itself.

    Returns:
        A query that place and numbers of the question still have to go into; None for a question of its own.
    """
    limited = slots.min_area_m2 is not None or slots.min_confidence is not None
    counted = slots.has("count") and (bool(slots.zones) or limited or _OF_THE_ANSWER.search(slots.text) is not None)
    if not (slots.has("patch") or counted) or slots.roles != Roles() or slots.times.periods:
        return None
    if slots.has(*_NEW_SUBJECT) or slots.patch_named or slots.patch_id or slots.lonlat or slots.digging:
        return None
    if alone.metric not in ("patches", "count", "rank", "overlap", "clarify", "area_at", "presence", "point"):
        return None
    whole = _AFRESH.search(slots.text) is not None or (bool(slots.zones) and slots.has("patch"))
    if whole and not _OF_THE_ANSWER.search(slots.text):
        return None
    metric = "rank" if alone.metric == "rank" and not slots.groups else "count" if slots.has("count") else "patches"
    way = direction(slots) if slots.has("gain", "loss") and not slots.has("net") else ""
    if measured(base) not in (*FLOWS, "matrix", "structure", "compare") and not lists_patches(base):
        return None
    found = as_patches(base, metric, way if way in ("gain", "loss") else "")
    return ask(slots, "which_patches") if found is None else found


def above(base: Query, slots: Slots) -> Query | None:
    """Only what is above a size or a grade: the patches of the class and period that was measured.

    A figure counted from pixels knows no such limit, so the same total is never told again under it.
    """
    limited = slots.min_area_m2 is not None or slots.min_confidence is not None
    if not limited or lists_patches(base) or base.metric in ("export", "review", "point"):
        return None
    found = as_patches(base)
    return found if found is not None else ask(slots, "which_patches")


def _detail(slots: Slots, patch_id: str) -> Query:
    return build("patch_detail", slots, patch_id=patch_id, zone=None)
