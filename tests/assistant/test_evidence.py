"""From query to evidence: cached answers, reasons for no answer, states that people gave, what every record holds."""

from dataclasses import replace

import pytest

from src.assistant import evidence as evidence_module
from src.assistant.answer import compose
from src.assistant.county import County
from src.assistant.evidence import METRIC_FUNCS, STEPS, gather
from src.assistant.parse import parse
from src.assistant.query import METRICS, Query
from src.assistant.record import Evidence
from src.assistant.review import ReviewLog

YEAR = {"t1": "2023-12-31", "t2": "2024-12-31"}
GAIN = Query(metric="gain", cls="cropland", **YEAR)


def test_every_measured_metric_has_a_function():
    assert set(METRICS) - set(METRIC_FUNCS) == {"describe", "clarify", "refuse", "unsupported"}


def test_steps_are_told_in_both_languages_and_end_at_one(county):
    told = []
    gather(GAIN, county, lambda step, share: told.append((step, share)))
    assert told[-1] == ("done", 1.0)
    assert {step for step, _ in told} <= set(STEPS)
    assert all(set(words) == {"zh", "en"} for words in STEPS.values())


def test_asked_again_nothing_is_measured(county, monkeypatch):
    first = gather(GAIN, county)

    def never(*_args):
        raise AssertionError("measured again")

    monkeypatch.setitem(evidence_module.METRIC_FUNCS, "gain", never)
    other_unit = GAIN.changed(unit="ha")
    again = gather(other_unit, county)
    assert again.query == other_unit
    assert again.model_copy(update={"query": GAIN}) == first
    assert gather(GAIN, county).id == first.id


def test_a_patch_that_nobody_knows_yet_is_looked_up_again(county, monkeypatch):
    """A later measurement may find it, so that answer is not kept; one about the ground is."""
    query = Query(metric="patch_detail", patch_id="000000-20240101-DT-00000")
    measure, asked = METRIC_FUNCS["patch_detail"], []
    monkeypatch.setitem(METRIC_FUNCS, "patch_detail", lambda *args: asked.append(1) or measure(*args))
    assert [gather(query, county).reason for _ in range(2)] == ["no_patch", "no_patch"]
    assert len(asked) == 2


def test_a_part_of_a_class_is_answered_by_the_whole_and_said_so(county):
    whole = gather(Query(metric="gain", cls="built", **YEAR), county)
    part = gather(Query(metric="gain", cls="built", reason="merged", **YEAR), county)
    assert part.figures == whole.figures
    assert set(part.caveats) - set(whole.caveats) == {"LEGEND_MERGED"}


def test_a_damaged_cache_is_measured_anew(county):
    first = gather(GAIN, county)
    for path in (county.workspace.outputs / "answers").glob("*.json"):
        path.write_text("{", encoding="utf-8")
    assert gather(GAIN, county) == first


def test_another_day_counts_as_other_inputs(county):
    first = gather(GAIN, county)
    later = gather(GAIN, replace(county, as_of=county.as_of.replace(year=2025)))
    assert later.inputs != first.inputs
    assert later.figures == first.figures


def test_every_measured_record_says_how_much_was_seen_and_the_smallest_patch(county):
    for query in (GAIN, Query(metric="area_at", cls="forest"), Query(metric="patches")):
        found = gather(query, county)
        assert found.status == "measured"
        assert 0.9 < found.figure("seen").value <= 1.0
        assert found.figure("unit").value == 900.0
        assert found.figure("unit.pixels").value == 9
        assert {scene.date for scene in found.scenes if scene.used}
        assert found.method["mask"] == "SCL"
        assert len({one.key for one in found.figures}) == len(found.figures)
        assert set(found.cards) <= {one.key for one in found.figures}
        assert len(found.cards) <= 6
        assert Evidence.model_validate_json(found.model_dump_json()) == found


def test_a_day_too_far_away_cannot_be_told(county):
    found = gather(Query(metric="area_at", cls="built", t2="2015-12-31"), county)
    assert (found.status, found.reason) == ("cannot_tell", "no_scene")
    assert found.choices == county.known().dates
    assert found.scenes and not any(scene.used for scene in found.scenes)


def test_a_window_without_images_cannot_be_told(county):
    query = Query(metric="patches", to_cls="built", t1="2024-11-30", t2="2024-12-31")
    found = gather(query, county)
    assert (found.status, found.reason) == ("cannot_tell", "no_scene")


def test_one_date_shows_no_change(county):
    early = County(county.workspace, county.runner, county.as_of.replace(year=2022))
    found = gather(Query(metric="gain", cls="built"), early)
    assert (found.status, found.reason) == ("cannot_tell", "one_date")


def test_a_missing_layer_and_an_unknown_name(county):
    missing = gather(Query(metric="overlap", zone={"type": "mining"}), county)
    assert (missing.status, missing.reason, missing.detail) == ("cannot_tell", "NO_ZONE_LAYER", ("矿区",))
    unknown = gather(Query(metric="gain", cls="built", zone={"type": "town", "name": "没有镇"}, **YEAR), county)
    assert (unknown.status, unknown.reason) == ("words", "unknown_zone")
    assert unknown.choices == county.known().zones["town"]
    towns = gather(Query(metric="gain", cls="built", group_by="village", **YEAR), county)
    assert (towns.status, towns.reason) == ("cannot_tell", "NO_ZONE_LAYER")


def test_a_place_off_the_images_is_outside(county):
    query = Query(metric="gain", cls="built", zone={"type": "point"}, lon=100.0, lat=30.0, radius_m=300, **YEAR)
    found = gather(query, county)
    assert (found.status, found.reason) in {("cannot_tell", "outside"), ("cannot_tell", "NO_CLEAR_IMG")}


def test_what_is_asked_back_comes_with_choices(county):
    asked = gather(Query(metric="clarify", reason="need_period"), county)
    assert (asked.status, asked.reason, asked.choices) == ("words", "need_period", ("2024年", "2023年", "近一年"))
    days = gather(Query(metric="clarify", reason="future", wanted="area_at"), county)
    assert days.choices == tuple(reversed(county.known().dates))
    refused = gather(Query(metric="refuse", reason="legal"), county)
    assert (refused.status, refused.reason, refused.figures) == ("words", "legal", ())


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_each_period_that_is_offered_can_be_answered(county, lang):
    """Image dates were offered, the oldest first, and the first of them led to "one date only"."""
    asked = Query.of({"metric": "clarify", "cls": "built", "reason": "need_period", "wanted": "gain", "lang": lang})
    choices = gather(asked, county).choices
    assert len(choices) == 3
    for choice in choices:
        chosen = parse(choice, as_of=county.as_of, known=county.known(), previous=asked)
        assert (chosen.metric, chosen.cls) == ("gain", "built"), choice
        assert gather(chosen, county).status == "measured", choice


def test_a_period_that_begins_before_the_images_says_so(county):
    """It said that there was no clear image in the period, beside a list of clear images of the period."""
    asked = Query(metric="gain", cls="built", t1="2020-12-31", t2="2024-12-31")
    found = gather(asked, county)
    assert (found.status, found.reason, found.detail) == ("cannot_tell", "images_begin", ("2022-09-18",))
    assert found.choices == ("2022年9月18日至2024年12月31日",)
    text = compose(found)
    assert "现有影像自2022年9月18日开始" in text and "没有清晰影像" not in text
    chosen = parse(found.choices[0], as_of=county.as_of, known=county.known(), previous=asked)
    assert (chosen.metric, chosen.t1) == ("gain", "2022-09-18")
    assert gather(chosen, county).status == "measured"
    states = gather(Query(metric="area_at", cls="built", t2="2015-12-31"), county)
    assert states.reason == "no_scene"


def test_farmland_of_the_towns_adds_up_to_all_of_it(county):
    """The ground of a zone in each town, asked one by one."""

    def lost(**zone):
        found = gather(Query(metric="loss", cls="cropland", zone={"type": "basic_farmland"} | zone, **YEAR), county)
        return found.place, next(one.value for one in found.figures if one.key == "loss")

    towns = county.known().zones["town"]
    parts = dict(lost(town=town) for town in towns)
    assert tuple(parts) == tuple(f"{town}永久基本农田" for town in towns)
    assert sum(parts.values()) == pytest.approx(lost()[1], rel=1e-3)


def test_a_town_without_the_zone_cannot_be_told(county):
    town = county.known().zones["town"][0]
    found = gather(Query(metric="overlap", zone={"type": "mining", "town": town}), county)
    assert (found.reason, found.detail) == ("NO_ZONE_LAYER", ("矿区",))
    made = found.model_copy(update={"reason": "NOT_IN_TOWN", "detail": ("矿区",)})
    assert compose(made).startswith("无法判断：这个乡镇范围内没有矿区。")


@pytest.fixture
def reviews(county):
    yield ReviewLog(county.workspace.root)
    (county.workspace.root / "reviews.sqlite").unlink()


def test_states_of_patches_are_those_of_today(county, reviews):
    """The answer is cached; what people decided since is not."""
    query = Query(metric="patches", t1="2022-12-31", t2="2024-12-31")
    first = gather(query, county).patches[0]
    assert first.status == "待核查"
    reviews.set(first.id, "合法", user="李雷")
    assert gather(query, county).patches[0].status == "合法"
    assert gather(query, county).patches[1].status == "待核查"
