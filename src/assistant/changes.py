"""The change between two scenes, measured once and kept: rasters, alignment and figures of the method."""

import fcntl
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from src.assistant.county import ASSISTANT_VERSION, County, Progress
from src.geo.change.detect import fit_change, write_change
from src.geo.change.pairs import Pair, make_pair
from src.geo.evidence import METHOD_VERSION, digest
from src.geo.raster import atomic_path
from src.geo.scene import Scene, open_scene

_DIGITS = 12


@dataclass(frozen=True, eq=False)
class Changes:
    """What two scenes say about change.

    Args:
        folder: holds the rasters and change.json.
        pair: both scenes on one grid.
        facts: figures of the method: thresholds, whether any change was found, share of the tail.
    """

    folder: Path
    pair: Pair
    facts: dict[str, Any]

    @property
    def change(self) -> Path:
        """change.tif: 0 not seen, 1 unchanged, 2 changed."""
        return self.folder / "change.tif"

    @property
    def score(self) -> Path:
        """change_score.tif."""
        return self.folder / "change_score.tif"


def scene_key(scene: Scene) -> list[str]:
    """What a scene's pixels are decided by."""
    return [scene.record.id, scene.record.content, scene.folder.name]


def short(content: Any) -> str:
    """First digits of a digest, for folder names."""
    return digest([content, METHOD_VERSION, ASSISTANT_VERSION])[:_DIGITS]


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """One at a time in a folder, threads and processes alike; a process that dies lets go."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def write_json(path: Path, content: dict[str, Any]) -> None:
    """In one step."""
    write_text(path, json.dumps(content, ensure_ascii=False))


def write_text(path: Path, text: str) -> None:
    """In one step, UTF-8."""
    with atomic_path(path) as partial:
        partial.write_text(text, encoding="utf-8")


def read_json(path: Path) -> dict[str, Any] | None:
    """The content, None where there is none or it is damaged."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def changes_of(county: County, before: Scene, after: Scene, progress: Progress) -> Changes:
    """Measure the change between two scenes, or take what was measured before.

    Args:
        county: whose scenes they are.
        before: earlier scene, as ingested.
        after: later scene, as ingested.
        progress: is told the steps.

    Raises:
        CannotTell: the two cannot be compared, or too little was seen on both.
        GridError: grids differ and one of them has no CRS.
    """
    name = f"change_{before.record.date}_{after.record.date}_{short([scene_key(before), scene_key(after)])}"
    folder = county.workspace.outputs / name
    known = _known(county, folder, before, after)
    if known is not None:
        return known
    with locked(folder):
        known = _known(county, folder, before, after)
        if known is not None:
            return known
        progress("align", 0.1)
        pair = make_pair(before, after, county.workspace.cache, county.runner)
        progress("change", 0.2)
        model = fit_change(pair, county.runner)
        write_change(pair, model, county.runner, folder)
        facts = {
            "found": model.found,
            "tail_share": model.tail_share,
            "threshold_irmad": model.threshold_irmad,
            "threshold_cva": model.threshold_cva,
        }
        # Written last: where it is, the rasters are complete.
        content = {
            "aligned": "" if pair.after.folder == after.folder else pair.after.folder.name,
            "roles": list(pair.roles),
            "shift_px": list(pair.shift_px),
            "residual_px": pair.residual_px,
            "clear_share": pair.clear_share,
            "caveats": list(pair.caveats),
            "facts": facts,
        }
        write_json(folder / "change.json", content)
        return Changes(folder, pair, facts)


def _known(county: County, folder: Path, before: Scene, after: Scene) -> Changes | None:
    content = read_json(folder / "change.json")
    if content is None:
        return None
    second = after
    if content["aligned"]:
        aligned = county.workspace.cache / content["aligned"]
        if not (aligned / "scene.json").is_file():
            # The cache was emptied.
            return None
        second = open_scene(aligned)
    shift = content["shift_px"]
    pair = Pair(
        before,
        second,
        tuple(content["roles"]),
        (shift[0], shift[1]),
        content["residual_px"],
        content["clear_share"],
        tuple(content["caveats"]),
    )
    return Changes(folder, pair, content["facts"])
