"""The two evaluation scripts as a newcomer starts them: nano model, a set of their own, a report with floors."""

import json
import subprocess

import pytest

from tests.runs import environment


def run(repo, name, *flags, code=0, **variables):
    done = subprocess.run(
        ["bash", f"scripts/{name}", *flags],
        cwd=repo,
        env=environment() | {key: str(value) for key, value in variables.items()},
        capture_output=True,
        text=True,
        timeout=1500,
    )
    assert done.returncode == code, (done.stdout + done.stderr)[-4000:]
    return done.stdout + done.stderr


@pytest.mark.parametrize("name", ["evaluate_mmdu.sh", "evaluate_rsvqa.sh"])
def test_help_and_missing_benchmark(repo, tmp_path, name):
    text = run(repo, name, "--help")
    assert all(word in text for word in ("MODEL_NAME", "ADAPTER", "JUDGE_NAME", "BENCHMARK", "OUTPUT_DIR"))
    assert len((repo / "scripts" / name).read_text().splitlines()) <= 60
    text = run(repo, name, MODEL_NAME="assets/nano", BENCHMARK=tmp_path / "no.json", OUTPUT_DIR=tmp_path / "o", code=2)
    assert "does not exist" in text


@pytest.mark.slow
@pytest.mark.timeout(1600)
def test_mmdu_on_the_nano_model(repo, tmp_path):
    run(repo, "evaluate_mmdu.sh", OUTPUT_DIR=tmp_path / "o", DIALOGUES=2, JUDGE_FLAGS="--explanation_tokens 4")
    report = json.loads((tmp_path / "o" / "report.json").read_text())
    assert report["valid_rate"] and report["scores"]
    assert {"majority", "blind", "shuffled"} <= set(report)
    assert (tmp_path / "o" / "report" / "report.html").is_file()
    assert len(list((tmp_path / "o" / "mark" / "3b-gene").glob("*.json"))) == 2


@pytest.mark.slow
@pytest.mark.timeout(1600)
def test_rsvqa_on_the_nano_model(repo, tmp_path):
    run(repo, "evaluate_rsvqa.sh", "--limit", "40", OUTPUT_DIR=tmp_path / "o")
    report = json.loads((tmp_path / "o" / "report.json").read_text())
    assert report["valid_rate"] and report["scores"]
    assert all(report[floor] for floor in ("majority", "blind", "shuffled"))
