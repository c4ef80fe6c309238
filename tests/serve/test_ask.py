"""One question about a picture, as a user asks it."""

import json
import sys

import pytest

from src.errors import MissingPathError
from src.serve import ask
from tests.nano_data import write_pictures
from tests.runs import run


def _ask(monkeypatch, capsys, *argv):
    monkeypatch.setattr(sys, "argv", ["ask", *map(str, argv)])
    ask.main()
    return capsys.readouterr().out


def test_answer_says_that_it_is_no_measurement(monkeypatch, capsys, tmp_path):
    write_pictures(tmp_path, 2)
    output = _ask(monkeypatch, capsys, "图中是否有水域？", "--image", tmp_path / "0.png", "--max-new-tokens", 4)
    assert ask.NOTICE["zh"] in output
    output = _ask(monkeypatch, capsys, "Is there water?", "--image", tmp_path / "0.png", "--max-new-tokens", 4)
    assert ask.NOTICE["en"] in output


def test_json_holds_the_answer_alone(monkeypatch, capsys, tmp_path):
    write_pictures(tmp_path, 2)
    two = ["--image", tmp_path / "0.png", tmp_path / "1.png", "--json"]
    result = json.loads(_ask(monkeypatch, capsys, "Is there water?", *two))
    assert set(result) == {"question", "answer", "notice"}
    assert isinstance(result["answer"], str)


def test_missing_picture_is_named(monkeypatch, capsys, tmp_path):
    with pytest.raises(MissingPathError, match="absent.tif"):
        _ask(monkeypatch, capsys, "Is there water?", "--image", tmp_path / "absent.tif")


def test_command_exits_2_on_a_missing_picture(tmp_path):
    output = run("src.serve.ask", "Is there water?", "--image", tmp_path / "absent.tif", code=2)
    assert "absent.tif" in output
