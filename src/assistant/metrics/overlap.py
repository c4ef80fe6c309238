"""What suspected patches take of a zone: reserves and their parts, farmland, red line, river scope."""

from typing import Any

import geopandas as gpd
import numpy as np

from src.assistant.county import County, Progress
from src.assistant.metrics.patches import (
    by_kind,
    listing,
    overlap_areas,
    patch_table,
    patch_total,
    same_class,
    suspected_bounds,
)
from src.assistant.metrics.study import PairStudy, study_pair
from src.assistant.query import Query
from src.assistant.record import Evidence, Figure


def overlap(query: Query, county: County, progress: Progress) -> Evidence:
    """What suspected patches take of a zone: area with a pixel of doubt along the boundary, parts, types, patches."""
    if query.zone is None:
        kinds = tuple(kind for kind in county.known().zones if kind not in ("county", "town", "village"))
        return Evidence(query=query, status="words", reason="need_zone", choices=kinds)
    study = study_pair(query, county, progress, window=True)
    table = patch_table(study, before=query.from_cls, after=query.to_cls or query.cls)
    figures = [*_overlap_total(study, table), *_overlap_parts(study, table)]
    figures += [*patch_total(study, table, area=False), *by_kind(study, table), *same_class(study)]
    cards = ["overlap", "overlap.share", "overlap.interior", "patches.count"]
    return listing(study, table, figures, cards, (), more_caveats=("ZONE_EDGE_1PX",))


def _overlap_total(study: PairStudy, table: gpd.GeoDataFrame) -> list[Figure]:
    """Area of the patches inside the zone, its share of the zone, and the part over a pixel inside the line.

    Bounds as ``suspected_bounds``, the upper one not below what lies within a pixel outside of the line with patches
    half a pixel larger.
    """
    t1, t2 = study.dates
    common: dict[str, Any] = {"quantity": "overlap", "t1": t1, "t2": t2}
    zone = study.place.outline
    value, zone_m2 = float(table["overlap"].sum()), study.place_m2
    if zone is None or zone_m2 is None:
        return []
    pixel = study.survey.before.record.pixel_m
    inner, outer = (_moved(study, zone, by) for by in (-pixel, pixel))
    within = overlap_areas(table, inner) if not inner.geometry.is_empty.all() else np.zeros(len(table))
    around = _beyond(study, outer)
    bounds = suspected_bounds(study, table, value, max(around, value))
    figures = [
        Figure(key="overlap", value=value, dimension="area", bounds=bounds, bounds_kind="range", **common),
        Figure(
            key="overlap.share",
            value=value / zone_m2,
            dimension="share",
            bounds=(bounds[0] / zone_m2, bounds[1] / zone_m2),
            bounds_kind="range",
            **common,
        ),
        Figure(key="overlap.interior", value=float(within.sum()), dimension="area", kind="interior", **common),
        Figure(key="zone", quantity="zone", value=zone_m2, dimension="area"),
    ]
    return figures


def _beyond(study: PairStudy, outer: gpd.GeoDataFrame) -> float:
    """Ground of all patches that the query means inside a grown zone, with half a pixel more."""
    query = study.query
    wider = PairStudy(
        query,
        study.county,
        type(study.place)(study.place.kind, study.place.name, outer, f"{study.place.key}+"),
        study.survey,
        study.scenes,
        study.asked,
    )
    table = patch_table(wider, before=query.from_cls, after=query.to_cls or query.cls)
    return float((table["overlap"] * table["grow"]).sum())


def _moved(study: PairStudy, zone: gpd.GeoDataFrame, by_m: float) -> gpd.GeoDataFrame:
    """A zone with its line moved outward (inward where negative) by some metres."""
    local = study.survey.before.grid.crs
    assert local is not None
    united = zone.dissolve().to_crs(zone.estimate_utm_crs() if local.is_geographic else local)
    return united.set_geometry(united.geometry.buffer(by_m)).to_crs(zone.crs)


def _overlap_parts(study: PairStudy, table: gpd.GeoDataFrame) -> list[Figure]:
    """Area inside each part of a reserve."""
    zone = study.place.outline
    if zone is None or study.query.zone is None or study.query.zone.part is not None:
        return []
    t1, t2 = study.dates
    figures = []
    for part, rows in zone[zone["part"] != ""].groupby("part", sort=True):
        value = float(overlap_areas(table, rows).sum())
        figures.append(
            Figure(
                key=f"part.{part}",
                quantity="overlap",
                value=value,
                dimension="area",
                kind=str(part),
                t1=t1,
                t2=t2,
            )
        )
    return figures
