"""Words of judgement, and what a text says was found or not."""

import re
from collections.abc import Iterator, Sequence
from typing import Literal

from src.assistant.checking.facts import Facts
from src.assistant.checking.tokens import Token

StatementKind = Literal["number", "sign", "class", "place", "date", "interval", "patch", "verdict", "sensor"]
# Position, kind of problem, words of the text, what the evidence holds.
Statement = tuple[int, StatementKind, str, tuple[str, ...]]
_CLAUSE_END = re.compile(r"[,;:。!?\n()]|\.(?=\s|$)")
_VERDICT = re.compile(
    r"违法|违规|非法|违建|违章|违反|合法(?!性)|处罚|查处|追责|没收|罚款|拆除|犯罪|"
    r"(?<![a-z])(?:illegal(?:ly)?|unlawful(?:ly)?|unauthori[sz]ed|violat\w*|criminal|legal(?:ly)?|lawful|guilty|"
    r"offence|offense|fined?|(?:no |the |any )?laws? (?:was|were|is|has been|have been) (?:broken|breached)|"
    r"br(?:oke|eaks?) the law|against the law)(?![a-z])"
)
_HEDGE_BEFORE = re.compile(
    r"(?:疑似|涉嫌|疑为|可疑)(?:新增|存在|重大|严重|一般|有|为|的)*$|(?<![a-z])(?:suspected|possibly|possible|alleged|"
    r"potential(?:ly)?)\s(?:new\s|of\s)?$"
)
_HEDGE_CLAUSE = re.compile(
    r"不判断|不作|不做|不能|无法|不得|是否|不认定|不构成|不等于|并非|不是|不代表|不涉及|未判断|如有|如属|若|不予|不对|"
    r"(?<![a-z])(?:not|no|cannot|whether|neither|never|if|nor)(?![a-z])|n't"
)
# Multiples and vague quantities: no figure of the evidence can carry them.
MULTIPLE = re.compile(
    r"翻[了]?[一两几]?番|翻倍|成倍|加倍|倍增|减半|几十|数十|几百|数百|几千|数千|几万|数万|上百|上千|上万|成百|成千"
    r"|(?<![a-z])(?:twice|thrice|doubl(?:e|ed|es|ing)|tripl(?:e|ed|es|ing)|quadrupl\w*|halv(?:e|ed|ing)|tenfold|"
    r"manifold|dozens|scores of|"
    r"hundreds of|thousands of)(?![a-z])"
)
_NONE_FOUND = re.compile(
    r"(?:未发现|未检出|没有发现|没有检出|未监测到|未检测到)(?:任何|明显|显著)?变化(?!检测)|(?:未|没有|没|无|不存在|尚未)(?:能)?(?:发现|检出|测得|见|查见|识别出|监测到|检测到|出现|"
    r"任何)?[^,。;:]{0,12}?(?:图斑|线索|侵占|占用|违规建设|疑似变化)"
    r"|(?<![a-z])no (?:[a-z-]+ ){0,5}?(?:patch(?:es)?|clues?|sites?|encroachment)(?![a-z])|(?:not|n't) (?:find|found|"
    r"detect|detected|any)[^,.;]{0,30}?(?:patch|clue|site)"
)
_NOT_BELOW = re.compile(
    r"[<≤]|小于|更小|以下|不足|不到|below|smaller|under|less|other|further|其他|另外|其余|更多|more|still|仍"
)
_SOME_FOUND = re.compile(
    r"(?:^|[,。;:\n])\s?(?:是|有|存在|发现|yes)(?=[,。;]|疑似|了疑似)|(?<!是否)(?<!未)(?<!不)(?:存在|发现了|检出了?|"
    r"已被侵占|被侵占|"
    r"受到侵占)(?=[^,。;]{0,10}(?:图斑|线索|侵占|疑似|[,。;]|$))"
)
_NO_FLOW = re.compile(
    r"(?:没有|未|无|并未|未曾|不曾)(?:再)?(?P<zh>净增加|净增长|净减少|新增|增加|减少|流入|流出|转入|转出|变化|"
    r"发生变化)(?=[^,。;]{0,8})"
    r"|(?<![a-z])(?:no|did not|didn't|has not|without)(?: any)? (?P<en>new|gain|gains|loss|losses|increase|decrease|"
    r"grow|gained|lost|shrink|change)(?![a-z])"
)


def written(text: str, token: Token) -> str:
    """The words of a token."""
    return text[token.start : token.end]


def sentence_of(text: str, position: int) -> tuple[int, int]:
    """Where the sentence around a position starts and ends."""
    start = max((text.rfind(mark, 0, position) for mark in "。!?\n;"), default=-1) + 1
    ends = [end for mark in "。!?\n;" if (end := text.find(mark, position)) >= 0]
    return start, min(ends, default=len(text))


def _clause_before(text: str, position: int) -> str:
    start = 0
    for match in _CLAUSE_END.finditer(text, max(0, position - 60), position):
        start = match.end()
    return text[max(start, position - 60) : position]


def verdicts(text: str) -> Iterator[Statement]:
    """Words that judge, where nothing in their clause takes the judgement back."""
    for match in _VERDICT.finditer(text):
        before = _clause_before(text, match.start())
        after = text[match.end() : match.end() + 12]
        if (
            _HEDGE_BEFORE.search(before)
            or _HEDGE_CLAUSE.search(before)
            or re.match(r"性|与否|\s?is not|\s?(?:cannot|can not)|的?判断|的?认定", after)
        ):
            continue
        if match[0] == "合法" and re.search(r"状态|核查结果|标记", text[max(0, match.start() - 12) : match.start()]):
            continue
        yield match.start(), "verdict", match[0], ("疑似", "suspected")


def found_or_not(text: str, found: Sequence[Token], facts: Facts) -> Iterator[Statement]:
    """Statements that something was or was not found, against the counts and areas of the evidence."""
    total = facts.count_of_patches
    overlap = next(
        (one.value for one in facts.numbers if one.quantity == "overlap" and one.dimension == "area" and not one.patch),
        None,
    )
    count = total if total is not None else (len(facts.evidence.patches) or None)
    for match in _NONE_FOUND.finditer(text):
        first, last = sentence_of(text, match.start())
        if _NOT_BELOW.search(text[max(first, match.start() - 12) : match.end()]) or any(
            one.kind in ("place", "zone", "grade", "type", "patch")
            and first <= one.start < last
            and facts.count_of_patches
            for one in found
        ):
            if not overlap:
                continue
            if not re.search(r"侵占|占用|encroach", match[0]):
                continue
        if re.search(r"等于|不代表|does not mean|is not|之前|尚未见", text[match.start() : last]):
            continue
        if count or (overlap and re.search(r"侵占|占用|encroach", match[0])):
            yield match.start(), "number", match[0], (f"{count or 0}",)
    if count == 0 and not overlap:
        for match in _SOME_FOUND.finditer(text):
            first, last = sentence_of(text, match.start())
            if not re.search(r"未|没|无|不|no|not", text[first : match.end()]):
                yield match.start(), "number", match[0].strip(), ("0",)
    yield from _no_flow(text, found, facts)


_WORD_OF_FLOW = {
    **dict.fromkeys(("新增", "流入", "转入", "增加", "new", "gain", "gains", "increase", "gained"), "gain"),
    **dict.fromkeys(("减少", "流出", "转出", "loss", "losses", "lost"), "loss"),
    **dict.fromkeys(("净增加", "净增长", "净减少"), "net"),
}


def _no_flow(text: str, found: Sequence[Token], facts: Facts) -> Iterator[Statement]:
    """ "没有新增耕地" where the lower bound of the gain is above nothing."""
    for match in _NO_FLOW.finditer(text):
        word = match["zh"] or match["en"]
        first, last = sentence_of(text, match.start())
        inside = [one for one in found if first <= one.start < last]
        classes = {one.value for one in inside if one.kind == "class"} or facts.asked_classes
        places = {one.value for one in inside if one.kind == "place"} or {""}
        for fact in facts.numbers:
            if (
                fact.quantity != _WORD_OF_FLOW.get(word)
                or fact.dimension != "area"
                or fact.cls not in classes
                or fact.place not in places
            ):
                continue
            low, high = fact.bounds or (fact.value, fact.value)
            if (low > 0 and fact.value > 0 and word != "净减少") or (high < 0 and word == "净减少"):
                yield match.start(), "number", match[0], (f"{fact.key}={fact.value:.6g}",)
                break
