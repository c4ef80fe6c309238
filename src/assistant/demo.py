"""The demo county: a small simulated county with three years of images, so that everything can be tried without data.

    python -m src.assistant.demo                  # into the user's cache, where the page looks for it
    python -m src.assistant.demo --out DIR        # somewhere else

It has a survey of land classes of the first date only, as a county has its land
survey; towns, basic farmland, a reserve in three parts, an ecological red line
and a river scope. ``truth.json`` in its folder is the record of the simulation
with the true areas; nothing that answers questions reads it. The folder takes
its name only when it is complete; several processes may ask for it at once.
"""

import argparse
import fcntl
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from src.errors import InputError, run_command
from src.geo.blocks import Runner, ThreadRunner
from src.geo.evidence import digest
from src.geo.scenes.product import Given
from src.geo.simulate import simulate_county
from src.geo.vector import write_vector
from src.geo.workspace import Options, Workspace, add, init_workspace, open_workspace
from src.geo.zones import read_zone

# Told a step and the share of the work that is done, 0..1.
Progress = Callable[[str, float], None]
STEP = "demo"
STEP_TEXT = {"zh": "准备演示县", "en": "preparing the demo county"}
TRUTH = "truth.json"
# Raise it when simulation or import gives another county from the same plan.
_VERSION = 1
_RED_LINE = {"file": "red_line", "suffix": "生态保护红线"}
_RED_LINE_PARTS = ("core", "buffer")
_SIMULATED_SHARE = 0.75


@dataclass(frozen=True)
class Plan:
    """What is simulated.

    Year ends give same-season pairs of three years; quarter ends of two years give seasons; the last month has a date
    before it, one inside it, and one under cloud.

    Args:
        seed: of the county.
        size: pixels on a side, 10 m each.
        as_of: day that counts as today, ISO.
        dates: of images, ISO.
        cloudy: share under cloud of the dates that are not clear.
        cloud_share: of the others.
        crs: of the images.
    """

    seed: int = 33
    size: int = 320
    as_of: str = "2024-12-31"
    dates: tuple[str, ...] = (
        *("2021-12-24", "2022-12-22"),
        *("2023-03-27", "2023-06-27", "2023-09-26", "2023-12-24"),
        *("2024-03-26", "2024-06-26", "2024-09-26", "2024-11-28", "2024-12-10", "2024-12-26"),
    )
    cloudy: dict[str, float] = field(default_factory=lambda: {"2023-06-27": 0.01, "2024-12-10": 0.6})
    cloud_share: float = 0.0
    crs: str = "EPSG:32648"


DEMO = Plan()


def demo_workspace(folder: Path | None = None, progress: Progress | None = None) -> Workspace:
    """The demo county, made where it is not there yet.

    Args:
        folder: where it is or shall be; default a folder in the user's cache that is named after the plan.
        progress: is told how far the making is.

    Raises:
        InputError: the folder holds something else.
    """
    place = folder if folder is not None else default_folder()
    if not _finished(place):
        place.parent.mkdir(parents=True, exist_ok=True)
        with _alone(place):
            if not _finished(place):
                _make(place, DEMO, progress)
    return open_workspace(place)


def default_folder() -> Path:
    """Where the demo county is kept: $XDG_CACHE_HOME (default ~/.cache)/county-land-use-vl/demo-<version>."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "county-land-use-vl" / f"demo-{digest([_VERSION, asdict(DEMO)])[:8]}"


def build(folder: Path, plan: Plan, runner: Runner, progress: Progress | None = None) -> Workspace:
    """Simulate a county by a plan and make a workspace of it; not atomic.

    Args:
        folder: made; must not hold a workspace.
        plan: what to simulate.
        runner: for reading the images in.
        progress: is told how far it is.
    """

    def tell(share: float) -> None:
        if progress is not None:
            progress(STEP, share)

    source = folder / "simulated"
    county = simulate_county(
        source,
        seed=plan.seed,
        size=plan.size,
        sensor="sentinel2_l2a",
        dates=list(plan.dates),
        crs=plan.crs,
        cloud_share=plan.cloud_share,
        cloudy=plan.cloudy,
        objects=False,
        done=lambda share: tell(share * _SIMULATED_SHARE),
    )
    workspace = init_workspace(folder, name=county["name"], as_of=plan.as_of)
    jobs = [(source / name, Options(kind="zone")) for name in county["files"] if name.startswith("zones/")]
    for scene in county["scenes"]:
        given = Given(date=scene["date"], mask=source / scene["mask"])
        jobs.append((source / scene["image"], Options(given, "scene")))
    survey = Options(Given(date=plan.dates[0]), "labels", crosswalk="canonical")
    jobs.append((source / county["scenes"][0]["labels"], survey))
    red_line = _red_line(source, county["name"])
    jobs += [(red_line, Options(kind="zone", zone_type="red_line"))] if red_line else []
    for number, (path, options) in enumerate(jobs):
        add(workspace, path, options, runner)
        tell(_SIMULATED_SHARE + (1 - _SIMULATED_SHARE) * (number + 1) / len(jobs))
    (source / "county.json").rename(folder / TRUTH)
    shutil.rmtree(source)
    return workspace


def _finished(folder: Path) -> bool:
    return (folder / "workspace.yaml").is_file() and (folder / TRUTH).is_file()


def _make(place: Path, plan: Plan, progress: Progress | None) -> None:
    """Build beside the place, then take its name; the caller is alone, so older drafts belong to killed processes."""
    if place.exists() and any(place.iterdir()):
        raise InputError(f"{place}: holds something else than the demo county; choose another folder")
    for draft in place.parent.glob(f".{place.name}-*.part"):
        shutil.rmtree(draft)
    draft = Path(tempfile.mkdtemp(dir=place.parent, prefix=f".{place.name}-", suffix=".part"))
    try:
        build(draft, plan, ThreadRunner(), progress)
        draft.rename(place)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


@contextmanager
def _alone(place: Path) -> Iterator[None]:
    """One process at a time; the lock goes with its process."""
    with (place.parent / f".{place.name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _red_line(source: Path, name: str) -> Path | None:
    """The red line follows the strict parts of the reserve; None where there is no reserve."""
    reserve = source / "zones" / "reserve.gpkg"
    if not reserve.is_file():
        return None
    zones = read_zone(reserve)
    strict = zones[zones["part"].isin(_RED_LINE_PARTS)].dissolve().reset_index(drop=True)
    if strict.empty:
        return None
    path = source / f"{_RED_LINE['file']}.gpkg"
    write_vector(path, strict.assign(zone_type="red_line", name=name + _RED_LINE["suffix"], part=""))
    return path


def main() -> None:
    """Make the demo county and say where it is."""
    parser = argparse.ArgumentParser(
        prog="python -m src.assistant.demo", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, help="folder (default: in the user's cache, where the page looks for it)")
    args = parser.parse_args()
    place = args.out or default_folder()
    sys.stderr.write(f"Demo county of {DEMO.size} px on {len(DEMO.dates)} dates -> {place}\n")
    workspace = demo_workspace(args.out)
    truth = json.loads((workspace.root / TRUTH).read_text(encoding="utf-8"))
    sys.stderr.write(f"{workspace.name} ({truth['name_en']}), as of {workspace.as_of}\n")
    sys.stdout.write(f"{workspace.root}\n")


if __name__ == "__main__":
    run_command(main)
