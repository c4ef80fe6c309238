"""The validate command: its figures, its table, its exit codes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from transformers import AutoProcessor

from src.budget import PixelBudget
from src.dataset import validate
from src.dataset.images import load_image
from src.dataset.store import ConversationStore
from src.errors import InputError


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["validate", *map(str, arguments)])
    return validate.main()


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two good rows and one without an answer; pictures of 4 x 3 and 2 x 2 visual tokens."""
    Image.new("RGB", (112, 84)).save(tmp_path / "large.png")
    Image.new("RGB", (56, 56)).save(tmp_path / "small.png")
    rows = []
    for image, tags, answer in (
        (["large.png", "small.png"], "<image><image>", "是的"),
        ("small.png", "<image>", "abcdefgh"),
        ("small.png", "<image>", ""),
    ):
        turns = [{"from": "human", "value": f"{tags}\nIs there?"}, {"from": "gpt", "value": answer}]
        rows.append({"id": len(rows), "image": image, "conversations": turns, "question_type": "presence"})
    path = tmp_path / "rows.json"
    path.write_text(json.dumps(rows))
    return path


SMALL_BUDGET = ("--image_min_pixels", 4 * 784, "--image_max_pixels", 100 * 784)


def test_the_report_measures_from_headers(data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture):
    assert run(monkeypatch, "--data_path", data, "--json", *SMALL_BUDGET) == 2
    found = json.loads(capsys.readouterr().out)
    assert (found["format"], found["rows"], found["usable_rows"], found["bad_rows"]) == ("llava", 3, 2, 1)
    assert found["per_row"]["images"] == {"min": 1, "median": 1.5, "p95": 1.95, "max": 2, "total": 3}
    assert found["per_row"]["turns"]["total"] == 4
    assert found["per_row"]["visual_tokens"]["max"] == 4 * 3 + 2 * 2
    assert found["per_row"]["visual_tokens"]["min"] == 2 * 2
    # Row 0: two turns of 5, two images of 2, 9 ASCII characters / 4 and 2 others / 1.5; row 1: one image, 9 and 8 / 4.
    text = found["per_row"]["text_tokens"]
    assert (text["max"], text["min"]) == (10 + 4 + 2 + 1, 10 + 2 + 2 + 2)
    assert found["text_tokens_are"] == "estimate"
    assert found["question_types"] == {"presence": 2}
    assert [(reject["index"], reject["reason"][:12]) for reject in found["rejects"]] == [(2, "empty answer")]
    assert not (data.parent / "rows.json.rejects.jsonl").exists()


def test_the_table_names_every_reason(data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture):
    assert run(monkeypatch, "--data_path", data, "--image_folder", data.parent) == 2
    out = capsys.readouterr().out
    assert "usable_rows     2" in out
    assert "text_tokens *" in out and "--model_id gives exact lengths" in out
    assert "1 x empty answer: turn 1 of the assistant has no text (row 2)" in out
    assert "question types  presence 2" in out


def test_many_reasons_are_shortened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture):
    rows = [{"conversations": [{"from": f"role{number // 5}", "value": "x"}]} for number in range(125)]
    rows.append({"conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]})
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    assert run(monkeypatch, "--data_path", tmp_path / "rows.json") == 2
    out = capsys.readouterr().out
    assert "5 x unknown role 'role0' in turn 0" in out and "(row 0, 1, 2, ...)" in out
    assert "and 5 more reasons: --json lists all" in out


def test_skip_bad_rows_writes_them_and_passes(data: Path, monkeypatch: pytest.MonkeyPatch):
    assert run(monkeypatch, "--data_path", data, "--skip_bad_rows") == 0
    rejects = (data.parent / "rows.json.rejects.jsonl").read_text().splitlines()
    assert [json.loads(line)["index"] for line in rejects] == [2]
    assert run(monkeypatch, "--data_path", data, "--skip_bad_rows", "--rejects_path", data.parent / "r.jsonl") == 0
    assert (data.parent / "r.jsonl").read_text().splitlines() == rejects


def test_only_bad_rows_still_give_a_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    (tmp_path / "rows.json").write_text('[{"conversations": [{"from": "human", "value": "q"}]}]')
    assert run(monkeypatch, "--data_path", tmp_path / "rows.json", "--json") == 2
    found = json.loads(capsys.readouterr().out)
    assert (found["usable_rows"], found["per_row"]) == (0, {})
    assert run(monkeypatch, "--data_path", tmp_path / "rows.json") == 2


def test_no_rows_are_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "rows.csv").write_text("image_path,caption\n")
    with pytest.raises(InputError, match="rows.csv: no rows"):
        run(monkeypatch, "--data_path", tmp_path / "rows.csv", "--data_format", "csv_caption")


def test_lengths_with_a_model_are_those_of_its_processor(format_cases: dict, repo: Path):
    """Text plus visual tokens equal the length of the processor's own output, for every format."""
    processor = AutoProcessor.from_pretrained(repo / "assets" / "nano")
    budget = PixelBudget(4 * 784, 100 * 784)
    budget.apply(processor)
    checked = 0
    for path, folder in format_cases.values():
        store = ConversationStore(path, folder)
        expected = []
        for conversation in store:
            pictures = [load_image(image) for image in conversation.images] or None
            text = processor.apply_chat_template(conversation.messages(), tokenize=False)
            expected.append(len(processor(text=[text], images=pictures)["input_ids"][0]))
        found = validate.report(store, budget, processor)
        assert found["per_row"]["tokens"]["total"] == sum(expected)
        assert (found["per_row"]["tokens"]["min"], found["per_row"]["tokens"]["max"]) == (min(expected), max(expected))
        assert found["text_tokens_are"] == "exact"
        checked += len(expected)
    assert checked == 20


def test_the_command_line(format_cases: dict, repo: Path):
    path, folder = format_cases["llava"]
    command = [sys.executable, "-m", "src.dataset.validate", "--data_path", str(path), "--image_folder", str(folder)]
    done = subprocess.run([*command, "--json"], cwd=repo, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["rows"] == 3
    refused = subprocess.run([*command[:4], "none.json"], cwd=repo, capture_output=True, text=True)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr.strip() == "MissingPathError: none.json: no such data file"
    usage = subprocess.run([*command[:3], "--help"], cwd=repo, capture_output=True, text=True)
    assert usage.returncode == 0 and "--data_path" in usage.stdout
