"""Rows of the data set: LLaVA-form questions and MMDU-form dialogues about views of chips."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from src.dataset.landuse_chips import Chip, facts_at, usable
from src.dataset.landuse_dialogues import dialogue_turns
from src.dataset.landuse_places import DatedScene, Place
from src.dataset.landuse_questions import (
    ChipFacts,
    Question,
    answer_text,
    pair_questions,
    question_text,
    single_questions,
)


@dataclass(frozen=True)
class View:
    """What one row shows: a chip at one date, or at two dates of one place.

    Args:
        place: the county or scene.
        chip: the square of land.
        scenes: one scene, or the earlier and the later.
        facts: one per scene.
        candidates: all questions that the labels can answer.
    """

    place: Place
    chip: Chip
    scenes: tuple[DatedScene, ...]
    facts: tuple[ChipFacts, ...]
    candidates: tuple[Question, ...]

    @property
    def images(self) -> list[str]:
        """Paths of the chip images relative to the output folder, one per scene."""
        return [f"images/{self.place.name}/{self.chip.name}_{scene.date}.tif" for scene in self.scenes]


def make_views(place: Place, chips: Sequence[Chip]) -> list[View]:
    """Views of each chip: every clear date, and every pair of neighbouring clear dates with own labels."""
    views = []
    for chip in chips:
        clear = [scene for scene in place.scenes if usable(scene, chip.window)]
        facts = [facts_at(place, scene, chip) for scene in clear]
        for scene, fact in zip(clear, facts, strict=True):
            views.append(View(place, chip, (scene,), (fact,), tuple(single_questions(fact))))
        if not place.own_labels:
            continue
        for i in range(len(clear) - 1):
            if facts[i].complete and facts[i + 1].complete:
                before, after = (scene.labels[chip.window] for scene in clear[i : i + 2])
                questions = tuple(pair_questions(before, after))
                views.append(View(place, chip, (clear[i], clear[i + 1]), (facts[i], facts[i + 1]), questions))
    return views


def vqa_rows(
    views: Sequence[View],
    chosen: Sequence[tuple[int, Question]],
    languages: Sequence[str],
    rng: np.random.Generator,
) -> list[dict[str, Any]]:
    """Word the chosen questions as LLaVA rows, in a random language each."""
    rows = []
    for number, (index, question) in enumerate(sorted(chosen, key=lambda item: item[0])):
        view = views[index]
        lang = languages[int(rng.integers(len(languages)))]
        prompt = "<image>\n" * len(view.images) + question_text(question, lang, rng)
        rows.append(
            {
                "id": f"{view.place.name}-{view.chip.split}-{number:06d}",
                "image": view.images[0] if len(view.images) == 1 else view.images,
                "conversations": [
                    {"from": "human", "value": prompt},
                    {"from": "gpt", "value": answer_text(question, lang)},
                ],
                "question_type": question.type,
                "lang": lang,
                "chip": f"{view.place.name}/{view.chip.name}",
                "county": view.place.name,
            }
        )
    return rows


def mmdu_rows(
    views: Sequence[View], count: int, languages: Sequence[str], rng: np.random.Generator
) -> list[dict[str, Any]]:
    """Make dialogues over 2-4 images of one place: two dates of a chip, different chips, or both."""
    complete = [view for view in views if all(fact.complete for fact in view.facts)]
    pairs = [view for view in complete if len(view.scenes) == 2]
    singles: dict[str, list[View]] = defaultdict(list)
    for view in complete:
        if len(view.scenes) == 1:
            singles[view.place.name].append(view)
    rows: list[dict[str, Any]] = []
    for number in range(count):
        lang = languages[number % len(languages)]
        parts = _dialogue_images(pairs, singles, rng)
        if len(parts) < 2:
            break
        turns = dialogue_turns(
            [view.facts[k] for view, k in parts],
            [view.scenes[k].labels[view.chip.window] for view, k in parts],
            same_place=parts[0][0].chip == parts[1][0].chip,
            lang=lang,
            rng=rng,
        )
        rows.append(_mmdu_row(parts, turns, lang, number))
    return rows


def _dialogue_images(
    pairs: Sequence[View], singles: dict[str, list[View]], rng: np.random.Generator
) -> list[tuple[View, int]]:
    """Images of one dialogue as (view, scene index): half start with two dates of one chip."""
    parts: list[tuple[View, int]] = []
    if pairs and rng.random() < 0.5:
        pair = pairs[int(rng.integers(len(pairs)))]
        parts = [(pair, 0), (pair, 1)]
        name, extra = pair.place.name, int(rng.integers(0, 3))
    elif singles:
        name, extra = str(rng.choice(sorted(singles))), int(rng.integers(2, 5))
    else:
        return parts
    pool = singles[name]
    for i in rng.permutation(len(pool)):
        if extra and all(pool[i].chip != view.chip for view, _ in parts):
            parts.append((pool[i], 0))
            extra -= 1
    return parts


def _mmdu_row(
    parts: Sequence[tuple[View, int]], turns: Sequence[tuple[str, str]], lang: str, number: int
) -> dict[str, Any]:
    place, split = parts[0][0].place.name, parts[0][0].chip.split
    header = "".join(f"Image{i + 1}: <ImageHere>\n" for i in range(len(parts)))
    conversations = []
    for i, (question, answer) in enumerate(turns):
        conversations.append({"from": "user", "value": header + question if i == 0 else question})
        conversations.append({"from": "assistant", "value": answer})
    return {
        "id": f"{place}-{split}-dialogue-{number:06d}",
        "image": ["/" + view.images[k] for view, k in parts],
        "conversations": conversations,
        "lang": lang,
        "county": place,
    }
