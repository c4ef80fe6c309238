"""The checker against honest paraphrases (>= 97 % accepted) and false rewrites (none accepted), by kind."""

from collections import Counter, defaultdict
from functools import lru_cache

import pytest

from src.assistant.answer import compose
from src.assistant.check import Problem, check
from src.assistant.record import Evidence
from tests.assistant.attacks import KINDS, Attack, attacks
from tests.assistant.cases import measured
from tests.assistant.paraphrase import paraphrases
from tests.assistant.paraphrase_words import han, rounded

_ROUNDS = 2
_LEAST_ACCEPTED = 0.97


@lru_cache(maxsize=1)
def evidence() -> tuple[Evidence, ...]:
    return tuple(measured(seed=11, rounds=_ROUNDS))


@lru_cache(maxsize=1)
def false_rewrites() -> tuple[Attack, ...]:
    return tuple(attack for one in evidence() for attack in attacks(compose(one), one, each=3, seed=1))


def test_what_is_composed_passes():
    refused = {one.query.metric: problems for one in evidence() if (problems := check(compose(one), one))}
    assert refused == {}


def test_there_are_a_thousand_attacks_of_every_kind():
    kinds = Counter(attack.kind for attack in false_rewrites())
    assert set(kinds) == set(KINDS) and sum(kinds.values()) >= 1000
    assert min(kinds.values()) >= 40


@pytest.mark.parametrize("kind", KINDS)
def test_every_attack_is_refused(kind):
    tried = [attack for attack in false_rewrites() if attack.kind == kind]
    passed = [
        (attack.evidence.query.metric, attack.changed) for attack in tried if not check(attack.text, attack.evidence)
    ]
    print(f"{kind}: {len(tried) - len(passed)} of {len(tried)} refused")
    assert passed == []


def test_honest_paraphrases_are_accepted():
    tried: Counter[str] = Counter()
    refused: dict[str, list[tuple[str, tuple[Problem, ...]]]] = defaultdict(list)
    for one in evidence():
        for text in paraphrases(one, 24, seed=1):
            kind = f"{one.query.metric} {one.query.lang}"
            tried[kind] += 1
            if problems := check(text, one):
                refused[kind].append((text, problems))
    total, lost = sum(tried.values()), sum(map(len, refused.values()))
    for kind, n in sorted(tried.items()):
        print(f"{kind}: {n - len(refused[kind])} of {n} accepted")
    print(f"all: {total - lost} of {total} accepted, {1 - lost / total:.1%}")
    assert total >= 1000
    assert lost / total <= 1 - _LEAST_ACCEPTED, [rows[0] for rows in refused.values() if rows]


def test_both_generators_are_deterministic():
    one = evidence()[0]
    assert list(paraphrases(one, 5, seed=1)) == list(paraphrases(one, 5, seed=1))
    assert list(paraphrases(one, 5, seed=1)) != list(paraphrases(one, 5, seed=2))
    assert list(attacks(compose(one), one, 2, seed=1)) == list(attacks(compose(one), one, 2, seed=1))


@pytest.mark.parametrize(
    ("number", "words"),
    [
        *(("3544", "三千五百四十四"), ("10", "十"), ("12.5", "十二点五"), ("105", "一百零五"), ("1005", "一千零五")),
        *(("110", "一百一十"), ("2030", "二千零三十"), ("10830", "一万零八百三十"), ("694400", "六十九万四千四百")),
        *(("20005", "二万零五"), ("0.35", "零点三五"), ("7", "七"), ("4000", "四千")),
    ],
)
def test_own_chinese_numerals(number, words):
    assert han(number) == words


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [(3544.38, 2, "3500"), (3544.38, 3, "3540"), (0.0346, 2, "0.035"), (99.97, 3, "100"), (12.0, 4, "12"), (0, 3, "0")],
)
def test_own_rounding(value, digits, text):
    assert rounded(value, digits) == text
