"""The evidence as the checker reads it: every number with all that it is a number of, dates, names and counts."""

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import date
from functools import cached_property, lru_cache
from typing import Any

from src.assistant.checking.calendar import Calendar
from src.assistant.checking.text import clean
from src.assistant.checking.words import WORDS
from src.assistant.query import Query
from src.assistant.record import Evidence, Figure, PatchRow
from src.constants import AREA_UNITS_M2
from src.geo.caveats import CAVEATS
from src.geo.patches.fields import CHANGE_TYPES
from src.geo.zones import PARTS, ZONE_TYPES

_ACCURACY = ("user", "producer", "overall", "kappa", "f1", "r2")
_MEASURES = ("pixel", "interior", "below")
_SECTORS = ("N", "NE", "E", "SE", "S", "SW", "W", "NW", "C")
# Distinctions that a text has to name when it shows such a figure.
_MUST_NAME = ("type", "grade", "measure", "part", "accuracy", "sector")
_PLAIN_PLACES = ("county", "town", "village", "point", "aoi")
_COUNTED = {"samples": "samples", "towns": "towns", "series": "dates", "period": "dates"}


@dataclass(frozen=True, slots=True)
class Fact:
    """One number of the evidence.

    Args:
        key: of its figure; facts of one figure share it.
        quantity: of the figure, or "confidence", "cloud", "radius", "count", "rows", "method".
        dimension: of the figure.
        value: SI.
        bounds: lower and upper, SI.
        interval: "ci95", "range" or "".
        cls, from_cls, to_cls: classes, "" where none.
        place: name; "" for the whole asked area.
        zones: kinds of zones that it lies in.
        t1, t2: dates it rests on.
        patch: number of its patch, "".
        kinds: (family, value) distinctions that hold for it.
        needs: those of them that a text has to name.
        noun: what a count counts.
    """

    key: str
    quantity: str
    dimension: str
    value: float
    bounds: tuple[float, float] | None = None
    interval: str = ""
    cls: str = ""
    from_cls: str = ""
    to_cls: str = ""
    place: str = ""
    zones: frozenset[str] = frozenset()
    t1: date | None = None
    t2: date | None = None
    patch: str = ""
    kinds: frozenset[tuple[str, str]] = frozenset()
    needs: frozenset[tuple[str, str]] = frozenset()
    noun: str = ""

    @property
    def classes(self) -> frozenset[str]:
        """All classes that it names."""
        return frozenset(one for one in (self.cls, self.from_cls, self.to_cls) if one)


@lru_cache(maxsize=4096)
def _clean_name(name: str) -> str:
    return clean(name)


@lru_cache(maxsize=4096)
def _zones_of_name(name: str) -> frozenset[str]:
    """Kinds of zones that a name speaks of: 青山自然保护区 is a reserve."""
    plain = clean(name)
    return frozenset(value for word, pairs in WORDS.items() if word in plain for kind, value in pairs if kind == "zone")


@lru_cache(maxsize=4096)
def _day(iso: str | None) -> date | None:
    return date.fromisoformat(iso) if iso else None


def _kinds(figure: Figure) -> frozenset[tuple[str, str]]:
    kind = figure.kind
    if not kind:
        return frozenset()
    if figure.quantity == "place" or (kind in _SECTORS and kind != "C"):
        return frozenset({("sector", kind)})
    if kind in ("A", "B", "C"):
        return frozenset({("grade", kind)})
    for family, values in (("type", CHANGE_TYPES), ("part", PARTS), ("accuracy", _ACCURACY), ("measure", _MEASURES)):
        if kind in values:
            return frozenset({(family, kind)})
    return frozenset({("index", kind.upper())}) if figure.dimension == "index" else frozenset()


@dataclass
class Facts:
    """Everything that a text about one evidence may say."""

    evidence: Evidence
    listed: int = 0
    numbers: list[Fact] = field(default_factory=list)

    def __post_init__(self) -> None:
        evidence = self.evidence
        query = evidence.query
        zone = query.zone
        self.calendar = Calendar(evidence)
        self.zone_kinds: frozenset[str] = frozenset({zone.type} if zone and zone.type not in _PLAIN_PLACES else ())
        if evidence.place in ZONE_TYPES:
            self.zone_kinds |= {evidence.place}
        self.numbers = [
            *(one for figure in evidence.figures for one in self._figure(figure)),
            *(one for row in evidence.patches for one in self._row(row)),
            *self._scenes(),
            *self._query(query),
            *self._counts(),
            *self._method(),
        ]

    # --- Numbers

    def _place(self, place: str | None) -> tuple[str, frozenset[str]]:
        """Name ("" for the whole asked area) and kinds of zones of a figure's place."""
        if not place or place == self.evidence.place:
            return "", self.zone_kinds
        if place in ZONE_TYPES:
            return "", frozenset({place})
        found = _zones_of_name(place)
        zone = self.evidence.query.zone
        if not found and zone and zone.name == place and zone.type not in _PLAIN_PLACES:
            found = frozenset({zone.type})
        return place, found

    def _figure(self, figure: Figure) -> Iterator[Fact]:
        place, zones = self._place(figure.place)
        kinds = _kinds(figure)
        if figure.kind in ZONE_TYPES:
            zones |= {figure.kind}
        needs = frozenset(one for one in kinds if one[0] in _MUST_NAME and one != ("accuracy", "overall"))
        fact = Fact(
            *(figure.key, figure.quantity, figure.dimension, figure.value, figure.bounds, figure.bounds_kind or ""),
            *(figure.cls or "", figure.from_cls or "", figure.to_cls or "", place, zones),
            *(_day(figure.t1), _day(figure.t2), figure.patch_id or "", kinds, needs),
            _COUNTED.get(figure.quantity, "patches") if figure.dimension == "count" else "",
        )
        yield fact
        if figure.n_samples is not None:
            yield replace(
                fact,
                quantity="interval_samples",
                dimension="count",
                value=figure.n_samples,
                bounds=None,
                noun="samples",
                needs=frozenset(),
            )

    def _row(self, row: PatchRow) -> Iterator[Fact]:
        fact = Fact(
            *(f"patch:{row.id}", "patch", "area", row.area_m2, row.bounds, "range", "", row.from_cls, row.to_cls),
            *(row.town, frozenset(row.zones) | self.zone_kinds, _day(row.t1), _day(row.t2), row.id),
            frozenset({("type", row.kind), ("grade", row.grade), ("sector", row.sector)}),
        )
        yield fact
        plain = replace(fact, bounds=None, interval="")
        yield replace(plain, quantity="confidence", dimension="share", value=row.confidence)
        yield replace(plain, dimension="degrees", value=row.lon)
        yield replace(plain, dimension="degrees", value=row.lat)
        if row.overlap_m2 is not None:
            yield replace(plain, quantity="overlap", value=row.overlap_m2)

    def _scenes(self) -> Iterator[Fact]:
        for scene in self.evidence.scenes:
            day = _day(scene.date)
            yield Fact(f"scene:{scene.id}", "seen", "share", scene.clear_share, t2=day)
            if scene.cloud_percent is not None:
                yield Fact(f"scene:{scene.id}", "cloud", "share", scene.cloud_percent / 100, t2=day)

    def _query(self, query: Query) -> Iterator[Fact]:
        if query.min_area_m2 is not None:
            yield Fact("query", "unit", "area", query.min_area_m2)
        if query.min_confidence is not None:
            yield Fact("query", "confidence", "share", query.min_confidence)
        if query.radius_m is not None:
            yield Fact("query", "radius", "length", query.radius_m)
        for degrees in (query.lon, query.lat):
            if degrees is not None:
                yield Fact("query", "point", "degrees", degrees)
        if query.rank is not None:
            yield Fact("query", "rows", "count", query.rank.n)
        if query.value is not None and query.unit is not None:
            yield Fact("query", "converted", "area", query.value * AREA_UNITS_M2[query.unit])

    def _counts(self) -> Iterator[Fact]:
        evidence = self.evidence
        used = [scene.date for scene in evidence.scenes if scene.used]
        used_counts = {len(used), len(set(used)), len(evidence.scenes), len(evidence.scenes) - len(used)}
        if "SINGLE_PAIR" in evidence.caveats:
            used_counts |= {2}
        for number in used_counts - {0}:
            yield Fact("scenes", "count", "count", number, noun="dates")
        series = {(one.cls, one.kind, one.place): 0 for one in evidence.figures if one.quantity == "series"}
        for group in series:
            dates = {
                one.t2
                for one in evidence.figures
                if one.quantity == "series" and (one.cls, one.kind, one.place) == group
            }
            yield Fact("series", "count", "count", len(dates), noun="dates")
        towns = {one.place for one in evidence.figures if one.place}
        if towns:
            yield Fact("towns", "towns", "count", len(towns), noun="towns")
        yield Fact("classes", "count", "count", 7, noun="classes")
        yield from self._patch_counts()

    def _patch_counts(self) -> Iterator[Fact]:
        """Counts of the listed patches, by what they share; only where all patches are listed."""
        rows = self.evidence.patches
        if not rows:
            return
        total = self.count_of_patches
        yield Fact("listed", "rows", "count", len(rows), noun="patches")
        if total is not None and total != len(rows):
            return
        whole = Fact("patches", "patches", "count", len(rows), zones=self.zone_kinds, noun="patches")
        yield whole
        for town, number in Counter(row.town for row in rows if row.town).items():
            yield replace(whole, key=f"town:{town}", value=number, place=town)
        for kind, number in Counter(row.kind for row in rows).items():
            yield replace(
                whole,
                key=f"type:{kind}",
                value=number,
                kinds=frozenset({("type", kind)}),
                needs=frozenset({("type", kind)}),
            )
        for grade, number in Counter(row.grade for row in rows).items():
            yield replace(
                whole,
                key=f"grade:{grade}",
                value=number,
                kinds=frozenset({("grade", grade)}),
                needs=frozenset({("grade", grade)}),
            )
        for (before, after), number in Counter((row.from_cls, row.to_cls) for row in rows).items():
            if before and after:
                yield replace(whole, key=f"change:{before}:{after}", value=number, from_cls=before, to_cls=after)
        for zone, number in Counter(zone for row in rows for zone in row.zones).items():
            yield replace(whole, key=f"zone:{zone}", value=number, zones=frozenset({zone}))

    def _method(self) -> Iterator[Fact]:
        for name, value in self.evidence.method.items():
            values = value if isinstance(value, list | tuple) else (value,)
            for one in values:
                if isinstance(one, int | float) and not isinstance(one, bool):
                    if name == "mmu_m2":
                        yield Fact("method", "unit", "area", float(one))
                    else:
                        yield Fact(
                            "method",
                            "method",
                            "count" if isinstance(one, int) else "index",
                            float(one),
                            noun="pixels" if "px" in name else "",
                        )

    @cached_property
    def _points(self) -> dict[str, tuple[list[float], list[int]]]:
        """Sizes of all values and bounds by dimension, ascending, and where their facts stand in ``numbers``."""
        points: dict[str, list[tuple[float, int]]] = {}
        for index, fact in enumerate(self.numbers):
            sizes = (fact.value, *(fact.bounds or ()))
            points.setdefault(fact.dimension, []).extend((abs(size), index) for size in sizes)
        ordered = {dimension: sorted(found) for dimension, found in points.items()}
        return {name: ([size for size, _ in found], [index for _, index in found]) for name, found in ordered.items()}

    def near(self, dimensions: Iterable[str], size: float, room: float) -> list[Fact]:
        """Facts of some dimensions with a value or a bound within ``room`` of a size, signs aside."""
        found: set[int] = set()
        for dimension in dimensions:
            sizes, where = self._points.get(dimension, ([], []))
            found.update(where[bisect_left(sizes, size - room) : bisect_right(sizes, size + room)])
        return [self.numbers[index] for index in sorted(found)]

    @cached_property
    def count_of_patches(self) -> int | None:
        """All patches of the answer, as far as it is known."""
        for figure in self.evidence.figures:
            if (
                figure.quantity == "patches"
                and figure.dimension == "count"
                and not (figure.place or figure.kind or figure.cls)
            ):
                return round(figure.value)
        return None

    def rest(self, shown: int) -> Fact | None:
        """How many patches a text that names ``shown`` of them leaves out."""
        total = max(len(self.evidence.patches), self.count_of_patches or 0)
        return Fact("rest", "patches", "count", total - shown, noun="patches") if total > shown > 0 else None

    # --- Names

    @cached_property
    def classes(self) -> frozenset[str]:
        """All classes that the evidence has anything about."""
        evidence = self.evidence
        return (
            frozenset(cls for one in evidence.figures for cls in (one.cls, one.from_cls, one.to_cls) if cls)
            | self.asked_classes
            | frozenset(cls for row in evidence.patches for cls in (row.from_cls, row.to_cls) if cls)
        )

    @cached_property
    def asked_classes(self) -> frozenset[str]:
        """Classes of the question."""
        queries = (self.evidence.query, *self.evidence.query.others)
        return frozenset(cls for one in queries for cls in (one.cls, one.from_cls, one.to_cls) if cls)

    @cached_property
    def zones(self) -> frozenset[str]:
        """All kinds of zones that the evidence is about."""
        evidence = self.evidence
        found: set[str] = set(self.zone_kinds)
        for query in (evidence.query, *evidence.query.others):
            found |= {query.zone.type} if query.zone else set()
        for fact in self.numbers:
            found |= fact.zones
        return frozenset(found)

    def names(self) -> Iterator[tuple[str, str, Any]]:
        """(token kind, form in a clean text, value) of every name."""
        evidence = self.evidence
        queries = (evidence.query, *evidence.query.others)
        for row in evidence.patches:
            yield "patch", _clean_name(row.id), row.id
        for name in (*(figure.patch_id for figure in evidence.figures), evidence.query.patch_id):
            if name:
                yield "patch", _clean_name(name), name
        for scene in evidence.scenes:
            yield "name", _clean_name(scene.id), scene.id
        places = (
            {figure.place for figure in evidence.figures} | {row.town for row in evidence.patches} | {evidence.place}
        )
        places |= {query.zone.name for query in queries if query.zone}
        for place in places:
            if place and place not in ZONE_TYPES:
                yield "place", _clean_name(place), place
        caveats = [text for code in evidence.caveats for text in CAVEATS.get(code, {}).values()]
        for text in (*caveats, *evidence.detail, *evidence.choices, evidence.inputs, evidence.survey):
            if text:
                yield "name", _clean_name(text), text
        for value in evidence.method.values():
            if isinstance(value, str) and any(char.isdigit() for char in value):
                yield "name", _clean_name(value), value
