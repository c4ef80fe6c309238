"""Error of the measured area of changed ground by the size of its patch, on simulated counties with known truth.

    python -m evaluation.benchmarks.patch_size --counties output/nano_build/counties \\
        --out evaluation/results/patch_size.json --plot images/patch_size.png
    python -m evaluation.benchmarks.patch_size --counties COUNTIES --most_counties 2     # a short try

True patches are groups of pixels, joined by sides or corners, whose class differs between the first two dates, seen
clearly on both. What ``src.geo.change`` flags within ``REACH_PX`` of a true patch counts for the nearest one; cropland
that stayed cropland is left out, for a field with another crop did change its spectrum. Relative error: flagged over
true pixels, less 1; a patch is found where at least half of it is flagged. By number of true pixels: bias of the summed
area with its 95 % interval, counties resampled; quartiles of the single patches; share found.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.segmentation import expand_labels
from tqdm import tqdm

from evaluation.benchmarks.change import county_scene, detect
from src.errors import InputError, run_command
from src.geo.blocks import Runner, ThreadRunner
from src.geo.change.pairs import make_pair

# Lower ends of the size classes, pixels; 9 is the minimum mapping unit.
SIZES = (1, 4, 9, 16, 32, 64, 128, 256)
REACH_PX = 2
RESAMPLES = 2000
_EIGHT = np.ones((3, 3), bool)
_CROPLAND = 1


def patch_areas(truth: NDArray[np.bool_], flagged: NDArray[np.bool_], seen: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Sizes of the true patches that were wholly seen.

    Args:
        truth: (H, W), where the class changed.
        flagged: (H, W), what was found, without ground that is left out.
        seen: (H, W), clear on both dates.

    Returns:
        (n, 3): pixels of the patch, of what was flagged on it and around it, and of what was flagged on it.
    """
    patches, count = ndimage.label(truth, _EIGHT)
    near = expand_labels(patches, REACH_PX)
    whole = np.bincount(near[~seen], minlength=count + 1) == 0
    sizes = [np.bincount(patches[chosen], minlength=count + 1) for chosen in (truth, flagged & truth)]
    reached = np.bincount(near[flagged], minlength=count + 1)
    return np.stack([sizes[0], reached, sizes[1]], axis=1)[1:][whole[1:]]


def county_patches(folder: Path, work: Path, runner: Runner) -> NDArray[np.int64]:
    """``patch_areas`` of one simulated county."""
    county = json.loads((folder / "county.json").read_text(encoding="utf-8"))
    (before, first), (after, second) = (county_scene(county, folder, which, work) for which in (0, 1))
    _, mask, _ = detect(make_pair(before, after, work / "cache", runner), runner)
    still_crop = (first == second) & (first == _CROPLAND)
    return patch_areas(first != second, (mask == 2) & ~still_crop, mask > 0)


def by_size(counties: list[NDArray[np.int64]], seed: int) -> list[dict[str, Any]]:
    """Figures of each size class; the last has no upper end."""
    rows, rng = [], np.random.default_rng(seed)
    draws = rng.integers(0, len(counties), (RESAMPLES, len(counties)))
    for low, high in zip(SIZES, (*SIZES[1:], np.inf), strict=True):
        parts = [one[(one[:, 0] >= low) & (one[:, 0] < high)] for one in counties]
        patches = np.concatenate(parts)
        if not len(patches):
            continue
        sums = np.array([part.sum(axis=0) for part in parts])[draws].sum(axis=1)
        some = sums[:, 0] > 0
        error = patches[:, 1] / patches[:, 0] - 1
        bias = sums[some, 1] / sums[some, 0] - 1
        rows.append(
            {
                "from_px": low,
                "to_px": None if np.isinf(high) else int(high) - 1,
                "n": len(patches),
                "relative_bias": float(patches[:, 1].sum() / patches[:, 0].sum() - 1),
                "relative_bias_ci95": np.quantile(bias, (0.025, 0.975)).tolist(),
                "relative_error_quartiles": np.quantile(error, (0.25, 0.5, 0.75)).tolist(),
                "mean_absolute_relative_error": float(np.abs(error).mean()),
                "found_share": float(np.mean(2 * patches[:, 2] >= patches[:, 0])),
            }
        )
    return rows


def show(rows: list[dict[str, Any]]) -> str:
    """The figures as text."""
    lines = [f"{'pixels':>9} {'patches':>8} {'found':>6} {'bias':>7} {'95 %':>17} {'quartiles of the error':>24}"]
    for row in rows:
        low, high = row["relative_bias_ci95"]
        quartiles = " ".join(f"{value:+7.0%}" for value in row["relative_error_quartiles"])
        size = f"{row['from_px']}-{row['to_px'] or ''}"
        lines.append(
            f"{size:>9} {row['n']:8d} {row['found_share']:6.0%} {row['relative_bias']:+7.0%} "
            f"{f'{low:+.0%} to {high:+.0%}':>17} {quartiles:>24}"
        )
    return "\n".join(lines)


def plot(rows: list[dict[str, Any]], path: Path) -> None:
    """Quartiles of the relative error, bias of the sum, and share found, by size class."""
    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(11, 4.2), constrained_layout=True)
    place, names = np.arange(len(rows)), [f"{row['from_px']}-{row['to_px'] or ''}" for row in rows]
    quartiles = 100 * np.array([row["relative_error_quartiles"] for row in rows])
    bias = 100 * np.array([row["relative_bias"] for row in rows])
    limits = 100 * np.array([row["relative_bias_ci95"] for row in rows])
    axes[0].axhline(0, color="0.6", linewidth=0.8)
    axes[0].fill_between(place, quartiles[:, 0], quartiles[:, 2], alpha=0.25, label="middle half of the patches")
    axes[0].plot(place, quartiles[:, 1], label="median patch")
    spread = np.abs(limits.T - bias)
    axes[0].errorbar(place, bias, spread, fmt="o", color="black", capsize=3, label="summed area, 95 %")
    axes[0].set(title="Relative error of the found area (%)")
    axes[0].legend(fontsize=8)
    axes[1].bar(place, [100 * row["found_share"] for row in rows], color="0.7")
    for index, row in enumerate(rows):
        axes[1].annotate(f"n {row['n']}", (index, 2), ha="center", fontsize=7)
    axes[1].set(title="Patches found, at least half of their ground (%)", ylim=(0, 101))
    for axis in axes:
        axis.set_xticks(place, names)
        axis.set_xlabel("True pixels of the patch (10 m)")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)
    plt.close(figure)


def parse() -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--counties", type=Path, required=True, help="folder of counties made by src.geo.simulate")
    parser.add_argument("--most_counties", type=int, default=48, help="of --counties (default 48)")
    parser.add_argument("--workers", type=int, default=2, help="threads (default 2)")
    parser.add_argument("--seed", type=int, default=0, help="of the resampling")
    parser.add_argument("--out", type=Path, help="JSON file for the result")
    parser.add_argument("--plot", type=Path, help="write the curves here (PNG)")
    return parser.parse_args()


def main() -> None:
    """Measure the counties, print the table, then one JSON line."""
    # It loads torch, which nothing else here needs.
    from evaluation.story import provenance

    args, started = parse(), time.time()
    folders = sorted(path.parent for path in args.counties.glob("*/county.json"))[: args.most_counties]
    if not folders:
        raise InputError(f"--counties {args.counties}: no simulated county; make some with python -m src.geo.simulate")
    runner, counties = ThreadRunner(args.workers), []
    for folder in tqdm(folders, desc="counties", disable=None):
        with tempfile.TemporaryDirectory() as work:
            counties.append(county_patches(folder, Path(work), runner))
    rows = by_size(counties, args.seed)
    print(show(rows))
    result = provenance(args, started, "evaluation.benchmarks.patch_size")
    result |= {"counties": len(counties), "n": sum(row["n"] for row in rows), "rows": rows}
    print(json.dumps(result))
    if args.out:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    if args.plot:
        plot(rows, args.plot)


if __name__ == "__main__":
    run_command(main)
