"""Look at a data set before training on it.

    python -m src.dataset.validate --data_path data/train.jsonl --image_folder data [--model_id assets/nano] [--json]

Prints rows, formats, images and turns per row, question types, lengths in
tokens, and every kind of bad row with its first rows. Lengths of text are
exact with --model_id and an estimate without. Videos are counted, not measured.
Exit code 2 if there are bad rows and --skip_bad_rows is not given.
"""

import argparse
import json
import time
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm import tqdm

from src.dataset.converters import CONVERTERS
from src.dataset.images import image_size
from src.dataset.schema import Conversation
from src.dataset.store import ConversationStore
from src.errors import InputError, run_command

if TYPE_CHECKING:
    from src.budget import PixelBudget

# Averages of Qwen's tokenizer, for the estimate: characters per token in ASCII text and in Chinese.
_ASCII_PER_TOKEN = 4.0
_OTHER_PER_TOKEN = 1.5
# <|im_start|>, role, line break, <|im_end|>, line break; and <|vision_start|>, <|vision_end|>.
_TOKENS_PER_TURN = 5
_TOKENS_PER_IMAGE = 2
_SHOWN_ROWS_PER_REASON = 3
_SHOWN_REASONS = 20


class _Lengths:
    """Text and visual tokens of conversations; sizes come from image headers, read once per file."""

    def __init__(self, budget: "PixelBudget", processor: Any) -> None:
        self._budget, self._processor = budget, processor
        self._visual_of: dict[str, int] = {}

    def visual(self, conversation: Conversation) -> int:
        for path in conversation.images:
            if path not in self._visual_of:
                self._visual_of[path] = self._budget.visual_tokens(*image_size(path))
        return sum(self._visual_of[path] for path in conversation.images)

    def text(self, conversation: Conversation) -> int:
        media = len(conversation.images) + len(conversation.videos)
        if self._processor is not None:
            rendered = self._processor.apply_chat_template(conversation.messages(), tokenize=False)
            return len(self._processor.tokenizer(rendered)["input_ids"]) - media
        tokens = _TOKENS_PER_TURN * len(conversation.turns) + _TOKENS_PER_IMAGE * media
        for turn in conversation.turns:
            text = turn.text()
            ascii_characters = sum(character.isascii() for character in text)
            tokens += round(ascii_characters / _ASCII_PER_TOKEN + (len(text) - ascii_characters) / _OTHER_PER_TOKEN)
        return tokens


def report(store: ConversationStore, budget: "PixelBudget", processor: Any = None) -> dict[str, Any]:
    """Count and measure a data set.

    Args:
        store: opened with ``skip_bad_rows``, so that its rejects are complete.
        budget: pixels per image.
        processor: the model's, for exact text lengths; None gives the estimate.

    Returns:
        A JSON-ready object; every distribution has min, median, p95, max and total.
    """
    lengths = _Lengths(budget, processor)
    columns: dict[str, list[int]] = defaultdict(list)
    kinds: Counter[str] = Counter()
    for row in tqdm(range(len(store)), desc="measuring", disable=len(store) < 5000):
        conversation = store[row]
        visual, text = lengths.visual(conversation), lengths.text(conversation)
        for name, value in (
            ("images", len(conversation.images)),
            ("videos", len(conversation.videos)),
            ("turns", len(conversation.turns)),
            ("visual_tokens", visual),
            ("text_tokens", text),
            ("tokens", visual + text),
        ):
            columns[name].append(value)
        if conversation.meta.get("question_type"):
            kinds[str(conversation.meta["question_type"])] += 1
    return {
        "data_path": store.source,
        "format": store.format,
        "rows": len(store) + len(store.rejects),
        "usable_rows": len(store),
        "bad_rows": len(store.rejects),
        "duplicate_ids": store.duplicate_ids,
        "text_tokens_are": "estimate" if processor is None else "exact",
        "image_min_pixels": budget.image_min_pixels,
        "image_max_pixels": budget.image_max_pixels,
        "per_row": {name: _distribution(values) for name, values in columns.items()},
        "question_types": dict(kinds.most_common()),
        "rejects": store.rejects,
    }


def _distribution(values: list[int]) -> dict[str, float]:
    array = np.asarray(values)
    return {
        "min": int(array.min()),
        "median": float(np.median(array)),
        "p95": float(np.percentile(array, 95)),
        "max": int(array.max()),
        "total": int(array.sum()),
    }


def _print_table(found: dict[str, Any]) -> None:
    for name in ("data_path", "format", "rows", "usable_rows", "bad_rows", "duplicate_ids"):
        print(f"{name:<16}{found[name]}")
    if found["per_row"]:
        print(f"\n{'per row':<16}{'min':>10}{'median':>10}{'p95':>10}{'max':>10}{'total':>14}")
    for name, values in found["per_row"].items():
        label = f"{name} *" if found["text_tokens_are"] == "estimate" and name in ("text_tokens", "tokens") else name
        cells = "".join(f"{values[key]:>10.0f}" for key in ("min", "median", "p95", "max"))
        print(f"{label:<16}{cells}{values['total']:>14}")
    if found["text_tokens_are"] == "estimate":
        print("* estimate from the number of characters; --model_id gives exact lengths")
    if found["question_types"]:
        print("\nquestion types  " + ", ".join(f"{kind} {count}" for kind, count in found["question_types"].items()))
    if found["rejects"]:
        print("\nbad rows")
    by_reason: dict[str, list[str]] = defaultdict(list)
    for reject in found["rejects"]:
        by_reason[reject["reason"]].append(str(reject["index"]))
    ranked = sorted(by_reason.items(), key=lambda item: -len(item[1]))
    for reason, rows in ranked[:_SHOWN_REASONS]:
        more = ", ..." if len(rows) > _SHOWN_ROWS_PER_REASON else ""
        print(f"{len(rows):>7} x {reason} (row {', '.join(rows[:_SHOWN_ROWS_PER_REASON])}{more})")
    if len(ranked) > _SHOWN_REASONS:
        print(f"        and {len(ranked) - _SHOWN_REASONS} more reasons: --json lists all")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data_path", required=True, help="data file, or several joined by commas")
    parser.add_argument("--image_folder", help="where image paths start (default: the data file's folder)")
    parser.add_argument("--data_format", choices=tuple(CONVERTERS), help="default: detected per file")
    parser.add_argument("--model_id", help="model folder or hub id whose tokenizer and pixel budget are used")
    parser.add_argument("--image_min_pixels", type=int, help="smallest area of an image (default: the model's)")
    parser.add_argument("--image_max_pixels", type=int, help="largest area of an image (default: the model's)")
    parser.add_argument("--skip_bad_rows", action="store_true", help="exit 0 despite bad rows; write them to a file")
    parser.add_argument("--rejects_path", help="file for --skip_bad_rows (default: DATA_PATH.rejects.jsonl)")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout and nothing else")
    return parser.parse_args()


def main() -> int:
    """Validate a data set; 0 if it can be trained on as it is, else 2."""
    args = _arguments()
    started = time.perf_counter()
    rejects_path = args.rejects_path or f"{args.data_path.split(',')[0].rstrip('/')}.rejects.jsonl"
    store = ConversationStore(
        args.data_path,
        args.image_folder,
        args.data_format,
        skip_bad_rows=True,
        rejects_path=rejects_path if args.skip_bad_rows else None,
        check_headers=True,
        allow_empty=True,
    )
    # transformers and trl take seconds to import: not for --help, and not before the rows are known to be readable.
    from transformers import AutoProcessor

    from src.params import PixelBudget

    processor = AutoProcessor.from_pretrained(args.model_id) if args.model_id else None
    default = PixelBudget.of(processor) if processor else PixelBudget()
    budget = PixelBudget(
        default.image_min_pixels if args.image_min_pixels is None else args.image_min_pixels,
        default.image_max_pixels if args.image_max_pixels is None else args.image_max_pixels,
    )
    found = report(store, budget, processor)
    found["seconds"] = round(time.perf_counter() - started, 1)
    if args.json:
        print(json.dumps(found, ensure_ascii=False))
    else:
        _print_table(found)
    if not found["rows"]:
        raise InputError(f"{args.data_path}: no rows")
    return 2 if found["bad_rows"] and not args.skip_bad_rows else 0


if __name__ == "__main__":
    run_command(main)
