"""Tokens per second of stage 1: padded batches of like lengths beside packed ones, in one run.

    python -m evaluation.benchmarks.sft_speed --out evaluation/results/sft_speed.json

Dialogues shaped like MMDU-45k (2 to 5 pictures, 1 to 27 turns, long and uneven), scaled down to ``--mean_tokens``. Both
ways train the same random model on the same samples, batch 4: the plain way pads batches that were grouped by length
(as ``group_by_length`` does), with the library's own attention; ours packs batches in random order. Samples are encoded
beforehand, so that the step itself is compared, and no picture feature is kept: an epoch shows each picture once.
Tokens are those of the dialogues, padding not counted.
"""

import argparse
import json
import random
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from transformers import AutoModelForImageTextToText

from evaluation.story import provenance
from src.budget import PixelBudget
from src.constants import IGNORE_INDEX
from src.dataset.collate import SftCollator
from src.dataset.schema import Conversation, Turn
from src.dataset.sft_dataset import MediaOptions, SftDataset
from src.errors import run_command
from src.model.load import load_processor
from src.model.lora import prepare_trainable
from src.model.nano import SIZES, build_variant
from src.model.packed_attention import pack_vision_windows
from src.params import LoraArguments, ModelArguments, SftArguments
from src.trainer.sft_trainer import SftTrainer

_BATCH = 4
_SENTENCE = "The river runs past the village, and the fields beyond it were built over between the two dates. "


def write_dialogues(folder: Path, count: int, mean_tokens: int, side: int, seed: int) -> list[Conversation]:
    """Dialogues whose lengths spread as those of MMDU-45k do: log-normal around the mean, 1 to 27 turns."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for index in range(count):
        paths = []
        for number in range(int(rng.integers(2, 6))):
            path = folder / f"{index}_{number}.png"
            Image.fromarray(rng.integers(0, 255, (side, side, 3), dtype=np.uint8)).save(path)
            paths.append(str(path))
        wanted = mean_tokens * float(rng.lognormal(-0.18, 0.6))
        text_tokens = max(40.0, wanted - len(paths) * (side // 28) ** 2)
        turns = int(np.clip(rng.normal(9, 5), 1, 27))
        repeats = max(1, round(text_tokens / turns / 30))
        content = [{"type": "image"}] * len(paths)
        made: list[Turn] = []
        for turn in range(turns):
            question = {"type": "text", "text": f"What do you see in picture {turn % len(paths) + 1}?"}
            made.append(Turn("user", (*(content if turn == 0 else ()), question)))
            made.append(Turn("assistant", ({"type": "text", "text": _SENTENCE * repeats},)))
        rows.append(Conversation(str(index), tuple(paths), (), tuple(made), {}))
    return rows


def make_trainer(folder: Path, args: argparse.Namespace, *, packed: bool) -> SftTrainer:
    """Stage 1 with LoRA on the language model (and the vision tower), trained merger."""
    torch.manual_seed(args.seed)
    model: Any = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32, attn_implementation="sdpa")
    if packed:
        pack_vision_windows(model)
    lora = LoraArguments(lora_enable=True, vision_lora=args.vision_lora, lora_rank=8, lora_dropout=0.0)
    model = prepare_trainable(model, ModelArguments(model_id=str(folder), freeze_merger=False), lora)
    config = SftArguments(
        output_dir=str(args.work / f"run_{packed}"),
        use_cpu=not torch.cuda.is_available(),
        report_to=[],
        padding_free=packed,
        vision_cache_mib=0,
        gradient_checkpointing=False,
    )
    trainer = SftTrainer(model, config)
    trainer.create_optimizer()
    return trainer


def epoch(trainer: SftTrainer, batches: list[dict[str, torch.Tensor]]) -> float:
    """Seconds of training on all batches."""
    model: Any = trainer.model
    model.train()
    trainer.current_gradient_accumulation_steps = 1
    optimizer: Any = trainer.optimizer
    start = time.perf_counter()
    for batch in batches:
        count = (batch["labels"] != IGNORE_INDEX).sum()
        trainer.training_step(model, dict(batch), num_items_in_batch=count)
        optimizer.step()
        optimizer.zero_grad()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - start


def parse() -> argparse.Namespace:
    """Command line of the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=list(SIZES), default="small", help="of the random model")
    parser.add_argument("--dialogues", type=int, default=32)
    parser.add_argument("--mean_tokens", type=int, default=700, help="MMDU-45k has 5,000")
    parser.add_argument("--side", type=int, default=168, help="pixels of a picture's side")
    parser.add_argument("--vision_lora", action="store_true", help="LoRA on the vision tower too")
    parser.add_argument("--pairs", type=int, default=3, help="times that both go through all dialogues")
    parser.add_argument("--work", type=Path, default=Path("output/benchmark_sft"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="write the result here")
    return parser.parse_args()


def main() -> None:
    """Compare; a table, then one JSON line."""
    args, started = parse(), time.time()
    folder = build_variant(args.work / "model", args.size, "qwen2_5_vl", args.seed)
    processor = load_processor(str(folder))
    rows = write_dialogues(args.work / "pictures", args.dialogues, args.mean_tokens, args.side, args.seed)
    dataset = SftDataset(rows, processor, MediaOptions(PixelBudget(784, args.side**2, 0)))
    samples = [dataset[index] for index in range(len(dataset))]
    lengths = [len(sample["input_ids"]) for sample in samples]
    collate = SftCollator(processor.tokenizer.pad_token_id)
    by_length = sorted(range(len(samples)), key=lambda index: lengths[index])
    at_random = random.Random(args.seed).sample(by_length, len(by_length))
    orders = {"padded": by_length, "packed": at_random}
    batches = {
        name: [
            collate([samples[index] for index in order[start : start + _BATCH]])
            for start in range(0, len(order), _BATCH)
        ]
        for name, order in orders.items()
    }
    trainers = {name: make_trainer(folder, args, packed=name == "packed") for name in orders}
    for name in orders:
        epoch(trainers[name], batches[name][:1])
    seconds: dict[str, list[float]] = {name: [] for name in orders}
    for _ in range(args.pairs):
        for name in orders:
            seconds[name].append(epoch(trainers[name], batches[name]))
    speeds = {name: sum(lengths) / statistics.median(values) for name, values in seconds.items()}
    ratios = [a / b for a, b in zip(seconds["padded"], seconds["packed"], strict=True)]
    padding = 1 - sum(lengths) / sum(batch["input_ids"].numel() for batch in batches["padded"])
    figures = {
        "n": args.pairs,
        "tokens": sum(lengths),
        "mean_tokens": round(statistics.mean(lengths), 1),
        "longest_tokens": max(lengths),
        "padding_share_of_the_plain_way": round(padding, 4),
        "tokens_per_second": {name: round(speed, 1) for name, speed in speeds.items()},
        "ratio_median": round(statistics.median(ratios), 3),
        "ratio_range": [round(min(ratios), 3), round(max(ratios), 3)],
    }
    for name, value in figures.items():
        print(f"{name:32} {value}")
    result = provenance(args, started, "evaluation.benchmarks.sft_speed") | figures
    print(json.dumps(result))
    if args.out:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    run_command(main)
