"""A benchmark of the shape of MMDU's, about simulated counties: python -m evaluation.model_generation.make_set.

    python -m evaluation.model_generation.make_set --out output/own_set                    # 6 dialogues, to try
    python -m evaluation.model_generation.make_set --out output/own_set --dialogues 110    # 422 images, 1,600 questions

Writes ``benchmark.json`` (rows of MMDU's form) and ``mmdu_pics/``. Numbers of
pictures and turns per dialogue follow the benchmark's published histograms;
answers are computed from the labels. What it measures is this project's own
subject; figures on it are not comparable with figures on MMDU.
"""

import argparse
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from evaluation.model_generation.files import write_whole
from src.dataset.landuse_chips import write_chip
from src.dataset.landuse_dialogues import dialogue_turns
from src.dataset.landuse_places import Place, load_county
from src.dataset.landuse_rows import View, make_views
from src.dataset.landuse_text import LANGUAGES
from src.dataset.landuse_vqa import place_chips
from src.errors import InputError, run_command
from src.geo.simulate import simulate_county

# Cumulative shares and bounds of the benchmark's histograms (https://arxiv.org/abs/2406.11833): 47.3 % of the
# dialogues have 2 images, 46.3 % 3-10, 6.3 % 10-20; turns up to 10 24.6 %, to 15 22.7 %, to 20 42.7 %, more 10 %.
# Inside a class the exponents put the mass so that the means are the published 3.8 images and 15 questions.
IMAGE_CLASSES = ((0.473, 2, 2, 1.0), (0.936, 3, 10, 3.9), (1.0, 11, 20, 2.0))
TURN_CLASSES = ((0.246, 5, 10, 1.0), (0.473, 11, 15, 1.0), (0.900, 16, 20, 1.4), (1.0, 21, 27, 1.6))
CHIP_PX, RENDER_PX = 32, 112
SIZE_PX = 512
DATES = ["2023-09-20", "2024-09-25"]
SAME_PLACE_SHARE = 0.5
# Enough that a dialogue of 27 turns finds as many different questions.
TRIES = 40


def counts(classes: Sequence[tuple[float, int, int, float]], dialogues: int) -> list[int]:
    """A number per dialogue, in ascending order, whose histogram is that of the classes.

    Args:
        classes: (cumulative share, lowest, highest number, exponent of the rise between them).
        dialogues: how many.

    Example:
        >>> counts(IMAGE_CLASSES, 6)
        [2, 2, 2, 3, 4, 9]
    """
    found = []
    for index in range(dialogues):
        share, below = (index + 0.5) / dialogues, 0.0
        for upto, low, high, exponent in classes:
            if share <= upto:
                inside = ((share - below) / (upto - below)) ** exponent
                found.append(low + int(inside * (high - low + 1)))
                break
            below = upto
    return found


def shape(dialogues: int, seed: int) -> list[tuple[int, int]]:
    """(images, turns) of every dialogue; both histograms, paired at random."""
    rng = np.random.default_rng([seed, 1])
    images, turns = counts(IMAGE_CLASSES, dialogues), counts(TURN_CLASSES, dialogues)
    return list(zip(rng.permutation(images).tolist(), rng.permutation(turns).tolist(), strict=True))


class _Pool:
    """Pictures of one place that no dialogue has had yet."""

    def __init__(self, place: Place, rng: np.random.Generator) -> None:
        chips, _ = place_chips(place, CHIP_PX, {"test": 1.0}, rng)
        views = [view for view in make_views(place, chips) if all(fact.complete for fact in view.facts)]
        self._free: dict[str, list[View]] = {}
        for index in rng.permutation(len(views)):
            view = views[int(index)]
            if len(view.scenes) == 1:
                self._free.setdefault(view.chip.name, []).append(view)

    def take(self, number: int, same_place: bool) -> list[View]:
        """Pictures of different chips, the first two of one chip where asked for; [] where they are too few."""
        pairs = [name for name, views in self._free.items() if len(views) == 2]
        wanted = number - 2 if same_place else number
        if same_place and not pairs:
            return []
        first = sorted(self._free[pairs[0]], key=lambda view: view.scenes[0].date) if same_place else []
        others = [name for name in self._free if not first or name != pairs[0]][:wanted]
        if len(others) < wanted:
            return []
        if first:
            del self._free[pairs[0]]
        taken = [self._free[name].pop() for name in others]
        self._free = {name: views for name, views in self._free.items() if views}
        return first + taken


def _turns(views: Sequence[View], wanted: int, same_place: bool, lang: str, rng: np.random.Generator) -> dict[str, str]:
    """Different questions with their answers."""
    facts = [view.facts[0] for view in views]
    labels = [view.scenes[0].labels[view.chip.window] for view in views]
    found: dict[str, str] = {}
    for _ in range(TRIES):
        for question, answer in dialogue_turns(facts, labels, same_place=same_place, lang=lang, rng=rng):
            if len(found) < wanted:
                found.setdefault(question, answer)
        if len(found) == wanted:
            break
    return found


def _picture_name(view: View) -> str:
    return f"mmdu_pics/{view.place.name}_{view.chip.name}_{view.scenes[0].date}.tif"


def _row(number: int, views: Sequence[View], turns: dict[str, str], lang: str) -> dict[str, Any]:
    header = "".join(f"Image{i + 1}: <ImageHere>\n" for i in range(len(views)))
    conversation = []
    for i, (question, answer) in enumerate(turns.items()):
        conversation.append({"from": "user", "value": header + question if i == 0 else question})
        conversation.append({"from": "assistant", "value": answer})
    names = ["/" + _picture_name(view) for view in views]
    return {"id": number, "image": names, "conversations": conversation, "lang": lang}


def build(out: Path, places: Sequence[Place], dialogues: int, languages: Sequence[str], seed: int) -> dict[str, int]:
    """Write the set.

    Args:
        out: existing empty folder.
        places: simulated counties.
        dialogues: how many.
        languages: of the dialogues, in turn.
        seed: of every random choice.

    Returns:
        Numbers of dialogues, questions and images.

    Raises:
        InputError: the places have too few clear pictures.
    """
    rng = np.random.default_rng([seed, 0])
    pools = [_Pool(place, rng) for place in places]
    rows, used = [], []
    # The largest first, while a place has that many pictures left.
    for number, (images, turns) in sorted(enumerate(shape(dialogues, seed)), key=lambda item: -item[1][0]):
        lang, same_place = languages[number % len(languages)], bool(rng.random() < SAME_PLACE_SHARE)
        order = [pools[(number + i) % len(pools)] for i in range(len(pools))]
        views = next((taken for pool in order if (taken := pool.take(images, same_place))), [])
        if not views:
            raise InputError(f"too few clear pictures for dialogue {number} with {images}: give more --county")
        rows.append(_row(number, views, _turns(views, turns, same_place, lang, rng), lang))
        used += views
    for view in tqdm(used, desc="pictures", unit="image", disable=None):
        path = out / _picture_name(view)
        path.parent.mkdir(exist_ok=True)
        write_chip(path, view.place, view.scenes[0], view.chip, RENDER_PX)
    rows.sort(key=lambda row: row["id"])
    write_whole(out / "benchmark.json", json.dumps(rows, ensure_ascii=False, indent=1) + "\n")
    questions = sum(len(row["conversations"]) // 2 for row in rows)
    return {"dialogues": len(rows), "questions": questions, "images": len(used)}


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Command line of this module."""
    parser = argparse.ArgumentParser(
        prog="python -m evaluation.model_generation.make_set",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--out", type=Path, required=True, help="new folder")
    parser.add_argument("--dialogues", type=int, default=6, help="110 is the size of MMDU's benchmark (default 6)")
    parser.add_argument(
        "--county", type=Path, action="append", default=[], help="folder of src.geo.simulate; repeat (default: made)"
    )
    parser.add_argument("--languages", default="en,zh", help="default en,zh")
    parser.add_argument("--seed", type=int, default=5, help="of the counties and every choice (default 5)")
    args = parser.parse_args(argv)
    unknown = set(args.languages.split(",")) - set(LANGUAGES)
    if args.dialogues < 1 or unknown:
        parser.error(f"--dialogues must be at least 1, --languages some of {','.join(LANGUAGES)}")
    return args


def _simulated(folder: Path, images: int, seed: int) -> list[Place]:
    """As many counties as the pictures need, at about 300 clear ones each of at most 512."""
    places = []
    for number in range(-(-images // 300)):
        county = folder / f"county{number}"
        print(f"simulating {county.name} ...", file=sys.stderr, flush=True)
        size = SIZE_PX if images > 60 else SIZE_PX // 2
        common: dict[str, Any] = {"size": size, "sensor": "sentinel2_l2a", "dates": DATES, "crs": "EPSG:32648"}
        simulate_county(county, seed=seed + number, objects=False, **common)
        places.append(load_county(county))
    return places


def main(argv: Sequence[str] | None = None) -> int:
    """Make the set beside OUT, then move it there in one step."""
    args = parse(argv)
    out = args.out.resolve()
    if out.exists() and any(out.iterdir()):
        raise InputError(f"{args.out} is not empty: choose another --out")
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as folder:
        wanted = sum(images for images, _ in shape(args.dialogues, args.seed))
        places = [load_county(county) for county in args.county] or _simulated(Path(folder), wanted, args.seed)
        made = Path(folder) / out.name
        made.mkdir()
        size = build(made, places, args.dialogues, args.languages.split(","), args.seed)
        if out.exists():
            shutil.rmtree(out)
        os.replace(made, out)
    print(f"{args.out}: {size['dialogues']} dialogues, {size['questions']} questions, {size['images']} images")
    return 0


if __name__ == "__main__":
    run_command(main)
