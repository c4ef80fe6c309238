"""Two things side by side: periods, zones or classes, with their difference."""

import math
from collections.abc import Callable, Mapping
from typing import Any

from src.assistant.county import County, Progress
from src.assistant.metrics.study import days_between
from src.assistant.query import Query
from src.assistant.record import Evidence, Figure

Metric = Callable[[Query, County, Progress], Evidence]
_DAYS_A_YEAR = 365.25
# Periods whose lengths differ by more than this share are also told a year.
_UNEQUAL = 0.1


def compare(query: Query, county: County, progress: Progress, metrics: Mapping[str, Metric]) -> Evidence:
    """Measure both sides alike and take the difference, first less second.

    Args:
        query: the first side, with the second in ``others``, whose metric is measured on both.
        county: to measure on.
        progress: is told the steps.
        metrics: functions by name.
    """
    if not query.others:
        return Evidence(query=query, status="words", reason="need_zone" if query.compare == "zones" else "need_period")
    metric = query.others[0].metric
    sides = [query.changed(metric=metric, others=(), compare=None), *query.others]
    found = [metrics[side.metric](side, county, progress) for side in sides]
    stopped = next((one for one in found if one.status != "measured"), None)
    if stopped is not None:
        return stopped.model_copy(update={"query": query})
    figures = [_side(side, one, number) for number, (side, one) in enumerate(zip(sides, found, strict=True), start=1)]
    rates = _yearly(figures)
    first, second = figures[:2]
    all_figures = [*figures, _difference(first, second), *rates]
    all_figures += [one for one in found[0].figures if one.quantity in ("seen", "unit")]
    scenes = {use.id: use for one in reversed(found) for use in one.scenes}
    taken = {use.id: use for one in found for use in one.scenes if use.used}
    return Evidence(
        query=query,
        t1=found[0].t1,
        t2=found[0].t2,
        place=found[0].place if query.compare != "zones" else "",
        scenes=tuple(sorted((scenes | taken).values(), key=lambda use: (use.date, use.id))),
        figures=tuple(all_figures),
        cards=(*(one.key for one in figures), "difference"),
        caveats=tuple(dict.fromkeys(code for one in found for code in one.caveats)),
        method=found[0].method,
        checks=_checks(found),
        survey=found[0].survey,
    )


def _side(query: Query, evidence: Evidence, number: int) -> Figure:
    """The main figure of a side, named by its place."""
    main = _main(query, evidence)
    place = evidence.place or None
    return main.model_copy(update={"key": f"side{number}", "place": place if query.zone is not None else None})


def _main(query: Query, evidence: Evidence) -> Figure:
    if query.metric in ("area_at", "share_at", "presence"):
        share = query.metric == "share_at"
        return evidence.figure(f"state.{query.cls}.share" if share else f"state.{query.cls}")
    if query.metric in ("patches", "count"):
        return evidence.figure("patches.count")
    return evidence.figure(query.metric)


def _difference(first: Figure, second: Figure) -> Figure:
    """First less second; errors taken as independent, so that distances to the bounds add as squares."""
    value, bounds = first.value - second.value, None
    if first.bounds is not None and second.bounds is not None:
        low = math.hypot(first.value - first.bounds[0], second.bounds[1] - second.value)
        high = math.hypot(first.bounds[1] - first.value, second.value - second.bounds[0])
        bounds = (value - low, value + high)
    return Figure(
        key="difference",
        quantity="difference",
        value=value,
        dimension=first.dimension,
        bounds=bounds,
        bounds_kind=None if bounds is None else "range",
        cls=first.cls if first.cls == second.cls else None,
        t1=first.t1,
        t2=first.t2,
    )


def _yearly(figures: list[Figure]) -> list[Figure]:
    """Flows a year, where the periods are of unequal lengths."""
    if any(one.t1 is None or one.t2 is None or one.dimension != "area" for one in figures):
        return []
    lengths = [days_between(one.t1 or "", one.t2 or "") for one in figures]
    if max(lengths) <= (1 + _UNEQUAL) * min(lengths):
        return []
    rates = []
    for one, length in zip(figures, lengths, strict=True):
        scale = _DAYS_A_YEAR / length
        update: dict[str, Any] = {"key": f"{one.key}.year", "dimension": "area_per_year", "value": one.value * scale}
        update["bounds"] = None if one.bounds is None else (one.bounds[0] * scale, one.bounds[1] * scale)
        rates.append(one.model_copy(update=update))
    return rates


def _checks(found: list[Evidence]) -> dict[str, bool]:
    keys = dict.fromkeys(key for one in found for key in one.checks)
    return {key: all(one.checks.get(key, True) for one in found) for key in keys}
