"""The page in a real browser: what is seen, heard and reached, and that nothing else runs."""

from __future__ import annotations

import base64
import io
import itertools
import json
import re
import shutil
import zipfile

import matplotlib.image
import numpy as np
import pytest

from analysis import critical_widths
from analysis.report import report_page
from pipeline.trial_status import Status

pytestmark = pytest.mark.browser

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
if CHROMIUM is None:
    pytest.skip("no Chromium is installed", allow_module_level=True)
sync_api = pytest.importorskip("playwright.sync_api")


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def address(page, tmp_path_factory) -> str:
    file = tmp_path_factory.mktemp("page") / "report.html"
    file.write_text(page, encoding="utf-8")
    return file.as_uri()


@pytest.fixture(scope="module")
def html_data(page) -> dict[str, str]:
    """The CSV of every figure, by the name of its download; equal names are equal in their first."""
    found: dict[str, str] = {}
    for url, name in re.findall(r'href="data:application/zip;base64,([^"]*)" download="([^"]*)"', page):
        archive = zipfile.ZipFile(io.BytesIO(base64.b64decode(url)))
        found.setdefault(name, archive.read(archive.namelist()[0]).decode())
    return found


@pytest.fixture
def shown(browser, address):
    """Open the page with some options; whatever a test does, nothing may fail, run or be requested."""
    wrong: list[str] = []
    contexts = []

    def open_page(width: int = 1400, height: int = 900, **options):
        context = browser.new_context(viewport={"width": width, "height": height}, **options)
        contexts.append(context)
        tab = context.new_page()
        tab.on("console", lambda message: wrong.append(f"console: {message.text}"))
        tab.on("pageerror", lambda error: wrong.append(f"error: {error}"))
        tab.on("dialog", lambda dialog: (wrong.append(f"ran: {dialog.message}"), dialog.dismiss()))
        tab.on("request", lambda request: request.url == address or wrong.append(request.url[:99]))
        tab.goto(address)
        return tab

    yield open_page
    for context in contexts:
        context.close()
    assert wrong == []


def contrast(one: str, other: str) -> float:
    """Ratio of WCAG 2 of two colours as the browser computes them, `rgb(1, 2, 3)`."""

    def luminance(colour: str) -> float:
        channels = np.array([float(x) for x in re.findall(r"[\d.]+", colour)[:3]]) / 255
        linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
        return float(linear @ [0.2126, 0.7152, 0.0722])

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def pixels(png: bytes):
    return matplotlib.image.imread(io.BytesIO(png))[..., :3]


@pytest.mark.parametrize("width", [400, 1400])
def test_nothing_is_wider_than_the_window_and_pictures_are_there(shown, width) -> None:
    tab = shown(width)
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    boxes = tab.evaluate(
        """[...document.querySelectorAll('svg[role=img], .panel svg')]
           .filter(svg => !svg.closest('details:not([open])'))
           .map(svg => { const b = svg.getBoundingClientRect(); const i = svg.getBBox();
                         return [b.width, b.height, i.width, i.height]; })"""
    )
    assert len(boxes) > 6
    assert np.min(boxes) > 60
    picture = tab.locator("svg[role=img]").first
    assert pixels(picture.screenshot()).std() > 0.02
    panel = pixels(tab.locator(".panel svg").first.screenshot())
    assert np.ptp(panel[..., 2]) > 0.4  # from blue to yellow


def test_a_long_path_beside_a_name_breaks_in_a_narrow_window(browser, studies, tmp_path) -> None:
    study = studies["theorem2.zarr"]
    file = tmp_path / "long.html"
    file.write_text(report_page({f"{name * 99}.zarr": study for name in "ab"}))
    tab = browser.new_page(viewport={"width": 400, "height": 900})
    tab.goto(file.as_uri())
    assert tab.evaluate("document.documentElement.scrollWidth") <= 400
    tab.close()


def test_a_wide_window_is_used_to_its_right_side_and_a_narrow_one_has_one_column(shown) -> None:
    def sides(tab, what: str) -> tuple[float, float]:
        box = tab.locator(what).first.bounding_box()
        return box["x"], box["x"] + box["width"]

    wide = shown(1400)
    assert sides(wide, "#answer")[1] < sides(wide, ".numbers")[0]
    assert sides(wide, "#notation")[1] < sides(wide, "#words")[0]
    for what in (".numbers", ".criteria", "table.claims", "figure.wide"):
        assert sides(wide, what)[1] > 1200
    narrow = shown(400)
    assert sides(narrow, "#answer") == sides(narrow, ".numbers")
    assert sides(narrow, "#notation")[0] == sides(narrow, "#words")[0]


def test_the_data_of_a_figure_are_downloaded_from_the_page_itself(shown, html_data) -> None:
    tab = shown(accept_downloads=True)
    for link in (tab.locator("a.data").first, tab.locator("figcaption a.data").first):
        with tab.expect_download() as caught:
            link.click()
        name = caught.value.suggested_filename
        archive = zipfile.ZipFile(caught.value.path())
        assert archive.namelist() == [name.removesuffix(".zip")]
        assert archive.read(archive.namelist()[0]).decode() == html_data[name]


def test_the_hostile_store_is_shown_in_its_own_words(shown) -> None:
    tab = shown()
    assert "<img src=x onerror=alert(1)>" in tab.locator("h2").last.inner_text()
    assert tab.locator("img").count() == 0
    assert tab.locator(".messages").last.inner_text().count("alert") == 2
    tab.evaluate("() => new Promise(requestAnimationFrame)")


def test_a_cell_that_is_pointed_at_says_its_counts(shown, studies) -> None:
    tab = shown()
    ds = studies["theorem2.zarr"].ds
    box = tab.locator(".phase").first
    for c, w in ((0, 2), (1, 4)):
        cell = ds.isel(d=0, n=c, width=w)
        won = (cell.sigma_min / np.sqrt(cell.k) >= 0.5 * cell.alpha).sum().item()
        box.locator(f"rect[role=gridcell][data-c='{c}'][data-w='{w}']").hover()
        text = box.locator(".readout").inner_text()
        assert f"n = {cell.n.item()}, k = {cell.k.item()}: {won} of 20 succeed" in text
        assert f"{won / 20:.2f} [" in text


def test_the_keyboard_reaches_every_cell_through_one_stop_of_each_panel(shown, studies) -> None:
    tab = shown()
    ds = studies["theorem2.zarr"].ds
    box = tab.locator(".phase").first
    cells = box.locator(".panel").first.locator("rect[role=gridcell]")
    assert cells.count() == 20
    assert box.locator(".panel").first.locator("rect[tabindex='0']").count() == 1
    box.locator("rect[tabindex='0']").first.focus()
    readout, keys = box.locator(".readout"), tab.keyboard
    for key, c, w in (
        ("ArrowUp", 0, 1),
        ("ArrowRight", 1, 1),
        ("ArrowRight", 1, 1),
        ("PageUp", 1, 9),
        ("Home", 0, 9),
        ("ArrowDown", 0, 8),
        ("PageDown", 0, 0),
        ("End", 1, 0),
    ):
        keys.press(key)
        cell = ds.isel(d=0, n=c, width=w)
        assert f"n = {cell.n.item()}, k = {cell.k.item()}:" in readout.inner_text()
    assert tab.evaluate("document.activeElement.getAttribute('role')") == "gridcell"
    assert box.locator(".panel").first.locator("rect[tabindex='0']").count() == 1
    keys.press("Tab")
    assert tab.evaluate("document.activeElement.getAttribute('role')") != "gridcell"


def test_the_sliders_move_the_critical_widths_and_the_counts(shown, studies) -> None:
    tab = shown()
    ds = studies["descent.zarr"].ds
    box = tab.locator(".phase").nth(1)
    tolerance, budget = box.locator("input").all()
    budget.focus()
    tab.keyboard.press("ArrowLeft")
    tab.keyboard.press("ArrowLeft")
    located = set()
    for index, key in enumerate(("Home", "End")):
        tolerance.focus()
        tab.keyboard.press(key)
        words = box.locator("output").all_inner_texts()
        steps = int(re.sub(r"\D", "", words[1]))
        assert words[0] == ("0.1", "0.01")[index]
        assert 100 < steps < 3000
        assert budget.get_attribute("aria-valuetext") == words[1]
        widths = critical_widths(ds, budgets=[steps]).isel(budget=0, tolerance=index)
        lines = [
            line.locator("td").all_inner_texts() for line in box.locator("table.widths tbody tr").all()
        ]
        for line, (d, n) in zip(lines, itertools.product(ds.d.values, ds.n.values), strict=True):
            cell = widths.sel(d=d, n=n)
            assert line[2] == cell.outcome.item()
            if line[2] in ("fitted", "separated"):
                located.add(line[1])
                assert float(line[1].split(" [")[0]) == pytest.approx(float(cell.k50), rel=6e-3)
        box.locator("rect[role=gridcell][data-c='1'][data-w='2']").first.hover()
        cell = ds.isel(d=0, n=1, width=2)
        met = (cell.steps_to_tolerance.isel(tolerance=index) <= steps) & (cell.status == Status.DONE)
        assert f": {int(met.sum())} of 6 succeed" in box.locator(".readout").inner_text()
        mark = box.locator(".panel").first.locator(".critical").first
        there = widths.isel(d=0, n=0).k50.item() > 0
        assert mark.get_attribute("visibility") == ("visible" if there else "hidden")
    assert len(located) > 1


def test_without_scripts_the_page_is_whole(browser, address) -> None:
    context = browser.new_context(java_script_enabled=False)
    tab = context.new_page()
    tab.goto(address)
    assert tab.locator(".sliders").first.is_hidden()
    assert tab.locator("#theme").is_hidden()
    assert "of 20 succeed" in tab.locator("[role=grid] rect title").first.text_content()
    assert tab.locator(".critical[visibility=hidden]").count() < tab.locator(".critical").count()
    context.close()


TEXTS = """() => {
  const seen = [];
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const clear = (it) => getComputedStyle(it).backgroundColor === "rgba(0, 0, 0, 0)";
  const canvas = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
  const rgb = (colour) => {
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    return "rgb(" + [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3) + ")";
  };
  while (walk.nextNode()) {
    const text = walk.currentNode.textContent.trim(), it = walk.currentNode.parentElement;
    if (!text || it.closest("script, style, title, details:not([open]) > :not(summary)")) continue;
    if (!it.getClientRects().length) continue;
    let back = it;
    while (back !== document.body && clear(back)) back = back.parentElement;
    const style = getComputedStyle(it);
    const ink = it instanceof SVGElement ? style.fill : style.color;
    seen.push([rgb(ink), rgb(getComputedStyle(back).backgroundColor), text]);
  }
  return seen;
}"""
"""Ink, ground and words of every text that is shown."""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_stands_out_from_its_ground_in_either_theme(shown, scheme) -> None:
    tab = shown(color_scheme=scheme)
    texts = tab.evaluate(TEXTS)
    assert len(texts) > 300
    faint = [text for text in texts if contrast(*text[:2]) < 4.5]
    assert faint == []
    ground = pixels(tab.screenshot()).mean()
    assert (ground < 0.3) == (scheme == "dark")


def test_the_button_turns_the_theme_and_says_which_it_is(shown) -> None:
    tab = shown(color_scheme="dark")
    button = tab.get_by_role("button", name="Dark theme")
    assert button.get_attribute("aria-pressed") == "true"
    button.click()
    assert button.get_attribute("aria-pressed") == "false"
    assert pixels(tab.screenshot()).mean() > 0.7


def test_print_is_light_has_all_details_and_nothing_that_only_a_screen_can(shown, tmp_path) -> None:
    tab = shown(color_scheme="dark")
    tab.emulate_media(media="print")
    assert contrast(tab.evaluate("getComputedStyle(document.body).color"), "rgb(255, 255, 255)") > 15
    for what in ("button", ".contents", ".sliders", ".readout"):
        assert not tab.locator(what).first.is_visible()
    assert tab.locator(".provenance").first.evaluate("part => part.getClientRects().length") > 0
    assert len(tab.pdf()) > 20_000


def test_the_first_stop_skips_to_the_content_and_focus_is_seen(shown) -> None:
    tab = shown()
    tab.keyboard.press("Tab")
    link = tab.locator(":focus")
    assert link.inner_text() == "Skip to the content"
    assert link.bounding_box()["x"] >= 0
    assert link.evaluate("it => getComputedStyle(it).outlineStyle") == "solid"
    tab.keyboard.press("Enter")
    assert tab.evaluate("document.activeElement.id") == "main"


def test_what_scrolls_is_reached_by_the_keyboard_and_has_a_name(shown) -> None:
    tab = shown(400)
    tab.evaluate("document.querySelectorAll('details').forEach(part => { part.open = true; })")
    unreached = tab.evaluate(
        """[...document.querySelectorAll('main *')].filter(it => !(it instanceof SVGElement)
             && it.scrollWidth > it.clientWidth + 1
             && ['auto', 'scroll'].includes(getComputedStyle(it).overflowX)
             && it.tabIndex !== 0).map(it => it.outerHTML.slice(0, 80))"""
    )
    assert unreached == []
    assert tab.evaluate("document.documentElement.scrollWidth") <= 400


def test_a_screen_reader_finds_landmarks_names_and_cells(shown) -> None:
    tab = shown()
    session = tab.context.new_cdp_session(tab)
    nodes = session.send("Accessibility.getFullAXTree")["nodes"]
    heard = [
        (node["role"]["value"], node.get("name", {}).get("value", ""))
        for node in nodes
        if not node.get("ignored")
    ]
    roles = [role for role, _ in heard]
    for role in ("banner", "navigation", "main", "contentinfo"):
        assert roles.count(role) == 1
    for role in ("region", "grid", "gridcell", "slider", "image", "table", "button", "link"):
        names = [name for kind, name in heard if kind == role]
        assert names, role
        assert all(name.strip() for name in names), role
    assert sum(role == "gridcell" and " of 20 succeed" in name for role, name in heard) >= 20
    sliders = {name for role, name in heard if role == "slider"}
    assert sliders == {"Tolerance of the relative loss", "Budget"}
    assert json.dumps(heard).count("theorem2: laws") == 1
