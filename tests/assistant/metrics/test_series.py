import numpy as np
import pytest

from src.assistant.county import no_progress
from src.assistant.metrics.epochs import yearly
from src.assistant.metrics.series import abandoned, extreme_interval, index_mean, trend
from src.assistant.query import Query
from src.assistant.scenes import Candidate, candidates
from src.assistant.survey import Survey
from src.constants import LAND_CLASS_IDS
from src.geo.areas import class_areas_m2
from src.geo.raster import read_raster
from src.geo.series import linear_trend

DAYS = ("2022-09-18", "2023-09-20", "2024-09-25")


def in_bounds(figure, truth: float) -> bool:
    return figure.bounds[0] <= truth <= figure.bounds[1]


def true_net(truth, cls, t1, t2) -> float:
    areas = truth["zones"]["county"][0]["areas_m2"]
    return areas[t2][cls] - areas[t1][cls]


def test_trend_has_every_year_and_a_line_through_them(county, county_truth):
    found = trend(Query(metric="trend", cls="built"), county, no_progress)
    series = [found.figure(f"series.{day}.built") for day in DAYS]
    assert [one.t2 for one in found.find(quantity="series", dimension="area")] == list(DAYS)
    truth = county_truth["zones"]["county"][0]["areas_m2"]
    assert all(in_bounds(one, truth[one.t2]["built"]) for one in series)
    line = linear_trend(DAYS, [one.value for one in series])
    assert found.figure("slope").value == line.slope and found.figure("slope").bounds == line.interval
    assert found.figure("slope.error").value == line.error
    assert (found.figure("slope.r2").kind, found.figure("slope.r2").value) == ("r2", line.r2)
    net = found.figure("net")
    assert net.value == pytest.approx(series[-1].value - series[0].value, rel=1e-9)
    assert (net.t1, net.t2) == (DAYS[0], DAYS[-1]) and in_bounds(net, true_net(county_truth, "built", net.t1, net.t2))
    assert "SINGLE_PAIR" not in found.caveats and found.cards[0] == "slope"


def test_first_year_is_the_map_itself(county):
    """Without a zone that cuts pixels: a sum over the class raster."""
    found = trend(Query(metric="trend", cls="forest"), county, no_progress)
    scenes = {one.record.date: one for one in county.scenes()}
    survey = Survey(county, scenes[DAYS[0]], scenes[DAYS[1]])
    raster = read_raster(survey.maps.before)
    whole = class_areas_m2(raster.data[0], raster.grid)[LAND_CLASS_IDS["forest"]]
    inside = found.figure(f"series.{DAYS[0]}.forest").value
    assert 0.7 * whole < inside <= whole


def test_two_dates_are_compared_not_called_a_trend(county):
    found = trend(Query(metric="trend", cls="built", t1="2023-09-20", t2="2024-12-31"), county, no_progress)
    assert [one.t2 for one in found.find(quantity="series", dimension="area")] == list(DAYS[1:])
    assert not found.find(quantity="slope") and "SINGLE_PAIR" in found.caveats
    assert found.method["trend"] == "two dates" and len(found.tables[0].rows) == 2


def test_trend_in_a_reserve_tells_bare_ground_too(county, county_truth):
    query = Query(metric="trend", cls="built", zone={"type": "reserve"})
    found = trend(query, county, no_progress)
    assert {one.cls for one in found.find(quantity="series")} == {"built", "unused"}
    assert {one.cls for one in found.find(quantity="net")} == {"built"}
    assert found.place == "reserve" and found.survey
    parts = county_truth["zones"]["reserve"]
    for one in found.find(quantity="series", dimension="area"):
        assert in_bounds(one, sum(part["areas_m2"][one.t2][one.cls] for part in parts))


def test_extreme_interval_is_the_largest_decrease_a_year(county, county_truth):
    query = Query(metric="extreme_interval", cls="cropland", rank={"n": 1, "order": "asc"})
    found = extreme_interval(query, county, no_progress)
    nets = found.find(quantity="net")
    assert [(one.t1, one.t2) for one in nets] == list(zip(DAYS, DAYS[1:], strict=False))
    assert all(in_bounds(one, true_net(county_truth, "cropland", one.t1, one.t2)) for one in nets)
    rates = found.find(quantity="rate")
    days = [367, 371]
    assert [one.value for one in rates] == pytest.approx(
        [net.value * 365.25 / n for net, n in zip(nets, days, strict=True)]
    )
    lowest = int(np.argmin([one.value for one in rates]))
    assert found.cards[:2] == (nets[lowest].key, rates[lowest].key)
    first, second = rates
    meet = first.bounds[0] <= second.bounds[1] and second.bounds[0] <= first.bounds[1]
    assert found.checks == {"top_is_clear": not meet}
    up = extreme_interval(query.changed(rank={"n": 1, "order": "desc"}), county, no_progress)
    assert up.cards[0] == nets[1 - lowest].key


def test_extreme_interval_needs_two_intervals(county):
    query = Query(metric="extreme_interval", cls="cropland", t1="2023-09-20", t2="2024-12-31")
    found = extreme_interval(query, county, no_progress)
    assert (found.status, found.reason, found.choices) == ("cannot_tell", "few_dates", DAYS[1:])
    assert not found.figures


def test_index_is_the_mean_over_pixels_clear_on_all_dates(county):
    place = county.place(None)
    query = Query(metric="index_mean", t1="2023-09-30", t2="2024-09-30")
    found = index_mean(query, county, no_progress)
    figures = found.find(quantity="index")
    assert [(one.t2, one.kind) for one in figures] == [(day, "NDVI") for day in DAYS[1:]]
    assert found.figure("change").value == pytest.approx(figures[1].value - figures[0].value)
    # An independent sum over pixel centres inside the county.
    import shapely

    scene = next(one for one in county.scenes() if one.record.date == DAYS[1])
    nir, red = scene.read(None, ("nir", "red")).astype(np.float64)
    rows, cols = np.indices(nir.shape)
    x, y = scene.grid.transform @ (cols + 0.5, rows + 0.5)
    outline = place.outline.to_crs(scene.grid.crs).geometry.union_all()
    inside = shapely.contains_xy(outline, x, y)
    assert figures[0].value == pytest.approx(((nir - red) / (nir + red))[inside].mean(), abs=2e-3)


def test_index_without_a_period_looks_at_all_years(county):
    found = index_mean(Query(metric="index_mean"), county, no_progress)
    assert [one.t2 for one in found.find(quantity="index")] == list(DAYS)
    assert (found.figure("change").t1, found.figure("change").t2) == (DAYS[0], DAYS[-1])


def test_idle_cropland_says_how_many_dates_are_missing(county):
    found = abandoned(Query(metric="abandoned"), county, no_progress)
    assert (found.status, found.reason, found.next_step) == ("cannot_tell", "few_dates", "add_dates")
    assert found.detail == ("2023: 1/4", "2024: 1/4")


def test_yearly_keeps_one_season_and_clear_scenes(county):
    found = candidates(county, county.place(None))
    assert yearly(found, None, None).days == list(DAYS)
    assert yearly(found, "2023-09-30", None).days == list(DAYS[1:])
    assert yearly(found, None, "2023-12-31").days == list(DAYS[:2])
    cloudy = [Candidate(one.scene, 0.2 if one.day == DAYS[1] else 1.0) for one in found]
    epochs = yearly(cloudy, None, None)
    assert epochs.days == [DAYS[0], DAYS[2]]
    assert {use.date: (use.used, use.why) for use in epochs.scenes}[DAYS[1]] == (False, "cloudy")
    assert yearly([], None, None).chosen == ()
