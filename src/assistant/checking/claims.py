"""What a text claims: each number with the words that say what it is a number of.

Words belong to the number of their clause; what a clause leaves open comes from
the clause before it in the same sentence, else from the sentences before. Words
listed in parallel to numbers ("耕地、林地分别为…和…") are dealt out in order, and
a cell of a table takes the words of its column and row.
"""

from collections.abc import Sequence

from src.assistant.checking.numbers import Number
from src.assistant.checking.segments import (
    ATTRIBUTES,
    LISTING,
    Claim,
    Scope,
    Segment,
    class_roles,
    cut,
    deal,
    grouped,
    with_unit,
)
from src.assistant.checking.tables import table, table_blocks
from src.assistant.checking.tokens import Token


def claims(text: str, tokens: Sequence[Token]) -> list[Claim]:
    """All claims of a clean text."""
    found: list[Claim] = []
    far: Scope = {}
    start = 0
    for first, last in table_blocks(text):
        far = _prose(text, [one for one in tokens if start <= one.start < first], far, found, (start, first))
        table(text, [one for one in tokens if first <= one.start < last], far, found, (first, last))
        start = last
    _prose(text, [one for one in tokens if one.start >= start], far, found, (start, len(text)))
    return found


def _prose(text: str, tokens: list[Token], far: Scope, found: list[Claim], span: tuple[int, int]) -> Scope:
    segments = cut(text, tokens, span)
    dealt = deal(segments)
    state = _State(dict(far), found)
    for segment in segments:
        state.read(segment, dealt.get(id(segment), {}))
    state.end_sentence()
    return state.far


class _State:
    """Reads segments in order and keeps what still holds."""

    def __init__(self, far: Scope, found: list[Claim]) -> None:
        self.far, self.found = far, found
        self.near: Scope = {}
        self.pending: list[Token] = []
        self.recent: list[Token] = []
        self.sentence, self.depth = 0, 0
        self.last: Claim | None = None
        self.saved: list[tuple[Scope, list[Token], Claim | None, int]] = []
        # Classes of a line that ends in a colon, which hold for the lines below it.
        self.heading: list[Token] | None = None
        self.colon = False

    def end_sentence(self) -> None:
        said = grouped(self.pending)
        self.heading = said.get("class") if self.colon else self.heading
        for scope in (self.near, said):
            for kind in scope:
                self.far.pop({"place": "county", "county": "place"}.get(kind, ""), None)
            self.far |= scope
        self.near, self.pending, self.last, self.saved = {}, [], None, []

    def read(self, segment: Segment, dealt: dict[str, Token]) -> None:
        if segment.sentence != self.sentence:
            self.end_sentence()
            self.sentence, self.depth = segment.sentence, 0
        while segment.depth > self.depth:
            self.saved.append((dict(self.near), list(self.pending), self.last, len(self.found)))
            self.depth += 1
            if self.pending_is_label:
                self.pending = []
        while segment.depth < self.depth and self.saved:
            self._close()
        self.depth = segment.depth
        self.colon = segment.delimiter == ":" and segment.number is None and not segment.all
        if segment.number is None:
            self._add(segment)
        else:
            self._claim(segment, dealt)

    @property
    def pending_is_label(self) -> bool:
        """A bracket right behind a number starts afresh."""
        return self.last is not None and not self.pending

    def _close(self) -> None:
        near, pending, last, count = self.saved.pop()
        self.depth -= 1
        if len(self.found) > count:
            # Words of a bracket with numbers of its own do not reach beyond it.
            self.near, self.pending, self.last = near, pending, last
        elif last is not None and not pending:
            _label(last, self.pending)
            _label_twin(last, self.pending)
            self.near = {**near, **{kind: words for kind, words in grouped(self.pending).items() if kind != "class"}}
            self.pending = []

    def _add(self, segment: Segment) -> None:
        if not segment.all:
            return
        if segment.delimiter == ")" and self.last is not None and not self.pending:
            _label(self.last, segment.all)
            for inner in self.found:
                if inner.head is self.last:
                    inner.near |= {kind: words for kind, words in self.last.own.items() if kind not in inner.own}
                    inner.roles |= self.last.roles
                    if "class" not in inner.own:
                        inner.recent = self.last.own.get("class", [])
        elif segment.delimiter == ":" and self.last is not None and not self.pending and not self.last.own:
            # "46亩:这是耕地流入的面积"
            _label(self.last, segment.all)
            return
        if segment.delimiter in LISTING or not self.pending:
            self.pending += segment.all
            return
        if segment.delimiter == ";":
            self.pending = [one for one in self.pending if one.kind != "qty"]
        new = {one.kind for one in segment.words}
        if "place" in new or "county" in new:
            new |= {"place", "county"}
        self.pending = [one for one in self.pending if one.kind not in new] + segment.all

    def _claim(self, segment: Segment, dealt: dict[str, Token]) -> None:
        assert segment.number is not None
        pending = self.pending
        topic = (
            [one for one in pending if one.kind == "class"] if any(one.kind == "class" for one in segment.words) else []
        )
        if segment.delimiter not in LISTING:
            kinds = {one.kind for one in segment.words}
            pending = [one for one in pending if one.kind not in kinds or one.kind not in ATTRIBUTES]
        words = [*pending, *segment.all]
        own = grouped(words)
        for kind, word in dealt.items():
            if kind != "unit":
                own[kind] = [word]
        number: Number = segment.number.value
        unit: Number | None = dealt["unit"].value if "unit" in dealt and dealt["unit"].kind == "number" else None
        countable = unit is not None and (
            unit.dimension in ("area", "share") or (unit.dimension == "count" and not number.decimal)
        )
        if unit is not None and number.dimension == "" and countable:
            number = with_unit(number, unit.dimension, unit.factor, unit.noun)
        roles = class_roles(sorted(words, key=lambda one: one.start))
        if {"from", "to"} <= set(roles.values()):
            own.setdefault("qty", []).append(Token("qty", "conv", segment.number.start, segment.number.start))
        head = self.saved[-1][2] if self.saved and not self.saved[-1][1] else None
        if segment.delimiter == "to":
            # "from A on one day to B": the day of A is not that of B.
            self.near.pop("date", None)
        near = {kind: words for kind, words in self.near.items() if kind not in own}
        claim = Claim(
            *(segment.number, number, own, near),
            {k: v for k, v in self.far.items() if k not in own and k not in self.near},
            recent=topic or self._topic(segment, own, roles),
            topic=bool(topic or self.near.get("class")) and bool(own.get("class")),
            marks=[one.kind for one in words if one.kind not in ATTRIBUTES],
            roles=roles,
            head=head,
            previous=self.last,
            sentence=self.sentence,
            headed=self.heading is not None and self.far.get("class") is self.heading,
        )
        self._inherit_roles(claim)
        self._turn(claim, segment)
        _join_bounds(claim, self.last, segment)
        self.found.append(claim)
        self.near = _over(self.near, own)
        self.pending, self.last = [], claim

    def _topic(self, segment: Segment, own: Scope, roles: dict[int, str]) -> list[Token]:
        """Classes said before; the items of a list share what was said before the list."""
        last = self.last
        listed = segment.delimiter in (*LISTING, ",")
        if (
            listed
            and last is not None
            and "class" in own
            and last.recent
            and last.own.get("class")
            and (roles or "qty" not in own)
        ):
            return last.recent
        return self.near.get("class", []) or self.far.get("class", [])

    def _turn(self, claim: Claim, segment: Segment) -> None:
        """ "from A to B" with numbers: A is the state before, B the one after."""
        marks = [one for one in segment.tokens if one.kind in ("from", "class")]
        if marks and marks[-1].kind == "from":
            claim.turn = "before"
        elif self.last is not None and self.last.turn == "before":
            if segment.delimiter == "to" or any(one.kind == "qty" and one.value == "state" for one in segment.tokens):
                claim.turn = "after"

    def _inherit_roles(self, claim: Claim) -> None:
        """A bare class in a list goes on with the role of the one before: "转为林地5亩、草地3亩"."""
        words = claim.own.get("class", [])
        last = self.last
        if last is None or len(words) != 1 or claim.roles or "qty" in claim.own:
            return
        before = [last.roles.get(one.start, "") for one in last.own.get("class", [])]
        named = [role for role in before if role]
        if named and last.own.get("class"):
            claim.roles = {words[0].start: named[-1]}
            claim.recent = [one for one in last.own["class"] if last.roles.get(one.start) != named[-1]] or last.recent


def _over(near: Scope, own: Scope) -> Scope:
    kept = {
        kind: words
        for kind, words in near.items()
        if not (kind == "place" and "county" in own) and not (kind == "county" and "place" in own)
    }
    return {**kept, **own}


def _label(claim: Claim, words: list[Token]) -> None:
    """A bracket without numbers behind a number says what it is: "100亩(流入)"."""
    if any(one.kind == "mainly" for one in words):
        return
    claim.marks += [one.kind for one in words if one.kind not in ATTRIBUTES]
    for kind, tokens in grouped(words).items():
        if kind != "date" or kind not in claim.own:
            claim.own[kind] = [*claim.own.get(kind, []), *tokens]
            claim.near.pop(kind, None)
            claim.far.pop(kind, None)
    roles = class_roles(words)
    claim.roles |= roles
    if {"from", "to"} <= set(roles.values()):
        claim.own.setdefault("qty", []).append(Token("qty", "conv", claim.token.start, claim.token.start))


def _label_twin(claim: Claim, words: list[Token]) -> None:
    """A date in brackets behind a figure is also that of the same figure in the unit before."""
    twin, dates = claim.previous, [one for one in words if one.kind == "date"]
    if not dates or twin is None or "date" in twin.own or "date" in twin.near:
        return
    if abs(twin.number.value - claim.number.value) <= (twin.number.step + claim.number.step) / 2:
        twin.own["date"] = dates


def _join_bounds(claim: Claim, last: Claim | None, segment: Segment) -> None:
    """Two numbers behind a word for bounds are their ends: "范围净减少16亩至净增加390亩"."""
    for end in ("low", "high"):
        if end in claim.marks:
            claim.end = end
    bounds = {"range", "ci", "ci95"} & set(claim.marks)
    if bounds and claim.number.high is None and not claim.end:
        claim.end = "low"
    elif (
        last is not None
        and last.end == "low"
        and not claim.end
        and last.first_of is None
        and segment.delimiter in ("", "to", "和", "与", "and", ",", "~")
    ):
        if not ({"low", "high"} & set(last.marks)):
            claim.end, claim.first_of = "high", last
            claim.marks += [mark for mark in last.marks if mark in ("range", "ci", "ci95")]
