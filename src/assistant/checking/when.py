"""Whether the dates around a number agree with those that its figure rests on."""

from collections.abc import Iterable
from datetime import date

from src.assistant.checking.calendar import covers
from src.assistant.checking.dates import Span
from src.assistant.checking.facts import Fact, Facts
from src.assistant.checking.segments import Claim
from src.assistant.checking.tokens import Token


def date_fits(claim: Claim, fact: Fact, facts: Facts) -> bool:
    """Whether the dates that hold for a claim are those of a fact, or stand for them."""
    if fact.quantity in ("count", "rows", "method", "point", "unit", "radius", "converted", "samples"):
        return True
    own = [one for one in claim.own.get("date", ()) if one.value is not None]
    if fact.key.startswith("scene:") and not own and "date" not in claim.near:
        # What holds for one image alone has to be said of its day.
        return len({one.t2 for one in facts.numbers if one.key.startswith("scene:")}) == 1
    if fact.quantity == "difference" and not own:
        # It is of two periods, whichever was named last.
        return True
    first, second = facts.calendar.aliases(fact.t1), facts.calendar.aliases(fact.t2)
    if not second and not first:
        return True
    if not _side_fits(claim, fact, facts):
        return False
    if fact.quantity == "seen" and not fact.key.startswith("scene:") and not own:
        return True
    dates = own or [one for one in claim.words("date") if one.value is not None]
    if not dates:
        return bool(claim.own.get("side") or claim.turn) or _is_latest(claim, fact, facts)
    if not first or fact.t1 == fact.t2:
        return (
            any(_single_fits(one.value, second) for one in dates)
            if not own or len(own) > 1
            else _single_fits(own[0].value, second)
        )
    spans = [one.value for one in dates]
    if "date" not in claim.own and "date" not in claim.near and all(span.second is None for span in spans):
        return all(min(first) <= day <= max(second) for span in spans for day in (span.first,)) or any(
            _pair_fits(span, first, second) for span in spans
        )
    if len(spans) == 1 and spans[0].second is None:
        return _any(spans[0], second) or (_any(spans[0], first) and (not own or _is_start(claim, own[0])))
    return all(_pair_fits(span, first, second) for span in spans)


def _any(span: Span, days: Iterable[date]) -> bool:
    return any(covers(span, day) for day in days)


def _single_fits(span: Span, days: Iterable[date]) -> bool:
    if span.second is None:
        return _any(span, days)
    return any(span.first <= day <= span.second.last for day in days)


def _pair_fits(span: Span, first: Iterable[date], second: Iterable[date]) -> bool:
    if span.second is None:
        return _any(span, first) or _any(span, second)
    return _any(span, first) and _any(span.second, second)


def _is_start(claim: Claim, date_token: Token) -> bool:
    """Whether words make a date the start of a period: since, compared with, from, end of."""
    return date_token.value.precision == "edge" or "start" in claim.marks or "from" in claim.marks


def _side_fits(claim: Claim, fact: Fact, facts: Facts) -> bool:
    turned = {claim.turn} if claim.turn and "date" not in claim.own else set()
    sides = {one.value for one in claim.own.get("side", ())} or turned
    if len(sides) != 1 or fact.t1 is not None or fact.quantity not in ("state", "series", "index"):
        return True
    days = [
        one.t2
        for one in facts.numbers
        if one.t1 is None and one.t2 and (one.quantity, one.cls, one.place) == (fact.quantity, fact.cls, fact.place)
    ]
    edge = min(days) if sides == {"before"} else max(days)
    return fact.t2 == edge or len(set(days)) == 1


def _is_latest(claim: Claim, fact: Fact, facts: Facts) -> bool:
    """A state that is said without a date is that of the day asked about."""
    if fact.t1 is not None or fact.quantity not in ("state", "series"):
        return True
    asked = facts.evidence.query.t2 or facts.evidence.t2
    if asked is None:
        return True
    days = [
        one.t2
        for one in facts.numbers
        if one.t1 is None and one.t2 and (one.quantity, one.cls, one.place) == (fact.quantity, fact.cls, fact.place)
    ]
    return fact.t2 == max(days)
