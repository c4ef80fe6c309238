"""Training and test questions from imagery plus labels: python -m src.dataset.landuse_vqa.

Takes simulated counties or real scenes with a label raster or vector, and writes chips, RSVQA-style
questions (LLaVA rows) and MMDU-style dialogues, in Chinese and English. Answers are computed from
the labels, never from the image. Splits are blocks of land, never random pixels.

    python -m src.geo.simulate --out county --seed 7 --size 512
    python -m src.dataset.landuse_vqa --county county --out vqa --per_chip 6 --dialogues 60 --balance
    python -m src.dataset.landuse_vqa --scene s2.tif --date 2015-07-11 --labels lulc.tif \\
        --crosswalk slovenia --chip_px 32 --only_split test --out real

Not covered: what a chip shows besides its land cover, and several places in one call that are not
counties (make one call per scene; a training run reads several files).
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from src.dataset.landuse_balance import cap_majority, choose_questions
from src.dataset.landuse_chips import place_chips, write_chip
from src.dataset.landuse_places import Place, load_county, load_scenes
from src.dataset.landuse_questions import Question
from src.dataset.landuse_rows import View, make_views, mmdu_rows, vqa_rows
from src.dataset.landuse_text import LANGUAGES
from src.errors import InputError, run_command

SPLITS = ("train", "val", "test")
CHIP_PX = (32, 256)
RENDER_PX = (28, 1024)


@dataclass(frozen=True)
class Settings:
    """What to make; checked on creation.

    Args:
        chip_px: side of a chip in source pixels.
        render_px: side of its picture.
        per_chip: questions per chip and date; half as many about each pair of dates.
        dialogues: MMDU-form dialogues in all, shared out by the splits' shares.
        shares: split -> share of the land; splits with share 0 are left out.
        languages: of the questions, in turn.
        balance: cap the majority answers.
        seed: of every random choice.

    Raises:
        InputError: a value is out of range.
    """

    chip_px: int
    render_px: int
    per_chip: int
    dialogues: int
    shares: dict[str, float]
    languages: tuple[str, ...]
    balance: bool
    seed: int

    def __post_init__(self) -> None:
        for name, value, (low, high) in (
            ("chip_px", self.chip_px, CHIP_PX),
            ("render_px", self.render_px, RENDER_PX),
            ("per_chip", self.per_chip, (1, 1000)),
            ("dialogues", self.dialogues, (0, 10**7)),
        ):
            if not low <= value <= high:
                raise InputError(f"--{name} {value}: expected {low} to {high}")
        unknown = set(self.languages) - set(LANGUAGES)
        if unknown or not self.languages:
            raise InputError(f"--languages {','.join(self.languages)}: expected some of {','.join(LANGUAGES)}")
        if not self.shares or min(self.shares.values()) <= 0:
            raise InputError(f"split shares {self.shares}: expected positive numbers for some of {','.join(SPLITS)}")


def _counts(questions: Sequence[Question], rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Counts of one split by type, language and language-free answer, and each type's majority share."""
    answers: dict[str, Counter[str]] = defaultdict(Counter)
    for question in questions:
        answers[question.type][question.answer] += 1
    return {
        "questions": len(rows),
        "chips": len({row["chip"] for row in rows}),
        "languages": dict(Counter(row["lang"] for row in rows)),
        "types": {
            kind: {
                "questions": counts.total(),
                "majority_share": round(max(counts.values()) / counts.total(), 4),
                "answers": dict(counts.most_common()),
            }
            for kind, counts in sorted(answers.items())
        },
    }


def _write_split(split: str, views: Sequence[View], settings: Settings, out: Path) -> tuple[dict[str, Any], set[str]]:
    """Write the rows of one split; return its counts and the images that its rows name."""
    rng = np.random.default_rng([settings.seed, SPLITS.index(split)])
    limits = [max(1, settings.per_chip // len(view.scenes)) for view in views]
    chosen = choose_questions([view.candidates for view in views], limits, rng, balance=settings.balance)
    kept = cap_majority(chosen) if settings.balance else chosen
    rows = vqa_rows(views, kept, settings.languages, rng)
    share = settings.shares[split] / sum(settings.shares.values())
    dialogues = mmdu_rows(views, round(settings.dialogues * share), settings.languages, rng)
    lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    (out / f"vqa_{split}.jsonl").write_text("".join(lines), encoding="utf-8")
    (out / f"mmdu_{split}.json").write_text(json.dumps(dialogues, ensure_ascii=False, indent=1), encoding="utf-8")
    named = {path[1:] for row in dialogues for path in row["image"]}
    for row in rows:
        named.update([row["image"]] if isinstance(row["image"], str) else row["image"])
    counts = _counts([question for _, question in kept], rows) | {
        "dropped_by_balance": len(chosen) - len(kept),
        "dialogues": len(dialogues),
        "dialogue_turns": sum(len(row["conversations"]) // 2 for row in dialogues),
    }
    return counts, named


def build(places: Sequence[Place], settings: Settings, out: Path) -> dict[str, Any]:
    """Write the data set of some places into an existing empty folder.

    Args:
        places: with distinct names.
        settings: what to make.
        out: receives images/, vqa_<split>.jsonl, mmdu_<split>.json and, last, summary.json.

    Returns:
        The content of summary.json.

    Raises:
        InputError: a place cannot be split, or no question can be asked at all.
    """
    started = time.perf_counter()
    views: dict[str, list[View]] = {split: [] for split in settings.shares}
    summary: dict[str, Any] = {"settings": asdict(settings), "places": {}, "splits": {}}
    for index, place in enumerate(places):
        rng = np.random.default_rng([settings.seed, len(SPLITS), index])
        chips, left_out = place_chips(place, settings.chip_px, settings.shares, rng)
        summary["places"][place.name] = {
            "dates": [scene.date for scene in place.scenes],
            "chips": dict(Counter(chip.split for chip in chips)),
            "chips_left_out": left_out,
        }
        for view in make_views(place, chips):
            views[view.chip.split].append(view)
    for split in settings.shares:
        summary["splits"][split], named = _write_split(split, views[split], settings, out)
        jobs = {path: (view, k) for view in views[split] for k, path in enumerate(view.images) if path in named}
        for path, (view, k) in tqdm(jobs.items(), desc=f"{split} chips", unit="image", disable=None):
            (out / path).parent.mkdir(parents=True, exist_ok=True)
            write_chip(out / path, view.place, view.scenes[k], view.chip, settings.render_px)
        summary["splits"][split]["images"] = len(jobs)
    if not any(counts["questions"] + counts["dialogues"] for counts in summary["splits"].values()):
        raise InputError(
            "no question can be asked: labels are too sparse or too uniform for chips of this size; "
            "change --chip_px, give fuller labels, or leave out --balance"
        )
    summary["seconds"] = round(time.perf_counter() - started, 2)
    (out / "summary.json").write_text(json.dumps(summary, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    return summary


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Command line of this module."""
    parser = argparse.ArgumentParser(
        prog="python -m src.dataset.landuse_vqa",
        description="Make land-use questions and dialogues from imagery plus labels.",
    )
    source = parser.add_argument_group("counties, or one real place at one or several dates")
    source.add_argument("--county", type=Path, action="append", default=[], help="folder of src.geo.simulate; repeat")
    source.add_argument("--scene", type=Path, action="append", default=[], help="image; repeat for further dates")
    source.add_argument("--date", action="append", default=[], help="ISO date of each --scene, in the same order")
    source.add_argument("--labels", type=Path, action="append", default=[], help="raster or vector; per scene, or one")
    source.add_argument("--label_column", help="class column of vector labels")
    source.add_argument("--crosswalk", help="name, JSON file {code: class id}, or canonical")
    source.add_argument("--complete_labels", choices=("true", "false", "auto"), default="auto", help="auto: per chip")
    parser.add_argument("--out", type=Path, required=True, help="output folder")
    parser.add_argument("--overwrite", action="store_true", help="replace OUT if an earlier run made it")
    parser.add_argument("--chip_px", type=int, default=56, help="source pixels a side, 32 to 256 (default 56)")
    parser.add_argument("--render_px", type=int, default=112, help="pixels of the picture's side (default 112)")
    parser.add_argument("--per_chip", type=int, default=6, help="questions per chip and date (default 6)")
    parser.add_argument("--dialogues", type=int, default=0, help="MMDU-form dialogues in all (default 0)")
    parser.add_argument("--split", default="0.7,0.15,0.15", help="shares of train,val,test, as blocks of land")
    parser.add_argument("--only_split", choices=SPLITS, help="give everything to one split")
    parser.add_argument("--languages", default="zh,en", help="default zh,en")
    parser.add_argument("--balance", action="store_true", help="cap the majority answer of each type")
    parser.add_argument("--seed", type=int, default=7)
    args = parser.parse_args(argv)
    if bool(args.county) == bool(args.scene):
        parser.error("give --county, or --scene with --labels (not both)")
    if args.scene and not args.labels:
        parser.error("--scene needs --labels: answers are computed from labels, never from the image")
    return args


def _settings(args: argparse.Namespace) -> Settings:
    if args.only_split:
        shares = {args.only_split: 1.0}
    else:
        try:
            values = [float(value) for value in args.split.split(",")]
        except ValueError:
            values = []
        if len(values) != len(SPLITS) or min(values) < 0:
            raise InputError(f"--split {args.split}: expected three numbers such as 0.7,0.15,0.15")
        shares = {split: value for split, value in zip(SPLITS, values, strict=True) if value}
    languages = tuple(args.languages.split(","))
    return Settings(
        args.chip_px, args.render_px, args.per_chip, args.dialogues, shares, languages, args.balance, args.seed
    )


def load_places(args: argparse.Namespace) -> list[Place]:
    """Read the inputs named on the command line; counties of the same folder name get a number."""
    if args.scene:
        complete = {"true": True, "false": False, "auto": None}[args.complete_labels]
        place = load_scenes(
            args.scene, args.date, args.labels, column=args.label_column, crosswalk=args.crosswalk, complete=complete
        )
        return [place]
    places: list[Place] = []
    for number, folder in enumerate(args.county, start=1):
        place = load_county(folder)
        taken = any(place.name == other.name for other in places)
        places.append(replace(place, name=f"{place.name}_{number}") if taken else place)
    return places


def main() -> int:
    """Build the data set beside OUT, then move it there in one step."""
    args = parse_args()
    settings, out = _settings(args), args.out.resolve()
    if out.exists() and any(out.iterdir()) and not (args.overwrite and (out / "summary.json").is_file()):
        raise InputError(f"{out} is not empty: choose another --out, or --overwrite a folder that this command made")
    places = load_places(args)
    print(f"making questions from {', '.join(place.name for place in places)} into {out}", file=sys.stderr)
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as folder:
        work = Path(folder) / out.name
        work.mkdir()
        summary = build(places, settings, work)
        if out.exists():
            os.replace(out, Path(folder) / "old")
        os.replace(work, out)
    for split, counts in summary["splits"].items():
        print(
            f"{split}: {counts['questions']} questions on {counts['chips']} chips, {counts['dialogues']} dialogues, "
            f"{counts['images']} images"
        )
        for kind, row in counts["types"].items():
            print(f"  {kind:12} {row['questions']:6}  majority {row['majority_share']:.0%}")
    return 0


if __name__ == "__main__":
    run_command(main)
