"""A tiny county with evidence about it, for tests of the page's own code."""

from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import shapely
from affine import Affine

from src.assistant.query import Query
from src.assistant.record import Evidence, Figure, PatchRow, SceneUse, Table
from src.geo.scenes.product import Given
from src.geo.vector import write_vector
from src.geo.workspace import Options, Workspace, add, init_workspace
from tests.serve.browser import chromium, site, small_county, visitor

__all__ = ["chromium", "site", "small_county", "visitor"]

SIDE, PIXEL_M = 48, 10.0
CORNER = (500_000.0, 3_400_000.0)
DAYS = ("2023-09-20", "2024-09-25")
ROLES = ("blue", "green", "red", "nir", "swir1", "swir2")


def square(left: float, top: float, side: float) -> shapely.Polygon:
    """A square of ground, in pixels from the upper left corner."""
    x, y = CORNER[0] + left * PIXEL_M, CORNER[1] - top * PIXEL_M
    return shapely.box(x, y - side * PIXEL_M, x + side * PIXEL_M, y)


@pytest.fixture(scope="session")
def county(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Two Sentinel-2 scenes of 48 x 48 pixels, a county and a reserve, and one survey with two patches."""
    folder = tmp_path_factory.mktemp("county")
    workspace = init_workspace(folder / "ws", name="<b>试县</b>", code="510723", as_of="2024-12-31")
    rng = np.random.default_rng(0)
    for index, day in enumerate(DAYS):
        bands = rng.integers(1200, 3200, (6, SIDE, SIDE)).astype(np.uint16)
        bands[:, 10:20, 10:20] += np.uint16(2000 * index)
        path = folder / f"scene_{index}.tif"
        write_scene(path, bands)
        given = Given(date=day, sensor="sentinel2_l2a", baseline="05.09", bands=ROLES)
        add(workspace, path, Options(given, "scene"))
    for name, kind, shape in (
        ("county", "county", square(2, 2, 44)),
        ("reserve", "reserve", square(25, 25, 15)),
    ):
        layer = gpd.GeoDataFrame({"name": [f"<i>{name}</i>"]}, geometry=[shape], crs="EPSG:32648")
        write_vector(folder / f"{name}.gpkg", layer)
        add(workspace, folder / f"{name}.gpkg", Options(kind="zone", zone_type=kind))
    survey = workspace.outputs / "survey"
    survey.mkdir(parents=True)
    patches = gpd.GeoDataFrame(
        {"TBBH": ["P-1", "P-2"]}, geometry=[square(10, 10, 10), square(30, 30, 4)], crs="EPSG:32648"
    )
    write_vector(survey / "patches.gpkg", patches.to_crs(4490), layer="patches")
    return workspace


def write_scene(path: Path, bands: np.ndarray) -> None:
    """A six-band GeoTIFF in the test county's grid."""
    import rasterio

    profile = {"driver": "GTiff", "count": len(bands), "height": SIDE, "width": SIDE, "dtype": bands.dtype}
    place = {"crs": "EPSG:32648", "transform": Affine(PIXEL_M, 0, CORNER[0], 0, -PIXEL_M, CORNER[1])}
    with rasterio.open(path, "w", **profile, **place) as raster:
        raster.write(bands)
        raster.descriptions = ROLES


@pytest.fixture(scope="session")
def evidence(county: Workspace) -> Evidence:
    """A gain of cropland on that county with two patches."""
    scenes = tuple(
        SceneUse(id=one.record.id, date=one.record.date, sensor="sentinel2_l2a", level="L2A", clear_share=0.97)
        for one in county.scenes()
    )
    rows = tuple(
        PatchRow(
            id=f"P-{number}",
            area_m2=area,
            bounds=(area * 0.9, area * 1.1),
            lon=105.0,
            lat=30.7,
            t1=DAYS[0],
            t2=DAYS[1],
            from_cls="forest",
            to_cls="cropland",
            kind=kind,
            grade=grade,
            confidence=0.7,
            town="<script>alert(1)</script>镇",
            sector="NE",
            zones=("reserve",),
        )
        for number, area, kind, grade in ((1, 10_000.0, "ZB", "B"), (2, 1_600.0, "20", "A"))
    )
    dated = {"cls": "cropland", "t1": DAYS[0], "t2": DAYS[1]}
    figures = (
        Figure(
            key="gain",
            quantity="gain",
            value=11_600,
            dimension="area",
            bounds=(9e3, 13e3),
            bounds_kind="range",
            **dated,
        ),
        Figure(key="loss", quantity="loss", value=4_000, dimension="area", **dated),
        Figure(key="net", quantity="net", value=-2_400, dimension="area", **dated),
        Figure(key="seen", quantity="seen", value=0.97, dimension="share"),
        *(
            Figure(
                key=f"s{year}",
                quantity="series",
                value=2e5 + year,
                dimension="area",
                cls="cropland",
                t2=f"{year}-09-20",
            )
            for year in (2021, 2022, 2023)
        ),
    )
    return Evidence(
        query=Query(metric="gain", cls="cropland", t1="2023-12-31", t2="2024-12-31"),
        t1="2023-12-31",
        t2="2024-12-31",
        scenes=scenes,
        figures=figures,
        cards=("gain", "loss", "net"),
        tables=(Table(name="breakdown", columns=("class", "gain"), rows=(("forest", "gain"), ("<u>x</u>", "net"))),),
        patches=rows,
        caveats=("UNCALIBRATED_AREA", "NEEDS_FIELD_CHECK"),
        method={"mask": "<b>SCL</b>"},
        survey="survey",
        inputs="abc",
    )
