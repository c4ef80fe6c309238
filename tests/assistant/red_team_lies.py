"""Versions of true statements with one thing wrong, each with the kind of what is wrong."""

import math
import random
from collections.abc import Iterator
from dataclasses import replace

from tests.assistant.red_team import CLASSES, UNIT_M2, Number, Record, Statement, Word


def lies(statement: Statement, record: Record, lang: str, rng: random.Random) -> Iterator[tuple[str, Statement]]:
    """Versions of a statement with one thing wrong, with the kind of it."""
    for name, slot in statement.slots.items():
        fact = statement.facts.get(name, {})
        found = (
            _number_lies(slot, fact, record, rng)
            if isinstance(slot, Number)
            else _word_lies(statement, slot, record, rng)
        )
        for kind, other in found:
            yield kind, replace(statement, slots=statement.slots | {name: other})
    yield from _swaps(statement, record)


def _number_lies(slot: Number, fact: dict, record: Record, rng: random.Random) -> Iterator[tuple[str, Number]]:
    if slot.dimension == "count":
        other = replace(slot, value=slot.value + rng.choice((1, 2, 5)))
        if not record.holds(other, quantity=fact.get("quantity"), kind=fact.get("kind"), place=fact.get("place")):
            yield "count", other
        return
    if slot.style == "spoken":
        percent = rng.choice([at for at in (10, 20, 25, 40, 50, 80) if abs(at - slot.value * 100) > 8])
        other = replace(slot, value=percent / 100)
        if not record.holds(other):
            yield "spoken share", other
        return
    other = replace(slot, value=_one_digit_off(slot, rng) * slot.scale)
    if not record.holds(other) and not record.holds(_coarse(other)):
        yield ("chinese numeral" if slot.style == "chinese" else "digit"), other
    ten = replace(slot, value=slot.shown * slot.scale * rng.choice((10, 0.1)), places=slot.places + 1)
    if not record.holds(ten) and slot.shown:
        yield "ten times", ten
    if slot.dimension in ("area", "area_per_year"):
        unit = rng.choice([one for one in ("mu", "ha", "km2", "m2") if one not in (slot.unit, "wan")])
        other = replace(slot, unit=unit, value=slot.shown * UNIT_M2[unit])
        if not record.holds(other) and slot.shown:
            yield "unit", other
    fine = replace(slot, places=slot.finest + 3)
    if slot.style == "digits" and slot.dimension in ("area", "share") and f"{fine.shown:.{fine.places}f}"[-2:] != "00":
        yield "over-precise", fine
    coarse = replace(slot, places=max(0, 1 - math.floor(math.log10(slot.shown))) if slot.shown else 0)
    step = 10.0**-coarse.places
    moved = replace(coarse, value=(coarse.shown + rng.choice((3, 4)) * step) * slot.scale)
    if coarse.shown / step <= 60 and slot.style == "digits" and not record.holds(moved):
        yield "wrong rounding", moved


def _coarse(slot: Number) -> Number:
    """The same number with its trailing zeros taken for rounding, two digits being kept."""
    text = f"{slot.shown:.0f}"
    zeros = 0 if slot.places else min(len(text) - len(text.rstrip("0")), max(len(text) - 2, 0))
    return replace(slot, places=slot.places - zeros)


def _one_digit_off(slot: Number, rng: random.Random) -> float:
    text = list(f"{slot.shown:.{slot.places}f}")
    at = rng.choice([place for place, one in enumerate(text) if one.isdigit()])
    choices = (
        [one for one in "123456789" if one != text[at]] if at == 0 else [one for one in "0123456789" if one != text[at]]
    )
    text[at] = rng.choice(choices)
    return float("".join(text))


def _word_lies(statement: Statement, slot: Word, record: Record, rng: random.Random) -> Iterator[tuple[str, Word]]:
    numbers = [one for one in statement.slots.values() if isinstance(one, Number)]
    if slot.kind in ("cls", "from", "to"):
        used = {one.key for one in statement.slots.values() if isinstance(one, Word)}
        key = rng.choice([one for one in CLASSES["zh"] if one not in used])
        if numbers and not any(record.holds(one, any_cls=key) for one in numbers):
            yield "class", replace(slot, key=key)
    elif slot.kind == "place":
        key = rng.choice([one for one in ("清沟镇", "云溪镇", "石桥镇", "青禾乡") if one != slot.key])
        if numbers and not any(record.holds(one, place=key) for one in numbers):
            yield "place", replace(slot, key=key)
    elif slot.kind == "flow":
        other = {"gain": ("loss", "down"), "loss": ("gain", "up"), "up": ("down", "loss"), "down": ("up", "gain")}[
            slot.key
        ]
        key = rng.choice(other)
        if numbers and not any(record.holds(one, flow=key) for one in numbers):
            yield "direction", replace(slot, key=key)
    elif slot.kind == "date":
        key = _other_day(slot.key, rng)
        if key[:7] not in {one[:7] for one in record.days if one} or key[:4] == slot.key[:4] and key not in record.days:
            yield "date", replace(slot, key=key)
    elif slot.kind == "patch":
        last = (int(slot.key[-1]) + rng.randrange(1, 10)) % 10
        if f"{slot.key[:-1]}{last}" not in record.patch_ids:
            yield "patch number", replace(slot, key=f"{slot.key[:-1]}{last}")
    elif slot.kind == "grade":
        yield "grade", replace(slot, key={"A": "B", "B": "A", "C": "A"}[slot.key])


def _other_day(iso: str, rng: random.Random) -> str:
    year, month, date = (int(part) for part in iso.split("-"))
    how = rng.randrange(3)
    if how == 0:
        year += rng.choice((-4, -5, 3))
    elif how == 1:
        month = rng.choice([one for one in (1, 2, 4, 5, 7, 8, 10) if one != month])
    else:
        date = (date + rng.choice((3, 5, 11)) - 1) % 28 + 1
    return f"{year}-{month:02}-{date:02}"


def _swaps(statement: Statement, record: Record) -> Iterator[tuple[str, Statement]]:
    slots = statement.slots
    numbers = [(name, one) for name, one in slots.items() if isinstance(one, Number)]
    for at, (name, one) in enumerate(numbers):
        for other_name, other in numbers[at + 1 :]:
            of, other_of = statement.facts.get(name), statement.facts.get(other_name)
            same = one.dimension == other.dimension and of is not None and other_of is not None and of is not other_of
            if same and abs(one.value - other.value) > 4 * max(one.half_place, other.half_place) + 0.02 * one.value:
                yield "swapped figures", replace(statement, slots=slots | {name: other, other_name: one})
    if (
        "from" in slots
        and "to" in slots
        and not any(one.kind == "cls" for one in slots.values() if isinstance(one, Word))
    ):
        before, after = slots["from"], slots["to"]
        turned = slots | {"from": replace(before, key=after.key), "to": replace(after, key=before.key)}
        back = any(record.holds(one, from_cls=after.key, to_cls=before.key) for _, one in numbers)
        if numbers and not back:
            yield "from and to", replace(statement, slots=turned)
