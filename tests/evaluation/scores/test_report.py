"""The page that a person reads: what it says, and that it needs no other file."""

import re
import string
import warnings
from html.parser import HTMLParser

import pytest

from evaluation.scores import report, statistic
from evaluation.scores.page import Grid, Heading, Text, markdown, page
from evaluation.scores.plots import radar
from evaluation.scores.reading import DIMENSIONS, Mark, Marks, Prediction, Verdict
from evaluation.scores.report_text import COLUMN_NAMES, TEXT

EVIL = "<script>alert(1)</script> | **bold** `x` [a](http://evil.example)"


def story(runs=2, gain=1.0, self_judged=True, verdicts=()):
    marked = []
    for number in range(runs):
        scores = [4 + i % 3 + gain * number for i in range(12)]
        rows = [
            Mark(str(i // 3), i % 3, True, "", dict.fromkeys(DIMENSIONS, s), s, 20 + i + 30 * number, EVIL)
            for i, s in enumerate(scores)
        ]
        rows.append(Mark("9", 0, False, "unreadable", {}, None, 5, ""))
        marked.append(Marks(f"run{number}", tuple(rows), ("judge-3b",), self_judged, (True,)))
    answers = [
        Prediction(mark.id, mark.turn, "图中有什么？", "耕地", EVIL if mark.turn else "", None, ("a",), True, "images")
        for mark in marked[-1].rows
    ]
    result, runs_found = statistic.statistic(marked, [answers] * runs, verdicts)
    return report.Story(
        result, runs_found, {mark.key: mark for mark in marked[-1].rows}, {row.key: row for row in answers}
    )


@pytest.fixture
def no_pictures(monkeypatch):
    """Plots take a second each."""
    for name in ("radar", "before_after", "score_length"):
        monkeypatch.setattr(report, name, lambda *args: b"")


class Tags(HTMLParser):
    """Tags and addresses of a page."""

    def __init__(self):
        super().__init__()
        self.open, self.tags, self.sources = [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag not in ("meta", "img"):
            self.open.append(tag)
        self.sources += [value for key, value in attrs if key in ("src", "href")]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_report_in_both_languages(tmp_path, lang):
    verdicts = [Verdict("0", turn, order, 0.4) for turn in range(3) for order in ("ab", "ba")]
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a missing glyph is only a warning
        files = report.write_report(story(verdicts=verdicts), tmp_path, lang)
    assert [path.name for path in files] == ["report.md", "report.html", "radar.png", "dimensions.png", "length.png"]
    text = files[1].read_text(encoding="utf-8")
    tags = Tags()
    tags.feed(text)
    assert not tags.open
    assert tags.tags.count("img") == 3
    assert all(source.startswith("data:image/png;base64,") for source in tags.sources)
    assert "script" not in tags.tags and "link" not in tags.tags
    assert "&lt;script&gt;" in text
    told = files[0].read_text(encoding="utf-8")
    for page_text in (told, text):
        assert TEXT["self_judged"][lang].split(";")[0][:20] in page_text
        assert all(names[lang] in page_text for names in COLUMN_NAMES.values())
        assert TEXT["by_judge"][lang] in page_text
    assert "<script" not in told and "](http" not in told.replace("\\]", "")
    for path in files[2:]:
        assert path.read_bytes().startswith(b"\x89PNG")
        assert f"({path.name})" in told


@pytest.mark.parametrize(("gain", "key"), [(1, "better"), (-1, "worse"), (0, "no_difference")])
def test_the_first_lines_say_what_came_out(gain, key, no_pictures):
    blocks = report.build(story(gain=gain), "en")
    leads = [block.text for block in blocks if isinstance(block, Text) and block.kind == "lead"]
    assert len(leads) == 3
    assert leads[0].startswith("run0: 4.62 of 10 on average over all 13 questions of 5 dialogues")
    start = TEXT[key]["en"].split("{first}")[0].format(second="run1", first="run0")
    assert leads[2].startswith(start)
    if gain:
        assert f"{gain:+.2f} points (95 % {gain:.2f} – {gain:.2f})" in leads[2]


def test_one_run_has_no_comparison(no_pictures):
    texts = [block.text for block in report.build(story(runs=1), "en") if isinstance(block, Heading)]
    assert TEXT["preference"]["en"] not in texts
    assert TEXT["scores"]["en"] in texts


@pytest.mark.parametrize(("flag", "key"), [(True, "self_judged"), (None, "self_unknown"), (False, None)])
def test_who_judged_is_said(flag, key, no_pictures):
    found = [b.text for b in report.build(story(self_judged=flag), "en") if isinstance(b, Text) and b.kind == "warning"]
    assert found == ([TEXT[key]["en"]] if key else [])


def test_tables_are_rectangular(no_pictures):
    grids = [block for block in report.build(story(), "zh") if isinstance(block, Grid)]
    assert len(grids) >= 8
    for grid in grids:
        assert all(len(row) == len(grid.head) for row in grid.rows)
    for line in markdown(grids).splitlines():
        assert not line or line.startswith("|") and line.endswith("|")


def test_an_empty_answer_is_shown_as_empty(no_pictures):
    cells = [
        cell for block in report.build(story(), "en") if isinstance(block, Grid) for row in block.rows for cell in row
    ]
    assert TEXT["empty"]["en"] in cells


def test_markdown_escapes_what_a_model_wrote():
    cell = markdown([Grid(("a", "b"), ((EVIL, "x\ny"),))]).splitlines()[2]
    assert cell == (r"| &lt;script>alert(1)&lt;/script> \| \*\*bold\*\* \`x\` \[a\](http://evil.example) | x y |")
    assert page([Text(EVIL)], "<t>", "zh").count("<script") == 0
    assert '<html lang="zh-CN">' in page([], "<t>", "zh")


def test_every_text_has_both_languages_and_the_same_slots():
    assert len(TEXT) > 40
    for key, texts in {**TEXT, **COLUMN_NAMES}.items():
        assert set(texts) == {"zh", "en"}, key
        slots = [{name for _, name, _, _ in string.Formatter().parse(text) if name} for text in texts.values()]
        assert slots[0] == slots[1], key
        assert re.search(r"[\u4e00-\u9fff]", texts["zh"]), key


def test_pictures_are_the_same_for_the_same_figures():
    runs = story().result["runs"]
    first = radar(runs, "zh")
    assert first == radar(runs, "zh")
    assert first != radar(runs[:1], "zh")
