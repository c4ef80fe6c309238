"""The speed benchmark on a tiny model: both ways do the same work, and the figures are there."""

import json
import sys

from evaluation.benchmarks import generation


def test_a_small_run_prints_a_table_and_one_json_line(tmp_path, monkeypatch, capsys):
    flags = "--size tiny --dialogues 2 --turns 3 --images 2 --side 112 --tokens 4 --load-questions 1".split()
    monkeypatch.setattr(sys, "argv", ["generation", *flags, "--out", str(tmp_path / "result.json")])
    generation.main()
    result = json.loads(capsys.readouterr().out.strip().splitlines()[-1])
    assert result == json.loads((tmp_path / "result.json").read_text())
    assert {"commit", "command", "args", "versions", "hardware", "seed", "n", "seconds"} <= set(result)
    assert result["n"] == 6 and set(result["questions_per_second"]) == {"load", "stock", "ours"}
    found = result["comparison"]
    assert found["logits_max_difference"] < 1e-4 and found["differing_without_a_tie"] == 0
    assert found["turns_compared"] + found["turns_after_a_difference"] == 6
    assert found["same_answers"] + found["differing_at_a_tie"] == found["turns_compared"]
