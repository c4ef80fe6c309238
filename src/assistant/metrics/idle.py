"""Cropland that seems to lie idle: not green in any of several seasons."""

from datetime import date
from typing import Any

from src.assistant.county import County, Progress
from src.assistant.covers import cover_of
from src.assistant.metrics.epochs import few_dates, series_uses
from src.assistant.query import Query
from src.assistant.record import Evidence, Figure
from src.assistant.scenes import candidates, pick_one
from src.geo.scene import Scene
from src.geo.series import GROWN_SHARE, MIN_SEASON_DATES, Fields, IdleCropland, idle_cropland

_SEASONS = 2


def abandoned(query: Query, county: County, progress: Progress) -> Evidence:
    """Cropland that was not green in any of two seasons.

    Ground that was cropland before the first season and is cropland or grass now, whose greatest NDVI of each year
    stayed below GROWN_SHARE of the median field's. Each year needs MIN_SEASON_DATES clear dates. Fields that weeds
    have covered are green and are not found; fallow by rotation is.

    Args:
        query: ``zone``; ``t1`` and ``t2`` give the years (default the last two), whole years whatever part of them is
            asked about; ``group_by`` "town" or "village", of the whole county.
        county: to measure on.
        progress: is told the steps.

    Returns:
        Figures "state" (cls cropland: area and share of the cropland that could be judged), "state" of kind "judged",
        "index" of kind "NDVI limit" by year, "seen" of kind "dates" (count) by year; "state" by place where asked. Too
        few dates: "few_dates". ``t1`` and ``t2`` are the first and last date compared, not the period asked about.

    Raises:
        CannotTell: no layer, no land cover, or uncalibrated numbers.
    """
    progress("scenes", 0.0)
    place = county.place(query.zone, query)
    found = [one for one in candidates(county, place) if one.clear and one.scene.record.quantity != "dn"]
    years = {year: [one for one in found if one.day[:4] == str(year)] for year in _season_years(query, county.as_of)}
    chosen = [one for dates in years.values() for one in dates]
    uses = series_uses(found, chosen)
    if any(len(dates) < MIN_SEASON_DATES for dates in years.values()):
        counts = [f"{year}: {len(dates)}/{MIN_SEASON_DATES}" for year, dates in years.items()]
        return few_dates(query, place, uses, [one.day for one in chosen], counts)
    before, _ = pick_one(found, f"{min(years) - 1}-12-31")
    after = chosen[-1].scene
    covers = [cover_of(county, scene, progress) for scene in (before, after)]
    progress("series", 0.6)
    scenes: dict[int, list[Scene]] = {year: [one.scene for one in dates] for year, dates in years.items()}
    fields = Fields(covers[0].map, covers[1].map, before.grid)
    idle = idle_cropland(fields, scenes, place.outline, county.workspace.cache, county.runner)
    span = chosen[0].day, chosen[-1].day
    figures = _idle_figures(idle, *span)
    if query.group_by in ("town", "village") and place.kind == "county":
        for part in county.parts(query.group_by, place):
            found_there = idle_cropland(
                fields, scenes, part.outline, county.workspace.cache, county.runner, limits=idle.limits
            )
            area = _idle_area(found_there, *span)
            figures.append(area.model_copy(update={"key": f"{part.kind}.{part.name}", "place": part.name}))
    caveats = [code for cover in covers for code in cover.caveats]
    return Evidence(
        query=query,
        t1=span[0],
        t2=span[1],
        place=place.name,
        scenes=uses,
        figures=tuple(figures),
        cards=("idle", "idle.share", "judged"),
        caveats=tuple(dict.fromkeys([*caveats, "IDLE_BY_GREENNESS", "UNCALIBRATED_AREA", "NEEDS_FIELD_CHECK"])),
        method={"rule": f"greatest NDVI of each year below {GROWN_SHARE:g} of the median field's"},
    )


def _season_years(query: Query, as_of: date) -> list[int]:
    """Years of the seasons asked for, at least two; a period starts after its first day."""
    last = int((query.t2 or as_of.isoformat())[:4])
    first = last - _SEASONS + 1
    if query.t1 is not None:
        start = int(query.t1[:4]) + (query.t1[5:] == "12-31")
        first = min(first, start)
    return list(range(first, last + 1))


def _idle_area(idle: IdleCropland, t1: str, t2: str) -> Figure:
    """Area that seems to lie idle."""
    low, high = max(0.0, idle.idle_m2 - idle.edge_m2), idle.idle_m2 + idle.edge_m2
    # Fields that could not be judged may lie idle too.
    high = min(idle.cropland_m2, high + idle.cropland_m2 - idle.judged_m2)
    bounds: dict[str, Any] = {"bounds": (low, max(high, idle.idle_m2)), "bounds_kind": "range"}
    return Figure(
        key="idle", quantity="state", value=idle.idle_m2, dimension="area", cls="cropland", t1=t1, t2=t2, **bounds
    )


def _idle_figures(idle: IdleCropland, t1: str, t2: str) -> list[Figure]:
    figures = [_idle_area(idle, t1, t2)]
    if idle.judged_m2:
        share = idle.idle_m2 / idle.judged_m2
        figures.append(
            Figure(key="idle.share", quantity="state", value=share, dimension="share", cls="cropland", t1=t1, t2=t2)
        )
    judged = Figure(key="judged", quantity="state", value=idle.judged_m2, dimension="area", kind="judged")
    figures.append(judged.model_copy(update={"cls": "cropland", "t1": t1, "t2": t2}))
    for year, limit in idle.limits.items():
        days = idle.dates[year]
        figures += [
            Figure(key=f"limit.{year}", quantity="index", value=limit, dimension="index", kind="NDVI limit"),
            Figure(key=f"dates.{year}", quantity="seen", value=len(days), dimension="count", kind="dates", t2=days[-1]),
        ]
    return figures
