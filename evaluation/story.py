"""The newcomer's story in one table: base, stage 1, stage 2 and merged on the same held-out questions.

    python -m evaluation.story --base assets/nano --sft OUT/lora_vision --grpo OUT/grpo --merged OUT/merged \\
        --data OUT/data/test/vqa_test.jsonl --train_data OUT/data/train/vqa_train.jsonl --out OUT/report.json

Scores are mean rewards of the training's own router, greedy and sampled at the
training temperature; intervals are paired bootstraps clustered by chip.
Two floors stand beside them: the most frequent training answer of each type
(majority) and the model's answers to other pictures (shuffled). With --dialogues
the loss on the answers of held-out dialogues is told too: what stage 1 trains.
"""

import argparse
import json
import platform
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from src.answers.compare import reward
from src.constants import IGNORE_INDEX
from src.dataset.collate import SftCollator
from src.dataset.images import load_image
from src.dataset.schema import Conversation
from src.dataset.sft_dataset import MediaOptions, SftDataset
from src.dataset.store import ConversationStore
from src.errors import run_command
from src.model.engine import Engine

STAGES = ("base", "sft", "sft_twice", "grpo", "merged")
PACKAGES = ("torch", "transformers", "trl", "peft", "deepspeed")
RESAMPLES = 2000


@dataclass(frozen=True)
class Questions:
    """Held-out questions as arrays: prompts with pictures, references, types, place clusters."""

    rows: list[Conversation]

    @property
    def kinds(self) -> list[str]:
        """Question type of every row."""
        return [str(row.meta.get("question_type")) for row in self.rows]

    @property
    def clusters(self) -> np.ndarray:
        """Number of the place that each row asks about: its chip where named, else its pictures."""
        places = [str(row.meta.get("chip", row.images)) for row in self.rows]
        return np.unique(places, return_inverse=True)[1]

    def prompts(self, pictures_of: Sequence[int] | None = None) -> list[list[dict[str, Any]]]:
        """Messages to ask; ``pictures_of[i]`` names the row whose pictures question i is asked about."""
        sources = range(len(self.rows)) if pictures_of is None else pictures_of
        return [asked(row, self.rows[source].images) for row, source in zip(self.rows, sources, strict=True)]

    def score(self, answers: Sequence[str]) -> np.ndarray:
        """Reward of one answer per row, (N,) float64."""
        pairs = zip(self.rows, self.kinds, answers, strict=True)
        return np.asarray([reward(a, r.turns[-1].text(), r.turns[-2].text(), kind).reward for r, kind, a in pairs])


def asked(row: Conversation, pictures: Sequence[str]) -> list[dict[str, Any]]:
    """The row's messages up to its last question, with pictures opened in place."""
    images = iter([load_image(path) for path in pictures])
    messages = row.messages()[:-1]
    for message in messages:
        message["content"] = [
            part | {"image": next(images)} if part["type"] == "image" else part for part in message["content"]
        ]
    return messages


def other_pictures(rows: Sequence[Conversation], seed: int) -> list[int]:
    """For every row, another row with as many pictures but different ones; itself where there is none."""
    rng = np.random.default_rng(seed)
    by_count = defaultdict(list)
    for index, row in enumerate(rows):
        by_count[len(row.images)].append(index)
    chosen = []
    for index, row in enumerate(rows):
        others = [i for i in by_count[len(row.images)] if rows[i].images != row.images]
        chosen.append(int(rng.choice(others)) if others else index)
    return chosen


def majority_answers(train: Sequence[Conversation], rows: Sequence[Conversation]) -> list[str]:
    """The most frequent training answer of each row's type and language; "" for an unseen type."""
    counts: dict[tuple[Any, Any], Counter[str]] = defaultdict(Counter)
    for row in train:
        counts[row.meta.get("question_type"), row.meta.get("lang")][row.turns[-1].text()] += 1
    keys = [(row.meta.get("question_type"), row.meta.get("lang")) for row in rows]
    return [counts[key].most_common(1)[0][0] if counts[key] else "" for key in keys]


def interval(values: np.ndarray, clusters: np.ndarray, seed: int = 0) -> list[float]:
    """95 % percentile bootstrap interval of a mean, whole clusters resampled.

    Args:
        values: (N,) float; for a paired comparison, the differences.
        clusters: (N,) int, the place of each value.
        seed: of the resampling.
    """
    order = np.unique(clusters, return_inverse=True)[1]
    sums, counts = np.bincount(order, values), np.bincount(order)
    draws = np.random.default_rng(seed).integers(0, len(sums), (RESAMPLES, len(sums)))
    means = sums[draws].sum(1) / counts[draws].sum(1)
    return [round(float(q), 4) for q in np.quantile(means, (0.025, 0.975))]


def measured(values: np.ndarray, clusters: np.ndarray) -> dict[str, Any]:
    """A mean with its interval."""
    return {"value": round(float(values.mean()), 4), "ci95": interval(values, clusters)}


def per_kind(values: np.ndarray, questions: Questions) -> dict[str, Any]:
    """Mean and interval per question type."""
    kinds = np.asarray(questions.kinds)
    picked = {kind: kinds == kind for kind in sorted(set(kinds))}
    return {
        kind: {"n": int(mask.sum())} | measured(values[mask], questions.clusters[mask]) for kind, mask in picked.items()
    }


def ask_model(engine: Engine, questions: Questions, args: argparse.Namespace) -> dict[str, np.ndarray]:
    """Rewards of one model: greedy, sampled (mean over samples), and greedy on other pictures."""
    common = {"max_new_tokens": args.max_new_tokens, "batch_size": args.batch_size}
    prompts = questions.prompts()
    greedy = questions.score(engine.generate_batch(prompts, **common))
    sampled = [
        questions.score(engine.generate_batch(prompts, temperature=args.temperature, seed=args.seed + i, **common))
        for i in range(args.samples)
    ]
    wrong = questions.prompts(other_pictures(questions.rows, args.seed))
    shuffled = questions.score(engine.generate_batch(wrong, **common))
    return {"greedy": greedy, "sampled": np.mean(sampled, axis=0), "shuffled": shuffled}


@torch.inference_mode()
def dialogue_losses(engine: Engine, dialogues: ConversationStore) -> list[np.ndarray]:
    """Cross entropy of every answer token, nats, one array per dialogue; earlier answers are the reference's."""
    dataset = SftDataset(dialogues, engine.processor, MediaOptions(engine.budget))
    collate, losses = SftCollator(engine.tokenizer.pad_token_id), []
    for index in range(len(dataset)):
        batch = {key: value.to(engine.model.device) for key, value in collate([dataset[index]]).items()}
        labels = batch.pop("labels")[0, 1:]
        logits = engine.model(**batch).logits[0, :-1].float()
        answer = labels != IGNORE_INDEX
        losses.append(torch.nn.functional.cross_entropy(logits[answer], labels[answer], reduction="none").cpu().numpy())
    return losses


def dialogue_report(losses: dict[str, list[np.ndarray]]) -> dict[str, Any]:
    """Mean loss per answer token of each stage, and stage 1 minus base and stage 2 minus stage 1, with intervals."""
    clusters = np.repeat(np.arange(len(losses["base"])), [len(one) for one in losses["base"]])
    tokens = {name: np.concatenate(parts) for name, parts in losses.items()}
    found = {name: measured(values, clusters) for name, values in tokens.items()}
    for label, after, before in (("sft_minus_base", "sft", "base"), ("grpo_minus_sft", "grpo", "sft")):
        found[label] = measured(tokens[after] - tokens[before], clusters)
    return {"n": len(losses["base"]), "tokens": len(clusters), "loss": found}


def stage_report(scores: dict[str, np.ndarray], majority: np.ndarray, questions: Questions) -> dict[str, Any]:
    """Figures of one stage, in the form that report.json promises."""
    clusters = questions.clusters
    over = {
        floor: per_kind(scores["greedy"] - values, questions)
        for floor, values in (("majority", majority), ("shuffled", scores["shuffled"]))
    }
    beats = [
        kind
        for kind in over["majority"]
        if over["majority"][kind]["ci95"][0] > 0 and over["shuffled"][kind]["ci95"][0] > 0
    ]
    return {
        "n": len(questions.rows),
        "reward_greedy": round(float(scores["greedy"].mean()), 4),
        "reward_sampled": round(float(scores["sampled"].mean()), 4),
        "ci95": {"greedy": interval(scores["greedy"], clusters), "sampled": interval(scores["sampled"], clusters)},
        "accuracy": per_kind(scores["greedy"], questions),
        "majority": round(float(majority.mean()), 4),
        "shuffled": round(float(scores["shuffled"].mean()), 4),
        "over_floor": over,
        "types_above_both_floors": beats,
    }


def load_stage(name: str, args: argparse.Namespace) -> Engine:
    """Open the model of one stage; adapters are folded in memory in float32."""
    adapters = {"base": [], "sft": [args.sft], "sft_twice": [args.sft_twice], "grpo": [args.sft, args.grpo]}
    if name == "merged":
        return Engine.load(args.merged, dtype=torch.float32)
    chosen = [adapter for adapter in adapters[name] if adapter != "none"]
    return Engine.load(args.base, adapters=chosen, dtype=torch.float32)


def provenance(args: argparse.Namespace, started: float, module: str) -> dict[str, Any]:
    """Commit, command, arguments, versions and hardware of this result."""
    commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False).stdout.strip()
    return {
        "commit": commit or None,
        "command": f"python -m {module} " + " ".join(sys.argv[1:]),
        "args": {key: str(value) for key, value in vars(args).items()},
        "versions": {name: version(name) for name in PACKAGES},
        "hardware": {"cpu": platform.processor() or platform.machine(), "threads": torch.get_num_threads()},
        "seed": args.seed,
        "seconds": round(time.time() - started, 1),
    }


def table(stages: dict[str, Any], gain: dict[str, Any]) -> str:
    """The figures as text."""
    lines = [f"{'stage':9} {'greedy':>8} {'sampled':>8} {'sampled 95 %':>18} {'majority':>9} {'shuffled':>9}"]
    for name, row in stages.items():
        low, high = row["ci95"]["sampled"]
        lines.append(
            f"{name:9} {row['reward_greedy']:8.4f} {row['reward_sampled']:8.4f} {f'[{low:.3f}, {high:.3f}]':>18} "
            f"{row['majority']:9.4f} {row['shuffled']:9.4f}"
        )
    for name, row in gain.items():
        lines.append(f"{name:28} {row['value']:+.4f}  95 % [{row['ci95'][0]:+.4f}, {row['ci95'][1]:+.4f}]")
    return "\n".join(lines)


def parse() -> argparse.Namespace:
    """Command line of the story."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", required=True)
    parser.add_argument("--sft", required=True, help="stage 1 adapter, or none")
    parser.add_argument("--grpo", required=True, help="stage 2 adapter")
    parser.add_argument("--sft_twice", help="stage 1 adapter of twice the steps, to compare with stage 2")
    parser.add_argument("--merged", help="merged model; left out when absent")
    parser.add_argument("--data", required=True, help="held-out questions")
    parser.add_argument("--train_data", required=True, help="training questions, for the majority answers")
    parser.add_argument("--dialogues", help="held-out dialogues, to tell the loss on their answers")
    parser.add_argument("--merge_report", help="report of the merge, copied into the result")
    parser.add_argument("--timings", help="folder with one file of seconds per finished step")
    parser.add_argument("--limit", type=int, default=800, help="most questions, taken evenly")
    parser.add_argument("--samples", type=int, default=4)
    parser.add_argument("--temperature", type=float, default=0.9)
    parser.add_argument("--max_new_tokens", type=int, default=32)
    parser.add_argument("--batch_size", type=int, default=64)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    return parser.parse_args()


def _rows(path: str, limit: int | None = None) -> list[Conversation]:
    store = ConversationStore(path)
    index = range(len(store)) if limit is None else np.unique(np.linspace(0, len(store) - 1, limit).astype(int))
    return [store[int(i)] for i in index]


def _json_file(path: str | None) -> Any:
    return json.loads(Path(path).read_text(encoding="utf-8")) if path and Path(path).exists() else None


def _timings(folder: str | None) -> dict[str, int]:
    files = sorted(Path(folder).iterdir()) if folder and Path(folder).is_dir() else []
    return {file.name: int(file.read_text()) for file in files}


def main() -> None:
    """Ask every stage the same questions, print the table, write the report."""
    args, started = parse(), time.time()
    questions = Questions(_rows(args.data, args.limit))
    majority = questions.score(majority_answers(_rows(args.train_data), questions.rows))
    dialogues = ConversationStore(args.dialogues) if args.dialogues else None
    scores, losses = {}, {}
    wanted = {"sft_twice": args.sft_twice, "merged": args.merged}
    for name in (name for name in STAGES if wanted.get(name, "always")):
        print(f"asking {name}: {len(questions.rows)} questions, greedy and {args.samples} samples", flush=True)
        engine = load_stage(name, args)
        scores[name] = ask_model(engine, questions, args)
        if dialogues is not None:
            losses[name] = dialogue_losses(engine, dialogues)
    stages = {name: stage_report(values, majority, questions) for name, values in scores.items()}
    clusters = questions.clusters
    pairs = {"sft_minus_base": ("sft", "base"), "grpo_minus_sft": ("grpo", "sft")}
    if args.sft_twice:
        pairs["sft_twice_minus_sft"] = ("sft_twice", "sft")
    gain = {
        label + ("" if mode == "sampled" else "_greedy"): measured(scores[a][mode] - scores[b][mode], clusters)
        for label, (a, b) in pairs.items()
        for mode in ("sampled", "greedy")
    }
    report = {"stages": stages, "gain": gain, "merge": _json_file(args.merge_report), "n": len(questions.rows)}
    if losses:
        report["dialogues"] = dialogue_report(losses)
    origin = provenance(args, started, "evaluation.story")
    origin["seconds"] = {"story": origin["seconds"]} | _timings(args.timings)
    report = origin | report
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(report, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    loss = report["dialogues"]["loss"] if losses else {}
    print(table(stages, gain | {f"dialogue_loss_{name}": row for name, row in loss.items()}))
    print(f"stage 2 beats both floors on: {', '.join(stages['grpo']['types_above_both_floors']) or 'no type'}")


if __name__ == "__main__":
    run_command(main)
