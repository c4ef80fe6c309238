"""A server of the page in a process of its own, and visitors with headless Chromium.

A missing browser skips these tests with the reason; where CI=true promises one, it is a failure.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from src.assistant.demo import Plan, build
from src.geo.blocks import ThreadRunner
from src.geo.workspace import Workspace

REPO = Path(__file__).resolve().parents[2]
# One same-season pair over the year and one over the last month: enough for the headline questions.
PLAN = Plan(size=160, dates=("2022-12-22", "2023-12-24", "2024-11-28", "2024-12-26"), cloudy={})
# Generous: a machine that does other things too must not fail the page.
READY_S, ANSWER_MS = 180.0, 60_000


@dataclass
class Site:
    """The page as ``python -m src.serve.app`` serves it.

    Args:
        workspace: shared county.
        state: folder of sessions; survives a restart.
        flags: further flags of the command.
    """

    workspace: Path
    state: Path
    flags: tuple[str, ...] = ("--temperature", "0", "--max-new-tokens", "48")
    url: str = ""
    log: list[str] = field(default_factory=list)
    _process: "subprocess.Popen[str] | None" = None

    def start(self) -> "Site":
        """Start and wait until model and county are there."""
        port = self.url.rpartition(":")[2] or "0"  # the same one after a restart
        command = [
            sys.executable,
            "-m",
            "src.serve.app",
            "--workspace",
            str(self.workspace),
            "--port",
            port,
            *self.flags,
        ]
        self.log.clear()
        env = os.environ | {"LANDUSE_STATE": str(self.state), "PYTHONUNBUFFERED": "1"}
        self._process = subprocess.Popen(
            command, cwd=REPO, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        threading.Thread(target=self._read, args=(self._process,), daemon=True).start()
        until = time.monotonic() + READY_S
        while time.monotonic() < until and self._process.poll() is None:
            found = re.search(r"http://127\.0\.0\.1:\d+", "".join(self.log))
            if found and self._healthy(found[0]):
                self.url = found[0]
                return self
            time.sleep(0.2)
        self.stop()
        raise AssertionError("the page did not start:\n" + "".join(self.log))

    def _read(self, process: "subprocess.Popen[str]") -> None:
        assert process.stdout is not None
        for line in process.stdout:
            self.log.append(line)

    @staticmethod
    def _healthy(url: str) -> bool:
        try:
            return httpx.get(f"{url}/healthz", timeout=2).status_code == 200
        except httpx.HTTPError:
            return False

    def stop(self) -> None:
        """End our own process."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(15)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()


class Visitor:
    """One browser context with the page open; remembers what it fetched and what the console said."""

    def __init__(
        self, chromium: Any, site: Site, width: int = 1440, height: int = 900, wait: str = "#quick-0", **options: Any
    ) -> None:
        self.site, self.wait, self.requests, self.problems = site, wait, [], []
        self.context = chromium.new_context(
            viewport={"width": width, "height": height}, accept_downloads=True, locale="zh-CN", **options
        )
        self.context.set_default_timeout(ANSWER_MS)
        self.page = self.context.new_page()
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("console", lambda message: self.problems.append(message.text) if message.type == "error" else None)
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.open()

    def open(self) -> None:
        """Load the page and wait for what tells that it can be used: the questions that the data can answer."""
        self.page.goto(self.site.url)
        self.page.wait_for_selector(self.wait, timeout=30_000)

    def answers(self) -> int:
        """How many answers the conversation shows."""
        return self.page.locator("#chat [data-testid=bot]").count()

    def last(self) -> str:
        """The last answer."""
        return self.page.locator("#chat [data-testid=bot]").last.inner_text()

    def ask(self, text: str, *, wait: bool = True) -> str:
        """Type a question and send it with Enter; the answer when it is there."""
        before = self.answers()
        self.page.fill("#box textarea", text)
        self.page.press("#box textarea", "Enter")
        return self.answered(before) if wait else ""

    def answered(self, before: int) -> str:
        """Wait for one more answer than before, and for the page to rest."""
        self.page.wait_for_function(
            "before => document.querySelectorAll('#chat [data-testid=bot]').length > before",
            arg=before,
            timeout=ANSWER_MS,
        )
        self.page.wait_for_selector("#stop:disabled", timeout=ANSWER_MS)
        text = self.last()
        assert "没有完成" not in text, "".join(self.site.log[-40:])
        return text

    def tab(self, name: str) -> None:
        """Show a tab of the evidence."""
        self.page.get_by_role("tab", name=name, exact=True).click()

    def upload(self, selector: str, *paths: Path) -> None:
        """Give files to the file input inside an element."""
        self.page.locator(f"{selector} input[type=file]").first.set_input_files([str(path) for path in paths])

    def give(self, path: Path, answers: dict[str, str], said: str) -> None:
        """Add one file to the data, answer the page's questions about it, and wait until the data log says ``said``.

        Args:
            path: the file.
            answers: by label; of a choice, its text.
            said: part of what the log says once the file is taken.
        """
        page = self.page
        self.upload("#files", path)
        page.wait_for_selector(f"#files >> text={path.stem}", timeout=ANSWER_MS)
        page.click("#add")
        form, taken = page.locator("#form"), page.locator("#data-log").get_by_text(said).first
        while True:
            page.locator("#form:visible").or_(taken).first.wait_for(timeout=ANSWER_MS)
            if taken.is_visible():
                return
            before = form.inner_text()
            for label, value in answers.items():
                box, choice = form.get_by_label(label, exact=True), form.get_by_role("radio", name=value)
                if choice.count() and choice.first.is_visible():
                    choice.first.check()
                elif box.count() and box.first.is_visible():
                    box.first.fill(value)
            page.get_by_role("button", name="继续").click()
            changed = "text => { const f = document.querySelector('#form'); return !f || f.innerText !== text }"
            page.wait_for_function(changed, arg=before, timeout=ANSWER_MS)

    def close(self) -> None:
        """Close, and check that nothing left this machine and nothing went wrong in the browser."""
        self.context.close()
        outside = [url for url in self.requests if not re.match(rf"{self.site.url}/|data:|blob:", url)]
        assert not outside, outside
        # A test that starts the server again leaves pages without it for a while.
        problems = [text for text in self.problems if "ERR_CONNECTION_REFUSED" not in text]
        assert not problems, problems


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """Headless Chromium."""
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        path = None
    if path is None:
        reason = "no browser: needs playwright and Chromium (apt-get install chromium)"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def small_county(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A simulated county of 160 x 160 pixels with four dates, labels of the first, and zones."""
    return build(tmp_path_factory.mktemp("small_county") / "county", PLAN, ThreadRunner(1))


@pytest.fixture(scope="module")
def site(chromium: Any, small_county: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One server per module, with the nano model; its county is a copy, so modules do not share reviews."""
    folder = tmp_path_factory.mktemp("site")
    shutil.copytree(small_county.root, folder / "county", symlinks=True)
    running = Site(folder / "county", folder / "state").start()
    yield running
    running.stop()


@pytest.fixture
def visitor(chromium: Any, site: Site) -> Iterator[Visitor]:
    """A fresh browser context on the page."""
    one = Visitor(chromium, site)
    yield one
    one.close()
