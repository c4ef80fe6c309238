"""The inference benchmark on a tiny model: both ways do the same work, and the figures are there."""

import json
import sys

from evaluation.benchmarks import inference


def test_a_small_run_prints_a_table_and_one_json_line(tmp_path, monkeypatch, capsys):
    flags = "--size tiny --turns 3 --turn-tokens 6 --side 112 --users 3 --tokens 6 --repeats 1".split()
    monkeypatch.setattr(sys, "argv", ["inference", *flags, "--out", str(tmp_path / "result.json")])
    inference.main()
    result = json.loads(capsys.readouterr().out.strip().splitlines()[-1])
    assert result == json.loads((tmp_path / "result.json").read_text())
    assert {"commit", "command", "args", "versions", "hardware", "seed", "n", "seconds"} <= set(result)
    dialogues, users, cancel = result["dialogues"], result["users"], result["cancel"]
    assert result["n"] == dialogues["turns"] == 6
    assert dialogues["same_answers"] >= 5 and dialogues["distinct_answers"] >= 2
    assert set(dialogues["first_token_sum_s"]) == {"reuse", "full"}
    assert users["throughput_ratio"] > 0 and users["same_answers"] >= 2
    assert 0 < cancel["decode_max_s"] < 1 and 0 < cancel["prefill_max_s"] < 1
