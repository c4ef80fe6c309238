"""The state on one day: area and share of classes, by town where asked, and whether a class occurs."""

from typing import Any

from src.assistant.county import County, Place, Progress
from src.assistant.metrics.sampled import adjusted_areas, with_samples
from src.assistant.metrics.study import (
    CLASSES,
    MOST_CARDS,
    StateStudy,
    classifier,
    coverage_caveats,
    state_figures,
    study_state,
    unit_figures,
)
from src.assistant.query import Query
from src.assistant.record import Evidence, Figure, Table
from src.errors import GridError
from src.geo.areas import polygon_areas_m2
from src.geo.bounds import Seen


def area_at(query: Query, county: County, progress: Progress) -> Evidence:
    """Area of a class, or of all, on a day."""
    return _state(query, county, progress)


def share_at(query: Query, county: County, progress: Progress) -> Evidence:
    """Share of a class, or of all, on a day."""
    return _state(query, county, progress, shares_first=True)


def presence(query: Query, county: County, progress: Progress) -> Evidence:
    """Whether a class occurs; 0 where none was found."""
    return _state(query, county, progress)


def rank_states(query: Query, county: County, progress: Progress) -> Evidence:
    """Towns, villages or classes in the order of their area of a class on a day."""
    evidence = _state(query, county, progress)
    cls, order = query.cls, query.rank.order if query.rank else "desc"
    wanted = [one for one in evidence.find(quantity="state", dimension="area")]
    found = [one for one in wanted if (one.place is None) == (query.group_by == "class")]
    if query.group_by != "class":
        found = [one for one in found if one.cls == (cls or CLASSES[0])]
    found.sort(key=lambda one: (one.value if order == "asc" else -one.value, one.place or ""))
    kept = [one for one in evidence.figures if one not in wanted]
    table = Table(
        name="rank", columns=("", "state"), rows=tuple((one.place or one.cls or "", one.key) for one in found)
    )
    cards = tuple(one.key for one in found[:MOST_CARDS])
    return evidence.model_copy(update={"figures": (*found, *kept), "cards": cards, "tables": (table,)})


def _state(query: Query, county: County, progress: Progress, *, shares_first: bool = False) -> Evidence:
    study = study_state(query, county, progress)
    cover = study.cover
    progress("areas", 0.8)
    classes = (query.cls,) if query.cls else CLASSES
    figures, seen = _of_place(study, study.place, classes)
    adjusted = adjusted_areas(county, study.place, {study.scene.record.date: cover.map})
    figures = with_samples(figures, adjusted)
    wide = [one for one in figures if one.dimension == ("share" if shares_first else "area")]
    rows: list[tuple[str, ...]] = []
    if query.group_by in ("town", "village"):
        for place in county.parts(query.group_by, study.place):
            try:
                found, _ = _of_place(study, place, classes, name=place.name)
            except GridError:
                continue
            figures += found
            rows.append((place.name, *(one.key for one in found if one.dimension == "area")))
    table = Table(name="places", columns=("", *classes), rows=tuple(rows))
    day = study.scene.record.date
    pixel_m2 = study.scene.record.pixel_m**2
    figures.append(Figure(key="seen", quantity="seen", value=round(seen.share, 6), dimension="share", t2=day))
    if study.place.outline is not None and study.place.kind != "county":
        zone_m2 = _place_m2(study.place)
        figures.append(Figure(key="zone", quantity="zone", value=zone_m2, dimension="area"))
    figures += unit_figures(pixel_m2, None, day)
    caveats = [
        *study.scene.record.caveats,
        *cover.caveats,
        *([] if adjusted else ["UNCALIBRATED_AREA"]),
        *coverage_caveats(seen.share),
    ]
    caveats += ["ZONE_EDGE_1PX"] if study.place.kind != "county" else []
    method: dict[str, Any] = {"mask": study.scene.record.mask_source, "classifier": classifier([cover])}
    total = sum(
        one.value for one in figures if one.place is None and one.quantity == "state" and one.dimension == "area"
    )
    checks = {"sums_agree": abs(total - seen.area_m2) < 1.0} if not query.cls else {}
    return Evidence(
        query=query,
        t2=study.asked,
        place=study.place.name,
        scenes=study.scenes,
        figures=tuple(figures),
        cards=tuple(one.key for one in sorted(wide, key=lambda one: -one.value)[:MOST_CARDS]),
        tables=(table,) if rows else (),
        caveats=tuple(dict.fromkeys(caveats)),
        method=method,
        checks=checks,
        survey=cover.folder.name,
    )


def _of_place(
    study: StateStudy, place: Place, classes: tuple[str, ...], name: str | None = None
) -> tuple[list[Figure], Seen]:
    """Figures of a place and the ground that was seen of it."""
    state = study.cover.state(study.county, place)
    known, whole = float(state.count[1:].sum()), float(state.count.sum())
    total = max(whole, _place_m2(place) if place.outline is not None else 0.0)
    share = known / total if total else 0.0
    if place.outline is None:
        # Without an outline, ground that the scene did not measure is none of the place.
        share = max(share, study.scene.record.clear_share)
    seen = Seen(known, max(min(share, 1.0), 1e-6), study.scene.record.pixel_m**2)
    prefix = "state" if name is None else f"{place.kind}.{name}"
    values, expected = state.count[1:].tolist(), state.expected.tolist()
    day = study.scene.record.date
    return state_figures(values, expected, seen, day, classes, place=name, prefix=prefix), seen


def _place_m2(place: Place) -> float:
    assert place.outline is not None
    return float(polygon_areas_m2(place.outline.dissolve().geometry)[0])
