"""Statements without numbers that the checker reads: names, sensors, verdicts, and what was not found."""

import re
from collections.abc import Iterator, Sequence
from datetime import date

from src.assistant.checking.calendar import covers
from src.assistant.checking.facts import Facts
from src.assistant.checking.order import orders
from src.assistant.checking.segments import class_roles
from src.assistant.checking.tokens import Token
from src.assistant.checking.verdicts import (
    MULTIPLE,
    Statement,
    StatementKind,
    found_or_not,
    sentence_of,
    verdicts,
    written,
)
from src.assistant.record import PatchRow

_GENERIC_PLACE = re.compile(
    r"(?:各|本|该|全|每|分|城|农|两|二|三|四|五|几|数|个|此|一|某|等|和|与|及|在|于|从|由|到|至|为|按|有|的|多|乡|"
    r"行政|自然|所在|其他|"
    r"其它|相关|所有|不同|周边|涉及|全部|\d|十|百)$"
)
_PLACE_SUFFIX = re.compile(
    r"([\u4e00-\u9fff]{1,8}?)(乡镇|街道|自然保护区|保护区|保护地|乡|镇|村|县)(?![镇村庄民域级区界层道路户下情间规办])"
)
_EN_PLACE = re.compile(
    r"\b([A-Z][a-z]+(?:[ -][A-Z][a-z]+)*) (?:[Tt]own(?:ship)?|[Vv]illage|[Cc]ounty|[Nn]ature [Rr]eserve|[Rr]eserve|"
    r"[Dd]istrict)\b"
)
_NOT_A_NAME = {
    "the",
    "each",
    "by",
    "this",
    "every",
    "all",
    "one",
    "in",
    "nature",
    "no",
    "that",
    "a",
    "any",
    "other",
    "whole",
    "per",
    "which",
}
_CLAUSE_END = re.compile(r"[,;:、。!?\n|]|\.(?=\s|$)")
_BEFORE_NAME = re.compile(
    r"(?:位于|在|和|与|及|、|其中|包括|由|的|为|是|至|到|对|从|于|及其|以及|如|有|指|经|不含|含|除)"
)


def statements(text: str, found: Sequence[Token], facts: Facts, original: str) -> Iterator[Statement]:
    """Problems of a clean text: (position, kind, words, expected).

    Args:
        text: clean text.
        found: its tokens.
        facts: of the evidence.
        original: the text as it was, for names in capitals.
    """
    yield from _names(text, found, facts)
    yield from _places(text, found, facts, original)
    yield from _classes(text, found, facts)
    yield from _sensors(text, found, facts)
    yield from verdicts(text)
    yield from ((match.start(), "number", match[0], ()) for match in MULTIPLE.finditer(text))
    yield from _sides(text, found, facts)
    yield from orders(text, found, facts)
    yield from found_or_not(text, found, facts)
    yield from _patches(text, found, facts)


def _names(text: str, found: Sequence[Token], facts: Facts) -> Iterator[Statement]:
    intervals = any(one.interval == "ci95" for one in facts.numbers)
    for token in found:
        if token.kind == "patch_unknown":
            ids = tuple(row.id for row in facts.evidence.patches[:3])
            yield token.start, "patch", written(text, token), ids
        elif token.kind == "ci_other" or (not intervals and _names_interval(text, token, found)):
            yield token.start, "interval", written(text, token), ("ci95",) if intervals else ("range",)


def _names_interval(text: str, token: Token, found: Sequence[Token]) -> bool:
    """Whether a text gives a confidence interval here, and not only speaks of them."""
    first, last = sentence_of(text, token.start)
    numbers = any(one.kind == "number" and first <= one.start < last for one in found)
    return (token.kind == "ci95" or (token.kind == "ci" and numbers)) and not _denied(text, token)


def _denied(text: str, token: Token) -> bool:
    return (
        re.search(r"(?:非|不是|并非|没有|无|no|not an?|n't be an?)\s?$", text[max(0, token.start - 8) : token.start])
        is not None
    )


def _places(text: str, found: Sequence[Token], facts: Facts, original: str) -> Iterator[Statement]:
    known = tuple(dict.fromkeys(fact.place for fact in facts.numbers if fact.place))
    expected = (*known[:3], facts.evidence.place)
    taken = [
        (one.start, one.end)
        for one in found
        if one.kind in ("place", "zone", "name", "ignored", "county", "part", "patch")
    ]
    for match in _PLACE_SUFFIX.finditer(text):
        start = match.start(2)
        if any(first <= start < last for first, last in taken):
            # 青山保护区 in place of the reserve's own name: a zone word with a strange name in front of it.
            if match[2] not in ("自然保护区", "保护区", "保护地") or any(
                first <= start < last and (last - first > len(match[2]) + 1) for first, last in taken
            ):
                continue
        name = _BEFORE_NAME.split(match[1])[-1]
        if (
            any(first < start <= last for first, last in taken)
            or not name
            or _GENERIC_PLACE.search(name)
            or _is_words(name, found, match)
        ):
            continue
        yield start, "place", name + match[2], expected
    names = {str(value).lower() for one in found if one.kind == "place" for value in (one.value,)}
    for match in _EN_PLACE.finditer(original):
        words = [word for word in match[1].split() if word.lower() not in _NOT_A_NAME]
        if words and not any(" ".join(words).lower() in name for name in names):
            yield match.start(), "place", match[0], expected
    for token in found:
        if token.kind == "zone" and token.value not in facts.zones and not _absent_layer(text, token):
            yield token.start, "place", written(text, token), tuple(sorted(facts.zones))
        if token.kind == "zone" and facts.evidence.query.zone and token.value == facts.evidence.query.zone.type:
            side = re.match(r"(?:的)?(?:范围|边界)?(?:之|以)?(内|外)", text[token.end : token.end + 6])
            before = re.search(r"(outside|beyond)(?: of)?(?: the)?\s?$", text[max(0, token.start - 16) : token.start])
            outside = bool(before) or (side is not None and side[1] == "外")
            inside = side is not None and side[1] == "内"
            if (outside and facts.evidence.query.zone.inside) or (inside and not facts.evidence.query.zone.inside):
                yield (
                    token.start,
                    "place",
                    written(text, token),
                    ("inside" if facts.evidence.query.zone.inside else "outside",),
                )


def _absent_layer(text: str, token: Token) -> bool:
    first, last = sentence_of(text, token.start)
    return (
        re.search(r"缺少|没有.{0,12}图层|未载入|图层|补充|missing|layer|upload|not loaded|load", text[first:last])
        is not None
    )


def _is_words(name: str, found: Sequence[Token], match: re.Match[str]) -> bool:
    """Whether what stands before 乡, 镇, 村 is a word that the checker knows and no name: 耕地…村."""
    return any(
        one.end == match.start(2) and one.kind not in ("qty", "class")
        for one in found
        if one.end <= match.start(2) and one.kind != "number"
    )


def _classes(text: str, found: Sequence[Token], facts: Facts) -> Iterator[Statement]:
    """Classes that the evidence says nothing about, in sentences that state a change or a number."""
    if not facts.classes:
        return
    for token in found:
        if token.kind != "class" or token.value in facts.classes:
            continue
        first, last = sentence_of(text, token.start)
        if any(first <= one.start < last and one.kind in ("number", "qty", "conv") for one in found):
            yield token.start, "class", written(text, token), tuple(sorted(facts.classes))


def _sensors(text: str, found: Sequence[Token], facts: Facts) -> Iterator[Statement]:
    scenes = facts.evidence.scenes
    used = {one.sensor for one in scenes if one.used}
    for token in found:
        if token.kind not in ("sensor", "level"):
            continue
        first, last = sentence_of(text, token.start)
        left_out = (
            re.search(r"未采用|未使用|剔除|舍弃|没有采用|left out|not used|discarded", text[first:last]) is not None
        )
        allowed = {one.sensor for one in scenes} if left_out else used
        if token.kind == "level":
            stands = any(one.level.lower().startswith(token.value) for one in scenes if one.used or left_out)
        else:
            stands = any(_is_sensor(token.value, sensor) for sensor in allowed)
            stands = stands and _sensor_of_date(text, token, found, facts)
        if not stands:
            yield token.start, "sensor", written(text, token), tuple(sorted(allowed))


def _is_sensor(word: str, sensor: str) -> bool:
    return (
        sensor.startswith(word)
        or (word == "landsat" and sensor == "hls_l30")
        or (word == "sentinel2" and sensor == "hls_s30")
    )


def _sensor_of_date(text: str, token: Token, found: Sequence[Token], facts: Facts) -> bool:
    """A day right beside a sensor has to be one on which that sensor took a scene."""
    for one in found:
        if one.kind == "date" and one.value is not None and one.value.precision == "day" and one.value.second is None:
            between = text[one.end : token.start] if one.end <= token.start else text[token.end : one.start]
            if re.fullmatch(r"[\s(:的]{0,2}(?:of |on )?", between):
                day = one.value.first
                scenes = [scene for scene in facts.evidence.scenes if scene.date == day.isoformat()]
                if scenes and not any(_is_sensor(token.value, scene.sensor) for scene in scenes):
                    return False
    return True


def _sides(text: str, found: Sequence[Token], facts: Facts) -> Iterator[Statement]:
    """A day right beside "before" or "after" has to be the first or the second of a period."""
    for side in (one for one in found if one.kind == "side"):
        for one in found:
            if one.kind != "date" or one.value is None or one.value.second is not None:
                continue
            between = text[one.end : side.start] if one.end <= side.start else text[side.end : one.start]
            if one.start < side.end and one.end > side.start or not re.fullmatch(r"[\s:(的为]{0,2}(?:on )?", between):
                continue
            ends = [pair[side.value == "after"] for pair in facts.calendar.pairs]
            if not any(covers(one.value, day) for end in ends for day in facts.calendar.aliases(end)):
                yield one.start, "date", written(text, one), tuple(sorted({end.isoformat() for end in ends}))[:3]


def _patches(text: str, found: Sequence[Token], facts: Facts) -> Iterator[Statement]:
    """Around one patch number, every class, town, date, grade, kind and zone has to be the patch's own."""
    rows = {row.id: row for row in facts.evidence.patches}
    ids = [one for one in found if one.kind == "patch"]
    for index, token in enumerate(ids):
        row = rows.get(token.value)
        if row is None:
            continue
        first, last = _reach(text, token, ids[index + 1] if index + 1 < len(ids) else None)
        inside = [one for one in found if first <= one.start < last]
        roles = class_roles(inside)
        sides = {"from": row.from_cls, "to": row.to_cls}
        for one in inside:
            turned = one.kind == "class" and sides.get(roles.get(one.start, ""), one.value) not in ("", one.value)
            if turned or not _of_row(one, row, facts):
                yield one.start, _row_kind(one), written(text, one), (row.id,)


def _reach(text: str, token: Token, following: Token | None) -> tuple[int, int]:
    """Words of a patch: its bracket where it has one, else up to the end of the sentence or the next patch."""
    _, last = sentence_of(text, token.end)
    if re.match(r"\s?\(", text[token.end :]):
        close = text.find(")", token.end)
        if close < 0:
            return token.end, len(text)
        # What goes on right behind the bracket is still about the patch, up to the next comma.
        if not re.match(r"\s?:", text[close + 1 :]):
            stop = _CLAUSE_END.search(text, close + 1)
            last = min(last, stop.start()) if stop else last
            return token.end, min(max(last, close), following.start) if following else max(last, close)
    full_stop = text.find(". ", token.end)
    last = min(last, full_stop if full_stop >= 0 else last)
    return token.end, min(last, following.start) if following else last


def _row_kind(token: Token) -> StatementKind:
    kinds: dict[str, StatementKind] = {
        "class": "class",
        "place": "place",
        "zone": "place",
        "sector": "place",
        "date": "date",
    }
    return kinds.get(token.kind, "patch")


def _of_row(token: Token, row: PatchRow, facts: Facts) -> bool:
    if token.kind == "class":
        return not (row.from_cls or row.to_cls) or token.value in (row.from_cls, row.to_cls)
    if token.kind == "place":
        return token.value in (row.town, facts.evidence.place) or not row.town
    if token.kind == "grade":
        return token.value == row.grade
    if token.kind == "type":
        return token.value == row.kind
    if token.kind == "sector":
        return token.value == row.sector
    if token.kind == "zone":
        return token.value in row.zones or token.value in facts.zone_kinds
    if token.kind == "date" and token.value is not None:
        return _date_of_row(token, row, facts)
    return True


def _date_of_row(token: Token, row: PatchRow, facts: Facts) -> bool:
    spans = [token.value] + ([token.value.second] if token.value.second else [])
    days = [day for iso in (row.t1, row.t2) for day in facts.calendar.aliases(date.fromisoformat(iso))]
    return all(any(covers(span, day) for day in days) for span in spans)
