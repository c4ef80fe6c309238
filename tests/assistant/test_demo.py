import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from src.assistant import demo
from src.assistant.demo import DEMO, TRUTH, default_folder, demo_workspace
from src.constants import LAND_CLASS_IDS
from src.errors import InputError
from src.geo.zones import read_zone

# Every step of the real one, in a few seconds.
SMALL = replace(
    DEMO,
    size=96,
    dates=("2022-12-22", "2023-12-24", "2024-11-28", "2024-12-10", "2024-12-26"),
    cloudy={"2024-12-10": 0.6},
)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The small demo county and what was told about its making."""
    told: list[tuple[str, float]] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(demo, "DEMO", SMALL)
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield demo_workspace(progress=lambda step, share: told.append((step, share))), told


def test_demo_is_a_workspace_in_the_users_cache(made, monkeypatch):
    workspace, _ = made
    assert workspace.as_of == "2024-12-31" and workspace.name
    assert workspace.root.parts[-2] == "county-land-use-vl" and workspace.root.name.startswith("demo-")
    assert not (workspace.root / "simulated").exists()
    assert [scene.record.date for scene in workspace.scenes()] == list(SMALL.dates)
    clear = {scene.record.date: scene.record.clear_share for scene in workspace.scenes()}
    assert clear["2024-12-10"] < 0.5 < clear["2024-12-26"]


def test_demo_has_the_land_survey_of_the_first_date_alone(made):
    workspace, _ = made
    (labels,) = workspace.labels()
    assert labels.date == "2022-12-22"


def test_demo_has_every_zone_that_questions_name(made):
    workspace, _ = made
    kinds = {kind for path in workspace.zones().values() for kind in read_zone(path)["zone_type"]}
    assert kinds == {"county", "town", "basic_farmland", "reserve", "red_line", "river"}
    reserve = read_zone(workspace.zones()["reserve"])
    line = read_zone(workspace.zones()["red_line"])
    assert set(reserve["part"]) == {"core", "buffer", "experimental"}
    strict = reserve[reserve["part"] != "experimental"].geometry.union_all()
    assert line.geometry.union_all().symmetric_difference(strict).area < 1e-9 * strict.area
    assert list(line["name"]) == [workspace.name + "生态保护红线"]


def test_truth_stays_beside_the_workspace(made):
    workspace, _ = made
    truth = json.loads((workspace.root / TRUTH).read_text(encoding="utf-8"))
    assert truth["dates"] == list(SMALL.dates)
    assert set(truth["truth"]["areas_m2"]["2024-12-26"]) == set(LAND_CLASS_IDS)


def test_progress_rises_to_the_end(made):
    _, told = made
    shares = [share for _, share in told]
    assert {step for step, _ in told} == {demo.STEP}
    assert shares == sorted(shares) and shares[-1] == pytest.approx(1.0) and len(shares) > 10


def test_demo_is_made_once(made, monkeypatch):
    workspace, _ = made
    monkeypatch.setattr(demo, "build", lambda *_: pytest.fail("made again"))
    assert demo_workspace(workspace.root).root == workspace.root


def test_another_plan_gets_another_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    first = default_folder()
    monkeypatch.setattr(demo, "DEMO", replace(DEMO, seed=DEMO.seed + 1))
    assert default_folder() != first and default_folder().parent == first.parent


def test_two_at_once_make_one(monkeypatch, tmp_path):
    built = []

    def build(folder: Path, *_: object) -> None:
        built.append(folder)
        time.sleep(0.2)
        (folder / "workspace.yaml").write_text('name: "x"\n')
        (folder / TRUTH).write_text("{}")

    monkeypatch.setattr(demo, "build", build)
    found: list[Path] = []
    askers = [threading.Thread(target=lambda: found.append(demo_workspace(tmp_path / "demo").root)) for _ in range(4)]
    for asker in askers:
        asker.start()
    for asker in askers:
        asker.join()
    assert found == [tmp_path / "demo"] * 4 and len(built) == 1
    assert not list(tmp_path.glob("*.part")) and not list(tmp_path.glob(".*.part"))


def test_failed_making_leaves_nothing(monkeypatch, tmp_path):
    def build(folder: Path, *_: object) -> None:
        (folder / "half").write_text("")
        raise RuntimeError("disk full")

    monkeypatch.setattr(demo, "build", build)
    with pytest.raises(RuntimeError, match="disk full"):
        demo_workspace(tmp_path / "demo")
    assert [path.name for path in tmp_path.iterdir()] == [".demo.lock"]


def test_killed_making_is_redone(tmp_path, monkeypatch):
    place = tmp_path / "demo"
    command = [sys.executable, "-m", "src.assistant.demo", "--out", str(place)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while not list(tmp_path.glob(".demo-*.part/simulated/scenes/*.tif")):
            assert process.poll() is None
            time.sleep(0.05)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    (left,) = tmp_path.glob(".demo-*.part")
    assert not place.exists()
    monkeypatch.setattr(demo, "DEMO", SMALL)
    assert len(demo_workspace(place).scenes()) == len(SMALL.dates)
    assert not left.exists()


def test_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("keep")
    with pytest.raises(InputError, match="something else"):
        demo_workspace(tmp_path / "mine")
    assert (tmp_path / "mine" / "notes.txt").read_text() == "keep"
