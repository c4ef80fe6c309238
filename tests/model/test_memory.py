"""Whole oldest turns go, and only they."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.errors import InputError
from src.model.memory import fit_history


def count(message):
    return len(message["content"])


def dialogue(*sizes, system=0):
    messages = [{"role": "system", "content": "s" * system}] if system else []
    for number, size in enumerate(sizes):
        messages.append({"role": "user", "content": str(number % 10) * size})
        messages.append({"role": "assistant", "content": "a" * size})
    return [*messages, {"role": "user", "content": "?" * 10}]


def test_what_fits_stays_as_it_is():
    messages = dialogue(5, 5, system=10)
    assert fit_history(messages, count, 40) == (messages, 0)


def test_oldest_turns_go_whole_and_the_system_turn_stays():
    messages = dialogue(20, 20, 20, system=10)
    # 10 + 3 * 40 + 10 = 140 tokens; 40 over 100, in steps of 25 that is 50, so two turns of 40 go.
    kept, dropped = fit_history(messages, count, 100)
    assert dropped == 2
    assert kept == [messages[0], *messages[5:]]
    assert kept[1]["content"] == "2" * 20


def test_the_cut_stays_in_place_while_the_dialogue_grows():
    """With a new cut at every turn no prompt would begin like the one before, and nothing could be reused."""
    cuts = [fit_history(dialogue(*[5] * turns), count, 200)[1] for turns in range(18, 40)]
    assert cuts[0] == 0 and cuts[-1] > 0
    assert sum(a != b for a, b in zip(cuts, cuts[1:], strict=False)) <= 6


def test_a_question_too_long_alone_is_refused_with_advice():
    with pytest.raises(InputError, match="takes 20 tokens, at most 15 fit: use fewer or smaller images"):
        fit_history(dialogue(5, system=10), count, 15)


@given(st.lists(st.integers(1, 30), max_size=12), st.integers(0, 20), st.integers(30, 200))
def test_every_result_fits_and_is_the_system_turn_with_a_tail_of_turns(sizes, system, budget):
    messages = dialogue(*sizes, system=system)
    kept, dropped = fit_history(messages, count, budget)
    assert sum(map(count, kept)) <= budget
    head = 1 if system else 0
    assert kept == messages[:head] + messages[head + 2 * dropped :]
