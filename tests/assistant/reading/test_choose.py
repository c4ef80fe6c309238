"""The model's choice of a form, with made-up models, and the nearest examples without one."""

import pytest

from src.assistant.parse import parse
from src.assistant.query import METRICS, Known
from src.assistant.reading.choose import EXAMPLES, MARGIN, METRIC_TITLES, choose, nearest_forms
from tests.assistant.questions import AS_OF, KNOWN


class Likes:
    """A model that gives one title a head start."""

    def __init__(self, title, lead=5.0):
        self.title, self.lead, self.asked = title, lead, []

    def score(self, messages, choices):
        self.asked.append((messages, choices))
        return [-10.0 + (self.lead if choice == self.title else 0.0) for choice in choices]


def test_the_choice_fills_the_slots_that_rules_read():
    model = Likes("某类土地新增面积")
    query = choose("2023年双口镇林地那档子事", model, as_of=AS_OF, known=KNOWN)
    assert (query.metric, query.cls, query.t1, query.t2) == ("gain", "forest", "2022-12-31", "2023-12-31")
    assert (query.zone.name, query.source, query.lang) == ("双口镇", "model", "zh")
    assert len(model.asked) == 1


def test_english_titles_for_english_questions():
    query = choose("the woods thing in 2023", Likes("land lost"), as_of=AS_OF, known=KNOWN)
    assert (query.metric, query.cls, query.lang) == ("loss", "forest", "en")


def test_what_the_form_lacks_is_asked_for():
    query = choose("那档子事", Likes("某类土地新增面积"), as_of=AS_OF, known=KNOWN)
    assert (query.metric, query.reason, query.wanted, query.source) == ("clarify", "need_class", "gain", "model")
    query = choose("林地那档子事", Likes("某类土地新增面积"), as_of=AS_OF, known=KNOWN)
    assert (query.metric, query.reason) == ("clarify", "need_period")


def test_a_period_is_taken_from_before():
    previous = parse("2023年新增耕地多少", as_of=AS_OF, known=KNOWN)
    query = choose("林地那档子事", Likes("某类土地新增面积"), as_of=AS_OF, known=KNOWN, previous=previous)
    assert (query.metric, query.t1, query.t2) == ("gain", "2022-12-31", "2023-12-31")


def test_off_topic_is_declined():
    query = choose("那档子事", Likes("与土地无关"), as_of=AS_OF, known=KNOWN)
    assert (query.metric, query.reason, query.source) == ("refuse", "off_topic", "model")


@pytest.mark.parametrize(("lead", "chosen"), [(MARGIN / 2, False), (MARGIN + 0.01, True)])
def test_below_the_margin_nothing_is_chosen(lead, chosen):
    query = choose("林地那档子事", Likes("某类土地现有面积", lead), as_of=AS_OF, known=KNOWN)
    assert (query is not None) is chosen


def test_nan_is_no_choice_and_a_model_that_cannot_score_neither():
    class Cannot:
        def __init__(self, error):
            self.error = error

        def score(self, messages, choices):
            if self.error:
                raise self.error
            return [float("nan")] * len(choices)

    for error in (None, NotImplementedError(), RuntimeError("cannot score"), ValueError()):
        assert choose("林地那档子事", Cannot(error), as_of=AS_OF, known=KNOWN) is None


def test_titles():
    assert set(METRIC_TITLES) - {"off_topic"} <= set(METRICS)
    for lang in ("zh", "en"):
        titles = [texts[lang] for texts in METRIC_TITLES.values()]
        assert len(set(titles)) == len(titles) == 19


def test_the_nearest_examples_come_first():
    assert nearest_forms("撂荒的", "zh", KNOWN)[0] == "撂荒耕地有多少？"
    assert nearest_forms("fallow abandoned farms", "en", KNOWN)[0] == "How much farmland is abandoned?"
    assert len(nearest_forms("", "zh", KNOWN)) == 4
    assert len(nearest_forms("耕地", "zh", KNOWN, n=2)) == 2


def test_examples_about_places_need_the_place():
    bare = nearest_forms("", "zh", Known(), n=99)
    full = nearest_forms("", "zh", KNOWN, n=99)
    assert not any("保护区" in text or "基本农田" in text for text in bare)
    # KNOWN lacks a red line.
    assert (len(bare), len(full), len(EXAMPLES["zh"])) == (22, 26, 27)
    assert "双口镇2024年新增建设用地多少？" in full


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_every_example_is_understood(lang):
    """What is offered must lead to an answer."""
    for text in nearest_forms("", lang, KNOWN, n=99):
        query = parse(text, as_of=AS_OF, known=KNOWN)
        assert query.metric not in ("clarify", "refuse", "unsupported"), text
        assert query.lang == lang or "双口镇" in text
    assert len(EXAMPLES[lang]) == 27
