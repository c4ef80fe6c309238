"""The speed benchmark of the assistant on a tiny county."""

import json
import sys

import pytest

from evaluation.benchmarks import county
from src.errors import InputError


def run(work, *flags):
    """Exit code and JSON of one run."""
    words = ["county", "--work", work, "--out", work / "r.json", "--county_px", 128, "--label_share", 1, *flags]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [str(word) for word in words])
        patch.setattr(county, "QUESTIONS", county.QUESTIONS[:1])
        code = county.main()
    return code, json.loads((work / "r.json").read_text())


def test_a_question_is_asked_twice_and_not_again(tmp_path, capsys):
    code, result = run(tmp_path, "--size", 160)
    (row,) = result["rows"]
    assert code == 0 and result["passed"] and result["n"] == 1
    assert (row["status"], row["same_again"], result["mpx"]) == ("measured", True, 0.0256)
    assert row["again_seconds"] < row["first_seconds"] and 0.1 < row["peak_gib"] < 2
    assert {"gain", "loss", "net"} == set(row["figures"])
    assert row["stages"]["covers.write_cover"]["calls"] == 2 and row["stages"]["survey.flow_areas"]["calls"] == 1
    assert {"commit", "command", "versions", "hardware", "seed", "seconds", "limits"} <= set(result)
    code, again = run(tmp_path, "--size", 160)
    assert (code, again["rows"]) == (0, result["rows"])
    printed = capsys.readouterr().out.splitlines()
    assert json.loads(printed[-1]) == again
    with pytest.raises(InputError, match="another --work"):
        run(tmp_path, "--size", 160, "--workers", 1)


def test_limits_by_hand():
    row = {"status": "measured", "same_again": True, "first_seconds": 120.0, "again_seconds": 2.0, "peak_gib": 4.0}
    assert county.within(row)
    for worse in ({"first_seconds": 120.1}, {"again_seconds": 2.1}, {"peak_gib": 4.1}, {"status": "cannot_tell"}):
        assert not county.within(row | worse)
    assert not county.within({"failed": "MemoryError", "peak_gib": 1.0})
