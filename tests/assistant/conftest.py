"""A small simulated county that tests of the assistant share."""

from datetime import date
from pathlib import Path
from typing import Any

import pytest

from src.assistant.county import County
from src.geo.blocks import ThreadRunner
from src.geo.simulate import simulate_county
from src.geo.workspace import Options, add, init_workspace, open_workspace

DATES = ("2022-09-18", "2023-09-20", "2024-09-25")
SIZE_PX = 160


@pytest.fixture(scope="session")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """Folder and record of the simulation."""
    folder = tmp_path_factory.mktemp("simulated") / "county"
    record = simulate_county(
        folder,
        seed=5,
        size=SIZE_PX,
        sensor="sentinel2_l2a",
        dates=list(DATES),
        crs="EPSG:32648",
        cloud_share=0.0,
    )
    return folder, record


@pytest.fixture(scope="session")
def county(simulated: tuple[Path, dict[str, Any]], tmp_path_factory: pytest.TempPathFactory) -> County:
    """160 x 160 pixels with three clear dates of one season, labels of each, and zones. Do not add to it."""
    root = tmp_path_factory.mktemp("county") / "workspace"
    workspace = init_workspace(root, code="510723", as_of="2024-12-31")
    add(workspace, simulated[0], Options(), ThreadRunner(1))
    return County(open_workspace(root), ThreadRunner(1), date(2024, 12, 31))


@pytest.fixture(scope="session")
def county_truth(simulated: tuple[Path, dict[str, Any]]) -> dict[str, Any]:
    """What is true of ``county``: see ``src.geo.simulation.truth.measure``."""
    truth: dict[str, Any] = simulated[1]["truth"]
    return truth
