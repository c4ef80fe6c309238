"""Benchmarks as dialogues: order, failures, conditions."""

import json

import numpy as np
import pytest

from evaluation.model_generation.sets import digest, read_set, under_condition
from src.errors import InputError
from tests.evaluation.model_generation.conftest import damage


def test_mmdu_becomes_turns_with_references(mmdu):
    dialogues = read_set(mmdu)
    assert [dialogue.id for dialogue in dialogues] == ["0", "1", "2", "3", "4"]
    assert [len(dialogue.questions) for dialogue in dialogues] == [3, 1, 4, 2, 3]
    first = dialogues[0]
    assert first.image_ids == ("mmdu_pics/0_0.png", "mmdu_pics/0_1.png")
    assert [part["type"] for part in first.questions[0].content] == ["text", "image", "text", "image", "text"]
    assert first.questions[0].text == "Image1: \nImage2: \nWhere is water? (0.0)"
    assert first.questions[2].reference == "reference 0.2"
    assert [picture.size for picture in first.pictures()] == [(112, 112)] * 2


@pytest.mark.parametrize("name", ["mmdu", "rsvqa", "llava", "openai", "csv_caption"])
def test_every_format_of_training_can_be_asked(format_cases, name):
    data, folder = format_cases[name]
    dialogues = read_set(data, folder)
    assert dialogues and not any(dialogue.problem for dialogue in dialogues)
    for dialogue in dialogues:
        assert len(dialogue.pictures()) == len(dialogue.image_ids)
        assert all(question.reference for question in dialogue.questions)


def test_rsvqa_keeps_types_and_numbers(format_cases):
    data, folder = format_cases["rsvqa"]
    found = {dialogue.id: dialogue for dialogue in read_set(data, folder)}
    official = json.loads(data.read_text())["questions"]
    active = [question for question in official if question["active"]]
    assert sorted(found) == sorted(str(question["id"]) for question in active)
    for question in active:
        assert found[str(question["id"])].question_type == question["type"]
        assert found[str(question["id"])].image_ids == (f"Images_LR/{question['img_id']}.tif",)


def test_a_benchmark_that_is_an_object_of_rows(mmdu):
    """The official scripts read benchmark.json as a dict, the published file is a list."""
    rows = json.loads(mmdu.read_text())
    path = mmdu.with_name("as_dict.json")
    path.write_text(json.dumps({str(row["id"]): row for row in rows}))
    assert digest(read_set(path)) == digest(read_set(mmdu))


def test_bad_rows_stay_in_the_set_with_their_questions(mmdu):
    rows = json.loads(mmdu.read_text())
    rows[1]["image"] = ["/mmdu_pics/gone.png"]
    rows[3] = {"id": 3, "image": [], "conversations": "none"}
    path = mmdu.with_name("bad.json")
    path.write_text(json.dumps(rows))
    dialogues = read_set(path)
    assert [dialogue.id for dialogue in dialogues] == ["0", "1", "2", "row_3", "4"]
    assert "gone.png" in dialogues[1].problem and dialogues[1].questions[0].text.endswith("How much forest? (1.0)")
    assert "list of turns" in dialogues[3].problem and len(dialogues[3].questions) == 1


def test_a_file_without_a_good_row_is_refused(tmp_path):
    row = {"id": 0, "image": ["/no.png"], "conversations": [{"from": "user", "value": "<ImageHere>?"}]}
    (tmp_path / "b.json").write_text(json.dumps([row]))
    with pytest.raises(InputError, match="no row that can be asked"):
        read_set(tmp_path / "b.json")


def test_ids_are_file_names_and_unique(tmp_path):
    turns = [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]
    rows = [{"id": name, "conversations": turns} for name in ("../a b", "x", "x", ".y")]
    (tmp_path / "b.json").write_text(json.dumps(rows))
    names = [dialogue.id for dialogue in read_set(tmp_path / "b.json")]
    assert names == ["_a_b", "x", "x-2", "y"]


def test_limit_takes_rows_evenly(single):
    assert [dialogue.id for dialogue in read_set(single, limit=3)] == ["q0", "q4", "q9"]


def test_blank_pictures_keep_their_sizes(mmdu):
    blank = under_condition(read_set(mmdu), "blank", 0)
    pictures = [picture for dialogue in blank for picture in dialogue.pictures()]
    assert len(pictures) == 9
    assert all(picture.size == (112, 112) and (np.asarray(picture) == 127).all() for picture in pictures)


def test_shuffled_pictures_are_others_and_the_same_for_the_same_pictures(single, mmdu):
    for path in (single, mmdu):
        own = read_set(path)
        shuffled = under_condition(own, "shuffled", 3)
        assert shuffled == under_condition(own, "shuffled", 3)
        shown = {}
        for before, after in zip(own, shuffled, strict=True):
            assert len(after.paths) == len(before.paths) and not set(after.paths) & set(before.paths)
            assert after.image_ids == before.image_ids and after.questions == before.questions
            assert shown.setdefault(before.paths, after.paths) == after.paths
    assert len(set(shuffled[2].paths)) == 3


def test_shuffling_one_picture_is_refused(single):
    one = [dialogue for dialogue in read_set(single) if dialogue.image_ids == ("0.png",)]
    assert len(one) == 4
    with pytest.raises(InputError, match="more dialogues are needed"):
        under_condition(one, "shuffled", 0)


def test_a_damaged_picture_fails_when_it_is_shown(mmdu, tmp_path):
    damage(tmp_path / "0.png")
    turns = [{"from": "human", "value": "<image>q"}, {"from": "gpt", "value": "a"}]
    (tmp_path / "b.json").write_text(json.dumps([{"id": 0, "image": "0.png", "conversations": turns}]))
    dialogue = read_set(tmp_path / "b.json")[0]
    assert not dialogue.problem
    with pytest.raises(InputError, match="damaged"):
        dialogue.pictures()
