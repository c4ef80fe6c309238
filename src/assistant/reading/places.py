"""The places that a question names: zones of the workspace by name, kinds of zones, towns, and their combinations.

A protective zone of a town ("云溪镇的基本农田") is the zone whose name begins with the town's, where the workspace
has one, else the ground of the zone inside the town. Two places in a list stay two ("云溪镇和保护区"). A capitalised
English word in the place of a name ("in Yunxi") is a town too, so that an unknown one is never silently the whole
county.
"""

import re
from collections.abc import Iterator
from itertools import pairwise

from src.assistant.query import Known, ZoneRef
from src.assistant.reading.cues import cues_of
from src.assistant.reading.lexicon import (
    FORMAT_WORDS,
    GROUP_WORDS,
    OUTSIDE_AFTER,
    OUTSIDE_BEFORE,
    PARTS,
    UNIT_WORDS,
    ZONES,
    class_mentions,
    leftmost_longest,
    town_mentions,
)
from src.assistant.reading.times import masked

_TOWN_ENDING = re.compile(r"(?:镇|乡|街道|村)$| (?:town|township|village)$", re.I)
TOWNS = ("town", "village")
_Found = tuple[int, int, ZoneRef | None]
_CAPITAL = re.compile(r"(?<![\w-])([A-Z][a-z]{2,})(?![\w-])")
_INNER_CAPITAL = re.compile(r"(?<=[\w,'\")] )([A-Z][a-z]{2,})(?![\w-])")
_PINYIN = re.compile(
    r"(?:(?:[bpmfdtnlgkhjqxrzcsyw]|zh|ch|sh)(?:i?ang|i?ong|uang|eng|ing|u?ai|u?an|i?ao|ian|e[inr]|i[aenu]|ou|u[aeino]|[aeiou])"
    r"|[aeo]n?g?){2,}"
)
# Nothing is a name that any table of words knows, and none of these.
_NO_NAME_EN = re.compile(
    r"the|this|that|which|what|each|every|all|any|some|and|how|landsat|sentinel|google|chinese|english|china|please|also"
    r"|land|county|town(?:ship)?s?|villages?|cover|use|where|who|when|why|there|list|give|tell|find|see|only|our|their"
    r"|former|old|existing|remaining|overall|annual|suspected|illegal|local|rural|dear|hello|thanks"
)
_LISTED = re.compile(r"\s*(?:和|与|及|以及|跟|同|或|、|，|,|\band\b|\bor\b)\s*(?:the\s+)?")
_TAKEN_BACK = re.compile(r"\s*(?:\.{2,}|,?\s*(?:sorry|i\s+mean)\b)")
_TITLE_CASE = 0.6


def read_places(text: str, known: Known, question: str) -> tuple[tuple[ZoneRef | None, ...], bool, str]:
    """Places in order, whether a named one is unknown, and the text without them.

    Args:
        text: as ``numerals.plain`` returns it, with what was read before masked.
        known: what the workspace holds.
        question: as typed, for its capitals.
    """
    plain = text
    found: list[_Found] = []
    for read in (_named, _kinds):
        found += read(text, known)
        text = _without(text, found)
    unknown = False
    for kind, name, start, end in [*town_mentions(text), *_capitalised(text, question)]:
        unknown = unknown or bool(known.zones.get(kind) or (kind == "county" and known.county))
        shown = name.title() if name.isascii() else name.upper()
        found.append((start, end, ZoneRef(type=kind, name=shown, inside=_inside(text, start, end))))  # type: ignore[arg-type]
    text = _without(text, found)
    found.sort(key=lambda one: one[0])
    zones = _without_repeats(list(dict.fromkeys(zone for _, _, zone in found)))
    return tuple(zones) if _listed(found, plain) else _of_towns(zones, known), unknown, text


def _inside(text: str, start: int, end: int) -> bool:
    return not (OUTSIDE_AFTER.match(text, end) or OUTSIDE_BEFORE.search(text[:start]))


def _without(text: str, found: list[_Found]) -> str:
    """The text with the places masked, and with them the words that say "outside of"."""
    for start, end, _ in found:
        before, after = OUTSIDE_BEFORE.search(text[:start]), OUTSIDE_AFTER.match(text, end)
        text = masked(text, before.start() if before else start, after.end() if after else end)
    return text


def _named(text: str, known: Known) -> list[_Found]:
    """Zones that the workspace has by name."""
    found: list[_Found] = []
    for name, kind in _names(known):
        start = text.find(name.lower())
        if start >= 0 and not any(begin <= start < end for begin, end, _ in found):
            end = start + len(name)
            found.append((start, end, None if kind == "county" else _zone(kind, name, text, start, known)))
    return found


def _kinds(text: str, known: Known) -> list[_Found]:
    """Kinds of zones, with the part of a reserve."""
    found: list[_Found] = []
    for kind, start, end in leftmost_longest(ZONES, text):
        ref = None
        if kind != "county":
            part = _part(text, start, end) if kind == "reserve" else None
            ref = ZoneRef(type=kind, part=part, inside=_inside(text, start, end))  # type: ignore[arg-type]
            stem, names = _stem(kind, text[:start], known)
            start -= len(stem)
            if len(names) == 1:
                ref = ref.model_copy(update={"name": names[0]})
        found.append((start, end, ref))
    return found


def _stem(kind: str, before: str, known: Known) -> tuple[str, list[str]]:
    """The own name that stands before the words of a kind ("柳塘" of "柳塘河道"), and the zones that bear it."""
    words = dict(ZONES)[kind]
    stems = {name: words.sub("", name.lower()) for name in known.zones.get(kind, ())}
    stem = max((one for one in stems.values() if one and before.endswith(one)), key=len, default="")
    return stem, [name for name, one in stems.items() if stem and one == stem]


def _part(text: str, start: int, end: int) -> str | None:
    """The part of a reserve that its own words name, or else those around it."""
    for words in (text[start:end], text[max(0, start - 20) : end + 12]):
        for part, pattern in PARTS:
            if re.search(pattern, words):
                return part
    return None


def _without_repeats(zones: list[ZoneRef | None]) -> list[ZoneRef | None]:
    """A reserve named with its part, and then "the reserve" again, is one place."""
    named = {zone.type for zone in zones if zone is not None and (zone.part or zone.name)}
    return [zone for zone in zones if zone is None or zone.part or zone.name or zone.type not in named]


def _listed(found: list[_Found], text: str) -> bool:
    """Whether a town and a zone stand side by side in a list."""
    pairs = [(one, other) for one, other in pairwise(found) if _LISTED.fullmatch(text[one[1] : other[0]])]
    return any(_is_town(one[2]) != _is_town(other[2]) for one, other in pairs)


def _is_town(zone: ZoneRef | None) -> bool:
    return zone is not None and zone.type in TOWNS


def _of_towns(zones: list[ZoneRef | None], known: Known) -> tuple[ZoneRef | None, ...]:
    """Several towns and a zone, or a town and several zones, as the zones of the towns."""
    towns = [zone for zone in zones if zone is not None and zone.type in TOWNS and zone.name and zone.inside]
    others = [zone for zone in zones if zone is not None and zone not in towns]
    if not towns or not others or min(len(towns), len(others)) > 1 or any(_is_town(zone) for zone in others):
        return tuple(zones)
    joined = [of_town(zone, town, known) for town in towns for zone in others]
    return tuple(zones) if None in joined else tuple(joined)


def of_town(zone: ZoneRef, town: ZoneRef, known: Known) -> ZoneRef | None:
    """The zone of a town: the one whose name begins with the town's, else the ground inside the town.

    None where neither is there, or the ground outside of the zone is meant.
    """
    stem = _TOWN_ENDING.sub("", town.name or "")
    own = [name for name in known.zones.get(zone.type, ()) if name.startswith(stem)]
    if len(own) == 1 and (zone.name in (None, own[0]) or _in_some_town(zone.name or "", known)) and not zone.part:
        return zone.model_copy(update={"name": own[0], "town": None})
    if town.name not in known.zones.get(town.type, ()) or not zone.inside:
        return None
    name = None if zone.name and _in_some_town(zone.name, known) else zone.name
    return zone.model_copy(update={"name": name, "town": town.name})


def town_of(zone: ZoneRef, known: Known) -> ZoneRef | None:
    """The town that a zone is cut to; None where it is whole."""
    kinds = (kind for kind in TOWNS if zone.town in known.zones.get(kind, ()))
    return next((ZoneRef(type=kind, name=zone.town) for kind in kinds), None)  # type: ignore[arg-type]


def _in_some_town(name: str, known: Known) -> bool:
    """Whether the name of a zone begins with a town's."""
    towns = (_TOWN_ENDING.sub("", town) for kind in TOWNS for town in known.zones.get(kind, ()))
    return any(name.startswith(town) for town in towns)


def _names(known: Known) -> list[tuple[str, str]]:
    """Names that the workspace knows with their kind, short forms of towns too, longest first."""
    kinds = dict(ZONES)
    names = [
        (name, kind)
        for kind, several in known.zones.items()
        for name in several
        # A layer that is called as its kind names no single zone.
        if len(name) > 1 and not (kind in kinds and kinds[kind].fullmatch(name.lower()))
    ]
    short = [(_TOWN_ENDING.sub("", name), kind) for name, kind in names]
    names += [(name, kind) for name, kind in short if len(name) > 1 and kind in TOWNS]
    if known.county:
        names += [(known.county, "county")]
    return sorted(dict.fromkeys(names), key=lambda one: (-len(one[0]), one))


def _zone(kind: str, name: str, text: str, start: int, known: Known) -> ZoneRef:
    full = next((one for one in known.zones.get(kind, ()) if one == name), None) or next(
        one for one in known.zones[kind] if one.startswith(name)
    )
    return ZoneRef(type=kind, name=full, inside=_inside(text, start, start + len(name)))  # type: ignore[arg-type]


def _capitalised(text: str, question: str) -> Iterator[tuple[str, str, int, int]]:
    """(kind, name, start, end) of capitalised words that mean nothing else.

    The first word of a sentence counts where it is a possessor, or sounds Chinese and stands before a class.
    """
    words = re.findall(r"[A-Za-z][\w-]*", question)
    if len(words) > 3 and sum(word[0].isupper() for word in words) > _TITLE_CASE * len(words):
        return
    classes = [(one.start, one.end) for one in class_mentions(text)]
    inner = {match[1].lower() for match in _INNER_CAPITAL.finditer(question)}
    for word in dict.fromkeys(match[1].lower() for match in _CAPITAL.finditer(question)):
        for match in re.finditer(rf"\b{word}\b(?:'s)?", text):
            start, end = match.start(), match.start() + len(word)
            overlaps = any(begin < end and start < stop for begin, stop in classes)
            first = _PINYIN.fullmatch(word) and any(begin == end + 1 for begin, _ in classes)
            owns = match.end() > end or bool(first)
            back = _TAKEN_BACK.match(text, match.end())
            if (word in inner or owns) and not (overlaps or back or _is_word(word)):
                yield "town", word, start, end


def _is_word(word: str) -> bool:
    """Whether any table knows the word as something else than a name."""
    tables = [*FORMAT_WORDS.values(), *UNIT_WORDS.values(), *(pattern.pattern for pattern in GROUP_WORDS.values())]
    return bool(_NO_NAME_EN.fullmatch(word) or cues_of(word) or any(re.search(table, word) for table in tables))
