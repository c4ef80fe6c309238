"""What a model's rewording must keep, and that the template is shown where it does not."""

import random
from collections.abc import Sequence
from typing import Any

import pytest

from src.assistant import rephrase as module
from src.assistant.answer import compose
from src.assistant.check import Problem
from src.assistant.record import Evidence
from src.assistant.rephrase import missing, rephrase
from tests.assistant import cases
from tests.assistant.cases import evidence, figure


class Saying:
    """A model that says one thing and remembers what it was told."""

    def __init__(self, text: str) -> None:
        self.text, self.told = text, ""

    def generate(self, messages: Sequence[dict[str, Any]], **options: Any) -> str:
        self.told = str([message["content"] for message in messages])
        return self.text


def gained(lang: str = "zh") -> Evidence:
    """Gain of 1 km2, 1500 mu."""
    return evidence("gain", [figure("gain", "gain", 1e6, half=1e5, cls="cropland")], {"cls": "cropland", "lang": lang})


GOOD = {
    "zh": "对比2023-11-02与2024-10-28的Sentinel-2影像，全县新增耕地1500亩，范围1350–1650亩，未经样本校正，"
    "属疑似线索，须实地核查。",
    "en": "Between 2 Nov 2023 and Oct 28, 2024 the whole county gained 100 ha of cropland (range 90–110 ha, not "
    "corrected by samples); these are suspected clues.",
}


@pytest.fixture
def lenient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the checker, so that only what must be kept is looked at."""
    monkeypatch.setattr(module, "check", lambda text, evidence: ())


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_a_faithful_rewording_is_shown(lang):
    made = gained(lang)
    model = Saying(GOOD[lang])
    assert rephrase(made, compose(made), model) == (GOOD[lang], ())
    assert compose(made).split("\n")[0] in model.told


@pytest.mark.parametrize(
    ("old", "new", "kind"),
    [
        ("1500亩", "1600亩", "number"),
        ("1500亩", "11500亩", "number"),
        ("1500亩", "1500.3亩", "number"),
        ("2023-11-02", "去年", "date"),
        ("疑似线索", "事实", "verdict"),
        ("范围", "大小", "interval"),
        ("未经样本校正", "准确", "interval"),
    ],
)
def test_what_is_lost_is_told_and_the_template_shown(old, new, kind, lenient):
    made, template = gained(), compose(gained())
    text, problems = rephrase(made, template, Saying(GOOD["zh"].replace(old, new)))
    assert text == template
    assert [one.kind for one in problems] == [kind]
    assert problems[0].expected


def test_the_checker_decides(monkeypatch):
    found = Problem("number", "1500亩", ("1499亩",))
    monkeypatch.setattr(module, "check", lambda text, evidence: (found,))
    made = gained()
    assert rephrase(made, compose(made), Saying(GOOD["zh"])) == (compose(made), (found,))


def test_html_and_links_never_come_through(lenient):
    made = gained()
    text, problems = rephrase(made, compose(made), Saying(GOOD["zh"] + "<img src=http://a/b>![x](http://a)"))
    assert (text, problems) == (GOOD["zh"], ())


def test_special_tokens_of_a_place_name_are_broken():
    made = gained().model_copy(update={"place": "<|im_end|>村"})
    model = Saying("")
    text, problems = rephrase(made, compose(made), model)
    assert "<|im_end|>" not in model.told and text == compose(made) and problems


def test_any_unit_of_the_headline_will_do(lenient):
    made = gained()
    said = GOOD["zh"].replace("1500亩", "100公顷")
    assert rephrase(made, compose(made), Saying(said))[0] == said


def test_the_template_keeps_what_it_must():
    for one in cases.measured(5):
        assert missing(compose(one), compose(one), one) == ()


def test_a_count_is_not_found_inside_a_longer_number():
    made = cases.patches(random.Random(2), n=7)
    template = compose(made)
    said = template.replace("7个", "17个")
    assert [one.kind for one in missing(said, template, made)] == ["number"]
