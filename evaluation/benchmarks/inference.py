"""Speed of the inference engine: turns of a dialogue, users at once, and how soon a stop takes effect.

    python -m evaluation.benchmarks.inference --out evaluation/results/inference.json
    python -m evaluation.benchmarks.inference --size nano --turns 3 --side 224 --users 4 --tokens 8     # to try it

A Qwen2.5-VL with random weights: the figures are ratios between two ways of
doing the same work on the same machine, never answer quality. The plain way is
``model.generate`` on the whole dialogue at every turn, and one user after
another. The weights are scaled up so that greedy answers depend on the prompt.
"""

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from evaluation.story import provenance
from src.budget import TOKEN_AREA, PixelBudget
from src.errors import run_command
from src.model.batcher import TransformersBackend
from src.model.engine import Engine, pick_device
from src.model.load import load_processor
from src.model.nano import NANO_DIR, SIZES, NanoSize, build_config, build_model, build_processor
from src.model.prompt import Message
from src.model.reply import GenerateOptions, Reply

BENCHMARK_SIZES = SIZES | {"mini": NanoSize(512, 10, 1408, 16, 4, 256, 8, 512, 8)}
DIALOGUES = ("a", "b")
SHARPER = 2.0


def build_engine(args: argparse.Namespace) -> Engine:
    """A random model of a size, with the published pixel budget instead of the nano one."""
    tokenizer = load_processor(str(NANO_DIR)).tokenizer
    model = build_model(build_config(tokenizer, BENCHMARK_SIZES[args.size]), args.seed).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim > 1 and "embed" not in name:
                parameter.mul_(SHARPER)
    processor = build_processor(tokenizer, budget=PixelBudget(4 * TOKEN_AREA, 1280 * TOKEN_AREA))
    return Engine(model.to(pick_device(args.device)), processor)


def noise(side: int, seed: int) -> Image.Image:
    """A square picture of noise."""
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8))


def asked(text: str, pictures: list[Image.Image], before: list[Message]) -> list[Message]:
    """A dialogue with one more question."""
    parts: list[Message] = [{"type": "image", "image": picture} for picture in pictures]
    return [*before, {"role": "user", "content": [*parts, {"type": "text", "text": text}]}]


def seconds_of(work: Any) -> tuple[float, Any]:
    """Wall time and result of a call."""
    started = time.perf_counter()
    result = work()
    return time.perf_counter() - started, result


class FirstPass:
    """Time and logits of the first token of whatever the model does next."""

    def __init__(self, engine: Engine) -> None:
        self.passes: list[tuple[float, torch.Tensor]] = []
        self._hook = engine.model.lm_head.register_forward_hook(self._note)

    def _note(self, module: Any, inputs: Any, logits: torch.Tensor) -> None:
        if not self.passes:
            self.passes.append((time.perf_counter(), logits[0, -1].float()))

    def of(self, work: Any) -> tuple[float, float, Any, torch.Tensor]:
        """Seconds to the first token, seconds to the end, result and first logits of a call."""
        self.passes.clear()
        started = time.perf_counter()
        seconds, result = seconds_of(work)
        first, logits = self.passes[0]
        return first - started, seconds, result, logits

    def close(self) -> None:
        """Leave the model as it was."""
        self._hook.remove()


def measure_dialogues(engine: Engine, args: argparse.Namespace) -> dict[str, Any]:
    """Two dialogues in turn, with a picture at turns 1 and 6: first token and answer, by reuse and by a full run."""
    backend = TransformersBackend(engine)
    history: dict[str, list[Message]] = {name: [] for name in DIALOGUES}
    first: dict[str, list[float]] = {"reuse": [], "full": []}
    total: dict[str, list[float]] = {"reuse": [], "full": []}
    same, distinct, differences = 0, set(), []
    options = GenerateOptions(max_new_tokens=args.turn_tokens, temperature=0)
    clock = FirstPass(engine)
    for turn in range(args.turns):
        for number, name in enumerate(DIALOGUES):
            pictures = [noise(args.side, 100 * number + turn)] if turn in (0, 5) else []
            messages = asked(f"Question {turn + 1}: which land class changed in {name}?", pictures, history[name])
            ways = {
                "reuse": clock.of(lambda: backend.stream(messages, options, name).result()),  # noqa: B023
                "full": clock.of(lambda: engine.generate(messages, max_new_tokens=args.turn_tokens)),  # noqa: B023
            }
            for way, (first_s, total_s, _, _) in ways.items():
                first[way].append(first_s)
                total[way].append(total_s)
            answer, expected = ways["reuse"][2], ways["full"][2]
            difference = ways["reuse"][3] - ways["full"][3]
            differences.append(float(difference.abs().max() / ways["full"][3].abs().max()))
            same += answer == expected
            distinct.add(expected)
            history[name] = [*messages, {"role": "assistant", "content": expected}]
    clock.close()
    kept = backend.status()["dialogue_bytes"]
    backend.close()
    last = {way: statistics.mean(values[-len(DIALOGUES) :]) for way, values in first.items()}
    return {
        "turns": args.turns * len(DIALOGUES),
        "same_answers": same,
        "distinct_answers": len(distinct),
        "first_logits_relative_difference": float(f"{max(differences):.1e}"),
        "first_token_last_turn_s": {way: round(value, 4) for way, value in last.items()},
        "first_token_ratio_last_turn": round(last["full"] / last["reuse"], 1),
        "first_token_sum_s": {way: round(sum(values), 3) for way, values in first.items()},
        "answer_sum_s": {way: round(sum(values), 3) for way, values in total.items()},
        "dialogue_bytes": kept,
    }


def measure_users(engine: Engine, args: argparse.Namespace) -> dict[str, Any]:
    """The same questions of several users, one after another and together; the better of ``--repeats`` runs of each."""
    backend = TransformersBackend(engine)
    options = GenerateOptions(max_new_tokens=args.tokens, temperature=0)
    questions = [asked(f"User {n}: how much cropland?", [noise(args.side // 2, n)], []) for n in range(args.users)]

    def together() -> list[Reply]:
        replies = [backend.stream(question, options, "") for question in questions]
        for reply in replies:
            reply.result()
        return replies

    def in_turn() -> list[Reply]:
        replies = []
        for question in questions:
            replies.append(backend.stream(question, options, ""))
            replies[-1].result()
        return replies

    in_turn_runs = [seconds_of(in_turn) for _ in range(args.repeats)]
    together_runs = [seconds_of(together) for _ in range(args.repeats)]
    backend.close()
    alone_s, alone = min(in_turn_runs, key=lambda run: run[0])
    joint_s, joint = min(together_runs, key=lambda run: run[0])
    assert all(reply.finish_reason == "length" for reply in [*alone, *joint]), "both ways must write equally much"
    waits = [reply.first_token_s or 0.0 for reply in joint]
    return {
        "users": args.users,
        "tokens_each": args.tokens,
        "seconds": {"in_turn": round(alone_s, 3), "together": round(joint_s, 3)},
        "throughput_ratio": round(alone_s / joint_s, 2),
        "tokens_per_second_together": round(args.users * args.tokens / joint_s, 1),
        "same_answers": sum(one.text == other.text for one, other in zip(alone, joint, strict=True)),
        "first_token_together_s": {"mean": round(statistics.mean(waits), 3), "max": round(max(waits), 3)},
    }


def measure_cancel(engine: Engine, args: argparse.Namespace) -> dict[str, Any]:
    """Seconds from a stop to the free row, while eight write and while a long prompt is being read."""
    backend = TransformersBackend(engine)
    long = GenerateOptions(max_new_tokens=4000, temperature=1.0, seed=0)
    replies = [backend.stream(asked(f"User {n}?", [], []), long, "") for n in range(args.users)]
    while any(reply.first_token_s is None for reply in replies):
        time.sleep(0.001)
    decode = [_stop(backend, reply) for reply in replies]
    pictures = [noise(args.side, seed) for seed in range(4)]
    whole, _ = seconds_of(lambda: backend.generate(asked("Compare.", pictures, []), max_new_tokens=1))
    prefill = []
    for share in (0.2, 0.4, 0.6, 0.8):
        reply = backend.stream(asked("Compare.", pictures, []), long, "")
        time.sleep(whole * share)
        prefill.append(_stop(backend, reply))
    backend.close()
    return {
        "decode_max_s": round(max(decode), 4),
        "prefill_whole_s": round(whole, 3),
        "prefill_max_s": round(max(prefill), 4),
    }


def _stop(backend: TransformersBackend, reply: Reply) -> float:
    active = backend.status()["active"]

    def free() -> None:
        reply.cancel()
        reply.result()
        while backend.status()["active"] >= active:
            time.sleep(0.0005)

    return seconds_of(free)[0]


PARTS = {"dialogues": measure_dialogues, "users": measure_users, "cancel": measure_cancel}


def parse() -> argparse.Namespace:
    """Command line of the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=list(BENCHMARK_SIZES), default="mini")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--parts", nargs="+", choices=list(PARTS), default=list(PARTS), help="what to measure")
    parser.add_argument("--turns", type=int, default=15)
    parser.add_argument("--turn-tokens", type=int, default=32, help="tokens of an answer in the dialogues")
    parser.add_argument("--side", type=int, default=896, help="pixels of a picture's side; half of it for single users")
    parser.add_argument("--users", type=int, default=8)
    parser.add_argument("--tokens", type=int, default=128, help="tokens of an answer of single users")
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="write the result here")
    return parser.parse_args()


def main() -> None:
    """Run, print the figures, then one JSON line."""
    args, started = parse(), time.time()
    engine = build_engine(args)
    millions = sum(parameter.numel() for parameter in engine.model.parameters()) / 1e6
    print(f"{args.size}, {millions:.1f} M random parameters, {engine.model.device}, {torch.get_num_threads()} threads")
    figures: dict[str, Any] = {"parameters_m": round(millions, 1), "device": str(engine.model.device)}
    for name in args.parts:
        figures[name] = PARTS[name](engine, args)
        for key, value in figures[name].items():
            print(f"{name:10} {key:30} {value}", flush=True)
    result = provenance(args, started, "evaluation.benchmarks.inference")
    result |= {"n": args.turns * len(DIALOGUES)} | figures
    print(json.dumps(result))
    if args.out:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    run_command(main)
