"""From a question to a checked answer, and what a dialogue remembers."""

import pytest

from src.assistant.pipeline import Assistant, Dialogue
from src.assistant.review import ReviewLog


class Parrot:
    """A model that says what it is told to, and prefers the last choice."""

    def __init__(self, text: str = "") -> None:
        self.text, self.asked = text, 0

    def generate(self, messages, **_):
        self.asked += 1
        return self.text or messages[-1]["content"]

    def score(self, messages, choices):
        return [float(place) for place in range(len(choices))]


@pytest.fixture
def assistant(county, tmp_path) -> Assistant:
    return Assistant(county, reviews=ReviewLog(tmp_path))


def test_a_question_is_measured_and_remembered(assistant):
    dialogue = Dialogue()
    answer = assistant.ask("2024年新增耕地面积是多少？", dialogue)
    assert answer.evidence.status == "measured"
    assert answer.source == "template"
    gain = answer.evidence.find(quantity="gain", cls="cropland", place=None)[0]
    assert gain.t1 < gain.t2
    assert dialogue.previous.metric == "gain"
    again = assistant.ask("那林地呢？", dialogue)
    assert again.evidence.query.cls == "forest"
    assert again.evidence.query.t2 == answer.evidence.query.t2


def test_what_was_asked_back_is_answered_by_the_next_words(assistant):
    dialogue = Dialogue()
    first = assistant.ask("新增耕地面积是多少？", dialogue)
    assert first.evidence.query.metric == "clarify"
    second = assistant.ask("2024年", dialogue)
    assert (second.evidence.query.metric, second.evidence.query.cls) == ("gain", "cropland")


def test_accuracy_is_that_of_the_answer_before(assistant):
    dialogue = Dialogue()
    first = assistant.ask("2024年新增耕地面积是多少？", dialogue)
    second = assistant.ask("这个数准不准？", dialogue)
    assert second.evidence.query.metric == "accuracy"
    assert second.evidence.query.t2 == first.evidence.query.t2
    assert dialogue.previous.metric == "gain"


def test_a_lying_model_is_not_shown(county):
    """The rephrasing changes the headline figure: the template stays, and the problem is told."""
    model = Parrot("2024年新增耕地123456789亩。")
    answer = Assistant(county, model=model, say_again=True).ask("2024年新增耕地面积是多少？", Dialogue())
    assert model.asked == 1
    assert answer.source == "template"
    assert answer.refused
    assert "123456789" not in answer.text


class Broken(Parrot):
    """A model that fails at everything."""

    def generate(self, messages, **_):
        raise RuntimeError("out of memory")

    def score(self, messages, choices):
        raise RuntimeError("out of memory")


def test_a_failing_model_costs_no_answer(county):
    assistant = Assistant(county, model=Broken(), say_again=True)
    answer = assistant.ask("2024年新增耕地面积是多少？", Dialogue())
    assert (answer.source, answer.refused) == ("template", ("model: RuntimeError",))
    assert answer.text == Assistant(county).ask("2024年新增耕地面积是多少？", Dialogue()).text
    lost = assistant.ask("咕噜咕噜", Dialogue()).evidence
    assert lost.reason == "unknown" and lost.choices


def test_a_review_needs_a_patch_and_a_cause(assistant):
    dialogue = Dialogue(user="wang")
    listed = assistant.ask("2024年有哪些变化图斑？", dialogue).evidence
    assert listed.patches
    number = listed.patches[0].id
    asked = assistant.ask("把误报的标记为伪变化", dialogue)
    # With one patch on the list nobody has to ask which one.
    assert asked.evidence.reason == ("need_patch" if len(listed.patches) > 1 else "need_cause")
    assert assistant.reviews.states() == {}
    asked = assistant.ask(f"把图斑{number}标记为伪变化", dialogue)
    assert asked.evidence.reason == "need_cause"
    done = assistant.ask(f"把图斑{number}标记为伪变化，是物候引起的", dialogue)
    assert done.evidence.detail == (number, "伪变化")
    assert assistant.reviews.states() == {number: "伪变化"}
    assert assistant.reviews.audit()[0].user == "wang"


def test_nonsense_gets_the_nearest_questions(assistant):
    answer = assistant.ask("吧啦吧啦小魔仙", Dialogue())
    assert answer.evidence.query.metric in ("clarify", "refuse")
    if answer.evidence.query.metric == "clarify":
        assert answer.evidence.choices


@pytest.mark.parametrize("told", [0, 1])
def test_two_places_are_asked_back_with_both_as_choices(assistant, told):
    """One of both was left out without a word, and the other measured."""
    town = assistant.county.known().zones["town"][0]
    dialogue = Dialogue()
    asked = assistant.ask(f"{town}和河道里2024年耕地减少多少？", dialogue)
    assert asked.evidence.choices == (town, "河道管理范围")
    assert "一次只能统计一个范围" in asked.text and town in asked.text
    query = assistant.understand(asked.evidence.choices[told], dialogue)
    assert (query.metric, query.t2, query.zone.type) == ("loss", "2024-12-31", ("town", "river")[told])


def test_there_is_nothing_to_export_before_the_first_answer(assistant):
    """It said that the files were exactly the last answer where there was none."""
    first = assistant.ask("导出", Dialogue())
    assert (first.evidence.query.metric, first.evidence.reason) == ("clarify", "nothing_yet")
    assert "上一条" not in first.text
    named = assistant.ask("导出2024年新增建设用地图斑", Dialogue())
    assert named.evidence.query.metric == "export" and named.evidence.status == "measured"


def test_where_the_patches_lie_is_asked_back_with_their_numbers(assistant):
    dialogue = Dialogue()
    listed = assistant.ask("2024年有哪些疑似变化图斑", dialogue)
    (row,) = listed.evidence.patches
    alone = assistant.understand("具体位置在哪", dialogue)
    assert (alone.metric, alone.patch_id) == ("patch_detail", row.id)
    rows = (row, row.model_copy(update={"id": f"{row.id}9"}))
    dialogue.last = listed.model_copy(update={"evidence": listed.evidence.model_copy(update={"patches": rows})})
    asked = assistant.ask("具体位置在哪", dialogue)
    assert asked.evidence.reason == "need_patch"
    assert asked.evidence.choices == tuple(one.id for one in rows)
    one = assistant.ask("最大的那块什么情况", dialogue)
    assert (one.evidence.query.metric, one.evidence.query.patch_id) == ("patch_detail", row.id)
