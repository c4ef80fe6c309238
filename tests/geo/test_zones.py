import geopandas as gpd
import numpy as np
import pyproj
import pytest
import shapely
from affine import Affine
from shapely.geometry import LineString, MultiPolygon, Point, Polygon, box

from src.errors import GridError, InputError
from src.geo.blocks import Block, ThreadRunner
from src.geo.exact_areas import exact_areas
from src.geo.grid import Grid, Raster
from src.geo.raster import write_raster
from src.geo.vector import write_vector
from src.geo.zone_overlay import coverage, in_crs, overlay_polygons, zone_areas, zone_pieces
from src.geo.zones import ZONE_TYPES, parse_part, read_zone, recognise, select_zones

ONE = ThreadRunner(1)
GRID = Grid(pyproj.CRS.from_epsg(32648), Affine(10, 0, 500000, 0, -10, 3330000), (5, 5))
# UTM is 0.9996 true on its central meridian: 10 m of it are 10.004 m of ground.
PIXEL_M2 = 100 / 0.9996**2
CODES = np.array(
    [[1, 1, 1, 2, 2], [1, 1, 1, 2, 2], [1, 1, 5, 5, 6], [3, 3, 5, 5, 6], [3, 3, 0, 6, 6]],
    dtype=np.uint8,
)


def square(row: float, col: float, height: float, width: float) -> Polygon:
    """A rectangle of GRID in pixels, parts of pixels allowed."""
    return box(500000 + 10 * col, 3330000 - 10 * (row + height), 500000 + 10 * (col + width), 3330000 - 10 * row)


def layer(geometries, crs=32648, **columns) -> gpd.GeoDataFrame:
    return gpd.GeoDataFrame(columns, geometry=geometries, crs=crs)


def write_codes(path, codes=CODES, grid=GRID):
    write_raster(path, Raster(codes[None], np.ones(codes.shape, bool), grid, ("class",)), nodata=0)
    return path


# --- names as they occur ---


@pytest.mark.parametrize(
    ("names", "columns", "kind"),
    [
        (["YJJBNTTB"], [], "basic_farmland"),
        (["YJJBNTBHTB", "510723盐亭县"], ["DLBM", "TBMJ"], "basic_farmland"),
        (["510723盐亭县_永久基本农田"], [], "basic_farmland"),
        (["layer1"], ["FID", "YJJBNTTBBH", "DLBM", "TBMJ"], "basic_farmland"),
        (["STBHHX"], [], "red_line"),
        (["生态保护红线2022"], [], "red_line"),
        (["a"], ["HXMC"], "red_line"),
        (["某某自然保护区功能分区"], [], "reserve"),
        (["x"], ["GNQ", "MJ"], "reserve"),
        (["饮用水水源保护区"], ["MJ"], None),
        (["HDGLFW"], [], "river"),
        (["松溪河道管理范围线"], [], "river"),
        (["CZKFBJ"], [], "urban_boundary"),
        (["510723盐亭县城镇开发边界"], [], "urban_boundary"),
        (["CKQ"], [], "mining"),
        (["a"], ["KSMC", "XKZH"], "mining"),
        (["CJDCQ"], ["ZLDWDM", "ZLDWMC"], "village"),
        (["盐亭县乡镇界"], [], "town"),
        (["b"], ["XZMC"], "town"),
        (["XZQ"], ["XZQDM", "XZQMC"], "county"),
        (["b"], ["XMC"], "county"),
        (["river_scope"], [], "river"),
        (["DLTB"], ["TBBH", "DLBM", "DLMC", "TBMJ"], "parcels"),
        (["survey"], ["TBBH", "DLBM", "DLMC", "QSDWDM", "TBMJ", "ZLDWDM"], "parcels"),
        (["polygons"], ["id"], None),
    ],
)
def test_kinds_are_recognised(names, columns, kind):
    assert recognise(names, columns) == kind


@pytest.mark.parametrize(
    ("text", "part"),
    [("核心区", "core"), ("核心保护区", "core"), ("Buffer zone", "buffer"), ("云口自然保护区缓冲区", "buffer")]
    + [("实验区", "experimental"), ("experimental", "experimental"), ("一般控制区", ""), ("Score", ""), ("", "")],
)
def test_parts(text, part):
    assert parse_part(text) == part


@pytest.mark.parametrize(
    ("code", "name", "kind"),
    [
        (["510723", "510723100", "510723100201"], ["a", "b", "c"], ["county", "town", "village"]),
        ([510723.0, 510723100.0, None], ["a", "b", "龙潭村"], ["county", "town", "village"]),
        ([None] * 3, ["盐亭县", "云溪镇", "某处"], ["county", "town", "county"]),
        (["5107231002010000000"] * 3, ["x"] * 3, ["village"] * 3),
    ],
)
def test_administrative_levels_follow_code_then_name(tmp_path, code, name, kind):
    write_vector(tmp_path / "XZQ.gpkg", layer([square(0, i, 1, 1) for i in range(3)], XZQDM=code, XZQMC=name))
    zones = read_zone(tmp_path / "XZQ.gpkg")
    assert zones["zone_type"].tolist() == kind and zones["name"].tolist() == name
    assert zones["code"].iloc[0] == ("" if code[0] is None else str(int(code[0])))


# --- reading ---


def test_a_zone_file_comes_in_one_form(tmp_path):
    raw = layer([square(0, 0, 2, 2), square(2, 2, 1, 1)], BHDMC=["云口", None], GNQ=["核心区", "实验区"], MJ=[1.0, 2.0])
    write_vector(tmp_path / "保护区.gpkg", raw)
    zones = read_zone(tmp_path / "保护区.gpkg")
    assert zones.crs.to_epsg() == 4490
    assert list(zones.columns) == ["zone_type", "name", "part", "code", "geometry"]
    assert zones["zone_type"].tolist() == ["reserve"] * 2
    assert zones["name"].tolist() == ["云口", "自然保护地"] and zones["part"].tolist() == ["core", "experimental"]
    west, south, east, north = zones.total_bounds
    assert 104.9 < west < east < 105.1 and 30.0 < south < north < 30.2
    assert zones.attrs["repair"]["repaired"] == 0 and zones.attrs["source"] == "保护区.gpkg"
    # What was written is read back as it was.
    write_vector(tmp_path / "again.gpkg", zones)
    again = read_zone(tmp_path / "again.gpkg")
    assert again.drop(columns="geometry").equals(zones.drop(columns="geometry"))
    assert (shapely.get_coordinates(again.geometry) == shapely.get_coordinates(zones.geometry)).all()


def test_type_and_name_given_by_the_user_win(tmp_path):
    write_vector(tmp_path / "CKQ.gpkg", layer([square(0, 0, 1, 1)], name=["x"]))
    zones = read_zone(tmp_path / "CKQ.gpkg", zone_type="river", name="松溪")
    assert zones["zone_type"].tolist() == ["river"] and zones["name"].tolist() == ["松溪"]
    with pytest.raises(InputError, match="unknown zone type 'lake'.*county"):
        read_zone(tmp_path / "CKQ.gpkg", zone_type="lake")


def test_an_unknown_layer_is_an_area_of_interest(tmp_path):
    write_vector(tmp_path / "polygons.gpkg", layer([square(0, 0, 1, 1)], id=[7]))
    assert read_zone(tmp_path / "polygons.gpkg")["zone_type"].tolist() == ["aoi"]


def test_own_zone_types_are_kept_and_checked(tmp_path):
    write_vector(tmp_path / "a.gpkg", layer([square(0, 0, 1, 1)] * 2, zone_type=["river_scope", "town"]))
    assert read_zone(tmp_path / "a.gpkg")["zone_type"].tolist() == ["river", "town"]
    write_vector(tmp_path / "b.gpkg", layer([square(0, 0, 1, 1)], zone_type=["moat"]))
    with pytest.raises(InputError, match="zone_type 'moat'"):
        read_zone(tmp_path / "b.gpkg")


def test_land_parcels_are_labels_not_zones(tmp_path):
    write_vector(tmp_path / "DLTB.gpkg", layer([square(0, 0, 1, 1)], DLBM=["0101"], TBMJ=[100.0]))
    with pytest.raises(InputError, match="land parcels.*--as labels"):
        read_zone(tmp_path / "DLTB.gpkg")


def test_parts_of_another_scheme_are_told(tmp_path):
    write_vector(tmp_path / "保护地.gpkg", layer([square(0, 0, 1, 1)], GNQ=["一般控制区"]))
    with pytest.warns(UserWarning, match="一般控制区"):
        assert read_zone(tmp_path / "保护地.gpkg")["part"].tolist() == [""]


def test_small_repairs_are_reported(tmp_path):
    # A spike of no width on a square of 50 x 50 m: repaired, no ground lost.
    spiked = Polygon([(500000, 3329950), (500050, 3329950), (500050, 3330000), (500050, 3330040), (500050, 3330000),
                      (500000, 3330000)])  # fmt: skip
    write_vector(tmp_path / "aoi.gpkg", layer([spiked, square(0, 0, 1, 1)]))
    with pytest.warns(UserWarning, match="of 2 features 1 were repaired .area 0.0 m2"):
        zones = read_zone(tmp_path / "aoi.gpkg")
    repair = zones.attrs["repair"]
    assert zones.is_valid.all() and repair["repaired"] == 1
    assert repair["area_before_m2"] == pytest.approx(25 * PIXEL_M2, rel=1e-5)
    assert repair["area_after_m2"] == pytest.approx(25 * PIXEL_M2, rel=1e-5)


def test_a_bow_tie_is_refused(tmp_path):
    """Nobody knows what its outline meant: the repair would turn 0 m2 (signed) into two triangles."""
    bow = Polygon([(500000, 3329950), (500050, 3330000), (500050, 3329950), (500000, 3330000)])
    write_vector(tmp_path / "aoi.gpkg", layer([bow]))
    with pytest.raises(InputError, match="1 outlines are invalid, and repairing them changes 0.13 ha"):
        read_zone(tmp_path / "aoi.gpkg")


def test_zones_must_be_areas(tmp_path):
    write_vector(tmp_path / "河道.gpkg", layer([LineString([(500000, 3330000), (500050, 3329950)])]))
    with pytest.raises(InputError, match="LineString features; a zone must be an area"):
        read_zone(tmp_path / "河道.gpkg")
    mixed = layer([square(0, 0, 1, 1), Point(500000, 3330000)])
    mixed.to_file(tmp_path / "aoi.gpkg")
    with pytest.warns(UserWarning, match="1 without area were left out"):
        assert len(read_zone(tmp_path / "aoi.gpkg")) == 1


def test_coordinates_that_do_not_fit_the_crs(tmp_path):
    write_vector(tmp_path / "a.gpkg", layer([square(0, 0, 1, 1)], crs=4490))
    with pytest.raises(GridError, match=r"a\.gpkg"):
        read_zone(tmp_path / "a.gpkg")


def test_another_datum_is_told(tmp_path):
    write_vector(tmp_path / "a.gpkg", layer([box(500000, 3330000, 500100, 3330100)], crs=2343))
    with pytest.warns(UserWarning, match="Xian 1980.*another datum"):
        read_zone(tmp_path / "a.gpkg")


def test_selecting_zones():
    zones = layer([square(0, 0, 1, 1)] * 3, name=["云口核心区", "云口缓冲区", "松河镇"], part=["core", "buffer", ""])
    assert select_zones(zones, "松河镇").index.tolist() == [2]
    assert select_zones(zones, "云口").index.tolist() == [0, 1]
    assert select_zones(zones, "云口", "buffer").index.tolist() == [1]
    with pytest.raises(InputError, match="no zone 双口镇.*松河镇"):
        select_zones(zones, "双口镇")


def test_every_zone_type_has_names():
    assert len(ZONE_TYPES) == 10
    assert all(known.zh and known.en for known in ZONE_TYPES.values())


# --- exact areas ---


def test_exact_areas_are_the_pixel_areas_and_sum_without_rounding():
    grid = Grid(GRID.crs, Affine(10, 0, 300000, 0, -10, 3400000), (700, 500))
    areas = exact_areas(grid)
    whole = areas.block(Block(0, 0, 700, 500))
    assert (areas.block(Block(300, 123, 77, 200)) == whole[300:377, 123:323]).all()
    geod = pyproj.Geod(ellps="WGS84")
    corners = [grid.transform @ (col, row) for col, row in ((499, 0), (500, 0), (500, 1), (499, 1))]
    lon, lat = pyproj.Transformer.from_crs(grid.crs, 4326, always_xy=True).transform(*zip(*corners, strict=True))
    assert whole[0, 499] == pytest.approx(abs(geod.polygon_area_perimeter(lon, lat)[0]), rel=1e-6)
    shuffled = np.random.default_rng(0).permutation(whole.ravel())
    assert np.cumsum(shuffled)[-1] == np.cumsum(whole.ravel())[-1] == whole.sum(axis=0).sum()


# --- overlay: a 5 x 5 grid with a known overlap for each zone type ---

OVERLAPS = {
    # zone type: (row, col, height, width in pixels, expected pixels by code)
    "county": ((0, 0, 5, 5), {0: 1, 1: 8, 2: 4, 3: 4, 5: 4, 6: 4}),
    "town": ((0, 0, 5, 3), {0: 1, 1: 8, 3: 4, 5: 2}),
    "village": ((3, 0, 2, 2), {3: 4}),
    "basic_farmland": ((0, 0, 2.5, 2.5), {1: 6.0, 5: 0.25}),
    "red_line": ((0.5, 3, 1, 2), {2: 2}),
    "reserve": ((2, 2, 2, 3), {5: 4, 6: 2}),
    "river": ((2.25, 1.75, 1.5, 0.5), {1: 0.1875, 5: 0.375, 3: 0.1875}),
    "urban_boundary": ((3.5, 2.5, 1, 2), {0: 0.25, 5: 0.75, 6: 1.0}),
    "mining": ((0.4, 0.4, 0.1, 0.1), {1: 0.01}),
    "aoi": ((4, 0, 0.5, 5), {0: 0.5, 3: 1, 6: 1}),
}


def test_the_worked_overlaps_cover_every_zone_type():
    assert set(OVERLAPS) == set(ZONE_TYPES)


@pytest.mark.parametrize("kind", OVERLAPS)
def test_worked_overlap(tmp_path, kind):
    place, expected = OVERLAPS[kind]
    write_vector(tmp_path / "zone.gpkg", layer([square(*place)], zone_type=[kind]))
    zone = read_zone(tmp_path / "zone.gpkg")
    found = zone_areas({"cover": write_codes(tmp_path / "c.tif")}, zone, ONE)["cover"]
    assert set(found.class_m2) == set(expected)
    for code, pixels in expected.items():
        assert found.class_m2[code] == pytest.approx(pixels * PIXEL_M2, rel=1e-5)
    assert found.raster_m2 == sum(found.class_m2.values())
    assert found.zone_m2 == pytest.approx(place[2] * place[3] * PIXEL_M2, rel=1e-5)


def test_overlapping_zones_of_a_layer_count_once(tmp_path):
    zone = layer([square(0, 0, 2, 3), square(0, 0, 2, 3), square(1, 0, 2, 2)])
    found = zone_areas({"c": write_codes(tmp_path / "c.tif")}, zone, ONE)["c"]
    assert found.class_m2 == {1: pytest.approx(8 * PIXEL_M2, rel=1e-6)}
    assert found.zone_m2 == pytest.approx(8 * PIXEL_M2, rel=1e-6)


def test_edge_of_one_pixel(tmp_path):
    """Of 5 x 5 pixels the inner 3 x 3 lie over a pixel from the boundary; of 4.5 x 5 wide, half a row less."""
    ones = np.ones((7, 7), np.uint8)
    grid = Grid(GRID.crs, GRID.transform, (7, 7))
    raster = {"c": write_codes(tmp_path / "c.tif", ones, grid)}
    found = zone_areas(raster, layer([square(1, 1, 5, 5)]), ONE)["c"]
    assert found.inner_m2[1] == pytest.approx(9 * PIXEL_M2, rel=1e-5)
    assert found.edge_m2[1] == pytest.approx(16 * PIXEL_M2, rel=1e-5) and found.caveats == ("ZONE_EDGE_1PX",)
    found = zone_areas(raster, layer([square(1.5, 1, 4.5, 5)]), ONE)["c"]
    # Rows at 1.5..6: the row from 2 to 3 has half a pixel beyond the first pixel of ground.
    assert found.inner_m2[1] == pytest.approx(3 * 2.5 * PIXEL_M2, rel=1e-5)


def test_clear_share_inside_the_zone(tmp_path):
    mask = np.array([[1, 1, 2, 1, 1]] * 5, dtype=np.uint8)
    rasters = {"c": write_codes(tmp_path / "c.tif")}
    found = zone_areas(rasters, layer([square(0, 1, 5, 2)]), ONE, mask=write_codes(tmp_path / "m.tif", mask))["c"]
    assert found.clear_share == pytest.approx(0.5, abs=1e-6)
    assert zone_areas(rasters, layer([square(0, 1, 5, 2)]), ONE)["c"].clear_share is None


def test_blocks_do_not_matter(tmp_path):
    rng = np.random.default_rng(3)
    grid = Grid(GRID.crs, GRID.transform, (90, 70))
    codes = rng.integers(0, 8, grid.shape_hw).astype(np.uint8)
    zone = layer([square(row, col, 7.3, 9.1) for row, col in rng.uniform(-5, 90, (40, 2))])
    raster = {"c": write_codes(tmp_path / "c.tif", codes, grid)}
    whole = zone_areas(raster, zone, ONE, block_px=128)["c"]
    blocks = zone_areas(raster, zone, ThreadRunner(2), block_px=16)["c"]
    for code, area in whole.class_m2.items():
        assert blocks.class_m2[code] == pytest.approx(area, rel=1e-5)
        assert blocks.inner_m2[code] == pytest.approx(whole.inner_m2[code], rel=1e-4, abs=0.01)
    # Coverage is measured in single precision, the polygon in double.
    inside = shapely.union_all(zone.geometry.to_numpy()).intersection(square(0, 0, 90, 70)).area
    assert whole.raster_m2 == pytest.approx(inside / 0.9996**2, rel=1e-5)


def test_rotated_grids(tmp_path):
    turned = Grid(GRID.crs, Affine.translation(500000, 3330000) @ Affine.rotation(30) @ Affine.scale(10, -10), (5, 5))
    zone = layer([Polygon([turned.transform @ xy for xy in ((1, 1), (3.5, 1), (3.5, 2), (1, 2))])])
    found = zone_areas({"c": write_codes(tmp_path / "c.tif", CODES, turned)}, zone, ONE)["c"]
    assert found.class_m2[1] == pytest.approx(2 * PIXEL_M2, rel=1e-4)
    assert found.class_m2[2] == pytest.approx(0.5 * PIXEL_M2, rel=1e-4)


def test_geographic_grids_in_other_projections(tmp_path):
    grid = Grid(pyproj.CRS.from_epsg(4326), Affine(1e-4, 0, 106.0, 0, -1e-4, 30.0), (5, 5))
    zone = layer([box(106.0001, 29.9996, 106.0004, 29.9999)], crs=4490)
    found = zone_areas({"c": write_codes(tmp_path / "c.tif", CODES, grid)}, zone, ONE)["c"]
    geod = pyproj.Geod(ellps="GRS80")
    assert found.zone_m2 == pytest.approx(abs(geod.geometry_area_perimeter(zone.geometry[0])[0]), rel=1e-6)
    assert found.raster_m2 == pytest.approx(found.zone_m2, rel=1e-6)


def test_what_cannot_be_overlaid(tmp_path):
    raster = write_codes(tmp_path / "c.tif")
    with pytest.raises(GridError, match="lies outside the raster"):
        zone_areas({"c": raster}, layer([square(50, 50, 1, 1)]), ONE)
    other = write_codes(tmp_path / "d.tif", CODES[:4], Grid(GRID.crs, GRID.transform, (4, 5)))
    with pytest.raises(GridError, match="not on the grid"):
        zone_areas({"c": raster, "d": other}, layer([square(0, 0, 1, 1)]), ONE)
    floats = tmp_path / "f.tif"
    write_raster(floats, Raster(CODES[None].astype(np.float32), np.ones((5, 5), bool), GRID, ("x",)))
    with pytest.raises(InputError, match="expected class codes as uint8"):
        zone_areas({"c": floats}, layer([square(0, 0, 1, 1)]), ONE)
    with pytest.raises(GridError, match="both need a CRS"):
        zone_areas({"c": raster}, layer([square(0, 0, 1, 1)], crs=None), ONE)


def test_pieces_leave_out_what_the_zone_misses():
    """Blocks, and the rows and columns of a block that it does not reach."""
    grid = Grid(GRID.crs, GRID.transform, (40, 40))
    pieces = zone_pieces(layer([square(2, 3, 4, 4), square(30, 30, 8, 8)]), grid, 10)
    assert [piece.block.window for piece in pieces] == [(2, 3, 4, 4), (30, 30, 8, 8)]
    assert coverage(pieces[0].geometry, pieces[0].block).sum() == pytest.approx(16, rel=1e-5)


# --- polygons over zones ---


def pixels(row: float, col: float, height: float, width: float) -> Polygon:
    """The same rectangle as ``square`` in pixel coordinates."""
    return box(col, -(row + height), col + width, -row)


def test_overlay_of_polygons():
    zones = layer([square(0, 0, 5, 2), square(0, 1, 5, 1), square(0, 4.5, 5, 0.5)], name=["a", "b", "c"])
    polygons = np.array([pixels(0, 0, 2, 2), pixels(1, 1, 3, 3), pixels(0, 3, 5, 2), pixels(0, 2, 2, 2)], dtype=object)
    found = overlay_polygons(polygons, zones, GRID)
    assert found.area_m2 == pytest.approx(np.array([4, 3, 2.5, 0]) * PIXEL_M2, rel=1e-5)
    # The second is one pixel wide, the third half a pixel.
    assert found.thin.tolist() == [False, False, True, False]
    assert found.main.tolist() == [0, 0, 2, -1]
    assert in_crs(polygons[0], GRID).equals(square(0, 0, 2, 2))


def test_overlay_across_cells_and_with_overlapping_zones():
    """Zones are cut to cells of 512 pixels before they are searched; the seams must not show."""
    grid = Grid(GRID.crs, GRID.transform, (600, 1100))
    zones = layer([square(500, 500, 40, 600), square(510, 400, 20, 300)])
    patch = np.array([pixels(505, 505, 30, 525), MultiPolygon([pixels(0, 0, 1, 1), pixels(1, 1, 1, 1)])], dtype=object)
    found = overlay_polygons(patch, zones, grid)
    assert found.area_m2 == pytest.approx([30 * 525 * PIXEL_M2, 0], rel=1e-5)
    assert found.thin.tolist() == [False, False]


# --- real layers ---


def test_real_parcels_as_a_zone(test_data):
    """193 parcels with the area that farmers declared (hectares, two decimals)."""
    zones = read_zone(test_data / "france_rpg_parcels/rpg_parcels_lyon_193.gpkg", name="parcels")
    assert len(zones) == 193 and zones.is_valid.all()
    assert set(zones["zone_type"]) == {"aoi"}


def test_rings_of_the_wrong_nesting_are_refused(test_data):
    path = test_data / "odd/invalid_geojson_ring_nesting/LEVIR_CD_name_coords_first20.geojson"
    with pytest.raises(InputError, match="none of its 20 features has a geometry"):
        read_zone(path)
