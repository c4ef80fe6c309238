"""Do the assistant's figures hold the truth, how wide are their bounds, and how long does an answer take?

    python -m evaluation.benchmarks.assistant --counties 20 --out evaluation/results/assistant.json
    python -m evaluation.benchmarks.assistant --counties 2 --seed 900 --work output/try    # a short try

Counties like the demo county are simulated from fresh seeds. Each question is asked with an empty cache, then again. An
area or share that has a truth in the simulation's record is compared on the acquisition dates that the figure names
("headline": the first such figure of an answer; "answers": all of an answer; "figures": each by itself). Relative half
width is half of upper less lower bound over the value. Of suspected patches the truth is all ground that changed its
class that way, whatever its size. Questions that the data cannot carry must be declined with
the right reason, and those that they can must not be. Finished counties are kept in ``--work``: a run that was
stopped goes on there.
"""

import argparse
import json
import shutil
import time
from dataclasses import asdict, dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from evaluation.story import provenance
from src.assistant.county import County
from src.assistant.demo import DEMO, TRUTH, Plan, build
from src.assistant.pipeline import Assistant, Dialogue
from src.assistant.query import Query, ZoneRef
from src.assistant.record import Evidence, Figure
from src.errors import InputError, run_command
from src.geo.blocks import ThreadRunner
from src.geo.estimates.intervals import binomial_limits

QUESTIONS = (
    "2024年新增耕地面积是多少？",
    "最近一个月是否存在疑似违规建设？",
    "自然保护区边界是否被侵占？",
    "2023-2024年土地利用结构变化趋势？",
    "本季度耕地面积变化情况？",
    "疑似违规建设的分布区域？",
    "保护区边界是否被占用？",
    "近一年土地利用结构趋势？",
    "2024年第二季度新增耕地面积是多少？",
)
# Questions that the data cannot carry, with the reasons that are right for each.
DECLINED = {
    "城镇开发边界外新增建设用地有多少？": ("NO_ZONE_LAYER",),
    "2015年新增耕地面积是多少？": ("no_scene", "one_date", "NO_CLEAR_IMG"),
    "2024年12月5日至12月15日是否存在疑似违规建设？": ("NO_CLEAR_IMG",),
    "2026年耕地增加了多少？": ("future",),
    "这块地是不是违法，该罚多少？": ("legal",),
    "耕地减少是不是城市扩张造成的？": ("causal",),
    "耕地非粮化情况怎么样？": ("non_grain",),
    "今年新增了多少光伏？": ("CLASS_NOT_SEPARABLE",),
}
GOAL = 0.95
# Layers of the simulation by kind of zone.
LAYERS = {"county": "county", "town": "towns", "reserve": "reserve", "river": "river_scope"}
LAYERS |= {"basic_farmland": "basic_farmland"}
FLOWS = ("gain", "loss", "net", "transition")
Areas = dict[str, float]
Matrix = dict[str, dict[str, float]]


@dataclass(frozen=True)
class Held:
    """One figure beside its truth.

    Args:
        key: of the figure.
        value: stated, m2 or share.
        low: lower bound.
        high: upper bound.
        truth: in the same unit.
    """

    key: str
    value: float
    low: float
    high: float
    truth: float

    @property
    def inside(self) -> bool:
        """Whether the truth lies within the bounds, up to rounding."""
        slack = 1e-6 * max(1.0, abs(self.truth))
        return self.low - slack <= self.truth <= self.high + slack


def held(evidence: Evidence, truth: dict[str, Any]) -> list[Held]:
    """Every bounded figure of an answer that has a truth, those of its cards first.

    Args:
        evidence: behind the answer.
        truth: the "truth" of a county's record.
    """
    order = {key: index for index, key in enumerate(evidence.cards)}
    figures = sorted(evidence.figures, key=lambda one: order.get(one.key, len(order)))
    rows = []
    for figure in figures:
        known = true_value(figure, evidence.query, truth)
        if known is not None and figure.bounds is not None:
            rows.append(Held(figure.key, figure.value, *figure.bounds, known))
    return rows


def true_value(figure: Figure, query: Query, truth: dict[str, Any]) -> float | None:
    """The truth of a figure; None where the simulation's record does not tell it."""
    zones = _zones(figure, query.zone, truth)
    if zones is None or figure.kind is not None or figure.t2 is None or figure.dimension not in ("area", "share"):
        return None
    if figure.quantity == "state" and figure.cls is not None and figure.t2 in truth["areas_m2"]:
        areas = _sum_areas([zone["areas_m2"][figure.t2] for zone in zones])
        whole = sum(areas.values()) if figure.dimension == "share" else 1.0
        return areas[figure.cls] / whole
    pair = f"{figure.t1}/{figure.t2}"
    if pair not in truth["change_m2"]:
        return None
    change = _sum_matrices([zone["change_m2"][pair] for zone in zones])
    if figure.quantity in ("patches", "overlap"):
        whole = sum(zone["area_m2"] for zone in zones) if figure.dimension == "share" else 1.0
        return _suspected(query, change) / whole
    return _flow(figure, change) if figure.quantity in FLOWS and figure.dimension == "area" else None


def _suspected(query: Query, change: Matrix) -> float:
    """Ground that truly changed its class as a question about patches means it, of any size.

    "built" means work on the ground: what became built-up, and what became bare but by falling water; after a
    given class it is the class alone.
    """
    before, after = query.from_cls, query.to_cls or query.cls
    cells = [(a, b) for a in change for b in change if a != b and a == (before or a)]
    if after == "built" and before is None:
        cells = [(a, b) for a, b in cells if a != "built" and (b == "built" or (b == "unused" and a != "water"))]
    elif after:
        cells = [(a, b) for a, b in cells if b == after]
    return sum(change[a][b] for a, b in cells)


def _flow(figure: Figure, change: Matrix) -> float | None:
    """Gain, loss, net change or transition of a figure in a matrix of true change."""
    cls = figure.cls
    if figure.quantity == "transition":
        known = figure.from_cls is not None and figure.to_cls is not None
        return change[str(figure.from_cls)][str(figure.to_cls)] if known else None
    if cls is None or figure.from_cls is not None or figure.to_cls is not None:
        return None
    gain = sum(row[cls] for name, row in change.items() if name != cls)
    loss = sum(area for name, area in change[cls].items() if name != cls)
    return {"gain": gain, "loss": loss, "net": gain - loss}[figure.quantity]


def _zones(figure: Figure, ref: ZoneRef | None, truth: dict[str, Any]) -> list[dict[str, Any]] | None:
    """Records of the zones that a figure is about; None where it cannot be told."""
    if ref is not None and (not ref.inside or ref.town is not None or ref.type not in LAYERS):
        return None
    asked = ref or ZoneRef(type="county")
    found = truth["zones"][LAYERS[asked.type]]
    if asked.name is not None:
        found = [zone for zone in found if asked.name in zone["name"]]
    if asked.part is not None:
        found = [zone for zone in found if zone["part"] == asked.part]
    if figure.place is not None and figure.place not in (asked.type, asked.name):
        every = [zone for layer in LAYERS.values() for zone in truth["zones"][layer]]
        found = [zone for zone in every if zone["name"] == figure.place]
        if asked.type != "county":
            # A town's share of a zone is in no record.
            found = []
    return found or None


def _sum_areas(parts: list[Areas]) -> Areas:
    return {cls: sum(part[cls] for part in parts) for cls in parts[0]}


def _sum_matrices(parts: list[Matrix]) -> Matrix:
    return {cls: _sum_areas([part[cls] for part in parts]) for cls in parts[0]}


def survey_county(seed: int, size: int, cloud_share: float, folder: Path) -> dict[str, Any]:
    """Simulate one county, ask it everything, and compare; the folder is removed afterwards."""
    plan = replace(DEMO, seed=seed, size=size, cloud_share=cloud_share)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    started = time.monotonic()
    workspace = build(folder, plan, ThreadRunner())
    built = time.monotonic() - started
    truth = json.loads((folder / TRUTH).read_text(encoding="utf-8"))
    county = County(workspace, ThreadRunner(), date.fromisoformat(plan.as_of))
    answers = [ask_twice(county, question, truth["truth"]) for question in QUESTIONS]
    declined = [ask_declined(county, question, reasons) for question, reasons in DECLINED.items()]
    shutil.rmtree(folder)
    row = {"seed": seed, "landform": truth["landform"], "build_seconds": round(built, 2)}
    return row | {"answers": answers, "declined": declined}


def ask_twice(county: County, question: str, truth: dict[str, Any]) -> dict[str, Any]:
    """One question with an empty cache, then again."""
    for folder in (county.workspace.outputs, county.workspace.cache):
        shutil.rmtree(folder)
        folder.mkdir()
    seconds, cpu, answers = [], [], []
    for _ in range(2):
        started, used = time.monotonic(), time.process_time()
        answers.append(Assistant(county).ask(question, Dialogue()))
        seconds.append(time.monotonic() - started)
        cpu.append(time.process_time() - used)
    evidence = answers[0].evidence
    assert evidence is not None and answers[1].evidence is not None
    return {
        "question": question,
        "metric": evidence.query.metric,
        "status": evidence.status,
        "reason": evidence.reason,
        "text": answers[0].text,
        "same_again": evidence.id == answers[1].evidence.id,
        "first_seconds": round(seconds[0], 2),
        "first_cpu_seconds": round(cpu[0], 2),
        "again_seconds": round(seconds[1], 3),
        "figures": [asdict(one) for one in held(evidence, truth)],
    }


def ask_declined(county: County, question: str, reasons: tuple[str, ...]) -> dict[str, Any]:
    """One question that the data cannot carry."""
    evidence = Assistant(county).ask(question, Dialogue()).evidence
    assert evidence is not None
    reason = evidence.reason or evidence.query.reason
    no_figures = not any(one.quantity in FLOWS for one in evidence.figures)
    right = evidence.status != "measured" and reason in reasons and no_figures
    return {"question": question, "status": evidence.status, "reason": reason, "right": right}


def collect(args: argparse.Namespace) -> list[dict[str, Any]]:
    """All counties, those of earlier runs from the work file."""
    settings = {"size": args.size, "seed": args.seed, "cloud_share": args.cloud_share, "plan": asdict(_plan())}
    path = args.work / "counties.jsonl"
    args.work.mkdir(parents=True, exist_ok=True)
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    if lines and json.loads(lines[0]) != json.loads(json.dumps(settings)):
        raise InputError(f"{path}: holds a campaign with the settings {lines[0]}; choose another --work")
    rows = [json.loads(line) for line in lines[1:]]
    done = {row["seed"] for row in rows}
    wanted = range(args.seed, args.seed + args.counties)
    with path.open("a", encoding="utf-8") as file:
        if not lines:
            file.write(json.dumps(settings) + "\n")
            file.flush()
        for seed in tqdm([seed for seed in wanted if seed not in done], "counties", disable=None):
            row = survey_county(seed, args.size, args.cloud_share, args.work / f"county{seed}")
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
            file.flush()
            rows.append(row)
    return sorted((row for row in rows if row["seed"] in wanted), key=lambda row: int(row["seed"]))


def _plan() -> Plan:
    """What all counties share; the seed is each one's own."""
    return replace(DEMO, seed=0)


def summarise(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Coverage, widths, seconds and refusals, over all and by question."""
    answers = [answer for row in rows for answer in row["answers"]]
    by_question = []
    for question in QUESTIONS:
        mine = [answer for answer in answers if answer["question"] == question]
        by_question.append({"question": question, "n": len(mine)} | _coverage(mine) | _seconds(mine))
    declined = [one for row in rows for one in row["declined"]]
    return {
        "all": {"n": len(answers)} | _coverage(answers) | _seconds(answers),
        "questions": by_question,
        "declined": {"n": len(declined), "right": sum(one["right"] for one in declined)},
        "wrongly_declined": sum(answer["status"] != "measured" for answer in answers),
        "declined_wrong": sorted({f"{one['question']} -> {one['reason']}" for one in declined if not one["right"]}),
        "build_seconds": float(np.median([row["build_seconds"] for row in rows])),
    }


def _coverage(answers: list[dict[str, Any]]) -> dict[str, Any]:
    """Share of headline figures, of answers and of figures that hold the truth; half widths."""
    sets = [[Held(**one) for one in answer["figures"]] for answer in answers if answer["figures"]]
    figures = [one for rows in sets for one in rows]
    heads = [rows[0].inside for rows in sets]
    widths = [(one.high - one.low) / 2 / abs(one.value) for one in figures if one.value]
    head_widths = [(rows[0].high - rows[0].low) / 2 / abs(rows[0].value) for rows in sets if rows[0].value]
    return {
        "compared": len(sets),
        "headline": _share(heads),
        "answers": _share([all(one.inside for one in rows) for rows in sets]),
        "figures": _share([one.inside for one in figures]),
        "half_width": _median(widths),
        "headline_half_width": _median(head_widths),
        "error": _median([abs(one.value - one.truth) / abs(one.truth) for one in figures if one.truth]),
        "outside": sorted({one.key for one in figures if not one.inside}),
    }


def _share(hits: list[bool]) -> dict[str, Any] | None:
    """Share with its 95 % interval, taking answers as independent; None of nothing."""
    if not hits:
        return None
    low, high = binomial_limits(sum(hits), len(hits), mid_p=False)
    return {"share": sum(hits) / len(hits), "ci95": [float(low), float(high)], "n": len(hits)}


def _median(values: list[float]) -> float | None:
    return float(np.median(values)) if values else None


def _seconds(answers: list[dict[str, Any]]) -> dict[str, Any]:
    first, again = ([answer[key] for answer in answers] for key in ("first_seconds", "again_seconds"))
    return {
        "first_median": _median(first),
        "first_cpu_median": _median([answer["first_cpu_seconds"] for answer in answers]),
        "first_longest": max(first, default=None),
        "again_longest": max(again, default=None),
        "same_again": all(answer["same_again"] for answer in answers),
    }


def show(result: dict[str, Any]) -> str:
    """The table as text."""
    lines = [f"{'n':>4}{'headline':>10}{'answers':>9}{'figures':>9}{'half':>7}{'first s':>9}{'again s':>9}  question"]
    for row in [*result["questions"], result["all"] | {"question": "all"}]:
        shares = [f"{row[key]['share']:.1%}" if row[key] else "-" for key in ("headline", "answers", "figures")]
        half = f"{row['headline_half_width']:.2f}" if row["headline_half_width"] is not None else "-"
        lines.append(
            f"{row['n']:4d}{shares[0]:>10}{shares[1]:>9}{shares[2]:>9}{half:>7}"
            f"{row['first_longest'] or 0:9.1f}{row['again_longest'] or 0:9.2f}  {row['question']}"
        )
        if row["outside"] and row["question"] != "all":
            lines.append(f"{'':13}outside: {', '.join(row['outside'])}")
    declined = result["declined"]
    lines.append(f"declined rightly {declined['right']} of {declined['n']}; wrongly {result['wrongly_declined']}")
    return "\n".join([*lines, *(f"  {one}" for one in result["declined_wrong"])])


def parse() -> argparse.Namespace:
    """Command line of the campaign."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--counties", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1000, help="of the first county; the next ones follow")
    parser.add_argument("--size", type=int, default=DEMO.size, help="pixels on a side (default %(default)s)")
    parser.add_argument("--cloud_share", type=float, default=DEMO.cloud_share, help="of dates that are not cloudy")
    parser.add_argument("--work", type=Path, default=Path("output/benchmark_assistant"))
    parser.add_argument("--out", type=Path, help="write the result here")
    return parser.parse_args()


def main() -> int:
    """Run or finish the campaign, print the table, then one JSON line; 1 where the bounds do not hold the truth."""
    args, started = parse(), time.time()
    print(f"{args.counties} counties of {args.size} px, {len(QUESTIONS)} questions each; kept in {args.work}")
    rows = collect(args)
    summary = summarise(rows)
    print(show(summary))
    headline = summary["all"]["headline"]
    passed = headline is not None and headline["share"] >= GOAL and not summary["declined_wrong"]
    result = provenance(args, started, "evaluation.benchmarks.assistant")
    result |= {"n": summary["all"]["n"], "passed": passed and not summary["wrongly_declined"]} | summary
    print(json.dumps(result, ensure_ascii=False))
    if args.out:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(json.dumps(result | {"counties": rows}, ensure_ascii=False, indent=1) + "\n", "utf-8")
    return 0 if result["passed"] else 1


if __name__ == "__main__":
    run_command(main)
