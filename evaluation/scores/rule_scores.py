"""Score short answers by rule: RSVQA's official accuracies, with floors, format and intervals.

    python -m evaluation.scores.rule_scores --predictions OUT/lr.jsonl --dataset rsvqa_lr --out OUT/report.json
    python -m evaluation.scores.rule_scores --predictions OUT/*.jsonl --dataset landuse --train train.jsonl --json

Every question counts: a failed generation and an empty answer are wrong, and
count questions are never left out. An answer is right when the whole text names
the reference's class; what a wordy answer says is reported apart
(``accuracy_in_words``), as are exact match before binning and the share of
answers in the asked format. Floors on the same questions: the most frequent
answer of each type, and the model with blank or exchanged pictures where the
predictions hold such rows ("condition"). Intervals resample whole pictures.

Not covered: open answers (evaluation.scores.judge) and published "Avg" columns
of subsets; the average without numbers is given under its own name.
"""

import argparse
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from json import dumps
from pathlib import Path
from typing import Any

import numpy as np

from evaluation.scores.bootstrap import estimate, ratio, resampled
from evaluation.scores.reading import Prediction, json_lines, read_predictions
from evaluation.scores.rsvqa_official import KINDS, NON_NUMERIC, XBEN_ANSWERS, Label, normalized, type_of
from evaluation.scores.summary import origin, summary, write_json
from src.dataset.store import ConversationStore
from src.errors import BadRowError, InputError, MissingPathError, run_command

FLOORS = {"blind": "blank", "shuffled": "shuffled"}
# Columns of one question, each 0 or 1: what happened to its answer.
_OWN = ("n", "answered", "correct", "exact", "in_words", "checkable", "followed", "followed_right", "majority")
COLUMNS = (*_OWN, *(f"{floor}_{part}" for floor in FLOORS for part in ("n", "model", "correct")))


@dataclass(frozen=True)
class Question:
    """One question as it is scored: its type, and the class of its reference."""

    row: Prediction
    type: str
    label: Label


@dataclass(frozen=True)
class Table:
    """Sums that all figures are made of.

    Args:
        types: names in the dataset's order, only those that occur.
        totals: (T, C) float, sums per type of COLUMNS.
        draws: (R, T, C) the same sums of every resample.
    """

    types: tuple[str, ...]
    totals: np.ndarray
    draws: np.ndarray

    def per_type(self, top: str, bottom: str) -> dict[str, dict[str, Any]]:
        """Ratio of two columns of every type."""
        value, draws = (ratio(*self._pair(sums, top, bottom)) for sums in (self.totals, self.draws))
        return {name: estimate(value[i], draws[:, i]) for i, name in enumerate(self.types)}

    def average(self, top: str, bottom: str, only: Sequence[str] | None = None) -> dict[str, Any]:
        """AA: the mean of the types' ratios, each type with the same weight."""
        picked = self._picked(only)
        value, draws = (ratio(*self._pair(s, top, bottom))[..., picked].mean(-1) for s in (self.totals, self.draws))
        return estimate(float(value), draws)

    def overall(self, top: str, bottom: str, only: Sequence[str] | None = None) -> dict[str, Any]:
        """OA: the ratio over all questions."""
        picked = self._picked(only)
        pairs = (self._pair(sums[..., picked, :], top, bottom) for sums in (self.totals, self.draws))
        value, draws = (ratio(a.sum(-1), b.sum(-1)) for a, b in pairs)
        return estimate(float(value), draws)

    def gain(self, floor: str) -> dict[str, Any]:
        """OA of the model minus OA of a floor, both on the questions that the floor has."""
        at = [COLUMNS.index(f"{floor}_{part}") for part in ("model", "correct", "n")]
        model, other, count = self.totals.sum(0)[at]
        drawn = self.draws.sum(1)[:, at]
        return estimate(float(ratio(model - other, count)), ratio(drawn[:, 0] - drawn[:, 1], drawn[:, 2]))

    def count(self, column: str) -> dict[str, int]:
        """Sum of a column per type."""
        return {name: int(self.totals[i, COLUMNS.index(column)]) for i, name in enumerate(self.types)}

    def _pair(self, sums: np.ndarray, top: str, bottom: str) -> tuple[np.ndarray, np.ndarray]:
        return sums[..., COLUMNS.index(top)], sums[..., COLUMNS.index(bottom)]

    def _picked(self, only: Sequence[str] | None) -> list[int]:
        return [i for i, name in enumerate(self.types) if only is None or name in only]


def questions(rows: Iterable[Prediction], dataset: str) -> list[Question]:
    """Rows with their type and the class of their reference.

    Raises:
        BadRowError: a type that the dataset does not have, or a reference that is no answer of its type.
    """
    found = []
    for index, row in enumerate(rows):
        name = type_of(dataset, row.question_type, row.reference)
        if name is None:
            expected = ", ".join(KINDS[dataset])
            raise BadRowError(index, f"{row.key}: question_type {row.question_type!r}, expected one of {expected}")
        label = KINDS[dataset][name].label(row.reference)
        if label is None:
            raise BadRowError(index, f"{row.key}: reference {row.reference!r} is no answer of type {name} in {dataset}")
        found.append(Question(row, name, label))
    return found


def correct(dataset: str, question: Question, answer: Prediction) -> bool:
    """Whether the whole answer names the class of the reference; never for a failed or empty one."""
    kind = KINDS[dataset][question.type]
    label = kind.label(answer.text) if answer.ok else None
    return label is not None and kind.same(label, question.label)


def exact_match(prediction: str, reference: str) -> bool:
    """Strict: the same text but for case, spaces, width and a full stop; never for an empty answer."""
    return normalized(prediction) != "" and normalized(prediction) == normalized(reference)


def score(dataset: str, question: Question, majority: Label | None, floors: dict[str, Prediction]) -> list[float]:
    """The COLUMNS of one question.

    Args:
        dataset: a key of KINDS.
        question: with the answer to score.
        majority: class that the majority floor gives for its type; None where training never saw the type.
        floors: the answers to the same question by floor name, where there are any.
    """
    row, kind = question.row, KINDS[dataset][question.type]
    wordy = kind.label_in_words(row.text) if row.ok else None
    right = correct(dataset, question, row)
    # Any text may be a list of classes, so there is no format to follow.
    checkable = row.ok and kind.find is not None
    followed = checkable and kind.label(row.text) is not None
    values = [
        1.0,
        row.ok,
        right,
        row.ok and exact_match(row.text, row.reference),
        wordy is not None and kind.same(wordy, question.label),
        checkable,
        followed,
        followed and right,
        majority is not None and kind.same(majority, question.label),
    ]
    for name in FLOORS:
        other = floors.get(name)
        values += [other is not None, other is not None and right]
        values.append(other is not None and correct(dataset, question, other))
    return [float(value) for value in values]


def tabulate(
    dataset: str, asked: Sequence[Question], majority: dict[str, Label], floors: dict[str, list[Prediction]], seed: int
) -> Table:
    """Score all questions and resample them by picture."""
    answers = {name: {row.key: row for row in rows} for name, rows in floors.items()}
    types = tuple(name for name in KINDS[dataset] if any(q.type == name for q in asked))
    columns = np.zeros((len(asked), len(types), len(COLUMNS)))
    for i, question in enumerate(asked):
        found = {name: rows[question.row.key] for name, rows in answers.items() if question.row.key in rows}
        columns[i, types.index(question.type)] = score(dataset, question, majority.get(question.type), found)
    flat = columns.reshape(len(asked), -1)
    draws = resampled(flat, [question.row.cluster for question in asked], seed)
    return Table(types, columns.sum(0), draws.reshape(len(draws), len(types), len(COLUMNS)))


def majority_labels(pairs: Iterable[tuple[str, Label]]) -> dict[str, Label]:
    """The most frequent class of every type; the first by name among equals, so that order does not matter."""
    counts: dict[str, Counter[Label]] = defaultdict(Counter)
    for name, label in pairs:
        counts[name][label] += 1
    return {name: min(seen, key=lambda label: (-seen[label], str(label))) for name, seen in counts.items()}


def training_answers(path: Path) -> Iterator[tuple[str | None, str]]:
    """Type and reference of every training question: a predictions file, or any data file that training takes.

    Raises:
        MissingPathError: no such file.
    """
    if not path.exists():
        raise MissingPathError(f"{path}: no such training file")
    if path.suffix == ".jsonl":
        first = next((row for _, row in json_lines(path)), None)
        if isinstance(first, dict) and "answer" in first:
            yield from ((row.get("question_type"), str(row["answer"])) for _, row in json_lines(path))
            return
    for row in ConversationStore(path):
        yield from ((row.meta.get("question_type"), turn.text()) for turn in row.turns if turn.role == "assistant")


def training_labels(path: Path, dataset: str) -> tuple[list[tuple[str, Label]], set[str]]:
    """Type and class of every training question that the dataset can score, and its most frequent answers."""
    labels, texts = [], Counter[str]()
    for question_type, reference in training_answers(path):
        name = type_of(dataset, question_type, reference)
        label = KINDS[dataset][name].label(reference) if name else None
        if name and label is not None:
            labels.append((name, label))
            texts[normalized(reference)] += 1
    if not labels:
        raise InputError(f"{path.name}: no training question of a type that {dataset} has")
    return labels, {text for text, _ in texts.most_common(XBEN_ANSWERS)}


def figures(table: Table, dataset: str) -> dict[str, Any]:
    """Scores and floors, in the shape of ``summary``."""
    plain = [name for name in table.types if name in NON_NUMERIC]
    per_type: dict[str, dict[str, Any]] = {name: {"n": n} for name, n in table.count("n").items()}
    columns = {
        "accuracy": ("correct", "n"),
        "accuracy_answered": ("correct", "answered"),
        "exact_match": ("exact", "n"),
    }
    columns |= {"accuracy_in_words": ("in_words", "n"), "followed_format": ("followed", "checkable")}
    for title, pair in columns.items():
        for name, figure in table.per_type(*pair).items():
            per_type[name][title] = figure
    scores = {
        "AA": table.average("correct", "n"),
        "OA": table.overall("correct", "n"),
        "OA_answered": table.overall("correct", "answered"),
        "exact_match": table.overall("exact", "n"),
    }
    if dataset in ("rsvqa_lr", "rsvqa_hr") and plain:
        scores["without_numbers"] = {
            "types": plain,
            "AA": table.average("correct", "n", plain),
            "OA": table.overall("correct", "n", plain),
        }
    return {
        "scores": scores | {"per_type": per_type},
        "format": {
            "followed": table.overall("followed", "checkable"),
            "accuracy_when_followed": table.overall("followed_right", "followed"),
            "accuracy_in_words": table.overall("in_words", "n"),
        },
        "majority": _floor(table, "majority", "n"),
        "blind": _floor(table, "blind_correct", "blind_n"),
        "shuffled": _floor(table, "shuffled_correct", "shuffled_n"),
        "over_floor": {name: table.gain(name) for name in FLOORS if sum(table.count(f"{name}_n").values())},
    }


def _floor(table: Table, top: str, bottom: str) -> dict[str, Any] | None:
    count = sum(table.count(bottom).values())
    if not count:
        return None
    accuracy = table.per_type(top, bottom)
    return {"n": count, "AA": table.average(top, bottom), "OA": table.overall(top, bottom), "per_type": accuracy}


def rule_scores(
    predictions: Sequence[Prediction], dataset: str, train: Path | None = None, seed: int = 0
) -> dict[str, Any]:
    """All figures of one set of predictions.

    Args:
        predictions: rows of all conditions.
        dataset: a key of KINDS.
        train: training questions for the majority floor; None takes the references of the test set itself.
        seed: of the resampling.

    Returns:
        The blocks of ``summary``, without where they come from. Figures are shares 0..1 with 95 % intervals.

    Raises:
        InputError: no answer that was given with its own pictures.
        BadRowError: a type or a reference that the dataset does not have.
    """
    rows = [row for row in predictions if row.condition == "images"]
    if not rows:
        raise InputError('no prediction with "condition": "images", expected the answers to score')
    asked, outside = questions(rows, dataset), 0
    source, pairs = "references of the test set", [(q.type, q.label) for q in asked]
    if train:
        pairs, frequent = training_labels(train, dataset)
        source = f"training answers ({train.name})"
        if dataset == "rsvqa_xben":
            kept = [q for q in asked if normalized(q.row.reference) in frequent]
            asked, outside = kept, len(asked) - len(kept)
    if not asked:
        raise InputError(f"{train}: no reference of the test set is among its {XBEN_ANSWERS} most frequent answers")
    majority = majority_labels(pairs)
    floors = {name: [row for row in predictions if row.condition == word] for name, word in FLOORS.items()}
    table = tabulate(dataset, asked, majority, floors, seed)
    found = figures(table, dataset)
    found["majority"] |= {"source": source, "answers": majority}
    answered = sum(q.row.ok for q in asked)
    details: dict[str, Any] = {
        "dataset": dataset,
        "n": len(asked),
        "pictures": len({q.row.cluster for q in asked}),
        "failed": len(asked) - answered,
        "empty": sum(q.row.ok and not q.row.text.strip() for q in asked),
        "outside_vocabulary": outside,
        "types_missing": [name for name in KINDS[dataset] if name not in table.types],
    }
    return summary(valid_rate=round(answered / len(asked), 4), **found, **details)


def text_table(result: dict[str, Any]) -> str:
    """The figures as text, in percent."""
    lines = [f"{'':16} {'n':>7} {'accuracy':>9} {'95 %':>15} {'exact':>7} {'format':>7}" + _heads()]
    for name, row in result["scores"]["per_type"].items():
        floors = [result[floor]["per_type"].get(name) if result[floor] else None for floor in ("majority", *FLOORS)]
        figures_ = [row["exact_match"], row["followed_format"]]
        lines.append(_line(name, row["n"], row["accuracy"], figures_, floors))
    for name in ("AA", "OA"):
        floors = [result[floor][name] if result[floor] else None for floor in ("majority", *FLOORS)]
        lines.append(_line(name, result["n"], result["scores"][name], [], floors))
    lines.append(
        f"answered {100 * result['valid_rate']:.1f} % ({result['failed']} failed, {result['empty']} empty: both wrong)"
        f"; majority from {result['majority']['source']}"
    )
    if result["types_missing"]:
        lines.append(f"no question of type {', '.join(result['types_missing'])}: AA is not the official one")
    return "\n".join(lines)


def _heads() -> str:
    return "".join(f" {name:>9}" for name in ("majority", *FLOORS))


def _percent(figure: dict[str, Any] | None) -> str:
    return "-" if figure is None or figure["value"] is None else f"{100 * figure['value']:.2f}"


def _line(name: str, n: int, figure: dict[str, Any], more: list[dict[str, Any]], floors: list[Any]) -> str:
    limits = figure["ci95"]
    span = f"{100 * limits[0]:.1f} to {100 * limits[1]:.1f}" if limits else "-"
    cells = "".join(f" {_percent(item):>7}" for item in more) or " " * 16
    return f"{name:16} {n:7} {_percent(figure):>9} {span:>15}{cells}" + "".join(f" {_percent(f):>9}" for f in floors)


def parse() -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--predictions", type=Path, nargs="+", required=True, help="JSONL files, or dialogue folders")
    parser.add_argument("--dataset", choices=list(KINDS), required=True)
    parser.add_argument("--train", type=Path, help="training questions of the majority floor; left out: the test set")
    parser.add_argument("--seed", type=int, default=0, help="of the resampling")
    parser.add_argument("--out", type=Path, help="result file (JSON)")
    parser.add_argument("--json", action="store_true", help="print the result as JSON and nothing else")
    return parser.parse_args()


def main() -> int:
    """Read, score, print, write; 1 where no question has an answer."""
    args, started = parse(), time.time()
    result = rule_scores(read_predictions(args.predictions), args.dataset, args.train, args.seed)
    result = origin(args, started, "evaluation.scores.rule_scores") | result
    if args.out:
        write_json(args.out, result)
    print(dumps(result, ensure_ascii=False) if args.json else text_table(result))
    return 0 if result["valid_rate"] else 1


if __name__ == "__main__":
    run_command(main)
