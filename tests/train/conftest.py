"""A tiny base model for the training tests, and the doctor run in this process."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from src.geo.simulate import simulate_county
from src.model.nano import build_variant
from src.train import doctor
from tests.nano_data import write_sft
from tests.train.doctor_cases import STATES, Diagnosis, write_captions


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Untrained tiny Qwen2.5-VL with the shipped tokenizer."""
    return build_variant(tmp_path_factory.mktemp("tiny") / "model", "tiny", "qwen2_5_vl", seed=0)


@pytest.fixture(scope="module")
def sft_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve rows with pictures and three without."""
    return write_sft(tmp_path_factory.mktemp("sft"), 12, 3)


@pytest.fixture(scope="module")
def grpo_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten captions with pictures and two without."""
    return write_captions(tmp_path_factory.mktemp("vqa"))


@pytest.fixture
def diagnose(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> Diagnosis:
    """Run the doctor in this process; returns its JSON with the details of failed and warned checks by name."""

    def run(data_path: Path, *flags: object) -> dict[str, Any]:
        report = tmp_path / "report" / "doctor.json"
        argv = ["doctor", "--model_id", tiny, "--data_path", data_path, "--json", report, *flags]
        monkeypatch.setattr(sys, "argv", [str(part) for part in argv])
        code = doctor.main()
        record = json.loads(report.read_text(encoding="utf-8"))
        found = {state: {c["name"]: c["detail"] for c in record["checks"] if c["status"] == state} for state in STATES}
        assert code == (1 if found["fail"] else 0) == (not record["ok"])
        output = capsys.readouterr().out
        assert all(f"FAIL {name}" in output for name in found["fail"])
        return record | found

    return run


@pytest.fixture(scope="session")
def county(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small simulated county of two clear dates."""
    out = tmp_path_factory.mktemp("county") / "c5"
    dates = ["2023-09-20", "2024-09-25"]
    simulate_county(out, seed=5, size=160, sensor="sentinel2_l2a", dates=dates, crs="EPSG:32648", cloud_share=0.0)
    return out
