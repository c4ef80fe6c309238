"""How often the 95 % interval of an error-adjusted area holds the truth, by share of change.

    python -m evaluation.benchmarks.coverage --counties output/nano_build/counties \\
        --out evaluation/results/coverage.json --plot images/coverage.png
    python -m evaluation.benchmarks.coverage --maps 5 --draws 50          # a short try, without counties

Two sources of maps with known truth. "drawn": omission and commission drawn uniformly from 5-40 %. "county": change
patches of simulated counties, thinned to the share wanted, mapped with missed patches, ragged edges and false patches.
Each map is sampled many times, without replacement, with its classes as strata ("map") and, for counties, also with the
unchanged pixels around mapped change as a stratum of their own ("ring"). Beside the project's interval stands the
plain one, estimate +- 1.96 standard errors. Finished maps are kept in ``--work``: a run that was stopped goes on there.
"""

import argparse
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from tqdm import tqdm

from evaluation.story import provenance
from src.errors import InputError, run_command
from src.geo.estimates.accuracy import Z_95
from src.geo.estimates.design import allocate
from src.geo.estimates.intervals import weighted_interval
from src.geo.raster import read_raster

SHARES = (0.001, 0.003, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1)
METHODS = ("ours", "plain")
# Pixels of a drawn map: far more than are sampled.
DRAWN_PX = 10_000_000
ERRORS = (0.05, 0.40)
# A patch that would overshoot the share wanted by more than this part of it is passed over.
OVERSHOOT = 0.1
EIGHT = np.ones((3, 3), np.bool_)
# Wanted of the coverage: (low, high) from 3 % on, low alone below.
BAND, RARE_BELOW = (0.93, 0.97), 0.03

Mask = NDArray[np.bool_]
# Pixels, and truly changed pixels, of each stratum.
Strata = tuple[list[int], list[int]]


def drawn_map(share: float, rng: np.random.Generator) -> dict[str, Strata]:
    """A map that exists as counts only, with uniform omission and commission."""
    omission, commission = rng.uniform(*ERRORS, 2)
    changed = round(DRAWN_PX * share)
    hit = round(changed * (1 - omission))
    mapped = round(hit / (1 - commission))
    return {"map": ([mapped, DRAWN_PX - mapped], [hit, changed - hit])}


def county_map(masks: list[Mask], index: int, share: float, ring: int, rng: np.random.Generator) -> dict[str, Strata]:
    """A map of a county's own change patches, with the errors of a change map."""
    order = np.roll(np.arange(len(masks)), -index)
    truth = thinned([masks[i] for i in order], share, rng)
    mapped = mistaken(truth, masks[order[len(order) // 2]], rng)
    near = ndimage.binary_dilation(mapped, EIGHT, iterations=ring) & ~mapped
    far = ~mapped & ~near
    return {
        name: ([int(part.sum()) for part in parts], [int((part & truth).sum()) for part in parts])
        for name, parts in {"map": [mapped, ~mapped], "ring": [mapped, near, far]}.items()
    }


def thinned(masks: list[Mask], share: float, rng: np.random.Generator) -> Mask:
    """Whole change patches, of as many counties as it takes, in random order until they cover the share."""
    truth = np.zeros_like(masks[0])
    wanted = share * truth.size
    for mask in masks:
        labels, count = ndimage.label(mask, EIGHT)
        sizes = np.bincount(labels.ravel())
        kept = np.zeros(count + 1, np.bool_)
        total = float(truth.sum())
        for patch in rng.permutation(np.arange(1, count + 1)):
            if total + sizes[patch] <= wanted * (1 + OVERSHOOT):
                kept[patch] = True
                total += sizes[patch]
            if total >= wanted:
                break
        truth |= kept[labels]
        if truth.sum() >= wanted * (1 - OVERSHOOT):
            return truth
    raise InputError(
        f"the change of {len(masks)} counties covers {truth.mean():.2%}; a share of {share:.1%} needs more"
    )


def mistaken(truth: Mask, other: Mask, rng: np.random.Generator) -> Mask:
    """The truth as a change map would show it: patches missed, edges ragged, and patches of elsewhere shown in vain."""
    missed, lost, gained, false = rng.uniform((0.02, 0.0, 0.0, 0.02), (0.25, 0.4, 0.25, 0.25))
    labels, count = ndimage.label(truth, EIGHT)
    sizes = np.bincount(labels.ravel())[1:]
    # Small patches are missed more often.
    chance = np.clip(missed * np.sqrt(np.median(sizes) / sizes), 0.0, 0.9)
    mapped = truth & np.r_[False, rng.random(count) >= chance][labels]
    inner = mapped & ~ndimage.binary_erosion(mapped, EIGHT)
    outer = ndimage.binary_dilation(mapped, EIGHT) & ~mapped
    mapped = (mapped & ~(inner & (rng.random(truth.shape) < lost))) | (outer & (rng.random(truth.shape) < gained))
    return mapped | (thinned([other & ~truth], false * truth.mean(), rng) & ~truth)


def sample_map(strata: Strata, n: int, minimum: int, draws: int, rng: np.random.Generator) -> dict[str, Any]:
    """Sample one map many times: covered draws, widths and errors by method."""
    pixels, changed = (np.array(values) for values in strata)
    used = pixels > 0
    pixels, changed = pixels[used], changed[used]
    sizes = np.array(allocate(n, pixels, minimum))
    hits = np.stack([rng.hypergeometric(c, p - c, s, draws) for p, c, s in zip(pixels, changed, sizes, strict=True)], 1)
    weights, truth = pixels / pixels.sum(), changed.sum() / pixels.sum()
    share, low, high = weighted_interval(hits, sizes, weights)
    part = hits / sizes
    plain = Z_95 * np.sqrt((weights**2 * part * (1 - part) / (sizes - 1)).sum(1))
    limits = {"ours": (low, high), "plain": (share - plain, share + plain)}
    return {
        "share": float(truth),
        "relative_error": float(np.abs(share / truth - 1).mean()),
        "bias": float(share.mean() / truth - 1),
        **{
            name: {
                "covered": int(((below <= truth) & (truth <= above)).sum()),
                "width": float((above - below).mean() / truth),
            }
            for name, (below, above) in limits.items()
        },
    }


def read_masks(folder: Path) -> list[Mask]:
    """Where two dates of each county's labels differ, (H, W) each."""
    masks = []
    for county in sorted(folder.iterdir()):
        dates = sorted((county / "labels").glob("landcover_*.tif"))
        if len(dates) >= 2:
            before, after = (read_raster(path).data[0] for path in (dates[0], dates[-1]))
            masks.append(before != after)
    if len(masks) < 2 or len({mask.shape for mask in masks}) != 1:
        raise InputError(f"{folder}: expected two or more simulated counties of one size, with labels of two dates")
    return masks


def pieces(args: argparse.Namespace, masks: list[Mask], done: set[tuple[str, float, int]]) -> Iterator[dict[str, Any]]:
    """Sample every map that is not done; each has a random stream of its own, so the order does not matter."""
    sources = ["drawn", *(["county"] if masks else [])]
    todo = [(s, share, i) for s in sources for share in SHARES for i in range(args.maps) if (s, share, i) not in done]
    for source, share, index in tqdm(todo, "maps", disable=None):
        rng = np.random.default_rng([args.seed, sources.index(source), round(share * 1e6), index])
        county = source == "county"
        designs = county_map(masks, index, share, args.ring, rng) if county else drawn_map(share, rng)
        results = {name: sample_map(strata, args.n, args.minimum, args.draws, rng) for name, strata in designs.items()}
        pixels, changed = designs["map"]
        errors = {"omission": changed[1] / sum(changed), "commission": 1 - changed[0] / pixels[0]}
        yield {"source": source, "wanted": share, "map": index, **errors, "designs": results}


def collect(args: argparse.Namespace, masks: list[Mask]) -> list[dict[str, Any]]:
    """All pieces, those of earlier runs from the work file."""
    settings = {key: getattr(args, key) for key in ("n", "minimum", "ring", "draws", "seed")}
    args.work.parent.mkdir(parents=True, exist_ok=True)
    lines = args.work.read_text(encoding="utf-8").splitlines() if args.work.exists() else []
    if lines and json.loads(lines[0]) != settings:
        raise InputError(f"{args.work}: holds a campaign with the settings {lines[0]}; choose another --work")
    rows = [json.loads(line) for line in lines[1:]]
    done = {(row["source"], row["wanted"], row["map"]) for row in rows}
    with args.work.open("a", encoding="utf-8") as file:
        if not lines:
            file.write(json.dumps(settings) + "\n")
        for row in pieces(args, masks, done):
            file.write(json.dumps(row) + "\n")
            file.flush()
            rows.append(row)
    return rows


def summarise(rows: list[dict[str, Any]], draws: int) -> list[dict[str, Any]]:
    """One row per source, design and share; 95 % intervals take maps, not draws, as independent."""
    groups: dict[tuple[str, str, float], list[dict[str, Any]]] = {}
    for row in rows:
        for design, figures in row["designs"].items():
            groups.setdefault((row["source"], design, row["wanted"]), []).append(row | figures)
    table = []
    for (source, design, wanted), maps in sorted(groups.items()):
        entry: dict[str, Any] = {"source": source, "design": design, "share": wanted, "maps": len(maps)}
        entry |= {"draws": len(maps) * draws, "true_share": float(np.mean([m["share"] for m in maps]))}
        for name in ("omission", "commission", "relative_error", "bias"):
            entry[name] = float(np.mean([m[name] for m in maps]))
        for method in METHODS:
            covered = np.array([m[method]["covered"] / draws for m in maps])
            margin = Z_95 * float(covered.std(ddof=1) / np.sqrt(len(maps))) if len(maps) > 1 else float("nan")
            mean = float(covered.mean())
            entry[method] = {
                "coverage": mean,
                "ci95": [mean - margin, min(1.0, mean + margin)],
                "lowest_map": float(covered.min()),
                "width": float(np.mean([m[method]["width"] for m in maps])),
            }
        low, high = BAND
        entry["passed"] = low <= entry["ours"]["coverage"] and (
            wanted < RARE_BELOW or entry["ours"]["coverage"] <= high
        )
        table.append(entry)
    return table


def show(table: list[dict[str, Any]]) -> str:
    """The table as text."""
    lines = [
        f"{'source':8}{'strata':8}{'share':>7}{'draws':>8}{'omitted':>9}{'false':>7}"
        f"{'ours':>8}{'95 %':>16}{'width':>7}{'plain':>8}{'width':>7}{'error':>7}"
    ]
    for row in table:
        ours, plain = row["ours"], row["plain"]
        span = f"{ours['ci95'][0]:.3f}-{ours['ci95'][1]:.3f}"
        lines.append(
            f"{row['source']:8}{row['design']:8}{row['share']:7.1%}{row['draws']:8d}{row['omission']:9.2f}"
            f"{row['commission']:7.2f}{ours['coverage']:8.3f}{span:>16}{ours['width']:7.2f}"
            f"{plain['coverage']:8.3f}{plain['width']:7.2f}{row['relative_error']:7.2f}"
        )
    return "\n".join(lines)


def plot(table: list[dict[str, Any]], path: Path) -> None:
    """Coverage, and width against the true area, over the share of change."""
    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(11, 4.2), constrained_layout=True)
    axes[0].axhspan(*(100 * limit for limit in BAND), color="0.9")
    axes[0].axhline(95, color="0.6", linewidth=0.8)
    colours = {("drawn", "map"): "tab:blue", ("county", "map"): "tab:orange", ("county", "ring"): "tab:green"}
    for (source, design), colour in colours.items():
        rows = [row for row in table if (row["source"], row["design"]) == (source, design)]
        shares = [100 * row["share"] for row in rows]
        for method, style in (("ours", "o-"), ("plain", "x--")):
            label = f"{source} maps, strata {design}, {method}"
            axes[0].plot(shares, [100 * row[method]["coverage"] for row in rows], style, color=colour, label=label)
            axes[1].plot(shares, [row[method]["width"] for row in rows], style, color=colour)
    for axis, title in zip(axes, ("Coverage of the 95 % interval (%)", "Mean width / true area"), strict=True):
        axis.set(xscale="log", xlabel="True share of change (%)", title=title)
        axis.set_xticks([100 * share for share in SHARES], [f"{100 * share:g}" for share in SHARES])
        axis.minorticks_off()
    axes[1].set_yscale("log")
    axes[0].set_ylim(0, 101)
    axes[0].legend(fontsize=7, loc="lower right")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)
    plt.close(figure)


def parse() -> argparse.Namespace:
    """Command line of the campaign."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--counties", type=Path, help="folder of simulated counties (default: drawn maps only)")
    parser.add_argument("--maps", type=int, default=100, help="maps per source and share")
    parser.add_argument("--draws", type=int, default=200, help="samples drawn from each map")
    parser.add_argument("--n", type=int, default=600, help="pixels of a sample")
    parser.add_argument("--minimum", type=int, default=100, help="fewest pixels of a stratum")
    parser.add_argument("--ring", type=int, default=2, help="width of the ring in pixels")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--work", type=Path, default=Path("output/benchmark_coverage/maps.jsonl"))
    parser.add_argument("--out", type=Path, help="write the result here")
    parser.add_argument("--plot", type=Path, help="write the curves here (PNG)")
    return parser.parse_args()


def main() -> int:
    """Run or finish the campaign, print the table, then one JSON line; 1 where the interval does not hold."""
    args, started = parse(), time.time()
    print(f"{args.maps} maps x {args.draws} samples of {args.n} pixels per share and source; kept in {args.work}")
    masks = read_masks(args.counties) if args.counties else []
    table = summarise(collect(args, masks), args.draws)
    print(show(table))
    result = provenance(args, started, "evaluation.benchmarks.coverage")
    result |= {"n": sum(row["draws"] for row in table), "passed": all(row["passed"] for row in table), "rows": table}
    print(json.dumps(result))
    if args.out:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    if args.plot:
        plot(table, args.plot)
    return 0 if result["passed"] else 1


if __name__ == "__main__":
    run_command(main)
