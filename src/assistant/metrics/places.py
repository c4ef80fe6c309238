"""One place: what changed around a point, one patch in full, when it began, and whether it is only the season.

Patches are found again by their number among the pairs that were measured
before; a number that no measured pair has cannot be answered.
"""

from typing import Any

from src.assistant.county import County, Place, Progress
from src.assistant.metrics.history import first_seen, verify
from src.assistant.metrics.patches import listing, patch_table, patch_total, same_class
from src.assistant.metrics.spots import find_patch, reaches, spot_indices, spot_of
from src.assistant.metrics.study import PairStudy, state_figures, study_pair
from src.assistant.query import Query
from src.assistant.record import Evidence, Figure, Table
from src.assistant.scenes import candidates
from src.geo.caveats import CannotTell
from src.geo.cover.indices import INDICES
from src.geo.series import index_series

__all__ = ["find_patch", "first_seen", "patch_detail", "point", "special", "verify"]

RADIUS_M = 300.0
# Indices of a patch on both dates: green, built or bare, bare, wet.
_INDICES = ("NDVI", "NDBI", "BSI", "MNDWI")
# Ground of a patch inside a zone: kind of zone, area and name in the patch record.
_OVERLAPS = {
    "basic_farmland": ("ZYYN_M2", None),
    "red_line": ("ZYHX_M2", None),
    "reserve": ("ZRBHD_M2", "ZRBHD"),
    "river": ("HDGL_M2", "HDGL"),
}


def point(query: Query, county: County, progress: Progress) -> Evidence:
    """What changed around a point: patches in the circle, its classes on both dates, and NDVI on all clear dates.

    Args:
        query: ``lon``, ``lat``, ``radius_m`` (default 300), ``t1`` and ``t2`` (default the latest pair).
        county: to measure on.
        progress: is told the steps.

    Returns:
        Patches that meet the circle and changed their class; figures "patches" (those of kind "same_class" kept it),
        "state" of each class on both dates, "series" of kind NDVI, "place" (the radius). "outside" where no image
        reaches the point; "need_point" without one.

    Raises:
        CannotTell: no dates that can be compared.
    """
    if query.lon is None or query.lat is None:
        return Evidence(query=query, status="words", reason="need_point")
    asked = query.changed(radius_m=query.radius_m or RADIUS_M, zone={"type": "point"})
    if not any(reaches(scene, query.lon, query.lat) for scene in county.scenes()):
        return Evidence(query=asked, status="cannot_tell", reason="outside", t1=query.t1, t2=query.t2)
    study = study_pair(asked, county, progress, window=True)
    table = patch_table(study, before=query.from_cls, after=query.to_cls or query.cls)
    figures = [*patch_total(study, table), *same_class(study), *_both_states(study)]
    progress("series", 0.9)
    figures += _ndvi_dates(county, study.place)
    radius = Figure(key="radius", quantity="place", value=asked.radius_m or RADIUS_M, dimension="length", decimals=0)
    classes = Table(
        name="classes",
        columns=("class", "before", "after"),
        rows=tuple((one.cls or "", f"before.{one.cls}", f"after.{one.cls}") for one in _areas(figures, "before")),
    )
    return listing(
        study, table, [*figures, radius], ["patches.count", "patches.area"], [classes] if classes.rows else []
    )


def patch_detail(query: Query, county: County, progress: Progress) -> Evidence:
    """One patch: its record, indices before and after, and its ground in each zone.

    Args:
        query: ``patch_id``.
        county: to measure on.
        progress: is told the steps.

    Returns:
        Its row; figures "patch" (area), "index" by kind and date, "overlap" by zone, "seen" of kind "later_dates"
        (dates that confirm it). "no_patch" for a number that nobody measured, "need_patch" without one.

    Raises:
        CannotTell: its pair can no longer be compared.
    """
    spot = spot_of(query, county, progress)
    if isinstance(spot, Evidence):
        return spot
    if spot.patch_id is None:
        return Evidence(query=query, status="words", reason="need_patch")
    study = spot.study
    table = spot.table
    row = table.iloc[0]
    common: dict[str, Any] = {"t1": study.dates[0], "t2": study.dates[1], "patch_id": spot.patch_id}
    bounds: dict[str, Any] = {"bounds": (float(row["MJ_MIN"]), float(row["MJ_MAX"])), "bounds_kind": "range"}
    area = Figure(key="patch", quantity="patch", value=float(row["MJ_M2"]), dimension="area", **bounds, **common)
    later = Figure(
        key="later", quantity="seen", value=int(row["YZQS"]), dimension="count", kind="later_dates", **common
    )
    figures = [area, *_patch_overlaps(row, common), later, *spot_indices(spot, county, _INDICES)]
    return listing(study, table, figures, ["patch"], [])


def special(query: Query, county: County, progress: Progress) -> Evidence:
    """Solar panels and greenhouses: not told apart from roofs and bare ground by the classes that are mapped.

    Returns:
        "cannot_tell" with CLASS_NOT_SEPARABLE; the next step is finer imagery.

    Raises:
        CannotTell: no such layer.
    """
    place = county.place(query.zone, query)
    progress("done", 1.0)
    return Evidence(
        query=query,
        status="cannot_tell",
        reason="CLASS_NOT_SEPARABLE",
        next_step="finer_images",
        t1=query.t1,
        t2=query.t2,
        place=place.name,
    )


def _both_states(study: PairStudy) -> list[Figure]:
    """Area and share of each class on both dates; nothing where land cover cannot be told."""
    try:
        flows = study.flows
    except CannotTell:
        return []
    known = flows.matrix[1:, 1:]
    sides = (("before", known.sum(1), flows.before, 0), ("after", known.sum(0), flows.after, 1))
    return [
        one
        for prefix, values, expected, date in sides
        for one in state_figures(values.tolist(), expected.tolist(), study.seen(), study.dates[date], prefix=prefix)
    ]


def _areas(figures: list[Figure], prefix: str) -> list[Figure]:
    return [one for one in figures if one.key.startswith(f"{prefix}.") and one.dimension == "area"]


def _ndvi_dates(county: County, place: Place) -> list[Figure]:
    """Mean NDVI of a place on every clear date that has the bands for it."""
    roles = set(INDICES["NDVI"].roles)
    scenes = [
        one.scene
        for one in candidates(county, place)
        if one.clear and one.scene.record.quantity != "dn" and roles <= set(one.scene.roles)
    ]
    if not scenes:
        return []
    dates = index_series(scenes, "NDVI", place.outline, county.workspace.cache, county.runner)
    return [
        Figure(key=f"ndvi.{one.date}", quantity="series", value=one.mean, dimension="index", kind="NDVI", t2=one.date)
        for one in dates
        if one.seen_share > 0
    ]


def _patch_overlaps(row: Any, common: dict[str, Any]) -> list[Figure]:
    """Ground of a patch in each zone, with half a pixel along its outline."""
    shrink, grow = row["MJ_MIN"] / row["MJ_M2"], row["MJ_MAX"] / row["MJ_M2"]
    figures = []
    for kind, (field, name) in _OVERLAPS.items():
        value = float(row[field])
        if value > 0:
            place = str(row[name]) if name and row[name] else kind
            bounds = float(value * shrink), float(value * grow)
            figures.append(
                Figure(
                    key=f"overlap.{kind}",
                    quantity="overlap",
                    value=value,
                    dimension="area",
                    bounds=bounds,
                    bounds_kind="range",
                    place=place,
                    kind=kind,
                    **common,
                )
            )
    return figures
