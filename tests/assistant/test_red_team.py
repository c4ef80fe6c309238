"""The parser and the checker against questions, statements and lies from a mind of their own."""

import json
import random
from collections import Counter, defaultdict
from datetime import date
from pathlib import Path

import pytest

from src.assistant.check import check
from src.assistant.parse import parse
from src.assistant.query import Known
from src.assistant.record import Evidence
from tests.assistant.red_team import joined
from tests.assistant.red_team_lies import lies
from tests.assistant.red_team_says import Teller, lies_in_words

FIXTURES = Path(__file__).parents[1] / "fixtures"
AS_OF = date(2024, 12, 31)
KNOWN = Known(
    dates=("2022-12-20", "2023-12-24", "2024-03-28", "2024-06-26", "2024-09-26", "2024-12-26"),
    zones={
        "county": ("松湾县",),
        "town": ("青禾乡", "云溪镇", "清沟镇", "石桥镇"),
        "basic_farmland": ("松湾县永久基本农田",),
        "red_line": ("松湾县生态保护红线",),
        "reserve": ("云岭自然保护区",),
        "river": ("清河",),
    },
    county="松湾县",
)
LEAST_ACCEPTED = 0.97
LEAST_READ = 149 / 150
ROUNDS = 8
LIES_PER_STATEMENT = 1
# Groups of statements in a round, those that are lied about, and lies without figures.
_GROUPS, _LIED, _IN_WORDS = 22, 8, 5
# Ends of periods may be the last day of one or the first of the next.
DAYS_OFF = 2


def rows(name):
    return [json.loads(line) for line in (FIXTURES / name).read_text(encoding="utf-8").splitlines()]


def read_as(query, name):
    """A slot of a query by the name that the questions give it."""
    zone, rank = query.zone, query.rank
    slots = {
        "zone": zone.type if zone else None,
        "name": zone.name if zone else None,
        "part": zone.part if zone else None,
        "inside": zone.inside if zone else True,
        "n": rank.n if rank else None,
        "order": rank.order if rank else None,
    }
    return slots[name] if name in slots else getattr(query, name)


def agrees(query, name, wanted):
    if name == "any_cls":
        return wanted in (query.cls, query.from_cls, query.to_cls)
    value = read_as(query, name)
    if name == "formats":
        return set(wanted) <= set(value)
    options = wanted if isinstance(wanted, list) else [wanted]
    if name in ("t1", "t2"):
        days = [abs((date.fromisoformat(value) - date.fromisoformat(one)).days) for one in options if value and one]
        return value in options or any(off <= DAYS_OFF for off in days)
    if isinstance(value, float):
        return any(one is not None and value == pytest.approx(one, rel=1e-4) for one in options)
    return value in options


def test_questions_are_read():
    questions = rows("red_team_questions.jsonl")
    missed = {}
    for row in questions:
        query = parse(row["question"], as_of=AS_OF, known=KNOWN)
        wrong = [name for name, wanted in row["expected"].items() if not agrees(query, name, wanted)]
        if wrong:
            missed[row["question"]] = {name: read_as(query, name) for name in wrong if name != "any_cls"} | {
                "metric": query.metric
            }
    print(f"{len(questions) - len(missed)} of {len(questions)} read; missed: {missed}")
    assert len(questions) == 150
    assert 1 - len(missed) / len(questions) >= LEAST_READ, missed


def told():
    """(evidence, teller, groups of one to three true statements) for each record and round."""
    for row in rows("red_team_evidence.jsonl"):
        evidence = Evidence.model_validate(row["evidence"])
        for number in range(ROUNDS):
            rng = random.Random(f"{row['question']}-{number}")
            teller = Teller(row["evidence"], rng)
            statements = teller.all()
            rng.shuffle(statements)
            groups = []
            while statements:
                size = rng.randint(1, 3)
                groups.append(statements[:size])
                statements = statements[size:]
            yield evidence, teller, groups[:_GROUPS]


def test_honest_statements_are_accepted():
    texts, refused = set(), []
    for evidence, teller, groups in told():
        for group in groups:
            text = joined(group, teller.lang, teller.rng)
            if text in texts:
                continue
            texts.add(text)
            if problems := check(text, evidence):
                refused.append((text, problems))
    print(f"{len(texts) - len(refused)} of {len(texts)} accepted")
    assert len(texts) >= 1000
    assert 1 - len(refused) / len(texts) >= LEAST_ACCEPTED, refused[:5]


def test_lies_are_refused():
    tried, passed = Counter(), defaultdict(list)
    for evidence, teller, groups in told():
        for group in groups[:_LIED]:
            at = teller.rng.randrange(len(group))
            found = list(lies(group[at], teller.record, teller.lang, teller.rng))
            teller.rng.shuffle(found)
            for kind, lie in found[:LIES_PER_STATEMENT]:
                text = joined([*group[:at], lie, *group[at + 1 :]], teller.lang, teller.rng)
                tried[kind] += 1
                if not check(text, evidence):
                    passed[kind].append((lie.text(teller.lang), text))
        for kind, lie in teller.rng.sample(lies_in_words(teller.evidence, teller.lang), k=_IN_WORDS):
            tried[kind] += 1
            if not check(f"{groups[0][0].text(teller.lang)} {lie}", evidence):
                passed[kind].append((lie, lie))
    print("; ".join(f"{kind}: {n - len(passed[kind])} of {n}" for kind, n in sorted(tried.items())))
    assert sum(tried.values()) >= 1000
    assert len(tried) >= 17, sorted(tried)
    assert not any(passed.values()), {kind: several[:3] for kind, several in passed.items() if several}
