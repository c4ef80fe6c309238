"""Talk about pictures in the page: streaming, stop, a closed tab, pictures and videos, an error."""

import time

import av
import numpy as np
import pytest
from PIL import Image

from src.geo.workspace import init_workspace
from tests.serve.browser import ANSWER_MS, Site, Visitor
from tests.serve.slow_model import SlowModel


@pytest.fixture(scope="module")
def model():
    slow = SlowModel()
    yield slow
    slow.close()


@pytest.fixture(scope="module")
def site(chromium, model, tmp_path_factory):
    """The page on an empty county, with a slow model behind an OpenAI-compatible server."""
    folder = tmp_path_factory.mktemp("chat")
    init_workspace(folder / "county", name="空县")
    flags = ("--backend", "openai", "--api-base", model.api_base, "--model-path", "slow")
    running = Site(folder / "county", folder / "state", flags).start()
    yield running
    running.stop()


@pytest.fixture(autouse=True)
def quick_again(model):
    """Each test sets how long answers are."""
    model.words, model.fail = 8, False
    model.asked.clear()


@pytest.fixture
def visitor(chromium, site):
    one = Visitor(chromium, site, wait="#box textarea")
    one.page.click("#expert button")
    one.page.get_by_label("看图对话").check()
    yield one
    one.close()


def sent(model):
    """Content parts of the last question that the model got."""
    content = model.asked[-1]["messages"][-1]["content"]
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def test_an_answer_streams_and_is_marked_as_an_impression(visitor, model):
    model.words = 40
    visitor.ask("说说土地利用", wait=False)
    visitor.page.wait_for_selector(".live.writing >> text=词3", timeout=ANSWER_MS)
    assert visitor.answers() == 0 and "模型印象" in visitor.page.locator("#live").inner_text()
    text = visitor.answered(0)
    assert "词39" in text and "模型印象，非量算结果" in text
    assert visitor.page.locator("#live").inner_text().strip() == ""


def test_stop_ends_the_answer_at_once_and_keeps_what_was_said(visitor, model):
    model.words, before = 400, model.left
    visitor.ask("说说土地利用", wait=False)
    visitor.page.wait_for_selector(".live.writing >> text=词5", timeout=ANSWER_MS)
    start = time.monotonic()
    visitor.page.click("#stop")
    visitor.page.wait_for_selector("#chat [data-testid=bot]", timeout=5_000)
    assert time.monotonic() - start < 4
    assert "词5" in visitor.last() and "已停止，内容不完整" in visitor.last()
    until = time.monotonic() + 3
    while model.left == before and time.monotonic() < until:
        time.sleep(0.05)
    assert model.left == before + 1
    model.words = 8
    assert "词7" in visitor.ask("再说一次")


def test_a_closed_tab_frees_the_model(chromium, site, model):
    model.words, before = 400, model.left
    one = Visitor(chromium, site, wait="#box textarea")
    one.page.click("#expert button")
    one.page.get_by_label("看图对话").check()
    one.ask("说说土地利用", wait=False)
    one.page.wait_for_selector(".live.writing >> text=词2", timeout=ANSWER_MS)
    one.close()
    until = time.monotonic() + 5
    while model.left == before and time.monotonic() < until:
        time.sleep(0.05)
    assert model.left == before + 1


def test_a_picture_is_shown_to_the_model(visitor, model, tmp_path):
    Image.new("RGB", (120, 90), "green").save(tmp_path / "绿地.png")
    visitor.upload("#box", tmp_path / "绿地.png")
    visitor.page.wait_for_selector("#box >> css=.thumbnail-item, #box img", timeout=ANSWER_MS)
    visitor.ask("图里是什么？")
    assert [part["type"] for part in sent(model)] == ["image_url", "text"]
    assert sent(model)[0]["image_url"]["url"].startswith("data:image/")
    visitor.page.wait_for_selector("#thumbs img")
    visitor.ask("图中还有什么？")
    roles = [message["role"] for message in model.asked[-1]["messages"]]
    assert roles == ["system", "user", "assistant", "user"]
    assert "词7" in str(model.asked[-1]["messages"][2]["content"])


def test_a_video_is_shown_to_the_model(visitor, model, tmp_path):
    path = tmp_path / "巡查.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=5)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(20):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), number * 10, np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    visitor.upload("#box", path)
    visitor.page.wait_for_selector("#box >> css=.thumbnail-item", timeout=ANSWER_MS)
    text = visitor.ask("视频里是什么？")
    assert "词7" in text
    assert len([part for part in sent(model) if part["type"] != "text"]) >= 1


def test_an_error_is_one_message_and_the_page_goes_on(visitor, model):
    model.fail = True
    before = visitor.answers()
    visitor.ask("说说土地利用", wait=False)
    visitor.page.wait_for_function(
        "n => document.querySelectorAll('#chat [data-testid=bot]').length > n", arg=before, timeout=ANSWER_MS
    )
    assert "模型服务" in visitor.last() and "out of order" not in visitor.last()
    model.fail = False
    assert "词7" in visitor.ask("再说一次")
