"""Whether everything that a text states stands in the evidence.

    problems = check(text, evidence)        # () where all of it stands

A number in a text is a claim: a value with a unit, a direction, and the class,
place, dates and quantity that the words around it give. It stands where some
number of the evidence has that value, rounded to the places that are written,
and none of the words contradict what that number is of. Dates, places, classes,
patches and sensors have to be those of the evidence, and no word may state a
verdict. The check reads text alone: it shares nothing with the templates.

Not covered: reasons and advice that carry no number, and comparisons in words
alone beyond the largest of a list.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Literal

from src.assistant.checking.calendar import covers
from src.assistant.checking.claims import claims
from src.assistant.checking.dates import Span
from src.assistant.checking.facts import Fact, Facts
from src.assistant.checking.match import candidates
from src.assistant.checking.order import is_extreme
from src.assistant.checking.phrases import rephrase
from src.assistant.checking.segments import Claim
from src.assistant.checking.statements import statements
from src.assistant.checking.text import clean
from src.assistant.checking.tokens import Token, tokens
from src.assistant.checking.values import same_dimension
from src.assistant.record import Evidence
from src.constants import AREA_UNITS_M2

ProblemKind = Literal["number", "unit", "sign", "class", "place", "date", "interval", "patch", "verdict", "sensor"]

_KIND_OF_DIFFERENCE: dict[str, ProblemKind] = {
    **{"unit": "unit", "quantity": "number", "sign": "sign", "class": "class", "place": "place"},
    **{"date": "date", "patch": "patch", "kind": "number", "interval": "interval"},
}
_NEAREST = 3


@dataclass(frozen=True)
class Problem:
    """One statement of a text that the evidence does not hold.

    Args:
        kind: what is wrong with it.
        found: the words of the text.
        expected: nearest things that the evidence does hold.
    """

    kind: ProblemKind
    found: str
    expected: tuple[str, ...] = ()


def check(text: str, evidence: Evidence) -> tuple[Problem, ...]:
    """Problems of a text, in the order of the text; empty where all of it stands.

    Args:
        text: Chinese or English, plain or Markdown.
        evidence: all that it may say.
    """
    plain = rephrase(clean(text))
    facts = Facts(evidence)
    found = tokens(plain, facts.names())
    found = _settled(plain, found)
    located = [
        *_numbers(plain, found, facts),
        *_dates(plain, found, facts),
        *(
            (start, Problem(kind, words, expected))
            for start, kind, words, expected in statements(plain, found, facts, text)
        ),
    ]
    unique: dict[tuple[str, str], Problem] = {}
    for _, problem in sorted(located, key=lambda one: one[0]):
        unique.setdefault((problem.kind, problem.found), problem)
    return tuple(unique.values())


# --- Words that mean one thing or another by what stands beside them

_STATE_OR_CHANGE = ("变为", "became", "become")


def _settled(text: str, found: list[Token]) -> list[Token]:
    """Tokens without words that only look like what they are taken for; "A至B" joined to one period."""
    kept: list[Token] = []
    for index, token in enumerate(found):
        written = text[token.start : token.end]
        following = next((one for one in found[index + 1 :] if one.start >= token.end), None)
        beside = following is not None and following.start - token.end <= 1
        if written in _STATE_OR_CHANGE:
            changes = (
                following is not None and following.kind in ("class", "ignored") and following.start - token.end <= 2
            )
            if (token.kind == "qty") == changes:
                continue
            if token.kind == "conv":
                kept.append(Token("qty", "conv", token.start, token.end))
        if written == "went from" and token.kind == "qty" and following is not None:
            after = next((one for one in found[index + 1 :] if one.start >= token.end and one.kind != "from"), None)
            if after is not None and after.kind == "class" and after.start - token.end <= 1:
                continue
        if written in ("多", "少", "more", "less", "fewer", "增", "减") and token.kind == "qty":
            after_number = kept and kept[-1].kind == "number" and token.start - kept[-1].end <= 1
            beside = (
                following is not None
                and re.fullmatch(r"[出了约大概近]{0,4}", text[token.end : following.start]) is not None
            )
            if not (beside and following is not None and following.kind == "number") and not (
                after_number and written not in "多少增减"
            ):
                continue
        if (
            written in ("more than", "less than", "fewer than")
            and beside
            and following is not None
            and following.kind == "number"
        ):
            continue
        if (
            token.kind == "qty"
            and written in ("within", "radius", "周边")
            and not (following and following.kind == "number" and following.value.dimension == "length")
        ):
            continue
        kept.append(token)
    return _with_periods(text, kept)


_PERIOD_JOIN = re.compile(r"\s?(?:\([^()]{0,40}\))?\s?(?:至|到|-|~|→|to|until|through)\s?")
_PERIOD_AND = re.compile(r"\s?(?:and|与|和|同)\s?")
_PERIOD_BEFORE = re.compile(r"(?:between|介于|对比|compare|comparing)\s?$")
_PERIOD_AFTER = re.compile(r"\s?(?:之间|期间|相比|间|对比|两期|compared)")


def _with_periods(text: str, found: list[Token]) -> list[Token]:
    """Two dates with "to" between them become one token of a period; what stands in a bracket between them stays."""
    kept: list[Token] = []
    for token in found:
        if token.kind == "date" and token.value is not None and token.value.second is None:
            first = next((one for one in reversed(kept) if one.kind == "date"), None)
            before = first
            while (
                before is not None
                and ")" in text[before.end : token.start]
                and "(" not in text[before.end : token.start]
            ):
                outer = [one for one in kept if one.kind == "date" and one.start < before.start]
                before = outer[-1] if outer else None
            if (
                before is not None
                and before.value is not None
                and before.value.second is None
                and _joins(text, before, token)
            ):
                kept = [one for one in kept if one is not before and not _is_join(one, before, token)]
                kept.append(
                    Token(
                        "date", before.value._replace(precision="period", second=token.value), before.start, token.end
                    )
                )
                kept.sort(key=lambda one: one.start)
                continue
        kept.append(token)
    return kept


def _is_join(word: Token, first: Token, second: Token) -> bool:
    """Words that only hold a period together: "from", "between" in front of it, "to" inside it."""
    if first.end <= word.start < second.start:
        return word.kind in ("to", "conv", "range") or word.value == "conv"
    return word.kind in ("range", "from", "start") and 0 <= first.start - word.end <= 1


def _joins(text: str, first: Token, second: Token) -> bool:
    between = text[first.end : second.start]
    if _PERIOD_JOIN.fullmatch(between):
        return True
    if not _PERIOD_AND.fullmatch(between):
        return False
    return bool(
        _PERIOD_BEFORE.search(text[max(0, first.start - 12) : first.start]) or _PERIOD_AFTER.match(text, second.end)
    )


# --- Numbers


def _numbers(text: str, found: Sequence[Token], facts: Facts) -> Iterator[tuple[int, Problem]]:
    shown = len({one.value for one in found if one.kind == "patch"})
    rest = facts.rest(shown)
    keys: dict[int, set[str]] = {}
    for claim in claims(text, found):
        if _is_conversion(text, claim):
            continue
        if (
            claim.number.high is not None
            and abs(claim.number.value) > abs(claim.number.high.value)
            and claim.number.value >= 0
        ):
            yield claim.token.start, _problem(text, claim, "interval", facts)
            continue
        if claim.number.dimension == "time" and _is_duration(claim, facts):
            continue
        if rest is not None and "rest" in claim.marks and claim.number.dimension in ("", "count"):
            if claim.number.value != rest.value:
                yield claim.token.start, Problem("number", _words(text, claim), (f"rest={rest.value:.0f}",))
            continue
        agreed = list(candidates(claim, facts))
        standing = [fact for fact, _, differs in agreed if not differs and _of_interval(claim, fact, facts, keys)]
        if standing and not any(is_extreme(text, claim, fact, facts) for fact in standing):
            yield claim.token.start, _problem(text, claim, "place" if standing[0].place else "number", facts)
            continue
        group = _bound_to(claim)
        if group is not None and id(group) in keys:
            same = [fact for fact in standing if fact.key in keys[id(group)]]
            if not same and standing and keys[id(group)]:
                yield (
                    claim.token.start,
                    _problem(text, claim, "interval" if claim.number.high or claim.end else "number", facts),
                )
                continue
            standing = same or standing
        keys[id(claim)] = {fact.key for fact in standing}
        if not standing:
            yield claim.token.start, _problem(text, claim, _worst(claim, agreed, facts), facts)


def _of_interval(claim: Claim, fact: Fact, facts: Facts, keys: dict[int, set[str]]) -> bool:
    """The sample size of an interval stands beside the figure that has it, and a test sample nowhere near one."""
    before = claim.head or claim.previous
    said = keys.get(id(before), set()) if before is not None else set()
    if fact.quantity == "interval_samples":
        return fact.key in said
    if fact.quantity == "samples":
        return not any(one.quantity == "interval_samples" and one.key in said for one in facts.numbers)
    return True


def _bound_to(claim: Claim) -> Claim | None:
    """The claim whose figure this one shares: the other end of its bounds, or what its bracket stands behind."""
    if claim.first_of is not None:
        return claim.first_of
    if claim.head is not None and not claim.own and claim.head.number.dimension == claim.number.dimension:
        return claim.head
    return None


def _worst(claim: Claim, agreed: list[tuple[Fact, str, list[str]]], facts: Facts) -> ProblemKind:
    """The kind of problem that sets the claim apart from the figure closest to it."""
    if agreed:
        _, _, differs = min(agreed, key=lambda one: (len(one[2]), "quantity" in one[2], "date" in one[2]))
        return _KIND_OF_DIFFERENCE[differs[0]] if differs else "number"
    number = claim.number
    if number.dimension in ("unknown", "multiple"):
        return "unit" if number.dimension == "unknown" else "number"
    if claim.end or number.high is not None:
        return "interval"
    written = number.value / number.factor
    for fact in facts.numbers:
        if fact.dimension in ("area", "share"):
            units = AREA_UNITS_M2.values() if fact.dimension == "area" else (0.01, 1.0)
            if any(abs(abs(written) - abs(fact.value) / unit) <= number.step / number.factor / 2 for unit in units):
                return "unit"
    return "number"


def _problem(text: str, claim: Claim, kind: ProblemKind, facts: Facts) -> Problem:
    near = sorted(
        (fact for fact in facts.numbers if same_dimension(claim.number, fact)),
        key=lambda fact: abs(abs(fact.value) - abs(claim.number.value)),
    )
    expected = tuple(dict.fromkeys(f"{fact.key}={fact.value / claim.number.factor:.6g}" for fact in near[:_NEAREST]))
    return Problem(kind, _words(text, claim), expected)


def _words(text: str, claim: Claim) -> str:
    return text[claim.token.start : claim.token.end].strip()


_EQUALS = re.compile(r"\s?(?:=|≈|等于|约等于|即|是|合|equals?|is)\s?$")


def _is_conversion(text: str, claim: Claim) -> bool:
    """A rule such as "1公顷=15亩" or either side of it."""
    number = claim.number
    if number.dimension != "area":
        return False
    written = number.value / number.factor
    if abs(written - 1) < 1e-9:
        return re.match(r"\s?(?:=|≈|等于|约等于|即|合|是|equals?|is)\s?\d", text[claim.token.end :]) is not None
    before = _EQUALS.search(text, max(0, claim.token.start - 8), claim.token.start)
    if before is None:
        return False
    one = re.search(
        r"(?<![\d.])1\s?(平方公里|平方米|公顷|亩|km2|m2|ha|mu|hectare|square kilomet(?:er|re))\s?$",
        text[: before.start()],
    )
    if one is None:
        return False
    units = {"平方公里": "km2", "平方米": "m2", "公顷": "ha", "亩": "mu", "hectare": "ha"}
    name = units.get(one[1], one[1] if one[1] in AREA_UNITS_M2 else "km2")
    return abs(number.value - AREA_UNITS_M2[name]) <= number.step / 2 * (1 + 1e-9)


def _is_duration(claim: Claim, facts: Facts) -> bool:
    value, step = claim.number.value, claim.number.step
    known = [*facts.calendar.durations(), *(fact.value for fact in facts.numbers if fact.dimension == "days")]
    return any(abs(days - value) <= step / 2 for days in known)


# --- Dates


def _dates(text: str, found: Sequence[Token], facts: Facts) -> Iterator[tuple[int, Problem]]:
    known = tuple(sorted(day.isoformat() for day in facts.calendar.taken | facts.calendar.nominal))
    for token in found:
        if token.kind == "date" and not _date_stands(token.value, facts):
            yield token.start, Problem("date", text[token.start : token.end], known[:_NEAREST] + known[-1:])


def _date_stands(span: Span | None, facts: Facts) -> bool:
    if span is None:
        return False
    if span.second is None:
        years = [fact.value for fact in facts.numbers if fact.dimension == "year"]
        return any(covers(span, day) for day in facts.calendar.days) or (
            span.precision == "year" and span.first.year in years
        )
    first, second = span._replace(second=None), span.second
    if span.first >= second.first:
        return False
    return any(_meets(first, a, facts) and _meets(second, b, facts) for a, b in facts.calendar.pairs)


def _meets(span: Span, day: date, facts: Facts) -> bool:
    return any(covers(span, one) for one in facts.calendar.aliases(day))
