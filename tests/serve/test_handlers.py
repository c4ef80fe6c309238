"""Questions, stops, errors and reviews, without a browser: what the handlers yield and what they keep."""

import asyncio
import json
import time
from dataclasses import dataclass
from types import SimpleNamespace

import gradio as gr
import pytest
from PIL import Image

from src.assistant.answer import compose
from src.errors import InputError
from src.serve.context import Loading, PageContext, ServeOptions
from src.serve.data_panel import DataPanel, Pending
from src.serve.handlers import MOST_ASKING, Talk, language_of
from src.serve.jobs import Done, Jobs, Step, StoppedError, Waiting
from src.serve.panel import EXPORTS, Panel
from src.serve.sessions import SessionStore
from src.serve.texts import say
from src.serve.ui import build_page
from tests.serve.fakes import FakeAssistant, FakeBackend

SETTINGS = ("zh", "shared", "auto", 0.0, 32, 1.0, 1.0, "")


@dataclass(frozen=True)
class Context(PageContext):
    """A page context with a stand-in for the assistant."""

    fake: FakeAssistant | None = None

    def assistant(self, session):
        assert self.fake is not None
        self.county.get()
        return self.fake


@pytest.fixture
def context(tmp_path, county, evidence):
    return Context(
        ServeOptions("fake"),
        Loading.of(FakeBackend(), "model"),
        Loading.of(county, "county"),
        SessionStore(tmp_path / "state"),
        tmp_path / "reviews",
        fake=FakeAssistant(county, evidence),
    )


@pytest.fixture
def page(context, monkeypatch):
    """Desk, parts and a request, from a page that was really built."""
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(context.sessions.received))
    found = {}
    monkeypatch.setattr("src.serve.ui._wire_talk", lambda desk, parts, page: found.update(desk=desk, parts=parts))
    build_page(context)
    request = SimpleNamespace(username=None, cookies={}, session_hash="tab1")
    return SimpleNamespace(**found, request=request, context=context)


def talk(page):
    return Talk(page.desk, page.parts)


def run(generator):
    """All updates of a handler, each with the component's id as its key."""

    async def collect():
        return [updates async for updates in generator]

    return asyncio.run(collect())


def chat_of(page):
    return page.desk.chat(page.desk.session(page.request))


def test_the_page_builds_with_every_event(context):
    page = build_page(context)
    assert len(page.fns) > 20
    # Nothing but the page itself may call the handlers.
    assert {fn.api_visibility for fn in page.fns.values()} == {"private"}


def test_a_measured_answer_shows_its_steps_then_its_text(page, evidence):
    updates = run(talk(page).ask({"text": "2024年新增耕地？", "files": []}, page.request, *SETTINGS))
    lives = [one[page.parts.live] for one in updates if page.parts.live in one]
    assert say("understanding", "zh") in lives[0]
    assert any("检测变化" in live and "60%" in live for live in lives)
    assert lives[-1] == ""
    said = chat_of(page)
    assert [one["role"] for one in said] == ["user", "assistant"]
    assert said[1]["content"].startswith(compose(evidence).splitlines()[0]) and "量算结果" in said[1]["content"]


def test_a_crowd_is_told_so_at_once(page):
    """R2: beyond the limit nothing is kept and the box keeps the question; later it is answered."""
    question = {"text": "2024年新增耕地？", "files": []}
    page.desk.busy |= {f"other {number}" for number in range(MOST_ASKING)}
    (told,) = run(talk(page).ask(question, page.request, *SETTINGS))
    assert list(told) == [page.parts.live] and say("crowded", "zh") in told[page.parts.live]
    assert chat_of(page) == []
    page.desk.busy.pop()
    run(talk(page).ask(question, page.request, *SETTINGS))
    assert [one["role"] for one in chat_of(page)] == ["user", "assistant"]


def test_nothing_is_asked_where_nothing_was_typed(page):
    assert run(talk(page).ask({"text": "  ", "files": []}, page.request, *SETTINGS)) == []


def test_talk_about_a_picture_streams_and_is_marked(page, tmp_path):
    picture = tmp_path / "河.png"
    Image.new("RGB", (40, 30), "blue").save(picture)
    updates = run(talk(page).ask({"text": "图里有什么？", "files": [str(picture)]}, page.request, *SETTINGS))
    assert any("水" in one.get(page.parts.live, "") for one in updates)
    messages, options, session = page.context.backend.get().asked[0]
    assert [one["role"] for one in messages] == ["system", "user"]
    assert [part["type"] for part in messages[1]["content"]] == ["image", "text"]
    assert messages[1]["content"][0]["image"].size == (40, 30)
    assert (options.temperature, options.max_new_tokens) == (0.0, 32) and session
    assert "模型印象，非量算结果" in chat_of(page)[1]["content"] and "河.png" in chat_of(page)[0]["content"]


def test_second_turn_carries_the_first_and_its_picture(page, tmp_path):
    Image.new("RGB", (40, 30)).save(tmp_path / "a.png")
    run(talk(page).ask({"text": "图里有什么？", "files": [str(tmp_path / "a.png")]}, page.request, *SETTINGS))
    run(talk(page).ask({"text": "图中还有呢？", "files": []}, page.request, *SETTINGS))
    messages, _, _ = page.context.backend.get().asked[1]
    assert [one["role"] for one in messages] == ["system", "user", "assistant", "user"]
    assert messages[2]["content"] == "水体在左侧"
    assert messages[1]["content"][0]["type"] == "image" and messages[3]["content"][-1]["text"] == "图中还有呢？"


def test_measured_answers_are_not_told_to_the_model(page, tmp_path):
    run(talk(page).ask_text("2024年新增耕地？", page.request, *SETTINGS))
    Image.new("RGB", (40, 30)).save(tmp_path / "a.png")
    run(talk(page).ask({"text": "图里有什么？", "files": [str(tmp_path / "a.png")]}, page.request, *SETTINGS))
    messages, _, _ = page.context.backend.get().asked[0]
    assert len(messages) == 2 and "耕地" not in json.dumps(messages[1]["content"][1:], ensure_ascii=False)


def test_retry_asks_the_same_with_its_picture(page, tmp_path):
    Image.new("RGB", (40, 30)).save(tmp_path / "a.png")
    run(talk(page).ask({"text": "图里有什么？", "files": [str(tmp_path / "a.png")]}, page.request, *SETTINGS))
    run(talk(page).again(page.request, *SETTINGS))
    messages, _, _ = page.context.backend.get().asked[1]
    assert messages[-1]["content"][0]["type"] == "image" and messages[-1]["content"][1]["text"] == "图里有什么？"


def test_a_stop_frees_the_model_and_keeps_what_was_said(page, tmp_path):
    backend = FakeBackend("a " * 200, pause_s=0.02)
    object.__setattr__(page.context, "backend", Loading.of(backend))

    async def stop_early():
        settings = ("zh", "shared", "chat", 0.0, 32, 1.0, 1.0, "")
        answer = talk(page).ask_text("说点什么", page.request, *settings)
        async for updates in answer:
            if "a" in updates.get(page.parts.live, "").split("<p>")[-1].replace("</p>", "x")[:3]:
                break
        start = time.monotonic()
        await answer.aclose()
        return time.monotonic() - start

    assert asyncio.run(stop_early()) < 0.5
    assert backend.replies[0].cancelled
    assert "已停止，内容不完整" in chat_of(page)[1]["content"]
    assert not page.desk.busy


def test_a_stop_ends_a_measurement_at_its_next_step(page, county, evidence):
    fake = FakeAssistant(county, evidence, pause_s=0.2)
    object.__setattr__(page.context, "fake", fake)

    async def stop_early():
        answer = talk(page).ask_text("2024年新增耕地？", page.request, *SETTINGS)
        async for updates in answer:
            if "20%" in updates.get(page.parts.live, ""):
                break
        await answer.aclose()
        # The line is free again once the running step ends.
        async for event in page.desk.jobs.run(lambda tell: "next"):
            last = event
        return last

    assert asyncio.run(stop_early()) == Done("next")
    assert [one["content"] for one in chat_of(page)][1:] == [say("stopped", "zh")]


@pytest.mark.parametrize(
    ("error", "shown", "hidden"),
    [(ValueError("secret /path"), "这次回答没有完成", "secret"), (InputError("x"), "这次回答没有完成", "x)")],
)
def test_an_error_is_one_message_to_one_user(page, county, evidence, error, shown, hidden):
    object.__setattr__(page.context, "fake", FakeAssistant(county, evidence, error=error))
    updates = run(talk(page).ask_text("2024年新增耕地？", page.request, *SETTINGS))
    assert shown in chat_of(page)[1]["content"] and hidden not in chat_of(page)[1]["content"]
    assert updates[-1][page.parts.live] == "" and not page.desk.busy


def test_a_failing_model_is_one_message(page):
    object.__setattr__(page.context, "backend", Loading.of(FakeBackend(error="memory")))
    run(talk(page).ask_text("说点什么", page.request, "zh", "shared", "chat", 0.0, 32, 1.0, 1.0, ""))
    assert "内存不足" in chat_of(page)[-1]["content"]


def test_what_still_loads_is_said(page):
    object.__setattr__(page.context, "county", Loading(lambda tell: None, "county"))
    object.__setattr__(page.context, "backend", Loading(lambda tell: None, "model"))
    run(talk(page).ask_text("2024年新增耕地？", page.request, *SETTINGS))
    run(talk(page).ask_text("说", page.request, "en", "shared", "chat", 0.0, 32, 1.0, 1.0, ""))
    assert [one["content"] for one in chat_of(page)[1::2]] == [
        say("not_ready_county", "zh"),
        say("not_ready_model", "en"),
    ]


def test_a_bad_file_is_said_and_nothing_is_asked(page, tmp_path):
    (tmp_path / "a.exe").write_bytes(b"MZ")
    run(talk(page).ask({"text": "看", "files": [str(tmp_path / "a.exe")]}, page.request, *SETTINGS))
    assert "a.exe" in chat_of(page)[-1]["content"] and not page.context.backend.get().asked


def test_sessions_do_not_see_each_other(page):
    run(talk(page).ask_text("2024年新增耕地？", page.request, *SETTINGS))
    other = SimpleNamespace(username=None, cookies={}, session_hash="tab2")
    assert page.desk.chat(page.desk.session(other)) == []


def test_language_switch_says_the_answers_again(page):
    run(talk(page).ask_text("2024年新增耕地？", page.request, *SETTINGS))
    data = DataPanel(page.desk, page.parts)
    updates = asyncio.run(data.switch("en", "shared", Pending(), {}, page.request))
    assert updates[page.parts.retry]["value"] == "Ask again"
    assert "New cropland" in updates[page.parts.chat]["value"][1]["content"]
    assert updates[page.parts.chat]["value"][0]["content"] == "2024年新增耕地？"


def test_evidence_comes_in_words_then_in_pictures(page, evidence):
    run(talk(page).ask_text("2024年新增耕地？", page.request, *SETTINGS))
    updates = run(Panel(page.desk, page.parts).newest("zh", page.request))
    words, pictures = updates[-2], updates[-1]
    assert "17.4亩" in words[page.parts.head] and evidence.id in words[page.parts.basis]
    data = json.loads(pictures[page.parts.map])
    assert [patch["id"] for patch in data["patches"]] == ["P-1", "P-2"]
    assert data["layers"][0]["url"].startswith(f"gradio_api/file={page.context.sessions.received}")
    assert len(pictures[page.parts.slider]) == 2


def test_a_review_is_logged_and_shown_on_the_map(page, monkeypatch):
    told = []
    monkeypatch.setattr(gr, "Info", told.append)
    monkeypatch.setattr(gr, "Warning", told.append)
    page.request.username = "李雷"
    run(talk(page).ask_text("2024年新增耕地？", page.request, *SETTINGS))
    panel = Panel(page.desk, page.parts)
    refused = asyncio.run(panel.save(None, "P-1", "伪变化", None, "n", "zh", page.request))
    assert refused == {page.parts.note: "n"}  # a false change needs its cause
    saved = asyncio.run(panel.save(None, "P-1", "伪变化", "物候", "查看照片", "zh", page.request))
    assert "李雷" in saved[page.parts.audit] and "待核查 1 个，已核查 1 个" in saved[page.parts.queue]
    states = {patch["id"]: patch["status"] for patch in json.loads(saved[page.parts.map])["patches"]}
    assert states == {"P-1": "伪变化", "P-2": "待核查"}


def test_exports_need_a_measured_answer(page, monkeypatch):
    told = []
    monkeypatch.setattr(gr, "Warning", told.append)
    assert set(EXPORTS) == {"docx", "xlsx", "gpkg", "geojson", "csv"}
    updates = asyncio.run(Panel(page.desk, page.parts).exporter("csv")(None, "zh", page.request))
    assert told == [say("export_none", "zh")] and updates[page.parts.download]["visible"] is False


def test_jobs_run_one_at_a_time_and_tell_the_place_in_line():
    async def go():
        jobs, order, events = Jobs(), [], []

        def work(name):
            def measured(tell):
                tell("change", 0.5)
                time.sleep(0.3)
                order.append(name)
                return name

            return measured

        async def one(name):
            async for event in jobs.run(work(name)):
                events.append((name, event))

        await asyncio.gather(one("a"), one("b"), one("c"))
        return order, events

    order, events = asyncio.run(go())
    assert order == ["a", "b", "c"]
    assert ("b", Waiting(1)) in events and ("c", Waiting(2)) in events and ("c", Waiting(1)) in events
    assert [event for name, event in events if name == "a"] == [Step("change", 0.5), Done("a")]


def test_an_asker_who_leaves_stops_the_work():
    async def go():
        jobs, seen = Jobs(), []

        def work(tell):
            try:
                for _ in range(100):
                    tell("change", 0.1)
                    time.sleep(0.02)
            except StoppedError:
                seen.append("stopped")
                raise

        events = jobs.run(work)
        async for _ in events:
            break
        await events.aclose()
        await asyncio.sleep(0.2)
        return seen

    assert asyncio.run(go()) == ["stopped"]


@pytest.mark.parametrize(("text", "lang"), [("有水吗 ok", "zh"), ("is there water", "en"), ("2024?", "zh")])
def test_language_of_a_question(text, lang):
    assert language_of(text, "zh") == lang
