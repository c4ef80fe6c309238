"""One measured pair: figures against plain numpy, each stage done once, nothing half-written."""

import threading
from dataclasses import replace
from datetime import date

import numpy as np
import pytest

from src.assistant import changes, covers, survey
from src.assistant.changes import locked, read_json, write_json
from src.assistant.county import County, Place, UnknownZone, season_days
from src.assistant.covers import cover_of
from src.assistant.query import Query, ZoneRef
from src.assistant.survey import Survey, open_survey
from src.errors import MissingPathError
from src.geo.areas import pixel_areas_m2
from src.geo.blocks import ThreadRunner
from src.geo.caveats import CannotTell
from src.geo.raster import read_raster
from src.geo.transition import transition_matrix
from src.geo.workspace import open_workspace


@pytest.fixture(scope="module")
def measured(county) -> Survey:
    first, _, last = county.scenes()
    return Survey(county, first, last)


def rasters(measured):
    """Codes of both dates as the change map leaves them, change, and ground."""
    paths = measured.maps.before, measured.maps.after, measured.changes.change
    before, after, change = (read_raster(path).data[0] for path in paths)
    after = np.where(change == 2, after, np.where(change == 1, before, 0))
    ground = np.broadcast_to(pixel_areas_m2(measured.before.grid), before.shape)
    return before, after, change, ground


def test_flows_are_what_numpy_counts_on_the_rasters(county, measured):
    before, after, change, ground = rasters(measured)
    expected = np.zeros((8, 8))
    np.add.at(expected, (before.ravel(), after.ravel()), ground.ravel())
    flows = measured.flows(Place("county", "", None, "everything"))
    assert (change == 2).sum() > 100
    assert flows.matrix == pytest.approx(expected, rel=1e-6)
    first, second = (
        read_raster(path).data / 100.0 for path in (measured.maps.before_probability, measured.maps.after_probability)
    )
    seen = (before > 0) & (after > 0)
    assert flows.before == pytest.approx((first * np.where(seen, ground, 0)).sum((1, 2)), rel=1e-5)
    later = np.where(change == 2, second, first)
    assert flows.after == pytest.approx((later * np.where(seen, ground, 0)).sum((1, 2)), rel=1e-5)


def test_a_towns_matrix_is_the_one_that_the_geo_half_measures(county, measured):
    town = county.parts("town")[0]
    maps = measured.maps
    expected = transition_matrix(maps.before, maps.after, maps.change, ThreadRunner(1), town.outline)
    assert (measured.flows(town).matrix == expected).all()


def test_towns_add_up_to_the_county(county, measured):
    towns = sum(measured.flows(town).matrix for town in county.parts("town"))
    assert towns == pytest.approx(measured.flows(county.place(None)).matrix, rel=1e-3, abs=500)


def test_each_stage_is_measured_once(county, measured, monkeypatch):
    place = county.place(None)
    measured.flows(place)
    count = measured.counts()

    def never(*_args, **_kwargs):
        raise AssertionError("measured again")

    for module, names in {
        changes: ("make_pair", "fit_change", "write_change"),
        covers: ("fit_scored_cover", "write_cover", "draw_samples"),
        survey: ("flow_areas", "label_patches", "patch_records"),
    }.items():
        for name in names:
            monkeypatch.setattr(module, name, never)
    again = Survey(County(open_workspace(county.workspace.root), ThreadRunner(1), county.as_of), *county.scenes()[::2])
    assert again.folder == measured.folder
    assert (again.flows(place).matrix == measured.flows(place).matrix).all()
    assert again.counts() == count
    assert len(again.records()) > 0
    assert [one.map for one in again.covers] == [one.map for one in measured.covers]


def test_patches_need_land_cover_of_changed_ground_only(county, measured):
    change = read_raster(measured.changes.change).data[0]
    for alone, whole in zip(measured.changed_covers, measured.covers, strict=True):
        assert alone.maps != whole.maps and alone.folder == whole.folder
        found, expected = (read_raster(one.map).data[0] for one in (alone, whole))
        assert (found[change == 2] == expected[change == 2]).mean() > 0.999
        assert found.any() and not found[change != 2].any()


def test_patches_do_not_wait_for_the_whole_cover(county, monkeypatch):
    def never(_survey):
        raise AssertionError("unchanged ground was classified")

    monkeypatch.setattr(Survey, "covers", property(never))
    records = Survey(county, *county.scenes()[1:]).records()
    assert len(records) > 0 and (records["QDL"] != "未知").all()


def test_a_cover_is_shared_by_the_pairs_of_a_scene(county, measured):
    first, middle, last = county.scenes()
    other = Survey(county, middle, last)
    assert other.changes.pair.after.folder == last.folder
    assert other.covers[1].folder == measured.covers[1].folder


def test_what_was_cut_short_is_made_again(county, measured):
    """A killed run leaves rasters without the note that is written last; they count for nothing."""
    folder = measured.changes.folder
    note = read_json(folder / "change.json")
    (folder / "change.json").unlink()
    (folder / "change.tif").write_bytes(b"half")
    fresh = Survey(county, measured.before, measured.after)
    assert read_raster(fresh.changes.change).data.max() == 2
    assert read_json(folder / "change.json") == note


def test_a_damaged_note_counts_as_none(tmp_path):
    path = tmp_path / "note.json"
    write_json(path, {"a": 1})
    assert read_json(path) == {"a": 1}
    path.write_text('{"a": ', encoding="utf-8")
    assert read_json(path) is None
    assert read_json(tmp_path / "missing.json") is None


def test_two_at_once_do_not_enter_a_folder_together(tmp_path):
    inside, most = [], []

    def work() -> None:
        with locked(tmp_path / "folder"):
            inside.append(1)
            most.append(len(inside))
            threading.Event().wait(0.02)
            inside.pop()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1, 1, 1, 1]


def test_a_survey_is_found_by_its_name(county, measured):
    measured.changes  # noqa: B018
    found = open_survey(county, measured.folder.name)
    assert found.folder == measured.folder
    for name in ("2020-01-01_2021-01-01_000000000000", "../../etc", ""):
        with pytest.raises(MissingPathError):
            open_survey(county, name)


def test_labels_of_another_day_leave_out_what_changed_since(county, measured, monkeypatch):
    """The map of the last date learns from labels of the first; changed pixels between the two are left out."""
    record = min(county.workspace.labels(), key=lambda one: one.date or "")
    drawn = []
    monkeypatch.setattr(covers, "choose_labels", lambda _labels, _day: record)
    original = covers.draw_samples
    monkeypatch.setattr(covers, "draw_samples", lambda *a, **k: drawn.append(k["exclude"]) or original(*a, **k))
    cover = cover_of(county, county.scenes()[-1], lambda _step, _share: None)
    assert drawn == [cover.folder / "change.tif"]
    changed = [read_raster(path).data[0] == 2 for path in (drawn[0], measured.changes.change)]
    assert (changed[0] & changed[1]).sum() > 0.8 * changed[1].sum()
    assert cover.label_date == "2022-09-18"
    assert cover.folder != measured.covers[1].folder


def test_without_labels_uncalibrated_scenes_have_no_cover_but_patches(county, tmp_path):
    scenes = [replace(one, record=replace(one.record, quantity="dn", content="raw")) for one in county.scenes()]
    workspace = replace(county.workspace, root=tmp_path)
    (tmp_path / "scenes").mkdir()
    bare = County(workspace, ThreadRunner(1), county.as_of)
    survey_ = Survey(bare, scenes[0], scenes[-1])
    with pytest.raises(CannotTell) as error:
        survey_.covers  # noqa: B018
    assert error.value.code == "DN_ONLY"
    records = survey_.records()
    assert len(records) > 0
    assert set(records["QDL"]) == {"未知"}


def test_places_have_names_digests_and_refusals(county):
    reserve = county.place(ZoneRef(type="reserve"))
    core = county.place(ZoneRef(type="reserve", part="core"))
    assert (reserve.name, len(reserve.outline)) == ("reserve", 3)
    assert core.outline["part"].tolist() == ["core"]
    outside = county.place(ZoneRef(type="reserve", inside=False))
    whole = county.place(None)
    assert whole.name == ""
    parts = [outside.outline.geometry.union_all(), reserve.outline.geometry.union_all()]
    assert sum(one.area for one in parts) == pytest.approx(whole.outline.geometry.union_all().area, rel=1e-6)
    assert len({one.key for one in (reserve, core, outside, whole)}) == 4
    with pytest.raises(UnknownZone) as error:
        county.place(ZoneRef(type="town", name="没有镇"))
    assert error.value.choices == county.known().zones["town"]
    with pytest.raises(CannotTell) as missing:
        county.place(ZoneRef(type="mining"))
    assert (missing.value.code, missing.value.detail) == ("NO_ZONE_LAYER", "mining")


def test_a_zone_of_a_town_is_the_ground_of_both(county):
    towns = county.known().zones["town"]
    whole = county.place(ZoneRef(type="basic_farmland")).outline.geometry.union_all()
    shared = []
    for town in towns:
        outline = county.place(ZoneRef(type="town", name=town)).outline.geometry.union_all()
        if whole.intersection(outline).area > 0:
            place = county.place(ZoneRef(type="basic_farmland", town=town))
            assert (place.kind, place.name) == ("basic_farmland", f"{town}永久基本农田")
            shared.append(place.outline.geometry.union_all().area)
            assert shared[-1] == pytest.approx(whole.intersection(outline).area, rel=1e-9)
    assert sum(shared) == pytest.approx(whole.area, rel=1e-6)
    core = county.place(ZoneRef(type="reserve", part="core")).outline.geometry.union_all()
    outlines = {town: county.place(ZoneRef(type="town", name=town)).outline.geometry.union_all() for town in towns}
    far = next(town for town, outline in outlines.items() if core.intersection(outline).area == 0)
    with pytest.raises(CannotTell) as none:
        county.place(ZoneRef(type="reserve", part="core", town=far))
    assert (none.value.code, none.value.detail) == ("NOT_IN_TOWN", "reserve")
    with pytest.raises(UnknownZone) as unknown:
        county.place(ZoneRef(type="reserve", town="没有镇"))
    assert unknown.value.choices == towns


def test_a_point_is_a_disc_on_the_ground(county):
    west, south, east, north = county.place(None).outline.total_bounds
    query = Query(metric="point", lon=(west + east) / 2, lat=(south + north) / 2, radius_m=300)
    disc = county.place(ZoneRef(type="point"), query).outline
    area = disc.to_crs(disc.estimate_utm_crs()).area.iloc[0]
    assert area == pytest.approx(np.pi * 300**2, rel=0.01)


def test_what_is_known_and_the_digest_of_inputs(county):
    known = county.known()
    assert known.dates == ("2022-09-18", "2023-09-20", "2024-09-25")
    assert known.county == "松溪县"
    assert set(known.zones) == {"county", "town", "river", "reserve", "basic_farmland"}
    assert county.inputs() == county.inputs()
    earlier = County(county.workspace, county.runner, date(2023, 12, 31))
    assert earlier.known().dates == known.dates[:2]
    assert earlier.inputs() != county.inputs()


def test_season_days_go_the_short_way_round():
    assert season_days("2023-12-20", "2024-01-05") == 16
    assert season_days("2023-03-01", "2024-03-01") == 1  # the leap day
    assert season_days("2023-01-01", "2023-07-02") == 182
