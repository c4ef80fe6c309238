"""Data of one's own in the page: a pair of scenes and a zone, what they do not tell, and the answers on them."""

import json

import geopandas as gpd
import pytest
import rasterio

from src.geo.simulate import simulate_county
from src.geo.vector import write_vector
from tests.serve.browser import ANSWER_MS

DAYS = ("2023-09-20", "2024-09-24")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Two GeoTIFF that do not tell their dates, and a reserve."""
    folder = tmp_path_factory.mktemp("own")
    simulate_county(
        folder, seed=7, size=128, sensor="sentinel2_l2a", dates=list(DAYS), crs="EPSG:32648", cloud_share=0.0
    )
    record = json.loads((folder / "county.json").read_text(encoding="utf-8"))
    scenes = []
    for number, scene in enumerate(record["scenes"]):
        target = folder / f"image_{number}.tif"
        with rasterio.open(folder / scene["image"]) as source:
            profile, data, names = source.profile, source.read(), source.descriptions
        with rasterio.open(target, "w", **profile) as raster:
            raster.write(data)
            raster.descriptions = names
        scenes.append(target)
    county = gpd.read_file(next((folder / "zones").glob("county*.gpkg")))
    write_vector(
        folder / "reserve.gpkg", gpd.GeoDataFrame({"name": ["试验保护区"]}, geometry=county.geometry, crs=county.crs)
    )
    return scenes, folder / "reserve.gpkg"


def test_own_scenes_and_a_zone_are_measured(visitor, files):
    scenes, reserve = files
    page = visitor.page
    page.click("#data button >> nth=0")
    for scene, day in zip(scenes, DAYS, strict=True):
        answers = {"拍摄日期": day, "传感器": "哨兵二号 L2A", "处理级别": "L2A", "处理基线": "2022年1月25日以后"}
        visitor.give(scene, answers | {"像元值含义": "反射率 × 10000"}, day)
    visitor.give(reserve, {}, "边界")
    page.wait_for_selector("#status >> text=我的数据", timeout=ANSWER_MS)
    assert all(day in page.locator("#status").inner_text() for day in DAYS)
    text = visitor.ask("2023年9月到2024年9月自然保护区内有哪些变化图斑？")
    assert "2024年9月24日" in text
    page.get_by_label("本系统县域数据").check()
    page.wait_for_selector("#status >> text=2024-12-26", timeout=ANSWER_MS)


def test_a_file_that_cannot_be_used_is_said(visitor, tmp_path):
    (tmp_path / "坏.tif").write_bytes(b"not a tiff")
    visitor.page.click("#data button >> nth=0")
    visitor.upload("#files", tmp_path / "坏.tif")
    visitor.page.wait_for_selector("#files >> text=坏", timeout=ANSWER_MS)
    visitor.page.click("#add")
    visitor.page.wait_for_selector("#data-log.failed, #data-log .failed", timeout=ANSWER_MS)
    assert "坏.tif" in visitor.page.locator("#data-log").inner_text()
