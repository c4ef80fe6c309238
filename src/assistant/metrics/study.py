"""What every metric begins and ends with: place, scenes, the measured pair, and the record around the figures."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import Any

from src.assistant.county import County, Place, Progress
from src.assistant.covers import SceneCover, cover_of
from src.assistant.query import Query
from src.assistant.record import Evidence, Figure, SceneUse, Table
from src.assistant.scenes import (
    WINDOW_DAYS,
    candidates,
    pick_latest_pair,
    pick_one,
    pick_states,
    pick_window,
)
from src.assistant.survey import MMU_PIXELS, Survey
from src.geo.areas import polygon_areas_m2
from src.geo.bounds import Seen, bounds_of, net_bounds
from src.geo.change.pairs import LOW_COVERAGE_SHARE
from src.geo.flows import Flows
from src.geo.scene import Scene

MOST_CARDS = 6
# What is said of every suspected change.
CLUE = ("NEEDS_FIELD_CHECK", "LEGAL_NOT_ASSESSED")
CLASSES = ("cropland", "garden", "forest", "grassland", "water", "built", "unused")


@dataclass(frozen=True, eq=False)
class PairStudy:
    """A query's place and its measured pair.

    Args:
        query: asked.
        county: on it.
        place: resolved zone.
        survey: of the two scenes.
        scenes: taken and left out.
        asked: first and last day of the asked period, None where none was said.
    """

    query: Query
    county: County
    place: Place
    survey: Survey
    scenes: tuple[SceneUse, ...]
    asked: tuple[str | None, str | None]

    @property
    def dates(self) -> tuple[str, str]:
        """Acquisition dates."""
        return self.survey.dates

    @cached_property
    def flows(self) -> Flows:
        """What changed in the place."""
        return self.survey.flows(self.place)

    @property
    def unit_m2(self) -> float:
        """The smallest patch that is listed."""
        return MMU_PIXELS * self.survey.pixel_m2

    def seen(self, flows: Flows | None = None) -> Seen:
        """How much of a place was seen on both dates; default of the study's place."""
        found = self.flows if flows is None else flows
        return seen_of(found, self.place_m2 if flows is None else None, self.survey)

    def ground(self, area_m2: float | None = None) -> Seen:
        """How much of the place, or of ``area_m2`` of it, both scenes show; needs no land cover."""
        height, width = self.survey.before.grid.shape_hw
        whole = area_m2 or self.place_m2 or height * width * self.survey.pixel_m2
        share = max(min((one.clear_share for one in self.scenes if one.used), default=1.0), 1e-6)
        return Seen(whole * share, share, self.survey.pixel_m2, "SEASON_MISMATCH" in self.survey.changes.pair.caveats)

    @cached_property
    def place_m2(self) -> float | None:
        """Area of the place on the ellipsoid; None without an outline."""
        if self.place.outline is None:
            return None
        return float(polygon_areas_m2(self.place.outline.dissolve().geometry)[0])

    def caveats(self, *, classes: bool = True, clue: bool = True) -> tuple[str, ...]:
        """Codes that hold for the pair.

        Args:
            classes: the answer rests on land cover.
            clue: it names suspected change.
        """
        codes = list(self.survey.changes.pair.caveats)
        if classes:
            codes += [code for cover in self.survey.learned for code in cover.caveats]
            codes.append("UNCALIBRATED_AREA")
        return tuple(dict.fromkeys([*codes, "SINGLE_PAIR", *(CLUE if clue else ())]))

    def method(self, *, classes: bool = True) -> dict[str, Any]:
        """Names and settings of the method."""
        changes = self.survey.changes
        facts, pair = changes.facts, changes.pair
        method: dict[str, Any] = {
            "mask": " / ".join(dict.fromkeys(scene.record.mask_source for scene in (pair.before, pair.after))),
            "norm": "orthogonal regression on unchanged pixels",
            "change": "IR-MAD and CVA" if facts["found"] else "IR-MAD: no change beyond the gate",
            "threshold": f"{facts['threshold_irmad']:.4g}; {facts['threshold_cva']:.4g}",
            "mmu_px": MMU_PIXELS,
        }
        if classes:
            method["classifier"] = classifier(self.survey.learned)
        return method

    def record(self, figures: Iterable[Figure], cards: Sequence[str], **more: Any) -> Evidence:
        """The evidence around some figures; clear share and smallest patch are added."""
        found = [*figures, *self.basics(classes=more.pop("basics_of_classes", True))]
        keys = {one.key for one in found}
        return Evidence(
            query=self.query,
            t1=self.asked[0],
            t2=self.asked[1],
            place=self.place.name,
            scenes=self.scenes,
            figures=tuple(found),
            cards=tuple(key for key in dict.fromkeys(cards) if key in keys)[:MOST_CARDS],
            survey=self.survey.folder.name,
            **more,
        )

    def basics(self, *, classes: bool = True) -> list[Figure]:
        """Clear share of the place and the smallest patch that is listed."""
        share = self.seen().share if classes else self.survey.changes.pair.clear_share
        t1, t2 = self.dates
        return [
            Figure(key="seen", quantity="seen", value=round(share, 6), dimension="share", t1=t1, t2=t2),
            *unit_figures(self.survey.pixel_m2, t1, t2),
        ]


@dataclass(frozen=True, eq=False)
class StateStudy:
    """A query's place and the land cover of one date."""

    query: Query
    county: County
    place: Place
    scene: Scene
    scenes: tuple[SceneUse, ...]
    asked: str | None
    progress: Progress

    @cached_property
    def cover(self) -> SceneCover:
        """Land cover of the scene."""
        return cover_of(self.county, self.scene, self.progress)


def study_pair(query: Query, county: County, progress: Progress, *, window: bool = False) -> PairStudy:
    """Place, scenes and survey of a query about change.

    Args:
        query: with t1 and t2, either of which may be missing.
        county: to measure on.
        progress: is told the steps.
        window: the question asks what turned up, so a short period is a window.

    Raises:
        CannotTell: no such layer, or no scenes that carry the question.
    """
    progress("scenes", 0.0)
    place = county.place(query.zone, query)
    found = candidates(county, place)
    t1, t2 = query.t1, query.t2
    if t1 is not None and t2 is None:
        t2 = county.as_of.isoformat()
    if t1 is None or t2 is None:
        before, after, uses = pick_latest_pair(found, t2)
    elif window and days_between(t1, t2) <= WINDOW_DAYS:
        before, after, uses = pick_window(found, t1, t2)
    else:
        before, after, uses = pick_states(found, t1, t2)
    survey = Survey(county, before, after, progress)
    return PairStudy(query, county, place, survey, uses, (t1, t2))


def study_state(query: Query, county: County, progress: Progress) -> StateStudy:
    """Place and scene of a query about one day; raises CannotTell as ``study_pair``."""
    progress("scenes", 0.0)
    place = county.place(query.zone, query)
    day = query.t2 or query.t1
    scene, uses = pick_one(candidates(county, place), day)
    return StateStudy(query, county, place, scene, uses, day, progress)


def seen_of(flows: Flows, place_m2: float | None, survey: Survey) -> Seen:
    """How much of the ground of some flows has a class on both dates."""
    known, whole = float(flows.matrix[1:, 1:].sum()), float(flows.matrix.sum())
    total = max(whole, place_m2 or 0.0)
    share = known / total if total else 0.0
    if place_m2 is None and survey.changes.pair.clear_share > share:
        # Without an outline, ground that neither scene measured is none of the place.
        share = survey.changes.pair.clear_share
    season = "SEASON_MISMATCH" in survey.changes.pair.caveats
    return Seen(known, max(min(share, 1.0), 1e-6), survey.pixel_m2, season)


def flow_figures(
    flows: Flows,
    seen: Seen,
    cls: str,
    dates: tuple[str, str],
    *,
    place: str | None = None,
    prefix: str = "",
    quantities: Sequence[str] = ("gain", "loss", "net"),
) -> list[Figure]:
    """Gain, loss and net of a class with their bounds; gain less loss is net to the last bit."""
    index = CLASSES.index(cls)
    known = flows.matrix[1:, 1:]
    stayed = float(known[index, index])
    values = {"gain": float(known[:, index].sum()) - stayed, "loss": float(known[index].sum()) - stayed}
    spans = {
        "gain": bounds_of("gain", cls, values["gain"], seen),
        "loss": bounds_of("loss", cls, values["loss"], seen),
    }
    values["net"] = values["gain"] - values["loss"]
    spans["net"] = net_bounds(values["gain"], spans["gain"], values["loss"], spans["loss"])
    return [
        Figure(
            key=f"{prefix}{name}" if prefix or place is None else f"{place}.{name}",
            quantity=name,  # type: ignore[arg-type]
            value=values[name],
            dimension="area",
            bounds=spans[name],
            bounds_kind="range",
            cls=cls,
            place=place,
            t1=dates[0],
            t2=dates[1],
        )
        for name in quantities
    ]


def transition_figure(
    flows: Flows,
    seen: Seen,
    before: str | None,
    after: str | None,
    dates: tuple[str, str],
    *,
    key: str = "transition",
    place: str | None = None,
) -> Figure:
    """Area that went from one class to another; an open side means any other class."""
    rows = [CLASSES.index(before)] if before else range(len(CLASSES))
    columns = [CLASSES.index(after)] if after else range(len(CLASSES))
    cells = [(i, j) for i in rows for j in columns if i != j]
    value = float(sum(flows.matrix[1 + i, 1 + j] for i, j in cells))
    span = bounds_of("gain" if after else "loss", after or before or CLASSES[0], value, seen)
    return Figure(
        key=key,
        quantity="transition",
        value=value,
        dimension="area",
        bounds=span,
        bounds_kind="range",
        from_cls=before,
        to_cls=after,
        place=place,
        t1=dates[0],
        t2=dates[1],
    )


def breakdown(
    flows: Flows, seen: Seen, dates: tuple[str, str], *, to: str | None = None, of: str | None = None
) -> list[Figure]:
    """Where a class came from (``to``) or went to (``of``): area and share of each other class that took part."""
    cls = to or of
    assert cls is not None
    figures = []
    total = transition_figure(flows, seen, of, to, dates).value
    for other in CLASSES:
        if other == cls:
            continue
        before, after = (other, to) if to else (of, other)
        one = transition_figure(flows, seen, before, after, dates, key=f"from.{before}.to.{after}")
        if one.value <= 0:
            continue
        share = one.model_copy(
            update={
                "key": f"{one.key}.share",
                "value": one.value / total,
                "dimension": "share",
                "bounds": None,
                "bounds_kind": None,
            }
        )
        figures += [one, share]
    return figures


def state_figures(
    values: Sequence[float],
    expected: Sequence[float],
    seen: Seen,
    day: str,
    classes: Sequence[str] = CLASSES,
    *,
    place: str | None = None,
    prefix: str = "state",
) -> list[Figure]:
    """Area and share of classes on one date.

    Args:
        values: (7,) counted m2, in the order of CLASSES.
        expected: (7,) sums of probabilities.
        seen: ground that they are shares of.
        day: acquisition date.
        classes: wanted.
        place: of a part of the asked area.
        prefix: of the keys.
    """
    total = float(sum(values))
    figures = []
    for cls in classes:
        index = CLASSES.index(cls)
        value = float(values[index])
        span = bounds_of("state", cls, value, seen, float(expected[index]))
        common: dict[str, Any] = {"quantity": "state", "cls": cls, "place": place, "t2": day, "bounds_kind": "range"}
        figures.append(Figure(key=f"{prefix}.{cls}", value=value, dimension="area", bounds=span, **common))
        if total > 0:
            # Of the whole place: what was not seen may hold the class or not.
            whole = total / seen.share
            low, high = span[0] / whole, min(1.0, span[1] / whole)
            share = value / total
            ends = (min(low, share), max(high, share))
            figures.append(Figure(key=f"{prefix}.{cls}.share", value=share, dimension="share", bounds=ends, **common))
    return figures


def matrix_table(flows: Flows, seen: Seen, dates: tuple[str, str]) -> tuple[list[Figure], Table]:
    """All transitions with area, unchanged ground included, and the table of them."""
    figures, rows = [], []
    for before in CLASSES:
        cells = []
        for after in CLASSES:
            value = float(flows.matrix[1 + CLASSES.index(before), 1 + CLASSES.index(after)])
            key = f"matrix.{before}.{after}"
            if value <= 0:
                cells.append("")
                continue
            if before == after:
                one = Figure(
                    key=key,
                    quantity="transition",
                    value=value,
                    dimension="area",
                    from_cls=before,
                    to_cls=after,
                    t1=dates[0],
                    t2=dates[1],
                )
            else:
                one = transition_figure(flows, seen, before, after, dates, key=key)
            figures.append(one)
            cells.append(key)
        rows.append((before, *cells))
    return figures, Table(name="matrix", columns=("", *CLASSES), rows=tuple(rows))


def unit_figures(pixel_m2: float, t1: str | None, t2: str | None) -> list[Figure]:
    """The smallest patch that is listed, in m2 and in pixels."""
    return [
        Figure(key="unit", quantity="unit", value=MMU_PIXELS * pixel_m2, dimension="area", t1=t1, t2=t2),
        Figure(key="unit.pixels", quantity="unit", value=MMU_PIXELS, dimension="count", kind="pixel", t1=t1, t2=t2),
    ]


def classifier(covers: Sequence[SceneCover]) -> str:
    """How land cover was told."""
    return "; ".join(dict.fromkeys(f"{one.route} ({one.label_source or 'spectral rules'})" for one in covers))


def coverage_caveats(share: float) -> tuple[str, ...]:
    """LOW_COVERAGE where much of a place was not seen."""
    return ("LOW_COVERAGE",) if share < LOW_COVERAGE_SHARE else ()


def days_between(one: str, other: str) -> int:
    """Days from one ISO date to another."""
    return (date.fromisoformat(other) - date.fromisoformat(one)).days


def years_between(one: str, other: str) -> float:
    """Years of 365.25 days."""
    return days_between(one, other) / 365.25
