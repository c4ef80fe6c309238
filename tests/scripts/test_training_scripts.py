"""The training scripts as users start them: DeepSpeed, one and two CPU processes, ZeRO-2 and ZeRO-3."""

import os
import socket
import subprocess
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from src.model.nano import build_variant
from tests.nano_data import BUDGET_FLAGS, write_sft, write_vqa
from tests.runs import environment, losses

FLAGS = [*BUDGET_FLAGS, "--dataloader_num_workers", "0", "--bf16", "False", "--report_to", "none"]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> Path:
    return build_variant(tmp_path_factory.mktemp("tiny") / "model", "tiny", "qwen2_5_vl", seed=0)


def _free_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


def run_script(repo: Path, name: str, *flags: object, code: int = 0, **env: object) -> str:
    """Run a script with variables and flags; returns its output."""
    variables = environment() | {"MASTER_PORT": _free_port()} | {key: str(value) for key, value in env.items()}
    done = subprocess.run(
        ["bash", f"scripts/{name}", *map(str, flags)],
        cwd=repo,
        env=variables,
        capture_output=True,
        text=True,
        timeout=600,
    )
    output = done.stdout + done.stderr
    assert done.returncode == code, output[-4000:]
    return output


@pytest.mark.parametrize("zero", [pytest.param("zero2", id="ZeRO-2"), pytest.param("zero3", id="ZeRO-3")])
def test_two_processes_with_text_only_rows_do_not_hang(repo, tiny, tmp_path, zero):
    """Ranks whose batch held no picture skipped the vision tower, and the others waited for ever."""
    data = write_sft(tmp_path, 4, text_only=4)
    out = tmp_path / "out"
    run_script(
        repo,
        "finetune_lora_vision.sh",
        *(*FLAGS, "--max_steps", 3, "--lora_rank", 4, "--seed", 1),
        MODEL_NAME=tiny,
        DATA_PATH=data,
        IMAGE_FOLDER=tmp_path,
        OUTPUT_DIR=out,
        NUM_DEVICES=2,
        GLOBAL_BATCH_SIZE=2,
        DEEPSPEED=f"scripts/{zero}.json",
    )
    weights = load_file(out / "adapter_model.safetensors")
    assert all(w.abs().max() > 0 for name, w in weights.items() if "lora_B" in name)
    assert sorted(losses(out)) == [1, 2, 3]


@pytest.mark.slow
@pytest.mark.parametrize("zero", ["zero2", "zero3", "zero3_offload"])
def test_grpo_on_two_processes_with_mixed_prompts(repo, tiny, tmp_path, zero):
    data = write_vqa(tmp_path, 4, text_only=4)
    out = tmp_path / "out"
    run_script(
        repo,
        "finetune_grpo.sh",
        *(*FLAGS, "--max_steps", 3, "--max_completion_length", 4, "--learning_rate", "1e-3"),
        MODEL_NAME=tiny,
        STAGE1="none",
        DATA_PATH=data,
        IMAGE_FOLDER=tmp_path,
        OUTPUT_DIR=out,
        NUM_DEVICES=2,
        GLOBAL_BATCH_SIZE=16,
        BATCH_PER_DEVICE=4,
        NUM_GENERATIONS=4,
        DEEPSPEED=f"scripts/{zero}.json",
    )
    weights = load_file(out / "adapter_model.safetensors")
    assert any("merger" in name for name in weights)
    assert (out / "completions.jsonl").exists()


@pytest.mark.slow
def test_zero_stages_agree_with_plain_training(repo, tiny, tmp_path):
    """Two processes under ZeRO-2 and ZeRO-3 give the loss curve of one process."""
    data = write_sft(tmp_path, 6, text_only=2)
    curves = {}
    for name, devices, zero in (("one", 1, "zero2"), ("two", 2, "zero2"), ("three", 2, "zero3")):
        run_script(
            repo,
            "finetune_lora_vision.sh",
            *(*FLAGS, "--max_steps", 3, "--lora_dropout", 0, "--gradient_checkpointing", "False"),
            MODEL_NAME=tiny,
            DATA_PATH=data,
            IMAGE_FOLDER=tmp_path,
            OUTPUT_DIR=tmp_path / name,
            NUM_DEVICES=devices,
            GLOBAL_BATCH_SIZE=8,
            DEEPSPEED=f"scripts/{zero}.json",
        )
        curves[name] = torch.tensor(list(losses(tmp_path / name).values()))
    torch.testing.assert_close(curves["one"], curves["two"], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(curves["one"], curves["three"], rtol=1e-4, atol=1e-4)


def test_variants_of_stage_1_train(repo, tiny, tmp_path):
    """finetune_qlora.sh: a 4-bit base through DeepSpeed on the CPU."""
    data = write_sft(tmp_path, 4)
    run_script(
        repo,
        "finetune_qlora.sh",
        *(*FLAGS, "--max_steps", 1),
        MODEL_NAME=tiny,
        DATA_PATH=data,
        IMAGE_FOLDER=tmp_path,
        OUTPUT_DIR=tmp_path / "out",
        GLOBAL_BATCH_SIZE=1,
    )
    assert (tmp_path / "out" / "adapter_model.safetensors").exists()


def test_missing_stage_1_stops_the_script(repo, tmp_path):
    output = run_script(repo, "finetune_grpo.sh", code=2, STAGE1=tmp_path / "absent")
    assert "run scripts/finetune_lora_vision.sh first" in output


def test_batch_that_does_not_divide_is_refused(repo, tmp_path):
    output = run_script(repo, "finetune_lora_vision.sh", code=2, GLOBAL_BATCH_SIZE=3, BATCH_PER_DEVICE=2, NUM_DEVICES=1)
    assert "not a multiple" in output


def test_scripts_are_short_and_executable(repo):
    scripts = sorted((repo / "scripts").glob("*.sh"))
    assert len(scripts) >= 12
    for script in scripts:
        assert len(script.read_text().splitlines()) <= 60, script
        assert os.access(script, os.X_OK), script
        assert subprocess.run(["bash", "-n", script], check=False).returncode == 0
