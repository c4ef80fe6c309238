"""A text cut into pieces with one number each, and which words belong to which number."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from src.assistant.checking.numbers import Number
from src.assistant.checking.tokens import Token

# Kinds of words that say what a number is.
ATTRIBUTES = (
    "class",
    "place",
    "county",
    "zone",
    "part",
    "date",
    "qty",
    "patch",
    "type",
    "grade",
    "accuracy",
    "sector",
    "index",
    "measure",
    "side",
)
_MARKS = (
    "range",
    "ci",
    "ci95",
    "ignored",
    "low",
    "high",
    "total",
    "rest",
    "area",
    "mainly",
    "outside",
    "inside",
    "first_side",
    "second_side",
    "sensor",
)
_DELIMITERS = re.compile(
    r"[,、;:。!?\n()\[\]]|\.(?=\s|$)|和|与|及|(?<![a-z])(?:and|while|whereas|but|versus|vs)(?![a-z])"
)
LISTING = ("、", "和", "与", "及", "and")
_ENDS = ("。", "!", "?", "\n", ".")
Scope = dict[str, list[Token]]


@dataclass
class Claim:
    """A number of a text and what the text says of it.

    Args:
        token: the number.
        number: as it is written, with the unit that a list or a table gives it.
        own: words of its clause.
        near: words that hold from earlier in the sentence, for kinds that ``own`` lacks.
        far: likewise from the sentences before.
        recent: classes said before ``own`` replaced them.
        topic: they were said in the same sentence.
        marks: further words of the clause.
        roles: role of the class words ("from", "to", "") by position.
        head: claim in front of the bracket that it stands in.
        previous: claim before it in the sentence.
        first_of: claim that is the other end of the same bounds.
        turn: "before" or "after" in "from A to B".
        end: "low" or "high" where the text says that it is a bound.
        table: it stands in a cell.
        sentence: number of its sentence.
        headed: the class of the sentences before stands in a heading over this one.
    """

    token: Token
    number: Number
    own: Scope
    near: Scope
    far: Scope
    recent: list[Token] = field(default_factory=list)
    topic: bool = False
    marks: list[str] = field(default_factory=list)
    roles: dict[int, str] = field(default_factory=dict)
    head: "Claim | None" = None
    previous: "Claim | None" = None
    first_of: "Claim | None" = None
    end: str = ""
    turn: str = ""
    table: bool = False
    sentence: int = 0
    headed: bool = False

    def words(self, kind: str) -> list[Token]:
        """The nearest words of a kind."""
        return self.own.get(kind) or self.near.get(kind) or self.far.get(kind) or []


@dataclass
class Segment:
    """Words around at most one number, without a delimiter between them."""

    delimiter: str
    depth: int
    sentence: int
    tokens: list[Token] = field(default_factory=list)
    number: Token | None = None
    post: list[Token] = field(default_factory=list)

    @property
    def words(self) -> list[Token]:
        """Its words that say what a number is."""
        return [one for one in (*self.tokens, *self.post) if one.kind in ATTRIBUTES]

    @property
    def all(self) -> list[Token]:
        """Its words, in front of the number and behind it."""
        return [*self.tokens, *self.post]


def _events(text: str, tokens: list[Token], span: tuple[int, int]) -> Iterable[tuple[str, Token | None]]:
    """Tokens and the delimiters between them, in order."""
    position = span[0]
    for token in [*tokens, None]:
        stop = token.start if token else span[1]
        if stop > position:
            for match in _DELIMITERS.finditer(text, position, stop):
                yield match[0], None
        if token:
            yield "", token
            position = max(position, token.end)


def cut(text: str, tokens: list[Token], span: tuple[int, int]) -> list[Segment]:
    """Segments of a stretch of clean text, in order."""
    sentence, depth = 0, 0
    current = Segment("\n", 0, 0)
    found = [current]

    def open_segment(delimiter: str) -> None:
        nonlocal current
        current = Segment(delimiter, depth, sentence)
        found.append(current)

    for delimiter, token in _events(text, tokens, span):
        if token is None:
            depth += (delimiter in "([") - (delimiter in ")]" and depth > 0)
            if delimiter in _ENDS:
                sentence, depth = sentence + 1, 0
            open_segment(delimiter)
        elif token.kind == "number":
            if current.number is not None:
                moved = current.post
                current.post = []
                open_segment("")
                current.tokens = moved
            current.number = token
        elif current.number is not None:
            if token.kind == "to" and text[token.start : token.end] in ("to", "至") and _number_next(tokens, token):
                open_segment("to")
                current.tokens.append(token)
            else:
                current.post.append(token)
        else:
            current.tokens.append(token)
    return found


def _number_next(tokens: Sequence[Token], token: Token) -> bool:
    """Whether "to" leads to a number ("from A to B"), not to a class ("lost to forest")."""
    following = (one for one in tokens if one.start >= token.end and one.kind in ("number", "class", "place", "zone"))
    first = next(following, None)
    return first is not None and first.kind == "number"


def deal(segments: list[Segment]) -> dict[int, dict[str, Token]]:
    """Words listed in parallel to a run of bare numbers: for each segment of the run, its own word of each kind."""
    dealt: dict[int, dict[str, Token]] = {}
    index = 0
    while index < len(segments):
        named = _respectively(segments, index) if segments[index].number is not None else None
        if named is not None:
            _zip(dealt, *named)
        run = _run(segments, index)
        if len(run) < 2:
            index += 1
            continue
        before = _words_before(segments, index)
        after = _words_after(segments, segments.index(run[-1]))
        for kind in ATTRIBUTES:
            listed = [one for one in before if one.kind == kind]
            if len(listed) < len(run):
                late = [one for one in after if one.kind == kind]
                listed = late if len(late) == len(run) else listed
            if len(listed) >= len(run):
                for segment, word in zip(run, listed[-len(run) :], strict=True):
                    dealt.setdefault(id(segment), {}).setdefault(kind, word)
        unit = run[-1].number
        for segment in run:
            dealt.setdefault(id(segment), {})["unit"] = unit or segment.tokens[0]
        index = segments.index(run[-1]) + 1
    return dealt


def _zip(dealt: dict[int, dict[str, Token]], run: list[Segment], words: list[Token]) -> None:
    for kind in ATTRIBUTES:
        listed = [one for one in words if one.kind == kind]
        if len(listed) == len(run) > 1:
            for segment, word in zip(run, listed, strict=True):
                if not any(one.kind == kind for one in segment.tokens[1:] if one not in words):
                    dealt.setdefault(id(segment), {})[kind] = word


def _respectively(segments: list[Segment], index: int) -> tuple[list[Segment], list[Token]] | None:
    """Numbers behind 分别 and the words in front of it: "耕地和林地分别净增加A、净减少B"."""
    first = segments[index]
    words = [*first.tokens]
    for segment in reversed(segments[:index]):
        if segment.number is not None or segment.sentence != first.sentence:
            break
        words = segment.all + words
    position = next((one.start for one in words if one.kind == "respectively"), None)
    if position is None:
        return None
    run = [first]
    for segment in segments[index + 1 :]:
        if segment.sentence != first.sentence or segment.depth < first.depth or segment.delimiter == ";":
            break
        if segment.depth == first.depth and segment.number is not None:
            run.append(segment)
    return run, [one for one in words if one.start < position]


def _run(segments: list[Segment], index: int) -> list[Segment]:
    """The number segments from here on that follow each other with no words between them."""
    first = segments[index]
    if first.number is None:
        return []
    run = [first]
    for segment in segments[index + 1 :]:
        if segment.depth > first.depth:
            continue
        if segment.depth < first.depth or segment.sentence != first.sentence:
            break
        if segment.number is None:
            if segment.all or segment.delimiter not in (",", ")", "]"):
                break
            continue
        if segment.tokens:
            break
        if segment.delimiter not in (*LISTING, ",", "/", "") or _other_unit(first.number, segment.number):
            break
        run.append(segment)
        if segment.post:
            break
    if first.post and len(run) > 1:
        return [first]
    return run


def _other_unit(first: Token, other: Token) -> bool:
    """Whether two numbers have units of their own that differ: no list, but one thing said twice."""
    one, two = first.value, other.value
    return bool(one.dimension and two.dimension) and (one.dimension, one.factor) != (two.dimension, two.factor)


def _words_before(segments: list[Segment], index: int) -> list[Token]:
    words = [one for one in segments[index].tokens if one.kind in ATTRIBUTES]
    for segment in reversed(segments[:index]):
        if segment.number is not None or segment.sentence != segments[index].sentence:
            break
        words = segment.words + words
    return words


def _words_after(segments: list[Segment], index: int) -> list[Token]:
    words = list(segments[index].post)
    respectively = any(one.kind == "respectively" for one in words)
    for segment in segments[index + 1 :]:
        if segment.number is not None or segment.sentence != segments[index].sentence:
            break
        words += segment.all
        respectively = respectively or any(one.kind == "respectively" for one in segment.all)
    return [one for one in words if one.kind in ATTRIBUTES] if respectively else []


def grouped(tokens: Iterable[Token]) -> Scope:
    """Attribute words by kind; of a place and "the whole county" the later one holds."""
    scope: Scope = {}
    for token in tokens:
        if token.kind in ATTRIBUTES:
            scope.setdefault(token.kind, []).append(token)
    # A place and the whole county are one kind of word.
    if "county" in scope and "place" in scope:
        last = max(scope["county"] + scope["place"], key=lambda one: one.start)
        scope.pop("county" if last.kind == "place" else "place")
    return scope


def class_roles(tokens: Sequence[Token]) -> dict[int, str]:
    """Role ("from", "to") of the class words among tokens, by position; plain ones are left out."""
    roles: dict[int, str] = {}
    waiting, passive = "", False
    plain: list[Token] = []
    for token in tokens:
        if token.kind == "class":
            if passive and waiting == "passive":
                roles[token.start], waiting = "to", ""
            elif waiting in ("from", "to"):
                roles[token.start] = waiting
                # A list of classes shares the word in front of it.
            else:
                plain.append(token)
        elif token.kind == "from":
            waiting = "from"
        elif token.kind == "to":
            if plain and not waiting:
                roles[plain.pop().start] = "from"
            waiting = "to"
        elif token.kind == "conv":
            for one in plain:
                roles[one.start] = "from"
            plain, waiting = [], "to"
        elif token.kind == "passive":
            for one in plain:
                roles[one.start] = "from"
            plain, waiting, passive = [], "passive", True
        elif token.kind == "occupy":
            if not passive:
                for one in plain:
                    roles[one.start] = "to"
                plain, waiting = [], "from"
        elif token.kind in ("date", "number", "qty") and waiting == "from" and token.value not in ("new", "conv"):
            waiting = ""
        elif token.kind == "qty" and token.value == "share" and waiting == "to":
            # "转为草地的占耕地流出的": the whole of a share is no target.
            waiting = ""
    return roles


def with_unit(number: Number, dimension: str, factor: float, noun: str = "") -> Number:
    """A bare number with the unit that stands elsewhere."""
    high = with_unit(number.high, dimension, factor, noun) if number.high is not None else None
    if number.dimension not in ("", dimension):
        return number
    if number.dimension == dimension and dimension != "count":
        return number
    return number._replace(
        value=number.value * factor,
        step=number.step * factor,
        dimension=dimension,
        factor=factor,
        noun=number.noun or noun,
        high=high,
    )
