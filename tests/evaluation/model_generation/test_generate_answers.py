"""The command: files, going on after a kill, one load, failures, other settings."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image

from evaluation.model_generation import generate_answers
from evaluation.model_generation.files import AnswerFolder
from evaluation.model_generation.sets import read_set
from src.errors import InputError
from src.geo.raster import read_raster
from src.geo.render import render_rgb
from src.model.decode import Decoder
from src.model.engine import Engine
from src.model.load import load_model
from tests.evaluation.model_generation.conftest import damage
from tests.evaluation.model_generation.test_asking import server  # noqa: F401  # a fixture
from tests.runs import environment
from tests.tiny import make_adapter

FLAGS = ["--max_new_tokens", "8", "--device", "cpu"]


def ask(data, out, model, *flags):
    return generate_answers.main(["--model", model, "--data", str(data), "--out", str(out), *FLAGS, *map(str, flags)])


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.fixture(scope="module")
def whole(mmdu, single, model, tmp_path_factory) -> Path:
    """Both sets, asked without a stop, two dialogues or four questions at once."""
    out = tmp_path_factory.mktemp("whole")
    assert ask(mmdu, out / "mmdu", model, "--batch_size", 2) == 0
    assert ask(single, out / "single", model, "--batch_size", 4) == 0
    return out


def test_files_have_the_agreed_form(whole):
    assert sorted(content(whole / "mmdu")) == ["0.json", "1.json", "2.json", "3.json", "4.json", "predictions.jsonl"]
    dialogue = json.loads((whole / "mmdu" / "2.json").read_text())
    assert set(dialogue) == {"id", "images", "turns"} and dialogue["images"][0] == "mmdu_pics/2_0.png"
    keys = {"id", "turn", "question", "answer", "prediction", "question_type", "image_ids"}
    keys |= {"status", "tokens", "finish", "condition"}
    assert all(set(line) == keys for line in dialogue["turns"])
    assert [line["turn"] for line in dialogue["turns"]] == [0, 1, 2, 3]
    lines = [json.loads(line) for line in (whole / "mmdu" / "predictions.jsonl").read_text().splitlines()]
    assert [(line["id"], line["turn"]) for line in lines][:5] == [("0", 0), ("0", 1), ("0", 2), ("1", 0), ("2", 0)]
    assert lines[4:8] == dialogue["turns"] and len(lines) == 13
    assert sorted(content(whole / "single")) == ["predictions.jsonl"]
    singles = [json.loads(line) for line in (whole / "single" / "predictions.jsonl").read_text().splitlines()]
    assert [line["id"] for line in singles] == [f"q{n}" for n in range(10)]
    assert {line["question_type"] for line in singles} == {"presence"}
    record = json.loads((whole / "mmdu.run.json").read_text())
    assert {"commit", "command", "args", "versions", "hardware", "seed", "n", "seconds"} <= set(record)
    assert (record["n"], record["dialogues"], record["failed"], record["finished"]) == (13, 5, 0, True)


class Killed(BaseException):
    """As good as a kill: nothing of the command runs after it."""


def fused(function, at, after):
    """A function that ends the run at its ``at``-th call, before or after doing its work."""
    calls = []

    def wrapper(*args, **kwargs):
        calls.append(0)
        if len(calls) == at and not after:
            raise Killed
        result = function(*args, **kwargs)
        if len(calls) == at:
            raise Killed
        return result

    return wrapper


@pytest.mark.parametrize("kind", ["mmdu", "single"])
def test_a_run_that_goes_on_equals_one_that_was_not_stopped(kind, whole, request, model, tmp_path, monkeypatch):
    """Stopped within decoding, and before and after a file appears: the record, answers, the predictions."""
    data, size = request.getfixturevalue(kind), {"mmdu": 2, "single": 4}[kind]
    engine = Engine.load(model, device="cpu")
    monkeypatch.setattr(Engine, "load", lambda *a, **k: engine)
    files = {"mmdu": 8, "single": 6}[kind]  # the record twice, dialogues or parts, the predictions
    points = [(Decoder, "step", 9, True), (os, "replace", 1, True), (os, "replace", 3, False)]
    points += [(os, "replace", files - 1, False), (os, "replace", files - 1, True), (os, "replace", files, False)]
    for number, (target, name, at, after) in enumerate(points):
        out = tmp_path / str(number) / kind
        with monkeypatch.context() as patch, pytest.raises(Killed):
            patch.setattr(target, name, fused(getattr(target, name), at, after))
            ask(data, out, model, "--batch_size", size)
        assert ask(data, out, model, "--batch_size", size) == 0
        assert content(out) == content(whole / kind), (name, at, after)


def test_kill_9_and_go_on(mmdu, whole, model, tmp_path):
    out = tmp_path / "mmdu"
    code = (
        "import os, signal, sys\n"
        "from evaluation.model_generation import files, generate_answers\n"
        "put, calls = files.AnswerFolder.put, []\n"
        "def put_and_die(self, *a):\n"
        "    put(self, *a)\n"
        "    calls.append(0)\n"
        "    if len(calls) == 3: os.kill(os.getpid(), signal.SIGKILL)\n"
        "files.AnswerFolder.put = put_and_die\n"
        "generate_answers.main(sys.argv[1:])\n"
    )
    flags = ["--model", model, "--data", str(mmdu), "--out", str(out), *FLAGS, "--batch_size", "2"]
    done = subprocess.run([sys.executable, "-c", code, *flags], env=environment(), capture_output=True, timeout=300)
    assert done.returncode == -signal.SIGKILL, done.stderr[-2000:]
    assert len(list(out.glob("*.json"))) == 3 and not (out / "predictions.jsonl").exists()
    assert ask(mmdu, out, model, "--batch_size", 2) == 0
    assert content(out) == content(whole / "mmdu")


def test_the_model_is_loaded_once_and_not_at_all_when_nothing_is_missing(mmdu, model, tmp_path, monkeypatch, capsys):
    loads, load = [], Engine.load
    monkeypatch.setattr(Engine, "load", lambda *a, **k: loads.append(a) or load(*a, **k))
    flags = ["--condition", "images", "blank", "shuffled"]
    assert ask(mmdu, tmp_path / "3b-gene", model, *flags) == 0
    assert len(loads) == 1
    names = sorted(path.name for path in tmp_path.iterdir() if path.is_dir())
    assert names == ["3b-gene", "3b-gene-blank", "3b-gene-shuffled"]
    answers = {name: json.loads((tmp_path / name / "2.json").read_text())["turns"] for name in names}
    assert [answers[name][0]["condition"] for name in names] == ["images", "blank", "shuffled"]
    assert len({tuple(line["prediction"] for line in lines) for lines in answers.values()}) > 1
    before = (tmp_path / "3b-gene.run.json").read_bytes()
    assert ask(mmdu, tmp_path / "3b-gene", model, *flags) == 0
    assert len(loads) == 1 and (tmp_path / "3b-gene.run.json").read_bytes() == before
    assert "0 asked now" in capsys.readouterr().out


def test_answers_of_other_settings_are_not_mixed(mmdu, model, tmp_path):
    out = tmp_path / "gene"
    assert ask(mmdu, out, model, "--limit", 2) == 0
    with pytest.raises(InputError, match="limit 2 -> 3"):
        ask(mmdu, out, model, "--limit", 3)
    assert ask(mmdu, out, model, "--limit", 3, "--overwrite") == 0
    assert sorted(content(out)) == ["0.json", "2.json", "4.json", "predictions.jsonl"]
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("mine")
    with pytest.raises(InputError, match="not empty"):
        ask(mmdu, tmp_path / "full", model)


@pytest.mark.parametrize("kind", ["mmdu", "single"])
def test_failures_are_recorded_counted_and_can_be_asked_again(kind, request, model, tmp_path, capsys):
    data = request.getfixturevalue(kind)
    text = data.read_text()
    rows = json.loads(text) if kind == "mmdu" else [json.loads(line) for line in text.splitlines()]
    for row in rows:
        names = row["image"] if isinstance(row["image"], list) else [row["image"]]
        for name in names:
            copy = tmp_path / name.lstrip("/")
            copy.parent.mkdir(exist_ok=True)
            copy.write_bytes((data.parent / name.lstrip("/")).read_bytes())
    (tmp_path / data.name).write_bytes(data.read_bytes())
    bad = tmp_path / {"mmdu": "mmdu_pics/0_1.png", "single": "1.png"}[kind]
    good = bad.read_bytes()
    damage(bad)
    out, flags = tmp_path / "out" / "gene", ("--batch_size", 2)
    assert ask(tmp_path / data.name, out, model, *flags) == 1
    lines = [json.loads(line) for line in (out / "predictions.jsonl").read_text().splitlines()]
    failed = [line for line in lines if line["status"] == "failed"]
    assert len(failed) == {"mmdu": 3, "single": 4}[kind]
    assert all(line["reason"] and not line["prediction"] for line in failed)
    record = json.loads((out.parent / "gene.run.json").read_text())
    assert record["failed"] == len(failed) and record["answered"] == len(lines) - len(failed)
    assert "damaged" in capsys.readouterr().err
    # Asking again without being told to changes nothing.
    assert ask(tmp_path / data.name, out, model, *flags) == 1
    bad.write_bytes(good)
    assert ask(tmp_path / data.name, out, model, *flags, "--retry_failed") == 0
    ask(data, tmp_path / "other", model, *flags)
    assert content(out) == content(tmp_path / "other")


@pytest.mark.parametrize("bits", [16, 4])
def test_adapters_and_quantised_models(bits, mmdu, model, tmp_path):
    adapter = make_adapter(tmp_path / "adapter", load_model(model, dtype=torch.float32), model, {"lora_rank": 4})
    out = tmp_path / "3b-peft-gene"
    assert ask(mmdu, out, model, "--adapter", adapter, "--bits", bits, "--limit", 2) == 0
    settings = json.loads((tmp_path / "3b-peft-gene.run.json").read_text())["settings"]
    assert (settings["adapter"], settings["bits"]) == (adapter, bits)
    lines = [json.loads(line) for line in (out / "predictions.jsonl").read_text().splitlines()]
    assert all(line["status"] == "ok" for line in lines)
    if bits == 16:
        ask(mmdu, tmp_path / "3b-gene", model, "--limit", 2)
        base = [json.loads(line) for line in (tmp_path / "3b-gene" / "predictions.jsonl").read_text().splitlines()]
        assert [line["prediction"] for line in lines] != [line["prediction"] for line in base]


def test_a_server_needs_no_model_here(server, mmdu, tmp_path, monkeypatch):  # noqa: F811
    monkeypatch.setattr(Engine, "load", None)
    assert ask(mmdu, tmp_path / "gene", "m", "--api-base", server.base) == 1
    lines = [json.loads(line) for line in (tmp_path / "gene" / "predictions.jsonl").read_text().splitlines()]
    assert len(lines) == 13
    assert [line["id"] for line in lines if line["status"] == "failed"] == ["3"]
    with pytest.raises(InputError, match="server's own affair"):
        ask(mmdu, tmp_path / "other", "m", "--api-base", server.base, "--bits", 4)


def test_groups_follow_one_rule(mmdu, single):
    groups = generate_answers.in_groups(read_set(mmdu), 2)
    assert [[dialogue.id for dialogue in group] for group in groups] == [["2", "0"], ["4", "3"], ["1"]]
    groups = generate_answers.in_groups(read_set(single), 4)
    assert [[dialogue.id for dialogue in group] for group in groups][0] == ["q0", "q1", "q2", "q3"]


def test_a_partial_file_is_no_answer(tmp_path, mmdu):
    dialogues = read_set(mmdu)
    folder = AnswerFolder(tmp_path, [dialogues], "images")
    (tmp_path / "0.json.partial").write_text("{")
    assert folder.open_groups() == [0]
    assert not list(tmp_path.glob("*.json"))


def test_real_dialogues_with_real_scenes(test_data, tmp_path):
    """The published rows in MMDU's form, their photos replaced by chips of a real scene; the nano model answers."""
    scene = sorted((test_data / "taizhou_landsat7_2000_2003").glob("*2000*.tif"))[0]
    rgb = render_rgb(read_raster(scene))
    rows, number = [], 0
    for name in ("mmdu_multi_turn_multi_images.json", "mantis_chat.json"):
        for row in json.loads((test_data / "mmdu_like/rows" / name).read_text())[:2]:
            key = "images" if "images" in row else "image"
            names = []
            for _ in row[key]:
                x = 40 * (number % 8)
                Image.fromarray(rgb[x : x + 100, x : x + 100]).save(tmp_path / f"{number}.png")
                names.append(f"{number}.png")
                number += 1
            rows.append(row | {key: names, "source": name})
    written = 0
    for source in {row["source"] for row in rows}:
        data = tmp_path / source
        data.write_text(json.dumps([row for row in rows if row["source"] == source]))
        flags = ["--model", "assets/nano", "--data", str(data), "--out", str(tmp_path / f"{data.stem}-gene")]
        assert generate_answers.main([*flags, "--max_new_tokens", "4", "--device", "cpu"]) == 0
        written += len((tmp_path / f"{data.stem}-gene" / "predictions.jsonl").read_text().splitlines())
    assert number >= 4 and written >= 30
