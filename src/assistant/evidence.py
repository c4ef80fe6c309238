"""From a query to measured evidence: one function for each metric, and the cache of what they found.

    evidence = gather(parse("2024年新增耕地面积是多少？", as_of=day), County(workspace, runner, day))

The same question over the same data is answered from the cache: the key is the
digest of the query and of all inputs (records of scenes and labels, hashes of
zone files and sample sheets), which costs milliseconds to make. What people
decided about patches since then is added to what was cached.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from src.assistant.changes import write_text
from src.assistant.county import STEPS, County, Progress, UnknownZone, no_progress
from src.assistant.metrics import areas, compare, meta, overlap, pairs, patches, places, series, words
from src.assistant.periods import answerable_periods, from_first_image, nearest_first
from src.assistant.query import Query
from src.assistant.reading.fill import STATES
from src.assistant.record import Evidence
from src.assistant.review import ReviewLog
from src.assistant.scenes import NoScene
from src.constants import LAND_CLASSES
from src.errors import GridError
from src.geo.caveats import CannotTell
from src.geo.evidence import digest
from src.geo.zones import ZONE_TYPES

__all__ = ["METRIC_FUNCS", "STEPS", "County", "Metric", "Progress", "gather"]
Metric = Callable[[Query, County, Progress], Evidence]
# Fields that change how an answer is said, not what is measured.
_SAID_ONLY = ("unit", "source", "formats", "status")
_WORDS = frozenset({"clarify", "refuse", "unsupported", "describe"})
_NOT_CACHED = _WORDS | {"convert", "explain_diff"}
_ABOUT_ZONES = frozenset({"NO_ZONE_LAYER", "NOT_IN_TOWN"})
# A later measurement may find the patch.
_NOT_YET = frozenset({"no_patch", "need_patch"})


def rank(query: Query, county: County, progress: Progress) -> Evidence:
    """Towns, villages or classes in order of a flow or a state; without ``group_by``, patches by area."""
    if query.group_by not in ("town", "village", "class"):
        return patches.rank_patches(query, county, progress)
    flows = query.t1 is not None or query.t2 is None or query.from_cls or query.to_cls
    return (pairs.rank_places if flows else areas.rank_states)(query, county, progress)


METRIC_FUNCS: dict[str, Metric] = {
    "area_at": areas.area_at,
    "share_at": areas.share_at,
    "presence": areas.presence,
    "gain": pairs.gain,
    "loss": pairs.loss,
    "net": pairs.net,
    "transition": pairs.transition,
    "matrix": pairs.matrix,
    "structure": pairs.structure,
    "rate": pairs.rate,
    "patches": patches.patches,
    "count": patches.patches,
    "overlap": overlap.overlap,
    "rank": rank,
    "trend": series.trend,
    "extreme_interval": series.extreme_interval,
    "index_mean": series.index_mean,
    "abandoned": series.abandoned,
    "special": places.special,
    "first_seen": places.first_seen,
    "verify": places.verify,
    "point": places.point,
    "patch_detail": places.patch_detail,
    "convert": words.convert,
    "explain_diff": words.explain_diff,
    "accuracy": meta.accuracy,
    "provenance": meta.provenance,
    "export": meta.patch_list,
    "review": meta.patch_list,
}
METRIC_FUNCS["compare"] = partial(compare.compare, metrics=METRIC_FUNCS)


def gather(query: Query, county: County, progress: Progress | None = None) -> Evidence:
    """Measure what a query asks for.

    Args:
        query: from ``parse`` or ``choose``.
        county: to measure on.
        progress: is told the steps of STEPS.

    Returns:
        Evidence; "cannot_tell" with the reason and what there is where the data do not carry the question.
    """
    if query.metric in _WORDS:
        return _asked_back(query, county)
    tell = progress or no_progress
    inputs = county.inputs()
    path = county.workspace.outputs / "answers" / f"{_key(query, inputs)}.json"
    evidence = None if query.metric in _NOT_CACHED else _cached(path, query)
    if evidence is None:
        evidence = _measured(query, county, tell).model_copy(update={"inputs": inputs})
        if query.metric not in _NOT_CACHED and evidence.reason not in _NOT_YET:
            write_text(path, evidence.model_dump_json())
    tell("done", 1.0)
    return _reviewed(evidence, county)


def _measured(query: Query, county: County, progress: Progress) -> Evidence:
    """The metric's evidence, or why there is none."""
    stopped = Evidence(query=query, status="cannot_tell", t1=query.t1, t2=query.t2)
    try:
        found = METRIC_FUNCS[query.metric](query, county, progress)
        merged = query.reason == "merged" and found.status == "measured" and "LEGEND_MERGED" not in found.caveats
        return found.model_copy(update={"caveats": (*found.caveats, "LEGEND_MERGED")}) if merged else found
    except UnknownZone as error:
        update: dict[str, Any] = {
            "status": "words",
            "reason": "unknown_zone",
            "detail": (error.name,),
            "choices": error.choices,
        }
        return stopped.model_copy(update=update)
    except NoScene as error:
        return stopped.model_copy(update=_without_scene(query, county, error))
    except CannotTell as error:
        zone = ZONE_TYPES.get(error.detail) if error.code in _ABOUT_ZONES else None
        detail = () if zone is None else (zone.zh if query.lang == "zh" else zone.en,)
        method = {"found": error.detail}
        return stopped.model_copy(update={"reason": error.code, "detail": detail, "method": method})
    except GridError as error:
        return stopped.model_copy(update={"reason": "outside", "method": {"found": str(error)}})


def _without_scene(query: Query, county: County, error: NoScene) -> dict[str, Any]:
    """Why no image carries the question, and what can be asked instead."""
    begin = None if query.metric in STATES else from_first_image(query, county)
    if begin is not None:
        return {"reason": "images_begin", "detail": (begin[0],), "choices": begin[1]}
    choices = nearest_first(county.known().dates, query.t2)
    return {"reason": error.reason, "scenes": error.looked_at, "choices": choices}


def _asked_back(query: Query, county: County) -> Evidence:
    """What is asked back or declined, with what the asker can choose from."""
    known = county.known()
    choices: tuple[str, ...] = ()
    if query.reason in ("need_period", "need_t1", "future"):
        choices = nearest_first(known.dates, None) if query.wanted in STATES else answerable_periods(query, county)
    elif query.reason == "need_class":
        choices = tuple(LAND_CLASSES.values())
    elif query.reason in ("need_zone", "unknown_zone"):
        wanted = query.zone.type if query.zone is not None else None
        choices = tuple(name for kind, names in known.zones.items() if kind == (wanted or kind) for name in names)
    return Evidence(query=query, status="words", reason=query.reason, choices=choices)


def _key(query: Query, inputs: str) -> str:
    content = {name: value for name, value in query.to_json().items() if name not in _SAID_ONLY}
    return digest([content, inputs])[:40]


def _cached(path: Path, query: Query) -> Evidence | None:
    try:
        found = Evidence.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None
    return found.model_copy(update={"query": query})


def _reviewed(evidence: Evidence, county: County) -> Evidence:
    """With the state that people gave each patch."""
    if not evidence.patches or not (county.workspace.root / "reviews.sqlite").is_file():
        return evidence
    states = ReviewLog(county.workspace.root).states()
    rows = [row.model_copy(update={"status": states.get(row.id, row.status)}) for row in evidence.patches]
    return evidence.model_copy(update={"patches": tuple(rows)})
