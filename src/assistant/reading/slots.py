"""What a question names, read part by part: each part is masked once read, so nothing is read twice."""

import re
from dataclasses import dataclass
from datetime import date
from functools import cached_property

from src.answers.units import convert
from src.assistant.query import Known, Lang, Rank, Unit, ZoneRef
from src.assistant.reading.cues import cues_of, without_orders
from src.assistant.reading.lexicon import (
    CAUSE_WORDS,
    DIGGING,
    FORMAT_WORDS,
    GROUP_WORDS,
    STATE_WORDS,
    SUBTYPES,
    UNIT_WORDS,
    class_mentions,
    mended,
)
from src.assistant.reading.numerals import number_of, plain
from src.assistant.reading.places import read_places
from src.assistant.reading.roles import Roles, read_roles
from src.assistant.reading.times import Times, masked, read_times

DEFAULT_RADIUS_M = 300.0
_HAN = re.compile(r"[\u4e00-\u9fff]")
# Grades A and B of a patch (src.geo.patches.record).
_GRADES = {"a": 0.8, "b": 0.6}
_NUMBER = r"(?:\d{1,3}(?:,\d{3}){1,4}|\d{1,12})(?:\.\d{1,9})?"
_UNIT = "(?:" + "|".join(UNIT_WORDS.values()) + ")"
_QUANTITY = rf"(?P<n>{_NUMBER})\s*(?P<w>万|千|百)?\s*(?P<u>{_UNIT})"
_LEAST = re.compile(
    rf"(?:大于等于|大于|超过|超|高于|不少于|不小于|不低于|至少|[≥>]=?|\b(?:over|above|at\s+least"
    rf"|exceeding|minimum|min)|\b(?:more|larger|"
    rf"bigger|greater)\s+than)\s*{_QUANTITY}"
    rf"|(?<![\d.]){_QUANTITY.replace('?P<n>', '?P<n2>').replace('?P<w>', '?P<w2>').replace('?P<u>', '?P<u2>')}"
    r"\s*(?:及?以上|往上|\+|or\s+(?:more|larger|above|bigger)|and\s+(?:more|larger|above|over))"
)
_MOST = re.compile(
    rf"(?:小于等于|小于|不到|不满|不足|低于|少于|不超过|[≤<]=?|\b(?:under|below|at\s+most)|\b(?:less"
    rf"|smaller|fewer)\s+than)\s*{_NUMBER}\s*{_UNIT}"
    rf"|(?<![\d.]){_NUMBER}\s*{_UNIT}\s*(?:及?以下|or\s+(?:less|smaller))"
)
_VALUE = re.compile(rf"(?<![\d.-]){_QUANTITY}")
_CONFIDENCE = re.compile(
    r"(?:置信度?|可信度|把握|confidence)\D{0,12}?(?P<p>0?\.\d+|\d{1,3}\s*%|[1-9]成|1(?:\.0+)?)"
    r"|(?P<g>[ab])级|grade\s+(?P<g2>[ab])\b|(?P<high>高置信|高可信|(?:置信度?|可信度|把握)[很较最比]*[高大](?!于|过)|high[\s-]confidence)"
)
_RANK = re.compile(
    r"前\s*(?P<a>\d{1,4})(?:[名个位大处块]|(?=[^\d年月天季]|$))"
    r"|最[大多快小少慢高低严重]+的?(?:前)?\s*(?P<b>\d{1,4})\s*[个处块片宗名位条]"
    r"|(?P<c>\d{1,4})\s*个?最[大多快小少慢]|倒数(?:后|前)?\s*(?P<d>\d{1,4})|后\s*(?P<e>\d{1,4})[名位个]"
    r"|\b(?:top|bottom|first)[\s-]+(?P<f>\w+)\b|\b(?:the\s+)?(?P<g>\d{1,4}|two|three|five|ten"
    r"|twenty)\s+(?:largest|biggest|worst|smallest|most|fastest)"
    r"|哪(?P<i>\d{1,3})个|\b(?P<j>\d{1,3}|two|three|five|ten|twenty)\s+(?:towns?|townships?|villages?|patches|sites)\b"
    r"|\b(?:largest|biggest|worst|smallest)\s+(?P<h>\d{1,4}|two|three|five|ten|twenty)\b"
)
_LONLAT = re.compile(
    r"(?P<d1>东经|西经|经度|lon(?:gitude)?|lng|北纬|南纬|纬度|lat(?:itude)?"
    r"|[ewns])?\s*[:=]?\s*(?P<a>[+-]?\d{1,3}(?:\.\d+)?)\s*[°度]?\s*"
    r"(?:(?P<am>\d{1,2}(?:\.\d+)?)\s*['′分]\s*(?:(?P<asec>\d{1,2}(?:\.\d+)?)\s*[\"″秒])?)?\s*(?P<l1>[e"
    r"wns]\b)?\s*(?:[,、;/和\s]\s*|(?=[东西南北经纬]|lat|lon))"
    r"(?P<d2>东经|西经|经度|lon(?:gitude)?|lng|北纬|南纬|纬度|lat(?:itude)?"
    r"|[ewns])?\s*[:=]?\s*(?P<b>[+-]?\d{1,3}(?:\.\d+)?)\s*[°度]?\s*"
    r"(?:(?P<bm>\d{1,2}(?:\.\d+)?)\s*['′分]\s*(?:(?P<bsec>\d{1,2}(?:\.\d+)?)\s*[\"″秒])?)?\s*(?P<l2>[ewns]\b)?"
)
_RADIUS = re.compile(
    r"(?:半径|方圆|周边|周围|附近|within|radius(?:\s+of)?|around)\s*(?P<n>\d+(?:\.\d+)?)\s*(?P<u>公里"
    r"|千米|米|km|m|kilomet[a-z]+|met[a-z]+)(?![a-z])"
    r"|(?P<n2>\d+(?:\.\d+)?)\s*(?P<u2>公里|千米|米|km|m|kilomet\w+|met\w+)[\s-]*(?:范围|半径|以内"
    r"|之内|内|radius|around|of\b)"
)
_FULL_ID = re.compile(r"(?<![a-z0-9-])[a-z0-9]{4,12}-\d{8}-[a-z0-9]{2}-\d{3,}(?![a-z0-9-])")
_SHORT_ID = re.compile(
    r"(?:图斑|编号|号码|\bpatch|\bid)\s*(?:编号|号|number|no\.?|id|为"
    r"|是)*\s*[:#]?\s*(?P<id>[a-z]*\d[a-z0-9-]*)"
)
_ORDINAL = re.compile(
    r"第\s*(?P<a>\d{1,3})\s*(?:个|块|处|号|宗|条)|(?P<b>\d{1,3})号(?:图斑|地块)|(?P<last>最后1?个)"
    r"|\b(?P<w>first|second|third|fourth|fifth|last|"
    r"\d{1,2}(?:st|nd|rd|th))\s+(?:one|patch|item|clue|row|find)\b"
)
# One patch is asked for, wherever it lies: "the largest piece", "which site is the largest".
LARGEST_PATCH = re.compile(
    r"最大的?(?:那|这)?(?:[1\u25a1]\s*)?(?:块|处|宗|片)|最大的?[^,。?!]{0,8}(?:图斑|违建|地块)"
    r"|(?:图斑|违建|地块)[^,。?!]{0,6}(?:哪[1\u25a1]?个|哪[1\u25a1]?[块处宗片]|谁)[^,。?!]{0,4}最大|哪[1\u25a1]?[块处宗片][^,。?!]{0,12}最大"
    r"|(?:largest|biggest)\s+(?:\w+\s+){0,3}?(?:patch|plot|site|piece|building|structure)\b(?!\s+(?:area|growth|gain|increase))"
    r"|\b(?:which|what)\s+(?:\w+\s+)?(?:patch|plot|site|piece)\b.{0,60}\b(?:largest|biggest)\b"
)
_WORDS = ("first", "second", "third", "fourth", "fifth")


@dataclass(frozen=True)
class Slots:
    """The parts of one question.

    Args:
        text: as read, typing errors put right.
        ordered: it tried to give orders to the system, which were cut out.
        lang: zh where Chinese is spoken; names of places do not count.
        as_of: the day that counts as today.
        known: what the workspace holds.
        times: periods.
        zones: places named, in order; None stands for the whole county.
        unknown_zone: a named place that the county lacks.
        roles: classes.
        digging: earthworks rather than a class.
        subtypes: classes of which a part is named, such as paddy.
        groups: asked for one by one.
        rank_n: number asked for.
        min_area_m2: threshold.
        max_area: an upper threshold, which no query can hold.
        min_confidence: 0..1.
        patch_id: number of a patch.
        patch_named: a patch is spoken of, with or without a number.
        lonlat: degrees.
        radius_m: metres.
        formats: of an export.
        status: of a review.
        cause: of a false change.
        units: all units named outside thresholds, in order.
        value: a figure with a unit of its own.
        cues: names of CUES found.
        rest: text with everything but classes masked.
    """

    text: str
    ordered: bool
    lang: Lang
    as_of: date
    known: Known
    times: Times
    zones: tuple[ZoneRef | None, ...]
    unknown_zone: bool
    roles: Roles
    digging: bool
    subtypes: frozenset[str]
    groups: tuple[str, ...]
    rank_n: int | None
    min_area_m2: float | None
    max_area: bool
    min_confidence: float | None
    patch_id: str | None
    patch_named: bool
    lonlat: tuple[float, float] | None
    radius_m: float | None
    formats: tuple[str, ...]
    status: str | None
    cause: str | None
    units: tuple[Unit, ...]
    value: tuple[float, Unit] | None
    cues: frozenset[str]
    rest: str

    @cached_property
    def zone(self) -> ZoneRef | None:
        """The first place that is not the whole county."""
        return next((zone for zone in self.zones if zone is not None), None)

    @cached_property
    def groups_rank(self) -> bool:
        """Whether places or classes are ranked rather than patches."""
        return (
            self.has("most")
            and not LARGEST_PATCH.search(self.rest)
            and any(group in self.groups for group in ("town", "village", "class"))
        )

    def has(self, *names: str) -> bool:
        """Whether any of these cues was found."""
        return not self.cues.isdisjoint(names)


def read_slots(question: str, as_of: date, known: Known) -> Slots:
    """Read a question part by part."""
    whole = mended(plain(question))
    text = without_orders(whole)
    lonlat, rest = _coordinates(text)
    radius, rest = _radius(rest) if lonlat else (None, rest)
    patch_id, patch_named, rest = _patch(rest, known)
    min_area, rest = _least_area(rest)
    max_area = _MOST.search(rest) is not None
    confidence, rest = _confidence(rest)
    rank_n, rest = _rank_number(rest)
    value = _value(rest)
    times = read_times(rest, as_of)
    zones, unknown_zone, rest = read_places(times.rest, known, question)
    mentions = class_mentions(rest)
    units = [(match.start(), unit) for unit, words in UNIT_WORDS.items() for match in re.finditer(words, rest)]
    cues = cues_of(rest)
    groups = tuple(name for name, pattern in GROUP_WORDS.items() if pattern.search(rest))
    return Slots(
        text=text,
        ordered=text != whole,
        lang=_language(text, rest),
        as_of=as_of,
        known=known,
        times=times,
        zones=zones,
        unknown_zone=unknown_zone,
        roles=_implied(read_roles(rest, mentions), cues),
        digging=DIGGING.search(rest) is not None,
        subtypes=frozenset(cls for cls, words in SUBTYPES.items() if words.search(rest)),
        groups=groups,
        rank_n=rank_n,
        min_area_m2=min_area,
        max_area=max_area,
        min_confidence=confidence,
        patch_id=patch_id,
        patch_named=patch_named,
        lonlat=lonlat,
        radius_m=radius,
        formats=tuple(name for name, words in FORMAT_WORDS.items() if re.search(words, text)),
        status=next((state for state, words in STATE_WORDS if re.search(words, text)), None),
        cause=next((cause for cause, words in CAUSE_WORDS if re.search(words, text)), None),
        units=tuple(unit for _, unit in sorted(units)),
        value=value,
        cues=cues,
        rest=rest,
    )


def _language(text: str, rest: str) -> Lang:
    """The language of the words, without the names of places in ``text`` that ``rest`` lacks."""
    if not _HAN.search(text):
        return "en"
    words = re.findall(r"\b[a-z][a-z'-]+", rest)
    return "en" if len(words) > max(1, len(_HAN.findall(rest))) else "zh"


def _implied(roles: Roles, cues: frozenset[str]) -> Roles:
    """Land that goes without saying: "lost land" is farmland, what sprawls or is being built is built-up land."""
    if roles != Roles():
        return roles
    if "land_word" in cues:
        return Roles(cls="cropland")
    return roles if cues.isdisjoint(("sprawl", "building")) else Roles(cls="built")


def _unit_name(word: str) -> tuple[Unit, float]:
    """Unit of the query that a word names, and how many of it one is; acres become hectares."""
    if re.fullmatch(r"英亩|acres?", word):
        return "ha", convert(1.0, "acre", "ha")
    return next(unit for unit, words in UNIT_WORDS.items() if re.fullmatch(words, word)), 1.0


def _amount(number: str, scale: str | None, unit: str) -> tuple[float, Unit]:
    name, factor = _unit_name(unit)
    return float(number.replace(",", "")) * {"万": 1e4, "千": 1e3, "百": 1e2}.get(scale or "", 1.0) * factor, name


def _least_area(text: str) -> tuple[float | None, str]:
    match = _LEAST.search(text)
    if match is None:
        return None, text
    found = match.groupdict()
    value, unit = _amount(found["n"] or found["n2"], found["w"] or found["w2"], found["u"] or found["u2"])
    area = convert(value, unit, "m2")
    return (area if area > 0 else None), masked(text, match.start(), match.end())


def _value(text: str) -> tuple[float, Unit] | None:
    match = _VALUE.search(text)
    return _amount(match["n"], match["w"], match["u"]) if match else None


def _confidence(text: str) -> tuple[float | None, str]:
    match = _CONFIDENCE.search(text)
    if match is None:
        return None, text
    if word := match["p"]:
        number = float(re.sub(r"[%成\s]", "", word)) * (0.01 if "%" in word else 0.1 if "成" in word else 1.0)
        value = number if number <= 1 else None
    else:
        value = _GRADES[match["g"] or match["g2"] or "a"]
    return value, masked(text, match.start(), match.end())


def _rank_number(text: str) -> tuple[int | None, str]:
    for match in _RANK.finditer(text):
        word = next(group for group in match.groups() if group is not None)
        try:
            number = int(number_of(word))
        except ValueError:
            continue
        if number >= 1:
            # Words such as "largest" are cues as well, so only the figure is masked.
            start = match.start() + match[0].rindex(word)
            return number, masked(text, start, start + len(word))
    return None, text


def _degrees(match: re.Match[str], name: str) -> float:
    whole = float(match[name])
    parts = float(match[f"{name}m"] or 0) / 60 + float(match[f"{name}sec"] or 0) / 3600
    return whole - parts if whole < 0 else whole + parts


def _coordinates(text: str) -> tuple[tuple[float, float] | None, str]:
    """Longitude and latitude, in the order that letters or ranges tell; two bare whole numbers are none."""
    for match in _LONLAT.finditer(text):
        marks = [match["d1"] or match["l1"] or "", match["d2"] or match["l2"] or ""]
        bracketed = text[: match.start()].rstrip().endswith("(") and "," in match[0]
        if not (all("." in match[one] or match[f"{one}m"] for one in "ab") or all(marks) or bracketed):
            continue
        first, second = _degrees(match, "a"), _degrees(match, "b")
        latitude_first = bool(re.match("北|南|纬|la|n|s", marks[0])) or bool(re.match("东|西|经|lo|ln|e|w", marks[1]))
        signs = [-1 if re.match("南|西|s|w", mark) else 1 for mark in marks]
        first, second = first * signs[0], second * signs[1]
        if not any(marks) and abs(second) > 90 >= abs(first):
            latitude_first = True
        lon, lat = (second, first) if latitude_first else (first, second)
        if abs(lon) <= 180 and abs(lat) <= 90:
            return (lon, lat), masked(text, match.start(), match.end())
    return None, text


def _radius(text: str) -> tuple[float | None, str]:
    match = _RADIUS.search(text)
    if match is None:
        return None, text
    number, unit = float(match["n"] or match["n2"]), match["u"] or match["u2"]
    metres = number * (1000 if re.match("公里|千米|k", unit) else 1)
    return metres if metres > 0 else None, masked(text, match.start(), match.end())


def _patch(text: str, known: Known) -> tuple[str | None, bool, str]:
    """Number of a patch, whether one is spoken of, and the text without it."""
    if match := _FULL_ID.search(text):
        return match[0].upper(), True, masked(text, match.start(), match.end())
    if match := _ORDINAL.search(text):
        word = match["a"] or match["b"] or match["w"] or "last"
        number = _WORDS.index(word) + 1 if word in _WORDS else 0 if word == "last" else int(re.sub(r"\D", "", word))
        exists = bool(known.patch_ids) and number <= len(known.patch_ids)
        return known.patch_ids[number - 1] if exists else None, True, masked(text, match.start(), match.end())
    if match := _SHORT_ID.search(text):
        word = match["id"].upper()
        if re.fullmatch(r"\d{1,3}", word) and 1 <= int(word) <= len(known.patch_ids):
            word = known.patch_ids[int(word) - 1]
        else:
            word = next((one for one in known.patch_ids if one.upper().endswith(word)), word)
        return word, True, masked(text, match.start("id"), match.end("id"))
    return None, False, text


__all__ = ["DEFAULT_RADIUS_M", "LARGEST_PATCH", "Rank", "Slots", "read_slots"]
