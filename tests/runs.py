"""Running the training commands as a user does, on tiny models."""

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.nano_data import BUDGET_FLAGS

REPO = Path(__file__).resolve().parents[1]
COMMON = [
    *("--use_cpu", "True", "--bf16", "False", "--gradient_checkpointing", "False", "--report_to", "none"),
    *("--logging_steps", "1", "--dataloader_num_workers", "0", "--lora_enable", "True"),
    *BUDGET_FLAGS,
]
SFT = [*COMMON, "--vision_lora", "True", "--lora_rank", "4", "--learning_rate", "1e-3"]
GRPO = [
    *(*COMMON, "--lora_rank", "4", "--freeze_merger", "False", "--learning_rate", "1e-3"),
    *("--num_generations", "4", "--max_completion_length", "4", "--beta", "0.04", "--temperature", "0.9"),
]


# What a launcher tells its processes; a test before may have left it behind.
LAUNCHED = frozenset({"RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_SIZE", "MASTER_ADDR", "MASTER_PORT"})


def environment() -> dict[str, str]:
    """One thread, CPU, offline, no launcher's process."""
    return {name: value for name, value in os.environ.items() if name not in LAUNCHED} | {
        "OMP_NUM_THREADS": "1",
        "DS_ACCELERATOR": "cpu",
        "HF_HUB_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false",
    }


def start(module: str, *args: object) -> subprocess.Popen:
    """Start ``python -m module`` in the repository, output captured together."""
    command = [sys.executable, "-m", module, *map(str, args)]
    return subprocess.Popen(
        command, cwd=REPO, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def run(module: str, *args: object, code: int = 0) -> str:
    """Run ``python -m module`` to its end, check the exit code, return its output."""
    process = start(module, *args)
    output, _ = process.communicate(timeout=600)
    assert process.returncode == code, output[-4000:]
    return output


def losses(output_dir: Path) -> dict[int, float]:
    """Training loss per step, from the state saved at the end."""
    history = json.loads((output_dir / "trainer_state.json").read_text())["log_history"]
    return {row["step"]: row["loss"] for row in history if "loss" in row}
