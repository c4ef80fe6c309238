"""The page as an officer uses it: ask, read the evidence, go through the patches, review, export, both languages."""

import re
import time
import zipfile

import geopandas as gpd
import httpx
import pytest
from openpyxl import load_workbook

from src.geo.patches.export import LAYER
from tests.serve.browser import ANSWER_MS, Visitor

# Lists patches on a year of change, so that map, table, review and exports have something to show.
PATCHES = "2024年有哪些变化图斑？"


@pytest.fixture(scope="module")
def officer(chromium, site):
    """A visitor who has asked for the patches; shared by the tests that only look."""
    one = Visitor(chromium, site)
    one.ask(PATCHES)
    one.page.wait_for_selector("tr[data-id]", timeout=ANSWER_MS)
    yield one
    one.close()


def test_a_headline_question_gets_text_cards_and_map(visitor):
    visitor.page.click("#quick-0")
    text = visitor.answered(0)
    assert "新增耕地" in text and "量算结果" in text and re.search(r"\d亩", text)
    visitor.page.wait_for_selector(".lm-stage svg image[href]")
    cards = visitor.page.locator(".card strong").all_inner_texts()
    assert cards and cards[0] in text
    assert visitor.page.locator(".lm-zone").count() >= 2
    assert visitor.page.locator(".lm-scale").inner_text().endswith("m")


def test_patches_are_linked_both_ways(officer):
    page = officer.page
    officer.tab("变化图与图斑")
    rows = page.locator("tr[data-id]")
    assert rows.count() == page.locator(".lm-patch").count() > 1
    wanted = rows.nth(1).get_attribute("data-id")
    rows.nth(1).click()
    assert page.locator(".lm-picked").get_attribute("data-id") == wanted
    page.click(".lm-zoom button >> nth=2")
    other = rows.nth(0).get_attribute("data-id")
    page.locator(f'.lm-patch[data-id="{other}"] .lm-dot').last.dispatch_event("click")
    assert page.locator('tr[aria-selected="true"]').get_attribute("data-id") == other
    officer.tab("核查")
    page.wait_for_function("id => document.querySelector('#patch input')?.value === id", arg=other)


def test_the_map_zooms_pans_and_tells_coordinates(officer):
    page = officer.page
    officer.tab("变化图与图斑")
    page.click(".lm-zoom button >> nth=2")

    def view():
        return [float(one) for one in page.locator(".lm-stage svg").get_attribute("viewBox").split()]

    home = view()
    page.click(".lm-zoom button >> nth=0")
    near = view()
    assert near[2] == pytest.approx(home[2] / 1.6, rel=1e-3)
    page.focus(".lm-stage")
    page.keyboard.press("ArrowDown")
    assert view()[1] > near[1]
    box = page.locator(".lm-stage").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.wait_for_function("document.querySelector('.lm-coordinates').textContent.includes('°')")
    page.mouse.wheel(0, -200)
    page.wait_for_timeout(100)
    assert view()[2] < near[2]
    page.select_option("select[data-role=base]", "before")
    assert page.locator(".lm-stage image").first.get_attribute("href").endswith("before.jpg")


def test_the_other_tabs_hold_what_they_promise(officer):
    page = officer.page
    officer.tab("前后对比")
    page.wait_for_selector("#slider img")
    assert page.locator("#slider img").count() >= 2
    officer.tab("数据来源")
    assert "Sentinel-2" in page.locator("#sources").inner_text()
    officer.tab("依据")
    page.wait_for_selector("#trace dt")
    assert re.search(r"[0-9a-f]{64}", page.locator("#trace").inner_text())


def read_export(path):
    """Patch numbers and all text of an export, read by other software than wrote it."""
    if path.suffix in (".gpkg", ".geojson"):
        return list(gpd.read_file(path, **({"layer": LAYER} if path.suffix == ".gpkg" else {}))["TBBH"]), ""
    if path.suffix == ".xlsx":
        cells = [
            str(cell) for sheet in load_workbook(path) for row in sheet.iter_rows(values_only=True) for cell in row
        ]
        return [], "\n".join(cells)
    if path.suffix == ".csv":
        return [], path.read_text(encoding="utf-8-sig")
    with zipfile.ZipFile(path) as archive:
        return [], re.sub(r"<[^>]+>", "", archive.read("word/document.xml").decode())


@pytest.mark.parametrize("kind", ["docx", "xlsx", "gpkg", "geojson", "csv"])
def test_every_export_opens_and_equals_what_was_shown(officer, kind, tmp_path):
    page = officer.page
    officer.tab("变化图与图斑")
    shown = [row.get_attribute("data-id") for row in page.locator("tr[data-id]").all()]
    with page.expect_download(timeout=ANSWER_MS) as waiting:
        page.click(f"#export-{kind}")
    target = tmp_path / waiting.value.suggested_filename
    waiting.value.save_as(target)
    assert target.suffix == f".{kind}"
    numbers, text = read_export(target)
    if numbers:
        assert sorted(numbers) == sorted(shown)
    else:
        assert all(number in text for number in shown)


def test_reviews_are_kept_over_a_restart(chromium, site):
    one = Visitor(chromium, site)
    try:
        one.ask(PATCHES)
        one.page.wait_for_selector("tr[data-id]", timeout=ANSWER_MS)
        number = one.page.locator("tr[data-id]").first.get_attribute("data-id")
        one.page.locator("tr[data-id]").first.click()
        one.tab("核查")
        one.page.wait_for_function("id => document.querySelector('#patch input')?.value === id", arg=number)
        one.page.get_by_label("设施农用地").check()
        one.page.fill("#note textarea, #note input", "有备案 <b>2024</b>")
        one.page.click("#save")
        one.page.wait_for_function("document.querySelector('#queue').innerText.includes('有备案 <b>2024</b>')")
        site.stop()
        site.start()
        one.open()
        one.page.wait_for_selector("#chat [data-testid=bot]")
        one.page.wait_for_selector(f'tr[data-id="{number}"] >> text=设施农用地', timeout=ANSWER_MS)
        one.tab("核查")
        one.page.click("#audit-box button")
        one.page.wait_for_selector("#audit >> text=有备案")
        assert number in one.page.locator("#audit").inner_text()
    finally:
        one.close()


def test_language_switch_keeps_the_conversation(visitor):
    visitor.ask("2024年新增耕地面积是多少？")
    visitor.page.fill("#box textarea", "还没问完")
    visitor.page.get_by_label("English").check()
    visitor.page.wait_for_selector("h1 >> text=County Land-Use Monitoring")
    visitor.page.wait_for_selector("#chat >> text=New cropland")
    assert visitor.answers() == 1
    assert visitor.page.input_value("#box textarea") == "还没问完"
    assert visitor.page.locator("#retry").inner_text() == "Ask again"
    visitor.page.wait_for_selector(".card span >> text=gain of cropland")
    visitor.page.get_by_label("中文").check()
    visitor.page.wait_for_selector("#chat >> text=新增耕地（流入）")


def test_second_turn_and_retry(visitor):
    visitor.ask("2024年新增耕地面积是多少？")
    second = visitor.ask("那林地呢？")
    assert "林地" in second and "无法" not in second.splitlines()[0]
    before = visitor.answers()
    visitor.page.click("#retry")
    again = visitor.answered(before)
    assert again.splitlines()[0] == second.splitlines()[0]
    users = visitor.page.locator("#chat [data-testid=user]").all_inner_texts()
    assert [text.strip() for text in users] == ["2024年新增耕地面积是多少？", "那林地呢？", "那林地呢？"]
    visitor.page.wait_for_function("document.querySelector('#picker input').value.startsWith('3.')")


def test_shift_enter_breaks_the_line(visitor):
    visitor.page.fill("#box textarea", "第一行")
    visitor.page.press("#box textarea", "Shift+Enter")
    visitor.page.keyboard.type("第二行")
    assert visitor.page.input_value("#box textarea") == "第一行\n第二行"
    assert visitor.answers() == 0


def test_two_users_see_nothing_of_each_other(chromium, site, visitor):
    visitor.ask("2024年新增耕地面积是多少？")
    other = Visitor(chromium, site)
    try:
        assert other.answers() == 0
        other.page.reload()
        other.page.wait_for_selector("#quick-0")
        assert other.answers() == 0
    finally:
        other.close()
    visitor.open()
    visitor.page.wait_for_selector("#chat [data-testid=bot]")
    assert visitor.answers() == 1


def test_a_phone_shows_everything_without_sideways_scrolling(chromium, site):
    phone = Visitor(chromium, site, 390, 844, has_touch=True, is_mobile=True)
    try:
        phone.page.tap("#quick-0")
        phone.answered(0)
        phone.page.wait_for_selector(".lm-stage svg image[href]")
        wide = phone.page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
        assert wide[0] <= wide[1] == 390
        places = [phone.page.locator(name).bounding_box() for name in ("#chat", "#box", "#head", ".lm-stage")]
        assert all(box is not None and box["x"] >= 0 and box["x"] + box["width"] <= 390 for box in places)
        assert [box["y"] for box in places] == sorted(box["y"] for box in places)
    finally:
        phone.close()


def test_what_is_typed_never_becomes_markup(visitor):
    visitor.ask('<img src=x onerror="window.hit=1"> <form action=http://192.0.2.1/><b>2024年新增耕地</b>')
    visitor.page.wait_for_timeout(300)
    assert visitor.page.evaluate("window.hit") is None
    assert visitor.page.locator("#chat form, #right form").count() == 0


def test_page_is_usable_soon_and_reports_its_state(site, visitor):
    start = time.monotonic()
    visitor.open()
    assert time.monotonic() - start < 15
    status = visitor.page.locator("#status").inner_text()
    assert "就绪" in status and "2024-12-26" in status
    assert httpx.get(f"{site.url}/healthz").json()["ready"] is True
