"""Seconds and memory of the first answer about a county of real size, and of the same question asked again.

    python -m evaluation.benchmarks.county --work output/benchmark_county --out evaluation/results/county.json
    python -m evaluation.benchmarks.county --work output/try --size 640                     # a short try

The workspace (see ``geo_input``) holds three ingested Sentinel-2 scenes of one season, labels and zones; 6,325 pixels a
side are 4,000 km2. Each headline question is asked in a process of its own with nothing measured before, on as many
cores as there are workers, and then again, as another asker would. What is finished stays in ``--work``; delete a
question's file to ask it again. CPU seconds and the machine's load stand beside the seconds, for shared machines.
"""

import argparse
import json
import os
import shutil
import time
from dataclasses import asdict
from datetime import date
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any

import psutil

from evaluation.benchmarks.geo import PACKAGES, Stages, apart, own_peak_gib, timed
from evaluation.benchmarks.geo_input import InputPlan, build_workspace
from src.assistant import changes as changes_module
from src.assistant import covers as covers_module
from src.assistant import survey as survey_module
from src.assistant.county import County
from src.assistant.pipeline import Assistant, Dialogue
from src.errors import InputError, run_command
from src.geo.blocks import ThreadRunner
from src.geo.raster import atomic_path
from src.geo.workspace import open_workspace

DATES, AS_OF = ("2023-09-20", "2024-08-25", "2024-09-25"), "2024-09-30"
QUESTIONS = (
    "2024年新增耕地面积是多少？",
    "最近一个月是否存在疑似违规建设？",
    "自然保护区边界是否被侵占？",
    "2023-2024年土地利用结构变化趋势？",
)
# Limits for 40 million pixels on two cores; memory as for a full tile.
MOST_FIRST_S, MOST_AGAIN_S, MOST_GIB = 120.0, 2.0, 4.0
# Calls of each module that are timed one by one; land cover is learned for both dates at once, so its seconds overlap.
STAGES: dict[ModuleType, str] = {
    changes_module: "make_pair fit_change write_change",
    covers_module: "draw_samples fit_cover fit_scored_cover write_cover",
    survey_module: "flow_areas label_patches patch_outlines patch_records write_patches",
}
_GIB = 2**30


def ask_twice(folder: Path, question: str, workers: int) -> dict[str, Any]:
    """Ask with nothing measured before, then again; figures of both."""
    workspace, stages = open_workspace(folder / "workspace"), Stages()
    for kept in (workspace.outputs, workspace.cache):
        shutil.rmtree(kept, ignore_errors=True)
        kept.mkdir()
    for module, names in STAGES.items():
        for name in names.split():
            setattr(module, name, timed(f"{module.__name__.split('.')[-1]}.{name}", getattr(module, name), stages))
    seconds, cpu, answers = [], [], []
    for _ in range(2):
        county = County(open_workspace(workspace.root), ThreadRunner(workers), date.fromisoformat(AS_OF))
        started, used = time.perf_counter(), time.process_time()
        answers.append(Assistant(county).ask(question, Dialogue()))
        seconds.append(time.perf_counter() - started)
        cpu.append(time.process_time() - used)
    first, again = (answer.evidence for answer in answers)
    assert first is not None and again is not None
    return {
        "status": first.status,
        "reason": first.reason,
        "first_seconds": seconds[0],
        "first_cpu_seconds": cpu[0],
        "again_seconds": seconds[1],
        "same_again": first.id == again.id,
        "figures": {one.key: one.value for one in first.figures if one.key in first.cards},
        "stages": stages,
        "asked_peak_gib": own_peak_gib(),
        "load": os.getloadavg()[0],
    }


def within(row: dict[str, Any]) -> bool:
    """Whether an answer was measured, and within the limits."""
    if "failed" in row or row["status"] != "measured" or not row["same_again"]:
        return False
    quick = row["first_seconds"] <= MOST_FIRST_S and row["again_seconds"] <= MOST_AGAIN_S
    return bool(quick and row["peak_gib"] <= MOST_GIB)


def show(rows: list[dict[str, Any]], mpx: float) -> str:
    """The table as text, with the stages of the slowest answer."""
    lines = [f"{'first s':>8} {'s/Mpx':>6} {'CPU s':>7} {'again s':>8} {'peak GiB':>9} {'load':>5}  question"]
    for row in rows:
        if "failed" in row:
            lines.append(f"failed at {row['peak_gib']:.2f} GiB: {row['failed'][:80]}  {row['question']}")
            continue
        speed = f"{row['first_seconds']:8.1f} {row['first_seconds'] / mpx:6.2f} {row['first_cpu_seconds']:7.1f}"
        lines.append(
            f"{speed} {row['again_seconds']:8.3f} {row['peak_gib']:9.2f} {row['load']:5.1f}  {row['question']}"
            + ("" if row["status"] == "measured" else f" -> {row['status']} {row['reason']}")
        )
    done = [row for row in rows if "failed" not in row]
    if done:
        slowest = max(done, key=lambda row: float(row["first_seconds"]))
        lines.append(slowest["question"])
        for name, stage in slowest["stages"].items():
            used = f"{stage['seconds']:8.1f} s {stage['cpu_seconds']:8.1f} CPU s  {stage['peak_gib']:5.2f} GiB"
            lines.append(f"  {name:28} {used}  {stage['calls']} calls")
    return "\n".join(lines)


def prepared(args: argparse.Namespace) -> Path:
    """Folder of the size, with its workspace; a work folder of other settings is refused."""
    plan = InputPlan(args.seed, args.counties, args.county_px, args.label_share)
    settings, path = asdict(plan) | {"workers": args.workers, "dates": list(DATES)}, args.work / "settings.json"
    if path.exists() and json.loads(path.read_text(encoding="utf-8")) != settings:
        raise InputError(f"{args.work}: holds figures of other settings ({path}); give another --work")
    with atomic_path(path) as partial_path:
        partial_path.write_text(json.dumps(settings), encoding="utf-8")
    folder: Path = args.work / str(args.size)
    note, started = folder / "input.json", time.perf_counter()
    if not note.exists():
        build_workspace(plan, args.work, args.size, DATES)
        note.write_text(json.dumps({"seconds": time.perf_counter() - started}), encoding="utf-8")
    return folder


def parse() -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=6325, help="pixels a side (default %(default)s)")
    parser.add_argument("--workers", type=int, default=2, help="threads and cores (default 2)")
    parser.add_argument("--work", type=Path, required=True, help="folder for the input, rasters and finished figures")
    parser.add_argument("--counties", type=int, default=4, help="counties that are simulated (default 4)")
    parser.add_argument("--county_px", type=int, default=500, help="their side, 64..2048 (default 500)")
    parser.add_argument("--label_share", type=float, default=0.05, help="share of the land with labels (default 0.05)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="JSON file for the result")
    return parser.parse_args()


def main() -> int:
    """Ask or finish the questions, print the table, then one JSON line; 1 where an answer fails or breaks a limit."""
    args, started = parse(), time.time()
    # Not above: the measured processes load this file too, and torch is no part of what they measure.
    from evaluation.story import provenance

    print(f"{args.size} pixels a side, {len(QUESTIONS)} questions on {args.workers} cores; kept in {args.work}")
    folder, mpx = prepared(args), args.size**2 / 1e6
    rows = []
    for number, question in enumerate(QUESTIONS, 1):
        target = folder / f"question{number}.json"
        rows.append({"question": question} | apart(ask_twice, (folder, question, args.workers), target, args.workers))
    print(show(rows, mpx))
    result = provenance(args, started, "evaluation.benchmarks.county")
    result["versions"] |= {name: version(name) for name in PACKAGES}
    result["hardware"] |= {"cores": os.cpu_count(), "memory_gib": psutil.virtual_memory().total / _GIB}
    limits = {"first_seconds": MOST_FIRST_S, "again_seconds": MOST_AGAIN_S, "gib": MOST_GIB}
    result |= {"n": len(rows), "passed": all(map(within, rows)), "mpx": mpx, "limits": limits, "rows": rows}
    print(json.dumps(result, ensure_ascii=False))
    if args.out:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(json.dumps(result, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    return 0 if result["passed"] else 1


if __name__ == "__main__":
    run_command(main)
