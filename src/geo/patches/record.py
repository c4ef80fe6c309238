"""The record of each suspected change patch: place, size, classes, type, grade, zones it meets, and advice.

Every figure is measured; what people must decide (state and result of the
check) stays blank or "待核查". A record is a clue and says "疑似", never a
verdict. Fields and wording are in ``src.geo.patches.fields``.
"""

import hashlib
import math
from collections.abc import Mapping, Sequence
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray

from src.constants import AREA_UNITS_M2, LAND_CLASS_IDS, LAND_CLASS_NAMES, LAND_CLASSES
from src.errors import InputError
from src.geo.blocks import Runner
from src.geo.patches.fields import (
    ADVICE,
    CHANGE_TYPES,
    CHECK_STATES,
    CODE_GUESS,
    COMPOSITION,
    FIELDS,
    OVERLAP,
    OVERLAP_HIT,
    OVERLAP_THIN,
    OVERLAP_WORDS,
    REASON,
    UNKNOWN_CLASS,
)
from src.geo.patches.find import Patches
from src.geo.patches.stats import PatchStats, RecordSources, dominant_class, patch_stats
from src.geo.zone_overlay import Overlay, in_crs, overlay_polygons
from src.geo.zones import CGCS2000, PARTS

_Floats = NDArray[np.float64]
_BUILT, _WATER, _BARE = LAND_CLASS_IDS["built"], LAND_CLASS_IDS["water"], LAND_CLASS_IDS["unused"]
# A patch this many times longer than wide is taken for a road. Set above 9.1, the largest of 72 building sites in three
# simulated counties; there were no new roads among them, so what share of roads it finds is not known.
ROAD_RATIO = 10.0
_GRADE_A, _GRADE_B = 0.8, 0.6
# Layers laid over the patches, and the fields that take flag, area, and name of the zone.
_OVERLAYS = {
    "basic_farmland": ("SFYN", "ZYYN_M2", None),
    "red_line": ("SFHX", "ZYHX_M2", None),
    "reserve": ("SFBH", "ZRBHD_M2", "ZRBHD"),
    "river": ("SFHD", "HDGL_M2", "HDGL"),
}
_NUMBER_SPACE = 100_000


def patch_records(
    patches: Patches,
    outlines: NDArray[np.object_],
    sources: RecordSources,
    zones: Mapping[str, gpd.GeoDataFrame],
    runner: Runner,
    *,
    confirmations: Sequence[int] | None = None,
) -> gpd.GeoDataFrame:
    """One record per listed patch.

    Args:
        patches: from ``label_patches``.
        outlines: from ``patch_outlines``.
        sources: dates, scenes and rasters.
        zones: layers from ``read_zone`` by type; a missing one leaves its fields blank.
        runner: threads or a cluster.
        confirmations: per patch, how many later clear dates still show the change; None where none were looked at.

    Returns:
        EPSG:4490, the columns of FIELDS in this order and geometry, in the order of the patches. Areas are m2 on the
        ellipsoid; half a pixel along the outline makes MJ_MIN and MJ_MAX (a range, no confidence interval).

    Raises:
        GridError: a raster lies on another grid.
        InputError: lengths differ.
    """
    table, grid = patches.table, patches.grid
    if len(outlines) != len(table) or (confirmations is not None and len(confirmations) != len(table)):
        raise InputError(f"{len(outlines)} outlines and confirmations for {len(table)} patches; expected one each")
    stats = patch_stats(patches, sources, runner)
    placed = gpd.GeoSeries(in_crs(outlines, grid), crs=grid.crs).to_crs(CGCS2000)
    columns = _size_columns(table, placed)
    columns |= _place_columns(columns, sources, zones)
    overlays = {
        kind: overlay_polygons(outlines, zones[kind], grid, main=name is not None)
        for kind, (_, _, name) in _OVERLAYS.items()
        if kind in zones
    }
    columns |= _overlay_columns(overlays, zones, table["area_m2"].to_numpy())
    mines = (
        overlay_polygons(outlines, zones["mining"], grid, main=False).area_m2
        if "mining" in zones
        else np.zeros(len(table))
    )
    before, after = (dominant_class(stats.area[:, date]) for date in (0, 1))
    columns |= _class_columns(stats, before, after, sources, table)
    ratios = [elongation(*size) for size in table[["pixels", "height", "width"]].itertuples(index=False)]
    columns["BHLX"] = [
        change_type(int(was), int(now), ratio, mine > 0)
        for was, now, ratio, mine in zip(before, after, ratios, mines, strict=True)
    ]
    columns["BHLXMC"] = [CHANGE_TYPES[code]["zh"] for code in columns["BHLX"]]
    # Where the class stays, a change of class is as improbable as can be: a crop rotation more often than not.
    chance = np.where(before == after, 0.0, np.minimum(columns["P1"], columns["P2"]))
    columns |= _grade_columns(chance, confirmations)
    columns |= {"MMU_OK": _yes(table["pixels"] >= patches.mmu_px), "XC": _yes(table["sliver"])}
    columns |= {"QSX": sources.before_date, "HSX": sources.after_date, "EVID": sources.evidence_id}
    columns |= {"QYX": sources.before_scene, "HYX": sources.after_scene, "HCZT": CHECK_STATES[0]}
    columns |= _text_columns(columns, before, after, overlays, sources)
    columns["TBBH"] = _patch_numbers(placed.to_numpy(), columns["XZQDM"], columns["BHLX"], sources.after_date)
    return _frame(columns, placed)


def change_type(before: int, after: int, ratio: float, in_mine: bool) -> str:
    """Code of CHANGE_TYPES; simple rules, first match wins, from two dates only.

    - a class is unknown, or the same on both dates: QT
    - water on either date: SM
    - built after: DL where the patch is at least ROAD_RATIO times longer than wide, else 20
    - bare after: CK inside a mining right, else DT
    - any vegetation after: ZB

    Args:
        before: class id, 0 unknown.
        after: class id, 0 unknown.
        ratio: length over width, from ``elongation``.
        in_mine: whether the patch meets a mining right.
    """
    if 0 in (before, after) or before == after:
        return "QT"
    if _WATER in (before, after):
        return "SM"
    if after == _BUILT:
        return "DL" if ratio >= ROAD_RATIO else "20"
    if after == _BARE:
        return "CK" if in_mine else "DT"
    return "ZB"


def elongation(pixels: int, height: int, width: int) -> float:
    """Length over mean width, the length being the diagonal of the bounding box: d / (A / d) = d^2 / A.

    About l / w of a straight strip of any direction, 2 for a square, 2.5 for a disc, 3 to 7 for ragged sites. (From
    area and outline alone, ragged sites look as long as roads.)
    """
    return (height**2 + width**2) / pixels


def grade(probability: float, confirmations: int) -> tuple[str, float]:
    """Grade A, B or C, and a number from 0 to 1 for sorting.

    A: at least two later clear dates confirm and the probability is at least 0.8. B: one does, or it is at least 0.6.
    C: all else, and whatever a later date refutes (-1). The number is the probability (0.5 where unknown) with its
    doubt halved by each later date: an ordering aid, not a probability of change.
    """
    if confirmations < 0:
        return "C", 0.0
    known = 0.5 if math.isnan(probability) else probability
    number = 1.0 - (1.0 - known) * 0.5**confirmations
    if confirmations >= 2 and probability >= _GRADE_A:
        return "A", number
    return ("B" if confirmations >= 1 or probability >= _GRADE_B else "C"), number


def _size_columns(table: pd.DataFrame, placed: gpd.GeoSeries) -> dict[str, Any]:
    area = table["area_m2"].to_numpy()
    band = table["edge_px"].to_numpy() * area / table["pixels"].to_numpy() / 2.0
    columns = {"XYS": table["pixels"].to_numpy(), "MJ_M2": area, "MJ_MU": area / AREA_UNITS_M2["mu"]}
    columns |= {"MJ_HA": area / AREA_UNITS_M2["ha"], "MJ_MIN": np.maximum(area - band, 0.0), "MJ_MAX": area + band}
    points = shapely.point_on_surface(placed.to_numpy())
    return columns | {"JD": shapely.get_x(points), "WD": shapely.get_y(points)}


def _place_columns(
    columns: Mapping[str, Any], sources: RecordSources, zones: Mapping[str, gpd.GeoDataFrame]
) -> dict[str, Any]:
    """County and town that hold the patch's point."""
    points = shapely.points(columns["JD"], columns["WD"])
    county, county_code = _holding(points, zones.get("county"))
    town, town_code = _holding(points, zones.get("town"))
    codes = [sources.county_code or own[:6] or of_town[:6] for own, of_town in zip(county_code, town_code, strict=True)]
    return {"XZQDM": codes, "XZQMC": [sources.county_name or name for name in county], "XZMC": town}


def _holding(points: NDArray[np.object_], layer: gpd.GeoDataFrame | None) -> tuple[list[str], list[str]]:
    """Name and code of the first zone that holds each point, "" where none does."""
    names, codes = [""] * len(points), [""] * len(points)
    if layer is not None:
        # The zones ask for the points: only what asks is prepared, and a town's outline is long.
        row, found = shapely.STRtree(points).query(layer.geometry.to_numpy(), predicate="intersects")
        zone_names, zone_codes = (layer[field].astype(str).tolist() for field in ("name", "code"))
        for index, zone in sorted(zip(found.tolist(), row.tolist(), strict=True), reverse=True):
            names[index], codes[index] = zone_names[zone], zone_codes[zone]
    return names, codes


def _overlay_columns(
    overlays: Mapping[str, Overlay], zones: Mapping[str, gpd.GeoDataFrame], area_m2: _Floats
) -> dict[str, Any]:
    columns: dict[str, Any] = {}
    for kind, over in overlays.items():
        flag, area, name = _OVERLAYS[kind]
        # Both areas are measured alike but for the last digits; a part is never more than the whole.
        inside = np.minimum(over.area_m2, area_m2)
        columns[flag] = [
            OVERLAP["none" if m2 == 0 else "thin" if thin else "hit"]
            for m2, thin in zip(inside, over.thin, strict=True)
        ]
        columns[area] = inside
        if name:
            known = zones[kind]["name"].tolist()
            columns[name] = [known[row] if row >= 0 else "" for row in over.main]
        if kind == "basic_farmland":
            columns["ZYYN_PCT"] = 100.0 * inside / area_m2
        if kind == "reserve":
            known = zones[kind]["part"].tolist()
            parts = [known[row] if row >= 0 else "" for row in over.main]
            columns["GNQ"] = [PARTS[part]["zh"] if part else "" for part in parts]
    return columns


def _class_columns(
    stats: PatchStats, before: NDArray[np.intp], after: NDArray[np.intp], sources: RecordSources, table: pd.DataFrame
) -> dict[str, Any]:
    pixels = table["pixels"].to_numpy()
    rows = np.arange(len(pixels))
    columns: dict[str, Any] = {name: stats.area[:, 0, code] for code, name in COMPOSITION.items()}
    dates = ((0, before, "QDL", "P1", sources.before_probability), (1, after, "HDL", "P2", sources.after_probability))
    for date, ids, field, p_field, known in dates:
        columns[field] = [_class_name(int(code), "zh") for code in ids]
        columns[field + "BM"] = [CODE_GUESS[int(code)] for code in ids]
        mean = stats.percent[rows, date, np.maximum(ids, 1) - 1] / pixels / 100.0
        columns[p_field] = np.where(ids > 0, mean, np.nan) if known else np.full(len(pixels), np.nan)
    columns["BHQD"] = stats.score / pixels if sources.score else np.full(len(pixels), np.nan)
    return columns | {"CLR_PCT": 100.0 * stats.ring[:, 1] / np.maximum(stats.ring[:, 0], 1)}


def _grade_columns(chance: _Floats, confirmations: Sequence[int] | None) -> dict[str, Any]:
    counts = [0] * len(chance) if confirmations is None else [int(number) for number in confirmations]
    grades = [grade(float(p), count) for p, count in zip(chance, counts, strict=True)]
    return {"GRADE": [one for one, _ in grades], "GRADE_N": [number for _, number in grades], "YZQS": counts}


def _text_columns(
    columns: Mapping[str, Any],
    before: NDArray[np.intp],
    after: NDArray[np.intp],
    overlays: Mapping[str, Overlay],
    sources: RecordSources,
) -> dict[str, Any]:
    texts: dict[str, Any] = {"JCJY": ADVICE["zh"], "JCJY_EN": ADVICE["en"]}
    for lang, field in (("zh", "REASON"), ("en", "REASON_EN")):
        texts[field] = [
            REASON[lang].format(
                t1=sources.before_date,
                t2=sources.after_date,
                before=_class_name(int(before[i]), lang),
                after=_class_name(int(after[i]), lang),
                type=CHANGE_TYPES[columns["BHLX"][i]][lang],
                mu=columns["MJ_MU"][i],
                overlaps="".join(_overlap_text(kind, over, i, lang) for kind, over in overlays.items()),
            )
            for i in range(len(before))
        ]
    return texts


def _overlap_text(kind: str, over: Overlay, index: int, lang: str) -> str:
    if over.area_m2[index] == 0:
        return ""
    words = OVERLAP_THIN if over.thin[index] else OVERLAP_HIT
    return words[lang].format(zone=OVERLAP_WORDS[kind][lang], m2=over.area_m2[index])


def _class_name(code: int, lang: str) -> str:
    return LAND_CLASS_NAMES[LAND_CLASSES[code]][lang] if code else UNKNOWN_CLASS[lang]


def _yes(flags: pd.Series) -> list[str]:
    return ["是" if flag else "否" for flag in flags]


def _patch_numbers(
    shapes: NDArray[np.object_], counties: Sequence[str], types: Sequence[str], after_date: str
) -> list[str]:
    """``<county>-<yyyymmdd>-<type>-<number>``: the number comes from the outline, so a patch keeps it in another run.

    Of two outlines with one number, the later in reading order takes the next free one. Past 50,000 patches of a
    type the number grows from five digits.
    """
    used: dict[str, set[int]] = {}
    space = _NUMBER_SPACE * 10 ** max(0, math.ceil(math.log10(max(len(types), 1) / (_NUMBER_SPACE / 2))))
    width = len(str(space - 1))
    numbers = []
    for shape, county, kind in zip(shapes, counties, types, strict=True):
        stem = f"{county or '000000'}-{after_date.replace('-', '')}-{kind}"
        # 6 decimals of a degree are 0.1 m: rounding of the projection does not change the number.
        corners = np.round(shapely.get_coordinates(shape), 6) + 0.0
        number = int.from_bytes(hashlib.sha256(corners.tobytes()).digest()[:8], "big") % space
        taken = used.setdefault(stem, set())
        while number in taken:
            number = (number + 1) % space
        taken.add(number)
        numbers.append(f"{stem}-{number:0{width}d}")
    return numbers


def _frame(columns: Mapping[str, Any], placed: gpd.GeoSeries) -> gpd.GeoDataFrame:
    """All fields in order, typed and rounded; what was not measured is blank."""
    typed: dict[str, pd.Series] = {}
    for field in FIELDS:
        if field.kind == "text":
            typed[field.name] = pd.Series(columns.get(field.name, ""), index=placed.index, dtype="str")
        elif field.kind == "int":
            typed[field.name] = pd.Series(columns[field.name], index=placed.index, dtype="int64")
        else:
            values = pd.Series(columns.get(field.name, np.nan), index=placed.index, dtype="float64")
            typed[field.name] = values.round(field.decimals)
    return gpd.GeoDataFrame(typed, geometry=placed, crs=CGCS2000)
