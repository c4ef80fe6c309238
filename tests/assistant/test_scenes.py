"""Which scenes are taken for which question: tables of made-up acquisitions, worked out by hand."""

from pathlib import Path

import pyproj
import pytest
from affine import Affine

from src.assistant.scenes import (
    FARTHEST_DAYS,
    MIN_CLEAR_SHARE,
    Candidate,
    NoScene,
    clear_share,
    comparable,
    pick_latest_pair,
    pick_one,
    pick_states,
    pick_window,
)
from src.geo.grid import Grid
from src.geo.scene import Scene, SceneRecord

GRID = Grid(pyproj.CRS.from_epsg(32648), Affine(10, 0, 500000, 0, -10, 3330000), (10, 10))
ROLES = ("blue", "green", "red", "nir")


def scene(day: str, sensor: str = "sentinel2_l2a", quantity: str = "reflectance", roles=ROLES) -> Scene:
    record = SceneRecord(f"{sensor}_{day}", day, sensor, "L2A", quantity, 10.0, 1.0)
    return Scene(Path(record.id), record, GRID, roles)


def table(*rows) -> list[Candidate]:
    """(day, clear share) rows; a third value names the sensor."""
    return [Candidate(scene(day, *rest), share) for day, share, *rest in rows]


def dates(found) -> tuple[str, ...]:
    return tuple(one.record.date for one in found[:2])


def why(uses) -> dict[str, tuple[bool, str]]:
    return {use.date: (use.used, use.why) for use in uses}


def test_the_nearest_clear_scene_is_taken_and_the_others_say_why_not():
    found = table(("2024-09-25", 1.0), ("2024-11-20", 0.9), ("2024-12-28", 0.2))
    taken, uses = pick_one(found, "2024-12-31")
    assert taken.record.date == "2024-11-20"
    assert why(uses) == {
        "2024-09-25": (False, "farther"),
        "2024-11-20": (True, "nearest"),
        "2024-12-28": (False, "cloudy"),
    }


def test_without_a_day_the_latest_clear_scene_is_taken():
    found = table(("2023-09-25", 1.0), ("2024-09-25", 0.7), ("2024-12-28", MIN_CLEAR_SHARE - 0.01))
    assert pick_one(found, None)[0].record.date == "2024-09-25"


def test_a_single_usable_scene_is_called_the_only_one():
    _, uses = pick_one(table(("2024-09-25", 1.0)), "2024-12-31")
    assert why(uses) == {"2024-09-25": (True, "only")}


def test_no_scene_stands_for_a_day_too_far_away():
    found = table(("2024-01-01", 1.0))
    assert pick_one(found, "2024-07-19")[0].record.date == "2024-01-01"  # 200 days
    with pytest.raises(NoScene) as error:
        pick_one(found, "2024-07-20")
    assert error.value.reason == "no_scene"
    assert FARTHEST_DAYS == 200


def test_only_clouds_near_the_day_is_told_as_such():
    with pytest.raises(NoScene) as error:
        pick_one(table(("2024-12-01", 0.1), ("2022-12-01", 1.0)), "2024-12-31")
    assert error.value.reason == "NO_CLEAR_IMG"
    assert why(error.value.looked_at) == {"2024-12-01": (False, "cloudy")}


def test_for_a_year_a_pair_of_like_seasons_wins_over_a_nearer_one():
    """Days are 2023-12-31 and 2024-12-31; the February scene is nearer, but of another season than September's."""
    found = table(("2023-09-20", 1.0), ("2024-02-10", 1.0), ("2024-09-25", 1.0))
    picked = pick_states(found, "2023-12-31", "2024-12-31")
    assert dates(picked) == ("2023-09-20", "2024-09-25")
    assert why(picked[2])["2024-02-10"] == (False, "season")


def test_a_winter_pair_wins_over_an_autumn_pair_for_year_ends():
    found = table(("2023-09-20", 1.0), ("2023-12-24", 1.0), ("2024-09-25", 1.0), ("2024-12-26", 1.0))
    assert dates(pick_states(found, "2023-12-31", "2024-12-31")) == ("2023-12-24", "2024-12-26")


def test_for_a_quarter_seasons_differ_anyway_and_the_nearest_are_taken():
    found = table(("2023-12-24", 1.0), ("2024-09-26", 1.0), ("2024-11-28", 1.0), ("2024-12-26", 1.0))
    assert dates(pick_states(found, "2024-09-30", "2024-12-31")) == ("2024-09-26", "2024-12-26")


def test_parts_of_a_year_end_near_their_end():
    """March to September must not end in November only because these two seasons are more alike."""
    found = table(("2024-03-26", 1.0), ("2024-06-26", 1.0), ("2024-09-26", 1.0), ("2024-11-28", 1.0))
    assert dates(pick_states(found, "2024-02-29", "2024-09-30")) == ("2024-03-26", "2024-09-26")
    assert dates(pick_states(found, "2024-04-30", "2024-09-30")) == ("2024-03-26", "2024-09-26")


def test_two_scenes_a_week_apart_do_not_stand_for_a_quarter():
    """Both lie near the start; most of the asked period would not be between them."""
    with pytest.raises(NoScene) as error:
        pick_states(table(("2024-09-26", 1.0), ("2024-10-06", 1.0)), "2024-09-30", "2024-12-31")
    assert error.value.reason == "no_scene"


def test_one_date_makes_no_pair():
    with pytest.raises(NoScene) as error:
        pick_states(table(("2024-12-26", 1.0)), "2023-12-31", "2024-12-31")
    assert error.value.reason == "one_date"
    with pytest.raises(NoScene) as error:
        pick_latest_pair(table(("2024-12-26", 1.0), ("2023-12-26", 0.1)))
    assert error.value.reason == "one_date"


def test_scenes_that_measure_different_things_make_no_pair():
    raw = scene("2024-12-26", "generic", "dn")
    assert not comparable(scene("2023-12-24"), raw)
    assert not comparable(scene("2023-12-24"), scene("2024-12-26", roles=("nir", "swir1", "swir2")))
    found = [Candidate(scene("2023-12-24"), 1.0), Candidate(raw, 1.0)]
    with pytest.raises(NoScene):
        pick_states(found, "2023-12-31", "2024-12-31")


def test_a_window_takes_the_last_clear_date_in_it_and_the_last_clear_one_before():
    found = table(
        ("2023-12-24", 1.0), ("2024-11-20", 0.3), ("2024-11-28", 0.9), ("2024-12-10", 1.0), ("2024-12-26", 0.4)
    )
    picked = pick_window(found, "2024-12-01", "2024-12-31")
    assert dates(picked) == ("2024-11-28", "2024-12-10")
    assert why(picked[2]) == {
        "2024-11-28": (True, "before_window"),
        "2024-12-10": (True, "window"),
        "2024-12-26": (False, "cloudy"),
    }


def test_a_window_of_clouds_an_empty_one_and_one_without_a_past():
    cloudy = table(("2024-11-28", 1.0), ("2024-12-10", 0.1))
    with pytest.raises(NoScene) as error:
        pick_window(cloudy, "2024-12-01", "2024-12-31")
    assert error.value.reason == "NO_CLEAR_IMG"
    with pytest.raises(NoScene) as error:
        pick_window(table(("2024-11-28", 1.0)), "2024-12-01", "2024-12-31")
    assert error.value.reason == "no_scene"
    with pytest.raises(NoScene) as error:
        pick_window(table(("2024-12-10", 1.0)), "2024-12-01", "2024-12-31")
    assert error.value.reason == "one_date"


def test_a_window_without_a_scene_before_it_starts_at_its_first_clear_one():
    found = table(("2024-12-03", 0.2), ("2024-12-10", 1.0), ("2024-12-17", 1.0), ("2024-12-26", 1.0))
    first, last, uses = pick_window(found, "2024-12-01", "2024-12-31")
    assert (first.record.date, last.record.date) == ("2024-12-10", "2024-12-26")
    assert {use.why for use in uses if use.used} == {"window"}


def test_the_latest_pair_is_a_year_apart_where_it_can_be():
    found = table(("2022-12-22", 1.0), ("2023-12-24", 1.0), ("2024-11-28", 1.0), ("2024-12-26", 1.0))
    assert dates(pick_latest_pair(found)) == ("2023-12-24", "2024-12-26")
    assert dates(pick_latest_pair(found[2:])) == ("2024-11-28", "2024-12-26")
    assert dates(pick_latest_pair(found, "2023-12-31")) == ("2022-12-22", "2023-12-24")


def test_the_clear_share_of_a_place_is_counted_in_the_place(county):
    found = county.scenes()[0]
    town = county.parts("town")[0]
    assert clear_share(county, found, town) == pytest.approx(1.0, abs=0.02)
    assert clear_share(county, found, county.place(None)) == pytest.approx(1.0, abs=0.02)
