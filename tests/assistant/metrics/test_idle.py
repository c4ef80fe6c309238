"""Idle cropland: what is said of its seasons, of a part of a year, and of towns."""

from datetime import date

import pytest

from src.assistant.answer import compose
from src.assistant.check import check
from src.assistant.county import County, no_progress
from src.assistant.metrics.idle import abandoned
from src.assistant.query import Query
from src.geo.blocks import ThreadRunner
from src.geo.simulate import simulate_county
from src.geo.workspace import Options, add, init_workspace, open_workspace

DATES = ("2022-09-18", *(f"{year}-{day}" for year in (2023, 2024) for day in ("04-10", "06-15", "08-20", "10-25")))


@pytest.fixture(scope="module")
def seasons(tmp_path_factory) -> County:
    """Four dates in each of two years."""
    folder = tmp_path_factory.mktemp("seasons")
    simulate_county(
        folder / "county", seed=5, size=96, sensor="sentinel2_l2a", dates=list(DATES), crs="EPSG:32648", cloud_share=0.0
    )
    workspace = init_workspace(folder / "workspace", code="510723", as_of="2024-12-31")
    add(workspace, folder / "county", Options(), ThreadRunner(1))
    return County(open_workspace(folder / "workspace"), ThreadRunner(1), date(2024, 12, 31))


def test_the_caveat_is_about_greenness_and_the_dates_are_told(seasons):
    """Beside a figure it said that the class could not be told from others."""
    found = abandoned(Query(metric="abandoned", cls="cropland"), seasons, no_progress)
    assert found.status == "measured"
    assert "IDLE_BY_GREENNESS" in found.caveats and "CLASS_NOT_SEPARABLE" not in found.caveats
    assert (found.t1, found.t2) == (DATES[1], DATES[-1])
    text = compose(found)
    assert "2023年（4月10日、6月15日、8月20日、10月25日）" in text and "2024年（4月10日" in text
    assert "不能单独判断" not in text and not check(text, found)


def test_a_part_of_a_year_is_not_claimed(seasons):
    """Asked about spring, it gave the figure of two whole years as that of spring."""
    spring = Query(metric="abandoned", cls="cropland", t1="2024-02-29", t2="2024-05-31")
    found = abandoned(spring, seasons, no_progress)
    text = compose(found)
    assert "所问时段（2024年2月29日至2024年5月31日）不能单独判断" in text
    assert "所问时段按" not in text and not check(text, found)
    english = compose(found.model_copy(update={"query": spring.changed(lang="en")}))
    assert "cannot be told by itself" in english and "2023 (10 Apr, 15 Jun, 20 Aug, 25 Oct)" in english


def test_by_town_each_town_is_measured_as_if_asked_alone(seasons):
    by_town = abandoned(Query(metric="abandoned", cls="cropland", group_by="town"), seasons, no_progress)
    towns = seasons.known().zones["town"]
    shown = {one.place: one.value for one in by_town.find(quantity="state", dimension="area") if one.place}
    assert set(shown) == set(towns)
    alone = abandoned(
        Query(metric="abandoned", cls="cropland", zone={"type": "town", "name": towns[0]}), seasons, no_progress
    )
    assert shown[towns[0]] == pytest.approx(alone.figure("idle").value, rel=1e-9)
    assert not check(compose(by_town), by_town)


def test_where_towns_cannot_be_given_it_is_said(seasons):
    inside = Query(metric="abandoned", cls="cropland", group_by="town", zone={"type": "basic_farmland"})
    found = abandoned(inside, seasons, no_progress)
    figures = tuple(
        one.model_copy(update={"value": max(one.value, 1e4)}) if one.key == "idle" else one for one in found.figures
    )
    assert "没有分乡镇的数" in compose(found.model_copy(update={"figures": figures}))
