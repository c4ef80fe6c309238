"""Which questions to keep: types, answers and classes asked evenly, majority answers capped."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

import numpy as np

from src.dataset.landuse_questions import Question

YES_NO_CAP = 0.5
OTHER_CAP = 0.3
# An answer with less than this share of its group's questions does not count as an alternative.
RARE_ANSWER = 0.1


def choose_questions(
    candidates: Sequence[Sequence[Question]], limits: Sequence[int], rng: np.random.Generator, *, balance: bool
) -> list[tuple[int, Question]]:
    """Pick questions for each view, types that were asked least first.

    Args:
        candidates: per view, all questions that its labels can answer.
        limits: per view, how many to pick at most.
        rng: order of views and of equally good questions.
        balance: within a type, prefer the answers, then the classes, that were asked least, so that
            a prior over answers or classes gains little.

    Returns:
        (index of the view, question), each question at most once per view.
    """
    types: Counter[str] = Counter()
    answers: Counter[tuple] = Counter()
    subjects: Counter[tuple] = Counter()
    pools = [[pool[i] for i in rng.permutation(len(pool))] for pool in candidates]
    chosen = []
    for turn in range(max(limits, default=0)):
        for i in rng.permutation(len(pools)):
            if turn >= limits[i] or not pools[i]:
                continue
            question = min(
                pools[i],
                key=lambda q: (types[q.type], *((answers[q.form, q.answer], subjects[q]) if balance else ())),
            )
            pools[i].remove(question)
            types[question.type] += 1
            answers[question.form, question.answer] += 1
            subjects[question] += 1
            chosen.append((int(i), question))
    return chosen


def answer_ceiling(counts: Iterable[int], cap: float) -> int:
    """Largest number of rows any answer may keep so that none exceeds the cap after trimming.

    The cap is relaxed to 1/k where only k < 1/cap answers are common (rural/urban cannot go below
    one half). A form with a single answer keeps nothing: it would teach the answer, not the image.
    """
    sizes = sorted(counts, reverse=True)
    if len(sizes) < 2:
        return 0
    common = sum(size >= RARE_ANSWER * sum(sizes) for size in sizes)
    cap = max(cap, 1 / max(common, 2))
    return next(top for top in range(sizes[0], -1, -1) if top <= cap * sum(min(size, top) for size in sizes) + 1e-9)


def cap_majority(chosen: Sequence[tuple[int, Question]]) -> list[tuple[int, Question]]:
    """Drop rows, last chosen first, until no answer of a question form exceeds its cap."""
    groups: dict[tuple[str, bool], Counter[str]] = defaultdict(Counter)
    for _, question in chosen:
        groups[_balance_group(question)][question.answer] += 1
    ceilings = {
        group: answer_ceiling(counts.values(), YES_NO_CAP if group[1] else OTHER_CAP)
        for group, counts in groups.items()
    }
    kept, seen = [], Counter[tuple]()
    for index, question in chosen:
        group = _balance_group(question)
        seen[group, question.answer] += 1
        if seen[group, question.answer] <= ceilings[group]:
            kept.append((index, question))
    return kept


def _balance_group(question: Question) -> tuple[str, bool]:
    """Questions whose answers compete: one type, yes/no apart from class names; area per unit."""
    yes_no = question.answer in ("yes", "no")
    return (f"{question.type}:{question.unit}" if question.unit else question.type), yes_no
