"""The nano build: dialogues about one picture, turned pictures, a record beside the weights."""

import json
import random
import sys
from dataclasses import replace

import torch

from src.dataset.sft_dataset import MediaOptions, encode
from src.dataset.store import ConversationStore
from src.model.load import load_processor
from src.model.nano import NANO_BUDGET, NANO_DIR
from src.train import train_nano
from tests.nano_data import write_vqa


def _rows(tmp_path, count=4):
    path = write_vqa(tmp_path, count)
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    # A second question about every picture.
    again = [row | {"id": f"{row['id']}b", "conversations": rows[0]["conversations"]} for row in rows]
    path.write_text("\n".join(json.dumps(row) for row in rows + again))
    return path


def test_questions_about_one_picture_become_one_dialogue(tmp_path):
    store = ConversationStore(str(_rows(tmp_path)), str(tmp_path))
    rows = [store[i] for i in range(len(store))]
    dialogues = train_nano.group_by_picture(rows, 2, random.Random(3))
    assert sum(len(d.turns) for d in dialogues) == 2 * len(rows)
    for dialogue in dialogues:
        assert len(dialogue.images) == 1
        assert sum(turn.count("image") for turn in dialogue.turns) == 1
        assert dialogue.turns[0].count("image") == 1


def test_batches_hold_rows_of_like_length(tmp_path):
    """Nine rows of 1 to 9 questions in batches of three: each batch spans three neighbouring lengths."""
    store = ConversationStore(str(write_vqa(tmp_path, 1)), str(tmp_path))
    rows = [replace(store[0], id=str(n), turns=store[0].turns * n) for n in (5, 1, 9, 2, 8, 3, 7, 4, 6)]
    ordered = [int(row.id) for row in train_nano.batches_of_like_length(rows, 3, random.Random(0))]
    batches = [sorted(ordered[start : start + 3]) for start in (0, 3, 6)]
    assert sorted(batches) == [[1, 2, 3], [4, 5, 6], [7, 8, 9]]
    assert len(train_nano.batches_of_like_length(rows, 4, random.Random(0))) == 8


def test_batches_are_of_one_kind(tmp_path):
    """Four dialogues and four groups of questions in batches of two: no batch holds both."""
    store = ConversationStore(str(write_vqa(tmp_path, 4)), str(tmp_path))
    dialogues = [store[i] for i in range(4)]
    ordered = train_nano.batches_of_like_length([*dialogues, *([row] for row in dialogues)], 2, random.Random(0))
    kinds = [isinstance(item, list) for item in ordered]
    assert sorted(kinds) == [False] * 4 + [True] * 4
    assert all(kinds[start] == kinds[start + 1] for start in range(0, 8, 2))


def test_pictures_are_turned_alike_on_every_rerun(tmp_path):
    store = ConversationStore(str(_rows(tmp_path)), str(tmp_path))
    processor = load_processor(str(NANO_DIR))

    def visits():
        dataset = train_nano.TurnedPictures([store[i] for i in range(4)], processor, MediaOptions(NANO_BUDGET))
        return [dataset[0]["pixel_values"] for _ in range(6)]

    first, second = visits(), visits()
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert any(not torch.equal(first[0], other) for other in first[1:])
    plain = encode(store[0], processor, MediaOptions(NANO_BUDGET))["pixel_values"]
    assert all(torch.allclose(plain.mean(), other.mean(), atol=1e-3) for other in first)


def test_build_writes_weights_and_a_record(tmp_path, monkeypatch):
    data = tmp_path / "d"
    path = _rows(data, 6)
    path.rename(data / "vqa_train.jsonl")
    (data / "vqa_test.jsonl").write_text((data / "vqa_train.jsonl").read_text())
    argv = ["--data", data, "--eval_data", data, "--out", tmp_path / "out", "--run", tmp_path / "run"]
    argv += ["--steps", 2, "--question_steps", 2, "--batch_size", 2, "--size", "tiny", "--vocab_size", 400]
    monkeypatch.setattr(sys, "argv", ["train_nano", *map(str, argv)])
    train_nano.main()
    record = json.loads((tmp_path / "out" / "build.json").read_text())
    assert record["rows"] == 12
    assert {"presence", "count", "all"} <= set(record["held_out"])
    assert record["held_out"]["all"]["n"] == 12
    assert {"commit", "seed", "seconds", "parameters"} <= set(record)
    assert json.loads((tmp_path / "out" / "config.json").read_text())["dtype"] == "bfloat16"


def test_a_second_call_keeps_the_finished_vision_tower(tmp_path, county, monkeypatch, capsys):
    data = tmp_path / "d"
    path = _rows(data, 2)
    path.rename(data / "vqa_train.jsonl")
    (data / "vqa_test.jsonl").write_text((data / "vqa_train.jsonl").read_text())
    argv = ["--data", data, "--eval_data", data, "--out", tmp_path / "out", "--run", tmp_path / "run"]
    argv += [
        "--steps",
        1,
        "--question_steps",
        1,
        "--batch_size",
        2,
        "--size",
        "tiny",
        "--vocab_size",
        400,
        "--counties",
        county,
    ]
    argv += ["--vision_steps", 2, "--vision_batch_size", 2]
    monkeypatch.setattr(sys, "argv", ["train_nano", *map(str, argv)])
    for trained in (1, 0):
        train_nano.main()
        assert capsys.readouterr().out.count("nats a patch") == trained
    assert (tmp_path / "run" / "questions" / "finished").is_dir()
    assert (tmp_path / "run" / "vision.safetensors").is_file()
