"""What one measurement says, as the evidence record: the keys of ``report.Evidence`` and a few more."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import shapely
from numpy.typing import NDArray

from src.constants import LAND_CLASSES
from src.errors import GridError
from src.geo.area_bounds import CoverMaps, Ranges, area_ranges
from src.geo.areas import polygon_areas_m2
from src.geo.blocks import Runner
from src.geo.cover.landcover import LEGEND_VERSION
from src.geo.estimates.accuracy import ClassEstimate
from src.geo.estimates.design import Design
from src.geo.evidence import METHOD_VERSION, file_digest
from src.geo.measure import Cover, Measured, Request, evidence_digest
from src.geo.sampling import estimate_sample, read_sample
from src.geo.sampling import report as estimate_report
from src.geo.scene import Scene
from src.geo.transition import class_changes, transition_matrix
from src.geo.workspace import Workspace
from src.geo.zone_overlay import ZoneAreas, zone_areas
from src.geo.zones import polygons_only

_CLASSES = tuple(LAND_CLASSES.values())
# Places whose change is tabled one by one; of all other kinds, each part and name of a reserve, else the kind.
_PLACES = ("town", "village")
_SHAPE_DECIMALS = 3


def evidence_record(workspace: Workspace, request: Request, found: Measured, runner: Runner) -> dict[str, Any]:
    """The record without its artefacts; every number that an answer may show is in it.

    Args:
        workspace: that was measured.
        request: what was asked.
        found: what was measured.
        runner: measures zones and places.
    """
    pair, records = found.pair, found.records
    record: dict[str, Any] = {
        "evidence_id": evidence_digest(workspace, request, pair.before, pair.after),
        "command": _command(request),
        "method_version": METHOD_VERSION,
        "legend_ver": LEGEND_VERSION,
        "place": {"name": workspace.name, "code": workspace.code},
        "query": dict(vars(request)),
        "resolved": {"t1": pair.before.record.date, "t2": pair.after.record.date},
        "clear_share": round(pair.clear_share, 4),
        "scenes": [_scene(pair.before), _scene(pair.after)],
        "coreg": {"dy": pair.shift_px[0], "dx": pair.shift_px[1], "resid_px": pair.residual_px},
        "method": _method(found),
        "patches": _patches(found),
        "zones": _zones(found, runner),
        "caveats": list(found.caveats),
    }
    if found.matrix is not None and found.ranges is not None:
        record |= _changes(found.matrix, found.ranges)
        record["transition_m2"] = found.matrix.tolist()
        record["checks"] = _checks(found.matrix)
        record["towns"] = _places(found, runner)
        record["accuracy"] = [_accuracy(cover) for cover in found.covers if cover.scores is not None]
        record |= _sampled(workspace, found, record)
    if len(records):
        record["patches"]["grades"] = {str(k): int(v) for k, v in records["GRADE"].value_counts().sort_index().items()}
        record["patches"]["types"] = {
            str(kind): {"count": len(group), "area_m2": float(group["MJ_M2"].sum())}
            for kind, group in records.groupby("BHLX", sort=True)
        }
    return record


def _command(request: Request) -> str:
    zone = f" --zone {request.zone}" if request.zone else ""
    dates = f"--before {request.before} --after {request.after}"
    return f"python -m src.geo.analyze {dates}{zone} --mmu_px {request.mmu_px} --seed {request.seed}"


def _scene(scene: Scene) -> dict[str, Any]:
    keys = ("id", "sensor", "level", "quantity", "date", "baseline", "cloud_percent", "clear_share", "mask_source")
    values = scene.record.to_json()
    return {key: values[key] for key in keys} | {"sources": list(values["sources"]), "notes": list(values["notes"])}


def _method(found: Measured) -> dict[str, Any]:
    model, patches = found.change, found.patches
    pixel = found.pair.before.record.pixel_m
    classifier = [f"{cover.model.route} ({cover.model.label_source or 'spectral rules'})" for cover in found.covers]
    return {
        "mask": " / ".join(scene.record.mask_source for scene in (found.pair.before, found.pair.after)),
        "norm": "orthogonal regression on unchanged pixels",
        "change": "IR-MAD and CVA" if model.found else "IR-MAD: no change beyond the gate",
        "threshold": [round(model.threshold_irmad, 4), round(model.threshold_cva, 4)],
        "tail_share": round(model.tail_share, 6),
        "classifier": "; ".join(classifier) or None,
        "mmu_px": patches.mmu_px,
        "mmu_m2": round(patches.mmu_px * pixel * pixel, 1),
    }


def _patches(found: Measured) -> dict[str, Any]:
    records, patches = found.records, found.patches
    low, high = (float(records[key].sum()) for key in ("MJ_MIN", "MJ_MAX"))
    area = {"value_m2": float(records["MJ_M2"].sum()), "bounds": [low, high]}
    return {
        "count": len(records),
        "area_m2": area,
        "ids": [str(number) for number in records["TBBH"]],
        "before_sieve_count": patches.changed.patches,
        "before_sieve_m2": patches.changed.area_m2,
        "below_mmu_count": patches.below.patches,
        "below_mmu_m2": patches.below.area_m2,
    }


def _changes(matrix: NDArray[np.float64], ranges: Ranges) -> dict[str, dict[str, Any]]:
    """Areas of both dates, gain, loss and net of each class, with their ranges."""
    result: dict[str, dict[str, Any]] = {}
    changes = class_changes(matrix)
    for key, quantity in (("areas_before", "before"), ("areas_after", "after"), ("gain", "gain"), ("loss", "loss")):
        result[key] = {
            name: {"value_m2": getattr(row, f"{quantity}_m2"), "bounds": list(ranges.bounds(quantity, name))}
            for name, row in changes.items()
        }
    result["net"] = {}
    for name, row in changes.items():
        (gain_low, gain_high), (loss_low, loss_high) = (result[key][name]["bounds"] for key in ("gain", "loss"))
        result["net"][name] = {"value_m2": row.net_m2, "bounds": [gain_low - loss_high, gain_high - loss_low]}
    return result


def _checks(matrix: NDArray[np.float64]) -> dict[str, bool]:
    changes = list(class_changes(matrix).values())
    known = matrix[1:, 1:]
    return {
        "gain_minus_loss_is_net": all(row.gain_m2 - row.loss_m2 == row.net_m2 for row in changes),
        "nets_sum_to_zero": abs(sum(row.net_m2 for row in changes)) < 1e-3,
        "sums_agree": float(known.sum())
        == sum(row.before_m2 for row in changes)
        == sum(row.after_m2 for row in changes),
    }


def _places(found: Measured, runner: Runner) -> list[dict[str, Any]]:
    """Gain, loss and net of each town (without towns, of each village), by class."""
    kind = next((kind for kind in _PLACES if kind in found.zones), None)
    rows = []
    maps = _maps(found)
    for name, layer in found.zones[kind].groupby("name", sort=True) if kind else ():
        try:
            matrix = transition_matrix(maps.before, maps.after, maps.change, runner, layer)
            changes = _changes(matrix, area_ranges(maps, runner, layer))
        except GridError:
            # The place lies outside the scenes.
            continue
        rows.append({"name": str(name), "kind": kind} | {key: changes[key] for key in ("gain", "loss", "net")})
    return rows


def _zones(found: Measured, runner: Runner) -> list[dict[str, Any]]:
    """What lies in each zone that rules are tied to: classes of both dates, patches, share seen clearly."""
    rows = []
    for kind, layer in found.zones.items():
        if kind in (*_PLACES, "county"):
            continue
        for (name, part), zone in _groups(kind, layer):
            try:
                rows.append(_zone(found, kind, name, part, zone, runner))
            except GridError:
                continue
    return rows


def _groups(kind: str, layer: gpd.GeoDataFrame) -> list[tuple[tuple[str, str], gpd.GeoDataFrame]]:
    """Reserves by name and part; the parcels of any other kind together."""
    if kind == "reserve":
        return [((str(key[0]), str(key[1])), zone) for key, zone in layer.groupby(["name", "part"], sort=True)]
    names = layer["name"].unique()
    return [((str(names[0]) if len(names) == 1 else "", ""), layer)]


def _zone(found: Measured, kind: str, name: str, part: str, zone: gpd.GeoDataFrame, runner: Runner) -> dict[str, Any]:
    rasters: dict[str, Path] = {"change": found.change_map}
    if found.covers:
        rasters |= {"before": found.covers[0].classes, "after": found.covers[1].classes}
    measured = zone_areas(rasters, zone, runner, mask=found.pair.after.folder / "mask.tif")
    touching, overlap = _inside(found.records, zone)
    changed = measured["change"]
    row = {
        "zone_type": kind,
        "name": name,
        "part": part,
        "area_m2": changed.zone_m2,
        "covered_m2": changed.raster_m2,
        "clear_share": changed.clear_share,
        "patches": len(touching),
        "patch_ids": [str(number) for number in touching["TBBH"]],
        "overlap": overlap,
        "changed": {"value_m2": changed.class_m2.get(2, 0.0), "bounds": _edge_bounds(changed, 2)},
    }
    for key in ("before", "after"):
        if key in measured:
            row[f"classes_{key}"] = {
                cls: {"value_m2": measured[key].class_m2.get(code, 0.0), "bounds": _edge_bounds(measured[key], code)}
                for code, cls in LAND_CLASSES.items()
            }
    return row


def _edge_bounds(areas: ZoneAreas, code: int) -> list[float]:
    """From what lies over a pixel inside the boundary to as much again beyond what is counted."""
    value, inner = areas.class_m2.get(code, 0.0), areas.inner_m2.get(code, 0.0)
    return [inner, value + (value - inner)]


def _inside(patches: gpd.GeoDataFrame, zone: gpd.GeoDataFrame) -> tuple[gpd.GeoDataFrame, dict[str, Any]]:
    """Patches that meet the zone, and their ground inside it, with half a pixel along outlines as in their records."""
    # Part by part: against the whole of a layer, each patch would cost as much as all of its outlines.
    parts = shapely.get_parts(shapely.disjoint_subset_union_all(zone.geometry.to_numpy()))
    shapes = patches.geometry.to_numpy()
    owner, part = shapely.STRtree(parts).query(shapes, predicate="intersects")
    order = np.lexsort((part, owner))
    owner, part = owner[order], part[order]
    shared = gpd.GeoSeries(map(polygons_only, shapely.intersection(shapes[owner], parts[part])), crs=patches.crs)
    areas, some = np.zeros(len(shared)), ~shared.is_empty.to_numpy()
    areas[some] = polygon_areas_m2(shared[some]) if some.any() else 0.0
    shrink, grow = (patches[key].to_numpy()[owner] / patches["MJ_M2"].to_numpy()[owner] for key in ("MJ_MIN", "MJ_MAX"))
    bounds = [float((areas * shrink).sum()), float((areas * grow).sum())]
    return patches.iloc[np.unique(owner)], {"value_m2": float(areas.sum()), "bounds": bounds}


def _accuracy(cover: Cover) -> dict[str, Any]:
    assert cover.scores is not None
    measures = cover.scores.measures
    return {
        "date": cover.classes.stem.removeprefix("landcover_"),
        "method": f"spatially blocked, {cover.scores.accuracy.shape[1]} folds",
        "n": cover.samples,
        "classes": [LAND_CLASSES[code] for code in cover.scores.classes],
        "matrix": np.round(cover.scores.confusion, _SHAPE_DECIMALS).tolist(),
        "overall": measures.overall,
        "kappa": measures.kappa,
        "users": list(measures.users),
        "producers": list(measures.producers),
        "f1": list(measures.f1),
    }


def _maps(found: Measured) -> CoverMaps:
    first, second = found.covers
    return CoverMaps(first.classes, second.classes, first.probability, second.probability, found.change_map)


def _sampled(workspace: Workspace, found: Measured, record: Mapping[str, Any]) -> dict[str, Any]:
    """Error-adjusted areas of the sheets that were drawn from these very maps, in place of the pixel counts."""
    hashes = {file_digest(path): path.stem for cover in found.covers for path in [cover.classes]}
    hashes[file_digest(found.change_map)] = "change"
    result: dict[str, Any] = {"estimates": []}
    for name, path in workspace.samples().items():
        design, answers = read_sample(path)
        if not all(entry.get("sha256") in hashes for entry in design.maps):
            continue
        estimate = estimate_sample(design, answers)
        result["estimates"].append({"sheet": name} | estimate_report(design, estimate))
        days = [hashes[entry["sha256"]].removeprefix("landcover_") for entry in design.maps]
        for key, cls, row in _places_of(design, days, found, list(estimate.classes)):
            area = {"value_m2": row.area_m2, "ci95": [row.low_m2, row.high_m2], "n_samples": estimate.samples}
            result[key] = {**record[key], **result.get(key, {}), cls: area | {"pixel_m2": row.mapped_m2}}
    return result


def _places_of(
    design: Design, days: list[str], found: Measured, rows: list[ClassEstimate]
) -> list[tuple[str, str, ClassEstimate]]:
    """Where in the record each estimated class stands: (key, class, estimate)."""
    if design.kind == "landcover":
        key = "areas_before" if days[0] == found.pair.before.record.date else "areas_after"
        return [(key, LAND_CLASSES[row.code], row) for row in rows]
    if design.kind == "gain_loss" and design.focus is not None:
        keys = {2: "loss", 3: "gain"}
        return [(keys[row.code], LAND_CLASSES[design.focus], row) for row in rows if row.code in keys]
    return []
