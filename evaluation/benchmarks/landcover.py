"""Land cover on real scenes with labels and on simulated counties, beside a floor and a plain random forest.

    python -m evaluation.benchmarks.landcover --data $TEST_DATA --out evaluation/results/landcover.json
    python -m evaluation.benchmarks.landcover --counties output/nano_build/counties/100* --repeats 5

Each scene: training pixels as the product draws them, blocks of land held out,
the same folds for all. "majority" gives every pixel the commonest class; "forest"
is scikit-learn's random forest of 100 trees on the raw bands of the pixel; "rules"
are the spectral rules, which see no label; "ours" is the product's network. The
intervals are of ours minus the forest, corrected for shared training pixels
(``src.geo.cover.validation``). Scenes that --out already holds are not run again. Prints
a table, then one JSON line.
"""

import argparse
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier
from tqdm import tqdm

from evaluation.story import provenance
from src.errors import InputError, MissingPathError, run_command
from src.geo.blocks import ThreadRunner
from src.geo.cover.landcover import sample_features
from src.geo.cover.network import fit_network
from src.geo.cover.rules import NEEDED_ROLES, rule_probability
from src.geo.cover.samples import LabelSource, TrainingSamples, draw_samples
from src.geo.cover.validation import (
    BlockedScores,
    Classify,
    Difference,
    block_side_px,
    blocked_folds,
    compare,
    majority_classify,
    paired_difference,
)
from src.geo.grid import Grid, Raster
from src.geo.legend import Crosswalk
from src.geo.raster import atomic_path, read_grid, read_onto, read_raster, write_raster
from src.geo.scene import CORE_ROLES, Scene, SceneRecord, open_scene
from src.geo.sensors import SENSORS, clear_mask, to_reflectance

_Pixels = NDArray[np.intp]
_Floats = NDArray[np.float32]
_TREES = 100
# Geofabrik's fclass of OpenStreetMap land use; meadows and "grass" are grassland, "farm" is arable.
_OSM: Crosswalk = {
    **{"farm": 1, "forest": 3, "scrub": 3, "meadow": 4, "grass": 4},
    **{"water": 5, "wetland": 5, "residential": 6},
}
# The reference polygons of the Brandenburg tile have two classes without names.
_TWO_UNNAMED: Crosswalk = {1: 1, 2: 2}


@dataclass(frozen=True)
class Case:
    """A labelled place: scenes of one or more dates on one grid, and their labels."""

    name: str
    scenes: tuple[Scene, ...]
    labels: LabelSource
    note: str = ""


def make_scene(
    folder: Path, bands: _Floats, clear: NDArray[np.bool_], grid: Grid, roles: tuple[str, ...], record: SceneRecord
) -> Scene:
    """Write arrays as an ingested scene and open it.

    Args:
        folder: made where missing.
        bands: (B, H, W) reflectance, or digital numbers; NaN where unknown.
        clear: (H, W).
        grid: of both.
        roles: of the bands.
        record: becomes scene.json.
    """
    scaled = bands if record.quantity == "dn" else np.rint(bands * 1e4)
    known = np.isfinite(scaled)
    stored = np.where(known, scaled, -32768).astype(np.int16)
    everywhere = np.ones(grid.shape_hw, dtype=np.bool_)
    write_raster(folder / "bands.tif", Raster(stored, np.any(known, axis=0), grid, roles, record.date), nodata=-32768)
    mask = np.where(clear, 1, np.where(known.all(0), 2, 0)).astype(np.uint8)
    write_raster(folder / "mask.tif", Raster(mask[None], everywhere, grid, ("mask",)))
    (folder / "scene.json").write_text(json.dumps(record.to_json()), encoding="utf-8")
    return open_scene(folder)


def _raleigh(data: Path, work: Path) -> Iterator[Case]:
    """Landsat 7 numbers of one day in 2000; band 7 misses part of the scene and is left out."""
    folder = data / "raleigh_landsat7_2000"
    raster = read_raster(folder / "raleigh_LE07_2000.tif", bands=range(5))
    seen = np.all(raster.data > 0, axis=0)
    record = SceneRecord("raleigh", "2000-01-01", "landsat7", "L1TP", "dn", 28.5, float(seen.mean()))
    bands = np.where(seen, raster.data, np.nan).astype(np.float32)
    scene = make_scene(work / "raleigh", bands, seen, raster.grid, CORE_ROLES[:5], record)
    for part, name, column in (
        ("strata", "strata.tif", None),
        ("pixels", "landsat96_labelled_pixels.tif", None),
        ("polygons", "landsat96_polygons.shp", "label"),
        ("points", "landsat96_points.shp", "label"),
    ):
        yield Case(f"raleigh_{part}", (scene,), LabelSource(folder / name, "raleigh", "1996", column), "labels of 1996")


def _slovenia(data: Path, work: Path) -> Iterator[Case]:
    """Sentinel-2 L1C, three clear dates of 2015, with the land-use register."""
    folder, scenes = data / "slovenia_s2_2015", []
    for day in ("2015-07-11", "2015-08-30", "2015-09-09"):
        raster = read_raster(folder / f"slovenia_S2L1C_{day.replace('-', '')}.tif")
        sensor = SENSORS["sentinel2_l1c"]
        found = [sensor.role_index(raster.band_names, role) for role in CORE_ROLES]
        bands = raster.data[[index for index in found if index is not None]].astype(np.float32) / 1e4
        record = SceneRecord(f"slovenia-{day}", day, sensor.name, "L1C", "toa", 10.0, 1.0)
        scenes.append(make_scene(work / record.id, bands, raster.valid, raster.grid, CORE_ROLES, record))
    labels = LabelSource(folder / "slovenia_LULC_reference.tif", "slovenia", "2017")
    yield Case("slovenia_1_date", (scenes[1],), labels)
    yield Case("slovenia_3_dates", tuple(scenes), labels, "features of the dates side by side")


def _chiapas(data: Path, work: Path) -> Iterator[Case]:
    """Landsat 7 surface reflectance of two dates; the second has clouds (Fmask 0 land, 1 water are clear)."""
    folder = data / "chiapas_landsat7_1999_2002"
    names = {"1999-11-18": "LE70220491999322EDC01_stack.gtif", "2002-04-16": "LE70220492002106EDC00_stack.gtif"}
    for day, name in names.items():
        raster = read_raster(folder / name)
        bands = np.where(raster.data[:6] == -9999, np.nan, raster.data[:6] / 1e4).astype(np.float32)
        clear = (raster.data[7] <= 1) & np.all(np.isfinite(bands), axis=0)
        record = SceneRecord(f"chiapas-{day}", day, "landsat7", "L2SP", "reflectance", 30.0, float(clear.mean()))
        scene = make_scene(work / record.id, bands, clear, raster.grid, CORE_ROLES, record)
        labels = LabelSource(folder / "training_data.shp", "chiapas", None, "class")
        yield Case(f"chiapas_{day[:4]}", (scene,), labels, "30 polygons")


def _brandenburg(data: Path, work: Path) -> Iterator[Case]:
    """Sentinel-2 L1C in winter, some cloud and no mask."""
    folder = data / "brandenburg_s2_jp2_20170216"
    grid, _ = read_grid(next(folder.glob("IMG_DATA/*_B02.jp2")))
    files = [next(folder.glob(f"IMG_DATA/*_{name}.jp2")) for name in ("B02", "B03", "B04", "B08", "B11", "B12")]
    bands = np.concatenate([read_onto(path, grid, resampling="bilinear")[0] for path in files]).astype(np.float32)
    bands[:, (bands <= 0).any(0)] = np.nan
    clear = np.all(np.isfinite(bands), axis=0)
    record = SceneRecord("brandenburg", "2017-02-16", "sentinel2_l1c", "L1C", "toa", 10.0, float(clear.mean()))
    scene = make_scene(work / record.id, bands / 1e4, clear, grid, CORE_ROLES, record)
    osm = folder / "gis_osm_landuse-water_a_free_1_area-10000-to-500000.gpkg"
    yield Case("brandenburg_osm", (scene,), LabelSource(osm, _OSM, "2017", "fclass"), "OpenStreetMap land use")
    reference = LabelSource(folder / "s2l1c_ref.gpkg", _TWO_UNNAMED, None, "cid")
    yield Case("brandenburg_reference", (scene,), reference, "two classes without names")


def county_case(folder: Path, work: Path) -> Case:
    """The first date of a simulated county, its label raster as truth."""
    record_path = folder / "county.json"
    if not record_path.is_file():
        raise MissingPathError(f"{folder}: has no county.json; python -m src.geo.simulate makes such folders")
    county = json.loads(record_path.read_text(encoding="utf-8"))
    shot, sensor = county["scenes"][0], SENSORS[county["sensor"]]
    raster = read_raster(folder / shot["image"])
    clear = clear_mask(read_raster(folder / shot["mask"]).data[0], sensor)
    bands = to_reflectance(raster, sensor)
    name, share = f"county_{folder.name}", float(clear.mean())
    record = SceneRecord(name, shot["date"], sensor.name, "L2", "reflectance", county["pixel_m"], share)
    scene = make_scene(work / name, bands, clear & np.isfinite(bands).all(0), raster.grid, CORE_ROLES, record)
    note = f"{county['landform']}, {county['cropping']}, {shot['date']}"
    return Case(name, (scene,), LabelSource(folder / shot["labels"], "canonical", shot["date"]), note)


REAL: tuple[Callable[[Path, Path], Iterator[Case]], ...] = (_raleigh, _slovenia, _chiapas, _brandenburg)


def case_arrays(case: Case, per_class: int, seed: int) -> tuple[TrainingSamples, _Floats, _Floats, _Floats | None]:
    """Samples clear on all dates, their product features, raw bands, and rule probabilities of the last date."""
    runner, first = ThreadRunner(1), case.scenes[0]
    side = block_side_px(first.read(roles=("nir",))[0])
    samples = draw_samples(first, case.labels, runner, seed=seed, per_class=per_class, block_side_px=side)
    for scene in case.scenes:
        _, samples = sample_features(scene, samples, runner)
    features, raw = [], []
    for scene in case.scenes:
        part, same = sample_features(scene, samples, runner)
        assert np.array_equal(same.rows, samples.rows)
        features.append(part)
        raw.append(scene.read()[:, samples.rows, samples.cols].T)
    scene = case.scenes[-1]
    rules, named = None, case.labels.crosswalk is not _TWO_UNNAMED
    if named and scene.record.quantity != "dn" and set(NEEDED_ROLES) <= set(scene.roles):
        rules = rule_probability(dict(zip(scene.roles, raw[-1].T, strict=True)))
    return samples, np.concatenate(features, axis=1), np.concatenate(raw, axis=1), rules


def _ours(
    samples: TrainingSamples, features: _Floats, seed: int, train: _Pixels, held: _Pixels, calibrate: bool = False
) -> tuple[NDArray[np.uint8], _Floats]:
    """Classes of the held-out pixels and the confidence in each."""
    known = np.unique(samples.classes[train])
    if len(known) < 2:
        return np.full(len(held), known[0], dtype=np.uint8), np.ones(len(held), dtype=np.float32)
    part = features[train], samples.classes[train], samples.weights[train], samples.groups[train]
    probability = fit_network(*part, seed, calibrate=calibrate).probability(features[held].T)
    return known[probability.argmax(0)], probability.max(0)


def _forest(samples: TrainingSamples, raw: _Floats, seed: int, train: _Pixels, held: _Pixels) -> NDArray[np.uint8]:
    forest = RandomForestClassifier(_TREES, random_state=seed, n_jobs=1)
    forest.fit(raw[train], samples.classes[train], sample_weight=samples.weights[train])
    return forest.predict(raw[held])


def calibration_error(samples: TrainingSamples, features: _Floats, folds: int, seed: int) -> float:
    """Expected calibration error of ours: mean gap of confidence and accuracy in ten bins (Guo et al. 2017)."""
    right, sure, weight = np.zeros(10), np.zeros(10), np.zeros(10)
    for train, held in blocked_folds(samples.classes, samples.groups, folds, seed):
        classes, confidence = _ours(samples, features, seed, train, held, calibrate=True)
        bins = np.minimum((confidence * 10).astype(int), 9)
        np.add.at(weight, bins, samples.weights[held])
        np.add.at(right, bins, samples.weights[held] * (classes == samples.classes[held]))
        np.add.at(sure, bins, samples.weights[held] * confidence)
    gaps = np.abs(right - sure)
    return float(gaps.sum() / weight.sum())


def run_case(case: Case, repeats: int, folds: int, per_class: int, seed: int) -> dict[str, Any]:
    """Figures of one case."""
    samples, features, raw, rules = case_arrays(case, per_class, seed)
    competitors: dict[str, Classify] = {
        "majority": majority_classify(samples.classes, samples.weights),
        "forest": partial(_forest, samples, raw, seed),
        "ours": lambda train, held: _ours(samples, features, seed, train, held)[0],
    }
    if rules is not None:
        by_rule = (rules.argmax(0) + 1).astype(np.uint8)
        seen = sorted({*np.unique(samples.classes).tolist()})
        # A class that the labels lack counts as wrong: it is filed under some class that is not the true one.
        wrong = np.where(samples.classes == seen[0], seen[-1], seen[0]).astype(np.uint8)
        by_rule = np.where(np.isin(by_rule, seen), by_rule, wrong)
        competitors["rules"] = lambda train, held: by_rule[held]
    started = time.perf_counter()
    scores, held_weight = compare(
        competitors, samples.classes, samples.groups, samples.weights, repeats=repeats, folds=folds, seed=seed
    )
    against = {name: paired_difference(scores["ours"], scores[name], held_weight) for name in scores if name != "ours"}
    return {
        "scene": case.name,
        "note": case.note,
        "n": len(samples),
        "labelled_pixels": round(float(samples.weights.sum())),
        "blocks": len(np.unique(samples.groups)),
        "classes": np.unique(samples.classes).tolist(),
        "repeats": repeats,
        "folds": folds,
        "per_class": per_class,
        "seed": seed,
        "scores": {name: _figures(score) for name, score in scores.items()},
        "ours_minus": {name: _interval(value) for name, value in against.items()},
        "ours_calibration_error": round(calibration_error(samples, features, folds, seed), 4),
        "seconds": round(time.perf_counter() - started, 1),
    }


def _figures(score: BlockedScores) -> dict[str, Any]:
    measures = score.measures
    low, high = np.quantile(score.by_repeat, [0.025, 0.975])
    return {
        "accuracy": round(measures.overall, 4),
        "accuracy_of_repeats": [round(float(low), 4), round(float(high), 4)],
        "kappa": None if measures.kappa is None else round(measures.kappa, 4),
        "mean_f1": round(score.mean_f1, 4),
        "users": [None if value is None else round(value, 4) for value in measures.users],
        "producers": [None if value is None else round(value, 4) for value in measures.producers],
        "f1": [None if value is None else round(value, 4) for value in measures.f1],
        "confusion": np.round(score.confusion, 1).tolist(),
    }


def _interval(value: Difference) -> dict[str, Any]:
    ci95 = [round(value.low, 4), round(value.high, 4)]
    return {"value": round(value.mean, 4), "ci95": ci95, "verdict": value.verdict}


def table(rows: list[dict[str, Any]]) -> str:
    """The figures as text."""
    head = f"{'scene':22} {'n':>6} {'blocks':>6} {'floor':>6} {'rules':>6} {'forest':>6} {'ours':>6} {'F1 f/o':>11}"
    lines = [f"{head}  ours - forest, 95 %           calibration"]
    for row in rows:
        score, gain = row["scores"], row["ours_minus"]["forest"]
        accuracy = [f"{score[k]['accuracy']:6.3f}" if k in score else "     -" for k in ("majority", "rules", "forest")]
        f1 = f"{score['forest']['mean_f1']:.3f}/{score['ours']['mean_f1']:.3f}"
        lines.append(
            f"{row['scene']:22} {row['n']:6d} {row['blocks']:6d} {' '.join(accuracy)} {score['ours']['accuracy']:6.3f} "
            f"{f1:>11}  {gain['value']:+.3f} [{gain['ci95'][0]:+.3f}, {gain['ci95'][1]:+.3f}] {gain['verdict']:18} "
            f"{row['ours_calibration_error']:.3f}"
        )
    return "\n".join(lines)


def forest_ranges(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Lowest, median and highest accuracy of the random forest, on real scenes and on simulated counties."""
    out: dict[str, Any] = {}
    for kind in ("real", "simulated"):
        values = [
            row["scores"]["forest"]["accuracy"]
            for row in rows
            if row["scene"].startswith("county_") == (kind == "simulated")
        ]
        if values:
            out[kind] = {"min": min(values), "median": round(float(np.median(values)), 4), "max": max(values)}
    if len(out) == 2:
        out["simulated_within_real"] = (
            out["real"]["min"] <= out["simulated"]["min"] and out["simulated"]["max"] <= out["real"]["max"]
        )
    return out


def parse() -> argparse.Namespace:
    """Command line of the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder of real imagery with labels")
    parser.add_argument("--counties", type=Path, nargs="*", default=[], help="folders of simulated counties")
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--folds", type=int, default=3)
    parser.add_argument("--per_class", type=int, default=1000, help="most training pixels of a class")
    parser.add_argument("--only", nargs="*", help="names of scenes to run; default all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--work", type=Path, default=Path("output/benchmark_landcover"), help="scratch folder")
    parser.add_argument("--out", type=Path, help="result; scenes that it holds with the same settings are kept")
    return parser.parse_args()


def _finished(args: argparse.Namespace) -> list[dict[str, Any]]:
    """Rows of an earlier run with the same settings."""
    if args.out is None or not args.out.is_file():
        return []
    settings = {name: getattr(args, name) for name in ("repeats", "folds", "per_class", "seed")}
    rows = json.loads(args.out.read_text(encoding="utf-8"))["rows"]
    return [row for row in rows if all(row[name] == value for name, value in settings.items())]


def main() -> int | None:
    """Run the cases that are missing, write the result after each, print the table and one JSON line."""
    args, started = parse(), time.time()
    if args.data is None and not args.counties:
        raise InputError("nothing to measure; give --data FOLDER, --counties FOLDERS, or both")
    rows = _finished(args)
    cases = [case for make in REAL for case in make(args.data, args.work)] if args.data else []
    cases += [county_case(folder, args.work) for folder in args.counties]
    if args.only:
        cases = [case for case in cases if case.name in args.only]
    done = {row["scene"] for row in rows}
    todo = [case for case in cases if case.name not in done]
    print(f"{len(todo)} scenes to run, {len(done)} kept; {args.repeats} repeats of {args.folds} folds")
    result: dict[str, Any] = {}
    for case in [*tqdm(todo, desc="scenes", disable=None), None]:
        if case is not None:
            rows.append(run_case(case, args.repeats, args.folds, args.per_class, args.seed))
        result = provenance(args, started, "evaluation.benchmarks.landcover")
        result |= {"n": len(rows), "rows": rows, "forest_accuracy": forest_ranges(rows)}
        if args.out is not None:
            with atomic_path(args.out) as partial_path:
                partial_path.write_text(json.dumps(result, ensure_ascii=False, indent=1), encoding="utf-8")
    print(table(rows))
    print(json.dumps(result, ensure_ascii=False))
    return None


if __name__ == "__main__":
    run_command(main)
