import os
import stat
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyproj
import pytest
import rasterio
import rasterio.shutil
from affine import Affine
from PIL import Image
from rasterio.enums import ColorInterp

from src.errors import GridError, InputError, MissingPathError, RasterReadError
from src.geo.blocks import Block, blocks_of
from src.geo.grid import Grid
from src.geo.raster import Raster, atomic_path, block_writer, read_grid, read_onto, read_raster, write_raster

UTM = pyproj.CRS.from_epsg(32648)
GRID = Grid(UTM, Affine(10, 0, 500000, 0, -10, 3330000), (3, 3))
VALUES = np.arange(1, 10).reshape(1, 3, 3)


def raster_3x3(dtype=np.uint16, valid=None, **more) -> Raster:
    mask = np.ones((3, 3), bool) if valid is None else valid
    return Raster(VALUES.astype(dtype), mask, more.pop("grid", GRID), ("B04",), **more)


def write_plain(path, data, **profile) -> None:
    """A file as others write it, not through write_raster."""
    descriptions, colours = profile.pop("descriptions", None), profile.pop("colours", None)
    count, height, width = data.shape
    profile |= {"driver": "GTiff", "count": count, "height": height, "width": width, "dtype": data.dtype}
    with rasterio.open(path, "w", transform=GRID.transform, **profile) as sink:
        if colours:
            sink.colorinterp = colours
        if descriptions:
            sink.descriptions = descriptions
        sink.write(data)


def write_rgba(path, **profile) -> None:
    """Two pixels of the colour 9, 8, 7; the second is transparent."""
    data = np.array([[[9, 9]], [[8, 8]], [[7, 7]], [[255, 0]]], dtype=np.uint8)
    colours = [ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha]
    write_plain(path, data, colours=colours, **profile)


# --- round trips ---


@pytest.mark.parametrize(
    "dtype", ["uint8", "int8", "uint16", "int16", "uint32", "int32", "int64", "float32", "float64", "complex64"]
)
def test_values_mask_and_metadata_come_back(tmp_path, dtype):
    valid = np.array([[True, True, False], [True, True, True], [False, True, True]])
    original = raster_3x3(dtype, valid, date="2023-09-20", sensor="sentinel2_l2a", baseline="05.09")
    write_raster(tmp_path / "new/folder/a.tif", original, tags={"NOTE": "kept"})
    back = read_raster(tmp_path / "new/folder/a.tif")
    assert back.data.dtype == dtype and (back.data == original.data).all()
    assert (back.valid == valid).all()
    assert back.grid.same_as(GRID)
    assert (back.band_names, back.date, back.sensor, back.baseline) == (
        ("B04",),
        "2023-09-20",
        "sentinel2_l2a",
        "05.09",
    )
    assert back.nodata is None and back.source == str(tmp_path / "new/folder/a.tif")
    with rasterio.open(tmp_path / "new/folder/a.tif") as file:
        assert file.tags()["NOTE"] == "kept"
        assert file.profile["tiled"] and file.profile["compress"] == "deflate"
        # Differences help whole numbers (2) and floating point (3), not classes and percent in bytes.
        plain = dtype in ("uint8", "int8", "complex64")
        expected = None if plain else "3" if dtype.startswith("float") else "2"
        assert file.tags(ns="IMAGE_STRUCTURE").get("PREDICTOR") == expected


def test_nodata_is_written_where_invalid_and_declared(tmp_path):
    valid = VALUES[0] != 5
    write_raster(tmp_path / "a.tif", raster_3x3(np.int16, valid), nodata=-1)
    back = read_raster(tmp_path / "a.tif")
    assert back.nodata == -1
    assert back.data[0].tolist() == [[1, 2, 3], [4, -1, 6], [7, 8, 9]]
    assert (back.valid == valid).all()
    write_raster(tmp_path / "b.tif", back)
    assert read_raster(tmp_path / "b.tif").nodata == -1


@pytest.mark.parametrize(("dtype", "nodata"), [(np.uint8, -9999), (np.uint8, 0.5), (np.int16, float("nan"))])
def test_nodata_that_does_not_fit_is_refused(tmp_path, dtype, nodata):
    with pytest.raises(InputError, match="does not fit"):
        write_raster(tmp_path / "a.tif", raster_3x3(dtype), nodata=nodata)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "grid",
    [
        Grid(None, Affine(10, 0, 0, 0, -10, 0), (3, 3)),
        Grid(
            pyproj.CRS.from_epsg(4544),
            Affine.translation(5e5, 3e6) @ Affine.rotation(30) @ Affine.scale(10, -10),
            (3, 3),
        ),
        Grid(pyproj.CRS.from_proj4("+proj=aea +lat_1=25 +lat_2=47 +lon_0=105 +datum=WGS84"), GRID.transform, (3, 3)),
        Grid(pyproj.CRS.from_epsg(4490), Affine(0.1, 0, 106, 0, -0.1, 30), (3, 3)),
    ],
    ids=["no_crs", "rotated_gauss_kruger", "china_albers", "cgcs2000"],
)
def test_grids_come_back(tmp_path, grid):
    write_raster(tmp_path / "a.tif", raster_3x3(grid=grid))
    assert read_raster(tmp_path / "a.tif").grid.same_as(grid)


def test_overviews_reach_256_pixels_and_keep_classes(tmp_path):
    labels = np.where(np.arange(1100) % 2, 6, 1).astype(np.uint8)[np.newaxis, np.newaxis].repeat(1100, axis=1)
    grid = Grid(UTM, GRID.transform, (1100, 1100))
    write_raster(tmp_path / "a.tif", Raster(labels, labels[0] > 0, grid, ("class",)), overviews=True)
    with rasterio.open(tmp_path / "a.tif") as file:
        assert file.overviews(1) == [2, 4]
    small = read_raster(tmp_path / "a.tif", max_side=275)
    assert small.data.shape == (1, 275, 275) and set(np.unique(small.data)) <= {1, 6}
    write_raster(tmp_path / "b.tif", raster_3x3(), overviews=True)
    with rasterio.open(tmp_path / "b.tif") as file:
        assert file.overviews(1) == []


# --- windows and thinning ---


def test_window_reads_a_block_on_its_own_grid(tmp_path):
    write_raster(tmp_path / "a.tif", raster_3x3(valid=VALUES[0] != 9), nodata=0)
    part = read_raster(tmp_path / "a.tif", window=(1, 1, 2, 2))
    assert part.data[0].tolist() == [[5, 6], [8, 0]]
    assert part.valid.tolist() == [[True, True], [True, False]]
    assert part.grid.same_as(GRID.window(1, 1, 2, 2))
    with pytest.raises(GridError, match="not inside"):
        read_raster(tmp_path / "a.tif", window=(2, 2, 2, 2))


def test_max_side_thins_and_keeps_the_ground(tmp_path):
    data = np.arange(8 * 4, dtype=np.uint16).reshape(1, 8, 4)
    grid = Grid(UTM, GRID.transform, (8, 4))
    write_raster(tmp_path / "a.tif", Raster(data, np.ones((8, 4), bool), grid, ("B1",)))
    thin = read_raster(tmp_path / "a.tif", max_side=4)
    assert thin.data.shape == (1, 4, 2) and set(thin.data.ravel()) <= set(data.ravel())
    assert thin.grid.bounds() == grid.bounds()
    assert read_raster(tmp_path / "a.tif", max_side=100).data.shape == (1, 8, 4)
    block = read_raster(tmp_path / "a.tif", window=(0, 0, 8, 2), max_side=2)
    assert block.data.shape == (1, 2, 1) and block.grid.bounds() == (500000, 3329920, 500020, 3330000)


def test_bands_come_in_the_order_asked_for(tmp_path):
    data = VALUES.astype(np.int16) + np.array([0, 10, 20], np.int16)[:, None, None]
    data[2, 0, 0] = -1
    write_plain(tmp_path / "a.tif", data, nodata=-1, descriptions=("red", "nir", "swir1"))
    raster = read_raster(tmp_path / "a.tif", bands=[2, 0], window=(0, 0, 2, 2))
    assert raster.band_names == ("swir1", "red")
    assert raster.data.tolist() == [[[-1, 22], [24, 25]], [[1, 2], [4, 5]]]
    assert raster.valid.all()
    alone = read_raster(tmp_path / "a.tif", bands=[2])
    assert alone.data.shape == (1, 3, 3) and alone.valid.tolist()[0] == [False, True, True]


def test_bands_are_counted_without_alpha(tmp_path):
    write_rgba(tmp_path / "a.tif", crs="EPSG:32648")
    raster = read_raster(tmp_path / "a.tif", bands=[2])
    assert raster.band_names == ("blue",) and raster.data.tolist() == [[[7, 7]]]
    assert raster.valid.tolist() == [[True, False]]


def test_read_grid_says_what_read_raster_says(tmp_path):
    write_raster(tmp_path / "a.tif", raster_3x3())
    assert read_grid(tmp_path / "a.tif")[0].same_as(GRID) and read_grid(tmp_path / "a.tif")[1] == ("B04",)
    write_rgba(tmp_path / "b.tif")
    grid, names = read_grid(tmp_path / "b.tif")
    assert grid.crs is None and grid.shape_hw == (1, 2) and names == ("red", "green", "blue")
    with pytest.raises(MissingPathError, match="no such file"):
        read_grid(tmp_path / "c.tif")
    (tmp_path / "d.tif").write_text("plain text")
    with pytest.raises(InputError, match="not a GeoTIFF"):
        read_grid(tmp_path / "d.tif")


# --- onto another grid ---

SQUARES = np.array([[0, 1, 4, 9], [16, 25, 36, 49], [64, 81, 100, 121], [144, 169, 196, 225]], np.float32)


def shifted(right: float, down: float, shape, pixels: float = 1) -> Grid:
    """The grid of these tests moved by pixels, with pixels so many times as large."""
    return Grid(UTM, GRID.transform @ Affine.translation(right, down) @ Affine.scale(pixels), shape)


def write_squares(path, dtype="float32", **profile) -> None:
    write_plain(path, SQUARES.astype(dtype)[None], crs="EPSG:32648", **profile)


def test_nearest_takes_the_pixel_under_each_centre(tmp_path):
    """Moved by (1.6, 0.6) pixels the centres lie in columns 2, 3 and beyond, in rows 1, 2, 3 and beyond."""
    write_squares(tmp_path / "a.tif", "int16", nodata=-1)
    data, reached = read_onto(tmp_path / "a.tif", shifted(1.6, 0.6, (4, 3)))
    assert data.dtype == np.int16
    assert data[0].tolist() == [[36, 49, -1], [100, 121, -1], [196, 225, -1], [-1, -1, -1]]
    assert (reached == (data[0] != -1)).all()


@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32"])
@pytest.mark.parametrize("resampling", ["nearest", "mode", "average", "bilinear", "cubic"])
def test_outside_a_file_without_nodata_nothing_is_reached(tmp_path, dtype, resampling):
    """GDAL takes the warped alpha for a mask in bytes only: beyond other files lay zeros that counted as measured."""
    write_squares(tmp_path / "a.tif", dtype)
    _, reached = read_onto(tmp_path / "a.tif", shifted(-2, 2, (3, 8)), resampling=resampling)
    assert reached.tolist() == [[False] * 2 + [True] * 4 + [False] * 2] * 2 + [[False] * 8]


def test_bilinear_weighs_the_four_pixels_around(tmp_path):
    """Centre (0, 0) lies at row 1.0 and column 0.75: half of rows 0 and 1, three quarters of column 0."""
    write_squares(tmp_path / "a.tif", nodata=-1)
    data, reached = read_onto(tmp_path / "a.tif", shifted(0.25, 0.5, (2, 2)), resampling="bilinear")
    first = 0.5 * (0.75 * 0 + 0.25 * 1) + 0.5 * (0.75 * 16 + 0.25 * 25)
    last = 0.5 * (0.75 * 25 + 0.25 * 36) + 0.5 * (0.75 * 81 + 0.25 * 100)
    assert data[0, 0, 0] == pytest.approx(first) and data[0, 1, 1] == pytest.approx(last) and reached.all()


def test_bilinear_leaves_missing_neighbours_out(tmp_path):
    data = SQUARES.copy()
    data[0, :2], data[1, 2] = -1, -1
    write_plain(tmp_path / "a.tif", data[None], crs="EPSG:32648", nodata=-1)
    values, reached = read_onto(tmp_path / "a.tif", shifted(0.25, 0, (2, 2)), resampling="bilinear")
    # (0, 0): both pixels are missing; (0, 1): the centre's own is; (1, 0): none; (1, 1): the quarter is.
    assert reached.tolist() == [[False, False], [True, True]]
    assert values[0, 1].tolist() == [0.75 * 16 + 0.25 * 25, 25]


@pytest.mark.parametrize("resampling", ["nearest", "bilinear", "cubic"])
@pytest.mark.parametrize("pixels", [1, 3])
def test_narrow_blocks_hold_what_the_whole_holds(tmp_path, resampling, pixels):
    """GDAL guessed the kernel's width from the block: rows of a few pixels came out blurred."""
    noise = np.random.default_rng(0).integers(0, 5000, (1, 120, 120)).astype(np.int16)
    write_plain(tmp_path / "a.tif", noise, crs="EPSG:32648", nodata=-1)
    grid = shifted(2.25, 3.5, (36, 35), pixels)
    whole, reached = read_onto(tmp_path / "a.tif", grid, resampling=resampling)
    for block in [*blocks_of(grid.shape_hw, 7), Block(20, 3, 1, 30), Block(3, 20, 30, 1)]:
        part, ok = read_onto(tmp_path / "a.tif", grid.window(*block.window), resampling=resampling)
        assert (part == whole[(slice(None), *block.slices)]).all() and (ok == reached[block.slices]).all()


def test_bilinear_onto_coarser_pixels_averages(tmp_path):
    """Onto pixels three times as large the kernel is a triangle of weights 1, 2, 3, 2, 1 ninths each way."""
    data = np.zeros((1, 9, 12), np.float32)
    data[0, 4, 5] = 81
    write_plain(tmp_path / "a.tif", data, crs="EPSG:32648", nodata=-1)
    values, _ = read_onto(tmp_path / "a.tif", shifted(0, 0, (3, 4), 3), resampling="bilinear")
    np.testing.assert_allclose(values[0], [[0, 0, 0, 0], [0, 6, 3, 0], [0, 0, 0, 0]], atol=1e-5)


def test_mode_is_the_most_frequent_class_under_a_coarser_pixel(tmp_path):
    codes = np.array(
        [[1, 1, 6, 3, 3, 3], [1, 6, 6, 3, 6, 6], [1, 1, 6, 5, 5, 5], [0, 0, 0, 6, 6, 1], [0, 4, 4, 6, 1, 1],
         [0, 4, 0, 1, 1, 1]], np.uint8
    )  # fmt: skip
    write_plain(tmp_path / "a.tif", codes[None], crs="EPSG:32648", nodata=0)
    data, reached = read_onto(tmp_path / "a.tif", shifted(0, 0, (2, 2), 3), resampling="mode")
    # Top right: four of class 3, three of 5, two of 6. Bottom left: no data has no vote.
    assert data[0].tolist() == [[1, 3], [4, 1]] and reached.all()
    # One pixel down and to the right, in 3 x 3 pixels: three of 6 and two each of 3, 5 and none.
    moved, _ = read_onto(tmp_path / "a.tif", shifted(1, 1, (1, 1), 3), resampling="mode")
    assert moved[0].tolist() == [[6]]


def test_average_takes_all_that_lies_under_a_coarser_pixel(tmp_path):
    write_squares(tmp_path / "a.tif")
    data, _ = read_onto(tmp_path / "a.tif", shifted(0, 0, (2, 2), 2), resampling="average")
    assert data[0].tolist() == [[10.5, 24.5], [114.5, 160.5]]


def test_another_crs_follows_pyproj(tmp_path):
    """Each pixel holds its column, so values read onto UTM are columns; GDAL may be off by an eighth of a pixel."""
    columns = np.tile(np.arange(80, dtype=np.float32), (80, 1))
    transform = Affine(1e-4, 0, 104.998, 0, -1e-4, 30.102)
    write_raster(
        tmp_path / "a.tif",
        Raster(columns[None], columns >= 0, Grid(pyproj.CRS.from_epsg(4490), transform, (80, 80)), ("B1",)),
    )
    grid = shifted(10, 10, (30, 30))
    data, reached = read_onto(tmp_path / "a.tif", grid, resampling="bilinear")
    xs, ys = zip(*[grid.xy(row, col) for row in range(30) for col in range(30)], strict=True)
    lons, _ = pyproj.Transformer.from_crs(UTM, 4490, always_xy=True).transform(xs, ys)
    expected = (np.array(lons) - 104.998) / 1e-4 - 0.5
    assert reached.all() and np.abs(data[0].ravel() - expected).max() < 0.13


def test_bands_can_be_chosen_and_alpha_says_what_is_reached(tmp_path):
    """GDAL adds no alpha band to a file that has one, and stopped here."""
    write_rgba(tmp_path / "a.tif", crs="EPSG:32648")
    data, reached = read_onto(tmp_path / "a.tif", shifted(0, 0, (1, 3)), bands=[2, 0])
    assert data[:, 0, 0].tolist() == [7, 9] and reached.tolist() == [[True, False, False]]
    assert len(read_onto(tmp_path / "a.tif", shifted(0, 0, (1, 3)))[0]) == 3


@pytest.mark.parametrize("nodata", [None, float("nan")], ids=["internal_mask", "nan"])
def test_masked_pixels_are_not_reached(tmp_path, nodata):
    valid = VALUES[0] != 5
    write_raster(tmp_path / "a.tif", raster_3x3(np.float32, valid), nodata=nodata)
    data, reached = read_onto(tmp_path / "a.tif", GRID)
    assert (reached == valid).all() and (data[0][valid] == VALUES[0][valid]).all()


def test_without_a_crs_nothing_is_laid_over_anything(tmp_path):
    write_raster(tmp_path / "a.tif", raster_3x3())
    with pytest.raises(GridError, match="both need a CRS"):
        read_onto(tmp_path / "a.tif", Grid(None, GRID.transform, (3, 3)))
    write_raster(tmp_path / "b.tif", raster_3x3(grid=Grid(None, GRID.transform, (3, 3))))
    with pytest.raises(GridError, match=r"b\.tif: file and target both need a CRS"):
        read_onto(tmp_path / "b.tif", GRID)


# --- what counts as valid ---


def test_declared_nodata_hides_only_pixels_without_any_band(tmp_path):
    data = np.array([[[0, 0, 5]], [[0, 7, 5]]], dtype=np.uint8)
    write_plain(tmp_path / "a.tif", data, nodata=0)
    assert read_raster(tmp_path / "a.tif").valid.tolist() == [[False, True, True]]


@pytest.mark.parametrize(
    ("dtype", "values", "nodata", "valid"),
    [
        (np.int16, [-9999, 0, 5], None, [True, True, True]),
        (np.int16, [-9999, 0, 5], -9999, [False, True, True]),
        (np.float32, [-3.4e38, np.nan, 5], -3.4e38, [False, False, True]),
        (np.float32, [-np.inf, np.nan, 5], None, [False, False, True]),
        (np.float32, [np.nan, 0, 5], float("nan"), [False, True, True]),
        (np.float64, [-1.7e308, 0, 5], -1.7e308, [False, True, True]),
        (np.uint16, [65535, 0, 5], 65535, [False, True, True]),
    ],
)
def test_nodata_of_every_kind(tmp_path, dtype, values, nodata, valid):
    write_plain(tmp_path / "a.tif", np.array([[values]], dtype=dtype), nodata=nodata)
    assert read_raster(tmp_path / "a.tif").valid.tolist() == [valid]


def test_alpha_becomes_the_mask_and_leaves_the_bands(tmp_path):
    write_rgba(tmp_path / "a.tif")
    raster = read_raster(tmp_path / "a.tif")
    assert raster.band_names == ("red", "green", "blue")
    assert raster.data[:, 0, 0].tolist() == [9, 8, 7]
    assert raster.valid.tolist() == [[True, False]]


def test_a_near_infrared_band_flagged_as_alpha_stays_a_band(tmp_path):
    """Four-band aerial photographs often carry an alpha flag on near infrared: dark water is not transparent."""
    data = np.array([[[9, 9]], [[8, 8]], [[7, 7]], [[200, 0]]], dtype=np.uint8)
    colours = [ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha]
    write_plain(tmp_path / "a.tif", data, colours=colours, descriptions=("red", "green", "blue", "nir"))
    raster = read_raster(tmp_path / "a.tif")
    assert raster.band_names == ("red", "green", "blue", "nir") and raster.valid.all()


def test_an_alpha_band_alone_is_no_raster(tmp_path):
    write_plain(tmp_path / "a.tif", np.full((1, 2, 2), 255, np.uint8), colours=[ColorInterp.alpha])
    with pytest.raises(RasterReadError, match="nothing but an alpha band"):
        read_raster(tmp_path / "a.tif")


def test_internal_mask(tmp_path):
    valid = np.array([[True, False, True]] * 3)
    write_raster(tmp_path / "a.tif", raster_3x3(np.uint8, valid))
    assert not (tmp_path / "a.tif.msk").exists()
    assert (read_raster(tmp_path / "a.tif").valid == valid).all()


# --- names ---


@pytest.mark.parametrize(
    ("name", "count", "descriptions", "sensor", "names"),
    [
        ("a.tif", 2, None, None, ("B1", "B2")),
        ("a.tif", 2, ("ndvi", None), None, ("ndvi", "unnamed2")),
        ("T33UUU_20170216T102101_B8A.tif", 1, None, "sentinel2_l2a", ("B8A",)),
        ("landsat8_x.tif", 6, None, "landsat8", ("SR_B2", "SR_B3", "SR_B4", "SR_B5", "SR_B6", "SR_B7")),
        ("landsat8_x.tif", 5, None, "landsat8", ("B1", "B2", "B3", "B4", "B5")),
    ],
)
def test_band_names(tmp_path, name, count, descriptions, sensor, names):
    write_plain(tmp_path / name, np.ones((count, 2, 2), np.uint16), descriptions=descriptions)
    raster = read_raster(tmp_path / name)
    assert (raster.sensor, raster.band_names) == (sensor, names)


def test_date_from_the_tag_goes_before_the_file_name(tmp_path):
    write_raster(tmp_path / "x_20200101.tif", raster_3x3(date="2023-09-20"))
    assert read_raster(tmp_path / "x_20200101.tif").date == "2023-09-20"
    write_raster(tmp_path / "x_20200101.tif", raster_3x3())
    assert read_raster(tmp_path / "x_20200101.tif").date == "2020-01-01"


# --- files of other kinds, and files that pretend ---


@pytest.mark.parametrize("suffix", ["png", "jpg", "bmp", "tif"])
def test_pictures_are_read_without_a_crs(tmp_path, suffix):
    Image.fromarray(np.full((4, 6, 3), 100, np.uint8)).save(tmp_path / f"a.{suffix}")
    raster = read_raster(tmp_path / f"a.{suffix}")
    assert raster.data.shape == (3, 4, 6) and raster.grid.crs is None
    assert np.abs(raster.data.astype(int) - 100).max() <= 2


def test_envi_pair_with_an_upper_case_header(tmp_path):
    (tmp_path / "scene").write_bytes(bytes(range(6)))
    (tmp_path / "scene.HDR").write_text(
        "ENVI\nsamples = 3\nlines = 2\nbands = 1\nheader offset = 0\ndata type = 1\ninterleave = bsq\nbyte order = 0\n"
    )
    assert read_raster(tmp_path / "scene").data.tolist() == [[[0, 1, 2], [3, 4, 5]]]


def test_a_virtual_raster_cannot_pass_as_a_tiff(tmp_path):
    """GDAL opens a VRT by content whatever its name, and returned another file's pixels."""
    write_raster(tmp_path / "secret.tif", raster_3x3())
    with rasterio.open(tmp_path / "secret.tif") as secret:
        rasterio.shutil.copy(secret, tmp_path / "a.vrt", driver="VRT")
    os.rename(tmp_path / "a.vrt", tmp_path / "a.tif")
    with rasterio.open(tmp_path / "a.tif") as file:
        assert file.driver == "VRT" and file.read(1)[0, 0] == 1
    with pytest.raises(InputError, match="not a GeoTIFF"):
        read_raster(tmp_path / "a.tif")


@pytest.mark.parametrize("path", ["missing.tif", "/vsicurl/http://localhost/a.tif", "<VRTDataset/>", "."])
def test_only_local_files_are_opened(path):
    with pytest.raises(MissingPathError, match="no such file"):
        read_raster(path)


def test_a_cut_off_file_is_named(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (1, 600, 600), dtype=np.uint8)
    write_raster(tmp_path / "a.tif", Raster(noise, noise[0] >= 0, Grid(UTM, GRID.transform, (600, 600)), ("B1",)))
    whole = (tmp_path / "a.tif").read_bytes()
    for keep in (len(whole) * 2 // 3, 12):
        (tmp_path / "a.tif").write_bytes(whole[:keep])
        with pytest.raises(RasterReadError, match=r"a\.tif: cannot be read as GTiff"):
            read_raster(tmp_path / "a.tif")


def test_a_crs_without_a_transform_is_no_place(test_data):
    """The file says EPSG:4326, but its pixel coordinates are no degrees: areas from them would be nonsense."""
    assert read_raster(test_data / "odd/rpc_only_11bit_uint16.tif").grid.crs is None


# --- atomic writes ---


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    write_raster(tmp_path / "a.tif", raster_3x3())
    before = (tmp_path / "a.tif").read_bytes()
    with pytest.raises(RuntimeError, match="stop"), atomic_path(tmp_path / "a.tif") as partial:
        partial.write_bytes(b"half a file")
        assert partial.parent == tmp_path and partial.suffix == ".tif"
        raise RuntimeError("stop")
    assert (tmp_path / "a.tif").read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["a.tif"]


def test_written_files_have_ordinary_permissions(tmp_path):
    """A file made by tempfile would be readable by its owner only, and the office shares a folder."""
    write_raster(tmp_path / "a.tif", raster_3x3())
    (tmp_path / "plain").write_text("")
    assert stat.S_IMODE((tmp_path / "a.tif").stat().st_mode) == stat.S_IMODE((tmp_path / "plain").stat().st_mode)


def test_writing_twice_gives_the_same_bytes(tmp_path):
    for name in ("a.tif", "b.tif"):
        write_raster(tmp_path / name, raster_3x3(date="2023-09-20"))
    assert (tmp_path / "a.tif").read_bytes() == (tmp_path / "b.tif").read_bytes()


# --- block by block ---


@pytest.mark.parametrize("side", [256, 100])
def test_blocks_of_several_threads_all_arrive(tmp_path, side):
    """Blocks of 100 pixels share tiles of the file."""
    shape = (530, 700)
    data = np.random.default_rng(0).integers(-3000, 3000, (2, *shape)).astype(np.int16)
    grid, names = Grid(UTM, GRID.transform, shape), ("red", "nir")
    with block_writer(tmp_path / "new/a.tif", grid, names, "int16", nodata=-32768, tags={"NOTE": "kept"}) as writer:

        def write(block):
            writer.write(block, data[(slice(None), *block.slices)])

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(write, reversed(blocks_of(shape, side))))
        assert not (tmp_path / "new/a.tif").exists()
    back = read_raster(tmp_path / "new/a.tif")
    assert (back.data == data).all() and back.valid.all()
    assert back.grid.same_as(grid) and back.band_names == names and back.nodata == -32768
    with rasterio.open(tmp_path / "new/a.tif") as file:
        assert file.tags()["NOTE"] == "kept" and file.overviews(1) == []
        assert file.profile["tiled"] and file.profile["compress"] == "deflate" and file.block_shapes[0] == (512, 512)


@pytest.mark.parametrize(
    ("dtype", "nodata", "holds"),
    [("int16", -32768, -32768), ("uint8", 0, 0), ("uint8", 255, 255), ("float32", np.nan, np.nan), ("uint8", None, 0)],
)
def test_what_is_never_written_holds_nodata(tmp_path, dtype, nodata, holds):
    """One block inside a tile is written; the rest of that tile and another tile are not."""
    grid = Grid(UTM, GRID.transform, (40, 600))
    with block_writer(tmp_path / "a.tif", grid, ("class",), dtype, nodata=nodata) as writer:
        writer.write(Block(2, 3, 4, 5), np.full((4, 5), 7, dtype))
    expected = np.full((40, 600), holds, dtype)
    expected[2:6, 3:8] = 7
    back = read_raster(tmp_path / "a.tif")
    np.testing.assert_array_equal(back.data[0], expected)
    assert (back.valid == ((expected == 7) | (nodata is None))).all()


def test_block_writer_adds_overviews_that_keep_classes(tmp_path):
    grid = Grid(UTM, GRID.transform, (600, 600))
    with block_writer(tmp_path / "a.tif", grid, ("class",), "uint8", nodata=0, overviews=True) as writer:
        for block in blocks_of(grid.shape_hw, 512):
            rows, _ = np.mgrid[block.slices]
            writer.write(block, np.where(rows % 2, 6, 1).astype(np.uint8))
    with rasterio.open(tmp_path / "a.tif") as file:
        assert file.overviews(1) == [2]
    assert set(np.unique(read_raster(tmp_path / "a.tif", max_side=300).data)) <= {1, 6}


def test_a_run_that_stops_leaves_the_old_file_and_nothing_else(tmp_path):
    write_raster(tmp_path / "a.tif", raster_3x3())
    before = (tmp_path / "a.tif").read_bytes()
    with (
        pytest.raises(RuntimeError, match="stop"),
        block_writer(tmp_path / "a.tif", GRID, ("class",), "uint8") as writer,
    ):
        writer.write(Block(0, 0, 3, 3), np.ones((3, 3), np.uint8))
        raise RuntimeError("stop")
    assert (tmp_path / "a.tif").read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["a.tif"]


# --- real imagery ---


@pytest.mark.parametrize(
    ("path", "bands", "sensor", "date"),
    [
        ("taizhou_landsat7_2000_2003/taizhou_LE07_20000317.tif", 6, "landsat7", "2000-03-17"),
        ("chiapas_landsat7_1999_2002/LE70220491999322EDC01_stack.gtif", 8, "landsat7", "1999-11-18"),
        ("raleigh_landsat7_2000/raleigh_LE07_2000.tif", 6, "landsat7", None),
        ("landsat_per_band_folders/bale_LT05_20101218/LT51670552010352MLK00_B4.tif", 1, "landsat5", "2010-12-18"),
        ("pilbara_s2_fire_2018_2019/pilbara_S2L2A_20190105.tif", 8, "sentinel2_l2a", "2019-01-05"),
        ("brandenburg_s2_jp2_20170216/IMG_DATA/T33UUU_20170216T102101_B04.jp2", 1, "sentinel2_l1c", "2017-02-16"),
        ("barbellino_s2_2017_2019/S2A2A_20190723_022_Barbellino_BOA_10.tif", 11, "sentinel2_l2a", "2019-07-23"),
        ("northdakota_naip_2009_2020/m_4709963_se_14_1_20150926_crop.tif", 4, None, "2015-09-26"),
        ("single_scenes/tucurui_LT05_19880814_lsat.tif", 7, "landsat5", "1988-08-14"),
        ("vaud_corine_2006_2012/ls100_06.tif", 1, None, None),
    ],
)
def test_real_scenes_are_recognised(test_data, path, bands, sensor, date):
    raster = read_raster(test_data / path)
    assert (len(raster.data), raster.sensor, raster.date) == (bands, sensor, date)


def test_every_real_raster_survives_a_round_trip(test_data, tmp_path):
    suffixes = (".tif", ".tiff", ".gtif", ".jp2", ".bmp")
    paths = [path for path in sorted(test_data.rglob("*")) if path.suffix.lower() in suffixes]
    done = 0
    for path in paths:
        original = read_raster(path, max_side=200)
        write_raster(tmp_path / "a.tif", original)
        back = read_raster(tmp_path / "a.tif")
        shown = np.broadcast_to(original.valid, original.data.shape)
        assert np.array_equal(back.data[shown], original.data[shown], equal_nan=original.data.dtype.kind in "fc"), path
        assert (back.valid == original.valid).all(), path
        assert back.band_names == original.band_names and back.sensor == original.sensor, path
        assert back.grid.same_as(original.grid) or original.grid.crs is None, path
        done += 1
    assert done == len(paths) >= 149
