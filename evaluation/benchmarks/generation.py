"""Speed of answering a multi-turn benchmark: questions per second of three ways, in one run on one machine and model.

    python -m evaluation.benchmarks.generation --out evaluation/results/generation.json
    python -m evaluation.benchmarks.generation --size tiny --dialogues 2 --turns 3 --side 112 --tokens 6   # to try it

load      the model is loaded for every question, then as "stock"; timed on a few questions
stock     loaded once, ``model.generate`` per turn, the whole dialogue encoded anew each time
ours      what generate_answers does: dialogues together, each turn computing only what is new

The model has random weights: the figures are ratios between ways of doing the
same work, never answer quality. Its weights are scaled up so that greedy
answers depend on the question. In float32 the first logits of every turn are
compared with the stock way's on the same history, and every answer that
differs must do so at a tie: two tokens whose logits differ less than --tie.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from evaluation.benchmarks.inference import BENCHMARK_SIZES, SHARPER, noise
from evaluation.model_generation.asking import Together
from evaluation.model_generation.sets import Dialogue, Question
from evaluation.story import provenance
from src.budget import TOKEN_AREA, PixelBudget
from src.errors import run_command
from src.model.decode import Decoder
from src.model.engine import Engine, pick_device
from src.model.load import load_processor
from src.model.nano import NANO_DIR, build_config, build_model, build_processor
from src.model.prompt import checked_messages
from src.model.reply import GenerateOptions

MODEL_SIZES = BENCHMARK_SIZES | {"small": BENCHMARK_SIZES["mini"]}
SUBJECTS = ("cropland", "forest", "water", "grassland", "built-up land", "garden land", "unused land")


@dataclass(frozen=True)
class Shown(Dialogue):
    """A dialogue whose pictures are made up: ``paths`` holds their seeds."""

    side: int = 0

    def pictures(self) -> list[Image.Image]:
        """Pictures of noise."""
        return [noise(self.side, int(seed)) for seed in self.paths]


def make_dialogues(args: argparse.Namespace) -> list[Shown]:
    """Dialogues of ``--turns`` different questions about ``--images`` pictures each."""
    made = []
    for number in range(args.dialogues):
        questions = []
        for turn in range(args.turns):
            text = f"Question {turn + 1}: where in image {turn % args.images + 1} is {SUBJECTS[turn % len(SUBJECTS)]}?"
            images = [{"type": "image"}] * args.images if turn == 0 else []
            questions.append(Question((*images, {"type": "text", "text": text}), text, ""))
        seeds = tuple(str(args.images * number + i) for i in range(args.images))
        made.append(Shown(str(number), tuple(questions), seeds, seeds, side=args.side))
    return made


def save_model(args: argparse.Namespace, folder: Path) -> None:
    """A random model with the published pixel budget instead of the nano one."""
    processor = load_processor(str(NANO_DIR))
    model = build_model(build_config(processor.tokenizer, MODEL_SIZES[args.size]), args.seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim > 1 and "embed" not in name:
                parameter.mul_(SHARPER)
    model.save_pretrained(folder)
    build_processor(processor.tokenizer, budget=PixelBudget(4 * TOKEN_AREA, 1280 * TOKEN_AREA)).save_pretrained(folder)


def load(args: argparse.Namespace, folder: Path) -> Engine:
    """The saved model in float32."""
    return Engine.load(str(folder), dtype=torch.float32, device=args.device)


def history(dialogue: Shown, answers: Sequence[str], turn: int) -> list[dict[str, Any]]:
    """The messages up to a question, with given earlier answers."""
    pictures = iter(dialogue.pictures())
    messages: list[dict[str, Any]] = []
    for number, question in enumerate(dialogue.questions[: turn + 1]):
        parts = [part | {"image": next(pictures)} if part["type"] == "image" else part for part in question.content]
        messages.append({"role": "user", "content": parts})
        if number < turn:
            messages.append({"role": "assistant", "content": answers[number]})
    return messages


def ask_stock(engine: Engine, dialogues: Sequence[Shown], tokens: int) -> list[list[str]]:
    """Every turn by itself, everything encoded anew."""
    found = []
    for dialogue in dialogues:
        answers: list[str] = []
        for turn in range(len(dialogue.questions)):
            answers.append(engine.generate(history(dialogue, answers, turn), max_new_tokens=tokens))
        found.append(answers)
    return found


def ask_ours(engine: Engine, dialogues: Sequence[Shown], tokens: int) -> list[list[str]]:
    """As generate_answers asks."""
    options = GenerateOptions(tokens, temperature=0.0)
    together = Together(engine, options, group_size=len(dialogues))
    answers = {dialogue.id: answers for dialogue, answers in together.answer(dialogues)}
    together.close()
    assert all(answer.status == "ok" for row in answers.values() for answer in row), "a question failed"
    return [[answer.prediction for answer in answers[dialogue.id]] for dialogue in dialogues]


def measure_load(args: argparse.Namespace, folder: Path, dialogues: Sequence[Shown], answers: list[list[str]]) -> float:
    """Seconds a question where the model is loaded for each, over questions spread evenly over the turns."""
    step = max(1, args.turns // args.load_questions)
    turns = range(step // 2, args.turns, step)
    started = time.perf_counter()
    for turn in turns:
        load(args, folder).generate(history(dialogues[0], answers[0], turn), max_new_tokens=args.tokens)
    return (time.perf_counter() - started) / len(turns)


def encoded(engine: Engine, messages: list[dict[str, Any]]) -> dict[str, Any]:
    """A dialogue as the stock way encodes it."""
    text = engine.processor.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    parts = [part for message in messages if message["role"] == "user" for part in message["content"]]
    pictures = [part["image"] for part in parts if part["type"] == "image"]
    return dict(engine.processor(text=[text], images=pictures, return_tensors="pt").to(engine.model.device))


@torch.inference_mode()
def smallest_margin(engine: Engine, inputs: dict[str, Any], tokens: int) -> float:
    """Least difference of the two largest logits along the stock way's answer."""
    output = engine.model.generate(
        **inputs, max_new_tokens=tokens, do_sample=False, output_logits=True, return_dict_in_generate=True
    )
    top = torch.cat(output.logits).float().topk(2, -1).values
    return float((top[:, 0] - top[:, 1]).min())


class Watched(Decoder):
    """Keeps the logits at the end of every prompt."""

    def prefill(self, prompt: Any, known: int, layers: Any) -> tuple[torch.Tensor, Any]:
        """See ``Decoder.prefill``."""
        logits, own = super().prefill(prompt, known, layers)
        self.seen[prompt.key.tobytes()] = logits[0].float()
        return logits, own

    seen: dict[bytes, torch.Tensor]


def compare(engine: Engine, dialogues: Sequence[Shown], stock: list[list[str]], args: argparse.Namespace) -> Any:
    """Logits of both ways on the same history, and answers that differ other than at a tie."""
    together = Together(engine, GenerateOptions(args.tokens, temperature=0.0), group_size=len(dialogues))
    watched = Watched(together.decoder.model, together.decoder.encoder)
    watched.seen = {}
    together.decoder = watched
    ours = {dialogue.id: [answer.prediction for answer in row] for dialogue, row in together.answer(dialogues)}
    worst = worst_relative = 0.0
    turns = same = ties = differing = after = 0
    for dialogue, expected in zip(dialogues, stock, strict=True):
        diverged = False
        for turn, (mine, theirs) in enumerate(zip(ours[dialogue.id], expected, strict=True)):
            # Where the histories have parted, the answers are answers to different prompts.
            if diverged:
                after += 1
                continue
            messages = history(dialogue, expected, turn)
            # Not the ids: two dialogues with the same questions differ in their pictures alone.
            key = watched.encoder.encode(checked_messages(messages)).key.tobytes()
            inputs = encoded(engine, messages)
            with torch.inference_mode():
                logits = engine.model(**inputs, logits_to_keep=1).logits[0, 0].float()
            gap = float((watched.seen[key] - logits).abs().max())
            worst = max(worst, gap)
            worst_relative = max(worst_relative, gap / float(logits.abs().max()))
            turns += 1
            if mine == theirs:
                same += 1
                continue
            diverged = True
            tie = smallest_margin(engine, inputs, args.tokens) < args.tie
            ties, differing = ties + tie, differing + (not tie)
    return {
        "turns_compared": turns,
        "logits_max_difference": float(f"{worst:.1e}"),
        "logits_max_relative_difference": float(f"{worst_relative:.1e}"),
        "same_answers": same,
        "differing_at_a_tie": ties,
        "differing_without_a_tie": differing,
        "turns_after_a_difference": after,
        "distinct_answers": len({answer for row in stock for answer in row}),
    }


def parse() -> argparse.Namespace:
    """Command line of the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=list(MODEL_SIZES), default="small", help="small: 37 M parameters")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dialogues", type=int, default=8)
    parser.add_argument("--turns", type=int, default=15)
    parser.add_argument("--images", type=int, default=4, help="pictures of a dialogue")
    parser.add_argument("--side", type=int, default=448, help="pixels of a picture's side; 448 is 256 tokens")
    parser.add_argument("--tokens", type=int, default=32, help="longest answer")
    parser.add_argument("--load-questions", type=int, default=3, help="questions of the first way")
    parser.add_argument("--tie", type=float, default=1e-3, help="logits that differ less are a tie")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="write the result here")
    return parser.parse_args()


def main() -> None:
    """Run, print the table, then one JSON line."""
    args, started = parse(), time.time()
    pick_device(args.device)
    dialogues = make_dialogues(args)
    questions = args.dialogues * args.turns
    with tempfile.TemporaryDirectory() as folder:
        save_model(args, Path(folder))
        engine = load(args, Path(folder))
        millions = sum(parameter.numel() for parameter in engine.model.parameters()) / 1e6
        print(f"{args.size}, {millions:.1f} M parameters, {engine.model.device}, {torch.get_num_threads()} threads")
        ask_ours(engine, dialogues[:1], 1)  # first use compiles and allocates
        seconds, cpu = {}, {}
        stock: list[list[str]] = []
        for way, ask in {"stock": ask_stock, "ours": ask_ours}.items():
            begun, used = time.perf_counter(), time.process_time()
            found = ask(engine, dialogues, args.tokens)
            seconds[way] = (time.perf_counter() - begun) / questions
            cpu[way] = (time.process_time() - used) / questions
            stock = found if way == "stock" else stock
        seconds["load"] = measure_load(args, Path(folder), dialogues, stock)
        same = compare(engine, dialogues, stock, args)
    rates = {way: round(1 / seconds[way], 3) for way in ("load", "stock", "ours")}
    print(f"{'way':8} {'questions/s':>12} {'x stock':>8}")
    for way, rate in rates.items():
        print(f"{way:8} {rate:12.3f} {seconds['stock'] / seconds[way]:8.2f}")
    for name, value in same.items():
        print(f"{name:32} {value}")
    result = provenance(args, started, "evaluation.benchmarks.generation")
    result |= {
        "n": questions,
        "parameters_m": round(millions, 1),
        "device": str(engine.model.device),
        "questions_per_second": rates,
        "ours_over_stock": round(seconds["stock"] / seconds["ours"], 2),
        # On a machine that others use too, the fairer of the two.
        "ours_over_stock_cpu_time": round(cpu["stock"] / cpu["ours"], 2),
        "ours_over_load": round(seconds["load"] / seconds["ours"], 2),
        "comparison": same,
    }
    print(json.dumps(result))
    if args.out:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    run_command(main)
