"""The known truth of a simulated county: areas, changes and zones, counted on the fine grid.

All areas are ellipsoidal square metres of fine cells (``areas.pixel_areas_m2``),
so they are what a perfect sensor would measure. The label rasters hold the
majority class of each pixel, whose areas differ a little; they are given too.
"""

from itertools import combinations
from typing import Any

import numpy as np

from src.constants import LAND_CLASSES
from src.geo.areas import class_areas_m2, pixel_areas_m2
from src.geo.grid import Grid
from src.geo.simulation.settlements import burn
from src.geo.simulation.terrain import Frame
from src.geo.simulation.vectors import Feature

_CODES = tuple(LAND_CLASSES)
_BASE = max(_CODES) + 1


def named(areas: dict[int, float]) -> dict[str, float]:
    """Areas keyed by class name, with 0.0 for absent classes and without no data."""
    return {name: areas.get(code, 0.0) for code, name in LAND_CLASSES.items()}


def label_areas(labels: dict[str, np.ndarray], grid: Grid) -> dict[str, dict[str, float]]:
    """Areas by date and class name of the label rasters."""
    return {day: named(class_areas_m2(label, grid)) for day, label in labels.items()}


def measure(
    classes: dict[str, np.ndarray], fine_grid: Grid, frame: Frame, zones: dict[str, list[Feature]]
) -> dict[str, Any]:
    """Count everything that questions can ask for.

    Args:
        classes: canonical class ids on the fine grid, uint8 (n, n), by ISO date.
        fine_grid: where the fine cells lie.
        frame: the same grid in local metres.
        zones: from ``vectors.build_zones``.

    Returns:
        JSON-ready: ``areas_m2`` [date][class], ``change_m2`` ["date1/date2"][from][to], ``zones`` [layer] list of
        features with name, part, area_m2, areas_m2 and change_m2, and ``zone_overlaps_m2`` ["layer&layer"].
    """
    weights = np.broadcast_to(pixel_areas_m2(fine_grid), fine_grid.shape_hw).ravel()
    members = {layer: _burn_zones(features, frame) for layer, features in zones.items() if features}
    whole = np.zeros(fine_grid.shape_hw, np.uint8)
    result: dict[str, Any] = {
        "extent": "whole scene",
        "areas_m2": {day: _areas(label, whole, weights, 1)[0] for day, label in classes.items()},
        "change_m2": {_pair(pair): _changes(classes, pair, whole, weights, 1)[0] for pair in _pairs(classes)},
        "zones": {},
        "zone_overlaps_m2": {},
    }
    zone_truth: dict[str, list[dict[str, Any]]] = {layer: [] for layer in zones}
    for layer, inside in members.items():
        features, count = zones[layer], len(zones[layer]) + 1
        sizes = np.bincount(inside.ravel(), weights, count)
        areas = {day: _areas(label, inside, weights, count) for day, label in classes.items()}
        changes = {_pair(pair): _changes(classes, pair, inside, weights, count) for pair in _pairs(classes)}
        for number, feature in enumerate(features, start=1):
            zone_truth[layer].append(
                {
                    "name": feature["name"],
                    "name_en": feature["name_en"],
                    "part": feature["part"],
                    "area_m2": float(sizes[number]),
                    "areas_m2": {day: table[number] for day, table in areas.items()},
                    "change_m2": {pair: table[number] for pair, table in changes.items()},
                }
            )
    result["zones"] = zone_truth
    result["zone_overlaps_m2"] = {
        f"{a}&{b}": float(weights[((members[a] > 0) & (members[b] > 0)).ravel()].sum())
        for a, b in combinations((layer for layer in members if layer not in ("county", "towns")), 2)
    }
    return result


def _burn_zones(features: list[Feature], frame: Frame) -> np.ndarray:
    """Number of the zone (1..) that covers each cell's centre, 0 outside."""
    return burn([(feature["geometry"], number) for number, feature in enumerate(features, start=1)], frame)


def _pairs(classes: dict[str, np.ndarray]) -> list[tuple[str, str]]:
    return list(combinations(sorted(classes), 2))


def _pair(pair: tuple[str, str]) -> str:
    return "/".join(pair)


def _areas(label: np.ndarray, zone: np.ndarray, weights: np.ndarray, count: int) -> list[dict[str, float]]:
    """Class areas inside each zone number 0..count-1."""
    code = zone.astype(np.int64) * _BASE + label
    table = np.bincount(code.ravel(), weights, count * _BASE).reshape(count, _BASE)
    return [{LAND_CLASSES[c]: float(row[c]) for c in _CODES} for row in table]


def _changes(
    classes: dict[str, np.ndarray], pair: tuple[str, str], zone: np.ndarray, weights: np.ndarray, count: int
) -> list[dict[str, dict[str, float]]]:
    """From-to areas inside each zone number 0..count-1."""
    code = (zone.astype(np.int64) * _BASE + classes[pair[0]]) * _BASE + classes[pair[1]]
    table = np.bincount(code.ravel(), weights, count * _BASE**2).reshape(count, _BASE, _BASE)
    return [
        {LAND_CLASSES[a]: {LAND_CLASSES[b]: float(matrix[a, b]) for b in _CODES} for a in _CODES} for matrix in table
    ]
