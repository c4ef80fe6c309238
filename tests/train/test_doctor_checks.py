"""The doctor's verdicts, worked out by hand."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import src.train.doctor_checks as checks
import src.train.doctor_data as data
import src.train.doctor_probes as probes
from src.train.doctor_report import Report, verdict


def test_memory_estimate_by_hand() -> None:
    """1.5 GB + 1.1 * (7.5 + 0.5 + 1 + 2 * 4) GB; with weights and optimizer offloaded, 1.5 + 1.1 * 8.5."""
    use = checks.MemoryUse(
        weights=7_500_000_000,
        gradients=500_000_000,
        optimizer=10**9,
        activations=4 * 10**9,
        tokens=1000,
        configured_tokens=2000,
    )
    assert use.estimate() == 20_200_000_000
    check = checks.check_memory(use, torch.device("cpu"))
    assert "20.2 GB on one GPU" in check.detail and "24 GB yes" in check.detail
    offloaded = dataclasses.replace(use, offloaded=frozenset({"weights", "optimizer"}))
    assert offloaded.estimate() == 10_850_000_000
    tight = checks.check_memory(dataclasses.replace(use, configured_tokens=8000), torch.device("cpu"))
    assert "24 GB no, 40 GB no, 80 GB yes" in tight.detail


class _Parts(nn.Module):
    """A bfloat16 merger that trains, and a frozen language model."""

    def __init__(self) -> None:
        super().__init__()
        self.visual = nn.ModuleDict({"merger": nn.Linear(8, 8, bias=False, dtype=torch.bfloat16)})
        self.language_model = nn.Linear(8, 8).requires_grad_(False)


def test_updates_lost_in_rounding_and_frozen_weights_that_move() -> None:
    model = _Parts()
    before = probes.Weights.of(model)
    rates = {"merger": 5e-6}
    with torch.no_grad():
        model.visual["merger"].weight[0, 0] += 1
    check = checks.check_movement(model, before, 4, rates, masters=False)
    assert check.status == "warn" and "only 1.6% of the merger's values changed" in check.detail
    assert checks.check_movement(model, before, 4, rates, masters=True).status == "pass"
    with torch.no_grad():
        model.language_model.weight[0, 0] += 1
    check = checks.check_movement(model, before, 4, rates, masters=True)
    assert check.status == "fail" and "1 frozen weights changed: language_model.weight" in check.detail
    before.restore(model)
    assert before.moved_share(model) == {"visual.merger.weight": 0.0}


def test_gradient_verdicts() -> None:
    """LoRA's A without a gradient is no fault while its B has one; NaN and gradients of frozen weights are."""
    model = nn.ModuleDict(
        {"language_model": nn.ParameterDict({"q": nn.Parameter(torch.zeros(1))}), "visual": nn.Linear(1, 1)}
    )
    watch = probes.GradientWatch()
    names = [name for name, _ in model.named_parameters()]
    assert names == ["language_model.q", "visual.weight", "visual.bias"]
    watch.largest = {"language_model.q": 1.0, "visual.weight": 0.5, "visual.bias": 0.0}
    check = checks.check_gradients(model, watch)
    assert check.status == "warn" and "1 of 3 modules have zero gradients: visual.bias" in check.detail
    watch.broken, watch.strays = {"visual.weight"}, {"lm_head.weight"}
    check = checks.check_gradients(model, watch)
    assert "not finite in visual.weight" in check.detail and "frozen weights have gradients: lm_head" in check.detail
    assert probes.unit_of("a.q_proj.lora_A.default.weight") == probes.unit_of("a.q_proj.lora_B.default.weight")


def sampled(rewards: list[float], answers: str = "yes") -> probes.Sampled:
    """Two groups of two completions with these rewards."""
    row = {"question": "Is there water?", "answer": "yes", "question_type": "presence"}
    return probes.Sampled(rows=[row] * 4, output={}, completions=[answers] * 4, rewards=torch.tensor(rewards)[:, None])


def test_reward_verdicts_by_hand() -> None:
    """Groups (1, 0) and (0.5, 0.5): half of them flat, mean 0.5; one weight of 2 doubles the mean."""
    ones = torch.ones(1)
    check = checks.check_rewards([sampled([1, 0, 0.5, 0.5])], 2, 2 * ones)
    assert check.status == "pass"
    assert (check.figures["flat_share"], check.figures["mean"], check.figures["unparsed_share"]) == (0.5, 1.0, 0.0)
    assert check.figures["per_type"] == {"presence": 1.0}
    mostly_flat = checks.check_rewards([sampled([1, 0, 1, 1]), sampled([0, 0, 0, 0])], 2, ones)
    assert mostly_flat.status == "warn" and "75% of the groups have constant rewards" in mostly_flat.detail
    unread = checks.check_rewards([sampled([1, 0, 0, 1], "perhaps, perhaps not")], 2, ones)
    assert unread.status == "warn" and "100% of the completions cannot be read" in unread.detail
    nan = float("nan")
    unscored = checks.check_rewards([sampled([1, 0, nan, nan])], 2, ones)
    assert unscored.status == "warn" and "50% of the completions have no reward at all" in unscored.detail
    short = checks.check_rewards([dataclasses.replace(sampled([1, 0, 0, 1]), rewards=torch.ones(1, 1))], 2, ones)
    assert short.status == "fail" and "1 rewards for 4 completions" in short.detail


@pytest.mark.parametrize(
    ("trimmed", "refused", "status"),
    [(0, 0, "pass"), (0, 10, "warn"), (0, 11, "fail"), (50, 0, "warn"), (51, 0, "fail"), (0, 100, "fail")],
)
def test_length_verdicts(trimmed: int, refused: int, status: str) -> None:
    assert data.check_lengths(100, trimmed, refused, "--max_seq_length 300").status == status


def test_drop_verdicts() -> None:
    assert [data.check_dropped(10, *lost).status for lost in ((0, 0), (1, 4), (3, 3))] == ["pass", "warn", "fail"]


def test_reference_verdicts() -> None:
    user, assistant = ({"role": role, "content": []} for role in ("user", "assistant"))
    row = {"prompt": [user], "question": "Is it?", "answer": "yes", "question_type": "presence"}
    assert data.check_references([row]).status == "pass"
    assert data.check_references([row | {"question_type": None}]).status == "warn"
    odd = data.check_references([row | {"prompt": [user, assistant]}, row | {"answer": ""}])
    assert odd.status == "fail"
    assert (
        "row 0: the prompt ends with 'assistant'" in odd.detail and "row 1: question 'Is it?', answer ''" in odd.detail
    )


def test_peak_memory_of_a_block() -> None:
    """Each storage once, views and the model's own not at all, and what is freed makes room: 4 + 4, then 4 + 8 MB."""
    model = nn.Linear(1000, 1000)
    with probes.PeakMemory(model) as memory:
        kept = torch.zeros(1000, 1000)
        product = kept.T @ model.weight.T
        model.weight.requires_grad_(False).add_(1)
        del product
        wide = torch.cat([kept, kept.view(1000, 1000)])
    assert memory.peak == kept.nbytes + wide.nbytes == 12_000_000


def test_rows_to_look_at() -> None:
    """The longest first, then rows with pictures, then any; no row twice."""
    tokens = np.array([5, 9, 5, 5, 5, 5, 50, 5])
    images = np.array([0, 0, 0, 0, 1, 1, 0, 0])
    assert data.choose_rows(tokens, images, 4, 1) == [6, 4, 5, 0]
    assert data.choose_rows(tokens, images, 1, 2) == [6, 1]


def test_report_wraps_and_records(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    report = Report("sft")
    report.add(verdict("data", "word " * 60 + "\ntable line", (), ["odd"]))
    report.attempt("labels", lambda: 1 / 0)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("WARN data        odd; word") and all(len(line) <= 118 for line in lines)
    assert lines[-2].strip() == "table line"
    assert lines[-1] == "FAIL labels      ZeroDivisionError: division by zero"
    report.write(tmp_path / "r.json", seed=3)
    record = json.loads((tmp_path / "r.json").read_text())
    assert (record["ok"], record["seed"], record["checks"][0]["status"]) == (False, 3, "warn")
