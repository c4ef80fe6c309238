"""One measured pair of scenes: each stage is made when a question first needs it, and kept.

    survey = Survey(county, before, after, progress)
    survey.flows(county.place(None))         # areas of both dates, gain, loss, transitions, with their doubt
    survey.records()                         # patches with all their fields

The folder of a survey is named by its dates and the digest of its inputs. Every
file in it appears at once when complete, so a run that was killed goes on where
it was, and two askers at a time do no work twice.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import geopandas as gpd

from src.assistant.changes import Changes, changes_of, locked, read_json, scene_key, short, write_json
from src.assistant.county import County, Place, Progress, no_progress
from src.assistant.covers import SceneCover, cover_of, learn
from src.errors import MissingPathError
from src.geo.area_bounds import CoverMaps
from src.geo.caveats import CannotTell
from src.geo.cover.classify import ChangedOnly
from src.geo.flows import Flows, flow_areas
from src.geo.patches.export import LAYER, write_patches
from src.geo.patches.fields import FIELDS
from src.geo.patches.find import MMU_PX, Extent, label_patches, patch_outlines
from src.geo.patches.record import patch_records
from src.geo.patches.stats import RecordSources
from src.geo.scene import Scene, open_scene
from src.geo.vector import read_vector

MMU_PIXELS = MMU_PX


@dataclass(frozen=True)
class PatchCounts:
    """How much change there is before and below the sieve.

    Args:
        changed: all of it.
        below: what is smaller than the minimum mapping unit.
    """

    changed: Extent
    below: Extent


@dataclass(frozen=True, eq=False)
class Survey:
    """A pair of scenes of a county.

    Args:
        county: whose scenes they are.
        before: earlier scene, as ingested.
        after: later scene, as ingested.
        progress: is told the steps.
    """

    county: County
    before: Scene
    after: Scene
    progress: Progress = no_progress

    @cached_property
    def folder(self) -> Path:
        """Where the results lie, below the workspace's outputs."""
        workspace = self.county.workspace
        zones = {name: file["sha256"] for name, file in self.county.zone_files().items()}
        labels = [record.to_json() for record in workspace.labels()]
        place = [workspace.name, workspace.code]
        name = short([scene_key(self.before), scene_key(self.after), zones, labels, place, MMU_PIXELS])
        return workspace.outputs / f"{self.dates[0]}_{self.dates[1]}_{name}"

    @property
    def dates(self) -> tuple[str, str]:
        """Acquisition dates, ISO."""
        return self.before.record.date, self.after.record.date

    @cached_property
    def changes(self) -> Changes:
        """Change rasters; raises CannotTell where the two cannot be compared."""
        found = changes_of(self.county, self.before, self.after, self.progress)
        self._note()
        return found

    @cached_property
    def learned(self) -> tuple[SceneCover, SceneCover]:
        """How both dates are classified, without the rasters.

        Raises:
            CannotTell: land cover cannot be told, or see ``changes``.
        """
        pair = self.changes.pair
        with ThreadPoolExecutor(2) as pool:
            first, second = pool.map(partial(_learn, self.county, self.progress), (pair.before, pair.after))
        return first, second

    @cached_property
    def covers(self) -> tuple[SceneCover, SceneCover]:
        """Land cover of both dates, on one grid; unchanged ground has that of the earlier one on both.

        Raises:
            CannotTell: see ``learned``.
        """
        first, second = (learned.scene for learned in self.learned)
        before = cover_of(self.county, first, self.progress)
        only = ChangedOnly(self.changes.change, (before.map, before.probability))
        return before, cover_of(self.county, second, self.progress, only)

    @cached_property
    def changed_covers(self) -> tuple[SceneCover, SceneCover]:
        """Land cover of both dates where a change was found, which is all that patches need; elsewhere there is none.

        Raises:
            CannotTell: see ``learned``.
        """
        only = ChangedOnly(self.changes.change)
        first, second = (cover_of(self.county, learned.scene, self.progress, only) for learned in self.learned)
        return first, second

    @property
    def maps(self) -> CoverMaps:
        """Rasters of both covers and the change."""
        first, second = self.covers
        return CoverMaps(first.map, second.map, first.probability, second.probability, self.changes.change)

    @property
    def pixel_m2(self) -> float:
        """Area of a pixel, about."""
        return self.before.record.pixel_m**2

    def flows(self, place: Place) -> Flows:
        """States, gains, losses and transitions in a place.

        Raises:
            CannotTell: see ``changes`` and ``covers``.
            GridError: the place lies outside the scenes.
        """
        path = self.folder / "areas" / f"{place.key[:24]}.json"
        known = read_json(path)
        if known is None:
            maps = self.maps
            self.progress("areas", 0.8)
            found = flow_areas(maps, self.county.runner, place.outline)
            write_json(path, found.to_json())
            return found
        return Flows.from_json(known)

    def counts(self) -> PatchCounts:
        """Change before and below the sieve; raises CannotTell as ``changes``."""
        self.records()
        known = read_json(self.folder / "patches.json")
        assert known is not None
        return PatchCounts(Extent(**known["changed"]), Extent(**known["below"]))

    def records(self) -> gpd.GeoDataFrame:
        """Patches of the whole scene as ``patch_records`` gives them; kept as patches.gpkg. Do not change the table.

        Without land cover their classes are unknown. Raises CannotTell as ``changes``.
        """
        return self._records

    @cached_property
    def _records(self) -> gpd.GeoDataFrame:
        path = self.folder / "patches.gpkg"
        if not (path.is_file() and (self.folder / "patches.json").is_file()):
            changes = self.changes
            with locked(self.folder):
                if not (path.is_file() and (self.folder / "patches.json").is_file()):
                    self._find_patches(changes, path)
        return _typed(read_vector(path, LAYER))

    def _find_patches(self, changes: Changes, path: Path) -> None:
        runner, workspace = self.county.runner, self.county.workspace
        rasters: dict[str, Path] = {}
        try:
            first, second = self.changed_covers
            rasters = {"before_cover": first.map, "after_cover": second.map}
            rasters |= {"before_probability": first.probability, "after_probability": second.probability}
        except CannotTell:
            # Spectral change alone: patches without classes.
            pass
        self.progress("patches", 0.8)
        patches = label_patches(changes.change, self.folder / "patches.tif", runner, mmu_px=MMU_PIXELS)
        outlines = patch_outlines(patches, runner)
        sources = RecordSources(
            change=changes.change,
            score=changes.score,
            before_date=self.dates[0],
            after_date=self.dates[1],
            before_scene=self.before.record.id,
            after_scene=self.after.record.id,
            county_code=workspace.code,
            county_name=workspace.name,
            evidence_id=self.folder.name,
            **rasters,
        )
        self.progress("zones", 0.9)
        records = patch_records(patches, outlines, sources, self.county.zones(), runner)
        write_patches(records, self.folder, "patches", ("gpkg",))
        content = {"changed": vars(patches.changed), "below": vars(patches.below)}
        write_json(self.folder / "patches.json", content)

    def _note(self) -> None:
        """Write down which scenes the folder is about."""
        path = self.folder / "survey.json"
        if not path.is_file():
            write_json(path, {"before": self.before.record.id, "after": self.after.record.id})


def open_survey(county: County, name: str, progress: Progress = no_progress) -> Survey:
    """The survey of an evidence's ``survey``.

    Args:
        county: that it was measured on.
        name: of the folder below the workspace's outputs.
        progress: is told the steps.

    Raises:
        MissingPathError: there is no such survey, or one of its scenes is gone.
    """
    root = county.workspace.outputs.resolve()
    folder = (root / name).resolve()
    known = read_json(folder / "survey.json") if folder.parent == root else None
    if known is None:
        raise MissingPathError(f"{name}: no such survey; ask the question again")
    scenes = county.workspace.root / "scenes"
    return Survey(county, open_scene(scenes / known["before"]), open_scene(scenes / known["after"]), progress)


def _learn(county: County, progress: Progress, scene: Scene) -> SceneCover:
    return learn(county, scene, progress)


def _typed(records: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
    """Blank texts, which come back from the file as missing, are "" again."""
    texts: dict[str, Any] = {field.name: "" for field in FIELDS if field.kind == "text"}
    return records.fillna(texts)
