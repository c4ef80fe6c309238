"""Marks as tables, and the figures of one run: means, valid rate, dialogues and length.

Two means stand side by side: over valid marks, and over all questions with a
failed one as 0. The first flatters a run that fails on what is hard; a public
script goes further and adds the scores of a half-read mark without counting it.
Every mean is over questions (as the benchmark has it); each dialogue's own
mean, and the mean of those, are given too. Scores are 1..10; ten times a mean
is the scale of the benchmark's published tables.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from evaluation.scores.bootstrap import estimate, ratio, resampled
from evaluation.scores.reading import DIMENSIONS, Key, Mark, Prediction
from src.errors import InputError

COMPOSITE = "composite"
COLUMNS = (*DIMENSIONS, "overall", COMPOSITE)
# "legacy": the dimensions weigh the same and an overall score counts as six of them, where one is given.
LEGACY_OVERALL_WEIGHT = 6
RULES = ("mean", "legacy")


def composite(mark: Mark, rule: str) -> float:
    """One score of a valid mark.

    Args:
        mark: with all six dimensions.
        rule: "mean" of the six dimensions; "legacy" adds the overall score with six-fold weight where given.

    Example:
        dimensions 1, 2, 3, 4, 5, 9 (sum 24) and overall 7: mean 4.0, legacy (24 + 6 * 7) / 12 = 5.5
    """
    total = sum(mark.scores.values())
    if rule == "legacy" and mark.overall is not None:
        return (total + LEGACY_OVERALL_WEIGHT * mark.overall) / (len(DIMENSIONS) + LEGACY_OVERALL_WEIGHT)
    return total / len(DIMENSIONS)


@dataclass(frozen=True)
class Run:
    """Marks of one run as arrays, in order of dialogue and turn.

    Args:
        name: to print.
        keys: dialogue and turn of every question.
        scores: (N, 8) float, COLUMNS 1..10; nan where failed or, for the overall score, not given.
        valid: (N,) bool.
        lengths: (N,) characters of the answer, nan where unknown.
        reasons: why a question has no valid mark, "" where it has one.
    """

    name: str
    keys: tuple[Key, ...]
    scores: np.ndarray
    valid: np.ndarray
    lengths: np.ndarray
    reasons: tuple[str, ...]

    @property
    def dialogues(self) -> tuple[str, ...]:
        """Dialogue of every question."""
        return tuple(key[0] for key in self.keys)

    def column(self, name: str) -> np.ndarray:
        """(N,) scores of one of COLUMNS."""
        return self.scores[:, COLUMNS.index(name)]

    def at(self, keys: Sequence[Key]) -> "Run":
        """The run at some of its questions, in the order given."""
        place = {key: i for i, key in enumerate(self.keys)}
        picked = [place[key] for key in keys]
        reasons = tuple(self.reasons[i] for i in picked)
        return Run(self.name, tuple(keys), self.scores[picked], self.valid[picked], self.lengths[picked], reasons)


def run_of(name: str, marks: Sequence[Mark], predictions: Sequence[Prediction], rule: str) -> Run:
    """Marks with the questions they answer.

    Args:
        name: of the run.
        marks: of the run; those of a failed answer are not valid, whatever they say.
        predictions: rows with their own pictures; all count, a question without a mark as failed.
            Empty: the marks alone say what was asked.
        rule: of the composite, one of RULES.

    Raises:
        InputError: marks of questions that the predictions do not have.
    """
    marked = {mark.key: mark for mark in marks}
    answers = {row.key: row for row in predictions if row.condition == "images"}
    strange = [key for key in marked if answers and key not in answers]
    if strange:
        raise InputError(
            f"{name}: marks of {len(strange)} questions that its predictions lack, first {strange[0]}; "
            "give the predictions that were judged"
        )
    keys = sorted(answers or marked, key=_reading_order)
    rows = [_row(marked.get(key), answers.get(key), rule) for key in keys]
    scores, lengths, reasons = zip(*rows, strict=True)
    valid = np.asarray([not reason for reason in reasons])
    return Run(name, tuple(keys), np.asarray(scores), valid, np.asarray(lengths), tuple(reasons))


def _reading_order(key: Key) -> tuple[int, str, int]:
    return len(key[0]), *key


def _row(mark: Mark | None, answer: Prediction | None, rule: str) -> tuple[list[float], float, str]:
    nothing = [np.nan] * len(COLUMNS)
    if answer and not answer.ok:
        return nothing, np.nan, mark.reason if mark and mark.reason else "the answer failed"
    length = mark.length if mark and mark.length is not None else len(answer.text) if answer else np.nan
    if mark is None or not mark.valid:
        # Without the predictions, no length tells apart a failed answer from an empty one.
        known = length if length or answer else np.nan
        return nothing, float(known), mark.reason if mark else "not judged"
    overall = np.nan if mark.overall is None else mark.overall
    return [*(mark.scores[name] for name in DIMENSIONS), overall, composite(mark, rule)], float(length), ""


def run_figures(run: Run, seed: int = 0) -> dict[str, Any]:
    """Means of every column over valid and over all questions, valid rate, dialogues, length.

    Returns:
        n, dialogues_n, valid, valid_rate, reasons, ``scores`` ({column: {valid, all, dialogue_mean}}),
        ``length``, ``dialogues`` ({id: {n, valid, length, column: mean over valid}}).
    """
    return {
        "name": run.name,
        "n": len(run.keys),
        "dialogues_n": len(set(run.dialogues)),
        "valid": int(run.valid.sum()),
        "valid_rate": round(float(run.valid.mean()), 4),
        "reasons": _counted(run.reasons),
        "scores": score_figures(run, seed),
        "length": length_figures(run, seed),
        "dialogues": dialogue_figures(run),
    }


def _counted(reasons: Sequence[str]) -> dict[str, int]:
    said = [reason for reason in reasons if reason]
    return {reason: said.count(reason) for reason in sorted(set(said), key=lambda text: (-said.count(text), text))}


def score_figures(run: Run, seed: int) -> dict[str, Any]:
    """Every column: the mean over valid marks, over all questions (failed = 0), and of the dialogues' means."""
    given = np.isfinite(run.scores)
    # A valid mark without an overall score failed nothing: it stays out of both means of that column.
    asked = given | ~run.valid[:, None]
    values = np.where(given, run.scores, 0.0)
    columns = np.concatenate([values, given, asked], axis=1).astype(float)
    draws = resampled(columns, run.dialogues, seed)
    k, sums = len(COLUMNS), columns.sum(0)
    means = list(dialogue_figures(run).values())
    found = {}
    for i, name in enumerate(COLUMNS):
        said = [row[name] for row in means if row[name] is not None]
        found[name] = {
            "valid": estimate(float(ratio(sums[i], sums[k + i])), ratio(draws[:, i], draws[:, k + i])),
            "all": estimate(float(ratio(sums[i], sums[2 * k + i])), ratio(draws[:, i], draws[:, 2 * k + i])),
            "dialogue_mean": round(float(np.mean(said)), 4) if said else None,
        }
    return found


def dialogue_figures(run: Run) -> dict[str, dict[str, Any]]:
    """Mean of every column over the valid marks of each dialogue, and of its lengths; None where it has none."""
    names = np.asarray(run.dialogues)
    found = {}
    for name in dict.fromkeys(run.dialogues):
        rows = names == name
        scores = run.scores[rows]
        means = ratio(np.nansum(scores, axis=0), np.isfinite(scores).sum(0))
        lengths = run.lengths[rows][np.isfinite(run.lengths[rows])]
        row: dict[str, Any] = {"n": int(rows.sum()), "valid": int(run.valid[rows].sum())}
        row["length"] = round(float(lengths.mean()), 1) if len(lengths) else None
        row |= {
            column: round(float(mean), 4) if np.isfinite(mean) else None
            for column, mean in zip(COLUMNS, means, strict=True)
        }
        found[name] = row
    return found


def length_figures(run: Run, seed: int) -> dict[str, Any]:
    """Mean length, and how the composite goes with it.

    Returns:
        ``mean`` characters; ``points_per_doubling``: slope of the composite on log2(length), the score
        that goes with twice the length, with its interval; ``spearman``: rank correlation.
    """
    scores = run.column(COMPOSITE)
    known = np.isfinite(run.lengths)
    both = known & np.isfinite(scores) & (np.nan_to_num(run.lengths) > 0)
    x, y = np.log2(run.lengths[both]), scores[both]
    moments = np.stack([np.ones(len(x)), x, y, x * x, x * y], axis=1)
    names = np.asarray(run.dialogues)
    sums = moments.sum(0)[None]
    draws = resampled(moments, names[both], seed) if len(x) else np.empty((0, 5))
    ranked = len(x) > 2 and np.ptp(x) > 0 and np.ptp(y) > 0
    lengths = run.lengths[known]
    return {
        "mean": round(float(lengths.mean()), 1) if len(lengths) else None,
        "points_per_doubling": estimate(float(_slope(sums)[0]), _slope(draws)),
        "spearman": round(float(spearmanr(x, y).statistic), 4) if ranked else None,
    }


def _slope(sums: np.ndarray) -> np.ndarray:
    """Least-squares slope from sums (R, 5) of 1, x, y, xx, xy; nan where x does not vary."""
    n, x, y, xx, xy = sums.T
    spread = n * xx - x * x
    # Rounding leaves a spread near 0 where all lengths are equal.
    return ratio(n * xy - x * y, np.where(spread > 1e-9 * np.maximum(n * xx, 1), spread, 0.0))


def difference_figures(first: Run, second: Run, seed: int = 0) -> dict[str, Any]:
    """Second minus first of every column, over the questions where both marks are valid."""
    gaps = second.scores - first.scores
    given = np.isfinite(gaps)
    columns = np.concatenate([np.where(given, gaps, 0.0), given], axis=1).astype(float)
    draws, sums, k = resampled(columns, first.dialogues, seed), columns.sum(0), len(COLUMNS)
    return {
        name: {"n": int(sums[k + i])}
        | estimate(float(ratio(sums[i], sums[k + i])), ratio(draws[:, i], draws[:, k + i]))
        for i, name in enumerate(COLUMNS)
    }


def floor_scores(figures: Mapping[str, Any]) -> dict[str, Any]:
    """A run's figures as a floor: every column's mean over all questions, with n and valid rate."""
    return {"n": figures["n"], "valid_rate": figures["valid_rate"]} | {
        name: row["all"] for name, row in figures["scores"].items()
    }
