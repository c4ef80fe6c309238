"""Time and memory of a whole measurement on Sentinel-2 pairs of growing size, beside the straightforward way.

    python -m evaluation.benchmarks.geo --work output/benchmark_geo --dask --out evaluation/results/geo.json
    python -m evaluation.benchmarks.geo --work output/try --sizes 160,224 --county_px 96 --label_share 1   # a short try

Ours is ``measure`` and ``evidence_record``: land cover of both dates with blocked validation, change, patches and
their records, overlays, transitions, ranges. The straightforward way holds whole arrays and does less: 100 default
trees of scikit-learn on the six bands of each date, fitted to as many labelled pixels as ours; CVA with Otsu;
scipy.ndimage.label; rasterio's shapes; geopandas.overlay with the zones. Where its memory does not suffice it is
listed as failed with the reason. Each runs in a process of its own, on as many cores as there are workers; its peak is
the most resident memory of that process and its children. The input (see ``geo_input``) is made before, and both may
find it in the system's file cache. What is finished stays in ``--work``; delete a size's ours.json to measure it again.
"""

import argparse
import json
import multiprocessing
import os
import resource
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any

import geopandas as gpd
import numpy as np
import psutil
import rasterio.features
import shapely
from scipy import ndimage
from skimage.filters import threshold_otsu
from sklearn.ensemble import RandomForestClassifier

from evaluation.benchmarks.geo_input import DATES, InputPlan, build_workspace
from src.errors import InputError, run_command
from src.geo import evidence_record as record_module
from src.geo import measure as measure_module
from src.geo.blocks import DaskRunner, Runner, ThreadRunner
from src.geo.cover.samples import PER_CLASS
from src.geo.evidence import sealed
from src.geo.measure import Request
from src.geo.patches.find import MMU_PX
from src.geo.raster import atomic_path, read_raster
from src.geo.scene import CLEAR
from src.geo.workspace import open_workspace

# Limits for a full tile (10980 pixels a side) on two cores.
MOST_SECONDS, MOST_GIB = 20 * 60, 4.0
# Calls of each module that are timed one by one.
STAGES: dict[ModuleType, str] = {
    measure_module: "load_zones make_pair fit_change write_change draw_samples fit_cover write_cover validate_cover "
    "label_patches transition_matrix area_ranges patch_outlines patch_records",
    record_module: "zone_areas transition_matrix area_ranges",
}
PACKAGES = ("numpy", "scipy", "scikit-learn", "rasterio", "shapely", "geopandas", "exactextract", "dask")
_POLL_SECONDS = 0.05
_GIB = 2**30
Stages = dict[str, dict[str, float]]


def ours(folder: Path, seed: int, workers: int, dask: bool) -> dict[str, Any]:
    """Measure the folder's workspace into its folder "ours", or "dask" on a local cluster of one-thread workers."""
    out, stages = folder / ("dask" if dask else "ours"), Stages()
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    workspace, request = open_workspace(folder / "workspace"), Request(*DATES, seed=seed)
    shutil.rmtree(workspace.cache, ignore_errors=True)
    for module, names in STAGES.items():
        for name in names.split():
            setattr(module, name, timed(f"{module.__name__.split('.')[-1]}.{name}", getattr(module, name), stages))
    with _runner(workers, dask) as runner:
        started = time.perf_counter()
        found = timed("measure", measure_module.measure, stages)(workspace, request, out, runner)
        record = timed("evidence_record", record_module.evidence_record, stages)(workspace, request, found, runner)
        evidence = sealed(json.loads(json.dumps(record)))["sha256"]
        seconds = time.perf_counter() - started
    figures = {"seconds": seconds, "stages": stages, "patches": len(found.records), "evidence_sha256": evidence}
    before = found.patches.changed
    figures |= {
        "changed_share": before.pixels / np.prod(found.pair.grid.shape_hw),
        "patches_before_sieve": before.patches,
    }
    return figures | {"clear_share": found.pair.clear_share, "zone_rows": len(record["zones"]) + len(record["towns"])}


def plain(folder: Path, seed: int, workers: int, limit_gib: float) -> dict[str, Any]:
    """The straightforward way: everything in memory at once."""
    resource.setrlimit(resource.RLIMIT_AS, (int(limit_gib * _GIB),) * 2)
    stages, started, root = Stages(), time.perf_counter(), folder / "workspace"
    workspace = open_workspace(root)
    scenes = [read_raster(workspace.scene(day).folder / "bands.tif") for day in DATES]
    clear = [read_raster(workspace.scene(day).folder / "mask.tif").data[0] == CLEAR for day in DATES]
    covers = []
    for scene, seen, record in zip(scenes, clear, workspace.labels(), strict=True):
        labels = read_raster(record.path).data[0]
        covers.append(timed("random_forest", forest, stages)(scene.data, seen, labels, seed, workers))
    changed = timed("cva_otsu", cva, stages)(scenes[0].data, scenes[1].data, clear[0] & clear[1])
    np.bincount((covers[0].astype(int) * 8 + covers[1])[changed], minlength=64)
    numbers, count = timed("label", ndimage.label, stages)(changed, np.ones((3, 3)))
    grid = scenes[0].grid
    patches = timed("shapes", outlines, stages)(numbers, grid.transform, grid.crs)
    overlay = timed("overlay", partial(gpd.overlay, how="intersection"), stages)
    pieces = [overlay(patches, gpd.read_file(path).to_crs(grid.crs)) for path in workspace.zones().values()]
    return {
        "seconds": time.perf_counter() - started,
        "stages": stages,
        "patches": len(patches),
        "patches_before_sieve": int(count),
        "overlaps": sum(map(len, pieces)),
    }


def forest(bands: np.ndarray, seen: np.ndarray, labels: np.ndarray, seed: int, workers: int) -> np.ndarray:
    """(H, W) uint8 classes by a random forest on the bands (6, H, W), 0 where not seen."""
    pixels, known = bands.reshape(len(bands), -1).T, np.where(seen, labels, 0).ravel()
    rng = np.random.default_rng(seed)
    places = [np.flatnonzero(known == code) for code in np.unique(known[known > 0])]
    chosen = np.concatenate([rng.permutation(place)[:PER_CLASS] for place in places])
    model = RandomForestClassifier(random_state=seed, n_jobs=workers).fit(pixels[chosen], known[chosen])
    return np.where(seen, model.predict(pixels).reshape(seen.shape), 0).astype(np.uint8)


def cva(before: np.ndarray, after: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """(H, W) bool: change vector of the standardised bands (6, H, W) longer than Otsu's threshold."""
    standard = []
    for bands in (before, after):
        values = bands.astype(np.float32)
        centre, spread = values[:, seen].mean(axis=1), values[:, seen].std(axis=1)
        standard.append((values - centre[:, None, None]) / spread[:, None, None])
    distance = np.linalg.norm(standard[1] - standard[0], axis=0)
    return (distance > threshold_otsu(distance[seen])) & seen


def outlines(numbers: np.ndarray, transform: Any, crs: Any) -> gpd.GeoDataFrame:
    """Outlines of the numbered patches of MMU_PX pixels or more."""
    kept = np.bincount(numbers.ravel()) >= MMU_PX
    kept[0] = False
    found = rasterio.features.shapes(numbers, mask=kept[numbers], connectivity=8, transform=transform)
    return gpd.GeoDataFrame(geometry=[shapely.geometry.shape(shape) for shape, _ in found], crs=crs)


def timed(name: str, function: Callable[..., Any], stages: Stages) -> Callable[..., Any]:
    """The function, its calls, seconds and CPU seconds added up, with the process's peak memory after the last call."""

    def run(*args: Any, **named: Any) -> Any:
        started, cpu = time.perf_counter(), time.process_time()
        result = function(*args, **named)
        row = stages.setdefault(name, {"seconds": 0.0, "cpu_seconds": 0.0, "calls": 0})
        row["seconds"] += time.perf_counter() - started
        row["cpu_seconds"] += time.process_time() - cpu
        row["calls"] += 1
        row["peak_gib"] = own_peak_gib()
        return result

    return run


@contextmanager
def _runner(workers: int, dask: bool) -> Iterator[Runner]:
    if not dask:
        yield ThreadRunner(workers)
        return
    from dask.distributed import Client, LocalCluster

    with LocalCluster(workers, threads_per_worker=1, dashboard_address=None) as cluster, Client(cluster) as client:
        yield DaskRunner(client)


def own_peak_gib() -> float:
    """Most resident memory of this process; ru_maxrss would begin with that of the process that started it."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024 / _GIB


def _child(way: Callable[..., dict[str, Any]], args: tuple[Any, ...], target: Path) -> None:
    """Run one way in this process and write its figures, or why there are none."""
    result: dict[str, Any] = {"started_gib": own_peak_gib()}
    try:
        result |= way(*args)
    except Exception as error:  # noqa: BLE001 - what stopped it is the result
        result["failed"] = f"{type(error).__name__}: {error}"
    result |= {"cpu_seconds": time.process_time(), "peak_gib": own_peak_gib()}
    with atomic_path(target) as partial_path:
        partial_path.write_text(json.dumps(result), encoding="utf-8")


def apart(way: Callable[..., dict[str, Any]], args: tuple[Any, ...], target: Path, workers: int) -> dict[str, Any]:
    """Run one way in a process of its own, on ``workers`` cores, or take what the file holds."""
    if target.exists():
        return json.loads(target.read_text(encoding="utf-8"))
    draft = target.with_suffix(".draft.json")
    draft.unlink(missing_ok=True)
    process = multiprocessing.get_context("spawn").Process(target=_child, args=(way, args, draft))
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(cores)[:workers])
    process.start()
    os.sched_setaffinity(0, cores)
    peak = 0
    while process.is_alive():
        peak = max(peak, _tree_bytes(process.pid))
        process.join(_POLL_SECONDS)
    result: dict[str, Any] = {"failed": f"ended with exit code {process.exitcode}"}
    if draft.exists():
        result = json.loads(draft.read_text(encoding="utf-8"))
        draft.unlink()
    result["peak_gib"] = max(result.get("peak_gib", 0.0), peak / _GIB)
    with atomic_path(target) as partial_path:
        partial_path.write_text(json.dumps(result, indent=1), encoding="utf-8")
    return result


def _tree_bytes(pid: int | None) -> int:
    total = 0
    try:
        parent = psutil.Process(pid)
        for process in (parent, *parent.children(recursive=True)):
            total += process.memory_info().rss
    except psutil.NoSuchProcess:
        # It ended between two looks.
        pass
    return total


def same_rasters(one: Path, other: Path) -> dict[str, bool]:
    """By name: whether both folders hold the raster, bit for bit."""
    names = sorted({path.name for folder in (one, other) for path in folder.glob("*.tif")})
    return {name: all((f / name).exists() for f in (one, other)) and _equal(one / name, other / name) for name in names}


def _equal(one: Path, other: Path) -> bool:
    first, second = (read_raster(path).data for path in (one, other))
    return first.dtype == second.dtype and first.shape == second.shape and first.tobytes() == second.tobytes()


def compare_dask(folder: Path, seed: int, workers: int, threads: dict[str, Any]) -> dict[str, Any]:
    """The same measurement on a local cluster: its evidence and rasters against those of the threads."""
    cluster = apart(ours, (folder, seed, workers, True), folder / "dask.json", workers)
    if "failed" in cluster or "failed" in threads:
        return {"equal": False, "failed": cluster.get("failed", threads.get("failed"))}
    rasters = same_rasters(folder / "ours", folder / "dask")
    evidence = cluster["evidence_sha256"] == threads["evidence_sha256"]
    figures = {key: cluster[key] for key in ("seconds", "peak_gib", "evidence_sha256")}
    return {"equal": evidence and all(rasters.values()), "evidence": evidence, "rasters": rasters} | figures


def cost_of(rows: list[dict[str, Any]], way: str) -> dict[str, Any] | None:
    """How seconds grow with megapixels: a line, and a power law with its residuals; None below two sizes."""
    done = [row for row in rows if way in row and "failed" not in row[way]]
    if len(done) < 2:
        return None
    mpx = np.array([row["mpx"] for row in done])
    seconds = np.array([row[way]["seconds"] for row in done])
    slope, constant = np.polyfit(mpx, seconds, 1)
    exponent, factor = np.polyfit(np.log(mpx), np.log(seconds), 1)
    residuals = seconds / (np.exp(factor) * mpx**exponent) - 1
    line = {"constant_s": constant, "s_per_mpx": slope, "line_residuals_s": (seconds - constant - slope * mpx).tolist()}
    return line | {"exponent": exponent, "power_residuals": residuals.tolist(), "sizes": len(done)}


def show(rows: list[dict[str, Any]], costs: dict[str, Any]) -> str:
    """The figures as text."""
    lines = [f"{'pixels':>12} {'way':6} {'seconds':>9} {'s/Mpx':>7} {'CPU s':>8} {'peak GiB':>9} {'patches':>8}"]
    for row in rows:
        for way in ("ours", "plain"):
            if way not in row:
                continue
            run, side = row[way], f"{row['size_px']}^2"
            if "failed" in run:
                lines.append(f"{side:>12} {way:6} failed at {run['peak_gib']:.2f} GiB: {run['failed'][:80]}")
                continue
            speed = f"{run['seconds']:9.1f} {run['seconds'] / row['mpx']:7.2f} {run['cpu_seconds']:8.1f}"
            lines.append(f"{side:>12} {way:6} {speed} {run['peak_gib']:9.2f} {run['patches']:8d}")
    stages = rows[-1]["ours"].get("stages", {})
    lines += [f"  {name:36} {row['seconds']:8.1f} s  {row['peak_gib']:5.2f} GiB" for name, row in stages.items()]
    for way, cost in costs.items():
        if cost:
            text = f"{cost['constant_s']:.1f} s + {cost['s_per_mpx']:.2f} s/Mpx; exponent {cost['exponent']:.2f}"
            lines.append(f"{way}: {text}, power law off by up to {max(map(abs, cost['power_residuals'])):.0%}")
    return "\n".join(lines)


def parse() -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="1372,2745,5490,10980", help="pixels a side (default %(default)s)")
    parser.add_argument("--workers", type=int, default=2, help="threads and cores (default 2)")
    parser.add_argument("--work", type=Path, required=True, help="folder for inputs, rasters and finished figures")
    parser.add_argument("--plain_up_to", type=int, help="largest size of the straightforward way; default all, 0 none")
    parser.add_argument("--plain_gib", type=float, default=20.0, help="memory that it may address (default 20)")
    parser.add_argument("--dask", action="store_true", help="repeat the smallest size on a local cluster and compare")
    parser.add_argument("--counties", type=int, default=4, help="counties that are simulated (default 4)")
    parser.add_argument("--county_px", type=int, default=500, help="their side, 64..2048 (default 500)")
    parser.add_argument("--label_share", type=float, default=0.05, help="share of the land with labels (default 0.05)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="JSON file for the result")
    return parser.parse_args()


def keep_settings(args: argparse.Namespace) -> InputPlan:
    """The plan of the input; a work folder of other settings is refused."""
    plan = InputPlan(args.seed, args.counties, args.county_px, args.label_share)
    settings, path = asdict(plan) | {"workers": args.workers}, args.work / "settings.json"
    if path.exists() and json.loads(path.read_text(encoding="utf-8")) != settings:
        raise InputError(f"{args.work}: holds figures of other settings ({path}); give another --work")
    with atomic_path(path) as partial_path:
        partial_path.write_text(json.dumps(settings), encoding="utf-8")
    return plan


def run_size(args: argparse.Namespace, plan: InputPlan, size: int) -> dict[str, Any]:
    """Both ways at one size, as far as they are not finished yet."""
    folder, started = args.work / str(size), time.perf_counter()
    note = folder / "input.json"
    if not note.exists():
        build_workspace(plan, args.work, size)
        note.write_text(json.dumps({"seconds": time.perf_counter() - started}), encoding="utf-8")
    row: dict[str, Any] = {"size_px": size, "mpx": size * size / 1e6, "input": json.loads(note.read_text())}
    row["ours"] = apart(ours, (folder, args.seed, args.workers, False), folder / "ours.json", args.workers)
    if args.plain_up_to is None or size <= args.plain_up_to:
        plain_args = (folder, args.seed, args.workers, args.plain_gib)
        row["plain"] = apart(plain, plain_args, folder / "plain.json", args.workers)
    return row


def main() -> int:
    """Run or finish the sizes, print the table, then one JSON line; 1 where ours fails, or a limit is broken."""
    args, started = parse(), time.time()
    # Not above: the measured processes load this file too, and torch is no part of what they measure.
    from evaluation.story import provenance

    sizes, plan = sorted(int(size) for size in args.sizes.split(",")), keep_settings(args)
    print(f"Sentinel-2 pairs of {args.sizes} pixels a side on {args.workers} cores; kept in {args.work}")
    rows = [run_size(args, plan, size) for size in sizes]
    costs = {way: cost_of(rows, way) for way in ("ours", "plain")}
    print(show(rows, costs))
    runs = [row["ours"] for row in rows]
    passed = all("failed" not in r and r["seconds"] <= MOST_SECONDS and r["peak_gib"] <= MOST_GIB for r in runs)
    result = provenance(args, started, "evaluation.benchmarks.geo")
    result["versions"] |= {name: version(name) for name in PACKAGES}
    result["hardware"] |= {"cores": os.cpu_count(), "memory_gib": psutil.virtual_memory().total / _GIB}
    result |= {"n": len(rows), "limits": {"seconds": MOST_SECONDS, "gib": MOST_GIB}, "rows": rows, "cost": costs}
    if args.dask:
        result["dask"] = compare_dask(args.work / str(sizes[0]), args.seed, args.workers, rows[0]["ours"])
        print(f"Dask: {'equal' if result['dask']['equal'] else 'NOT EQUAL'} to threads at {sizes[0]} pixels a side")
        passed &= result["dask"]["equal"]
    result["passed"] = passed
    print(json.dumps(result))
    if args.out:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return 0 if passed else 1


if __name__ == "__main__":
    run_command(main)
