import sys
from importlib import metadata

import matplotlib
import numpy as np
import pytest
from fontTools.ttLib import TTFont
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from src.constants import LAND_CLASS_NAMES
from src.errors import MissingPathError
from src.geo.maps import chips as map_chips
from src.geo.maps import fonts
from src.geo.maps import layout as map_layout
from src.geo.maps import sheets as maps
from src.geo.zones import ZONE_TYPES


def drawn(text: str) -> np.ndarray:
    figure = Figure(figsize=(2, 0.5), dpi=100)
    figure.text(0.05, 0.3, text, fontproperties=fonts.cjk_font(16))
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., 0]


def test_the_file_is_noto_sans_cjk_under_the_open_font_license():
    names = TTFont(fonts.cjk_font_path(), lazy=True)["name"]
    assert names.getDebugName(4) == "Noto Sans CJK SC Regular"
    assert "SIL Open Font License, Version 1.1" in names.getDebugName(13)


def test_every_character_of_the_maps_has_a_glyph():
    known = TTFont(fonts.cjk_font_path(), lazy=True).getBestCmap()
    tables = (maps.TEXT, maps._ROLES, map_layout.TEXT, map_chips.TEXT, LAND_CLASS_NAMES)
    words = [text for table in tables for pair in table.values() for text in pair.values()]
    words += [zone.zh for zone in ZONE_TYPES.values()] + ["°′″→–−²㎡亩"]
    assert len(words) > 60
    assert [letter for letter in "".join(words) if ord(letter) not in known] == []


@pytest.mark.filterwarnings("ignore:Glyph")
def test_chinese_is_drawn_as_itself_and_not_as_missing_boxes():
    """U+0378 is assigned to no character, so it is drawn as the font's box for what is missing."""
    box = drawn("\u0378" * 4)
    assert (box < 128).any()
    assert (drawn("耕地变化") != box).mean() > 0.02
    assert (drawn("耕地变化") != drawn("林地变化")).any()


def test_other_figures_and_settings_stay_as_they_are():
    before = dict(matplotlib.rcParams)
    known = len(matplotlib.font_manager.fontManager.ttflist)
    drawn("县")
    assert dict(matplotlib.rcParams) == before
    assert len(matplotlib.font_manager.fontManager.ttflist) == known
    assert "mplfonts" not in sys.modules


def test_a_missing_package_or_file_says_what_to_install(monkeypatch, tmp_path):
    def gone(name):
        raise metadata.PackageNotFoundError(name)

    class Empty:
        def locate_file(self, name):
            return tmp_path / name

    for find in (gone, lambda name: Empty()):
        fonts.cjk_font_path.cache_clear()
        monkeypatch.setattr(fonts.metadata, "distribution", find)
        with pytest.raises(MissingPathError, match=r"scripts/setup\.sh"):
            fonts.cjk_font(9)
    monkeypatch.undo()
    fonts.cjk_font_path.cache_clear()
