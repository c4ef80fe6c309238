"""The pipeline on real imagery, shortened: one labelled scene for training, another for the test."""

import json
import os
import subprocess

from tests.runs import environment


def test_real_scenes_go_through_both_stages(repo, test_data, tmp_path):
    """Raleigh (Landsat 7) trains, its held-out blocks and Slovenia (Sentinel-2) are scored; floors stand beside."""
    variables = environment() | {"REAL_DATA": str(test_data), "SFT_STEPS": "2", "STEPS": "1", "LIMIT": "24"}
    done = subprocess.run(
        ["bash", "scripts/run_real.sh", str(tmp_path / "real")],
        cwd=repo,
        env=variables | {"DIALOGUES": "8", "MASTER_PORT": str(20000 + os.getpid() % 10000)},
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    for name in ("same", "other"):
        report = json.loads((tmp_path / "real" / f"report_{name}.json").read_text())
        assert set(report["stages"]) == {"base", "sft", "grpo", "merged"}
        for stage in report["stages"].values():
            assert stage["n"] == 24
            assert {"majority", "shuffled", "over_floor", "types_above_both_floors"} <= set(stage)
            assert all(len(row["ci95"]) == 2 for row in stage["accuracy"].values())
        assert report["merge"]
    train = (tmp_path / "real" / "raleigh" / "vqa_train.jsonl").read_text()
    test = (tmp_path / "real" / "raleigh" / "vqa_test.jsonl").read_text()
    chips = [{json.loads(line)["chip"] for line in text.splitlines()} for text in (train, test)]
    assert not chips[0] & chips[1]


def test_missing_imagery_is_bad_input(repo):
    done = subprocess.run(
        ["bash", "scripts/run_real.sh"], cwd=repo, env=environment() | {"REAL_DATA": ""}, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert "REAL_DATA" in done.stderr
