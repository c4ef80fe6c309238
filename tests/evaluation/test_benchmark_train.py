"""The training benchmark, tried on a CPU."""

import json
import sys
from types import SimpleNamespace

import pytest
import torch

from evaluation.benchmarks import train
from src.errors import InputError


def test_flags_come_from_the_scripts(repo):
    flags = train.script_flags(str(repo / "scripts/finetune_lora_vision.sh"))
    pairs = dict(zip(flags[::2], flags[1::2], strict=True))
    assert pairs["--lora_rank"] == "32"
    assert pairs["--image_max_pixels"] == str(1280 * 28 * 28)
    assert "--model_id" not in pairs
    grpo = train.script_flags(str(repo / "scripts/finetune_grpo.sh"))
    assert dict(zip(grpo[::2], grpo[1::2], strict=True))["--beta"] == "0.04"


@pytest.mark.slow
def test_benchmark_runs_on_a_cpu(tmp_path, monkeypatch, capsys):
    argv = ["--stage", "sft", "--size", "tiny", "--steps", 2, "--rows", 4, "--accumulation", 1, "--side", 112]
    argv += ["--work", tmp_path / "w", "--out", tmp_path / "r.json"]
    extra = ["--", "--dataloader_num_workers", "0", "--image_min_pixels", "3136", "--image_max_pixels", "12544"]
    monkeypatch.setattr(sys, "argv", ["train", *map(str, [*argv, *extra])])
    train.main()
    result = json.loads((tmp_path / "r.json").read_text())
    assert result["seconds_per_step_median"] > 0
    assert result["tokens_per_second"] > 0
    assert result["tera_operations_per_step"] > 0 and result["utilisation"] is None
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["stage"] == "sft"


def test_operations_of_the_first_step_are_counted():
    """Two products of (8, 16) by (16, 32), 2 m n k each, and none of the second step."""
    clock, state = train.StepClock(), SimpleNamespace(num_input_tokens_seen=0)
    for tokens in (5, 7):
        state.num_input_tokens_seen += tokens
        clock.on_step_begin()
        for _ in range(2):
            torch.ones(8, 16) @ torch.ones(16, 32)
        clock.on_step_end(None, state)
    assert clock.operations == 2 * 2 * 8 * 16 * 32
    assert len(clock.seconds) == 2 and clock.tokens == [5, 7]


def test_cap_without_a_gpu_is_refused(monkeypatch):
    monkeypatch.setattr(train.torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(sys, "argv", ["train", "--stage", "sft", "--cap_gb", "24"])
    with pytest.raises(InputError, match="CUDA"):
        train.main()
