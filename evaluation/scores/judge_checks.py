"""Can this judge be believed? Checks on a sample of questions, before its scores are.

    python -m evaluation.scores.judge_checks --answers OUT/3b-gene --judge models/Qwen2.5-VL-3B-Instruct \\
        --image_folder data --limit_questions 100 --human human.jsonl --out OUT/judge_checks.json
    python -m evaluation.scores.judge_checks --answers OUT/nano-gene --judge assets/nano --no_images

- order: the reference given as an answer should score above the real answer,
  that above an answer to another question, and that above no answer at all;
- test-retest: explanations sampled twice with other seeds, and once more with
  the first seed, which must give the very same scores;
- position: two answers compared in both orders; a judge that looks at them
  and not at their place chooses the same one twice;
- people: agreement with a file of human scores, a line each
  {"id", "turn", "overall": 1..10} with any dimension beside it.

``--against DIR`` compares the answers with another model's instead of with
answers to other questions; ``--pairs FILE`` keeps the verdicts for
statistic.py ("ab": the answers of --answers stand first). A table, then one
JSON line.
"""

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from evaluation.scores.judge import (
    add_judge_arguments,
    case_of,
    connect,
    figure,
    image_files,
    judge_options,
    judge_origin,
    read_answers,
    shown_interval,
)
from evaluation.scores.judge_agreement import agreement
from evaluation.scores.judge_prompt import CRITERIA
from evaluation.scores.judge_scoring import Judge, Mark
from evaluation.scores.reading import json_lines
from evaluation.scores.summary import write_json
from src.dataset.images import load_image
from src.errors import BadRowError, InputError, MissingPathError, run_command

KINDS = ("reference", "real", "shuffled", "empty")
_RETEST_TEMPERATURE = 0.7


@dataclass(frozen=True)
class Question:
    """One answered question of the sample.

    Args:
        id: of its dialogue.
        turn: its line in the answers.
        number: of the turn.
        pictures: files to show.
        other: an answer to another question, or the other model's to this one.
    """

    id: str
    turn: dict[str, Any]
    number: int
    pictures: tuple[Path, ...]
    other: str = ""

    @property
    def key(self) -> tuple[str, int]:
        """Dialogue and turn."""
        return self.id, self.number


def read_questions(args: argparse.Namespace, folder: Path) -> list[Question]:
    """Every answered question of a folder, in order."""
    found = []
    for answers in read_answers(folder)[: args.limit]:
        pictures = tuple(image_files(answers, args))
        for index, turn in enumerate(answers.turns):
            if turn["status"] == "ok":
                found.append(Question(answers.id, turn, int(turn.get("turn", index)), pictures))
    return found


def sample(questions: Sequence[Question], count: int, seed: int, keep: set[tuple[str, int]]) -> list[Question]:
    """Some questions in their order, each with an answer to another one.

    Args:
        questions: all.
        count: how many at most, beside those to keep.
        seed: of the choice.
        keep: keys of questions that are always in it.

    Raises:
        InputError: fewer than two questions.
    """
    if len(questions) < 2:
        raise InputError(f"{len(questions)} answered questions: the checks need two or more")
    rng = np.random.default_rng(seed)
    drawn = set(rng.permutation(len(questions))[:count].tolist())
    picked = [i for i, question in enumerate(questions) if i in drawn or question.key in keep]
    return [replace(questions[i], other=_stray(questions, i, rng)) for i in picked]


def _stray(questions: Sequence[Question], index: int, rng: np.random.Generator) -> str:
    """A real answer to another question, of another dialogue where there is one."""
    own = questions[index].id
    others = [i for i, question in enumerate(questions) if question.id != own]
    others = others or [i for i in range(len(questions)) if i != index]
    return str(questions[int(rng.choice(others))].turn["prediction"])


def against(questions: Sequence[Question], others: Sequence[Question]) -> list[Question]:
    """The questions that another model answered too, with its answers.

    Raises:
        InputError: there is none.
    """
    given = {other.key: str(other.turn["prediction"]) for other in others}
    shared = [replace(question, other=given[question.key]) for question in questions if question.key in given]
    if not shared:
        raise InputError("--against: no question that both models answered; expected answers to the same set")
    return shared


def overall(mark: Mark) -> float:
    """The overall score of a valid mark."""
    assert mark.overall is not None
    return mark.overall


def order_check(judge: Judge, questions: Sequence[Question], pictures: "Pictures", seed: int) -> dict[str, Any]:
    """Scores of the reference, the real answer, an answer to another question and none, as an answer."""
    marks: dict[str, list[Mark]] = {kind: [] for kind in KINDS}
    for question in tqdm(questions, desc="order", disable=None):
        texts = (question.turn["answer"], question.turn["prediction"], question.other, "")
        for kind, text in zip(KINDS, texts, strict=True):
            marks[kind].append(judge.grade(case_of(question.turn, pictures(question), text)))
    whole = [i for i in range(len(questions)) if all(marks[kind][i].valid for kind in KINDS)]
    places = [questions[i].id for i in whole]
    scores = {kind: np.array([overall(marks[kind][i]) for i in whole]) for kind in KINDS}
    steps = list(zip(KINDS, KINDS[1:], strict=False))
    report: dict[str, Any] = {"n": len(whole), "valid_rate": _rate([m for kind in KINDS for m in marks[kind]])}
    if not whole:
        return report | {"scores": {}, "steps": {}, "as_expected": False, "beyond_doubt": False}
    report["scores"] = {kind: figure(values, places, seed) for kind, values in scores.items()}
    report["steps"] = {
        f"{better} - {worse}": figure(scores[better] - scores[worse], places, seed)
        | {"share_above": figure(scores[better] > scores[worse], places, seed)}
        for better, worse in [*steps, ("real", "empty")]
    }
    report["dimensions"] = {
        key: {kind: round(float(np.mean([marks[kind][i].scores[key] for i in whole])), 4) for kind in KINDS}
        for key in CRITERIA
        if key != "overall"
    }
    named = [report["steps"][f"{better} - {worse}"] for better, worse in steps]
    report["as_expected"] = all(step["value"] > 0 for step in named)
    report["beyond_doubt"] = all(step["ci95"] is not None and step["ci95"][0] > 0 for step in named)
    return report


def retest_check(judge: Judge, questions: Sequence[Question], pictures: "Pictures", seed: int) -> dict[str, Any]:
    """The same answers twice with other seeds, and again with the first one."""
    runs = []
    for draw in (0, 1, 0):
        options = replace(judge.options, temperature=_RETEST_TEMPERATURE, seed=seed + draw)
        again = Judge(judge.backend, options)
        again.by_probability = judge.by_probability
        # Without this, what is kept of the last run may change the last digits of this one.
        again.forget()
        named = tqdm(questions, desc="test-retest", disable=None)
        runs.append([again.grade(case_of(question.turn, pictures(question))) for question in named])
    whole = [i for i in range(len(questions)) if runs[0][i].valid and runs[1][i].valid]
    first, second = ([overall(run[i]) for i in whole] for run in runs[:2])
    report = agreement(first, second, [questions[i].id for i in whole], seed)
    return report | {"same_seed_same_result": runs[0] == runs[2]}


def position_check(
    judge: Judge, questions: Sequence[Question], pictures: "Pictures", seed: int
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Real against other answers, each pair in both orders.

    Returns:
        Figures, and the verdicts as statistic.py reads them.
    """
    verdicts = []
    for question in tqdm(questions, desc="position", disable=None):
        real, other = question.turn["prediction"], question.other
        for order, shown, second in (("ab", real, other), ("ba", other, real)):
            better = judge.prefer(case_of(question.turn, pictures(question), shown), second)
            better = better if better is None else round(better, 6)
            verdicts.append({"id": question.id, "turn": question.number, "order": order, "first_better": better})
    pairs = [
        (question.id, ab["first_better"], ba["first_better"])
        for question, ab, ba in zip(questions, verdicts[::2], verdicts[1::2], strict=True)
        if ab["first_better"] is not None and ba["first_better"] is not None
    ]
    report: dict[str, Any] = {"n": len(pairs), "unreadable": len(questions) - len(pairs)}
    if not pairs:
        return report, verdicts
    places = [place for place, _, _ in pairs]
    ab, ba = np.array([row[1:] for row in pairs], dtype=float).T
    # The mean over both orders cancels a liking for a place; rounded, so that a tie is one.
    preferred = np.round((ab + 1 - ba) / 2, 6)
    return report | {
        "first_place": figure((ab + ba) / 2, places, seed),
        "same_choice_in_both_orders": figure((ab > 0.5) == (ba < 0.5), places, seed),
        "prefers_the_answer": figure((preferred > 0.5) + 0.5 * (preferred == 0.5), places, seed),
    }, verdicts


def read_human(path: Path) -> dict[tuple[str, int], dict[str, float]]:
    """Human scores by dialogue and turn.

    Raises:
        MissingPathError: no such file.
        BadRowError: a line without scores from 1 to 10.
    """
    if not path.is_file():
        raise MissingPathError(f"--human {path}: no such file")
    scores = {}
    for index, row in json_lines(path):
        given = {key: row[key] for key in CRITERIA if key in row} if isinstance(row, dict) and "id" in row else {}
        fit = all(isinstance(value, int | float) and 1 <= value <= 10 for value in given.values())
        if not given or not fit:
            raise BadRowError(index, 'expected {"id", "turn", "overall": 1..10, ...}', path.name)
        scores[str(row["id"]), int(row.get("turn", 0))] = given
    return scores


def human_check(
    judge: Judge,
    questions: Sequence[Question],
    pictures: "Pictures",
    human: dict[tuple[str, int], dict[str, float]],
    seed: int,
) -> dict[str, Any]:
    """Agreement with people, per criterion that they scored."""
    graded = []
    for question in tqdm([one for one in questions if one.key in human], desc="people", disable=None):
        mark = judge.grade(case_of(question.turn, pictures(question)))
        if mark.valid:
            graded.append((question, mark.scores | {"overall": overall(mark)}))
    report: dict[str, Any] = {"scored_by_people": len(human), "n": len(graded)}
    for key in CRITERIA:
        both = [(q.id, scores[key], human[q.key][key]) for q, scores in graded if key in human[q.key]]
        if both:
            places, own, theirs = zip(*both, strict=True)
            report[key] = agreement(own, theirs, places, seed)
    return report


def _rate(marks: Sequence[Mark]) -> float | None:
    return round(sum(mark.valid for mark in marks) / len(marks), 4) if marks else None


class Pictures:
    """Opens the pictures of a question; those of the last dialogue stay open."""

    def __init__(self) -> None:
        self._paths: tuple[Path, ...] = ()
        self._open: list[Any] = []

    def __call__(self, question: Question) -> list[Any]:
        """Its pictures."""
        if question.pictures != self._paths:
            self._paths, self._open = question.pictures, [load_image(path) for path in question.pictures]
        return self._open


def table(report: dict[str, Any]) -> str:
    """The figures as text."""

    def line(name: str, row: dict[str, Any] | None) -> str:
        value = "-" if row is None or row["value"] is None else f"{row['value']:.3f}"
        return f"{name:38} {value:>8} {shown_interval(row) if row else '-':>16}"

    order, retest, position, human = (report[name] for name in ("order", "test_retest", "position", "human"))
    lines = [f"{'check':38} {'value':>8} {'95 %':>16}"]
    lines += [line(f"overall score, {kind}", row) for kind, row in order["scores"].items()]
    lines += [line(name, row) for name, row in order["steps"].items()]
    lines += [line("test-retest: Spearman", retest["spearman"])]
    lines += [line("test-retest: absolute difference", retest["mean_absolute_difference"])]
    names = {"first_place": "chooses the first place", "same_choice_in_both_orders": "same choice in both orders"}
    lines += [line(f"position: {text}", position.get(key)) for key, text in names.items()]
    lines += [line("position: prefers the answer", position.get("prefers_the_answer"))]
    for key in CRITERIA if human else ():
        if key in human:
            lines += [line(f"people, {key}: kappa", human[key]["kappa"])]
            lines += [line(f"people, {key}: Spearman", human[key]["spearman"])]
    verdict = "as it should be" if order["as_expected"] else "NOT as it should be"
    doubt = "every step beyond doubt" if order["beyond_doubt"] else "not every step beyond doubt"
    return "\n".join([*lines, f"order of the four kinds of answers: {verdict}, {doubt}"])


def parse() -> argparse.Namespace:
    """Command line of the checks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_judge_arguments(parser)
    parser.add_argument("--limit_questions", type=int, default=100, help="questions in the sample")
    parser.add_argument("--human", type=Path, help="JSONL of human scores")
    parser.add_argument("--against", type=Path, help="another model's answers to the same set, for the pairs")
    parser.add_argument("--pairs", type=Path, help="keep the pairwise verdicts as JSONL")
    parser.add_argument("--out", type=Path, help="keep the report as JSON")
    return parser.parse_args()


def main() -> int:
    """Run the checks, print the table, write the report; 1 where the judge gave no usable score."""
    args, started = parse(), time.time()
    human = read_human(args.human) if args.human else {}
    everything = read_questions(args, args.answers)
    questions = sample(everything, args.limit_questions, args.seed, set(human))
    compared = against(questions, read_questions(args, args.against)) if args.against else questions
    if human and not any(question.key in human for question in questions):
        raise InputError(f"{args.human}: none of its questions is in {args.answers}")
    judge, pictures = Judge(connect(args), judge_options(args)), Pictures()
    try:
        order = order_check(judge, questions, pictures, args.seed)
        retest = retest_check(judge, questions, pictures, args.seed)
        position, verdicts = position_check(judge, compared, pictures, args.seed)
        people = human_check(judge, questions, pictures, human, args.seed) if human else None
    finally:
        judge.backend.close()
    report = judge_origin(args, started, "evaluation.scores.judge_checks") | {
        "n": len(questions),
        "images_shown": not args.no_images,
        "by_probability": judge.by_probability,
        "order": order,
        "test_retest": retest,
        "position": position,
        "human": people,
    }
    if args.pairs:
        args.pairs.parent.mkdir(parents=True, exist_ok=True)
        args.pairs.write_text("".join(json.dumps(row) + "\n" for row in verdicts), encoding="utf-8")
    if args.out:
        write_json(args.out, report)
    print(table(report))
    print(json.dumps(report, ensure_ascii=False))
    return 0 if order["n"] else 1


if __name__ == "__main__":
    run_command(main)
