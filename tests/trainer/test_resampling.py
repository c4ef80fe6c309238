"""Groups of constant reward are found, replaced by further prompts, and counted."""

import pytest
import torch

from src.errors import InputError
from src.trainer.resampling import flat_groups, replace_flat
from tests.trainer.test_shared_prefix import batch_of, make_trainer, rows


def batch(groups: list[int], advantages: list[float], width: int, mark: int) -> dict[str, torch.Tensor]:
    count = len(groups)
    return {
        "group": torch.tensor(groups),
        "prompt_ids": torch.full((count, width), mark),
        "completion_ids": torch.full((count, width), mark + 1),
        "completion_mask": torch.ones(count, width, dtype=torch.long),
        "advantages": torch.tensor(advantages),
        "num_items_in_batch": torch.tensor(7),
    }


def test_a_flat_group_is_replaced_by_a_useful_one():
    old = batch([0, 0, 1, 1], [0.0, 0.0, 1.0, -1.0], 2, 10)
    fresh = batch([5, 5, 6, 6], [0.0, 0.0, -1.0, 1.0], 3, 20)
    assert flat_groups(old).tolist() == [0]
    merged, count = replace_flat(old, fresh, pad_id=99)
    assert count == 1
    assert merged["group"].tolist() == [1, 1, 6, 6]
    assert merged["advantages"].tolist() == [1.0, -1.0, -1.0, 1.0]
    # Prompts are padded on the left, completions on the right.
    assert merged["prompt_ids"].tolist() == [[99, 10, 10]] * 2 + [[20] * 3] * 2
    assert merged["completion_ids"].tolist() == [[11, 11, 99]] * 2 + [[21] * 3] * 2
    assert merged["completion_mask"].tolist() == [[1, 1, 0]] * 2 + [[1] * 3] * 2


def test_nothing_useful_changes_nothing():
    old = batch([0, 0], [0.0, 0.0], 2, 10)
    merged, count = replace_flat(old, batch([5, 5], [0.0, 0.0], 2, 20), pad_id=99)
    assert count == 0
    assert merged is old


def test_training_batches_hold_useful_groups(tmp_path_factory, tmp_path):
    """A reward that is constant on one of the prompts: its groups leave, others come, sums are counted anew."""
    from src.model.nano import build_variant

    folder = build_variant(tmp_path_factory.mktemp("resample") / "tiny", "tiny")
    trainer = make_trainer(folder, tmp_path, shared=True, per_device_train_batch_size=8)
    trainer.resample_flat = 4
    trainer.train_dataset = [dict(row, flat=index < 2) for index, row in enumerate(rows(4))]

    def rewards(inputs, prompts, completions, ids):
        return torch.tensor([[0.5 if row["flat"] else float(place % 2)] for place, row in enumerate(inputs)])

    trainer._calculate_rewards = rewards
    trainer.model.train()
    trainer.current_gradient_accumulation_steps = 1
    inputs = [dict(row, flat=True) for row in batch_of(2)]
    made = trainer._prepare_inputs(inputs)
    assert len(flat_groups(made)) == 0
    assert len(made["group"]) == 8
    assert made["num_items_in_batch"] == made["completion_mask"].sum()
    assert trainer._metrics["train"]["groups/flat"] == [1.0]
    assert trainer._metrics["train"]["groups/replaced"] == [2.0]
    loss = trainer._compute_loss(trainer.model, made)
    loss.backward()
    assert torch.isfinite(loss)


def test_groups_must_be_whole(tmp_path_factory, tmp_path):
    from src.model.nano import build_variant

    folder = build_variant(tmp_path_factory.mktemp("whole") / "tiny", "tiny")
    trainer = make_trainer(folder, tmp_path, shared=True, per_device_train_batch_size=8)
    trainer.resample_flat = 1
    trainer.args.per_device_train_batch_size = 6
    with pytest.raises(InputError, match="whole groups"):
        trainer._check_resampling()
    trainer.shared_prefix = False
    with pytest.raises(InputError, match="shared_prefix"):
        trainer._check_resampling()
