"""When a change began, and whether it is only the season."""

from typing import Any

from src.assistant.county import County, Progress
from src.assistant.metrics.patches import rows_of
from src.assistant.metrics.spots import Spot, spot_indices, spot_of
from src.assistant.metrics.study import days_between
from src.assistant.query import Query
from src.assistant.record import Evidence, Figure, SceneUse, Table
from src.assistant.scenes import Candidate, comparable, scene_use
from src.geo.onset import Onset, change_onset
from src.geo.series import days_apart, same_season

# Of the ground, more must be changed than not.
_MAJORITY = 0.5


def first_seen(query: Query, county: County, progress: Progress) -> Evidence:
    """Between which clear dates a patch, or the ground at a point, began to look otherwise.

    Args:
        query: ``patch_id``, or ``lon`` and ``lat``.
        county: to measure on.
        progress: is told the steps.

    Returns:
        Figure "period" (days; t1 last unchanged, t2 first changed date), "series" of kind "changed" (share of the
        ground by date). "no_change" where no later date of a like season shows change.

    Raises:
        CannotTell: the scenes cannot be compared.
    """
    spot = spot_of(query, county, progress)
    if isinstance(spot, Evidence):
        return spot
    progress("series", 0.3)
    onset, start = _onset(spot, county), spot.study.dates[0]
    if spot.patch_id is None:
        onset, start = _from_the_start(spot, county)
    figures = _share_figures(onset, spot.patch_id)
    if onset.first_new is None:
        return _history(spot, county, onset, figures, start, status="cannot_tell", reason="no_change")
    days = days_between(onset.last_same, onset.first_new) if onset.last_same else 0
    period = Figure(
        key="onset",
        quantity="period",
        value=days,
        dimension="days",
        t1=onset.last_same,
        t2=onset.first_new,
        patch_id=spot.patch_id,
    )
    return _history(spot, county, onset, [period, *figures], start, cards=("onset",))


def verify(query: Query, county: County, progress: Progress) -> Evidence:
    """Whether a change is only the season: does it show against a date of the same season, and on later dates?

    Args:
        query: ``patch_id``, or ``lon`` and ``lat``.
        county: to measure on.
        progress: is told the steps.

    Returns:
        ``checks["persists"]``: on the pair's second date and all later ones that have a date of a like season before
        the change, most of the ground is changed; absent where there is none. Figures as of ``first_seen``, "index"
        (NDVI) on both dates, "period" of kind "season": days by which the two dates differ in the year.

    Raises:
        CannotTell: the scenes cannot be compared.
    """
    spot = spot_of(query, county, progress)
    if isinstance(spot, Evidence):
        return spot
    progress("series", 0.3)
    onset = _onset(spot, county)
    t1, t2 = spot.study.dates
    later = [look for look in onset.looks if look.date >= t2]
    checks = {"persists": all(look.changed_share > _MAJORITY for look in later)} if later else {}
    season = Figure(
        key="season",
        quantity="period",
        value=round(days_apart(t1, t2)),
        dimension="days",
        kind="season",
        t1=t1,
        t2=t2,
        patch_id=spot.patch_id,
    )
    figures = [*_share_figures(onset, spot.patch_id), season, *spot_indices(spot, county, ("NDVI",))]
    return _history(spot, county, onset, figures, t1, checks=checks)


def _onset(spot: Spot, county: County, unchanged: str | None = None) -> Onset:
    """Looks at all comparable scenes; by default the first date of the pair is the unchanged one."""
    before = spot.study.survey.before
    scenes = [scene for scene in county.scenes() if scene.record.id == before.record.id or comparable(before, scene)]
    day = unchanged or before.record.date
    # Of two scenes of one day the clearer one; of the pair's own day the pair's own.
    best = {scene.record.date: scene for scene in sorted(scenes, key=lambda one: one.record.clear_share)}
    best[before.record.date] = before
    return change_onset(list(best.values()), day, spot.outline, county.workspace.cache, county.runner)


def _from_the_start(spot: Spot, county: County) -> tuple[Onset, str]:
    """The first change since the earliest date: first over the years in one season, then with all dates before it."""
    season = [
        scene.record.date
        for scene in county.scenes()
        if same_season(scene.record.date, spot.study.dates[0]) and comparable(scene, spot.study.survey.before)
    ]
    start = min([*season, spot.study.dates[0]])
    rough = _onset(spot, county, start)
    if rough.first_new is None or rough.last_same in (None, start):
        return rough, start
    return _onset(spot, county, rough.last_same), rough.last_same or start


def _share_figures(onset: Onset, patch_id: str | None) -> list[Figure]:
    return [
        Figure(
            key=f"share.{look.date}",
            quantity="series",
            value=round(look.changed_share, 6),
            dimension="share",
            kind="changed",
            t1=look.reference,
            t2=look.date,
            patch_id=patch_id,
        )
        for look in onset.looks[1:]
    ]


def _history(spot: Spot, county: County, onset: Onset, figures: list[Figure], start: str, **more: Any) -> Evidence:
    """The record of a question about history: every date that was compared, the others left out."""
    study = spot.study
    used = {look.date for look in onset.looks} | {look.reference for look in onset.looks}
    uses: list[SceneUse] = []
    for scene in county.scenes():
        day = scene.record.date
        if day in used:
            uses.append(scene_use(Candidate(scene, scene.record.clear_share), True, "series"))
        elif day in onset.left_out:
            alike = any(same_season(day, other) for other in used if other <= start)
            why = "cloudy" if alike else "season"
            uses.append(scene_use(Candidate(scene, scene.record.clear_share), False, why))
    table = Table(
        name="series",
        columns=("date", "compared with", "changed"),
        rows=tuple((look.date, look.reference, f"share.{look.date}") for look in onset.looks[1:]),
    )
    rows: dict[str, Any] = {}
    if spot.patch_id is not None:
        rows["patches"] = rows_of(study, spot.table)
    single = ("SINGLE_PAIR",) if len(onset.looks) < 3 else ()
    season = () if same_season(*study.dates) else ("SEASON_MISMATCH",)
    return Evidence(
        query=study.query,
        t1=study.asked[0],
        t2=study.asked[1],
        place=spot.patch_id or study.place.name,
        scenes=tuple(uses),
        figures=tuple(figures),
        tables=(table,),
        caveats=(*season, *single, "NEEDS_FIELD_CHECK", "LEGAL_NOT_ASSESSED"),
        method=study.method(classes=False),
        survey=study.survey.folder.name,
        **rows,
        **more,
    )
