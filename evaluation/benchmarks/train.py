"""Memory and speed of both stages at full model shapes, with random weights and the scripts' default settings.

    python -m evaluation.benchmarks.train --stage sft --size 3b --cap_gb 24 --out evaluation/results/train_sft.json
    python -m evaluation.benchmarks.train --stage grpo --size 3b --stock --peak_tflops 989 --out output/stock.json
    python -m evaluation.benchmarks.train --stage grpo --size tiny --steps 2          # on a CPU, to try it

The model has the published shapes of Qwen2.5-VL-3B and random weights: memory
and speed do not depend on the values. Pictures are noise at the script's pixel
budget. ``--cap_gb`` limits what torch may take on the GPU, so that a run that
passes fits a card of that size. ``--stock`` takes the usual way (padded batches;
TRL's own path). The operations of the first step are counted by PyTorch
(matrix products and attention; recomputation under checkpointing included);
over the seconds of the others and ``--peak_tflops`` of the card (H100 SXM:
989 in bf16 without sparsity, by its data sheet) they give the utilisation.
"""

import argparse
import json
import os
import re
import shlex
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.utils.flop_counter import FlopCounterMode
from transformers import TrainerCallback, TrainerState

from evaluation.story import provenance
from src.errors import InputError, TrainingError, run_command
from src.model.nano import SIZES, build_variant
from src.train import train_grpo, train_sft
from src.trainer.grpo_trainer import GrpoTrainer
from src.trainer.sft_trainer import SftTrainer

# The usual way of each stage.
STOCK = {"sft": ("--padding_free", "False"), "grpo": ("--shared_prefix", "False")}
STAGES: dict[str, tuple[str, Any, Any]] = {
    "sft": ("scripts/finetune_lora_vision.sh", train_sft, SftTrainer),
    "grpo": ("scripts/finetune_grpo.sh", train_grpo, GrpoTrainer),
}


class StepClock(TrainerCallback):
    """Seconds and tokens of every optimizer step, operations of the first."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.tokens: list[int] = []
        self.operations = 0
        self._counter = FlopCounterMode(display=False)
        self._started = 0.0

    def on_step_begin(self, *args: Any, **kwargs: Any) -> None:
        """Start the clock when the GPU has nothing left to do."""
        if not self.seconds:
            self._counter.__enter__()
        _wait()
        self._started = time.perf_counter()

    def on_step_end(self, args: Any, state: TrainerState, *rest: Any, **kwargs: Any) -> None:
        """Stop it likewise."""
        _wait()
        if not self.seconds:
            self._counter.__exit__(None, None, None)
            self.operations = self._counter.get_total_flops()
        self.seconds.append(time.perf_counter() - self._started)
        self.tokens.append(int(state.num_input_tokens_seen) - sum(self.tokens))


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def script_flags(script: str) -> list[str]:
    """Flags that a training script passes, as written in it, with its variables' own flags left out."""
    text = Path(script).read_text(encoding="utf-8").split("launch src.train.", 1)[1].split("\n", 1)[1]
    text = re.sub(r"\$\(\(([\d *]+)\)\)", lambda match: str(_product(match.group(1))), text.replace("\\\n", " "))
    words = shlex.split(text)
    flags: list[str] = []
    for flag, value in zip(words, words[1:], strict=False):
        if flag.startswith("--") and "$" not in value and not value.startswith("--"):
            flags += [flag, value]
    return flags


def _product(text: str) -> int:
    return int(np.prod([int(number) for number in text.split("*")]))


def write_rows(folder: Path, stage: str, count: int, images: int, side: int, seed: int) -> Path:
    """Noise pictures with dialogues (sft) or short questions (grpo)."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    rows = []
    for index in range(count):
        names = [f"{index}_{i}.png" for i in range(images if stage == "sft" else 1)]
        for name in names:
            Image.fromarray(rng.integers(0, 255, (side, side, 3), dtype=np.uint8)).save(folder / name)
        turns = []
        for turn in range(9 if stage == "sft" else 1):
            tags = "<image>" * len(names) if turn == 0 else ""
            turns.append({"from": "human", "value": f"{tags}Is there water in picture {turn}?"})
            answer = "The picture shows fields and a river. " * 12 if stage == "sft" else "yes"
            turns.append({"from": "gpt", "value": answer})
        rows.append({"id": str(index), "image": names, "conversations": turns, "question_type": "presence"})
    path = folder / "rows.json"
    path.write_text(json.dumps(rows), encoding="utf-8")
    return path


def measure(args: argparse.Namespace, clock: StepClock) -> None:
    """Run the stage's own main in this process, with the script's flags."""
    script, module, trainer_class = STAGES[args.stage]
    data = write_rows(args.work / "data", args.stage, args.rows, args.images, args.side, args.seed)
    model = build_variant(args.work / "model", args.size, "qwen2_5_vl", args.seed)
    ranks = {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29611"}
    os.environ.update(ranks)
    flags = [*script_flags(script), "--model_id", str(model), "--data_path", str(data), "--report_to", "none"]
    flags += ["--output_dir", str(args.work / "out"), "--max_steps", str(args.steps), "--deepspeed", args.deepspeed]
    flags += ["--include_num_input_tokens_seen", "True", "--per_device_train_batch_size", "1"]
    flags += ["--gradient_accumulation_steps", str(args.accumulation), *(STOCK[args.stage] if args.stock else ())]
    if not torch.cuda.is_available():
        os.environ["DS_ACCELERATOR"] = "cpu"
        flags += ["--use_cpu", "True"]
    original = trainer_class.__init__

    def timed(self: Any, *positional: Any, **named: Any) -> None:
        original(self, *positional, **named)
        self.add_callback(clock)

    trainer_class.__init__ = timed
    argv, sys.argv = sys.argv, ["train", *flags, *args.extra]
    try:
        module.main()
    except torch.OutOfMemoryError as error:
        raise TrainingError(f"out of memory under the cap of {args.cap_gb} GB: {error}") from error
    finally:
        sys.argv, trainer_class.__init__ = argv, original


def parse() -> argparse.Namespace:
    """Command line of the benchmark; what follows -- goes to the stage."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stage", choices=list(STAGES), required=True)
    parser.add_argument("--size", choices=list(SIZES), default="3b")
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--rows", type=int, default=64)
    parser.add_argument("--images", type=int, default=3, help="pictures per dialogue (sft)")
    parser.add_argument("--side", type=int, default=896, help="pixels of a picture's side before the budget")
    parser.add_argument("--accumulation", type=int, default=8)
    parser.add_argument("--deepspeed", default="scripts/zero2.json")
    parser.add_argument("--stock", action="store_true", help="the usual way instead of ours")
    parser.add_argument("--peak_tflops", type=float, help="of the card, for the utilisation")
    parser.add_argument("--cap_gb", type=float, help="most GPU memory that torch may take")
    parser.add_argument("--work", type=Path, default=Path("output/benchmark_train"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="write the result here")
    parser.add_argument("extra", nargs="*", help="further flags of the stage, after --")
    return parser.parse_args()


def main() -> None:
    """Run, print the figures, then one JSON line."""
    args, started, clock = parse(), time.time(), StepClock()
    if args.cap_gb and not torch.cuda.is_available():
        raise InputError("--cap_gb needs a CUDA device: leave it out on a CPU")
    if args.cap_gb:
        total = torch.cuda.get_device_properties(0).total_memory
        torch.cuda.set_per_process_memory_fraction(min(1.0, args.cap_gb * 2**30 / total))
    measure(args, clock)
    # The first step is slower: libraries warm up and operations are counted.
    warm = 1 if len(clock.seconds) > 1 else 0
    steady = clock.seconds[warm:]
    peak = torch.cuda.max_memory_reserved() / 2**30 if torch.cuda.is_available() else None
    median = float(np.median(steady))
    tflops = clock.operations / 1e12
    figures = {
        "stage": args.stage,
        "size": args.size,
        "way": "stock" if args.stock else "ours",
        "seconds_per_step_median": round(median, 3),
        "tera_operations_per_step": round(tflops, 6),
        "utilisation": round(tflops / median / args.peak_tflops, 4) if args.peak_tflops else None,
        "steps_measured": len(steady),
        "tokens_per_second": round(sum(clock.tokens[warm:]) / sum(steady), 1),
        "peak_memory_gib": None if peak is None else round(peak, 2),
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
    }
    result = provenance(args, started, "evaluation.benchmarks.train") | {"n": len(steady)} | figures
    for name, value in figures.items():
        print(f"{name:26} {value}")
    print(json.dumps(result))
    if args.out:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    run_command(main)
