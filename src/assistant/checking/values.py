"""Whether a number as it is written is a value of the evidence, rounded to the places that are written."""

import math

from src.assistant.checking.facts import Fact, Facts
from src.assistant.checking.numbers import Number
from src.assistant.checking.segments import Claim

_TINY = 1e-9
# Step of shares such as half and a third, and how much more "more than half" may be.
_WORD_STEP, _WORD_ROOM = 0.02, 0.16
# Decimals that a figure without bounds is worth, by square metres in the unit; shares in percent.
_AREA_DECIMALS = {1: 0, round(2000 / 3): 2, 10**4: 2, 10**6: 4, round(2e7 / 3): 4}
_SHARE_DECIMALS = {"share": 1, "share_per_year": 2}
_MEASURED = frozenset({"area", "area_per_year", *_SHARE_DECIMALS})
# Figures that are given, not measured.
_EXACT = frozenset({"converted", "unit", "confidence", "seen", "cloud"})
_DIMENSIONS: dict[str, tuple[str, ...]] = {
    "area": ("area", "area_per_year"),
    "share": ("share", "share_per_year"),
    "count": ("count",),
    "length": ("length",),
    "degrees": ("degrees",),
    "time": ("days",),
    "": ("count", "index", "share", "degrees"),
}


def same_dimension(number: Number, fact: Fact) -> bool:
    """Whether a number may be of a fact's dimension, as far as its unit tells."""
    if fact.dimension not in _DIMENSIONS.get(number.dimension, ()):
        return False
    if number.dimension == "" and fact.dimension == "share":
        return number.decimal and abs(number.value) <= 1
    if number.dimension == "" and fact.dimension == "degrees":
        return number.decimal
    return True


def plausible(number: Number, facts: Facts) -> list[Fact]:
    """Facts that may agree with a number in size, so that the others need no closer look."""
    if math.isnan(number.value):
        return []
    room = max(number.step, number.high.step if number.high else 0.0, _WORD_ROOM if number.step == _WORD_STEP else 0.0)
    size = abs(number.value)
    return facts.near(_DIMENSIONS.get(number.dimension, ()), size, room * (1 + _TINY) + size * _TINY)


def value_part(claim: Claim, fact: Fact) -> str:
    """ "value", "low" or "high" (of the bounds), "bounds" for a range, "" where the number is another one."""
    number = claim.number
    ends = (number, number.high) if number.high is not None else (number,)
    if not same_dimension(number, fact) or any(_too_fine(one, fact) for one in ends):
        return ""
    if number.high is not None:
        return "bounds" if _is_bounds(number, number.high, fact) else ""
    bounds = fact.bounds
    if claim.end and bounds is not None:
        return claim.end if _is_end(claim, fact) else ""
    if claim.end:
        return ""
    if _near(number, fact.value, fact):
        return "value"
    if bounds is not None and number.mode == "least" and _rounded(number, bounds[0], number.step):
        return "low"
    if bounds is not None and number.mode == "most" and _rounded(number, bounds[1], number.step):
        return "high"
    return ""


def _too_fine(number: Number, fact: Fact) -> bool:
    """Whether more decimals are written than the figure is worth (one more being pardoned) and than are usual."""
    if fact.quantity in _EXACT or not number.decimal or fact.dimension not in _MEASURED:
        return False
    # 万亩 is a unit of its own here.
    unit = 0.01 if number.dimension == "share" else number.step * 10.0**number.places
    size, written = abs(fact.value), round(-math.log10(number.step / unit))
    # Two digits are always worth something.
    least = 1 - math.floor(math.log10(size / unit)) if size else 0
    half = (fact.bounds[1] - fact.bounds[0]) / 2 / unit if fact.bounds else 0.0
    usual = _SHARE_DECIMALS.get(fact.dimension) or _AREA_DECIMALS.get(round(unit), 2)
    worth = 2 - math.floor(math.log10(half)) if half > 0 and fact.dimension.startswith("area") else usual
    return written > max(max(worth, least) + 1, usual)


def _is_end(claim: Claim, fact: Fact) -> bool:
    assert fact.bounds is not None
    low, high = fact.bounds
    step = claim.number.step
    if claim.first_of is not None and _is_round(claim.number):
        step = max(step, claim.first_of.number.step)
    if _rounded(claim.number, low if claim.end == "low" else high, step):
        return True
    # Of a decrease the bounds are said without their sign, the smaller one first.
    return high <= 0 and _rounded(claim.number, high if claim.end == "low" else low, step)


def _is_bounds(low: Number, high: Number, fact: Fact) -> bool:
    if fact.bounds is None:
        return False
    step = max(low.step, high.step)
    low_step, high_step = (step if _is_round(one) else one.step for one in (low, high))
    first, second = fact.bounds
    if first < 0 and second <= 0 and not low.sign:
        first, second = -second, -first
    signed = first < 0 or second < 0
    ends = ((low, first, low_step), (high, second, high_step))
    return all(
        _rounded(one, value, step) and (not signed or (one.value < 0) == (value < 0) or one.value == 0)
        for one, value, step in ends
    )


def _is_round(number: Number) -> bool:
    """Whether a number has so few digits that only the other end of its range tells to what it is rounded."""
    digits = f"{abs(number.value) / number.factor:.0f}"
    return not number.decimal and digits.endswith("0") and len(digits.rstrip("0")) <= 2


def _rounded(number: Number, value: float, step: float) -> bool:
    """Whether the number is the value, rounded to the place in which it is written (signs aside)."""
    return abs(abs(number.value) - abs(value)) <= step / 2 * (1 + _TINY) + abs(value) * 1e-12


def _near(number: Number, value: float, fact: Fact) -> bool:
    if fact.dimension == "count":
        exact = number.value == value
        return (
            exact
            if number.mode == "" or abs(value) < 100
            else exact or _open(number, value) or _rounded(number, value, number.step)
        )
    if fact.dimension == "index" or (fact.dimension == "degrees"):
        return abs(abs(number.value) - abs(value)) <= number.step / 2 * (1 + _TINY)
    if number.value == 0:
        return abs(value) <= (number.step / 2 if number.decimal else 0.05 * number.factor)
    if number.mode in ("least", "most") and not number.decimal:
        return _open(number, value) or abs(abs(number.value) - abs(value)) <= abs(value) * _TINY
    return _rounded(number, value, number.step)


def _open(number: Number, value: float) -> bool:
    """A number with "more than" or "almost": on that side of the value, not far from it."""
    size, written = abs(value), abs(number.value)
    if number.mode == "least":
        # "More than half" leaves more room than a figure does.
        room = _WORD_ROOM if number.dimension == "share" and number.step == _WORD_STEP else number.step
        return 0 <= size - written < room
    return number.mode == "most" and 0 <= written - size < number.step
