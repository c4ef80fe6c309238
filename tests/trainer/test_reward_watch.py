"""The reward watchdog tells groups apart."""

from collections import defaultdict

import pytest

from src.errors import TrainingError
from src.trainer.grpo_trainer import GrpoTrainer


def watched(rewards: list[float], start: int = 0) -> tuple[GrpoTrainer, dict[str, list[float]]]:
    """A trainer with groups of two that has seen these rewards for one question about several pictures."""
    trainer = GrpoTrainer.__new__(GrpoTrainer)
    trainer.num_generations, trainer._flat_batches = 2, 0
    trainer._metrics = {"train": defaultdict(list)}
    row = {"prompt": [{"role": "user", "content": "Is there water?"}], "question_type": "presence"}
    trainer._watch([row] * len(rewards), [float(value) for value in rewards], "train", start)
    return trainer, trainer._metrics["train"]


def test_same_question_about_two_pictures_is_two_groups() -> None:
    """Grouped by prompt, rewards 1, 1 of one picture and 0, 0 of another had looked like a spread of 0.5."""
    trainer, metrics = watched([1, 1, 0, 0])
    assert (metrics["spread/presence"], metrics["flat/presence"]) == ([0.0], [1.0])
    assert trainer._flat_batches == 1


def test_spread_and_flat_share_by_hand() -> None:
    """Groups (1, 0) and (1, 1): spreads 0.5 and 0."""
    trainer, metrics = watched([1, 0, 1, 1])
    assert (metrics["spread/presence"], metrics["flat/presence"]) == ([0.25], [0.5])
    assert trainer._flat_batches == 0


def test_groups_that_lie_on_two_processes() -> None:
    """The second process starts within a group: rows 3 | 4 5."""
    _, metrics = watched([1, 0, 0], start=3)
    assert metrics["flat/presence"] == [1.0]


def test_endless_constant_rewards_stop_the_run() -> None:
    trainer, _ = watched([1, 1])
    with pytest.raises(TrainingError, match="constant rewards"):
        for _ in range(60):
            trainer._alarm(True, [1.0, 1.0])
    assert trainer._flat_batches == 50
