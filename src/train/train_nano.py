"""Train the bundled nano model from a seed: tokenizer, weights, build record.

    bash scripts/build_nano.sh
    python -m src.train.train_nano --data output/nano_data/train --eval_data output/nano_data/test --out assets/nano

Pretraining of all weights, no adapters: the base that both stages start from.
First the vision tower learns land cover from labels (``nano_vision``). Then the
whole model learns to talk: questions about one picture in one dialogue, and a
few dialogues over several pictures, so that the model knows the words that stage
1 teaches it to use. Last it learns to look: many independent questions about a
picture in one sample (``nano_questions``), because questions in one dialogue
answer each other. Every picture is turned and mirrored at random. Single
questions about two pictures are left out, so that both stages have something to
teach. The weights are stored in bfloat16.
"""

import argparse
import json
import random
import subprocess
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch.utils.data import Dataset
from transformers import set_seed

from src.answers.compare import reward
from src.dataset.schema import Conversation
from src.dataset.sft_dataset import MediaOptions, SftDataset
from src.dataset.store import ConversationStore
from src.errors import run_command
from src.model.engine import Engine
from src.model.nano import NANO_BUDGET, NANO_DIR, build_config, build_model, build_processor, build_tokenizer
from src.params import SftArguments
from src.train.nano_questions import GroupCollator, encode_group, group_questions
from src.train.nano_vision import pretrain_vision
from src.trainer.checkpoint import last_complete_checkpoint
from src.trainer.sft_trainer import SftTrainer

Item = Conversation | list[Conversation]
_TRANSPOSES = (None, *Image.Transpose)
# A picture's tokens weigh about as much in a batch as this many characters of text.
_IMAGE_CHARS = 50


def group_by_picture(rows: Sequence[Conversation], turns: int, rng: random.Random) -> list[Conversation]:
    """Join single questions about the same pictures into dialogues of at most some turns.

    Args:
        rows: conversations of one question each.
        turns: most questions per dialogue; the number is drawn between 1 and this.
        rng: order of the questions and sizes of the dialogues.
    """
    grouped: dict[tuple[str, ...], list[Conversation]] = defaultdict(list)
    dialogues = []
    for row in rows:
        grouped[row.images].append(row)
    for questions in grouped.values():
        rng.shuffle(questions)
        while questions:
            size = rng.randint(1, turns)
            head, questions = questions[:size], questions[size:]
            later = [_without_media(row) for row in head[1:]]
            joined = head[0].turns + tuple(turn for row in later for turn in row.turns)
            dialogues.append(replace(head[0], turns=joined))
    rng.shuffle(dialogues)
    return dialogues


def _without_media(row: Conversation) -> Conversation:
    turns = [replace(turn, content=tuple(p for p in turn.content if p["type"] == "text")) for turn in row.turns]
    return replace(row, turns=tuple(turns))


def batches_of_like_length(items: Sequence[Item], batch: int, rng: random.Random) -> list[Item]:
    """Items in an order whose consecutive batches are of one kind and like length, batches in random order.

    Random batches would pad ten short rows to the length of one long one. The last,
    incomplete batch of each kind is left out.

    Args:
        items: dialogues, or groups of questions.
        batch: items a batch.
        rng: order of the batches, and of items of the same length.
    """
    batches = []
    for kind in (Conversation, list):
        order = [item for item in items if isinstance(item, kind)]
        rng.shuffle(order)
        order.sort(key=_length)
        batches += [order[start : start + batch] for start in range(0, len(order) - batch + 1, batch)]
    rng.shuffle(batches)
    return [item for group in batches for item in group]


def _length(item: Item) -> int:
    rows = [item] if isinstance(item, Conversation) else item
    text = sum(len(turn.text()) for row in rows for turn in row.turns)
    return text + _IMAGE_CHARS * len(rows[0].images)


class TurnedPictures(Dataset[dict[str, torch.Tensor]]):
    """Samples whose pictures are turned or mirrored, all of an item alike; a pure function of seed and visit.

    Args:
        items: dialogues, and groups of independent questions.
        processor: of the model.
        media: pixel budget.
    """

    seed = 0

    def __init__(self, items: Sequence[Item], processor: Any, media: MediaOptions) -> None:
        self.items, self.processor, self.media = items, processor, media
        self.visits = 0

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        self.visits += 1
        draw = random.Random(f"{self.seed}/{index}/{self.visits}").choice(_TRANSPOSES)
        media, item = replace(self.media, transpose=draw), self.items[index]
        if isinstance(item, Conversation):
            return SftDataset([item], self.processor, media)[0]
        return encode_group(item, self.processor, media)


def load_rows(folders: Sequence[Path], names: Sequence[str]) -> list[Conversation]:
    """All rows of the named files in the given dataset folders; absent files are left out."""
    stores = [ConversationStore(str(f / name), str(f)) for f in folders for name in names if (f / name).exists()]
    return [store[i] for store in stores for i in range(len(store))]


def accuracy_per_type(folder: Path, rows: Sequence[Conversation], media: MediaOptions) -> dict[str, Any]:
    """Mean greedy reward and number of questions per type."""
    engine = Engine.load(str(folder), dtype=torch.float32)
    answers = engine.generate_batch([_asked(row, media) for row in rows], max_new_tokens=24)
    scores = defaultdict(list)
    for row, answer in zip(rows, answers, strict=True):
        kind = str(row.meta.get("question_type"))
        scored = reward(answer, row.turns[-1].text(), row.turns[-2].text(), kind)
        scores[kind].append(scored.reward)
    table = {kind: {"n": len(v), "reward": round(sum(v) / len(v), 4)} for kind, v in sorted(scores.items())}
    everything = [score for values in scores.values() for score in values]
    return table | {"all": {"n": len(everything), "reward": round(sum(everything) / len(everything), 4)}}


def _asked(row: Conversation, media: MediaOptions) -> list[dict[str, Any]]:
    pictures = iter([media.read(path) for path in row.images])
    messages = row.messages()[:-1]
    for message in messages:
        message["content"] = [
            part | {"image": next(pictures)} if part["type"] == "image" else part for part in message["content"]
        ]
    return messages


def _train(args: argparse.Namespace, rows: list[Conversation]) -> Any:
    tokenizer = build_tokenizer((turn.text() for row in rows for turn in row.turns), args.vocab_size)
    processor = build_processor(tokenizer)
    model = build_model(build_config(tokenizer, args.size), args.seed)
    questions = [row for row in rows if len(row.images) == 1 and len(row.turns) == 2]
    dialogues = [row for row in rows if len(row.turns) > 2]
    print(f"{len(questions)} questions about one picture, {len(dialogues)} dialogues about several")
    print(f"{len(tokenizer)} tokens, {model.num_parameters():,} parameters")
    if args.vision_steps:
        _see(args, model, processor)
    rng = random.Random(args.seed)
    phases: dict[str, tuple[Sequence[Item], int]] = {
        "dialogues": (group_by_picture(questions, args.turns, rng) + dialogues, args.steps),
        "questions": ([*group_questions(questions, args.turns, rng), *dialogues], args.question_steps),
    }
    for phase, (items, steps) in phases.items():
        if steps:
            model = _fit(args, phase, model, processor, items, steps)
    return model, processor


def _see(args: argparse.Namespace, model: Any, processor: Any) -> None:
    """Pretrain the vision tower, or read back the one that an earlier call finished."""
    finished = args.run / "vision.safetensors"
    visual = model.model.visual
    if finished.is_file():
        visual.load_state_dict(load_file(finished))
        return
    loss = pretrain_vision(
        model,
        processor,
        args.counties,
        steps=args.vision_steps,
        batch=args.vision_batch_size,
        learning_rate=args.vision_learning_rate,
        seed=args.seed,
    )
    print(f"vision tower: {loss:.3f} nats a patch")
    args.run.mkdir(parents=True, exist_ok=True)
    save_file(visual.state_dict(), finished)


def _fit(args: argparse.Namespace, phase: str, model: Any, processor: Any, items: Sequence[Item], steps: int) -> Any:
    """One phase; a finished one is read back, an unfinished one goes on from its newest checkpoint."""
    run, finished = args.run / phase, args.run / phase / "finished"
    if finished.is_dir():
        return type(model).from_pretrained(finished, dtype=torch.float32)
    training = SftArguments(
        output_dir=str(run),
        max_steps=steps,
        per_device_train_batch_size=args.batch_size,
        learning_rate=args.learning_rate,
        lr_scheduler_type="cosine",
        warmup_ratio=0.05,
        weight_decay=0.05,
        adam_beta2=0.98,
        bf16=args.bf16,
        use_cpu=not torch.cuda.is_available(),
        logging_steps=50,
        save_steps=250,
        save_total_limit=1,
        dataloader_num_workers=args.workers,
        dataloader_persistent_workers=args.workers > 0,
        seed=args.seed,
        train_sampling_strategy="sequential",
        report_to="tensorboard",
    )
    # On a CPU the gradient of this convolution takes three times as long in bfloat16.
    embed = model.model.visual.patch_embed
    embed.forward = torch.autocast("cpu", enabled=False)(embed.forward)
    ordered = batches_of_like_length(items, args.batch_size, random.Random(args.seed))
    dataset = TurnedPictures(ordered, processor, MediaOptions(NANO_BUDGET))
    collator = GroupCollator(processor.tokenizer.pad_token_id)
    trainer = SftTrainer(model, training, data_collator=collator, train_dataset=dataset, processing_class=processor)
    trainer.train(resume_from_checkpoint=last_complete_checkpoint(run))
    trainer.save_model(str(finished))
    return trainer.model


def git_commit() -> str | None:
    """Commit of the working tree, or None outside git."""
    done = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    return done.stdout.strip() or None


def parse() -> argparse.Namespace:
    """Command line of the nano build."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="folders written by landuse_vqa")
    parser.add_argument("--eval_data", type=Path, nargs="+", required=True, help="folders with vqa_test.jsonl")
    parser.add_argument("--out", type=Path, default=NANO_DIR)
    parser.add_argument("--run", type=Path, default=Path("output/nano_run"), help="checkpoints and logs")
    parser.add_argument("--size", default="nano")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--counties", type=Path, nargs="*", default=[], help="simulated counties for the vision tower")
    parser.add_argument("--vision_steps", type=int, default=0, help="0 leaves the first phase out")
    parser.add_argument("--vision_batch_size", type=int, default=48)
    parser.add_argument("--vision_learning_rate", type=float, default=2e-3)
    parser.add_argument("--steps", type=int, default=2200, help="of the phase of dialogues")
    parser.add_argument("--question_steps", type=int, default=1300, help="of the phase of independent questions")
    parser.add_argument("--batch_size", type=int, default=16)
    parser.add_argument("--learning_rate", type=float, default=1e-3)
    parser.add_argument("--turns", type=int, default=12, help="most questions about a picture in one sample")
    parser.add_argument("--vocab_size", type=int, default=2048)
    parser.add_argument("--eval_rows", type=int, default=1200)
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--bf16", action="store_true", help="bfloat16 autocast while training")
    return parser.parse_args()


def main() -> None:
    """Train, save in bfloat16, score on counties of other seeds, write the build record."""
    args = parse()
    set_seed(args.seed)
    started = time.time()
    rows = load_rows(args.data, ("vqa_train.jsonl", "mmdu_train.json"))
    model, processor = _train(args, rows)
    model.to(torch.bfloat16).save_pretrained(args.out)
    processor.save_pretrained(args.out)
    seconds = time.time() - started
    held_out = load_rows(args.eval_data, ("vqa_test.jsonl",))
    random.Random(args.seed).shuffle(held_out)
    record = {
        "seed": args.seed,
        "args": {key: str(value) for key, value in vars(args).items() if not isinstance(value, list)},
        "commit": git_commit(),
        "rows": len(rows),
        "parameters": model.num_parameters(),
        "seconds": round(seconds),
        "held_out": accuracy_per_type(args.out, held_out[: args.eval_rows], MediaOptions(NANO_BUDGET)),
    }
    (args.out / "build.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(record["held_out"], indent=1))


if __name__ == "__main__":
    run_command(main)
