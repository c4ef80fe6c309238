"""Words that an answer shares with its reference: a cheap score beside the judge's, with floors of its own.

The F1 of SQuAD (P. Rajpurkar et al., 2016, arXiv:1606.05250, section 6.1) over
words, and over single characters in Chinese. It knows no paraphrase and says
nothing about truth; it is here because blank pictures, other pictures and a
constant answer can be scored the same way without a judge.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from evaluation.scores.preference import mean_estimate
from evaluation.scores.reading import Prediction

_TOKEN = re.compile(r"[\u3400-\u9fff]|[^\W_\u3400-\u9fff]+")


def overlap(text: str, reference: str) -> float:
    """F1 of the tokens of two texts, 0..1; 0 where either has none.

    Example:
        >>> round(overlap("the lake is large", "a large lake"), 4)  # 2 shared of 4 and 3: 2 * 2 / 7
        0.5714
    """
    said, right = (Counter(_TOKEN.findall(unicodedata.normalize("NFKC", t).casefold())) for t in (text, reference))
    if not said or not right:
        return 0.0
    return 2 * (said & right).total() / (said.total() + right.total())


def overlap_figures(rows: Sequence[Prediction], floors: Sequence[Prediction], seed: int = 0) -> dict[str, Any]:
    """Mean overlap of a run and of its floors on the same questions, failed answers as 0.

    Args:
        rows: of the run; only those with their own pictures count.
        floors: rows with blank or other pictures; questions that the run lacks are left out.
        seed: of the resampling.

    Returns:
        ``run``, ``majority`` (the most frequent reference of each question type as the answer to all),
        ``blind`` and ``shuffled`` (None where no such row is at hand): figures with n.
    """
    own = {row.key: row for row in rows if row.condition == "images"}
    constant = _most_frequent(list(own.values()))
    found: dict[str, Any] = {
        "run": _figure([(row, row.text) for row in own.values()], seed),
        "majority": _figure([(row, constant[row.question_type]) for row in own.values()], seed),
    }
    for name, condition in (("blind", "blank"), ("shuffled", "shuffled")):
        others = [row for row in (*rows, *floors) if row.condition == condition and row.key in own]
        found[name] = _figure([(own[row.key], row.text) for row in others], seed) if others else None
    return found


def _figure(pairs: Sequence[tuple[Prediction, str]], seed: int) -> dict[str, Any]:
    values = np.asarray([overlap(text, row.reference) for row, text in pairs])
    return {"n": len(values)} | mean_estimate(values, [row.id for row, _ in pairs], seed)


def _most_frequent(rows: Sequence[Prediction]) -> Mapping[str | None, str]:
    counts: dict[str | None, Counter[str]] = {}
    for row in rows:
        counts.setdefault(row.question_type, Counter())[row.reference] += 1
    return {name: min(seen, key=lambda text: (-seen[text], text)) for name, seen in counts.items()}
