"""Spectral change on real imagery with a reference, on pasted patches, and on counties where nothing changed.

    python -m evaluation.benchmarks.change --data DATA --out evaluation/results/change.json
    python -m evaluation.benchmarks.change --no_change 3 --size 128        # a small one, without real imagery

Parts, each with the one set of constants of ``src.geo.change.detect``:

- Taizhou (Landsat-7, 2000 and 2003): kappa, AUC, false-positive rate and recall
  on the labelled pixels, beside plain IR-MAD and plain CVA with Otsu.
- Patches of 3 x 3 pixels: windows of another cover (another k-means cluster, no
  nearer than the median distance of clusters) from the same scene, pasted into
  the earlier date of real pairs where these show no change; found when at least
  5 of the 9 pixels are.
- Simulated counties from ``--counties`` (made by src.geo.simulate), where they
  are given: against the truth, cropland that stayed cropland left out, for a
  field with another crop did change its spectrum.
- No change: simulated counties seen twice in one state, with other haze, gain,
  clouds and noise; the share of counties without a patch of 9 pixels or more.
"""

import argparse
import json
import tempfile
import time
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyproj
from affine import Affine
from numpy.typing import NDArray
from scipy import ndimage
from skimage.filters import threshold_otsu
from sklearn.cluster import KMeans
from sklearn.metrics import cohen_kappa_score, roc_auc_score
from tqdm import tqdm

from src.errors import InputError, run_command
from src.geo.blocks import Block, Runner, ThreadRunner
from src.geo.change.detect import change_block, fit_change
from src.geo.change.irmad import chi_square
from src.geo.change.pairs import Pair, make_pair
from src.geo.grid import Grid, Raster
from src.geo.raster import read_raster, write_raster
from src.geo.scene import CLEAR, CLOUD, CORE_ROLES, REFLECTANCE_NODATA, Scene, SceneRecord, open_scene
from src.geo.sensors import SENSORS
from src.geo.simulation.change import plan_events, state_on
from src.geo.simulation.landscape import build_landscape
from src.geo.simulation.profile import draw_profile
from src.geo.simulation.sensor_model import observe
from src.geo.simulation.terrain import Frame

MMU_PX = 9
_EIGHT = np.ones((3, 3), bool)
_SCL_HIDDEN = (0, 1, 3, 8, 9, 10, 11)
_QA_HIDDEN_BITS = 0b11111
_FINE_CELLS = 3


@dataclass(frozen=True)
class Source:
    """A real pair: two files, their dates, sensor and quantity, and which band (from 0) has which role."""

    name: str
    files: tuple[str, str]
    dates: tuple[str, str]
    sensor: str
    quantity: str
    bands: tuple[int, ...]
    roles: tuple[str, ...] = CORE_ROLES
    fmask: int | None = None


_S2 = (1, 2, 3, 7, 11, 12)
_PUCALLPA = ("swir1", "nir", "red", "green")
# Names of the files by folder; {} is what tells the two dates apart.
_FILES = {
    "taizhou": "taizhou_landsat7_2000_2003/taizhou_LE07_{}.tif",
    "slovenia": "slovenia_s2_2015/slovenia_S2L1C_{}.tif",
    "chiapas": "chiapas_landsat7_1999_2002/LE7022049{}_stack.gtif",
    "pucallpa": "pucallpa_landsat_1985_2020/pucallpa_{}.tif",
    "northdakota": "northdakota_naip_2009_2020/m_4709963_se_14_1_{}_crop.tif",
}


def _source(name: str, files: tuple[str, str], dates: tuple[str, str], *rest: Any, **more: Any) -> Source:
    first, second = (_FILES[name.split()[0]].format(file) for file in files)
    return Source(name, (first, second), dates, *rest, **more)


TAIZHOU = _source(
    "taizhou", ("20000317", "20030206"), ("2000-03-17", "2003-02-06"), "landsat7", "dn", (0, 1, 2, 3, 4, 5)
)
_SLOVENIA, _GENERIC = ("sentinel2_l1c", "toa", _S2), ("generic", "dn", (0, 1, 2, 3))
SOURCES = (
    TAIZHOU,
    _source("slovenia 07-08", ("20150711", "20150830"), ("2015-07-11", "2015-08-30"), *_SLOVENIA),
    _source("slovenia 08-09", ("20150830", "20150909"), ("2015-08-30", "2015-09-09"), *_SLOVENIA),
    _source(
        "chiapas",
        ("1999322EDC01", "2002106EDC00"),
        ("1999-11-18", "2002-04-16"),
        "landsat7",
        "reflectance",
        (0, 1, 2, 3, 4, 5),
        fmask=7,
    ),
    _source("pucallpa 1985-2000", ("1985", "2000"), ("1985-07-01", "2000-07-01"), *_GENERIC, _PUCALLPA),
    _source("pucallpa 2010-2020", ("2010", "2020"), ("2010-07-01", "2020-07-01"), *_GENERIC, _PUCALLPA),
    _source(
        "northdakota",
        ("20150926", "20200831"),
        ("2015-09-26", "2020-08-31"),
        *_GENERIC,
        ("red", "green", "blue", "nir"),
    ),
)


def save_scene(
    folder: Path, values: np.ndarray, clear: NDArray[np.bool_], grid: Grid, day: str, sensor: str, quantity: str,
    roles: tuple[str, ...] = CORE_ROLES,
) -> Scene:  # fmt: skip
    """Write a scene folder as ``src.geo.scene`` defines it; its name becomes the id.

    Args:
        folder: where.
        values: (B, H, W) int16 reflectance times 10000, or digital numbers, 0 for none.
        clear: (H, W) bool; the rest counts as cloud.
        grid: of both.
        day: ISO date.
        sensor: key of SENSORS.
        quantity: "reflectance", "toa" or "dn".
        roles: one per band.
    """
    everywhere = np.ones(grid.shape_hw, bool)
    nodata = 0 if quantity == "dn" else REFLECTANCE_NODATA
    write_raster(folder / "bands.tif", Raster(values, everywhere, grid, roles, day), nodata=nodata)
    mask = np.where(clear, CLEAR, CLOUD).astype(np.uint8)
    write_raster(folder / "mask.tif", Raster(mask[None], everywhere, grid, ("mask",), day))
    record = SceneRecord(folder.name, day, sensor, "unknown", quantity, abs(grid.transform.a), float(clear.mean()))
    (folder / "scene.json").write_text(json.dumps(record.to_json()), encoding="utf-8")
    return open_scene(folder)


def read_source(data: Path, source: Source, which: int) -> tuple[np.ndarray, NDArray[np.bool_], Grid]:
    """Bands as stored, (H, W) where they are clear, and the grid, of the first (0) or second (1) date."""
    raster = read_raster(data / source.files[which])
    values = raster.data[list(source.bands)]
    clear = raster.valid & (values > 0).all(axis=0)
    if source.quantity != "dn":
        # Level-2 of the time marks saturation by 16000 and 20000.
        clear &= (values < 16000).all(axis=0)
        values = values.astype(np.int16)
    if source.fmask is not None:
        clear &= raster.data[source.fmask] == 0
    return values, clear, raster.grid


def source_pair(data: Path, source: Source, work: Path, runner: Runner, seed: int | None = None) -> tuple[Pair, Any]:
    """A real pair, with 3 x 3 patches pasted into the earlier date where a seed is given; also the patches' truth."""
    scenes, truth = [], None
    for which, day in enumerate(source.dates):
        values, clear, grid = read_source(data, source, which)
        if which == 0 and seed is not None:
            values, truth = paste_patches(values, clear, np.random.default_rng([seed, 8]))
        folder = work / f"{source.name.replace(' ', '_')}_{day}{'' if seed is None else '_patched'}"
        scenes.append(save_scene(folder, values, clear, grid, day, source.sensor, source.quantity, source.roles))
    return make_pair(scenes[0], scenes[1], work / "cache", runner), truth


def paste_patches(
    values: np.ndarray, clear: NDArray[np.bool_], rng: np.random.Generator, side: int = 3, clusters: int = 6
) -> tuple[np.ndarray, NDArray[np.int32]]:
    """Replace windows by windows of clearly another cover from the same scene.

    Args:
        values: (B, H, W).
        clear: (H, W) bool.
        rng: chooses places.
        side: of a window, odd.
        clusters: of k-means on the standardised bands.

    Returns:
        Changed bands, and (H, W) int32: number of the patch, 0 elsewhere; at most one patch in 250 pixels.
    """
    reach, (height, width) = side // 2, clear.shape
    pixels = values[:, clear].T.astype(np.float64)
    pixels = (pixels - pixels.mean(axis=0)) / pixels.std(axis=0)
    model = KMeans(clusters, n_init=3, random_state=0).fit(pixels[:: max(1, len(pixels) // 20_000)])
    label = np.full(clear.shape, -1)
    label[clear] = model.predict(pixels)
    distance = np.linalg.norm(model.cluster_centers_[:, None] - model.cluster_centers_[None], axis=2)
    far = distance >= np.median(distance[distance > 0])
    uniform = (ndimage.minimum_filter(label, side) == ndimage.maximum_filter(label, side)) & (label >= 0)
    inner = np.s_[reach + 2 : height - reach - 2, reach + 2 : width - reach - 2]
    sources = np.argwhere(uniform[inner]) + reach + 2
    result, truth = values.copy(), np.zeros(clear.shape, np.int32)
    wanted = min(120, clear.sum() // 250)
    for _ in range(200 * wanted):
        row, col = rng.integers(reach + 2, (height - reach - 2, width - reach - 2))
        source_row, source_col = sources[rng.integers(len(sources))]
        around = np.s_[row - reach - 2 : row + reach + 3, col - reach - 2 : col + reach + 3]
        target = np.s_[row - reach : row + reach + 1, col - reach : col + reach + 1]
        if truth[around].any() or not clear[around].all() or truth.max() >= wanted:
            continue
        if not far[label[source_row, source_col]][label[target]].all():
            continue
        window = np.s_[source_row - reach : source_row + reach + 1, source_col - reach : source_col + reach + 1]
        result[(slice(None), *target)] = values[(slice(None), *window)]
        truth[target] = truth.max() + 1
    return result, truth


def detect(pair: Pair, runner: Runner) -> tuple[np.ndarray, NDArray[np.uint8], Any]:
    """Score and mask of a small pair in one block, and the model."""
    model = fit_change(pair, runner)
    height, width = pair.grid.shape_hw
    return *change_block(pair, model, Block(0, 0, height, width)), model


def agreement(score: np.ndarray, changed: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """Kappa, AUC, false-positive rate and recall of labelled pixels, each (n,)."""
    return {
        "kappa": float(cohen_kappa_score(truth, changed)),
        "auc": float(roc_auc_score(truth, score)),
        "fpr": float(changed[~truth].mean()),
        "recall": float(changed[truth].mean()),
    }


def taizhou(data: Path, work: Path, runner: Runner) -> dict[str, Any]:
    """Our method and two plain ones on the labelled pixels."""
    pair, _ = source_pair(data, TAIZHOU, work, runner)
    score, mask, model = detect(pair, runner)
    reference = read_raster(data / "taizhou_landsat7_2000_2003/taizhou_change_reference.tif").data[0]
    labelled = (reference > 0) & (mask > 0)
    truth = reference[labelled] == 2
    x, y, valid = pair.read()
    irmad = np.sqrt(chi_square(model.irmad, x, y))
    standard = [(v - v[:, valid].mean(axis=1)[:, None, None]) / v[:, valid].std(axis=1)[:, None, None] for v in (x, y)]
    cva = np.sqrt(np.square(standard[1] - standard[0]).sum(axis=0))
    result: dict[str, Any] = {"ours": agreement(score[labelled], mask[labelled] == 2, truth)}
    for name, distance in (("irmad_otsu", irmad), ("cva_otsu", cva)):
        changed = distance > threshold_otsu(distance[valid])
        result[name] = agreement(distance[labelled], changed[labelled], truth)
    result["pair"] = {"n": int(labelled.sum()), "caveats": list(pair.caveats), "shift_px": list(pair.shift_px)}
    return result


def patch_recall(data: Path, work: Path, runner: Runner, seed: int) -> dict[str, dict[str, float]]:
    """Recall of pasted 3 x 3 patches in every real pair, and over all."""
    rows: dict[str, dict[str, float]] = {}
    for source in tqdm(SOURCES, desc="patches", disable=None):
        plain, _ = source_pair(data, source, work, runner)
        _, own, _ = detect(plain, runner)
        pair, truth = source_pair(data, source, work, runner, seed)
        _, mask, _ = detect(pair, runner)
        # Where the ground changed anyway, a patch may turn a change into none.
        still = ndimage.minimum(own == 1, truth, np.arange(1, truth.max() + 1)).astype(bool)
        seen = np.flatnonzero(still) + 1
        hits = ndimage.sum(mask == 2, truth, seen)
        rows[source.name] = {
            "patches": len(seen),
            "recall_patches": float(np.mean(hits >= 5)),
            "recall_pixels": float(hits.sum() / (9 * len(seen))),
            "changed_share": float((mask == 2).sum() / (mask > 0).sum()),
            "residual_px": -1.0 if pair.residual_px is None else pair.residual_px,
        }
    count = np.array([row["patches"] for row in rows.values()])
    means = {
        key: float(np.average([row[key] for row in rows.values()], weights=count))
        for key in ("recall_patches", "recall_pixels")
    }
    return rows | {"all": {"patches": float(count.sum())} | means}


def county_scene(county: dict[str, Any], folder: Path, which: int, work: Path) -> tuple[Scene, np.ndarray]:
    """Scene folder and labels of one date of a simulated county."""
    row, sensor = county["scenes"][which], SENSORS[county["sensor"]]
    raster = read_raster(folder / row["image"])
    quality = read_raster(folder / row["mask"]).data[0]
    sentinel = county["sensor"].startswith("sentinel2")
    hidden = np.isin(quality, _SCL_HIDDEN) if sentinel else (quality & _QA_HIDDEN_BITS) > 0
    numbers = np.rint((raster.data * sensor.scale + sensor.offset) * 1e4).astype(np.int16)
    target, clear = work / f"{folder.name}_{row['date']}", ~hidden & raster.valid
    scene = save_scene(target, numbers, clear, raster.grid, row["date"], county["sensor"], "reflectance")
    return scene, read_raster(folder / row["labels"]).data[0]


def counties(folder: Path, work: Path, runner: Runner, most: int) -> dict[str, float]:
    """Mean agreement with the truth of simulated counties; unchanged cropland is left out."""
    rows, found = [], sorted(path.parent for path in folder.glob("*/county.json"))
    if not found:
        raise InputError(f"--counties {folder}: holds no simulated county; make some with python -m src.geo.simulate")
    for path in tqdm(found[:most], desc="counties", disable=None):
        county = json.loads((path / "county.json").read_text(encoding="utf-8"))
        (before, first), (after, second) = (county_scene(county, path, which, work) for which in (0, 1))
        score, mask, _ = detect(make_pair(before, after, work / f"cache_{path.name}", runner), runner)
        used = (mask > 0) & ~((first == second) & (first == 1))
        rows.append(agreement(score[used], mask[used] == 2, (first != second)[used]))
    return {"n": float(len(rows))} | {key: float(np.mean([row[key] for row in rows])) for key in rows[0]}


def unchanged_county(seed: int, size: int, work: Path) -> tuple[Scene, Scene]:
    """A county seen on the same day of two years in one and the same state: other haze, gain, clouds and noise."""
    name = "sentinel2_l2a" if seed % 6 else "landsat8"
    profile, pixel_m = draw_profile(seed), 30.0 if name == "landsat8" else 10.0
    days = [date(year, 4 + seed % 7, 20) for year in (2022, 2023)]
    frame = Frame(n=size * _FINE_CELLS, cell_m=pixel_m / _FINE_CELLS, unit=float(np.sqrt(pixel_m / 10.0)))
    landscape = build_landscape(profile, frame, seed, pixel_m)
    state = state_on(landscape, plan_events(landscape, days), days[0])
    # Where the county lies does not matter to its pixels.
    grid = Grid(pyproj.CRS.from_epsg(32648), Affine(pixel_m, 0, 500_000, 0, -pixel_m, 3_300_000), (size, size))
    scenes = []
    for day in days:
        weather = np.random.default_rng([seed, 5, day.toordinal()])
        seen = observe(landscape, replace(state, day=day), pixel_m, 0.03, name == "sentinel2_l2a", weather)
        values, clear = np.rint(seen.reflectance * 1e4).astype(np.int16), seen.obstruction == 0
        scenes.append(save_scene(work / f"same_{seed}_{day}", values, clear, grid, str(day), name, "reflectance"))
    return scenes[0], scenes[1]


def no_change(count: int, size: int, work: Path, runner: Runner, seed: int) -> dict[str, Any]:
    """Share of unchanged counties without a patch of MMU_PX pixels, and what the gate said."""
    clean, gated, shares, failed = 0, 0, [], []
    for number in tqdm(range(seed, seed + count), desc="no change", disable=None):
        before, after = unchanged_county(number, size, work)
        _, mask, model = detect(make_pair(before, after, work / f"same_{number}", runner), runner)
        parts, _ = ndimage.label(mask == 2, _EIGHT)
        largest = int(np.bincount(parts.ravel())[1:].max(initial=0))
        clean += largest < MMU_PX
        gated += not model.found
        shares.append(float((mask == 2).sum() / (mask > 0).sum()))
        if largest >= MMU_PX:
            failed.append(number)
    return {
        "counties": count,
        "size_px": size,
        "without_patch_share": clean / count,
        "gate_closed_share": gated / count,
        "changed_pixels_share": float(np.mean(shares)),
        "seeds_with_patch": failed,
    }


def print_table(figures: dict[str, Any]) -> None:
    """The figures as text."""
    for part, rows in figures.items():
        print(part)
        named = {name: row for name, row in rows.items() if isinstance(row, dict)} or {"": rows}
        for name, row in named.items():
            cells = (f"{key} {round(value, 4) if isinstance(value, float) else value}" for key, value in row.items())
            print(f"  {name:20} {'  '.join(cells)}")


def parse() -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(
        prog="python -m evaluation.benchmarks.change", description=(__doc__ or "").split("\n\n")[0]
    )
    parser.add_argument("--data", type=Path, help="folder of real imagery; without it, these parts are left out")
    parser.add_argument("--counties", type=Path, help="folder of counties made by src.geo.simulate")
    parser.add_argument("--most_counties", type=int, default=30, help="of --counties (default 30)")
    parser.add_argument("--no_change", type=int, default=200, help="counties without change (default 200, 0: none)")
    parser.add_argument("--size", type=int, default=192, help="pixels on their side (default 192)")
    parser.add_argument("--seed", type=int, default=7000, help="of patches and of the first county without change")
    parser.add_argument("--workers", type=int, default=2, help="threads (default 2)")
    parser.add_argument("--out", type=Path, help="JSON file for the result")
    return parser.parse_args()


def main() -> None:
    """Run the parts, print a table, then one JSON line."""
    # It loads torch, which nothing else here needs.
    from evaluation.story import provenance

    args, started = parse(), time.time()
    print(f"Change: real imagery {args.data}, counties {args.counties}, {args.no_change} without change -> {args.out}")
    runner = ThreadRunner(args.workers)
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        if args.data:
            figures["patches_3x3"] = patch_recall(args.data, work, runner, args.seed)
            figures["taizhou"] = taizhou(args.data, work, runner)
        if args.counties:
            figures["counties"] = counties(args.counties, work, runner, args.most_counties)
        if args.no_change:
            figures["no_change"] = no_change(args.no_change, args.size, work, runner, args.seed)
    print_table(figures)
    result = provenance(args, started, "evaluation.benchmarks.change") | {"n": len(figures)} | figures
    print(json.dumps(result))
    if args.out:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    run_command(main)
