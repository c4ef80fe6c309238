"""Pictures of the page for the documentation: python -m evaluation.screenshots --out images.

Starts the page on the demo county (or --workspace), asks the four headline
questions, and saves page_zh.png, page_en.png, page_map.png and page_phone.png.
Needs playwright and Chromium. Chinese letters come from the font of the package
``mplfonts``, so that pictures look the same on machines without Chinese fonts.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tqdm import tqdm

from src.errors import InputError, TrainingError, run_command
from src.geo.maps.fonts import cjk_font_path

DESKTOP, PHONE = {"width": 1440, "height": 900}, {"width": 390, "height": 844}
_START_S, _ANSWER_MS = 300.0, 180_000
_FONTS = """<?xml version="1.0"?><!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig><include ignore_missing="yes">/etc/fonts/fonts.conf</include><dir>{folder}</dir><cachedir>{cache}</cachedir>
<match target="pattern"><test name="family"><string>sans-serif</string></test>
<edit name="family" mode="prepend" binding="strong"><string>Noto Sans CJK SC</string></edit></match></fontconfig>
"""


@contextmanager
def running_page(workspace: Path | None, state: Path) -> Iterator[str]:
    """The page in a process of its own, ready to answer; gives its address.

    Raises:
        TrainingError: it did not start.
    """
    command = [sys.executable, "-m", "src.serve.app", "--port", "0"]
    command += [] if workspace is None else ["--workspace", str(workspace)]
    log = state / "page.log"
    with log.open("w") as out:
        process = subprocess.Popen(
            command, stdout=out, stderr=subprocess.STDOUT, env=os.environ | {"LANDUSE_STATE": str(state)}
        )
    try:
        yield _wait_for(process, log)
    finally:
        process.terminate()
        process.wait(30)


def _wait_for(process: "subprocess.Popen[bytes]", log: Path) -> str:
    until = time.monotonic() + _START_S
    while time.monotonic() < until and process.poll() is None:
        found = re.search(r"http://127\.0\.0\.1:\d+", log.read_text(encoding="utf-8"))
        if found and "Page ready" in log.read_text(encoding="utf-8"):
            return found[0]
        time.sleep(0.3)
    raise TrainingError(f"the page did not start; its log:\n{log.read_text(encoding='utf-8')}")


def ask(page: Any, text: str) -> None:
    """Ask a question and wait until the answer and its map are there."""
    before = page.locator("#chat [data-testid=bot]").count()
    page.fill("#box textarea", text)
    page.press("#box textarea", "Enter")
    more = "n => document.querySelectorAll('#chat [data-testid=bot]').length > n"
    page.wait_for_function(more, arg=before, timeout=_ANSWER_MS)
    page.wait_for_selector("#stop:disabled", timeout=_ANSWER_MS)
    _rest(page)


def _rest(page: Any) -> None:
    """Wait until pictures are loaded and nothing moves any more."""
    page.wait_for_selector(".lm-stage svg image[href]", timeout=_ANSWER_MS)
    page.wait_for_timeout(1500)


def take(browser: Any, url: str, out: Path) -> None:
    """All four pictures."""
    from src.serve.quick import HEADLINE

    page = browser.new_page(viewport=DESKTOP, locale="zh-CN")
    page.set_default_timeout(_ANSWER_MS)
    page.goto(url)
    page.wait_for_selector("#quick-0", timeout=int(_START_S * 1000))
    asked = [page.locator(f"#quick-{number}").inner_text() for number in range(len(HEADLINE))]
    for text in tqdm([*asked[:1], *asked[2:], asked[1]], desc="questions", disable=None):
        ask(page, text)
    page.screenshot(path=out / "page_zh.png")
    # Once more a question with patches, one of them chosen, for the map.
    ask(page, "2024年有哪些变化图斑？")
    page.locator("tr[data-id]").nth(1).click()
    page.wait_for_timeout(600)
    page.locator("#tab-map, #map").last.screenshot(path=out / "page_map.png")
    page.get_by_label("English").check()
    page.wait_for_selector("h1 >> text=County")
    _rest(page)
    page.screenshot(path=out / "page_en.png")
    phone = browser.new_page(viewport=PHONE, locale="zh-CN", is_mobile=True, has_touch=True)
    phone.set_default_timeout(_ANSWER_MS)
    phone.goto(url)
    phone.wait_for_selector("#quick-0")
    ask(phone, "2024年有哪些变化图斑？")
    phone.screenshot(path=out / "page_phone.png", full_page=True)


def parse() -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(
        prog="python -m evaluation.screenshots",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--out", type=Path, default=Path("images"), help="folder (default %(default)s)")
    parser.add_argument("--workspace", type=Path, help="county to show (default: the demo county)")
    return parser.parse_args()


def main() -> None:
    """Start, ask, save."""
    args = parse()
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        raise InputError("no Chromium on this machine: install it (apt-get install chromium), then run this again")
    from playwright.sync_api import sync_playwright

    args.out.mkdir(parents=True, exist_ok=True)
    print(f"Starting the page and taking four pictures -> {args.out}", file=sys.stderr)
    with tempfile.TemporaryDirectory() as scratch, running_page(args.workspace, Path(scratch)) as url:
        config = Path(scratch) / "fonts.conf"
        config.write_text(_FONTS.format(folder=cjk_font_path().parent, cache=scratch), encoding="utf-8")
        with sync_playwright() as playwright:
            env: dict[str, str | float | bool] = {**os.environ, "FONTCONFIG_FILE": str(config)}
            browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"], env=env)
            take(browser, url, args.out)
            browser.close()
    for path in sorted(args.out.glob("page_*.png")):
        print(path)


if __name__ == "__main__":
    run_command(main)
