"""Which of two runs is better: win rates from scores or from a pairwise judge, also at equal length.

Judges prefer long answers, so each win rate stands beside one at equal length:
the length term of AlpacaEval 2 (Y. Dubois et al., Length-Controlled AlpacaEval,
2024, arXiv:2404.04475, section 3), a logistic model of the preference with
tanh(length difference / its standard deviation), read at a difference of 0. Its
other terms (difficulty of the instruction, reference runs) need data that only
AlpacaEval has; the length weight is held by a fixed ridge of 1.
A win counts 1, a tie 0.5, a loss 0. Intervals resample whole dialogues.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import expit

from evaluation.scores.bootstrap import estimate, ratio, resampled
from evaluation.scores.reading import Key, Verdict

# Scores nearer than this are a tie: the judge's tables show two decimals.
TIE = 0.005
# A fit for every resample; the interval of a fit needs fewer of them than that of a mean.
FITS = 300
RIDGE = 1.0
_NEWTON_STEPS = 200


@dataclass(frozen=True)
class Preferences:
    """Preferences for the second run, one row a question.

    Args:
        dialogues: (N,) cluster of each.
        wins: (N,) 1 where the second run's answer is better, 0 where the first's, 0.5 for a tie.
        longer: (N,) characters that the second run's answer has more; nan where unknown.
    """

    dialogues: tuple[str, ...]
    wins: np.ndarray
    longer: np.ndarray

    def __len__(self) -> int:
        return len(self.wins)


def by_score(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Wins of the second of two scores (N,); a failed answer (nan) loses, two failed ones tie."""
    gap = np.nan_to_num(second, nan=0.0) - np.nan_to_num(first, nan=0.0)
    return np.where(np.abs(gap) < TIE, 0.5, (gap > 0).astype(float))


def by_verdicts(verdicts: Sequence[Verdict]) -> tuple[dict[Key, float], dict[str, Any]]:
    """Wins of the second run from verdicts in both orders.

    A question counts where both orders were judged: a win if both say so, a tie if they disagree.

    Returns:
        Wins by question, and what the orders say of the judge: ``position_bias``, how much more often
        than half the answer shown first is preferred (0 is fair), with its interval, and counts.
    """
    asked: dict[Key, dict[str, float]] = defaultdict(dict)
    unusable = 0
    for verdict in verdicts:
        if verdict.first_better is None:
            unusable += 1
        else:
            asked[verdict.id, verdict.turn][verdict.order] = verdict.first_better
    both = {key: orders for key, orders in asked.items() if len(orders) == 2}
    wins = {key: _agreed(orders["ab"], orders["ba"]) for key, orders in both.items()}
    # +0.5 where both orders preferred the first place, -0.5 where both preferred the second.
    bias = np.asarray([(_half(o["ab"]) + _half(o["ba"])) / 2 - 0.5 for o in both.values()])
    details = {
        "n": len(wins),
        "one_order_only": len(asked) - len(both),
        "unusable_verdicts": unusable,
        "agreement": round(float(np.mean(bias == 0)), 4) if both else None,
        "position_bias": mean_estimate(bias, [key[0] for key in both]),
    }
    return wins, details


def _half(probability: float) -> float:
    return 0.5 if probability == 0.5 else float(probability > 0.5)


def _agreed(first_better_ab: float, first_better_ba: float) -> float:
    for_second = {1 - _half(first_better_ab), _half(first_better_ba)}
    return for_second.pop() if len(for_second) == 1 else 0.5


def mean_estimate(values: np.ndarray, clusters: Sequence[str], seed: int = 0) -> dict[str, Any]:
    """A mean with its interval; None for no values."""
    if not len(values):
        return estimate(np.nan, np.empty(0))
    draws = resampled(np.stack([values, np.ones(len(values))], axis=1), clusters, seed)
    return estimate(float(values.mean()), ratio(draws[:, 0], draws[:, 1]))


def equal_length_rate(wins: np.ndarray, longer: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """The win rate that the model expects where both answers are equally long.

    Args:
        wins: (N,) in [0, 1]; a soft preference p is p of a win and 1 - p of a loss.
        longer: (N,) characters, finite; their standard deviation is taken over all N.
        weights: (R, N) how often each question counts, one row a resample; None counts each once.

    Returns:
        (R,) float 0..1, or (1,); the plain mean where lengths do not vary or all preferences are the same.
    """
    weights = np.ones((1, len(wins))) if weights is None else weights
    means = ratio(weights @ wins, weights.sum(1))
    spread = float(np.std(longer))
    if spread == 0:
        return means
    intercepts = _intercepts(np.tanh(longer / spread), wins, weights)
    return np.where((means > 0) & (means < 1), expit(intercepts), means)


def _intercepts(feature: np.ndarray, wins: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Intercepts (R,) of ridge logistic models on one feature (N,), all at once by Newton's method."""
    theta = np.zeros((2, len(weights)))
    inputs = np.stack([np.ones_like(feature), feature])
    ridge = np.diag([0.0, RIDGE])
    for _ in range(_NEWTON_STEPS):
        rates = expit(theta.T @ inputs)
        slope = np.einsum("rn,kn->rk", weights * (wins - rates), inputs) - theta.T @ ridge
        curve = np.einsum("rn,kn,ln->rkl", weights * rates * (1 - rates), inputs, inputs) + ridge
        # A floor keeps it solvable where all preferences of a resample are the same; that row is not used.
        step = np.linalg.solve(curve + 1e-9 * np.eye(2), slope[..., None])[..., 0]
        theta += np.clip(step, -1, 1).T
        if np.abs(step).max() < 1e-10:
            break
    return theta[0]


def preference_figures(preferences: Preferences, seed: int = 0) -> dict[str, Any]:
    """Win rate of the second run, raw and at equal length, each with its interval.

    Returns:
        n, wins, ties, losses, ``win_rate`` and ``win_rate_equal_length`` (estimates, 0..1), and
        ``longer_answers``: mean difference in characters over the questions where both lengths are known.
    """
    wins = preferences.wins
    clusters = np.asarray(preferences.dialogues)
    known = np.isfinite(preferences.longer)
    return {
        "n": len(preferences),
        "wins": int((wins > 0.5).sum()),
        "ties": int((wins == 0.5).sum()),
        "losses": int((wins < 0.5).sum()),
        "win_rate": mean_estimate(wins, preferences.dialogues, seed),
        "win_rate_equal_length": _equal_length(wins[known], preferences.longer[known], clusters[known], seed),
        "longer_answers": mean_estimate(preferences.longer[known], list(clusters[known]), seed),
    }


def _equal_length(wins: np.ndarray, longer: np.ndarray, clusters: np.ndarray, seed: int) -> dict[str, Any]:
    if not len(wins):
        return estimate(np.nan, np.empty(0))
    order = np.unique(clusters, return_inverse=True)[1]
    count = int(order.max()) + 1
    # How often each dialogue is drawn, hence each of its questions counted.
    drawn = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), FITS if count > 1 else 0)
    return estimate(float(equal_length_rate(wins, longer)[0]), equal_length_rate(wins, longer, drawn[:, order]))
