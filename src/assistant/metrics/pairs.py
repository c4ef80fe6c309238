"""Change between two dates: gain, loss, net, transition, matrix, structure, rate, and towns ranked by them."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from src.assistant.county import County, Place, Progress
from src.assistant.metrics.patches import patch_table, patch_total, rows_of
from src.assistant.metrics.sampled import adjusted_areas, with_samples
from src.assistant.metrics.study import (
    CLASSES,
    PairStudy,
    breakdown,
    coverage_caveats,
    flow_figures,
    matrix_table,
    state_figures,
    study_pair,
    transition_figure,
    years_between,
)
from src.assistant.query import Query
from src.assistant.record import Evidence, Figure, Table
from src.errors import GridError
from src.geo.flows import Flows


def gain(query: Query, county: County, progress: Progress) -> Evidence:
    """Inflow of a class, with loss, net, where it came from, and towns where asked."""
    return _flow(query, county, progress, "gain")


def loss(query: Query, county: County, progress: Progress) -> Evidence:
    """Outflow of a class, with gain, net, what it became, and towns where asked."""
    return _flow(query, county, progress, "loss")


def net(query: Query, county: County, progress: Progress) -> Evidence:
    """Gain less loss of a class, and as a share of its area at the start."""
    return _flow(query, county, progress, "net")


def transition(query: Query, county: County, progress: Progress) -> Evidence:
    """What went from one class to another (either may be open), with its patches."""
    study = study_pair(query, county, progress)
    before = query.from_cls
    after = query.to_cls or (query.cls if query.cls != before else None)
    main = transition_figure(study.flows, study.seen(), before, after, study.dates)
    figures = [main]
    if before and after:
        whole = transition_figure(study.flows, study.seen(), before, None, study.dates).value
        if whole > 0:
            figures.append(_share_of(main, whole))
    elif before or after:
        figures += breakdown(study.flows, study.seen(), study.dates, to=after, of=before)
    for place, flows in _places(study):
        seen = study.seen(flows)
        key = f"{place.kind}.{place.name}.transition"
        figures.append(transition_figure(flows, seen, before, after, study.dates, key=key, place=place.name))
    table = patch_table(study, before=before, after=after)
    figures += patch_total(study, table)
    return _finished(study, figures, ["transition", "patches.count", "patches.area"], patches=rows_of(study, table))


def matrix(query: Query, county: County, progress: Progress) -> Evidence:
    """The whole transition matrix, and net change of every class."""
    study = study_pair(query, county, progress)
    cells, table = matrix_table(study.flows, study.seen(), study.dates)
    nets = [_one(study, cls, "net") for cls in CLASSES]
    return _finished(study, [*nets, *cells], [one.key for one in _largest(nets)], tables=(table,))


def structure(query: Query, county: County, progress: Progress) -> Evidence:
    """Area and share of every class on both dates, net changes and the matrix. Two dates are no trend."""
    study = study_pair(query, county, progress)
    seen, known = study.seen(), study.flows.matrix[1:, 1:]
    figures = [_one(study, cls, "net") for cls in CLASSES]
    rows = []
    states = ((known.sum(1), study.flows.before), (known.sum(0), study.flows.after))
    for day, (values, expected) in zip(study.dates, states, strict=True):
        found = state_figures(values.tolist(), expected.tolist(), seen, day, prefix=f"state.{day}")
        figures += found
        rows.append((day, *(f"state.{day}.{cls}.share" for cls in CLASSES)))
    cells, table = matrix_table(study.flows, seen, study.dates)
    shares = Table(name="structure", columns=("", *CLASSES), rows=tuple(rows))
    cards = [one.key for one in _largest(figures[: len(CLASSES)])]
    return _finished(study, [*figures, *cells], cards, tables=(shares, table))


def rate(query: Query, county: County, progress: Progress) -> Evidence:
    """Dynamic degree of land use: of single classes K = (U_b - U_a) / U_a / T, and of all together.

    Wang and Bao 1999 (doi:10.11820/dlkxjz.1999.01.012): the comprehensive degree is the area that left its class over
    twice the whole area and the years between.
    """
    study = study_pair(query, county, progress)
    years = years_between(*study.dates)
    t1, t2 = study.dates
    known = study.flows.matrix[1:, 1:]
    figures: list[Figure] = []
    wanted = [query.cls] if query.cls else list(CLASSES)
    for cls in wanted:
        before = float(known[CLASSES.index(cls)].sum())
        change = _one(study, cls, "net")
        assert change.bounds is not None
        if before > 0:
            scale = 1.0 / before / years
            figures.append(
                Figure(
                    key=f"rate.{cls}",
                    quantity="rate",
                    value=change.value * scale,
                    dimension="share_per_year",
                    bounds=(change.bounds[0] * scale, change.bounds[1] * scale),
                    bounds_kind="range",
                    cls=cls,
                    t1=t1,
                    t2=t2,
                )
            )
        figures.append(change)
    moved = float(known.sum() - known.trace())
    if known.sum() > 0:
        value = moved / 2.0 / float(known.sum()) / years
        overall = Figure(key="rate.overall", quantity="rate", value=value, dimension="share_per_year", t1=t1, t2=t2)
        figures = [*figures, overall] if query.cls else [overall, *figures]
    figures.append(
        Figure(
            key="period",
            quantity="period",
            value=(years_between(t1, t2) * 365.25),
            dimension="days",
            t1=t1,
            t2=t2,
        )
    )
    return _finished(study, figures, [one.key for one in figures if one.quantity == "rate"])


def rank_places(query: Query, county: County, progress: Progress) -> Evidence:
    """Towns, villages or classes in order: by gain of ``to_cls``, loss of ``from_cls``, else net change of ``cls``."""
    study = study_pair(query, county, progress)
    quantity = "gain" if query.to_cls else "loss" if query.from_cls else "net"
    cls = query.to_cls or query.from_cls or query.cls or CLASSES[0]
    if query.group_by == "class":
        found = [_one(study, name, quantity) for name in CLASSES]
    else:
        found = []
        for place, flows in _places(study, query.group_by):
            prefix = f"{place.kind}.{place.name}."
            found += flow_figures(
                flows, study.seen(flows), cls, study.dates, place=place.name, prefix=prefix, quantities=(quantity,)
            )
    order = query.rank.order if query.rank else "desc"
    sizes = {"asc": lambda value: value, "desc": lambda value: -value, "size": lambda value: -abs(value)}
    found.sort(key=lambda one: (sizes[order](one.value), one.place or ""))
    table = ranking(found, quantity)
    return _finished(study, found, [one.key for one in found], tables=(table,))


def ranking(found: Sequence[Figure], quantity: str) -> Table:
    """Figures in their order."""
    return Table(
        name="rank", columns=("", quantity), rows=tuple((one.place or one.cls or "", one.key) for one in found)
    )


def _flow(query: Query, county: County, progress: Progress, quantity: str) -> Evidence:
    cls = query.cls or (query.from_cls if quantity == "loss" else query.to_cls) or query.to_cls or query.from_cls
    if cls is None:
        return Evidence(query=query, status="words", reason="need_class", choices=CLASSES)
    study = study_pair(query, county, progress)
    order = [quantity, *(name for name in ("gain", "loss", "net") if name != quantity)]
    figures = flow_figures(study.flows, study.seen(), cls, study.dates, quantities=order)
    maps = dict(zip(study.dates, (cover.map for cover in study.survey.covers), strict=True))
    figures = with_samples(figures, adjusted_areas(county, study.place, maps))
    if quantity == "net":
        figures += _of_base(study, cls, figures[0])
    elif quantity == "gain":
        figures += breakdown(study.flows, study.seen(), study.dates, to=cls)
    else:
        figures += breakdown(study.flows, study.seen(), study.dates, of=cls)
    tables = []
    if quantity != "net":
        parts = [one for one in figures if one.quantity == "transition" and one.dimension == "area"]
        parts.sort(key=lambda one: -one.value)
        rows = tuple((_other(one, cls), one.key, f"{one.key}.share") for one in parts)
        tables.append(Table(name=f"{quantity}_breakdown", columns=("", "area", "share"), rows=rows))
    rows_by_place = []
    for place, flows in _places(study):
        found = flow_figures(
            flows, study.seen(flows), cls, study.dates, place=place.name, prefix=f"{place.kind}.{place.name}."
        )
        figures += found
        rows_by_place.append((place.name, *(one.key for one in found)))
    if rows_by_place:
        tables.append(Table(name="places", columns=("", "gain", "loss", "net"), rows=tuple(rows_by_place)))
    return _finished(study, figures, order, query=query.changed(cls=cls), tables=tuple(tables))


def _finished(study: PairStudy, figures: Sequence[Figure], cards: Sequence[str], **more: Any) -> Evidence:
    """The record, with sums checked and caveats."""
    caveats = (*study.caveats(), *coverage_caveats(study.seen().share))
    if study.place.kind != "county":
        caveats = (*caveats, "ZONE_EDGE_1PX")
    if any(one.bounds_kind == "ci95" for one in figures):
        caveats = tuple(code for code in caveats if code != "UNCALIBRATED_AREA")
    query = more.pop("query", None)
    evidence = study.record(
        figures,
        cards,
        caveats=tuple(dict.fromkeys(caveats)),
        method=study.method(),
        checks=_checks(study.flows),
        **more,
    )
    return evidence if query is None else evidence.model_copy(update={"query": query})


def _one(study: PairStudy, cls: str, quantity: str) -> Figure:
    """Flow of a class in the whole place, under a key that names the class."""
    return flow_figures(study.flows, study.seen(), cls, study.dates, prefix=f"class.{cls}.", quantities=(quantity,))[0]


def _places(study: PairStudy, group_by: str | None = None) -> list[tuple[Place, Any]]:
    """Towns or villages of the place with their flows, where the query asks for them; those off the scenes left out."""
    kind = group_by or study.query.group_by
    if kind not in ("town", "village"):
        return []
    found = []
    for place in study.county.parts(kind, study.place):
        try:
            found.append((place, study.survey.flows(place)))
        except GridError:
            continue
    return found


def _of_base(study: PairStudy, cls: str, change: Figure) -> list[Figure]:
    """Net change as a share of the area at the start."""
    base = float(study.flows.matrix[1 + CLASSES.index(cls), 1:].sum())
    if base <= 0 or change.bounds is None:
        return []
    bounds = (change.bounds[0] / base, change.bounds[1] / base)
    return [
        change.model_copy(
            update={"key": "net.share", "value": change.value / base, "dimension": "share", "bounds": bounds}
        )
    ]


def _share_of(main: Figure, whole: float) -> Figure:
    update = {"key": f"{main.key}.share", "value": main.value / whole, "dimension": "share"}
    return main.model_copy(update=update | {"bounds": None, "bounds_kind": None})


def _other(figure: Figure, cls: str) -> str:
    return (figure.from_cls if figure.to_cls == cls else figure.to_cls) or ""


def _largest(figures: Sequence[Figure]) -> list[Figure]:
    return sorted(figures, key=lambda one: -abs(one.value))


def _checks(flows: Flows) -> dict[str, bool]:
    """Sums that must hold exactly."""
    known = flows.matrix[1:, 1:]
    before, after = known.sum(1), known.sum(0)
    gains, losses = after - np.diag(known), before - np.diag(known)
    return {
        "gain_minus_loss_is_net": bool((gains - losses == after - before).all()),
        "nets_sum_to_zero": bool(abs((after - before).sum()) < 1e-3),
        "sums_agree": bool(known.sum() == before.sum() == after.sum()),
    }
