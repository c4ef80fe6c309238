"""About the measurement itself: how accurate the land cover is, and which scenes were used."""

import math
from typing import Any

import numpy as np
from scipy import stats

from src.assistant.county import County, Progress
from src.assistant.covers import SceneCover, learn
from src.assistant.metrics.patches import patch_table, rows_of
from src.assistant.metrics.study import (
    classifier,
    study_pair,
    study_state,
    unit_figures,
)
from src.assistant.query import Query
from src.assistant.record import Evidence, Figure, Table
from src.assistant.scenes import NoScene
from src.constants import LAND_CLASSES
from src.geo.cover.validation import BlockedScores


def accuracy(query: Query, county: County, progress: Progress) -> Evidence:
    """Accuracy of the land cover on land held out: overall, kappa, by class, and the confusion matrix."""
    covers, scenes, asked, survey, place = _covers(query, county, progress)
    scored = [cover for cover in covers if cover.scores is not None]
    if not scored:
        return Evidence(query=query, status="cannot_tell", reason="no_labels", scenes=scenes, place=place)
    figures: list[Figure] = []
    tables = []
    for cover in scored:
        found, table = _accuracy(cover)
        figures += found
        tables.append(table)
    return Evidence(
        query=query,
        t1=asked[0],
        t2=asked[1],
        place=place,
        scenes=scenes,
        figures=tuple(figures),
        cards=tuple(one.key for one in figures if one.kind in ("overall", "kappa")),
        tables=tuple(tables),
        caveats=tuple(dict.fromkeys(code for cover in covers for code in cover.caveats)),
        method={"classifier": classifier(covers), "validation": "spatially blocked, 5 folds"},
        survey=survey,
    )


def provenance(query: Query, county: County, progress: Progress) -> Evidence:
    """The scenes of a pair (of a single day where no pair can be made), and those left out."""
    try:
        study = study_pair(query, county, progress, window=True)
    except NoScene:
        state = study_state(query, county, progress)
        figures = unit_figures(state.scene.record.pixel_m**2, None, state.scene.record.date)
        return Evidence(
            query=query,
            t2=state.asked,
            place=state.place.name,
            scenes=state.scenes,
            figures=tuple(figures),
            caveats=state.scene.record.caveats,
        )
    return study.record(
        [],
        ["seen"],
        caveats=study.survey.changes.pair.caveats,
        method=study.method(classes=False),
        basics_of_classes=False,
    )


def patch_list(query: Query, county: County, progress: Progress) -> Evidence:
    """The patches that an export or a review is about: of the asked period, else of the latest pair."""
    study = study_pair(query, county, progress, window=True)
    table = patch_table(study, before=query.from_cls, after=query.to_cls or query.cls)
    return study.record(
        [
            Figure(
                key="patches.count",
                quantity="patches",
                value=len(table),
                dimension="count",
                t1=study.dates[0],
                t2=study.dates[1],
            )
        ],
        ["patches.count"],
        patches=rows_of(study, table),
        caveats=study.caveats(classes=False),
        method=study.method(classes=False),
        basics_of_classes=False,
    )


def _covers(query: Query, county: County, progress: Progress) -> tuple[list[SceneCover], Any, Any, str, str]:
    """Covers of the dates that the query means, with scenes, asked days, folder and place."""
    if query.t1 is not None:
        try:
            study = study_pair(query, county, progress)
            return list(study.survey.learned), study.scenes, study.asked, study.survey.folder.name, study.place.name
        except NoScene:
            pass
    state = study_state(query, county, progress)
    cover = learn(county, state.scene, progress)
    return [cover], state.scenes, (None, state.asked), cover.folder.name, state.place.name


def _accuracy(cover: SceneCover) -> tuple[list[Figure], Table]:
    scores = cover.scores
    assert scores is not None
    day, measures = cover.scene.record.date, scores.measures
    common: dict[str, Any] = {"quantity": "accuracy", "t2": day}
    low, high = _interval(scores)
    figures = [
        Figure(
            key=f"overall.{day}",
            value=measures.overall,
            dimension="share",
            kind="overall",
            bounds=(min(low, measures.overall), max(high, measures.overall)),
            bounds_kind="range",
            **common,
        )
    ]
    if measures.kappa is not None:
        figures.append(Figure(key=f"kappa.{day}", value=measures.kappa, dimension="index", kind="kappa", **common))
    figures.append(Figure(key=f"samples.{day}", quantity="samples", value=cover.samples, dimension="count", t2=day))
    names = [LAND_CLASSES[code] for code in scores.classes]
    for kind, values in (("user", measures.users), ("producer", measures.producers), ("f1", measures.f1)):
        for name, value in zip(names, values, strict=True):
            if value is not None and not math.isnan(value):
                figures.append(
                    Figure(
                        key=f"{kind}.{name}.{day}", value=float(value), dimension="share", kind=kind, cls=name, **common
                    )
                )
    rows = []
    shares = scores.confusion / scores.confusion.sum()
    for mapped, line in zip(names, shares, strict=True):
        cells = []
        for true, share in zip(names, line, strict=True):
            key = f"confusion.{mapped}.{true}.{day}"
            figures.append(
                Figure(
                    key=key,
                    value=float(share),
                    dimension="share",
                    kind="confusion",
                    from_cls=true,
                    to_cls=mapped,
                    **common,
                )
            )
            cells.append(key)
        rows.append((mapped, *cells))
    return figures, Table(name=f"confusion.{day}", columns=("", *names), rows=tuple(rows))


def _interval(scores: BlockedScores) -> tuple[float, float]:
    """Mean of the folds' overall accuracies, two-sided 95 % Student interval; folds differ by place."""
    values = scores.accuracy[np.isfinite(scores.accuracy)]
    if len(values) < 2:
        return 0.0, 1.0
    reach = float(stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / math.sqrt(len(values)))
    return max(0.0, float(values.mean()) - reach), min(1.0, float(values.mean()) + reach)
