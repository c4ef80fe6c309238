import numpy as np
import pyproj
import pytest

from src.assistant.county import no_progress
from src.assistant.metrics.patches import patches
from src.assistant.metrics.places import find_patch, first_seen, patch_detail, point, special, verify
from src.assistant.query import Query

DAYS = ("2022-09-18", "2023-09-20", "2024-09-25")


@pytest.fixture(scope="module")
def listed(county):
    """Suspected patches of the last year, largest first."""
    found = patches(Query(metric="patches", t1="2023-09-30", t2="2024-09-30"), county, no_progress)
    assert found.patches
    return found.patches


@pytest.fixture(scope="module")
def site(simulated):
    """A building site of the last year with its place in degrees, far from others' doubt: the largest."""
    events = [one for one in simulated[1]["events"] if one["start"] > DAYS[1] and one["kind"] == "construction"]
    assert events
    largest = max(events, key=lambda one: one["cells_m2"])
    lon, lat = pyproj.Transformer.from_crs(32648, 4490, always_xy=True).transform(largest["x"], largest["y"])
    return largest, lon, lat


def test_patch_is_found_again_by_its_number(county, listed):
    survey = find_patch(county, listed[0].id, no_progress)
    assert survey is not None and survey.dates == (listed[0].t1, listed[0].t2)
    assert find_patch(county, "000000-20240101-DT-00000", no_progress) is None


def test_detail_is_the_patch_and_its_ground_on_both_dates(county, listed):
    row = max(listed, key=lambda one: len(one.zones))
    found = patch_detail(Query(metric="patch_detail", patch_id=row.id), county, no_progress)
    assert [one.id for one in found.patches] == [row.id]
    assert found.figure("patch").value == row.area_m2 and found.figure("patch").bounds == row.bounds
    indices = found.find(quantity="index", kind="NDVI")
    assert [one.t2 for one in indices] == [row.t1, row.t2]
    assert all(-1 <= one.value <= 1 and one.patch_id == row.id for one in indices)
    overlaps = found.find(quantity="overlap")
    assert {one.kind for one in overlaps} <= set(row.zones)
    assert all(one.value <= row.area_m2 * (1 + 1e-6) for one in overlaps)


@pytest.mark.parametrize("metric", [patch_detail, first_seen, verify])
def test_unknown_number_cannot_be_told(county, metric):
    found = metric(Query(metric=metric.__name__, patch_id="000000-20240101-DT-00000"), county, no_progress)
    assert (found.status, found.reason, found.next_step) == ("cannot_tell", "no_patch", "check_number")


@pytest.mark.parametrize("metric", [patch_detail, first_seen, verify])
def test_without_a_patch_it_is_asked_which(county, metric):
    found = metric(Query(metric=metric.__name__), county, no_progress)
    assert (found.status, found.reason) == ("words", "need_patch")


def test_patch_was_first_seen_between_its_two_dates(county, listed):
    found = first_seen(Query(metric="first_seen", patch_id=listed[0].id), county, no_progress)
    period = found.figure("onset")
    assert (period.t1, period.t2, period.value) == (listed[0].t1, listed[0].t2, 371)
    assert found.figure(f"share.{DAYS[2]}").value > 0.5 and [one.id for one in found.patches] == [listed[0].id]


def test_point_of_a_building_site_was_first_seen_after_it_began(county, site):
    event, lon, lat = site
    found = first_seen(Query(metric="first_seen", lon=lon, lat=lat), county, no_progress)
    period = found.figure("onset")
    assert period.t1 <= event["start"] <= period.t2
    assert (period.t1, period.t2) == (DAYS[1], DAYS[2])


def test_ground_that_stayed_has_no_onset(county, simulated):
    truth_changes = [(one["x"], one["y"], (one["cells_m2"] ** 0.5)) for one in simulated[1]["events"]]
    left, bottom, right, top = simulated[1]["bounds"]
    spots = [(left + i * 100, bottom + j * 100) for i in range(3, 13) for j in range(3, 13)]
    x, y = max(spots, key=lambda xy: min(((xy[0] - a) ** 2 + (xy[1] - b) ** 2) ** 0.5 - r for a, b, r in truth_changes))
    lon, lat = pyproj.Transformer.from_crs(32648, 4490, always_xy=True).transform(x, y)
    found = first_seen(Query(metric="first_seen", lon=lon, lat=lat), county, no_progress)
    assert (found.status, found.reason) == ("cannot_tell", "no_change")
    assert all(one.value <= 0.5 for one in found.find(quantity="series", kind="changed"))


def test_change_of_one_season_persists(county, site):
    _, lon, lat = site
    found = verify(Query(metric="verify", lon=lon, lat=lat), county, no_progress)
    assert found.checks == {"persists": True}
    assert found.figure("season").value == 6
    assert [one.t2 for one in found.find(quantity="index", kind="NDVI")] == [DAYS[1], DAYS[2]]


def test_point_tells_patches_classes_and_dates(county, listed):
    row = listed[0]
    query = Query(metric="point", lon=row.lon, lat=row.lat, t1="2023-09-30", t2="2024-09-30")
    found = point(query, county, no_progress)
    assert found.query.radius_m == 300.0 and found.figure("radius").value == 300.0
    mine = next(one for one in found.patches if one.id == row.id)
    assert 0 < mine.overlap_m2 <= row.area_m2
    assert found.figure("patches.count").value == len(found.patches)
    # A polygon of 64 corners in a circle of 300 m, as far as it lies on the images.
    disc_m2 = 0.5 * 64 * np.sin(2 * np.pi / 64) * 300**2
    for side in ("before", "after"):
        areas = [one.value for one in found.figures if one.key.startswith(f"{side}.") and one.dimension == "area"]
        assert 0 < sum(areas) <= disc_m2 * 1.001
    assert [one.t2 for one in found.find(quantity="series", kind="NDVI")] == list(DAYS)


def test_point_outside_the_images_cannot_be_told(county):
    found = point(Query(metric="point", lon=120.0, lat=30.0), county, no_progress)
    assert (found.status, found.reason) == ("cannot_tell", "outside")
    assert (point(Query(metric="point"), county, no_progress)).reason == "need_point"


def test_facilities_are_not_told_apart(county):
    found = special(Query(metric="special", reason="solar"), county, no_progress)
    assert (found.status, found.reason, found.figures) == ("cannot_tell", "CLASS_NOT_SEPARABLE", ())
