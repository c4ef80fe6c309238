import sqlite3

import geopandas as gpd
import numpy as np
import pandas as pd
import pyogrio
import pyproj
import pytest
import shapely
from affine import Affine
from shapely.geometry import Point, Polygon, box

from src.errors import GridError, InputError, MissingPathError
from src.geo.areas import class_areas_m2
from src.geo.grid import Grid
from src.geo.raster import read_raster
from src.geo.vector import rasterize, read_vector, write_vector

GRID = Grid(pyproj.CRS.from_epsg(32648), Affine(10, 0, 500000, 0, -10, 3330000), (5, 5))


def cells(row: int, col: int, height: int = 1, width: int = 1) -> Polygon:
    """The outline of a block of pixels of GRID."""
    left, bottom, right, top = GRID.window(row, col, height, width).bounds()
    return box(left, bottom, right, top)


def table(geometries, crs=32648, **columns) -> gpd.GeoDataFrame:
    return gpd.GeoDataFrame(columns, geometry=geometries, crs=crs)


# --- files ---


def test_geopackage_round_trip(tmp_path):
    zones = table([cells(0, 0), cells(1, 1, 2, 2)], name=["永久基本农田", "b"], code=["0101", "0603"])
    write_vector(tmp_path / "new/zones.gpkg", zones)
    back = read_vector(tmp_path / "new/zones.gpkg")
    assert back.crs == zones.crs
    assert back["name"].tolist() == ["永久基本农田", "b"] and back["code"].tolist() == ["0101", "0603"]
    assert all(a.equals(b) for a, b in zip(back.geometry, zones.geometry, strict=True))
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["zones.gpkg"]
    write_vector(tmp_path / "new/zones.gpkg", zones[:1])
    assert len(read_vector(tmp_path / "new/zones.gpkg")) == 1


def test_writing_refuses_other_formats_and_a_missing_crs(tmp_path):
    with pytest.raises(InputError, match="GeoPackage, Shapefile or GeoJSON"):
        write_vector(tmp_path / "a.kml", table([cells(0, 0)]))
    with pytest.raises(InputError, match="only a GeoPackage takes further tables"):
        write_vector(tmp_path / "a.shp", table([cells(0, 0)]), tables={"x": pd.DataFrame()})
    with pytest.raises(GridError, match="without a CRS"):
        write_vector(tmp_path / "a.gpkg", table([cells(0, 0)], crs=None))


@pytest.mark.parametrize("suffix", [".gpkg", ".shp", ".geojson"])
def test_written_formats_come_back(tmp_path, suffix):
    zones = table([cells(0, 0), cells(1, 1, 2, 2)], name=["永久基本农田", "b"], code=["0101", "0603"]).to_crs(4490)
    write_vector(tmp_path / f"new/zones{suffix}", zones, date="2024-10-28")
    back = read_vector(tmp_path / f"new/zones{suffix}")
    assert back["name"].tolist() == ["永久基本农田", "b"] and back["code"].tolist() == ["0101", "0603"]
    assert back.crs.to_epsg() == (4326 if suffix == ".geojson" else 4490)
    # GeoJSON keeps 7 decimals of a degree, 1 cm.
    apart = shapely.hausdorff_distance(back.geometry.to_numpy(), zones.geometry.to_numpy())
    assert apart.max() < 1e-7
    assert not [path for path in (tmp_path / "new").iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize("suffix", [".gpkg", ".shp", ".geojson"])
def test_layers_without_features_keep_their_columns(tmp_path, suffix):
    empty = table([cells(0, 0)], name=["x"], n=[1])[:0]
    write_vector(tmp_path / f"a{suffix}", empty)
    if suffix != ".geojson":
        assert pyogrio.read_info(tmp_path / f"a{suffix}")["fields"].tolist() == ["name", "n"]
    assert pyogrio.read_info(tmp_path / f"a{suffix}")["features"] == 0


def test_a_shapefile_says_its_encoding_and_refuses_what_it_would_cut(tmp_path):
    write_vector(tmp_path / "a.shp", table([cells(0, 0)], name=["云" * 84]), date="2024-10-28")
    assert (tmp_path / "a.cpg").read_text() == "UTF-8" and (tmp_path / "a.prj").read_text().startswith("PROJCS[")
    # Bytes 1 to 3 of a DBF file: year since 1900, month, day of the last update.
    assert tuple((tmp_path / "a.dbf").read_bytes()[1:4]) == (124, 10, 28)
    assert read_vector(tmp_path / "a.shp")["name"].tolist() == ["云" * 84]
    with pytest.raises(InputError, match="'name' with values of up to 255 bytes"):
        write_vector(tmp_path / "b.shp", table([cells(0, 0)], name=["云" * 85]))
    with pytest.raises(InputError, match="'eleven_char'.*names of 10"):
        write_vector(tmp_path / "b.shp", table([cells(0, 0)], eleven_char=[1]))
    assert not (tmp_path / "b.shp").exists()


def test_a_geopackage_takes_further_tables(tmp_path):
    alias = pd.DataFrame({"name": ["MJ"], "alias": ["面积"]})
    write_vector(tmp_path / "a.gpkg", table([cells(0, 0)]), layer="patches", tables={"alias": alias})
    assert pyogrio.read_dataframe(tmp_path / "a.gpkg", layer="alias")["alias"].tolist() == ["面积"]
    assert len(read_vector(tmp_path / "a.gpkg", layer="patches")) == 1


@pytest.mark.parametrize(("suffix", "driver"), [(".shp", "ESRI Shapefile"), (".geojson", "GeoJSON"), (".kml", "KML")])
def test_other_formats_are_read(tmp_path, suffix, driver):
    path = tmp_path / f"a{suffix}"
    table([cells(0, 0), cells(1, 1)]).to_crs(4326).to_file(path, driver=driver)
    assert len(read_vector(path)) == 2
    assert read_vector(path).crs.to_epsg() == 4326


def test_several_layers_need_a_name(tmp_path):
    for layer in ("parcels", "roads"):
        table([cells(0, 0)]).to_file(tmp_path / "a.gpkg", layer=layer, driver="GPKG")
    with pytest.raises(InputError, match="parcels, roads; name one"):
        read_vector(tmp_path / "a.gpkg")
    assert len(read_vector(tmp_path / "a.gpkg", layer="roads")) == 1
    with pytest.raises(InputError, match="no layer 'rivers'"):
        read_vector(tmp_path / "a.gpkg", layer="rivers")


def test_a_shapefile_without_prj_is_refused(tmp_path):
    table([cells(0, 0)]).to_file(tmp_path / "a.shp")
    (tmp_path / "a.prj").unlink()
    with pytest.raises(GridError, match=r"needs its \.prj"):
        read_vector(tmp_path / "a.shp")


def test_features_without_geometry_are_counted(tmp_path):
    write_vector(tmp_path / "a.gpkg", table([cells(0, 0), None, Polygon()], n=[1, 2, 3]))
    with pytest.warns(UserWarning, match="2 features without geometry"):
        assert read_vector(tmp_path / "a.gpkg")["n"].tolist() == [1]


OGR_VRT = (
    '<OGRVRTDataSource><OGRVRTLayer name="x"><SrcDataSource>y.gpkg</SrcDataSource></OGRVRTLayer></OGRVRTDataSource>'
)


@pytest.mark.parametrize("name", ["a.gpkg", "a.shp", "a.geojson", "a.kml"])
def test_a_virtual_layer_cannot_pass_as_a_file(tmp_path, name):
    """OGR opens a VRT by its content whatever its name."""
    write_vector(tmp_path / "y.gpkg", table([cells(0, 0)]))
    (tmp_path / name).write_text(OGR_VRT)
    with pytest.raises(InputError, match="content"):
        read_vector(tmp_path / name)


def test_an_xml_declaration_does_not_let_a_virtual_layer_pass(tmp_path):
    (tmp_path / "a.kml").write_text('<?xml version="1.0"?>' + OGR_VRT)
    write_vector(tmp_path / "y.gpkg", table([cells(0, 0)]))
    with pytest.raises(InputError, match=r"a\.kml"):
        read_vector(tmp_path / "a.kml")


def test_other_files_are_refused(tmp_path):
    with pytest.raises(MissingPathError, match="no such file"):
        read_vector(tmp_path / "a.gpkg")
    (tmp_path / "a.csv").write_text("x,y\n1,2\n")
    with pytest.raises(InputError, match="are read from .gpkg"):
        read_vector(tmp_path / "a.csv")
    (tmp_path / "a.geojson").write_text("{ not json")
    with pytest.raises(InputError, match=r"a\.geojson"):
        read_vector(tmp_path / "a.geojson")
    # A topology is JSON too, but another driver's.
    (tmp_path / "t.json").write_text('{"type":"Topology","objects":{},"arcs":[]}')
    with pytest.raises(InputError, match=r"t\.json"):
        read_vector(tmp_path / "t.json")


@pytest.mark.filterwarnings("ignore:GPKG. bad application_id")
def test_a_database_that_is_no_geopackage_and_a_table_without_places(tmp_path):
    sqlite3.connect(tmp_path / "plain.gpkg").execute("create table towns (name text)").connection.commit()
    with pytest.raises(InputError, match=r"plain\.gpkg"):
        read_vector(tmp_path / "plain.gpkg")
    pyogrio.write_dataframe(pd.DataFrame({"name": ["a"]}), tmp_path / "table.gpkg", driver="GPKG")
    with pytest.raises(InputError, match="no geometry column"):
        read_vector(tmp_path / "table.gpkg")


def test_esri_json_is_not_geojson(tmp_path):
    (tmp_path / "a.json").write_text(
        '{"geometryType":"esriGeometryPoint","spatialReference":{"wkid":4326},"fields":[],'
        '"features":[{"attributes":{},"geometry":{"x":106,"y":30}}]}'
    )
    with pytest.raises(InputError, match="ESRIJSON, not what .json promises"):
        read_vector(tmp_path / "a.json")


# --- rasterize ---


def test_rasterize_by_hand():
    zones = table([cells(0, 0, 2, 3), cells(1, 2, 3, 2)], code=[1, 6])
    expected = [
        [1, 1, 1, 0, 0],
        [1, 1, 6, 6, 0],
        [0, 0, 6, 6, 0],
        [0, 0, 6, 6, 0],
        [0, 0, 0, 0, 0],
    ]
    result = rasterize(zones, GRID, "code")
    assert result.dtype == np.uint8 and result.tolist() == expected
    assert rasterize(zones, GRID, values=[1, 6]).tolist() == expected
    assert rasterize(zones, GRID, values=np.array([1, 6], np.uint8)).tolist() == expected


def test_a_pixel_belongs_to_what_covers_its_centre():
    left, bottom, _, _ = GRID.window(2, 2, 1, 1).bounds()
    assert rasterize(table([box(left, bottom, left + 5.1, bottom + 10)]), GRID, values=[1]).sum() == 1
    assert rasterize(table([box(left, bottom, left + 4.9, bottom + 10)]), GRID, values=[1]).sum() == 0


def test_large_and_negative_values_become_int32():
    zones = table([cells(0, 0), cells(0, 1)])
    assert rasterize(zones, GRID, values=[70000, 256])[0, :3].tolist() == [70000, 256, 0]
    assert rasterize(zones, GRID, values=[-1, 2]).dtype == np.int32


def test_features_are_projected_to_the_grid():
    zones = table([cells(1, 1, 3, 3)])
    assert (rasterize(zones.to_crs(4490), GRID, values=[3]) == rasterize(zones, GRID, values=[3])).all()


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({}, InputError, "either a column or values"),
        ({"column": "a", "values": [1, 2]}, InputError, "either a column or values"),
        ({"column": "b"}, InputError, "no column 'b'"),
        ({"column": "name"}, InputError, "got 'x'"),
        ({"column": "half"}, InputError, "got .*0.5"),
        ({"values": [1, float("nan")]}, InputError, "nan"),
        ({"values": [1]}, InputError, "1 values for 2 features"),
    ],
)
def test_values_that_cannot_be_burned(arguments, error, message):
    zones = table([cells(0, 0), cells(0, 1)], a=[1, 2], name=["x", "y"], half=[1.0, 0.5])
    with pytest.raises(error, match=message):
        rasterize(zones, GRID, **arguments)


def test_grids_that_do_not_meet():
    elsewhere = table([box(600000, 3000000, 600010, 3000010)])
    with pytest.raises(GridError, match="lie outside the grid"):
        rasterize(elsewhere, GRID, values=[1])
    with pytest.raises(GridError, match="both need a CRS"):
        rasterize(table([cells(0, 0)], crs=None), GRID, values=[1])
    with pytest.raises(GridError, match="both need a CRS"):
        rasterize(table([cells(0, 0)]), Grid(None, GRID.transform, (5, 5)), values=[1])


def test_points_burn_their_pixel():
    assert rasterize(table([Point(GRID.xy(4, 0))]), GRID, values=[5])[4, 0] == 5


# --- real layers ---


@pytest.mark.parametrize(
    ("path", "count"),
    [
        ("barbellino_s2_2017_2019/scalve.kml", 4),
        ("barbellino_s2_2017_2019/dam.geojson", 1),
        ("raleigh_landsat7_2000/landsat96_polygons.shp", 34),
        ("slovenia_s2_2015/slovenia_LULC_parcels.gpkg", 88),
        ("sinop_modis_ndvi/mato_grosso/mt.shp", 1),
        ("france_rpg_parcels/rpg_parcels_lyon_193.gpkg", 193),
    ],
)
def test_real_layers(test_data, path, count):
    assert len(read_vector(test_data / path)) == count


def test_published_geojson_without_usable_rings_is_refused(test_data):
    folder = test_data / "odd/invalid_geojson_ring_nesting"
    with pytest.raises(InputError, match="none of its 20 features has a geometry"):
        read_vector(folder / "LEVIR_CD_name_coords_first20.geojson")


def test_area_of_a_real_commune(test_data):
    """Lausanne: 4147 ha in its register, 4144.2 ha as a polygon; by 100 m pixels within half a percent."""
    corine = read_raster(test_data / "vaud_corine_2006_2012/ls100_06.tif")
    commune = read_vector(test_data / "vaud_corine_2006_2012/gmb-lausanne.gpkg")
    area = class_areas_m2(rasterize(commune, corine.grid, values=[1]), corine.grid)[1]
    assert area == pytest.approx(4144.2e4, rel=0.005)


def test_real_reference_polygons_cover_their_published_pixels(test_data):
    folder = test_data / "taizhou_landsat7_2000_2003"
    reference = read_raster(folder / "taizhou_change_reference.tif")
    polygons = read_vector(folder / "taizhou_change_reference.gpkg")
    burned = rasterize(polygons, reference.grid, values=polygons["label"].map({"unchanged": 1, "changed": 2}).to_list())
    assert (burned == reference.data[0]).all()
    areas = class_areas_m2(reference.data[0], reference.grid)
    # 4227 pixels of 30 m are 380.43 ha on paper; UTM is 0.01 to 0.1 % off the ground there.
    assert areas[2] / 1e4 == pytest.approx(380.43, rel=1.5e-3)
    assert areas[1] / 1e4 == pytest.approx(1544.67, rel=1.5e-3)
