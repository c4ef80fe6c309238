"""Several dates: trend of a class, interval of the largest change, vegetation index."""

from collections.abc import Sequence
from typing import Any

from src.assistant.county import County, Place, Progress
from src.assistant.metrics.epochs import few_dates, yearly_or_pair
from src.assistant.metrics.idle import abandoned
from src.assistant.metrics.study import PairStudy, flow_figures, state_figures, years_between
from src.assistant.query import Query
from src.assistant.record import Evidence, Figure, SceneUse, Table
from src.assistant.scenes import Candidate, candidates, scene_use
from src.assistant.survey import Survey
from src.geo.cover.indices import INDICES
from src.geo.series import IndexDate, index_series, linear_trend, same_season

__all__ = ["abandoned", "extreme_interval", "index_mean", "trend"]

_LEAST_EPOCHS = 3
_INDEX = "NDVI"
# Zones where work of people shows as built-up and as bare ground.
_PROTECTED = ("reserve", "red_line")


def trend(query: Query, county: County, progress: Progress) -> Evidence:
    """Area of a class over the years, with the slope of a straight line.

    Every year is measured against the first, so that only detected change moves the area. With two dates there is
    no slope: the answer says that they are compared (SINGLE_PAIR).

    Args:
        query: ``cls`` (default built), ``zone``, ``t1`` and ``t2`` (default all there is).
        county: to measure on.
        progress: is told the steps.

    Returns:
        Figures "series" (area and share by date), "slope" (area_per_year; its bounds are the 95 % interval of the
        line alone, a range), "slope" of kind "stderr", "slope" of kind "r2" (index), "net" from first to last,
        "difference" of kind "break" for each interval that stands out. In a reserve or red line the series of
        unused land as well. Table "trend".

    Raises:
        CannotTell: no layer, or fewer than two dates that can be compared.
    """
    place, chosen, uses = _epochs(query, county, progress)
    classes: tuple[str, ...] = (query.cls or "built",)
    if query.zone is not None and query.zone.type in _PROTECTED and classes == ("built",):
        classes = ("built", "unused")
    studies = _against_first(query, county, place, chosen, uses, progress)
    figures = _series_figures(studies, classes)
    main = [one for one in figures if one.cls == classes[0] and one.dimension == "area"]
    last = studies[-1]
    more = flow_figures(last.flows, last.seen(), classes[0], last.dates, quantities=("net",))
    many = len(main) >= _LEAST_EPOCHS
    if many:
        more += _trend_figures(main)
    rows = tuple((one.t2 or "", one.key, f"{one.key}.share") for one in main)
    table = Table(name="trend", columns=("date", "area", "share"), rows=rows)
    cards = ["slope", "net", main[0].key, main[-1].key]
    caveats = _caveats(studies, single=not many)
    method = last.method() | {"trend": "least squares over dates" if many else "two dates"}
    return last.record([*figures, *more], cards, tables=(table,), caveats=caveats, method=method)


def extreme_interval(query: Query, county: County, progress: Progress) -> Evidence:
    """In which interval between neighbouring years a class changed most, per year.

    Args:
        query: ``cls`` (default cropland); ``rank.order`` asc is the largest decrease, desc the largest increase,
            without a rank the largest change of either sign.
        county: to measure on.
        progress: is told the steps.

    Returns:
        Figures "net" (area) and "rate" (area_per_year) of every interval, the extreme one first among the cards.
        ``checks["top_is_clear"]``: its range does not meet the next one's. Table "intervals".

    Raises:
        CannotTell: no layer, or fewer than two dates that can be compared.
    """
    place, chosen, uses = _epochs(query, county, progress)
    if len(chosen) < _LEAST_EPOCHS:
        return few_dates(query, place, uses, [one.day for one in chosen])
    cls = query.cls or "cropland"
    studies = [
        PairStudy(query, county, place, Survey(county, one.scene, other.scene, progress), uses, (query.t1, query.t2))
        for one, other in zip(chosen, chosen[1:], strict=False)
    ]
    nets, rates = [], []
    for study in studies:
        (net,) = flow_figures(study.flows, study.seen(), cls, study.dates, quantities=("net",))
        net = net.model_copy(update={"key": f"net.{study.dates[0]}/{study.dates[1]}"})
        nets.append(net)
        rates.append(_per_year(net))
    ranked = _ranked(rates, query)
    top = nets[rates.index(ranked[0])]
    table = Table(
        name="intervals",
        columns=("from", "to", "net", "net a year"),
        rows=tuple((one.t1 or "", one.t2 or "", one.key, rate.key) for one, rate in zip(nets, rates, strict=True)),
    )
    checks = {"top_is_clear": not _meet(ranked[0], ranked[1])}
    cards = [top.key, ranked[0].key, *(one.key for one in nets)]
    study = studies[nets.index(top)]
    return study.record(
        [*nets, *rates], cards, tables=(table,), caveats=_caveats(studies), method=study.method(), checks=checks
    )


def index_mean(query: Query, county: County, progress: Progress) -> Evidence:
    """Mean NDVI of a place at one time of the year, over the pixels that are clear on all dates.

    Rain is not looked at: a wet year is greener.

    Args:
        query: ``zone``, ``t1`` and ``t2`` (default all there is).
        county: to measure on.
        progress: is told the steps.

    Returns:
        Figures "index" (kind NDVI, t2 the date), "difference" of the last and the first (signed), "seen". Table
        "index".

    Raises:
        CannotTell: no layer, no dates, or uncalibrated numbers.
    """
    progress("scenes", 0.0)
    place = county.place(query.zone, query)
    found = candidates(county, place)
    fit = [one for one in found if set(INDICES[_INDEX].roles) <= set(one.scene.roles)]
    if found and not fit:
        uses = tuple(scene_use(one, False, "farther") for one in found)
        return Evidence(query=query, status="cannot_tell", reason="no_index", place=place.name, scenes=uses)
    chosen, uses = yearly_or_pair(fit, query)
    progress("series", 0.3)
    scenes, cache = [one.scene for one in chosen], county.workspace.cache
    dates = index_series(scenes, _INDEX, place.outline, cache, county.runner, together=True)
    figures = [_index_figure(one) for one in dates]
    first, last = dates[0], dates[-1]
    change = Figure(
        key="change",
        quantity="difference",
        value=last.mean - first.mean,
        dimension="index",
        kind=_INDEX,
        t1=first.date,
        t2=last.date,
    )
    seen = change.model_copy(
        update={
            "key": "seen",
            "quantity": "seen",
            "value": round(last.seen_share, 6),
            "dimension": "share",
            "kind": None,
        }
    )
    caveats = [code for scene in scenes for code in scene.record.caveats]
    caveats += [] if same_season(first.date, last.date) else ["SEASON_MISMATCH"]
    caveats += [] if len(dates) >= _LEAST_EPOCHS else ["SINGLE_PAIR"]
    table = Table(name="index", columns=("date", _INDEX), rows=tuple((one.t2 or "", one.key) for one in figures))
    return Evidence(
        query=query,
        t1=query.t1,
        t2=query.t2,
        place=place.name,
        scenes=uses,
        figures=(*figures, change, seen),
        cards=("change", figures[0].key, figures[-1].key),
        tables=(table,),
        caveats=tuple(dict.fromkeys(caveats)),
        method={
            "index": f"{_INDEX} = {INDICES[_INDEX].formula}",
            "pixels": "clear on all dates",
            "rain": "not assessed",
        },
    )


def _epochs(
    query: Query, county: County, progress: Progress
) -> tuple[Place, tuple[Candidate, ...], tuple[SceneUse, ...]]:
    progress("scenes", 0.0)
    place = county.place(query.zone, query)
    chosen, uses = yearly_or_pair(candidates(county, place), query)
    return place, chosen, uses


def _against_first(
    query: Query,
    county: County,
    place: Place,
    chosen: Sequence[Candidate],
    uses: tuple[SceneUse, ...],
    progress: Progress,
) -> list[PairStudy]:
    first = chosen[0].scene
    asked = (query.t1, query.t2)
    return [
        PairStudy(query, county, place, Survey(county, first, one.scene, progress), uses, asked) for one in chosen[1:]
    ]


def _series_figures(studies: Sequence[PairStudy], classes: Sequence[str]) -> list[Figure]:
    """Area and share of each class on each date: the first as its map has it, the others by what changed since."""
    first = studies[0]
    states = [(first, first.flows.matrix[1:, 1:].sum(1), first.flows.before, first.dates[0])]
    states += [(one, one.flows.matrix[1:, 1:].sum(0), one.flows.after, one.dates[1]) for one in studies]
    figures = []
    for study, values, expected, day in states:
        for one in state_figures(
            values.tolist(), expected.tolist(), study.seen(), day, classes, prefix=f"series.{day}"
        ):
            figures.append(one.model_copy(update={"quantity": "series"}))
    return figures


def _trend_figures(series: Sequence[Figure]) -> list[Figure]:
    days = [one.t2 or "" for one in series]
    found = linear_trend(days, [one.value for one in series])
    common: dict[str, Any] = {"quantity": "slope", "cls": series[0].cls, "t1": days[0], "t2": days[-1]}
    figures = [
        Figure(
            key="slope",
            value=found.slope,
            dimension="area_per_year",
            bounds=found.interval,
            bounds_kind="range" if found.interval else None,
            **common,
        ),
        Figure(key="slope.error", value=found.error, dimension="area_per_year", kind="stderr", **common),
        Figure(key="slope.r2", value=found.r2, dimension="index", kind="r2", decimals=2, **common),
    ]
    for index in found.breaks:
        step = series[index + 1].value - series[index].value
        span = {"t1": days[index], "t2": days[index + 1]}
        one = {"key": f"break.{days[index]}", "quantity": "difference", "kind": "break", "dimension": "area"}
        figures.append(Figure(**(common | one | span), value=step))
    return figures


def _per_year(net: Figure) -> Figure:
    """A net change as area a year."""
    years = years_between(net.t1 or "", net.t2 or "")
    assert net.bounds is not None
    bounds = net.bounds[0] / years, net.bounds[1] / years
    changes = {"key": f"{net.key}.rate", "quantity": "rate", "dimension": "area_per_year"}
    return net.model_copy(update=changes | {"value": net.value / years, "bounds": bounds})


def _ranked(rates: Sequence[Figure], query: Query) -> list[Figure]:
    if query.rank is None or query.rank.order == "size":
        return sorted(rates, key=lambda one: -abs(one.value))
    sign = 1 if query.rank.order == "asc" else -1
    return sorted(rates, key=lambda one: sign * one.value)


def _meet(one: Figure, other: Figure) -> bool:
    assert one.bounds is not None and other.bounds is not None
    return one.bounds[0] <= other.bounds[1] and other.bounds[0] <= one.bounds[1]


def _caveats(studies: Sequence[PairStudy], *, single: bool = False) -> tuple[str, ...]:
    """Codes of all pairs; SINGLE_PAIR only where there is no more than one."""
    codes = [code for study in studies for code in study.caveats(clue=False) if code != "SINGLE_PAIR"]
    return tuple(dict.fromkeys([*codes, *(["SINGLE_PAIR"] if single else [])]))


def _index_figure(one: IndexDate) -> Figure:
    return Figure(
        key=f"index.{one.date}", quantity="index", value=one.mean, dimension="index", kind=_INDEX, t2=one.date
    )
