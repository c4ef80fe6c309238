"""Seconds of one GRPO optimizer step: TRL's own path beside packed groups, in one run.

    python -m evaluation.benchmarks.grpo_speed --out evaluation/results/grpo_speed.json

Same random model (LoRA on the language model, trained merger, frozen tower), data, seed and machine; the two take
turns, step by step, after one step each to warm up. The stock path is given its best batch of ``--stock_batches``.
Each step draws new pictures, so the feature cache helps within a step only. Counted beside the times: passes of the
vision blocks, pictures encoded, and tokens through the language model, against the least that the step needs (each
prompt once in each of three passes, each completion token once).
"""

import argparse
import json
import statistics
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from PIL import Image
from transformers import AutoModelForImageTextToText

from evaluation.story import provenance
from src.errors import run_command
from src.model.load import load_processor
from src.model.lora import freeze_base, lora_config
from src.model.nano import SIZES, build_variant
from src.model.patches import vision_language_core
from src.params import GrpoArguments, LoraArguments, ModelArguments
from src.trainer.grpo_trainer import GrpoTrainer

_WORDS = "How many parcels of cropland lie between the river and the road in this picture of the county? "


def length_reward(completions: list[Any], **_: Any) -> list[float]:
    """Differs within groups, so that every step has a gradient."""
    return [len(completion[0]["content"]) % 7 / 7 for completion in completions]


def rows_of(count: int, side: int, seed: int) -> list[dict[str, Any]]:
    """Questions about noise pictures, each its own."""
    rng = np.random.default_rng(seed)
    content = [{"type": "image"}, {"type": "text", "text": _WORDS}]
    return [
        {
            "prompt": [{"role": "user", "content": content}],
            "images": [Image.fromarray(rng.integers(0, 255, (side, side, 3), dtype=np.uint8))],
        }
        for _ in range(count)
    ]


class Bench:
    """One trainer whose optimizer steps are timed part by part."""

    def __init__(self, args: argparse.Namespace, model_folder: Path, *, shared: bool, batch: int, group: int) -> None:
        self.args, self.group, self.step_number = args, group, 0
        self.seconds: dict[str, float] = defaultdict(float)
        self.counts: dict[str, int] = defaultdict(int)
        model: Any = AutoModelForImageTextToText.from_pretrained(
            model_folder, dtype=torch.float32, attn_implementation="sdpa"
        )
        model_args = ModelArguments(model_id=str(model_folder), freeze_merger=False)
        lora = LoraArguments(lora_enable=True, lora_rank=8, lora_alpha=16, lora_dropout=0.0)
        model = freeze_base(model, model_args, lora)
        config = GrpoArguments(
            output_dir=str(args.work / ("shared" if shared else f"stock_{batch}")),
            per_device_train_batch_size=batch,
            gradient_accumulation_steps=args.prompts * group // batch,
            num_generations=group,
            max_completion_length=args.completion,
            beta=0.04,
            temperature=0.9,
            use_cpu=not torch.cuda.is_available(),
            bf16=False,
            gradient_checkpointing=args.gradient_checkpointing,
            report_to=[],
            max_steps=1000,
            seed=args.seed,
        )
        self.trainer = GrpoTrainer(
            model,
            reward_funcs=[length_reward],
            args=config,
            train_dataset=Dataset.from_list([{"prompt": "unused"}]),
            processing_class=load_processor(str(model_folder)),
            peft_config=lora_config(model, model_args, lora),
            shared_prefix=shared,
        )
        self.trainer.create_optimizer()
        self._watch()

    def _watch(self) -> None:
        core = vision_language_core(self.trainer.model)  # type: ignore[arg-type]
        core.visual.blocks[0].register_forward_pre_hook(self._count_vision, with_kwargs=True)
        core.language_model.register_forward_pre_hook(self._count_tokens, with_kwargs=True)
        for name, part in (("_generate_single_turn", "generation"), ("_tokenize_prompts", "data")):
            setattr(self.trainer, name, self._timed(part, getattr(self.trainer, name)))

    def _count_vision(self, _: Any, args: Any, kwargs: dict[str, Any]) -> None:
        patches = (args[0] if args else kwargs["hidden_states"]).shape[0]
        self.counts["patches through the vision tower"] += patches

    def _count_tokens(self, _: Any, args: Any, kwargs: dict[str, Any]) -> None:
        self.counts["tokens through the language model"] += kwargs["inputs_embeds"].shape[:2].numel()

    def _timed(self, part: str, function: Any) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            with self._clock(part):
                return function(*args, **kwargs)

        return call

    @contextmanager
    def _clock(self, part: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.seconds[part] += time.perf_counter() - start

    def step(self) -> float:
        """One optimizer step on new prompts; returns its seconds."""
        trainer: Any = self.trainer
        rows = rows_of(self.args.prompts, self.args.side, self.args.seed + self.step_number)
        inputs = [row for row in rows for _ in range(self.group)]
        self.step_number += 1
        model = trainer.model.train()
        accumulation = trainer.args.gradient_accumulation_steps
        trainer.current_gradient_accumulation_steps = accumulation
        torch.manual_seed(self.args.seed + self.step_number)
        start = time.perf_counter()
        trainer._step = 0
        trainer._buffered_inputs, trainer._micro_batches = None, []
        for micro in range(accumulation):
            with self._clock("rollout: reference, rewards, second preprocessing"):
                batch = trainer._prepare_inputs(inputs)
            with self._clock("policy forward"):
                loss = trainer._compute_loss(model, batch)
            with self._clock("policy backward"):
                loss.backward()
            trainer._step = micro + 1
        with self._clock("optimizer"):
            trainer.optimizer.step()
            trainer.optimizer.zero_grad()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        return time.perf_counter() - start

    def parts(self, steps: int) -> dict[str, float]:
        """Mean seconds of each part; what lies inside the rollout is taken out of it."""
        seconds = dict(self.seconds)
        rollout = "rollout: reference, rewards, second preprocessing"
        seconds[rollout] -= seconds["generation"] + seconds["data"]
        return {name: round(value / steps, 4) for name, value in seconds.items()}


def compare(args: argparse.Namespace, folder: Path, group: int) -> dict[str, Any]:
    """Both ways at one group size: medians of the steps, their ratio, parts and counts."""
    batches = [batch for batch in args.stock_batches if (args.prompts * group) % batch == 0]
    trial = {}
    for batch in batches:
        bench = Bench(args, folder, shared=False, batch=batch, group=group)
        bench.step()
        trial[batch] = bench.step()
    best = min(trial, key=lambda batch: trial[batch])
    stock = Bench(args, folder, shared=False, batch=best, group=group)
    ours = Bench(args, folder, shared=True, batch=min(args.prompts, args.groups_per_pass) * group, group=group)
    pairs = []
    for number in range(args.pairs + 1):
        if number == 1:
            for bench in (stock, ours):
                bench.seconds.clear()
                bench.counts.clear()
        pair = (stock.step(), ours.step())
        if number:
            pairs.append(pair)
    ratios = [a / b for a, b in pairs]
    medians = [statistics.median(times) for times in zip(*pairs, strict=True)]
    return {
        "group": group,
        "stock_batch": best,
        "stock_trials": {str(batch): round(value, 3) for batch, value in trial.items()},
        "stock_seconds": round(medians[0], 3),
        "ours_seconds": round(medians[1], 3),
        "ratio_median": round(statistics.median(ratios), 2),
        "ratio_range": [round(min(ratios), 2), round(max(ratios), 2)],
        "parts": {"stock": stock.parts(args.pairs), "ours": ours.parts(args.pairs)},
        "counts_per_step": {
            name: {key: value // args.pairs for key, value in bench.counts.items()}
            for name, bench in (("stock", stock), ("ours", ours))
        },
    }


def parse() -> argparse.Namespace:
    """Command line of the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=list(SIZES), default="small", help="of the random model")
    parser.add_argument("--groups", type=int, nargs="+", default=[8], help="group sizes G to compare")
    parser.add_argument("--prompts", type=int, default=2, help="prompts per optimizer step")
    parser.add_argument("--groups_per_pass", type=int, default=1, help="groups in one packed pass")
    parser.add_argument("--stock_batches", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--side", type=int, default=448, help="pixels of a picture's side")
    parser.add_argument("--completion", type=int, default=32, help="longest completion, tokens")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--gradient_checkpointing", action="store_true")
    parser.add_argument("--work", type=Path, default=Path("output/benchmark_grpo"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="write the result here")
    return parser.parse_args()


def main() -> None:
    """Compare at every group size; a table, then one JSON line."""
    args, started = parse(), time.time()
    folder = build_variant(args.work / "model", args.size, "qwen2_5_vl", args.seed)
    results = []
    print(f"{'G':>3} {'stock s':>9} {'ours s':>9} {'ratio':>7}  stock batch")
    for group in args.groups:
        found = compare(args, folder, group)
        results.append(found)
        print(
            f"{group:>3} {found['stock_seconds']:>9.3f} {found['ours_seconds']:>9.3f} {found['ratio_median']:>7.2f}  "
            f"{found['stock_batch']}",
            flush=True,
        )
    result = provenance(args, started, "evaluation.benchmarks.grpo_speed") | {"n": args.pairs, "results": results}
    print(json.dumps(result))
    if args.out:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    run_command(main)
