"""Statistics of a judge's marks: one run, or two side by side, with a report that a person can read.

    python -m evaluation.scores.statistic --marks OUT/mark/3b-gene --predictions OUT/3b-gene --out OUT/report
    python -m evaluation.scores.statistic --marks OUT/mark/3b-gene OUT/mark/3b-peft-gene \\
        --predictions OUT/3b-gene OUT/3b-peft-gene --out OUT/report --report OUT/report.json --lang en

Writes report.md, report.html (pictures inside), the pictures, and statistic.json.
With two runs the first is "before", the second "after"; valid_rate, scores and
floors at the top of the result are those of the last. Floors: a folder of marks
(--blind, --shuffled, --majority), or answers with blank or other pictures
(--floor_predictions), which are scored by their words in common with the
reference. Not covered: short answers with one right form (rule_scores).
"""

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from evaluation.scores.marks import (
    COMPOSITE,
    RULES,
    Run,
    difference_figures,
    floor_scores,
    run_figures,
    run_of,
)
from evaluation.scores.overlap import overlap_figures
from evaluation.scores.preference import Preferences, by_score, by_verdicts, preference_figures
from evaluation.scores.reading import Key, Marks, Prediction, Verdict, read_marks, read_pairs, read_predictions
from evaluation.scores.report import FLOORS, Story, write_report
from evaluation.scores.report_text import LANGUAGES
from evaluation.scores.summary import origin, summary, write_json
from src.errors import InputError, run_command


def compare(first: Run, second: Run, verdicts: Sequence[Verdict], seed: int = 0) -> dict[str, Any]:
    """The second run against the first, on the questions that both have.

    Args:
        first: the run before.
        second: the run after.
        verdicts: of a pairwise judge, "a" the first run; () for none.
        seed: of the resampling.

    Returns:
        ``difference`` (second minus first, per column), ``by_score`` and ``by_judge`` (win rates; None
        without verdicts), and how many questions only one run has.

    Raises:
        InputError: no question in common, or verdicts on questions that a run lacks.
    """
    own = set(second.keys)
    keys = [key for key in first.keys if key in own]
    if not keys:
        raise InputError(f"{first.name} and {second.name} have no question in common: give marks of one benchmark")
    a, b = first.at(keys), second.at(keys)
    scored = Preferences(a.dialogues, by_score(a.column(COMPOSITE), b.column(COMPOSITE)), b.lengths - a.lengths)
    return {
        "first": first.name,
        "second": second.name,
        "n": len(keys),
        "only_first": len(first.keys) - len(keys),
        "only_second": len(second.keys) - len(keys),
        "difference": difference_figures(a, b, seed),
        "by_score": preference_figures(scored, seed),
        "by_judge": _by_judge(a, b, verdicts, seed) if verdicts else None,
    }


def _by_judge(first: Run, second: Run, verdicts: Sequence[Verdict], seed: int) -> dict[str, Any]:
    wins, orders = by_verdicts(verdicts)
    strange = sorted(set(wins) - (set(first.keys) & set(second.keys)))
    if strange:
        raise InputError(f"--pairs: {len(strange)} verdicts on questions that the runs lack, first {strange[0]}")
    keys = list(wins)
    longer = second.at(keys).lengths - first.at(keys).lengths
    found = Preferences(tuple(key[0] for key in keys), np.asarray([wins[key] for key in keys]), longer)
    return preference_figures(found, seed) | {"orders": orders}


def floors_of(
    marks: dict[str, Marks | None],
    predictions: Sequence[Prediction],
    others: Sequence[Prediction],
    rule: str,
    seed: int,
) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """Floors by name, judged and by words in common, and the run's own words in common.

    Args:
        marks: of each of FLOORS, None where not judged.
        predictions: of the run itself; () for none.
        others: answers with blank or other pictures.
        rule: of the composite.
        seed: of the resampling.
    """
    words = overlap_figures(predictions, others, seed) if predictions else {}
    floors: dict[str, Any] = {}
    for name in FLOORS:
        judged, given = marks[name], words.get(name)
        found = floor_scores(run_figures(run_of(judged.name, judged.rows, (), rule), seed)) if judged else {}
        floors[name] = (found | ({"overlap": given} if given else {})) or None
    return floors, words.get("run")


def statistic(
    marks: Sequence[Marks],
    predictions: Sequence[Sequence[Prediction]] = (),
    verdicts: Sequence[Verdict] = (),
    floor_marks: dict[str, Marks | None] | None = None,
    floor_predictions: Sequence[Prediction] = (),
    rule: str = "mean",
    seed: int = 0,
) -> tuple[dict[str, Any], tuple[Run, ...]]:
    """All figures of one or two runs.

    Args:
        marks: one run, or before and after.
        predictions: of each run in the same order, or ().
        verdicts: of a pairwise judge.
        floor_marks: marks of floors by name.
        floor_predictions: answers with blank or other pictures.
        rule: "mean" or "legacy".
        seed: of the resampling.

    Returns:
        The blocks of ``summary`` without where they come from, and the runs.

    Raises:
        InputError: runs, marks and predictions that do not belong together.
    """
    answers = [*predictions] or [()] * len(marks)
    if not 1 <= len(marks) <= 2 or len(answers) != len(marks):
        raise InputError(
            f"--marks names {len(marks)} folders and --predictions {len(predictions)}: expected one or two runs, "
            "and as many predictions or none"
        )
    names = _names(marks)
    runs = tuple(run_of(*item, rule) for item in zip(names, (m.rows for m in marks), answers, strict=True))
    figures = [run_figures(run, seed) for run in runs]
    judged = {name: None for name in FLOORS} | (floor_marks or {})
    floors, words = floors_of(judged, answers[-1], floor_predictions, rule, seed)
    if verdicts and len(runs) < 2:
        raise InputError("--pairs compares two runs: give --marks two folders")
    own = {mark.self_judged for mark in marks}
    details: dict[str, Any] = {
        "rule": rule,
        "n": figures[-1]["n"],
        "judges": sorted({name for mark in marks for name in mark.judges}),
        "self_judged": True if True in own else None if None in own else False,
        "images_shown": sorted({shown for mark in marks for shown in mark.images_shown}),
        "runs": figures,
        "compare": compare(*runs, verdicts, seed) if len(runs) == 2 else None,
    }
    scores = figures[-1]["scores"] | ({"overlap": words} if words else {})
    return summary(valid_rate=figures[-1]["valid_rate"], scores=scores, **floors, **details), runs


def _names(marks: Sequence[Marks]) -> list[str]:
    names = [mark.name for mark in marks]
    return names if len(set(names)) == len(names) else [f"{name} ({i})" for i, name in enumerate(names, 1)]


def text_table(result: dict[str, Any]) -> str:
    """The figures of the runs as text."""
    lines = [f"{'run':24} {'column':34} {'valid':>6} {'95 %':>14} {'all':>6}"]
    for run in result["runs"]:
        for name, row in run["scores"].items():
            values = [_shown(row[key]["value"]) for key in ("valid", "all")]
            limits = "{:.2f} to {:.2f}".format(*row["valid"]["ci95"]) if row["valid"]["ci95"] else "-"
            lines.append(f"{run['name']:24} {name:34} {values[0]:>6} {limits:>14} {values[1]:>6}")
        lines.append(f"{run['name']:24} valid {run['valid']} of {run['n']}, mean length {run['length']['mean']}")
    if result["compare"]:
        rate, equal = (result["compare"]["by_score"][key] for key in ("win_rate", "win_rate_equal_length"))
        lines.append(f"wins of the second {_shown(rate['value'])}, at equal length {_shown(equal['value'])}")
    return "\n".join(lines)


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def parse() -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--marks", type=Path, nargs="+", required=True, help="folder of marks; two to compare them")
    parser.add_argument("--predictions", type=Path, nargs="+", default=[], help="the answers of each run, same order")
    parser.add_argument("--pairs", type=Path, help="pairwise verdicts (JSONL); order ab shows the first run first")
    parser.add_argument("--floor_predictions", type=Path, nargs="+", default=[], help="blank or shuffled answers")
    for name in FLOORS:
        parser.add_argument(f"--{name}", type=Path, help=f"folder of marks of the floor {name}")
    parser.add_argument("--rule", choices=RULES, default="mean", help="legacy: the overall score counts six-fold")
    parser.add_argument("--lang", choices=LANGUAGES, default="zh", help="of the report")
    parser.add_argument("--seed", type=int, default=0, help="of the resampling")
    parser.add_argument("--out", type=Path, required=True, help="folder of the report")
    parser.add_argument("--report", type=Path, help="write the result file here too")
    parser.add_argument("--json", action="store_true", help="print the result as JSON and nothing else")
    return parser.parse_args()


def main() -> int:
    """Read, compute, write the report; 1 where no mark is valid."""
    args, started = parse(), time.time()
    marks = [read_marks(folder) for folder in args.marks]
    predictions = [read_predictions([path]) for path in args.predictions]
    floors = {name: read_marks(folder) if (folder := getattr(args, name)) else None for name in FLOORS}
    others = read_predictions(args.floor_predictions) if args.floor_predictions else []
    verdicts = read_pairs(args.pairs) if args.pairs else []
    result, runs = statistic(marks, predictions, verdicts, floors, others, args.rule, args.seed)
    result = origin(args, started, "evaluation.scores.statistic") | result
    answers: dict[Key, Prediction] = {row.key: row for row in predictions[-1]} if predictions else {}
    story = Story(result, runs, {mark.key: mark for mark in marks[-1].rows}, answers)
    files = write_report(story, args.out, args.lang)
    for path in (args.out / "statistic.json", args.report):
        if path:
            write_json(path, result)
    print(json.dumps(result, ensure_ascii=False) if args.json else text_table(result))
    if not args.json:
        print(f"wrote {', '.join(path.name for path in files)} and statistic.json to {args.out}")
    return 0 if result["valid_rate"] else 1


if __name__ == "__main__":
    run_command(main)
