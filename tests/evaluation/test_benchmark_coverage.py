"""The coverage campaign on a few maps."""

import json
import sys

import numpy as np
import pytest
from affine import Affine

from evaluation.benchmarks import coverage
from src.errors import InputError
from src.geo.grid import Grid, Raster
from src.geo.raster import write_raster


def run(monkeypatch, tmp_path, *flags):
    argv = ["coverage", "--draws", 40, "--work", tmp_path / "maps.jsonl", "--out", tmp_path / "r.json", *flags]
    monkeypatch.setattr(sys, "argv", list(map(str, argv)))
    coverage.main()
    return json.loads((tmp_path / "r.json").read_text())


def test_the_campaign_goes_on_where_it_stopped(tmp_path, monkeypatch, capsys):
    run(monkeypatch, tmp_path, "--maps", 2)
    first = (tmp_path / "maps.jsonl").read_text()
    result = run(monkeypatch, tmp_path, "--maps", 4, "--plot", tmp_path / "c.png")
    assert (tmp_path / "maps.jsonl").read_text().startswith(first)
    assert (tmp_path / "c.png").stat().st_size > 10_000
    at_once = run(monkeypatch, tmp_path, "--maps", 4, "--work", tmp_path / "again.jsonl")
    assert at_once["rows"] == result["rows"]
    assert result["n"] == len(coverage.SHARES) * 4 * 40
    rows = {row["share"]: row for row in result["rows"]}
    assert rows[0.005]["ours"]["coverage"] >= 0.93 > 0.8 > rows[0.005]["plain"]["coverage"]
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["rows"] == result["rows"]
    with pytest.raises(InputError, match="another --work"):
        run(monkeypatch, tmp_path, "--maps", 4, "--n", 700)


def test_coverage_of_a_perfect_and_of_a_blind_map():
    rng = np.random.default_rng(0)
    perfect = coverage.sample_map(([1000, 99_000], [1000, 0]), 600, 100, 50, rng)
    assert (perfect["relative_error"], perfect["bias"], perfect["plain"]["width"]) == (0.0, 0.0, 0.0)
    assert perfect["ours"]["covered"] == perfect["plain"]["covered"] == 50
    # All change was missed, one pixel in 20,000: no draw of 500 finds much of it, and only our limits allow for it.
    blind = coverage.sample_map(([1000, 99_000], [0, 5]), 600, 100, 200, rng)
    assert blind["ours"]["covered"] >= 195 and blind["plain"]["covered"] <= 20


def test_maps_of_counties_have_the_errors_of_maps():
    rng = np.random.default_rng(1)
    masks = []
    for _ in range(3):
        mask = np.zeros((200, 200), bool)
        for row, col in rng.integers(0, 190, (60, 2)):
            mask[row : row + rng.integers(2, 9), col : col + rng.integers(2, 9)] = True
        masks.append(mask)
    truth = coverage.thinned(masks, 0.02, rng)
    assert truth.mean() == pytest.approx(0.02, rel=coverage.OVERSHOOT)
    designs = coverage.county_map(masks, 1, 0.02, 2, rng)
    for pixels, changed in designs.values():
        assert sum(pixels) == 200 * 200
        assert sum(changed) == pytest.approx(800, rel=coverage.OVERSHOOT)
    mapped, hit = designs["map"][0][0], designs["map"][1][0]
    assert 0 < hit < mapped and designs["map"][1][1] > 0
    # The ring takes part of what was missed out of the large stratum.
    assert 0 < designs["ring"][1][1] <= designs["map"][1][1]
    with pytest.raises(InputError, match="needs more"):
        coverage.thinned(masks, 0.9, rng)


def test_folders_without_counties_are_refused(tmp_path):
    with pytest.raises(InputError, match="two or more"):
        coverage.read_masks(tmp_path)
    for county, shift in (("1001", 0), ("1002", 2)):
        for day, width in (("2023-09-20", 0), ("2024-09-25", 3)):
            labels = np.ones((6, 8), np.uint8)
            labels[:, shift : shift + width] = 6
            raster = Raster(labels[None], labels > 0, Grid(None, Affine(10, 0, 0, 0, -10, 0), labels.shape), ("class",))
            write_raster(tmp_path / county / "labels" / f"landcover_{day}.tif", raster)
    masks = coverage.read_masks(tmp_path)
    assert [mask[0].tolist() for mask in masks] == [[True] * 3 + [False] * 5, [False] * 2 + [True] * 3 + [False] * 3]
