"""Areas in words, measured and guessed: figures by hand, and one small run."""

import json
import sys

import pytest

from evaluation.benchmarks import model_alone


def row(place, truth, share, system, bounds, model):
    return {
        "place": place,
        "truth_m2": truth,
        "share": share,
        "system_m2": system,
        "bounds_m2": bounds,
        "model_m2": model,
    }


def test_errors_and_coverage_by_hand():
    """Errors of large classes only: 0.1 and 0.3 against 1; two of three ranges hold their truth."""
    rows = [
        row("a", 100.0, 0.5, 90.0, [80.0, 110.0], 200.0),
        row("b", 100.0, 0.5, 130.0, [120.0, 140.0], None),
        row("b", 1.0, 0.005, 9.0, [0.0, 20.0], 50.0),
        row("b", 50.0, 0.2, None, None, None),
    ]
    found = model_alone.summarise(rows, 0)
    assert (found["n"], found["n_errors"]) == (4, 3)
    assert (found["system"]["answered"], found["model"]["answered"]) == (2, 1)
    assert found["system"]["mean_relative_error"]["value"] == pytest.approx(0.2)
    assert found["system"]["median_relative_error"] == pytest.approx(0.2)
    assert found["model"]["mean_relative_error"]["value"] == 1.0
    assert found["system"]["coverage"]["value"] == pytest.approx(2 / 3, abs=1e-4)
    assert found["system"]["coverage"]["n"] == 3


@pytest.mark.slow
def test_a_county_and_real_scenes(test_data, tmp_path, monkeypatch):
    out = tmp_path / "r.json"
    words = ["model_alone", "--counties", "1", "--data", str(test_data), "--out", str(out)]
    monkeypatch.setattr(sys, "argv", words)
    model_alone.main()
    result = json.loads(out.read_text(encoding="utf-8"))
    assert {row["place"] for row in result["rows"]} == {"county 2000", "raleigh", "slovenia"}
    simulated = result["summary"]["simulated"]
    assert simulated["n"] == 7 and simulated["system"]["coverage"]["value"] >= 6 / 7
    errors = [simulated[way]["mean_relative_error"]["value"] for way in ("system", "model")]
    assert errors[0] < errors[1]
