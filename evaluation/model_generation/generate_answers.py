"""Ask a model every question of a benchmark; a run that was stopped goes on where it was.

    python -m evaluation.model_generation.generate_answers --model models/Qwen2.5-VL-3B-Instruct \\
        --data data/mmdu_benchmark/benchmark.json --image_folder data/mmdu_benchmark --out output/eval/3b-gene
    python -m evaluation.model_generation.generate_answers --model assets/nano --data SET/benchmark.json \\
        --out output/eval/3b-gene --max_new_tokens 32                                      # to try it, on a CPU

Adapters, merged models and 4-bit models go the same way; with --api-base the
model is behind an OpenAI-compatible server. Turns of a dialogue follow each
other with the model's own earlier answers in the history. Answers are greedy.
The model is loaded once, also for several --condition, and not at all when
nothing is missing. Formats, costs and resuming: evaluation/README.md.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from evaluation.model_generation.asking import Answerer, Remote, Together
from evaluation.model_generation.files import PREDICTIONS, AnswerFolder, write_whole
from evaluation.model_generation.sets import CONDITIONS, Dialogue, digest, read_set, under_condition
from evaluation.story import provenance
from src.budget import PixelBudget
from src.dataset.converters import CONVERTERS
from src.errors import InputError, run_command
from src.model.backend import API_KEY_VARIABLE
from src.model.engine import Engine, pick_device
from src.model.openai_backend import OpenAIBackend
from src.model.reply import GenerateOptions

ADVICE = """advice on memory, for Qwen2.5-VL-3B (computed, see evaluation/README.md; a token of a dialogue takes 36 kB):
  8 GB    --bits 4  --batch_size 1  --max_new_tokens 256   --image_max_pixels 401408
  12 GB   --bits 4  --batch_size 4  --max_new_tokens 256   --image_max_pixels 602112
  16 GB   --bits 16 --batch_size 4  --max_new_tokens 512   --image_max_pixels 602112
  24 GB   --bits 16 --batch_size 8  --max_new_tokens 512   --image_max_pixels 1003520
  80 GB   --bits 16 --batch_size 32 --max_new_tokens 1024  --image_max_pixels 1003520
  RSVQA answers are a few words: --max_new_tokens 16. What is cut is marked "finish": "length"."""
# Settings that decide the answers: a run goes on only with the same.
DECIDING: tuple[str, ...] = (
    *("model", "adapter", "bits", "api_base", "data_format", "limit", "seed", "batch_size"),
    *("max_new_tokens", "repetition_penalty", "context_tokens", "image_min_pixels", "image_max_pixels"),
)


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Command line of this module."""
    parser = argparse.ArgumentParser(
        prog="python -m evaluation.model_generation.generate_answers",
        description=__doc__,
        epilog=ADVICE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    model = parser.add_argument_group("the model")
    model.add_argument("--model", required=True, help="folder or hub id; with --api-base the server's name for it")
    model.add_argument("--adapter", help="LoRA adapter on the model; those it was trained on top of are folded in too")
    model.add_argument("--bits", type=int, choices=(4, 8, 16), default=16, help="4 and 8 by bitsandbytes (default 16)")
    model.add_argument("--api-base", "--api_base", help="OpenAI-compatible server, e.g. http://127.0.0.1:8000/v1")
    model.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N (default auto)")
    data = parser.add_argument_group("the questions")
    data.add_argument("--data", required=True, help="benchmark.json, RSVQA's files or splits, any accepted format")
    data.add_argument("--image_folder", help="where image paths start (default: the data file's folder)")
    data.add_argument("--data_format", choices=list(CONVERTERS), help="default: detected")
    data.add_argument("--limit", type=int, default=0, help="at most so many dialogues, taken evenly (default 0: all)")
    data.add_argument(
        "--condition",
        nargs="+",
        choices=CONDITIONS,
        default=["images"],
        help="other than images: floors, in OUT-<name>",
    )
    data.add_argument("--seed", type=int, default=0, help="of the pictures of --condition shuffled")
    how = parser.add_argument_group("how")
    how.add_argument("--out", type=Path, required=True, help="folder of the answers, such as OUTPUT_DIR/3b-gene")
    how.add_argument("--max_new_tokens", type=int, default=256, help="longest answer (default 256)")
    how.add_argument("--batch_size", type=int, help="dialogues at once (default 8; 32 for single questions)")
    how.add_argument("--repetition_penalty", type=float, default=1.0, help="default 1: none")
    how.add_argument("--context_tokens", type=int, default=32768, help="longer dialogues fail (default 32768)")
    how.add_argument("--image_min_pixels", type=int, help="default: as the model was saved with")
    how.add_argument("--image_max_pixels", type=int, help="default: as the model was saved with")
    how.add_argument("--retry_failed", action="store_true", help="ask again what failed before")
    how.add_argument("--overwrite", action="store_true", help="drop the answers of an earlier run with other settings")
    args = parser.parse_args(argv)
    if args.limit < 0 or (args.batch_size is not None and args.batch_size < 1):
        parser.error("--limit must be at least 0 and --batch_size at least 1")
    return args


def load_answerer(args: argparse.Namespace) -> Answerer:
    """Load the model, or connect to its server.

    Raises:
        InputError: parts that do not go together.
    """
    options = GenerateOptions(args.max_new_tokens, temperature=0.0, repetition_penalty=args.repetition_penalty)
    if args.api_base:
        if args.adapter or args.bits != 16:
            raise InputError(f"--adapter and --bits are the server's own affair: start {args.api_base} with them")
        key = os.environ.get(API_KEY_VARIABLE) or "none"
        backend = OpenAIBackend(args.api_base, args.model, key, context_tokens=args.context_tokens)
        return Remote(backend, options, workers=args.batch_size)
    path, base = (args.adapter, args.model) if args.adapter else (args.model, None)
    engine = Engine.load(path, base, bits=args.bits, device=args.device)
    saved = PixelBudget.of(engine.processor)
    low, high = args.image_min_pixels or saved.image_min_pixels, args.image_max_pixels or saved.image_max_pixels
    PixelBudget(min(low, high), high).apply(engine.processor)
    engine.budget = PixelBudget.of(engine.processor)
    return Together(engine, options, group_size=args.batch_size, context_tokens=args.context_tokens)


def in_groups(dialogues: Sequence[Dialogue], size: int) -> list[list[Dialogue]]:
    """The groups that are asked together: a fixed rule, so that a run that goes on meets the same ones.

    Dialogues of many turns stay together, so that none waits long for another; single questions keep their order,
    in which those about one picture are neighbours.
    """
    order = sorted(dialogues, key=lambda dialogue: -len(dialogue.questions))
    return [order[start : start + size] for start in range(0, len(order), size)]


class Run:
    """One condition of a run: its folder, its record beside it, and what is missing.

    Args:
        args: the command line.
        dialogues: the whole set.
        condition: of the pictures.
    """

    def __init__(self, args: argparse.Namespace, dialogues: Sequence[Dialogue], condition: str) -> None:
        out = args.out if condition == "images" else args.out.with_name(f"{args.out.name}-{condition}")
        self.args, self.condition, self.record_path = args, condition, out.with_name(f"{out.name}.run.json")
        self.dialogues = under_condition(dialogues, condition, args.seed)
        # A server's answers do not depend on its neighbours in a group.
        self.groups = in_groups(self.dialogues, args.batch_size)
        self.folder = AnswerFolder(out, self.groups, condition)
        self._before: dict[str, Any] = {}
        self._settings = {name: getattr(args, name) for name in DECIDING} | {
            "condition": condition,
            "set": digest(dialogues),
            "device": "server" if args.api_base else pick_device(args.device).type,
        }

    def prepare(self) -> list[int]:
        """Check that what is there belongs to this run; numbers of the groups to ask.

        Raises:
            InputError: the folder holds answers of other settings.
        """
        if self.record_path.exists():
            self._before = json.loads(self.record_path.read_text(encoding="utf-8"))
            before = self._before["settings"]
            differing = sorted(name for name in self._settings if before.get(name) != self._settings[name])
            if differing and not self.args.overwrite:
                shown = ", ".join(f"{name} {before.get(name)!r} -> {self._settings[name]!r}" for name in differing)
                raise InputError(
                    f"{self.folder.out} has answers of other settings ({shown}): "
                    "choose another --out, or --overwrite them"
                )
            if differing:
                self.folder.delete()
                self._before = {}
        elif self.folder.out.exists() and any(self.folder.out.iterdir()):
            raise InputError(f"{self.folder.out} is not empty and no run of this command: choose another --out")
        write_whole(self.record_path, json.dumps({"settings": self._settings, "finished": False}, indent=1) + "\n")
        if self.args.retry_failed:
            self.folder.drop_failed()
        return self.folder.open_groups()

    def ask(self, answerer: Answerer, numbers: Sequence[int]) -> int:
        """Ask the groups of these numbers; how many questions that were."""
        questions = sum(len(dialogue.questions) for n in numbers for dialogue in self.groups[n])
        width = max(1, answerer.group_size // self.args.batch_size)
        with tqdm(total=questions, desc=f"{self.folder.out.name} ({self.condition})", unit="q", disable=None) as bar:
            for start in range(0, len(numbers), width):
                several = numbers[start : start + width]
                number_of = {dialogue.id: n for n in several for dialogue in self.groups[n]}
                for dialogue, answers in answerer.answer([d for n in several for d in self.groups[n]]):
                    self.folder.put(number_of[dialogue.id], dialogue, answers)
                    bar.update(len(answers))
        return questions

    def finish(self, started: float, asked: int, seconds: float) -> dict[str, Any]:
        """Write the predictions and the record; the record. Where nothing was missing, that of the run before stays."""
        if not asked and self._before.get("finished") and (self.folder.out / PREDICTIONS).exists():
            write_whole(self.record_path, json.dumps(self._before, ensure_ascii=False, indent=1) + "\n")
            return self._before | {"asked_now": 0, "questions_per_second_now": None}
        lines = self.folder.finish(self.dialogues)
        failed = [line for line in lines if line["status"] == "failed"]
        answered = len(lines) - len(failed)
        figures = {
            "n": len(lines),
            "dialogues": len(self.dialogues),
            "pictures": len({name for dialogue in self.dialogues for name in dialogue.image_ids}),
            "answered": answered,
            "failed": len(failed),
            "cut_at_max_new_tokens": sum(line["finish"] == "length" for line in lines),
            "tokens_mean": round(sum(line["tokens"] for line in lines) / answered, 1) if answered else None,
            "asked_now": asked,
            "questions_per_second_now": round(asked / seconds, 3) if asked else None,
            "first_failures": [{key: line[key] for key in ("id", "turn", "reason")} for line in failed[:5]],
        }
        record = provenance(self.args, started, "evaluation.model_generation.generate_answers")
        record |= {"settings": self._settings, "finished": True} | figures
        write_whole(self.record_path, json.dumps(record, ensure_ascii=False, indent=1) + "\n")
        return record


def main(argv: Sequence[str] | None = None) -> int:
    """Ask, print one line for each condition; 1 where a question failed."""
    args, started = parse(argv), time.time()
    dialogues = read_set(args.data, args.image_folder, args.data_format, args.limit)
    questions = sum(len(dialogue.questions) for dialogue in dialogues)
    args.batch_size = args.batch_size or (8 if questions > len(dialogues) else 32)
    runs = [Run(args, dialogues, condition) for condition in dict.fromkeys(args.condition)]
    missing = [run.prepare() for run in runs]
    print(
        f"{args.data}: {len(dialogues)} dialogues, {questions} questions, conditions {', '.join(args.condition)}; "
        f"{sum(map(len, missing))} of {sum(len(run.groups) for run in runs)} groups to ask",
        file=sys.stderr,
    )
    answerer = load_answerer(args) if any(missing) else None
    failures = 0
    for run, numbers in zip(runs, missing, strict=True):
        began, asked = time.perf_counter(), 0
        if answerer is not None and numbers:
            asked = run.ask(answerer, numbers)
        record = run.finish(started, asked, time.perf_counter() - began)
        failures += record["failed"]
        print(
            f"{run.folder.out}: {record['answered']} of {record['n']} questions answered, {record['failed']} failed, "
            f"{record['cut_at_max_new_tokens']} cut; {record['asked_now']} asked now, "
            f"{record['questions_per_second_now'] or 0:g} a second"
        )
        for failure in record["first_failures"]:
            print(f"  failed: {failure['id']} turn {failure['turn']}: {failure['reason']}", file=sys.stderr)
    if answerer is not None:
        answerer.close()
    return 1 if failures else 0


if __name__ == "__main__":
    run_command(main)
