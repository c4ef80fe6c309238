"""Small datasets and models that several tests build; no network, no real imagery."""

import json
from pathlib import Path

import numpy as np
from PIL import Image

COLOURS = {"water": (20, 40, 160), "forest": (20, 110, 30), "built": (170, 160, 150)}
# Pixels of a nano picture: 56 px a side is 4 visual tokens.
SIDE = 56
BUDGET_FLAGS = ["--image_min_pixels", str(SIDE * SIDE), "--image_max_pixels", str(4 * SIDE * SIDE)]


def write_pictures(folder: Path, count: int, seed: int = 0) -> list[str]:
    """Plain-coloured pictures with noise; returns the class of each."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    names = list(COLOURS)
    classes = []
    for index in range(count):
        name = names[index % len(names)]
        pixels = np.full((SIDE, SIDE, 3), COLOURS[name], np.int16) + rng.integers(-15, 15, (SIDE, SIDE, 3))
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / f"{index}.png")
        classes.append(name)
    return classes


def write_sft(folder: Path, count: int = 12, text_only: int = 0) -> Path:
    """LLaVA rows of two turns, and some without pictures."""
    rows = [
        {
            "id": str(index),
            "image": f"{index}.png",
            "conversations": [
                {"from": "human", "value": "<image>\nIs there water?"},
                {"from": "gpt", "value": "yes" if name == "water" else "no"},
                {"from": "human", "value": "What is it?"},
                {"from": "gpt", "value": name},
            ],
        }
        for index, name in enumerate(write_pictures(folder, count))
    ]
    turns = [{"from": "human", "value": "Is water wet?"}, {"from": "gpt", "value": "yes"}]
    rows += [{"id": f"t{i}", "conversations": turns} for i in range(text_only)]
    path = folder / "sft.json"
    path.write_text(json.dumps(rows), encoding="utf-8")
    return path


def write_vqa(folder: Path, count: int = 12, text_only: int = 0) -> Path:
    """LLaVA rows of one question with a question type, and some without pictures."""
    rows = []
    for index, name in enumerate(write_pictures(folder, count)):
        kind = ("presence", "count")[index % 2]
        question = "Is there water?" if kind == "presence" else "How many roads are there?"
        answer = ("yes" if name == "water" else "no") if kind == "presence" else str(index % 4)
        turns = [{"from": "human", "value": f"<image>\n{question}"}, {"from": "gpt", "value": answer}]
        rows.append({"id": str(index), "image": f"{index}.png", "conversations": turns, "question_type": kind})
    turns = [{"from": "human", "value": "Is there water in a river?"}, {"from": "gpt", "value": "yes"}]
    rows += [{"id": f"t{i}", "conversations": turns, "question_type": "presence"} for i in range(text_only)]
    path = folder / "vqa.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    return path
