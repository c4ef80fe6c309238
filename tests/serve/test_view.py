"""What stands in the page: escaped, in both languages, and places where they belong."""

import re

import numpy as np
import pytest
import shapely
from PIL import Image

from src.assistant.answer import Answer, compose
from src.assistant.query import Known
from src.assistant.review import Decision
from src.geo.maps.pictures import thinned_grid
from src.serve import chart, texts, view
from src.serve.map_view import GRADE_COLOURS, KIND_COLOURS, map_data
from src.serve.pictures import draw_pictures
from src.serve.quick import HEADLINE, MOST, QUICK, questions
from tests.serve.conftest import PIXEL_M, SIDE


@pytest.fixture(scope="module")
def answer(evidence):
    return Answer(question="<img src=x onerror=alert(1)>", text=compose(evidence), evidence=evidence, seconds=1.25)


@pytest.fixture(scope="module")
def drawn(county, evidence):
    return draw_pictures(county, [one.id for one in evidence.scenes])


@pytest.fixture(scope="module")
def shown(county, evidence, drawn):
    return map_data(evidence, county, drawn, lambda path: f"file={path.name}", "zh")


def test_every_label_is_there_in_both_languages():
    for table in (texts.TEXT, texts.TABLE_WORDS):
        for key, row in table.items():
            assert set(row) == {"zh", "en"}, key
            assert set(re.findall(r"\{(\w+)", row["zh"])) == set(re.findall(r"\{(\w+)", row["en"])), key


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_nothing_of_an_answer_becomes_markup(answer, evidence, lang):
    """gr.HTML shows what it gets: names of towns, files and methods must not be tags."""
    parts = [
        view.answer_head(answer, lang),
        view.tables(evidence, lang),
        view.sources(evidence, lang),
        view.basis(evidence, lang),
        view.review_table(evidence.patches, {}, lang),
        view.status_line([("<b>", "<script>", "ready")]),
        view.audit_table([Decision(1, "t", "<b>u</b>", "P-1", "待核查", "伪变化", "物候", "<s>n</s>", "")], lang),
    ]
    for part in parts:
        for tag in ("<b>SCL", "<u>x", "<script", "<img src=x", "<b>u", "<s>n"):
            assert tag not in part


def test_conversation_text_holds_no_html_and_no_pictures():
    said = view.safe_markdown('a <form action="x"> ![p](http://evil/t.png) **b**')
    assert "<form" not in said and "![" not in said and "**b**" in said


def test_head_shows_the_cards_and_what_the_answer_is_worth(answer):
    head = view.answer_head(answer, "zh")
    assert head.count('class="card"') == 3
    assert "17.4亩" in head  # 11,600 m2 / (2000 / 3)
    assert "量算结果" in head and "1.2 秒" in head
    assert "1.16 ha" in view.answer_head(answer, "en")


def test_an_impression_is_marked_and_has_no_figures():
    said = Answer(question="q", text="about 30%", source="impression")
    head = view.answer_head(said, "zh")
    assert "模型印象，非量算结果" in head and "card" not in head


def test_table_cells_are_figures_in_words(evidence):
    table = view.tables(evidence, "zh")
    assert "<td>林地</td>" in table and '<td class="number">17.4亩</td>' in table
    assert "-3.6亩" in table  # the net of -2,400 m2 keeps its sign


def test_chart_needs_three_dates(evidence):
    assert 'src="data:image/svg+xml;base64,' in chart.series_chart(evidence)
    few = evidence.model_copy(update={"figures": evidence.figures[:-1]})
    assert chart.series_chart(few) is None


def test_sources_say_what_was_used_and_that_accuracy_is_missing(evidence):
    left = evidence.scenes[0].model_copy(update={"used": False, "why": "cloudy"})
    told = view.sources(evidence.model_copy(update={"scenes": (left, evidence.scenes[1])}), "zh")
    assert told.index("采用") < told.index("未采用") and "云量过大" in told and "未作精度评价" in told


def test_reviews_are_counted_and_said_in_the_language(evidence):
    decisions = {"P-1": Decision(1, "t", "u", "P-1", "待核查", "伪变化", "物候", "see photo", "")}
    assert "待核查 1 个，已核查 1 个" in view.review_table(evidence.patches, decisions, "zh")
    english = view.review_table(evidence.patches, decisions, "en")
    assert "1 to check, 1 checked" in english and "伪变化" not in english and "see photo" in english


def test_pictures_share_one_grid_and_are_drawn_once(county, evidence, drawn):
    assert set(drawn.files) == {"before", "after"}
    assert {Image.open(path).size for path in drawn.files.values()} == {(SIDE, SIDE)}
    times = {path: path.stat().st_mtime_ns for path in drawn.files.values()}
    draw_pictures(county, [one.id for one in evidence.scenes])
    assert {path: path.stat().st_mtime_ns for path in drawn.files.values()} == times


def test_pictures_of_nothing(county):
    assert draw_pictures(county, ["no such scene"]) is None


def test_patches_lie_where_they_are(shown):
    """P-1 covers columns and rows 10 to 20 of the scene."""
    first, second = shown["patches"]
    assert np.allclose(first["box"], [10, 10, 20, 20], atol=0.1)
    assert np.allclose(second["box"], [30, 30, 34, 34], atol=0.1)
    numbers = [float(text) for text in re.findall(r"[\d.]+", first["d"])]
    outline = shapely.Polygon(zip(numbers[::2], numbers[1::2], strict=True))
    assert abs(outline.area - 100) < 1 and outline.contains(shapely.Point(first["xy"]))
    assert (shown["width"], shown["height"]) == (SIDE, SIDE)
    assert shown["metres_per_px"] == pytest.approx(PIXEL_M, rel=1e-3)


def test_marks_give_longitude_and_latitude(shown, drawn):
    """The lattice starts and ends at the corners of the picture."""
    import pyproj

    to_degrees = pyproj.Transformer.from_crs(32648, 4326, always_xy=True)
    grid = thinned_grid(drawn.grid, SIDE)
    corners = [to_degrees.transform(*xy) for xy in grid.corners_xy()]
    assert np.allclose(shown["marks"][0], corners[0], atol=1e-6)
    assert np.allclose(shown["marks"][-1], corners[2], atol=1e-6)


def test_map_says_patches_zones_and_layers(shown):
    assert [layer["label"] for layer in shown["layers"]] == ["2024-09-25 影像", "2023-09-20 影像"]
    assert {zone["kind"] for zone in shown["zones"]} == {"county", "reserve"}
    first = shown["patches"][0]
    assert (first["change"], first["area"], first["status"]) == ("林地 → 耕地", "15亩", "待核查")
    assert [row[0] for row in shown["legends"]["kind"]] == ["20", "ZB"]
    assert {row[1] for row in shown["legends"]["grade"]} <= set(GRADE_COLOURS.values())
    assert len(set(KIND_COLOURS.values())) == len(KIND_COLOURS)


def test_a_patch_without_outline_is_a_point(county, evidence, drawn):
    row = evidence.patches[0].model_copy(update={"id": "gone"})
    data = map_data(evidence.model_copy(update={"patches": (row,)}), county, drawn, str, "en")
    assert data["patches"][0]["d"] == "" and len(data["patches"][0]["xy"]) == 2


def test_questions_fit_the_data():
    full = Known(dates=("2023-09-20", "2024-09-25"), zones={"reserve": ("A",), "basic_farmland": ("B",)})
    assert len(questions(full, "zh")) == MOST == len(HEADLINE) + len(QUICK)
    assert questions(full, "zh")[:4] == [
        "2024年新增耕地面积是多少？",
        "最近一个月是否存在疑似违规建设？",
        "自然保护区边界是否被侵占？",
        "2023-2024年土地利用结构变化趋势？",
    ]
    one = questions(Known(dates=("2024-09-25",)), "en")
    assert len(one) == 2 and not any("change" in text for text in one)
    assert questions(Known(), "zh") == []
