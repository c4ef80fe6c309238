"""Error of changed ground by the size of its patch."""

import json
import sys

import numpy as np
import pytest

from evaluation.benchmarks import patch_size
from src.errors import InputError
from src.geo.simulate import simulate_county


def test_areas_of_single_patches():
    """Six pixels, four of them found and two beside; one pixel, missed; nine pixels next to a cloud, left out."""
    truth, flagged, seen = np.zeros((3, 20, 20), bool)
    seen[:] = True
    truth[2:4, 2:5] = True
    flagged[2:4, 3:6] = True
    truth[10, 10] = True
    truth[15:18, 15:18] = flagged[15:18, 15:18] = True
    seen[18, 18] = False
    flagged[7, 17] = True  # too far from any patch
    assert patch_size.patch_areas(truth, flagged, seen).tolist() == [[6, 6, 4], [1, 0, 0]]


def test_figures_of_a_size_class():
    """Two counties with three patches of 10 pixels: 5, 10 and 12 flagged, the first found by half."""
    counties = [np.array([[10, 5, 5], [10, 10, 9]]), np.array([[10, 12, 4]])]
    (row,) = patch_size.by_size(counties, seed=0)
    assert (row["from_px"], row["to_px"], row["n"]) == (9, 15, 3)
    assert row["relative_bias"] == pytest.approx(27 / 30 - 1)
    assert row["relative_error_quartiles"] == pytest.approx([-0.25, 0.0, 0.1])
    assert row["mean_absolute_relative_error"] == pytest.approx(0.7 / 3)
    assert row["found_share"] == pytest.approx(2 / 3)
    # A resampled pair of counties is the first twice, the second twice, or both.
    assert row["relative_bias_ci95"] == pytest.approx([-0.25, 0.2])


def test_a_county_is_measured(tmp_path, monkeypatch, capsys):
    made = {"size": 96, "sensor": "sentinel2_l2a", "dates": ["2023-09-20", "2024-09-25"], "crs": "EPSG:32648"}
    simulate_county(tmp_path / "c" / "one", seed=5, **made)
    out, picture = tmp_path / "r.json", tmp_path / "p.png"
    argv = ["patch_size", "--counties", tmp_path / "c", "--workers", 1, "--out", out, "--plot", picture]
    monkeypatch.setattr(sys, "argv", list(map(str, argv)))
    patch_size.main()
    result = json.loads(out.read_text(encoding="utf-8"))
    assert result["counties"] == 1 and result["n"] == sum(row["n"] for row in result["rows"]) > 0
    assert "found" in capsys.readouterr().out
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_a_folder_without_counties_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["patch_size", "--counties", str(tmp_path)])
    with pytest.raises(InputError, match=r"no simulated county; make some with python -m src\.geo\.simulate"):
        patch_size.main()
