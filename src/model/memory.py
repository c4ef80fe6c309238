"""Dialogue memory by token budget: whole oldest turns go, never the system turn or half a turn."""

from collections.abc import Callable, Sequence
from typing import Any

from src.errors import InputError

Message = dict[str, Any]
# Turns are dropped in steps of this share of the budget. With the cut in the same place for several turns the
# beginning of the prompt stays the same, and its keys and values can be used again.
STEP_SHARE = 0.25


def fit_history(
    messages: Sequence[Message], count_tokens: Callable[[Message], int], budget: int
) -> tuple[list[Message], int]:
    """Drop oldest turns until a dialogue fits.

    A turn is a user message with everything up to the next one. Leading system messages stay.

    Args:
        messages: the dialogue, oldest first.
        count_tokens: tokens of one message, text and visual together.
        budget: most tokens of the result.

    Returns:
        The messages kept, and the number of turns dropped.

    Raises:
        InputError: the last turn alone, with the system message, is over the budget.
    """
    start = next((i for i, message in enumerate(messages) if message["role"] != "system"), len(messages))
    head, turns = list(messages[:start]), _turns(messages[start:])
    fixed = sum(count_tokens(message) for message in head)
    sizes = [sum(count_tokens(message) for message in turn) for turn in turns]
    if turns and fixed + sizes[-1] > budget:
        raise InputError(
            f"the question with its images takes {fixed + sizes[-1]} tokens, at most {budget} fit: "
            "use fewer or smaller images, or a shorter text"
        )
    excess = fixed + sum(sizes) - budget
    if excess <= 0:
        return list(messages), 0
    step = max(1, int(budget * STEP_SHARE))
    wanted = -(-excess // step) * step
    dropped = removed = 0
    while dropped < len(turns) - 1 and removed < wanted:
        removed += sizes[dropped]
        dropped += 1
    return head + [message for turn in turns[dropped:] for message in turn], dropped


def _turns(messages: Sequence[Message]) -> list[list[Message]]:
    turns: list[list[Message]] = []
    for message in messages:
        if message["role"] == "user" or not turns:
            turns.append([])
        turns[-1].append(message)
    return turns
