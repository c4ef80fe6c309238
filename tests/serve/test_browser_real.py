"""Real scenes through the page: given as files, asked about in words."""

import re

import geopandas as gpd
import rasterio
from shapely.geometry import box

from src.geo.vector import write_vector

LEVEL_1C = {"传感器": "哨兵二号 L1C", "处理级别": "一级大气顶 L1C", "处理基线": "此前处理", "像元值含义": "反射率"}
UNCALIBRATED = {"传感器": "陆地卫星 7", "处理级别": "未定标", "像元值含义": "未定标"}


def middle(scene, target):
    """A reserve over the middle of a scene."""
    with rasterio.open(scene) as source:
        left, bottom, right, top = source.bounds
        crs = source.crs
    wide, high = (right - left) / 4, (top - bottom) / 4
    outline = box(left + wide, bottom + high, right - wide, top - high)
    write_vector(target, gpd.GeoDataFrame({"name": ["试验保护区"]}, geometry=[outline], crs=crs))
    return target


def test_slovenia_is_measured(visitor, test_data, tmp_path):
    """Three dates of Sentinel-2 L1C and a zone: change, a class by rules, a zone, and a year that nobody saw."""
    source = test_data / "slovenia_s2_2015"
    visitor.page.click("#data button >> nth=0")
    for day in ("2015-07-11", "2015-08-30", "2015-09-09"):
        visitor.give(source / f"slovenia_S2L1C_{day.replace('-', '')}.tif", LEVEL_1C | {"拍摄日期": day}, day)
    visitor.give(middle(source / "slovenia_S2L1C_20150711.tif", tmp_path / "reserve.gpkg"), {}, "边界")
    text = visitor.ask("2015年7月到9月有哪些变化图斑？")
    assert "疑似变化图斑" in text and "2015年7月11日和2015年9月9日" in text
    text = visitor.ask("2015年9月耕地面积是多少？")
    assert "耕地面积为" in text and "范围" in text and "光谱规则" in text
    assert "自然保护" in visitor.ask("自然保护区边界是否被侵占？")
    text = visitor.ask("2023-2024年土地利用结构变化趋势？")
    assert text.startswith("无法判断：时段内没有影像")


def test_taizhou_gives_spectral_change_alone(visitor, test_data):
    """Uncalibrated numbers: patches are found and counted, classes are not guessed."""
    source = test_data / "taizhou_landsat7_2000_2003"
    visitor.page.click("#data button >> nth=0")
    for day in ("2000-03-17", "2003-02-06"):
        visitor.give(source / f"taizhou_LE07_{day.replace('-', '')}.tif", UNCALIBRATED | {"拍摄日期": day}, day)
    text = visitor.ask("2000年3月到2003年2月有哪些变化图斑？")
    assert "未定标灰度值，仅可用于光谱变化" in text
    assert f"类型未定{re.search('图斑([0-9]+)个', text)[1]}个" in text.replace(" ", "")
    assert "无法判断" in visitor.ask("2003年新增建设用地面积是多少？")
