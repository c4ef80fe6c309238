"""The ground that a question about one place is about: a patch that was measured before, or a spot around a point."""

from dataclasses import dataclass
from typing import Any

import geopandas as gpd
import pyproj

from src.assistant.county import County, Place, Progress
from src.assistant.metrics.patches import patch_table
from src.assistant.metrics.study import PairStudy
from src.assistant.query import Query
from src.assistant.record import Evidence, Figure
from src.assistant.scenes import Candidate, candidates, pick_latest_pair, scene_use
from src.assistant.survey import Survey, open_survey
from src.errors import MissingPathError
from src.geo.cover.indices import INDICES
from src.geo.scene import Scene
from src.geo.series import index_series

# Around a point whose history is asked for: a few pixels.
SPOT_M = 30.0


@dataclass(frozen=True, eq=False)
class Spot:
    """The ground that a question about history is about.

    Args:
        outline: of the patch, or a disc.
        patch_id: number of the patch; None for a point.
        study: the pair that shows the change; for a point, the latest one.
        table: record of the patch as ``patch_table`` gives it; empty for a point.
    """

    outline: gpd.GeoDataFrame
    patch_id: str | None
    study: PairStudy
    table: gpd.GeoDataFrame


def find_patch(county: County, patch_id: str, progress: Progress) -> Survey | None:
    """The measured pair that has a patch of this number, the latest one; None where none has.

    Args:
        county: whose pairs are looked through.
        patch_id: TBBH.
        progress: is told the steps of what that pair still lacks.
    """
    folders = [path.parent for path in county.workspace.outputs.glob("*/survey.json")]
    for folder in sorted(folders, key=lambda path: (path.stat().st_mtime, path.name), reverse=True):
        try:
            survey = open_survey(county, folder.name, progress)
        except MissingPathError:
            continue
        # A pair whose zones or labels were replaced since has another folder.
        current = survey.folder.name == folder.name and (folder / "patches.gpkg").is_file()
        if current and (survey.records()["TBBH"] == patch_id).any():
            return survey
    return None


def spot_of(query: Query, county: County, progress: Progress) -> Spot | Evidence:
    """The ground that is asked about, or the answer that there is none."""
    progress("scenes", 0.0)
    if query.patch_id is not None:
        survey = find_patch(county, query.patch_id, progress)
        if survey is not None:
            study = _study_of(query, county, survey)
            table = patch_table(study)
            # Patches that kept their class are among the records, but no answer lists them.
            table = table[table["TBBH"] == query.patch_id]
            if len(table):
                return Spot(table[["geometry"]].reset_index(drop=True), query.patch_id, study, table)
        missing: dict[str, Any] = {"reason": "no_patch", "next_step": "check_number", "detail": (query.patch_id,)}
        return Evidence(query=query, status="cannot_tell", **missing)
    if query.lon is None or query.lat is None:
        return Evidence(query=query, status="words", reason="need_patch")
    if not any(reaches(scene, query.lon, query.lat) for scene in county.scenes()):
        return Evidence(query=query, status="cannot_tell", reason="outside")
    asked = query.changed(radius_m=query.radius_m or SPOT_M, zone={"type": "point"})
    place = county.place(asked.zone, asked)
    assert place.outline is not None
    before, after, uses = pick_latest_pair(candidates(county, place), query.t2)
    study = PairStudy(asked, county, place, Survey(county, before, after, progress), uses, (query.t1, query.t2))
    return Spot(place.outline, None, study, gpd.GeoDataFrame())


def _study_of(query: Query, county: County, survey: Survey) -> PairStudy:
    """A measured pair over all that its scenes show."""
    uses = tuple(
        scene_use(Candidate(scene, scene.record.clear_share), True, "nearest")
        for scene in (survey.before, survey.after)
    )
    return PairStudy(query, county, Place("county", "", None, "scene"), survey, uses, (None, None))


def reaches(scene: Scene, lon: float, lat: float) -> bool:
    """Whether a point lies in a scene's frame."""
    to_scene = pyproj.Transformer.from_crs(4490, scene.grid.crs, always_xy=True)
    column, row = ~scene.grid.transform @ to_scene.transform(lon, lat)
    height, width = scene.grid.shape_hw
    return bool(0 <= column < width and 0 <= row < height)


def spot_indices(spot: Spot, county: County, names: tuple[str, ...]) -> list[Figure]:
    """Indices of the ground on both dates of the pair, where the scenes have the bands."""
    pair = spot.study.survey.changes.pair
    scenes, figures = [pair.before, pair.after], []
    if any(scene.record.quantity == "dn" for scene in scenes):
        return []
    for name in names:
        if not all(set(INDICES[name].roles) <= set(scene.roles) for scene in scenes):
            continue
        for one in index_series(scenes, name, spot.outline, county.workspace.cache, county.runner):
            if one.seen_share > 0:
                figures.append(
                    Figure(
                        key=f"index.{name}.{one.date}",
                        quantity="index",
                        value=one.mean,
                        dimension="index",
                        kind=name,
                        t2=one.date,
                        patch_id=spot.patch_id,
                    )
                )
    return figures
