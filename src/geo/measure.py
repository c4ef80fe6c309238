"""One measurement: two scenes of a workspace become rasters, patches, areas and accuracy.

The rasters are the expensive part. Each is in its place only once complete and
belongs to the inputs whose digest stands in ``inputs.json`` beside it: a second
run over the same inputs finds them and goes on, other inputs start afresh.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from src.errors import InputError
from src.geo.area_bounds import CoverMaps, Ranges, area_ranges
from src.geo.blocks import Runner
from src.geo.caveats import CannotTell
from src.geo.change.confirm import patch_confirmations
from src.geo.change.detect import ChangeModel, fit_change, write_change
from src.geo.change.pairs import Pair, make_pair
from src.geo.cover.classify import write_cover
from src.geo.cover.landcover import LEGEND_VERSION, CoverModel, fit_cover, validate_cover
from src.geo.cover.samples import LabelSource, TrainingSamples, draw_samples
from src.geo.cover.validation import BlockedScores
from src.geo.evidence import METHOD_VERSION, digest, file_digest
from src.geo.label_store import LabelRecord
from src.geo.patches.find import MMU_PX, Patches, label_patches, patch_outlines
from src.geo.patches.record import patch_records
from src.geo.patches.stats import RecordSources
from src.geo.raster import atomic_path
from src.geo.scene import Scene
from src.geo.transition import transition_matrix
from src.geo.workspace import Workspace
from src.geo.zone_overlay import overlay_polygons
from src.geo.zones import read_zone, select_zones

# Global products that a label raster may come from; all else are the county's own labels.
REFERENCE_PRODUCTS = ("worldcover", "dynamic_world", "clcd", "from_glc10", "esri")
_LATER_SCENES = 3
_LISTED_NAMES = 20
_FOLDS = 5


@dataclass(frozen=True)
class Request:
    """What to measure.

    Args:
        before: acquisition date of the earlier scene, ISO.
        after: of the later one.
        zone: name of a zone of the workspace, or a key of ZONE_TYPES; None means the county layer where there is
            one, else all that both scenes show.
        mmu_px: minimum mapping unit in pixels.
        seed: of training samples and networks.
    """

    before: str
    after: str
    zone: str | None = None
    mmu_px: int = MMU_PX
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Cover:
    """Land cover of one date: model, rasters, and how well the model does on land that it has not seen."""

    model: CoverModel
    classes: Path
    probability: Path
    scores: BlockedScores | None
    samples: int


@dataclass(frozen=True, eq=False)
class Measured:
    """All that one measurement found.

    Args:
        pair: both scenes on common ground.
        change: the change model's figures.
        change_map: change.tif.
        zones: layers by kind, as ``read_zone`` gives them.
        area: zone that figures are limited to; None for all.
        covers: of both dates; empty where no land cover can be told.
        matrix: (8, 8) m2, see ``transition_matrix``; None without land cover.
        ranges: of the areas; None without land cover.
        patches: before any limit to a zone.
        records: of the patches in the area.
        caveats: codes that hold for all figures.
    """

    pair: Pair
    change: ChangeModel
    change_map: Path
    zones: dict[str, gpd.GeoDataFrame]
    area: gpd.GeoDataFrame | None
    covers: tuple[Cover, ...]
    matrix: NDArray[np.float64] | None
    ranges: Ranges | None
    patches: Patches
    records: gpd.GeoDataFrame
    caveats: tuple[str, ...]


def measure(workspace: Workspace, request: Request, out: Path, runner: Runner) -> Measured:
    """Measure change, land cover, patches and transitions between two dates.

    Args:
        workspace: with a scene on each date.
        request: what to measure.
        out: folder for the rasters.
        runner: threads or a cluster.

    Raises:
        InputError: no scene on a date, or no such zone; what there is, is told.
        CannotTell: the pair cannot carry the question.
    """
    before, after = (workspace.scene(day) for day in (request.before, request.after))
    zones = load_zones(workspace)
    area = choose_area(zones, request.zone)
    begin(input_digest(workspace, request, before, after), out)
    evidence_id = evidence_digest(workspace, request, before, after)
    pair = make_pair(before, after, workspace.cache, runner)
    model = fit_change(pair, runner)
    change_map = out / "change.tif"
    if not (change_map.exists() and (out / "change_score.tif").exists()):
        write_change(pair, model, runner, out)
    covers, cover_caveats = _covers(workspace, pair, change_map, request.seed, out, runner)
    patches = label_patches(change_map, out / "patches.tif", runner, mmu_px=request.mmu_px)
    matrix, ranges = None, None
    if covers:
        first, second = covers
        maps = CoverMaps(first.classes, second.classes, first.probability, second.probability, change_map)
        matrix = transition_matrix(maps.before, maps.after, change_map, runner, area)
        ranges = area_ranges(maps, runner, area)
    records, confirmed = _records(workspace, pair, patches, covers, zones, area, evidence_id, out, runner)
    caveats = [*pair.caveats, *before.record.caveats, *after.record.caveats, *cover_caveats]
    caveats += [] if confirmed else ["SINGLE_PAIR"]
    caveats += ["BELOW_MMU"] if patches.below.patches else []
    caveats += ["UNCALIBRATED_AREA"] if covers else []
    found = tuple(dict.fromkeys([*caveats, "NEEDS_FIELD_CHECK", "LEGAL_NOT_ASSESSED"]))
    return Measured(pair, model, change_map, zones, area, covers, matrix, ranges, patches, records, found)


def input_digest(workspace: Workspace, request: Request, before: Scene, after: Scene) -> str:
    """SHA-256 of all that decides the rasters and patches: scenes, zones, labels, request, methods."""
    zones = {name: file_digest(path) for name, path in workspace.zones().items()}
    labels = {record.name: record.to_json() for record in workspace.labels()}
    scenes = [before.record.to_json(), after.record.to_json()]
    later = [scene.record.to_json() for scene in _later(workspace, after)]
    methods = {"methods": METHOD_VERSION, "legend": LEGEND_VERSION}
    return digest([scenes, later, zones, labels, vars(request), methods])


def evidence_digest(workspace: Workspace, request: Request, before: Scene, after: Scene) -> str:
    """SHA-256 of all that decides the record: what ``input_digest`` covers, and the sheets of reference samples."""
    sheets = {
        file.name: file_digest(file)
        for path in workspace.samples().values()
        for file in (path, path.with_suffix(".design.json"))
        if file.is_file()
    }
    return digest([input_digest(workspace, request, before, after), sheets])


def begin(key: str, out: Path) -> None:
    """Prepare the folder: what an earlier run made of other inputs is removed.

    Args:
        key: digest of the inputs.
        out: folder of the results.

    Raises:
        InputError: it holds files of our names that no earlier run made; they would be taken for results.
    """
    note = out / "inputs.json"
    ours = [*out.glob("change*.tif"), *out.glob("landcover_*.tif"), *out.glob("patches.*"), *out.glob("chips/*.png")]
    if not note.exists() and ours:
        raise InputError(f"{out}: holds {ours[0].name}, which no earlier analysis made; choose another --out")
    known = json.loads(note.read_text(encoding="utf-8")).get("sha256") if note.exists() else None
    if known == key:
        return
    for path in ours:
        path.unlink()
    with atomic_path(note) as partial:
        partial.write_text(json.dumps({"sha256": key}) + "\n", encoding="utf-8")


def load_zones(workspace: Workspace) -> dict[str, gpd.GeoDataFrame]:
    """All zones of a workspace by kind."""
    layers = [read_zone(path) for path in workspace.zones().values()]
    if not layers:
        return {}
    table = pd.concat(layers, ignore_index=True)
    zones = gpd.GeoDataFrame(table, geometry="geometry", crs=layers[0].crs)
    return {str(kind): group.reset_index(drop=True) for kind, group in zones.groupby("zone_type", sort=True)}


def choose_area(zones: dict[str, gpd.GeoDataFrame], name: str | None) -> gpd.GeoDataFrame | None:
    """The zone that figures are limited to: by name or kind; by default the county.

    Raises:
        InputError: there is no such zone; the names that exist are told.
    """
    if name is None or name in zones:
        return zones.get(name or "county")
    named = [layer for layer in zones.values() if layer["name"].str.contains(name, regex=False).any()]
    if not named:
        names = sorted({str(name) for layer in zones.values() for name in layer["name"]})
        shown = ", ".join(names[:_LISTED_NAMES]) or "none"
        raise InputError(
            f"--zone {name}: no such zone; kinds: {', '.join(zones) or 'none'}; names ({len(names)}): {shown}"
        )
    return select_zones(named[0], name)


def choose_labels(labels: Sequence[LabelRecord], day: str) -> LabelRecord | None:
    """The county's own labels nearest in time, else a reference product, else None."""

    def rank(record: LabelRecord) -> tuple[bool, int, str]:
        away = 10**6
        if record.date:
            known = record.date if len(record.date) == 10 else f"{record.date[:4]}-07-01"
            away = abs((date.fromisoformat(known) - date.fromisoformat(day)).days)
        return record.crosswalk in REFERENCE_PRODUCTS, away, record.name

    return min(labels, key=rank, default=None)


def _covers(
    workspace: Workspace, pair: Pair, change_map: Path, seed: int, out: Path, runner: Runner
) -> tuple[tuple[Cover, ...], list[str]]:
    """Land cover of both dates, or none where numbers are uncalibrated and labels are missing."""
    covers = []
    try:
        for scene in (pair.before, pair.after):
            covers.append(_cover(workspace.labels(), scene, change_map, seed, out, runner))
    except CannotTell as reason:
        return (), [reason.code]
    caveats = [code for cover in covers for code in cover.model.caveats]
    return tuple(covers), caveats


def _cover(
    labels: Sequence[LabelRecord], scene: Scene, change_map: Path, seed: int, out: Path, runner: Runner
) -> Cover:
    day, record = scene.record.date, choose_labels(labels, scene.record.date)
    samples: TrainingSamples | None = None
    exclude = None
    if record is not None:
        reference = record.crosswalk in REFERENCE_PRODUCTS
        source = LabelSource(record.path, record.crosswalk, record.date, record.column, reference=reference)
        # Labels of another day describe ground that may have changed since.
        exclude = None if record.date == day else change_map
        samples = draw_samples(scene, source, runner, seed=seed, exclude=exclude)
    model = fit_cover(scene, samples, runner, seed, exclude)
    classes, probability = out / f"landcover_{day}.tif", out / f"landcover_{day}_probability.tif"
    if not (classes.exists() and probability.exists()):
        write_cover(scene, model, runner, out)
    scores = None
    if samples is not None and len(np.unique(samples.groups)) >= _FOLDS:
        scores = validate_cover(scene, samples, runner, seed, folds=_FOLDS)
    return Cover(model, classes, probability, scores, len(samples) if samples is not None else 0)


def _records(
    workspace: Workspace,
    pair: Pair,
    patches: Patches,
    covers: Sequence[Cover],
    zones: dict[str, gpd.GeoDataFrame],
    area: gpd.GeoDataFrame | None,
    evidence_id: str,
    out: Path,
    runner: Runner,
) -> tuple[gpd.GeoDataFrame, bool]:
    """Records of the patches in the area, and whether any later date could confirm or refute them."""
    outlines = patch_outlines(patches, runner)
    rasters = {}
    if covers:
        first, second = covers
        rasters = {"before_cover": first.classes, "after_cover": second.classes}
        rasters |= {"before_probability": first.probability, "after_probability": second.probability}
    sources = RecordSources(
        change=out / "change.tif",
        score=out / "change_score.tif",
        before_date=pair.before.record.date,
        after_date=pair.after.record.date,
        before_scene=pair.before.record.id,
        after_scene=pair.after.record.id,
        county_code=workspace.code,
        county_name=workspace.name,
        evidence_id=evidence_id,
        **rasters,
    )
    later = _later(workspace, pair.after)
    votes = patch_confirmations(patches, pair.before, pair.after, later, workspace.cache, runner) if later else None
    records = patch_records(patches, outlines, sources, zones, runner, confirmations=votes)
    if area is not None and len(records):
        records = records[overlay_polygons(outlines, area, patches.grid, main=False).area_m2 > 0].reset_index(drop=True)
    return records, votes is not None


def _later(workspace: Workspace, after: Scene) -> list[Scene]:
    """The first scenes after the later date that the same camera took."""
    record = after.record
    found = [
        scene
        for scene in workspace.scenes()
        if scene.record.date > record.date
        and (scene.record.sensor, scene.record.quantity) == (record.sensor, record.quantity)
    ]
    return found[:_LATER_SCENES]
