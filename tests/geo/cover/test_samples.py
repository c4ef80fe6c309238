import geopandas as gpd
import numpy as np
import pyproj
import pytest
import shapely
from affine import Affine

from src.errors import InputError, LegendError
from src.geo.blocks import ThreadRunner, blocks_of
from src.geo.caveats import CannotTell
from src.geo.cover import samples as module
from src.geo.cover.samples import LabelSource, TrainingSamples, changed_pixels, draw_samples
from src.geo.cover.validation import spatial_groups
from src.geo.grid import Grid, Raster
from src.geo.raster import read_raster, write_raster
from tests.geo.cover_scenes import GRID_CRS, grid_of, make_scene, patchwork

RUNNER = ThreadRunner(1)


def labels_raster(path, codes, grid):
    write_raster(path, Raster(codes[None], np.ones(codes.shape, bool), grid, ("class",)), nodata=0)
    return path


def squares(path, boxes, codes, column="DLBM", crs=GRID_CRS):
    """Boxes in pixels (left, top, right, bottom) of the 10 m grid, as polygons."""
    shapes = [
        shapely.box(500_000 + 10 * left, 3_400_000 - 10 * bottom, 500_000 + 10 * right, 3_400_000 - 10 * top)
        for left, top, right, bottom in boxes
    ]
    gpd.GeoDataFrame({column: codes}, geometry=shapes, crs=GRID_CRS).to_crs(crs).to_file(path, driver="GPKG")
    return path


def test_all_labelled_clear_pixels_of_a_small_raster_are_taken(tmp_path):
    classes = patchwork((40, 50), (1, 3), 10)
    mask = np.ones((40, 50), np.uint8)
    mask[:, :5] = 2
    scene = make_scene(tmp_path / "s", classes, mask=mask)
    source = LabelSource(labels_raster(tmp_path / "l.tif", classes, scene.grid), "canonical", "2024")
    found = draw_samples(scene, source, RUNNER, seed=0)
    assert len(found) == 40 * 45 and found.cols.min() == 5
    np.testing.assert_array_equal(found.classes, classes[found.rows, found.cols])
    np.testing.assert_array_equal(found.groups, spatial_groups(found.rows, found.cols, 20))
    assert (found.weights == 1).all() and (found.route, found.source, found.date) == ("labels", "l.tif", "2024")


def test_large_classes_are_thinned_and_weigh_what_they_stand_for(tmp_path):
    classes = np.ones((60, 60), np.uint8)
    classes[:5, :10] = 3
    scene = make_scene(tmp_path / "s", classes)
    source = LabelSource(labels_raster(tmp_path / "l.tif", classes, scene.grid), "canonical")
    found = draw_samples(scene, source, RUNNER, seed=0, per_class=100)
    assert np.bincount(found.classes).tolist() == [0, 100, 0, 50]
    assert found.weights[found.classes == 1].sum() == pytest.approx(3550)
    assert found.weights[found.classes == 3].sum() == pytest.approx(50)
    # Spread over the raster, not its first rows.
    assert found.rows[found.classes == 1].mean() == pytest.approx(31, abs=6)


def test_the_draw_depends_on_the_seed_alone(tmp_path, monkeypatch):
    """Neither block size nor threads change which pixels are kept."""
    classes = patchwork((90, 90), (1, 3, 5), 15)
    scene = make_scene(tmp_path / "s", classes)
    source = LabelSource(labels_raster(tmp_path / "l.tif", classes, scene.grid), "canonical")
    first = draw_samples(scene, source, RUNNER, seed=1, per_class=50)
    monkeypatch.setattr(module, "blocks_of", lambda shape: blocks_of(shape, 32)[::-1])
    second = draw_samples(scene, source, ThreadRunner(3), seed=1, per_class=50)
    other = draw_samples(scene, source, RUNNER, seed=2, per_class=50)
    for name in ("rows", "cols", "classes", "groups", "weights"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))
    assert set(zip(first.rows, first.cols, strict=True)) != set(zip(other.rows, other.cols, strict=True))


def test_polygons_lose_their_mixed_edge_and_stay_in_one_group(tmp_path):
    """A parcel of 10 x 10 pixels keeps its inner 8 x 8; its group is that of its middle."""
    scene = make_scene(tmp_path / "s", np.ones((60, 60), np.uint8))
    path = squares(tmp_path / "p.gpkg", [(14, 14, 24, 24), (40, 40, 50, 50)], ["0101", "0301K"])
    found = draw_samples(scene, LabelSource(path, "sandiao", column="DLBM"), RUNNER, seed=0)
    crop = found.classes == 1
    assert crop.sum() == 64 and (~crop).sum() == 64 and set(found.classes[~crop].tolist()) == {3}
    assert (found.rows[crop].min(), found.rows[crop].max()) == (15, 22)
    assert len(set(found.groups[crop].tolist())) == 1


def test_polygons_in_degrees_give_the_same_pixels(tmp_path):
    scene = make_scene(tmp_path / "s", np.ones((60, 60), np.uint8))
    boxes, codes = [(5, 5, 15, 20), (30, 30, 50, 45)], ["0101", "1104"]
    metres = squares(tmp_path / "m.gpkg", boxes, codes)
    degrees = squares(tmp_path / "d.gpkg", boxes, codes, crs="EPSG:4490")
    one, two = (
        draw_samples(scene, LabelSource(p, "sandiao", column="DLBM"), RUNNER, seed=0) for p in (metres, degrees)
    )
    assert len(one) == 8 * 13 + 18 * 13
    np.testing.assert_array_equal(one.rows, two.rows)
    np.testing.assert_array_equal(one.cols, two.cols)


def test_narrow_polygons_are_dropped_and_counted_unless_a_class_has_no_others(tmp_path):
    scene = make_scene(tmp_path / "s", np.ones((60, 60), np.uint8))
    boxes = [(5, 5, 25, 25), (30, 5, 50, 6), (5, 40, 50, 42), (200, 200, 220, 220)]
    path = squares(tmp_path / "p.gpkg", boxes, ["0101", "0101", "1003", "0101"])
    found = draw_samples(scene, LabelSource(path, "sandiao", column="DLBM"), RUNNER, seed=0)
    assert (found.classes == 1).sum() == 18 * 18
    assert (found.classes == 6).sum() == 90, "the only road keeps its 45 x 2 pixels"
    assert found.dropped_features == 2


def test_points_label_their_pixel(tmp_path):
    scene = make_scene(tmp_path / "s", np.ones((30, 30), np.uint8))
    points = [shapely.Point(500_000 + 10 * c + 4, 3_400_000 - 10 * r - 6) for r, c in ((3, 7), (20, 29))]
    gpd.GeoDataFrame({"code": [10, 50]}, geometry=points, crs=GRID_CRS).to_file(tmp_path / "p.gpkg", driver="GPKG")
    found = draw_samples(scene, LabelSource(tmp_path / "p.gpkg", "worldcover", column="code"), RUNNER, seed=0)
    assert [found.rows.tolist(), found.cols.tolist(), found.classes.tolist()] == [[3, 20], [7, 29], [3, 6]]


def test_a_reference_product_counts_only_where_its_neighbourhood_agrees(tmp_path):
    """WorldCover codes on the same grid: the two columns along the border between the classes stay out."""
    codes = np.full((20, 20), 40, np.uint8)
    codes[:, 10:] = 10
    scene = make_scene(tmp_path / "s", np.ones((20, 20), np.uint8))
    path = labels_raster(tmp_path / "wc.tif", codes, scene.grid)
    found = draw_samples(scene, LabelSource(path, "worldcover", "2021", reference=True), RUNNER, seed=0)
    assert found.route == "reference" and len(found) == 360
    assert set(found.cols[found.classes == 1].tolist()) == set(range(9))
    assert set(found.cols[found.classes == 3].tolist()) == set(range(11, 20))


def test_a_coarser_product_in_degrees_keeps_whole_pixels_from_its_borders(tmp_path):
    """A 30 m product in another CRS over 10 m pixels: three of our pixels on each side of a border stay out."""
    codes = np.ones((40, 40), np.uint8)
    codes[:, 20:] = 2
    to_degrees = pyproj.Transformer.from_crs(GRID_CRS, 4326, always_xy=True)
    left, top = to_degrees.transform(499_700, 3_400_300)
    right, bottom = to_degrees.transform(500_900, 3_399_100)
    grid = Grid(pyproj.CRS(4326), Affine((right - left) / 40, 0, left, 0, (bottom - top) / 40, top), (40, 40))
    scene = make_scene(tmp_path / "s", np.ones((60, 60), np.uint8))
    path = labels_raster(tmp_path / "clcd.tif", codes, grid)
    found = draw_samples(scene, LabelSource(path, "clcd", reference=True), RUNNER, seed=0)
    assert set(found.classes.tolist()) == {1, 3}
    # The border lies at 30 pixels.
    assert found.cols[found.classes == 1].max() in (26, 27) and found.cols[found.classes == 3].min() in (32, 33, 34)


def test_finer_labels_are_summarised_by_their_majority(tmp_path):
    codes = np.ones((40, 40), np.uint8)
    codes[::2, ::2] = 3
    codes[20:, :] = 3
    codes[20::2, ::2] = 1
    scene = make_scene(tmp_path / "s", np.ones((20, 20), np.uint8))
    fine = Grid(scene.grid.crs, scene.grid.transform @ Affine.scale(0.5), (40, 40))
    found = draw_samples(
        scene, LabelSource(labels_raster(tmp_path / "l.tif", codes, fine), "canonical"), RUNNER, seed=0
    )
    assert set(found.classes[found.rows < 10].tolist()) == {1} and set(found.classes[found.rows >= 10].tolist()) == {3}


def test_changed_pixels_stay_out(tmp_path):
    classes = patchwork((30, 30), (1, 3), 10)
    scene = make_scene(tmp_path / "s", classes)
    change = np.ones((30, 30), np.uint8)
    change[:, 10:20] = 2
    path = labels_raster(tmp_path / "change.tif", change, scene.grid)
    source = LabelSource(labels_raster(tmp_path / "l.tif", classes, scene.grid), "canonical")
    found = draw_samples(scene, source, RUNNER, seed=0, exclude=path)
    assert len(found) == 600 and not np.isin(found.cols, range(10, 20)).any()
    block = blocks_of((30, 30))[0]
    np.testing.assert_array_equal(changed_pixels(path, scene.grid, block), read_raster(path).data[0] == 2)
    assert not changed_pixels(None, scene.grid, block).any()


def test_errors_name_what_is_wrong(tmp_path):
    scene = make_scene(tmp_path / "s", np.ones((20, 20), np.uint8), mask=np.full((20, 20), 2))
    path = squares(tmp_path / "p.gpkg", [(2, 2, 12, 12)], ["9999"])
    with pytest.raises(InputError, match="no column 'dlbm'; it has DLBM"):
        draw_samples(scene, LabelSource(path, "sandiao", column="dlbm"), RUNNER, seed=0)
    with pytest.raises(LegendError, match="9999"):
        draw_samples(scene, LabelSource(path, "sandiao", column="DLBM"), RUNNER, seed=0)
    raster = labels_raster(tmp_path / "l.tif", np.ones((20, 20), np.uint8), grid_of((20, 20)))
    with pytest.raises(CannotTell, match="NO_CLEAR_IMG.*l.tif"):
        draw_samples(scene, LabelSource(raster, "canonical"), RUNNER, seed=0)


def test_samples_check_themselves():
    empty = np.zeros(0)
    with pytest.raises(InputError, match="different lengths"):
        TrainingSamples(np.zeros(2), empty, empty, empty, empty, (5, 5), "labels", "x")
    with pytest.raises(InputError, match="class ids are 1 to 7"):
        TrainingSamples(np.zeros(1), np.zeros(1), np.array([8]), np.zeros(1), np.ones(1), (5, 5), "labels", "x")
