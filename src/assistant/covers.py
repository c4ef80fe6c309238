"""Land cover of one scene, learned and classified once and kept, whichever questions and pairs need it."""

import math
from dataclasses import dataclass, replace
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from src.assistant.changes import locked, read_json, scene_key, short, write_json
from src.assistant.county import County, Place, Progress, season_days
from src.geo.blocks import Block, blocks_of
from src.geo.caveats import CannotTell
from src.geo.change.detect import MIN_FIT_PIXELS, fit_pixels, lattice_step, write_change
from src.geo.change.pairs import SEASON_DAYS, Pair, common_roles, sensor_caveats
from src.geo.cover.classify import ChangedOnly, write_cover
from src.geo.cover.folds import blocked_scores, fit_scored_cover
from src.geo.cover.landcover import LEGEND_VERSION, fit_cover, load_cover, save_cover
from src.geo.cover.samples import LabelSource, draw_samples
from src.geo.cover.validation import BlockedScores
from src.geo.flows import StateAreas, state_areas
from src.geo.label_store import LabelRecord
from src.geo.measure import REFERENCE_PRODUCTS, choose_labels
from src.geo.scene import Scene

# Labels of a day this far from a scene describe its ground; beyond it, what changed since is left out of training.
SAME_STATE_DAYS = 45
# A scene this near to the labels shows the ground as labelled. It must be of the season of the scene to classify:
# across seasons most of what looks changed is crops, and leaving those out would leave the fields out.
LABEL_SCENE_DAYS = 180
_SEED = 0
# Pixels that the sieve for training pixels is fitted to, about.
_SIEVE_PIXELS = 60_000


@dataclass(frozen=True, eq=False)
class SceneCover:
    """Land cover of one date.

    Args:
        scene: that was classified.
        folder: holds cover.json and model.npz.
        maps: folder of the rasters.
        route: "labels", "reference" or "rules".
        label_source: file name of the labels, "" for rules.
        label_date: what they describe, "" where nobody said.
        samples: labelled pixels that it was fitted to.
        classes: ids in the order of the confusion, () without one.
        fold_confusion: (folds, C, C) weights of held-out pixels by predicted and true class; None without labels.
        caveats: codes.
    """

    scene: Scene
    folder: Path
    maps: Path
    route: str
    label_source: str
    label_date: str
    samples: int
    classes: tuple[int, ...]
    fold_confusion: NDArray[np.float64] | None
    caveats: tuple[str, ...]

    @property
    def map(self) -> Path:
        """Class ids, uint8."""
        return self.maps / f"landcover_{self.scene.record.date}.tif"

    @property
    def probability(self) -> Path:
        """Percent of each class, seven uint8 bands."""
        return self.maps / f"landcover_{self.scene.record.date}_probability.tif"

    @property
    def scores(self) -> BlockedScores | None:
        """Accuracy on land held out."""
        return None if self.fold_confusion is None else blocked_scores(self.classes, self.fold_confusion)

    def state(self, county: County, place: Place) -> StateAreas:
        """Areas of the classes in a place; measured once.

        Raises:
            GridError: the place lies outside the scene.
        """
        path = self.maps / f"state_{place.key[:16]}.json"
        known = read_json(path)
        if known is None:
            found = state_areas(self.map, self.probability, county.runner, place.outline)
            known = {"count": found.count.tolist(), "expected": found.expected.tolist()}
            write_json(path, known)
        return StateAreas(np.array(known["count"]), np.array(known["expected"]))


def cover_of(county: County, scene: Scene, progress: Progress, only: ChangedOnly | None = None) -> SceneCover:
    """Classify a scene, or take what was classified before.

    Args:
        county: whose scene it is.
        scene: as ingested, or as aligned to another.
        progress: is told the steps.
        only: which ground to classify; default all of the scene.

    Raises:
        CannotTell: uncalibrated numbers without labels, or too few classes among the labels.
    """
    cover = learn(county, scene, progress)
    if only is not None:
        cover = replace(cover, maps=cover.folder.with_name(_restricted(cover.folder.name, only)))
    # Written last: where it is, the rasters are complete.
    note = cover.maps / "maps.json"
    if not note.is_file():
        with locked(cover.maps):
            if not note.is_file():
                write_cover(scene, load_cover(cover.folder / "model.npz"), county.runner, cover.maps, only)
                write_json(note, {"earlier": only.earlier[0].parent.name} if only and only.earlier else {})
    return cover


def _restricted(name: str, only: ChangedOnly) -> str:
    """Folder of rasters that do not hold a scene's cover everywhere."""
    if only.earlier is None:
        return f"changed_{name}_{short([only.change.parent.name])}"
    return f"{name}_since_{short([only.earlier[0].parent.name, only.change.parent.name])}"


def learn(county: County, scene: Scene, progress: Progress) -> SceneCover:
    """How to classify a scene, without the rasters, or what was learned before.

    Labels of about the same day describe the scene's ground. Of other labels, pixels that changed between the scene
    nearest to the labels and this one are left out, so that the map of a scene is the same whatever it is compared to.

    Args:
        county: whose scene it is.
        scene: as ingested, or as aligned to another.
        progress: is told the steps.

    Raises:
        CannotTell: uncalibrated numbers without labels, or too few classes among the labels.
    """
    record = choose_labels(county.workspace.labels(), scene.record.date)
    reference = None if record is None else _label_scene(county, record, scene)
    content = [scene_key(scene), None if record is None else record.to_json(), LEGEND_VERSION]
    content += [None if reference is None else scene_key(reference)]
    folder = county.workspace.outputs / f"cover_{scene.record.date}_{short(content)}"
    if not (folder / "cover.json").is_file():
        with locked(folder):
            if not (folder / "cover.json").is_file():
                _learn(county, scene, record, reference, folder, progress)
    known = read_json(folder / "cover.json")
    assert known is not None
    return _cover(scene, folder, known)


def _label_scene(county: County, record: LabelRecord, scene: Scene) -> Scene | None:
    """The scene that shows the ground as labelled, if it lies far from this one in time; None where none is near."""
    if not record.date or _days(_day(record.date), scene.record.date) <= SAME_STATE_DAYS:
        return None
    wanted = _day(record.date)
    alike = [
        one
        for one in county.scenes()
        if one.record.quantity == scene.record.quantity
        and season_days(one.record.date, scene.record.date) <= SEASON_DAYS
        and one.record.date != scene.record.date
        and _days(one.record.date, wanted) <= LABEL_SCENE_DAYS
    ]
    return min(alike, key=lambda one: (_days(one.record.date, wanted), -one.record.clear_share), default=None)


def _learn(
    county: County, scene: Scene, record: LabelRecord | None, reference: Scene | None, folder: Path, progress: Progress
) -> None:
    runner = county.runner
    progress("cover", 0.4)
    content: dict[str, Any] = {"label_source": "", "label_date": "", "samples": 0, "classes": [], "folds": None}
    if record is None:
        model = fit_cover(scene, None, runner, _SEED)
    else:
        exclude = None if reference is None else _changed_since(county, reference, scene, folder)
        product = record.crosswalk in REFERENCE_PRODUCTS
        source = LabelSource(record.path, record.crosswalk, record.date, record.column, reference=product)
        samples = draw_samples(scene, source, runner, seed=_SEED, exclude=exclude)
        scored = fit_scored_cover(scene, samples, runner, _SEED)
        model = scored.model
        content |= {"label_source": record.path.name, "label_date": record.date or "", "samples": len(samples)}
        content["classes"] = list(model.classes)
        content["folds"] = None if scored.fold_confusion is None else scored.fold_confusion.tolist()
    save_cover(folder / "model.npz", model)
    content |= {"route": model.route, "caveats": list(model.caveats)}
    write_json(folder / "cover.json", content)


def _changed_since(county: County, reference: Scene, scene: Scene, folder: Path) -> Path | None:
    """Change raster between the labelled state and the scene; None where the two cannot be compared.

    A sieve for training pixels, no measurement: it is fitted to fewer pixels than the change of a pair, and the two
    are taken as they lie.
    """
    first, second = sorted((reference, scene), key=lambda one: one.record.date)
    if not first.grid.same_as(second.grid):
        return None
    try:
        sensor_caveats(first, second)
        pair = Pair(first, second, common_roles(first, second), (0.0, 0.0), None, 1.0, ())
        step = max(lattice_step(first.grid.shape_hw), math.isqrt(math.prod(first.grid.shape_hw) // _SIEVE_PIXELS))
        parts = list(county.runner.map(partial(_lattice, pair, max(1, step)), blocks_of(first.grid.shape_hw)))
        x, y = (np.concatenate([part[date] for part in parts], axis=1) for date in (0, 1))
        if x.shape[1] < MIN_FIT_PIXELS:
            return None
        write_change(pair, fit_pixels(x, y), county.runner, folder)
    except CannotTell:
        return None
    return folder / "change.tif"


def _lattice(pair: Pair, step: int, block: Block) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(p, n) bands of both dates on every ``step``-th valid pixel of a block's rows and columns."""
    x, y, valid = pair.read(block)
    chosen = valid[::step, ::step]
    return x[:, ::step, ::step][:, chosen], y[:, ::step, ::step][:, chosen]


def _cover(scene: Scene, folder: Path, known: dict[str, Any]) -> SceneCover:
    return SceneCover(
        scene,
        folder,
        folder,
        known["route"],
        known["label_source"],
        known["label_date"],
        known["samples"],
        tuple(known["classes"]),
        None if known["folds"] is None else np.array(known["folds"]),
        tuple(known["caveats"]),
    )


def _day(text: str) -> str:
    """A label date, which may be a year alone, as a day."""
    return text if len(text) == len("2024-01-01") else f"{text[:4]}-07-01"


def _days(one: str, other: str) -> int:
    return abs((date.fromisoformat(one) - date.fromisoformat(other)).days)
