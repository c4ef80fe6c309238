"""Order and direction in words: the largest of several, more or less than another, rising or falling."""

import re
from collections.abc import Iterator, Sequence

from src.assistant.checking.facts import Fact, Facts
from src.assistant.checking.segments import Claim
from src.assistant.checking.tokens import Token
from src.assistant.checking.verdicts import Statement, sentence_of, written
from src.assistant.checking.words import QUANTITY_WORDS

_MOST = re.compile(
    r"最(?P<more>多|大|高|快|严重|明显|突出)(?!值|可)|最(?P<less>少|小|低|慢)(?!制图|上图|可|变化|图斑|值)"
    r"|(?<![a-z])(?<!at )(?P<en_more>largest|biggest|highest|greatest|most)(?! of the| recent)(?![a-z])"
    r"|(?<![a-z])(?<!at )(?P<en_less>smallest|lowest|fewest)(?! patch that| that can| change)(?![a-z])"
)
_THEN = re.compile(r"其次|其后|次之|再次|依次|next|then|followed|second")
_FLOWS = {"inflow": "gain", "new": "gain", "rise": "gain", "outflow": "loss", "fall": "loss"}
_MORE_THAN = re.compile(
    r"(?:比|较).{0,14}?(?P<a>[更]?(?:多|大|高|快|少|小|低|慢))|(?P<b>大于|多于|高于|超过|少于|小于|低于|不及)|"
    r"(?P<c>more|larger|greater|bigger|higher|less|fewer|smaller|lower) than|(?P<d>exceed)(?:s|ed|ing)?"
)
_LESS = ("少", "小", "低", "慢", "不及", "less", "fewer", "smaller", "lower")
_LEAD = (
    r"(?:总体|整体|总的来看|总的来说|呈|有所|略有|持续|逐年|逐步|明显|不断|overall|on the whole|steadily|is|are|"
    r"has)[^。;\n|]{0,12}?"
)
_UP = re.compile(
    rf"{_LEAD}(?:增加|增长|上升|扩大|扩张|增多|growing|grown|increas(?:ed|ing|e)|rising|risen|expand(?:ed|ing))"
    r"|(?<![a-z])(?:increased|grew|expanded)\s*$"
)
_DOWN = re.compile(
    rf"{_LEAD}(?:减少|下降|缩小|萎缩|缩减|shrinking|shrunk|decreas(?:ed|ing|e)|falling|fallen|declin(?:ed|ing|e))"
    r"|(?<![a-z])(?:decreased|shrank|declined)\s*$"
)
_OPEN = re.compile(r"是否|不能确定|无法|不确定|不足以|whether|not certain|cannot|不|未|没有|no ")


def is_extreme(text: str, claim: Claim, fact: Fact, facts: Facts) -> bool:
    """Whether a figure that a text calls the largest (smallest) is so; True where no such word stands."""
    first, _ = sentence_of(text, claim.token.start)
    first = max(first, text.rfind(". ", first, claim.token.start) + 1)
    before = text[first : claim.token.start]
    match = next(iter(reversed(list(_MOST.finditer(before)))), None)
    if match is None or re.search(r"\d[^()]*$", re.sub(r"\d{6}-\d{8}-\w\w-\d+", "", before[match.end() :])):
        return True
    if _THEN.search(before, match.start()) or fact.quantity in ("unit", "seen", "cloud"):
        return True
    values = _siblings(fact, facts)
    if len(values) < 2:
        return True
    largest = bool(match["more"] or match["en_more"])
    if fact.value < 0 or min(values) < 0:
        falls = {QUANTITY_WORDS[one.value][1] for one in claim.words("qty")} - {0} == {-1}
        return fact.value == (min(values) if falls == largest else max(values))
    return fact.value == (max(values) if largest else min(values))


def _siblings(fact: Fact, facts: Facts) -> list[float]:
    """Values of the figures of one kind that differ from this one in patch, place or period only."""
    if fact.patch:
        return [
            one.value
            for one in facts.numbers
            if one.patch and (one.quantity, one.dimension) == (fact.quantity, fact.dimension)
        ]
    like = [
        one
        for one in facts.numbers
        if (one.quantity, one.dimension, one.cls, one.from_cls, one.to_cls, one.kinds)
        == (fact.quantity, fact.dimension, fact.cls, fact.from_cls, fact.to_cls, fact.kinds)
    ]
    if fact.place:
        return [one.value for one in like if one.place and (one.t1, one.t2) == (fact.t1, fact.t2)]
    if fact.t1 is not None:
        return [one.value for one in like if not one.place and one.t1 is not None]
    return []


def orders(text: str, found: Sequence[Token], facts: Facts) -> Iterator[Statement]:
    """Comparisons and directions without numbers that the figures contradict."""
    for first, last in _clauses(text):
        if not any(pattern.search(text, first, last) for pattern in (_MOST, _MORE_THAN, _UP, _DOWN)):
            continue
        clause = [one for one in found if first <= one.start < last]
        if any(one.kind == "number" for one in clause) or _OPEN.search(text, first, last):
            continue
        yield from _largest_place(text, clause, facts, (first, last))
        yield from _compared(text, clause, facts, (first, last))
        yield from _trend(text, clause, facts, (first, last))


def _clauses(text: str) -> Iterator[tuple[int, int]]:
    position = 0
    for match in re.finditer(r"[,;。!?\n|]|\.(?=\s|$)", text):
        if match.start() > position:
            yield position, match.start()
        position = match.end()
    if position < len(text):
        yield position, len(text)


def _quantity(clause: Sequence[Token]) -> str:
    names = [one.value for one in clause if one.kind == "qty"]
    if any(name.startswith("net") for name in names):
        return "net"
    return next((_FLOWS[name] for name in names if name in _FLOWS), "")


def _of_places(clause: Sequence[Token], facts: Facts) -> dict[str, float]:
    """Areas by place of the quantity and class that a clause speaks of."""
    quantity = _quantity(clause)
    classes = {one.value for one in clause if one.kind == "class"} or facts.asked_classes
    return {
        one.place: one.value
        for one in facts.numbers
        if one.place and one.quantity == quantity and one.dimension == "area" and one.cls in classes and not one.patch
    }


def _largest_place(text: str, clause: Sequence[Token], facts: Facts, span: tuple[int, int]) -> Iterator[Statement]:
    match = _MOST.search(text, *span)
    places = [one for one in clause if one.kind == "place"]
    values = _of_places(clause, facts)
    if (
        match is None
        or len(places) != 1
        or len(values) < 2
        or places[0].value not in values
        or "net" == _quantity(clause)
    ):
        return
    right = (max if match["more"] or match["en_more"] else min)(values, key=lambda name: values[name])
    if values[right] != values[places[0].value]:
        yield places[0].start, "place", written(text, places[0]), (right,)


def _compared(text: str, clause: Sequence[Token], facts: Facts, span: tuple[int, int]) -> Iterator[Statement]:
    match = _MORE_THAN.search(text, *span)
    if match is None:
        return
    less = (match["a"] or match["b"] or match["c"] or match["d"]).strip("更").startswith(_LESS)
    places = [one for one in clause if one.kind == "place"]
    flows = [one for one in clause if one.kind == "qty" and one.value in _FLOWS]
    if len(places) == 2:
        values = _of_places(clause, facts)
        first, second = (values.get(one.value) for one in places)
        name = written(text, places[0])
    elif len(flows) == 2 and not places:
        classes = {one.value for one in clause if one.kind == "class"} or facts.asked_classes
        areas = [
            next((one.value for one in facts.numbers if _is_flow(one, _FLOWS[flow.value], classes)), None)
            for flow in flows
        ]
        first, second = areas
        name = written(text, flows[0])
    else:
        return
    if first is not None and second is not None and first != second and (first < second) != less:
        yield span[0], "number", name + match[0], (f"{first:.6g}", f"{second:.6g}")


def _is_flow(fact: Fact, quantity: str, classes: set[str] | frozenset[str]) -> bool:
    return (
        fact.quantity == quantity
        and fact.cls in classes
        and not fact.place
        and fact.dimension == "area"
        and not fact.kinds
    )


def _trend(text: str, clause: Sequence[Token], facts: Facts, span: tuple[int, int]) -> Iterator[Statement]:
    """A class that is said to rise or fall against its net change or slope."""
    words = text[slice(*span)]
    up, down = _UP.search(words), _DOWN.search(words)
    classes = {one.value for one in clause if one.kind == "class"} or facts.asked_classes
    if (up is None) == (down is None) or len(classes) != 1 or any(one.kind in ("place", "zone") for one in clause):
        return
    values = [
        one.value
        for one in facts.numbers
        if one.quantity in ("net", "slope") and one.cls in classes and not one.place and one.value
    ]
    if values and all((value > 0) != (up is not None) for value in values):
        yield span[0], "sign", words.strip(), (f"{values[0]:+.6g}",)
