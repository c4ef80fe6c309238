import numpy as np
import pyproj
import pytest
import shapely
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from src.errors import GridError, InputError
from src.geo.areas import class_areas_m2
from src.geo.blocks import ThreadRunner
from src.geo.grid import Grid, Raster
from src.geo.patches.find import Extent, label_patches, patch_outlines
from src.geo.raster import read_raster, write_raster
from src.geo.zone_overlay import in_crs

ONE = ThreadRunner(1)
ORIGIN = Affine(10, 0, 500000, 0, -10, 3330000)
# A 3 x 3 block with a hole, a diagonal pair, a line, a corner contact with another square, and a single pixel.
PICTURE = """
xxx.......x
x.x......x.
xxx........
.....xxxxxx
xx.........
xx.........
..xx......x
..xx.......
"""
PIXEL_M2 = 100 / 0.9996**2


def changed(picture: str) -> np.ndarray:
    lines = picture.strip().splitlines()
    return np.array([[letter == "x" for letter in line] for line in lines])


def write_change(path, mask, crs=32648):
    grid = Grid(pyproj.CRS.from_epsg(crs), ORIGIN, mask.shape)
    write_raster(path, Raster(mask[None].astype(np.uint8) + 1, np.ones(mask.shape, bool), grid, ("change",)), nodata=0)
    return path


def found(tmp_path, mask, mmu_px=1, block_px=1024, runner=ONE):
    patches = label_patches(
        write_change(tmp_path / "change.tif", mask), tmp_path / "l.tif", runner, mmu_px=mmu_px, block_px=block_px
    )
    return patches, read_raster(tmp_path / "l.tif").data[0], patch_outlines(patches, runner, block_px=block_px)


def test_patches_by_hand(tmp_path):
    patches, labels, _ = found(tmp_path, changed(PICTURE))
    assert labels.dtype == np.int32
    assert labels[0, 0] == 1 and labels[0, 10] == labels[1, 9] == 2 and labels[3, 5] == 3
    assert labels[4, 0] == labels[7, 3] == 4 and labels[6, 10] == 5
    table = patches.table
    assert table["id"].tolist() == [1, 2, 3, 4, 5]
    assert table["pixels"].tolist() == [8, 2, 6, 8, 1]
    assert table[["row", "col", "height", "width"]].to_numpy().tolist() == [
        [0, 0, 3, 3], [0, 9, 2, 2], [3, 5, 1, 6], [4, 0, 4, 4], [6, 10, 1, 1],
    ]  # fmt: skip
    assert table[["first_row", "first_col"]].to_numpy().tolist() == [[0, 0], [0, 10], [3, 5], [4, 0], [6, 10]]
    # 12 outside and 4 around the hole; two pixels apart; 2 x 6 + 2; two squares.
    assert table["edge_px"].tolist() == [16, 8, 14, 16, 4]
    # A ring one pixel wide holds no 2 x 2 square.
    assert table["wide_px"].tolist() == [0, 0, 0, 8, 0]
    assert table["sliver"].tolist() == [True, True, True, False, True]
    assert table["area_m2"].to_numpy() == pytest.approx(table["pixels"].to_numpy() * PIXEL_M2, rel=1e-6)


def test_the_sieve_keeps_both_figures(tmp_path):
    patches, labels, _ = found(tmp_path, changed(PICTURE), mmu_px=8)
    assert patches.table["id"].tolist() == [1, 2] and patches.table["pixels"].tolist() == [8, 8]
    assert set(np.unique(labels)) == {0, 1, 2} and labels[7, 3] == 2
    assert patches.changed == Extent(25, pytest.approx(25 * PIXEL_M2, rel=1e-6), 5)
    assert patches.below == Extent(9, pytest.approx(9 * PIXEL_M2, rel=1e-6), 3)
    assert patches.kept == Extent(16, pytest.approx(16 * PIXEL_M2, rel=1e-6), 2)
    assert patches.kept.area_m2 + patches.below.area_m2 == patches.changed.area_m2


def test_a_patch_of_exactly_the_mmu_stays(tmp_path):
    mask = np.zeros((8, 8), bool)
    mask[1:4, 1:4] = mask[5, 0:8] = True
    patches, _, _ = found(tmp_path, mask, mmu_px=9)
    assert patches.table["pixels"].tolist() == [9] and patches.below.patches == 1


def test_only_value_two_is_change(tmp_path):
    codes = np.array([[0, 1, 2], [3, 255, 2], [0, 0, 2]], np.uint8)
    grid = Grid(pyproj.CRS.from_epsg(32648), ORIGIN, (3, 3))
    write_raster(tmp_path / "c.tif", Raster(codes[None], codes > 0, grid, ("change",)), nodata=0)
    assert label_patches(tmp_path / "c.tif", tmp_path / "l.tif", ONE, mmu_px=1).changed.pixels == 3


def test_outlines_run_along_pixel_edges(tmp_path):
    patches, _, outlines = found(tmp_path, changed(PICTURE))
    assert outlines[2].equals(shapely.box(5, -4, 11, -3))
    assert outlines[0].equals(shapely.box(0, -3, 3, 0).difference(shapely.box(1, -2, 2, -1)))
    # Parts that touch at a corner only make a multipolygon, which stays valid.
    assert outlines[3].geom_type == "MultiPolygon" and shapely.is_valid(outlines).all()
    placed = in_crs(outlines, patches.grid)
    assert placed[4].bounds == (500100, 3329930, 500110, 3329940)


def test_no_change_at_all(tmp_path):
    patches, labels, outlines = found(tmp_path, np.zeros((20, 30), bool), block_px=8)
    assert len(patches.table) == len(outlines) == 0 and not labels.any()
    assert patches.changed == patches.below == patches.kept == Extent(0, 0.0, 0)


def test_all_changed(tmp_path):
    patches, _, outlines = found(tmp_path, np.ones((20, 30), bool), block_px=8)
    assert patches.table["pixels"].tolist() == [600] and patches.table["edge_px"].tolist() == [100]
    assert outlines[0].equals(shapely.box(0, -20, 30, 0))


@settings(max_examples=4, deadline=None)
@given(seed=st.integers(0, 10**6), share=st.sampled_from([0.15, 0.4, 0.5, 0.7]), side=st.sampled_from([11, 16, 33]))
def test_blocks_and_threads_change_no_bit(tmp_path_factory, seed, share, side):
    folder = tmp_path_factory.mktemp("p")
    mask = np.random.default_rng(seed).random((41, 53)) < share
    patches, labels, outlines = found(folder, mask, mmu_px=4)
    again, labels_again, outlines_again = found(folder, mask, mmu_px=4, block_px=side, runner=ThreadRunner(2))
    assert patches.table.equals(again.table) and (labels == labels_again).all()
    assert (patches.changed, patches.below) == (again.changed, again.below)
    assert [shape.wkb for shape in outlines] == [shape.wkb for shape in outlines_again]
    # Against scipy on the whole raster, and the polygons against the pixels.
    reference, count = ndimage.label(mask, np.ones((3, 3)))
    assert patches.changed.patches == count and patches.changed.pixels == mask.sum()
    sizes = np.bincount(reference.ravel())[1:]
    assert sorted(patches.table["pixels"]) == sorted(sizes[sizes >= 4])
    assert shapely.is_valid(outlines).all()
    assert (shapely.area(outlines) == patches.table["pixels"]).all()
    assert (shapely.length(outlines) == patches.table["edge_px"]).all()


def test_areas_agree_with_the_class_areas(tmp_path):
    mask = np.random.default_rng(5).random((120, 90)) < 0.3
    patches, _, _ = found(tmp_path, mask)
    assert patches.changed.area_m2 == pytest.approx(class_areas_m2(mask.astype(np.uint8), patches.grid)[1], rel=1e-7)


def test_bad_input(tmp_path):
    with pytest.raises(InputError, match="minimum mapping unit of 0"):
        found(tmp_path, np.zeros((3, 3), bool), mmu_px=0)
    grid = Grid(None, ORIGIN, (3, 3))
    write_raster(tmp_path / "n.tif", Raster(np.ones((1, 3, 3), np.uint8), np.ones((3, 3), bool), grid, ("change",)))
    with pytest.raises(GridError, match="no CRS"):
        label_patches(tmp_path / "n.tif", tmp_path / "l.tif", ONE)


def test_dask_gives_the_same_bits(tmp_path):
    distributed = pytest.importorskip("dask.distributed")
    from src.geo.blocks import DaskRunner

    mask = np.random.default_rng(8).random((64, 64)) < 0.4
    own = found(tmp_path, mask, mmu_px=3)
    with (
        distributed.LocalCluster(n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
    ):
        other = found(tmp_path, mask, mmu_px=3, block_px=32, runner=DaskRunner(client))
    assert own[0].table.equals(other[0].table) and (own[1] == other[1]).all()
    assert [shape.wkb for shape in own[2]] == [shape.wkb for shape in other[2]]


def test_real_reference_patches(test_data, tmp_path):
    """Taizhou's reference: 4227 changed pixels, 380.43 ha on paper; UTM is up to 0.15 % off the ground."""
    patches = label_patches(
        test_data / "taizhou_landsat7_2000_2003/taizhou_change_reference.tif", tmp_path / "l.tif", ONE
    )
    assert patches.changed.pixels == 4227
    assert patches.changed.area_m2 / 1e4 == pytest.approx(380.43, rel=1.5e-3)
    outlines = patch_outlines(patches, ONE)
    assert (shapely.area(outlines) == patches.table["pixels"]).all() and shapely.is_valid(outlines).all()
