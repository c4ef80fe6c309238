"""A small model whose greedy answers depend on the question, on disk, and dialogues to ask it."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from evaluation.benchmarks.inference import noise
from src.model.engine import Engine
from src.model.nano import build_variant
from tests.model.lively import lively_engine

QUESTIONS = ("Where is water?", "How much forest?", "Is there a road?", "What changed?", "Describe it.")


@pytest.fixture(scope="session")
def model(tmp_path_factory) -> str:
    """Folder of a tiny model with large weights."""
    base = build_variant(tmp_path_factory.mktemp("model") / "base", "tiny", seed=0)
    engine = lively_engine(str(base))
    lively = base.with_name("lively")
    shutil.copytree(base, lively)
    engine.model.save_pretrained(lively)
    return str(lively)


@pytest.fixture(scope="session")
def engine(model) -> Engine:
    return Engine.load(model, device="cpu", dtype=torch.float32)


def mmdu_row(number: int, turns: int, images: int, folder: Path) -> dict:
    """A row of MMDU's form with pictures of its own."""
    names = []
    for i in range(images):
        name = f"mmdu_pics/{number}_{i}.png"
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        noise(112, 100 * number + i).save(folder / name)
        names.append("/" + name)
    header = "".join(f"Image{i + 1}: <ImageHere>\n" for i in range(images))
    talk = []
    for turn in range(turns):
        text = f"{QUESTIONS[(number + turn) % len(QUESTIONS)]} ({number}.{turn})"
        talk.append({"from": "user", "value": header + text if turn == 0 else text})
        talk.append({"from": "assistant", "value": f"reference {number}.{turn}"})
    return {"id": number, "image": names, "conversations": talk}


@pytest.fixture(scope="session")
def mmdu(tmp_path_factory) -> Path:
    """Five dialogues of 1 to 4 turns about 1 to 3 pictures."""
    folder = tmp_path_factory.mktemp("mmdu")
    shapes = [(3, 2), (1, 1), (4, 3), (2, 2), (3, 1)]
    rows = [mmdu_row(number, *shape, folder) for number, shape in enumerate(shapes)]
    (folder / "benchmark.json").write_text(json.dumps(rows))
    return folder / "benchmark.json"


@pytest.fixture(scope="session")
def single(tmp_path_factory) -> Path:
    """Ten questions about three pictures, neighbours about one."""
    folder = tmp_path_factory.mktemp("single")
    rows = []
    for number in range(10):
        name = f"{number // 4}.png"
        noise(112, 7 + number // 4).save(folder / name)
        turns = [{"from": "human", "value": f"<image>\n{QUESTIONS[number % 5]} ({number})"}]
        turns.append({"from": "gpt", "value": "yes"})
        rows.append({"id": f"q{number}", "image": name, "conversations": turns, "question_type": "presence"})
    (folder / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder / "test.jsonl"


def damage(path: Path) -> None:
    """A picture whose header reads well and whose pixels do not."""
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (112, 112, 3), dtype=np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:400])
