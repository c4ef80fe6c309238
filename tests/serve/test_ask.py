"""One question, as a user asks it: measured, or about a picture."""

import json
import subprocess
import sys

import pytest

from src.assistant.answer import compose
from src.assistant.record import Evidence
from src.errors import InputError, MissingPathError
from src.geo.workspace import init_workspace
from src.serve import ask
from tests.nano_data import write_pictures
from tests.runs import REPO, environment, run


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


# --- measured questions

PROBE = (
    "import sys\n"
    "from src.serve import ask\n"
    "ask.main()\n"
    "loaded = {'torch', 'transformers', 'gradio'} & set(sys.modules)\n"
    "assert not loaded, loaded\n"
)


def test_a_measured_question_loads_no_model_and_tells_its_evidence(small_county, tmp_path):
    """One process: a question of figures, as JSON, with nothing else on stdout."""
    days = [scene.record.date for scene in small_county.scenes()]
    question = f"{days[0][:4]}-{days[-1][:4]}年耕地减少了多少？"
    argv = [question, "--workspace", str(small_county.root), "--as_of", days[-1], "--json"]
    done = subprocess.run(
        [sys.executable, "-c", PROBE, *argv], cwd=REPO, capture_output=True, text=True, env=environment(), timeout=120
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert set(result) == {"question", "answer", "query", "evidence", "source", "seconds"}
    assert result["query"]["metric"] in ("loss", "net") and result["query"]["cls"] == "cropland"
    evidence = result["evidence"]
    content = {key: value for key, value in evidence.items() if key != "id"}
    assert Evidence.model_validate(content).id == evidence["id"] and result["source"] == "template"
    assert result["answer"] == compose(Evidence.model_validate(content))


def test_words_need_no_imagery(monkeypatch, capsys, tmp_path):
    init_workspace(tmp_path / "empty", name="空县", as_of="2024-12-31")
    output = _ask(monkeypatch, capsys, "150亩是多少公顷？", "--workspace", tmp_path / "empty")
    assert "10公顷" in output.replace(" ", "") and "证据编号" in output


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (("耕地有多少？", "--workspace", "/nowhere"), "workspace.yaml"),
        (("耕地有多少？", "--workspace", "{empty}", "--as_of", "去年"), "ISO date"),
        ((" ",), "question is empty"),
        (("?", "--image", "x.png", "--workspace", "{empty}"), "leave out --workspace"),
    ],
)
def test_bad_input_is_told(monkeypatch, capsys, tmp_path, argv, said):
    init_workspace(tmp_path / "empty")
    with pytest.raises((InputError, MissingPathError), match=said) as caught:
        _ask(monkeypatch, capsys, *(part.format(empty=tmp_path / "empty") for part in argv))
    assert caught.value.exit_code == 2 and capsys.readouterr().out == ""


def test_a_named_model_is_loaded_only_when_asked():
    model = ask.LazyModel("/nowhere", None)
    assert model._engine is None
    with pytest.raises(Exception, match="nowhere"):
        model.score([], ["a"])
