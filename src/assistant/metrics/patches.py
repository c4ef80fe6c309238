"""Suspected patches: found, filtered, counted, listed, ranked."""

import math
from collections.abc import Sequence
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray

from src.assistant.county import County, Progress
from src.assistant.metrics.study import PairStudy, coverage_caveats, study_pair
from src.assistant.query import Query
from src.assistant.record import Evidence, Figure, PatchRow, Table
from src.constants import LAND_CLASS_NAMES
from src.geo.areas import polygon_areas_m2
from src.geo.bounds import bounds_of
from src.geo.caveats import CannotTell
from src.geo.patches.fields import OVERLAP
from src.geo.zones import polygons_only

# More patches than this are counted and lie in the survey's patches.gpkg, but are not listed in the evidence.
MOST_LISTED = 500
# Types of change that look like work on the ground (CHANGE_TYPES): earthwork, building, road, mining.
CONSTRUCTION_TYPES = ("DT", "20", "DL", "CK")
# A patch whose middle lies within this share of the area's half size is in its centre.
_CENTRE = 1.0 / 3.0
_SECTORS = ("E", "NE", "N", "NW", "W", "SW", "S", "SE")
_ZONE_FLAGS = {"basic_farmland": "SFYN", "red_line": "SFHX", "reserve": "SFBH", "river": "SFHD"}
_CLASS_OF_NAME = {words["zh"]: name for name, words in LAND_CLASS_NAMES.items()}


def patches(query: Query, county: County, progress: Progress) -> Evidence:
    """Suspected patches of a period: number, area, kinds, grades, towns, sectors, and the list."""
    study = study_pair(query, county, progress, window=True)
    table = patch_table(study, before=query.from_cls, after=query.to_cls or query.cls)
    figures = [*patch_total(study, table), *by_kind(study, table), *same_class(study), *_below(study)]
    tables: list[Table] = []
    if query.group_by in ("town", "village"):
        towns, by_town = _by_town(study, table)
        figures += towns
        tables.append(by_town)
    return listing(study, table, figures, ["patches.count", "patches.area"], tables)


def rank_patches(query: Query, county: County, progress: Progress) -> Evidence:
    """The largest (smallest) patches."""
    study = study_pair(query, county, progress, window=True)
    table = patch_table(study, before=query.from_cls, after=query.to_cls or query.cls)
    order = query.rank.order if query.rank else "desc"
    table = table.sort_values(["MJ_M2", "TBBH"], ascending=[order == "asc", True])
    figures = [*patch_total(study, table), *_below(study)]
    most = query.rank.n if query.rank else MOST_LISTED
    return listing(study, table, figures, ["patches.count", "patches.area"], (), most=most)


def listing(
    study: PairStudy,
    table: gpd.GeoDataFrame,
    figures: Sequence[Figure],
    cards: Sequence[str],
    tables: Sequence[Table],
    *,
    most: int = MOST_LISTED,
    more_caveats: Sequence[str] = (),
) -> Evidence:
    """The record around patches."""
    classes = bool(len(table)) and bool((table["before"] != "").any())
    query = study.query
    caveats = [*study.caveats(classes=classes), *more_caveats, *coverage_caveats(study.survey.changes.pair.clear_share)]
    mmu_m2 = study.survey.counts().below.patches
    asked_small = query.min_area_m2 is not None and query.min_area_m2 < study.unit_m2
    if mmu_m2 or asked_small:
        caveats.append("BELOW_MMU")
    return study.record(
        figures,
        cards,
        tables=tuple(tables),
        patches=rows_of(study, table, most),
        caveats=tuple(dict.fromkeys(caveats)),
        method=study.method(classes=classes),
        next_step="field_check" if len(table) else None,
        basics_of_classes=False,
    )


def patch_table(study: PairStudy, *, before: str | None = None, after: str | None = None) -> gpd.GeoDataFrame:
    """The records of the survey that the query means, largest first, with a few columns in plain terms.

    Patches whose class is the same on both dates are left out: mostly crops at another stage (``same_class`` counts
    them). Those of unknown class stay.

    Added: before, after (class names, "" unknown), overlap (m2 inside the place), ground (m2 that count for it: the
    whole patch for the county, a town or a village, else what lies inside), shrink and grow (MJ_MIN and MJ_MAX over
    MJ_M2).

    Args:
        study: of the query.
        before: class that it was.
        after: class that it is; "built" alone takes all types that look like work on the ground.
    """
    table = _named(study)
    query = study.query
    keep = _changed_class(table)
    if before:
        keep = keep & (table["before"] == before).to_numpy()
    if after == "built" and before is None:
        keep = keep & _construction(table)
    elif after:
        keep = keep & ((table["after"] == after) & (table["before"] != after)).to_numpy()
    if query.min_area_m2 is not None:
        keep = keep & (table["MJ_M2"] >= query.min_area_m2).to_numpy()
    if query.min_confidence is not None:
        keep = keep & (table["GRADE_N"] >= query.min_confidence).to_numpy()
    return _inside(study, table[keep])


def same_class(study: PairStudy) -> list[Figure]:
    """Number and area of the patches in the place whose class is the same on both dates."""
    table = _named(study)
    table = _inside(study, table[~_changed_class(table)])
    t1, t2 = study.dates
    common: dict[str, Any] = {"quantity": "patches", "kind": "same_class", "t1": t1, "t2": t2}
    return [
        Figure(key="same_class.count", value=len(table), dimension="count", **common),
        Figure(key="same_class.area", value=float(table["ground"].sum()), dimension="area", **common),
    ]


def _named(study: PairStudy) -> gpd.GeoDataFrame:
    """All records with class names and how far half a pixel shrinks and grows them."""
    records = study.survey.records()
    return records.assign(
        before=[_CLASS_OF_NAME.get(name, "") for name in records["QDL"]],
        after=[_CLASS_OF_NAME.get(name, "") for name in records["HDL"]],
        shrink=records["MJ_MIN"] / records["MJ_M2"],
        grow=records["MJ_MAX"] / records["MJ_M2"],
    )


def _changed_class(table: pd.DataFrame) -> NDArray[np.bool_]:
    return ((table["before"] != table["after"]) | (table["before"] == "")).to_numpy()


def _inside(study: PairStudy, table: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
    """Patches of the place, largest first: those with their point in a town, or with a pixel and more in a zone."""
    whole, outline = table["MJ_M2"].to_numpy(), study.place.outline
    if outline is None:
        table = table.assign(overlap=whole, ground=whole)
    else:
        inside = np.minimum(whole, overlap_areas(table, outline))
        if study.place.kind in ("county", "town", "village"):
            points = shapely.points(table["JD"].to_numpy(), table["WD"].to_numpy())
            table = table.assign(overlap=inside, ground=whole)
            table = table[shapely.intersects(points, outline.geometry.union_all())]
        else:
            table = table.assign(overlap=inside, ground=inside)
            table = table[inside >= study.survey.before.record.pixel_m**2]
    return table.sort_values(["MJ_M2", "TBBH"], ascending=[False, True]).reset_index(drop=True)


def overlap_areas(records: gpd.GeoDataFrame, zone: gpd.GeoDataFrame) -> NDArray[np.float64]:
    """(n,) m2 of each patch inside the union of some zones.

    Args:
        records: patches, EPSG:4490.
        zone: in the same CRS.
    """
    areas = np.zeros(len(records))
    # Part by part: against the whole of a layer, each patch would cost as much as all of its outlines.
    parts = shapely.get_parts(shapely.disjoint_subset_union_all(zone.geometry.to_numpy()))
    shapes = records.geometry.to_numpy()
    owner, part = shapely.STRtree(parts).query(shapes, predicate="intersects")
    if len(owner):
        shared = gpd.GeoSeries(map(polygons_only, shapely.intersection(shapes[owner], parts[part])), crs=records.crs)
        some = ~shared.is_empty.to_numpy()
        if some.any():
            np.add.at(areas, owner[some], polygon_areas_m2(shared[some]))
    return areas


def suspected_bounds(
    study: PairStudy, table: gpd.GeoDataFrame, value: float, grown: float, area_m2: float | None = None
) -> tuple[float, float]:
    """Bounds of the ground that truly changed as suspected, m2.

    Any patch that no later dates confirm (grade A) may be no change at all. What truly changed may exceed the patches
    as far as gains exceeded counts where the truth is known (``src.geo.bounds``), and what they cover with half a pixel
    more.

    Args:
        study: of the pair.
        table: the patches.
        value: their ground.
        grown: with half a pixel more along the outlines.
        area_m2: of the part of the place that is meant; default all of it.
    """
    query = study.query
    after, before = query.to_cls or query.cls, query.from_cls
    flow = ("loss", before) if before and not after else ("gain", after or "built")
    confirmed = table[table["GRADE"] == "A"]
    low = float((confirmed["ground"] * confirmed["shrink"]).sum())
    return min(low, value), max(grown, bounds_of(*flow, value, study.ground(area_m2))[1])


def patch_total(study: PairStudy, table: gpd.GeoDataFrame, *, area: bool = True) -> list[Figure]:
    """Number of the patches, and their area."""
    t1, t2 = study.dates
    count = Figure(key="patches.count", quantity="patches", value=len(table), dimension="count", t1=t1, t2=t2)
    if not area or table.empty:
        return [count]
    value = float(table["ground"].sum())
    total = Figure(
        key="patches.area",
        quantity="patches",
        value=value,
        dimension="area",
        bounds=suspected_bounds(study, table, value, float((table["ground"] * table["grow"]).sum())),
        bounds_kind="range",
        t1=t1,
        t2=t2,
    )
    return [count, total]


def rows_of(study: PairStudy, table: gpd.GeoDataFrame, most: int = MOST_LISTED) -> tuple[PatchRow, ...]:
    """The first patches as the answer lists them."""
    sectors = sectors_of(study, table.head(most))
    asked = study.query.zone is not None and study.place.kind != "county"
    rows = []
    for sector, one in zip(sectors, table.head(most).itertuples(index=False), strict=True):
        met = tuple(kind for kind, flag in _ZONE_FLAGS.items() if getattr(one, flag) not in (OVERLAP["none"], ""))
        rows.append(
            PatchRow(
                id=one.TBBH,
                area_m2=one.MJ_M2,
                bounds=(one.MJ_MIN, one.MJ_MAX),
                lon=one.JD,
                lat=one.WD,
                t1=one.QSX,
                t2=one.HSX,
                from_cls=one.before,
                to_cls=one.after,
                kind=one.BHLX,
                grade=one.GRADE,
                confidence=one.GRADE_N,
                town=one.XZMC,
                sector=sector,
                zones=met,
                overlap_m2=round(one.overlap, 2) if asked else None,
            )
        )
    return tuple(rows)


def sectors_of(study: PairStudy, table: gpd.GeoDataFrame) -> list[str]:
    """Eight directions, or C for the centre, of each patch as seen from the middle of the place.

    East and north are scaled by the place's own half width and half height, so that the sectors of a long county
    follow its shape.
    """
    west, south, east, north = _frame(study)
    lon, lat = (west + east) / 2, (south + north) / 2
    if study.place.outline is not None:
        middle = shapely.centroid(study.place.outline.geometry.union_all())
        lon, lat = middle.x, middle.y
    sectors = []
    for x, y in zip(table["JD"], table["WD"], strict=True):
        right, up = (x - lon) / max((east - west) / 2, 1e-9), (y - lat) / max((north - south) / 2, 1e-9)
        if math.hypot(right, up) <= _CENTRE:
            sectors.append("C")
        else:
            sectors.append(_SECTORS[round(math.atan2(up, right) / (math.pi / 4)) % len(_SECTORS)])
    return sectors


def _frame(study: PairStudy) -> tuple[float, float, float, float]:
    """West, south, east, north of the place in degrees."""
    if study.place.outline is not None:
        west, south, east, north = study.place.outline.total_bounds
    else:
        grid = study.survey.before.grid
        west, south, east, north = gpd.GeoSeries([shapely.box(*grid.bounds())], crs=grid.crs).to_crs(4490).total_bounds
    return float(west), float(south), float(east), float(north)


def _construction(table: pd.DataFrame) -> NDArray[np.bool_]:
    """Patches that became built-up land, or whose type looks like work on the ground; never what was built before."""
    work = (table["after"] == "built") | table["BHLX"].isin(CONSTRUCTION_TYPES)
    return (work & (table["before"] != "built")).to_numpy()


def by_kind(study: PairStudy, table: gpd.GeoDataFrame) -> list[Figure]:
    """Numbers and areas by type and grade, and the share of the area in each sector."""
    t1, t2 = study.dates
    figures = []
    for prefix, column in (("type", "BHLX"), ("grade", "GRADE")):
        for kind, rows in table.groupby(column, sort=True):
            common: dict[str, Any] = {"quantity": "patches", "kind": str(kind), "t1": t1, "t2": t2}
            figures.append(Figure(key=f"{prefix}.{kind}.count", value=len(rows), dimension="count", **common))
            if prefix == "type":
                area = float(rows["ground"].sum())
                bounds = suspected_bounds(study, rows, area, float((rows["ground"] * rows["grow"]).sum()))
                spread: dict[str, Any] = {"bounds": bounds, "bounds_kind": "range"}
                figures.append(Figure(key=f"{prefix}.{kind}.area", value=area, dimension="area", **common, **spread))
    total = float(table["ground"].sum())
    if total > 0:
        by_sector = table["ground"].groupby(np.array(sectors_of(study, table))).sum()
        for sector, area in by_sector.items():
            figures.append(
                Figure(
                    key=f"sector.{sector}",
                    quantity="patches",
                    value=float(area) / total,
                    dimension="share",
                    kind=str(sector),
                    t1=t1,
                    t2=t2,
                )
            )
    return figures


def _by_town(study: PairStudy, table: gpd.GeoDataFrame) -> tuple[list[Figure], Table]:
    """Number and area of the patches of each town or village by the place of their points."""
    kind = study.query.group_by or "town"
    layer = study.county.zones().get(kind)
    if layer is None:
        raise CannotTell("NO_ZONE_LAYER", kind)
    names = table["XZMC"].to_numpy().astype(str)
    if kind == "village":
        names = _holding(table, layer)
    t1, t2 = study.dates
    figures, rows = [], []
    for name in sorted(set(names) - {""}):
        chosen = table[names == name]
        common: dict[str, Any] = {"quantity": "patches", "place": name, "t1": t1, "t2": t2}
        key = f"{kind}.{name}"
        area, whole = float(chosen["ground"].sum()), layer[layer["name"] == name].dissolve()
        grown = float((chosen["ground"] * chosen["grow"]).sum())
        bounds = suspected_bounds(study, chosen, area, grown, float(polygon_areas_m2(whole.geometry).sum()))
        figures.append(Figure(key=f"{key}.count", value=len(chosen), dimension="count", **common))
        figures.append(
            Figure(key=f"{key}.area", value=area, dimension="area", bounds=bounds, bounds_kind="range", **common)
        )
        rows.append((name, f"{key}.count", f"{key}.area"))
    return figures, Table(name="places", columns=("", "count", "area"), rows=tuple(rows))


def _holding(table: gpd.GeoDataFrame, layer: gpd.GeoDataFrame) -> NDArray[np.str_]:
    """Name of the zone that holds each patch's point, "" where none does."""
    points = shapely.points(table["JD"].to_numpy(), table["WD"].to_numpy())
    names = np.full(len(table), "", dtype=object)
    owner, row = shapely.STRtree(layer.geometry.to_numpy()).query(points, predicate="intersects")
    for index, zone in sorted(zip(owner.tolist(), row.tolist(), strict=True), reverse=True):
        names[index] = str(layer["name"].iloc[zone])
    return names.astype(str)


def _below(study: PairStudy) -> list[Figure]:
    """What the sieve took out: number and area over the whole scene."""
    if study.place.kind != "county":
        return []
    below = study.survey.counts().below
    t1, t2 = study.dates
    common: dict[str, Any] = {"quantity": "patches", "kind": "below_mmu", "t1": t1, "t2": t2}
    return [
        Figure(key="below_mmu.count", value=below.patches, dimension="count", **common),
        Figure(key="below_mmu.area", value=below.area_m2, dimension="area", **common),
    ]
