"""Training killed at any moment resumes to the same result."""

import os
import signal
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.nano_data import write_sft, write_vqa
from tests.runs import GRPO, SFT, losses, run, start

STEPS, SAVE = 6, 2
STAGES = {
    "sft": ("src.train.train_sft", SFT, write_sft, ["--per_device_train_batch_size", 2]),
    "grpo": ("src.train.train_grpo", GRPO, write_vqa, ["--per_device_train_batch_size", 8]),
}


def _flags(stage: str, tiny: Path, data: Path, out: Path) -> list[object]:
    _, shared, _, batch = STAGES[stage]
    steps = ["--max_steps", STEPS, "--save_steps", SAVE, "--save_strategy", "steps", "--save_total_limit", 2]
    return ["--model_id", tiny, "--data_path", data, "--output_dir", out, *shared, *batch, *steps]


def _kill_when(process, ready) -> None:
    deadline = time.time() + 120
    while not ready() and process.poll() is None and time.time() < deadline:
        time.sleep(0.002)
    assert process.poll() is None, process.communicate()[0][-3000:]
    os.kill(process.pid, signal.SIGKILL)
    process.wait()


MOMENTS = {
    "before_the_first_checkpoint": lambda out: out.exists(),
    "while_writing_a_checkpoint": lambda out: (out / "checkpoint-4").exists(),
    "after_a_checkpoint": lambda out: (out / "checkpoint-4" / "trainer_state.json").exists(),
}


@pytest.mark.slow
@pytest.mark.parametrize("stage", list(STAGES))
def test_killed_run_resumes_to_the_same_result(stage, tiny, tmp_path):
    """kill -9 at three moments; loss curve within 1e-5 and weights within 1e-6 of the uninterrupted run."""
    module, _, write, _ = STAGES[stage]
    data = write(tmp_path / "d", 12)
    whole = tmp_path / "whole"
    run(module, *_flags(stage, tiny, data, whole))
    for moment, ready in MOMENTS.items():
        out = tmp_path / moment
        process = start(module, *_flags(stage, tiny, data, out))
        _kill_when(process, lambda out=out, ready=ready: ready(out))
        assert not (out / "adapter_model.safetensors").exists()
        run(module, *_flags(stage, tiny, data, out))
        assert losses(out).keys() == losses(whole).keys()
        for step, loss in losses(whole).items():
            assert losses(out)[step] == pytest.approx(loss, abs=1e-5), (moment, step)
        expected = load_file(whole / "adapter_model.safetensors")
        for name, weight in load_file(out / "adapter_model.safetensors").items():
            torch.testing.assert_close(weight, expected[name], rtol=0, atol=1e-6, msg=f"{moment}: {name}")


def test_resume_in_the_middle_equals_no_stop(tiny, tmp_path):
    """A run stopped after its second checkpoint and started again ends where the uninterrupted one does."""
    module, _, write, _ = STAGES["sft"]
    data = write(tmp_path / "d", 12)
    run(module, *_flags("sft", tiny, data, tmp_path / "whole"))
    process = start(module, *_flags("sft", tiny, data, tmp_path / "cut"))
    _kill_when(process, lambda: (tmp_path / "cut" / "checkpoint-4" / "trainer_state.json").exists())
    output = run(module, *_flags("sft", tiny, data, tmp_path / "cut"))
    assert "resuming from" in output
    expected = load_file(tmp_path / "whole" / "adapter_model.safetensors")
    for name, weight in load_file(tmp_path / "cut" / "adapter_model.safetensors").items():
        torch.testing.assert_close(weight, expected[name], rtol=0, atol=1e-6, msg=name)
