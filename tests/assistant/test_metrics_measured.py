"""Figures of the metrics against sums worked out with numpy on the rasters and on the patch records."""

import math

import numpy as np
import pytest

from src.assistant.county import no_progress
from src.assistant.evidence import gather
from src.assistant.metrics import pairs
from src.assistant.metrics.study import CLASSES
from src.assistant.query import Query
from src.assistant.survey import open_survey
from src.constants import LAND_CLASS_IDS
from src.geo.areas import pixel_areas_m2, polygon_areas_m2
from src.geo.bounds import FLOOR_PX, Seen, bounds_of, net_bounds
from src.geo.raster import read_raster
from src.geo.vector import rasterize

SPAN = {"t1": "2022-12-31", "t2": "2024-12-31"}


@pytest.fixture(scope="module")
def matrix(county) -> np.ndarray:
    """(8, 8) m2 inside the county by pixel centres, from the rasters of the survey."""
    evidence = gather(Query(metric="matrix", **SPAN), county)
    survey = open_survey(county, evidence.survey)
    assert survey.dates == ("2022-09-18", "2024-09-25")
    before, after, change = (
        read_raster(path).data[0] for path in (survey.maps.before, survey.maps.after, survey.changes.change)
    )
    after = np.where(change == 2, after, np.where(change == 1, before, 0))
    outline = county.place(None).outline
    inside = rasterize(outline, survey.before.grid, values=[1] * len(outline)) > 0
    ground = np.broadcast_to(pixel_areas_m2(survey.before.grid), before.shape)
    cells = np.zeros((8, 8))
    np.add.at(cells, (before[inside], after[inside]), ground[inside])
    return cells


def near(value: float):
    """Pixels at the county's line count whole in numpy and by their share in the evidence."""
    return pytest.approx(value, rel=0.02, abs=600)


def test_gain_loss_and_net_are_the_sums_of_the_matrix(county, matrix):
    for cls in ("cropland", "built"):
        code = LAND_CLASS_IDS[cls]
        gain = matrix[1:, code].sum() - matrix[code, code]
        loss = matrix[code, 1:].sum() - matrix[code, code]
        found = gather(Query(metric="gain", cls=cls, **SPAN), county)
        values = {key: found.figure(key) for key in ("gain", "loss", "net")}
        assert values["gain"].value == near(gain)
        assert values["loss"].value == near(loss)
        assert values["net"].value == values["gain"].value - values["loss"].value
        for one in values.values():
            assert one.bounds[0] <= one.value <= one.bounds[1]
            assert (one.cls, one.t1, one.t2, one.bounds_kind) == (cls, "2022-09-18", "2024-09-25", "range")
        assert found.checks == {"gain_minus_loss_is_net": True, "nets_sum_to_zero": True, "sums_agree": True}
        assert (found.t1, found.t2) == ("2022-12-31", "2024-12-31")


def test_a_breakdown_adds_up(county, matrix):
    found = gather(Query(metric="loss", cls="cropland", **SPAN), county)
    parts = found.find(quantity="transition", dimension="area")
    assert {one.from_cls for one in parts} == {"cropland"}
    assert sum(one.value for one in parts) == pytest.approx(found.figure("loss").value, rel=1e-9)
    assert sum(one.value for one in found.find(quantity="transition", dimension="share")) == pytest.approx(1.0)
    built = found.find(quantity="transition", dimension="area", to_cls="built")[0]
    assert built.value == near(matrix[1, 6])


def test_towns_stand_beside_the_whole(county):
    found = gather(Query(metric="net", cls="built", group_by="town", **SPAN), county)
    towns = [one for one in found.find(quantity="net", dimension="area") if one.place]
    assert {one.place for one in towns} == set(county.known().zones["town"])
    assert sum(one.value for one in towns) == pytest.approx(found.figure("net").value, rel=0.03, abs=600)


def test_matrix_and_structure_hold_every_class(county, matrix):
    found = gather(Query(metric="structure", **SPAN), county)
    assert {one.cls for one in found.find(quantity="net", dimension="area")} == set(CLASSES)
    for day, sums in (("2022-09-18", matrix[1:, 1:].sum(1)), ("2024-09-25", matrix[1:, 1:].sum(0))):
        shares = found.find(quantity="state", dimension="share", t2=day)
        assert sum(one.value for one in shares) == pytest.approx(1.0)
        by_class = {one.cls: one.value for one in shares}
        assert by_class["cropland"] == pytest.approx(sums[0] / sums.sum(), abs=0.01)
    table = next(one for one in found.tables if one.name == "matrix")
    assert table.rows[0][0] == "cropland" and table.rows[0][1] == "matrix.cropland.cropland"
    assert found.figure("matrix.cropland.cropland").value == near(matrix[1, 1])
    assert "SINGLE_PAIR" in found.caveats


def test_the_dynamic_degree_is_net_over_start_over_years(county):
    found = gather(Query(metric="rate", cls="built", **SPAN), county)
    states = gather(Query(metric="structure", **SPAN), county)
    start = states.figure("state.2022-09-18.built").value
    net = states.figure("class.built.net").value
    years = 738 / 365.25  # 2022-09-18 to 2024-09-25
    assert found.figure("rate.built").value == pytest.approx(net / start / years)


def test_a_transition_has_its_figure_and_its_patches(county, matrix):
    found = gather(Query(metric="transition", from_cls="cropland", to_cls="built", **SPAN), county)
    assert found.figure("transition").value == near(matrix[1, 6])
    assert found.patches
    assert {(one.from_cls, one.to_cls) for one in found.patches} == {("cropland", "built")}


def test_places_in_order_of_their_flows(county):
    query = Query(metric="rank", cls="cropland", group_by="town", rank={"n": 1, "order": "asc"}, **SPAN)
    found = gather(query, county)
    values = [one.value for one in found.find(quantity="net")]
    assert len(values) == 2 and values == sorted(values)
    moved = gather(query.changed(rank={"n": 1, "order": "size"}), county).find(quantity="net")
    sizes = [abs(one.value) for one in moved]
    assert sizes == sorted(sizes, reverse=True) and [one.value for one in moved] == values
    gains = gather(query.changed(to_cls="built", cls="built", rank={"n": 2, "order": "desc"}), county)
    values = [one.value for one in gains.find(quantity="gain", cls="built")]
    assert values == sorted(values, reverse=True)
    states = gather(query.changed(t1=None), county)
    assert {one.cls for one in states.find(quantity="state", dimension="area")} == {"cropland"}


def test_patches_are_counted_summed_and_told_by_kind(county):
    found = gather(Query(metric="patches", **SPAN), county)
    rows = found.patches
    assert found.figure("patches.count").value == len(rows) >= 3
    assert found.figure("patches.area").value == pytest.approx(sum(one.area_m2 for one in rows))
    assert [one.area_m2 for one in rows] == sorted((one.area_m2 for one in rows), reverse=True)
    assert all(one.from_cls != one.to_cls for one in rows)
    for prefix in ("type", "grade"):
        counts = [one.value for one in found.figures if one.key.startswith(f"{prefix}.") and one.dimension == "count"]
        assert sum(counts) == len(rows)
    sectors = [one.value for one in found.figures if one.key.startswith("sector.")]
    assert sum(sectors) == pytest.approx(1.0)
    survey = open_survey(county, found.survey)
    assert found.figure("below_mmu.count").value == survey.counts().below.patches
    alike = survey.records().query("QDL == HDL")
    assert 0 < found.figure("same_class.count").value <= len(alike)
    assert not {one.id for one in rows} & set(alike["TBBH"])
    assert {"NEEDS_FIELD_CHECK", "LEGAL_NOT_ASSESSED", "BELOW_MMU"} <= set(found.caveats)
    assert found.next_step == "field_check"


def test_suspected_ground_may_be_none_or_more_than_was_found(county):
    """No later date confirms a patch, so nothing is certain; upward as gains of built-up land were found off counts."""
    found = gather(Query(metric="patches", to_cls="built", **SPAN), county)
    main, (share,) = found.figure("patches.area"), {one.clear_share for one in found.scenes if one.used}
    area = polygon_areas_m2(county.zones()["county"].dissolve().geometry)[0] * share
    floor = 0.008 * area + 9 * 100.0
    high = ((main.value + floor) * math.exp(0.5) - floor) / share
    assert {one.grade for one in found.patches} <= {"B", "C"}
    assert main.bounds == pytest.approx((0.0, high), rel=1e-6)


def test_patches_of_a_class_a_size_and_a_town(county):
    every = gather(Query(metric="patches", **SPAN), county).patches
    built = gather(Query(metric="patches", to_cls="built", min_area_m2=2000, **SPAN), county).patches
    wanted = [
        one.id
        for one in every
        if one.area_m2 >= 2000
        and one.from_cls != "built"
        and (one.to_cls == "built" or one.kind in ("DT", "20", "DL", "CK"))
    ]
    assert wanted and [one.id for one in built] == wanted
    town = county.known().zones["town"][0]
    inside = gather(Query(metric="patches", zone={"type": "town", "name": town}, **SPAN), county).patches
    assert {one.id for one in inside} == {one.id for one in every if one.town == town}
    largest = gather(Query(metric="rank", rank={"n": 2, "order": "desc"}, **SPAN), county).patches
    assert [one.id for one in largest] == [one.id for one in every[:2]]


def test_towns_inside_a_zone_count_their_ground_in_it(county):
    """What towns lost within farmland is what the farmland lost; patches in it count with their ground inside."""
    zone = {"type": "basic_farmland"}
    found = gather(Query(metric="loss", cls="cropland", zone=zone, group_by="town", **SPAN), county)
    towns = found.find(quantity="loss", dimension="area")
    assert len([one for one in towns if one.place]) == 2
    assert sum(one.value for one in towns if one.place) == near(found.figure("loss").value)
    states = gather(Query(metric="area_at", cls="cropland", zone=zone, group_by="town", t2="2024-12-31"), county)
    parts = [one.value for one in states.find(quantity="state", dimension="area") if one.place]
    whole = next(one.value for one in states.find(quantity="state", dimension="area") if not one.place)
    assert sum(parts) == near(whole)
    listed = gather(Query(metric="patches", zone=zone, **SPAN), county)
    rows = listed.patches
    assert listed.figure("patches.area").value == pytest.approx(sum(one.overlap_m2 for one in rows), abs=0.1)
    assert min(one.overlap_m2 for one in rows) >= 100.0
    assert sum(one.overlap_m2 for one in rows) < sum(one.area_m2 for one in rows)


def test_a_patch_belongs_to_one_town(county):
    every = gather(Query(metric="patches", **SPAN), county)
    names = county.known().zones["town"]
    found = [gather(Query(metric="patches", zone={"type": "town", "name": name}, **SPAN), county) for name in names]
    ids = [one.id for town in found for one in town.patches]
    assert sorted(ids) == sorted(one.id for one in every.patches if one.town)
    for town in found:
        assert town.figure("patches.area").value == pytest.approx(sum(one.area_m2 for one in town.patches))


def test_overlap_is_the_patches_ground_inside_the_zone(county):
    found = gather(Query(metric="overlap", zone={"type": "basic_farmland"}, **SPAN), county)
    main = found.figure("overlap")
    assert main.value == pytest.approx(sum(one.overlap_m2 for one in found.patches), abs=1)
    assert all(0 < one.overlap_m2 <= one.area_m2 + 0.01 for one in found.patches)
    assert main.bounds[0] <= main.value <= main.bounds[1]
    assert found.figure("overlap.interior").value < main.value
    records = open_survey(county, found.survey).records().set_index("TBBH")
    for one in found.patches:
        assert one.overlap_m2 == pytest.approx(records.loc[one.id, "ZYYN_M2"], rel=1e-3, abs=1)
    assert "ZONE_EDGE_1PX" in found.caveats
    asked = gather(Query(metric="overlap"), county)
    assert (asked.status, asked.reason) == ("words", "need_zone")


def test_inside_and_outside_add_up(county):
    zone = {"type": "reserve"}
    inside, outside, whole = (
        gather(Query(metric="gain", cls="built", zone=one, **SPAN), county).figure("gain").value
        for one in (zone, zone | {"inside": False}, None)
    )
    assert inside + outside == pytest.approx(whole, rel=0.01, abs=300)


def test_areas_and_shares_of_one_day(county):
    found = gather(Query(metric="area_at", t2="2024-12-31"), county)
    shares = found.find(quantity="state", dimension="share")
    assert sum(one.value for one in shares) == pytest.approx(1.0)
    assert found.checks == {"sums_agree": True}
    assert {one.t2 for one in shares} == {"2024-09-25"}
    towns = gather(Query(metric="area_at", cls="forest", group_by="town", t2="2024-12-31"), county)
    parts = [one.value for one in towns.find(quantity="state", dimension="area") if one.place]
    assert sum(parts) == pytest.approx(towns.figure("state.forest").value, rel=0.02)


def test_states_hold_the_truth(county, county_truth):
    found = gather(Query(metric="area_at", t2="2024-12-31"), county)
    truth = county_truth["zones"]["county"][0]["areas_m2"]["2024-09-25"]
    held = [one.bounds[0] <= truth[one.cls] <= one.bounds[1] for one in found.find(quantity="state", dimension="area")]
    assert sum(held) >= 6


def test_two_periods_side_by_side(county):
    other = Query(metric="gain", cls="built", t1="2022-12-31", t2="2023-12-31")
    query = Query(metric="compare", compare="periods", cls="built", t1="2023-12-31", t2="2024-12-31", others=(other,))
    found = gather(query, county)
    first, second, difference = (found.figure(key) for key in ("side1", "side2", "difference"))
    assert (second.t1, second.t2) == ("2022-09-18", "2023-09-20")
    assert difference.value == first.value - second.value
    assert difference.bounds[0] <= difference.value <= difference.bounds[1]
    assert {scene.date for scene in found.scenes if scene.used} == {"2022-09-18", "2023-09-20", "2024-09-25"}
    towns = county.known().zones["town"]
    sides = [{"metric": "gain", "cls": "built", "zone": {"type": "town", "name": name}, **SPAN} for name in towns]
    zones = gather(Query.of(sides[0] | {"metric": "compare", "compare": "zones", "others": [sides[1]]}), county)
    assert (zones.figure("side1").place, zones.figure("side2").place) == towns


def test_accuracy_is_that_of_the_confusion(county):
    found = gather(Query(metric="accuracy"), county)
    cells = {(one.to_cls, one.from_cls): one.value for one in found.figures if one.kind == "confusion"}
    assert sum(cells.values()) == pytest.approx(1.0)
    right = sum(value for (mapped, true), value in cells.items() if mapped == true)
    overall = found.find(kind="overall")[0]
    assert overall.value == pytest.approx(right)
    assert overall.bounds[0] < overall.value < overall.bounds[1]
    user = found.find(kind="user", cls="forest")[0].value
    line = sum(value for (mapped, _), value in cells.items() if mapped == "forest")
    assert user == pytest.approx(cells["forest", "forest"] / line)


def test_provenance_and_export(county):
    found = gather(Query(metric="provenance", **SPAN), county)
    assert [one.date for one in found.scenes if one.used] == ["2022-09-18", "2024-09-25"]
    listed = gather(Query(metric="export", **SPAN), county)
    assert [one.id for one in listed.patches] == [
        one.id for one in gather(Query(metric="patches", **SPAN), county).patches
    ]


def test_estimates_from_samples_take_the_place_of_pixel_counts(county, monkeypatch):
    """An interval replaces the range; the count stays beside it; parts of the county have no estimate."""
    adjusted = {("gain", "built", ""): (1e5, 2e5, 3e5, 600), ("loss", "built", ""): (0.0, 1e4, 4e4, 600)}
    adjusted["net", "built", ""] = (9e4, 1.9e5, 3e5, 600)
    query = Query(metric="gain", cls="built", group_by="town", **SPAN)
    counted = gather(query, county).figure("gain")
    monkeypatch.setattr(pairs, "adjusted_areas", lambda _county, _place, _maps: adjusted)
    found = pairs.gain(query, county, no_progress)
    main = found.figure("gain")
    assert (main.value, main.bounds, main.bounds_kind, main.n_samples) == (2e5, (1e5, 3e5), "ci95", 600)
    pixels = found.figure("gain.pixel")
    assert (pixels.value, pixels.kind, pixels.bounds) == (counted.value, "pixel", None)
    assert found.figure("net").value == found.figure("gain").value - found.figure("loss").value
    assert all(one.bounds_kind == "range" for one in found.figures if one.place)
    assert "UNCALIBRATED_AREA" not in found.caveats


def test_bounds_by_hand():
    """Built: a floor of 0.8 % of the ground and 9 pixels; factors exp(-0.2) and exp(0.5)."""
    seen = Seen(area_m2=1e6, share=0.8, pixel_m2=100.0)
    floor = 0.008 * 1e6 + FLOOR_PX * 100.0
    low, high = bounds_of("gain", "built", 50_000.0, seen)
    assert low == pytest.approx((50_000 + floor) * np.exp(-0.2) - floor)
    assert high == pytest.approx(((50_000 + floor) * np.exp(0.5) - floor) / 0.8)
    assert bounds_of("gain", "built", 0.0, seen)[0] == 0.0
    assert bounds_of("state", "built", 5e5, seen, 6e5)[1] > bounds_of("state", "built", 5e5, seen)[1]
    assert net_bounds(10.0, (7.0, 13.0), 4.0, (0.0, 8.0)) == (6.0 - 5.0, 6.0 + 5.0)
