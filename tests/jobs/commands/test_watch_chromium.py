"""The page of `widthlaw watch` in a real browser while a real run fills the store."""

from __future__ import annotations

import itertools
import re
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import zarr

import pipeline
from pipeline import store
from pipeline.execution.compute import compute_block
from pipeline.store.template import attributes_digest
from pipeline.trial_status import Status

from ...waiting import PATIENCE

pytestmark = pytest.mark.browser

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
if CHROMIUM is None:
    pytest.skip("no Chromium is installed", allow_module_level=True)
sync_api = pytest.importorskip("playwright.sync_api")

WAIT = PATIENCE * 1000
HOSTILE = "<img src=x onerror=alert(1)><script>alert(2)</script>\"'&{{7*7}}"
KEYS = {"n": "[8, 12, 16]", "d": "[4]", "seeds": 20, "width": "{ k_per_n = [1.2, 1.5, 2.0, 3.0, 5.0] }"}


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def watched(command, browser) -> Iterator:
    """Start a command with a page, and open the page; nothing may fail, run or come from elsewhere."""
    wrong: list[str] = []
    started: list[subprocess.Popen[str]] = []
    contexts = []

    def start(*words: object):
        process = subprocess.Popen(
            [command, *map(str, words)],
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        address = next(
            found.group()
            for line in process.stderr
            if (found := re.search(r"http://\S+/(?= \()", line))
        )
        contexts.append(browser.new_context(viewport={"width": 1400, "height": 900}))
        tab = contexts[-1].new_page()
        tab.set_default_timeout(WAIT)
        tab.on("console", lambda message: wrong.append(f"console: {message.text}"))
        tab.on("pageerror", lambda error: wrong.append(f"error: {error}"))
        tab.on("dialog", lambda dialog: (wrong.append(f"ran: {dialog.message}"), dialog.dismiss()))
        tab.on("request", lambda one: one.url.startswith(address) or wrong.append(one.url[:99]))
        tab.goto(address)
        return tab, process

    yield start
    for context in contexts:  # before its command ends, which a page would tell
        context.close()
    for process in started:
        with process:
            process.kill()
    assert wrong == []


def test_cells_change_without_a_reload_while_a_run_fills_the_store(
    watched, command, write_sweep, tmp_path
) -> None:
    path, file = tmp_path / "a.zarr", write_sweep(**KEYS)
    tab, process = watched("watch", path)
    tab.locator("#s1-head", has_text="not there yet").wait_for()
    tab.evaluate("window.kept = 1")
    run = subprocess.run(
        [command, "run", file, "-o", path, "--workers", "1"], timeout=PATIENCE, check=True
    )
    assert run.returncode == 0
    tab.locator("#s1-head", has_text="100.0% of 300 trials").wait_for()
    sync_api.expect(tab.locator("#s1-cells tbody tr")).to_have_count(3, timeout=WAIT)
    sync_api.expect(tab.locator("#s1-cells")).not_to_contain_text("to be fitted", timeout=WAIT)
    assert tab.locator("#s1-phase rect[role=gridcell], #s1-phase [role=row] rect").count() == 15
    assert tab.locator("#s1-curves circle").count() == 15
    assert "Scaling laws" in tab.locator("#s1-laws").inner_text()
    assert tab.evaluate("window.kept") == 1  # the page was never loaded again
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=PATIENCE)
    assert process.returncode == 130


OWN = """
from pipeline import experiment, variable

@experiment(spans=variable("whether a cluster spans"))
def own(trial):
    return {"spans": trial.parameters["p"] + 0.2 * trial.rng("x").random() > 0.6}
"""


def test_trials_of_ones_own_have_a_heading_and_words_of_their_own(watched, tmp_path) -> None:
    sweep, path = tmp_path / "own.toml", tmp_path / "own.zarr"
    (tmp_path / "own.py").write_text(OWN)
    sweep.write_text(
        'name = "lattice"\nexperiment = "own.py:own"\nn = [4, 8]\nseeds = 9\n'
        "[parameters]\np = [0.3, 0.5, 0.7]\n"
    )
    store.create(path, pipeline.load_sweep(sweep))
    tab, _ = watched("watch", path, "--success", "spans")
    tab.locator("#s1-head", has_text="0.0% of 54 trials").wait_for()
    pipeline.run(pipeline.load_sweep(sweep), path)
    tab.locator("#s1-head", has_text="100.0% of 54 trials").wait_for()
    assert tab.title() == "lattice – widthlaw watch"
    assert tab.locator("h1").inner_text() == "Where do the trials succeed?"
    note = f"so none is critical; `widthlaw fit {path} --along p` looks along p."
    assert note in tab.locator("#s1-head").inner_text()
    assert "Success: spans == 1." in tab.locator("#s1-phase").inner_text()
    assert tab.locator("#s1-laws").inner_text() == ""
    assert "censored" not in tab.locator("#s1-cells").inner_text()
    assert " ms" in tab.locator("#s1-cells").inner_text()


def test_each_block_is_shown_as_it_is_written(watched, make_sweep, tmp_path) -> None:
    sweep, path = make_sweep(**KEYS), tmp_path / "a.zarr"
    store.create(path, sweep, seeds_per_chunk=5)
    tab, _ = watched("watch", path)
    tab.locator("#s1-head", has_text="0.0% of 300 trials").wait_for()
    tab.evaluate("window.kept = 1")
    done, fills = 0, set()
    for tile in list(store.Store(path, sweep).pending_tiles()):
        store.Store(path, sweep).write(tile, [compute_block(sweep, tile.first)])
        done += tile.trials
        tab.locator("#s1-head", has_text=f" {done} done").wait_for()
        fills.add(tab.locator("#s1-phase").inner_html())
    assert len(fills) > 3
    assert tab.evaluate("window.kept") == 1


@pytest.mark.attack("page")
def test_a_hostile_name_path_and_message_stay_text(watched, make_sweep, tmp_path) -> None:
    path = tmp_path / "<b onclick=alert(3)>x.zarr"
    pipeline.run(make_sweep(), path)
    group = zarr.open_group(path, mode="r+")
    group.attrs["name"] = HOSTILE
    group.attrs["digest"] = attributes_digest(dict(group.attrs))
    statuses, messages = group["status"][:], group["message"][:]
    statuses[..., :2], messages[..., :2] = Status.FAILED, HOSTILE
    group["status"][:], group["message"][:] = statuses, messages
    zarr.consolidate_metadata(path)
    tab, _ = watched("watch", path)
    tab.wait_for_selector("#s1-cells tbody tr")
    assert tab.locator("h2").inner_text() == HOSTILE
    assert HOSTILE in tab.locator("#s1-failures li").inner_text()
    assert tab.locator("img, #main script, #main b").count() == 0
    assert "<b onclick=alert(3)>x.zarr" in tab.locator("#s1-head .made").inner_text()
    assert HOSTILE[:20] in tab.title()


@pytest.mark.attack("page")
def test_a_page_from_elsewhere_that_knows_the_secret_reads_and_shows_nothing(
    watched, browser, complete
) -> None:
    tab, _ = watched("watch", complete)
    tab.wait_for_selector("#s1-cells tbody tr")
    with ThreadingHTTPServer(("127.0.0.1", 0), _Empty) as elsewhere:
        threading.Thread(target=elsewhere.serve_forever, daemon=True).start()
        context = browser.new_context()
        evil = context.new_page()
        evil.goto(f"http://127.0.0.1:{elsewhere.server_port}/")
        told = evil.evaluate(STEAL, tab.url)
        framed = evil.frames[1].evaluate("document.body.innerText")
        context.close()
        elsewhere.shutdown()
    assert told == ["fetch: refused", "script: refused", "picture: refused"]
    assert "How wide" not in framed


class _Empty(BaseHTTPRequestHandler):
    """A page of another origin."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


STEAL = """async (url) => {
    const told = [];
    await fetch(url + "state").then(() => told.push("fetch: read"), () => told.push("fetch: refused"));
    const load = (what, one) => new Promise((done) => {
        one.onload = () => done(told.push(what + ": read"));
        one.onerror = () => done(told.push(what + ": refused"));
        document.body.append(one);
    });
    await load("script", Object.assign(document.createElement("script"), {src: url + "watch.js"}));
    await load("picture", Object.assign(new Image(), {src: url + "icon.svg"}));
    await new Promise((done) => {
        const frame = Object.assign(document.createElement("iframe"), {src: url, onload: done});
        document.body.append(frame);
    });
    return told;
}"""


def test_a_page_shows_the_end_of_its_run_and_says_so(watched, make_sweep, tmp_path) -> None:
    sweep, path = make_sweep(**KEYS), tmp_path / "a.zarr"
    store.create(path, sweep, seeds_per_chunk=20)
    tab, process = watched("watch", "--with-run", path)  # as `run --watch` starts it
    tab.locator("#s1-head", has_text=" 0 done").wait_for()
    for tile in list(store.Store(path, sweep).pending_tiles()):
        store.Store(path, sweep).write(tile, [compute_block(sweep, tile.first)])
    process.stdin.close()  # as the end of the run does
    assert process.wait(PATIENCE) == 0
    tab.locator("#state", has_text="The run has ended").wait_for()
    assert "100.0% of" in tab.locator("#s1-head").inner_text()
    assert "to be fitted" not in tab.locator("#s1-cells").inner_text()
    assert tab.locator("body.gone").count() == 0


def test_the_page_fits_its_window_in_both_colour_schemes(watched, complete) -> None:
    tab, _ = watched("watch", complete)
    for scheme, width in itertools.product(("light", "dark"), (400, 1400)):
        tab.emulate_media(color_scheme=scheme)
        tab.set_viewport_size({"width": width, "height": 900})
        tab.reload()
        tab.wait_for_selector("#s1-cells tbody tr")
        assert tab.evaluate("document.documentElement.scrollWidth") <= width
        red = tab.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/)[0]")
        assert (int(red) < 60) == (scheme == "dark")


def test_a_page_tells_that_its_command_has_ended(watched, complete, browser) -> None:
    tab, process = watched("watch", complete)
    tab.wait_for_selector("#s1-cells tbody tr")
    context = browser.new_context()
    other = context.new_page()
    other.goto(tab.url)
    other.wait_for_selector("#s1-cells tbody tr")
    tab.close()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=PATIENCE)
    other.locator("#state", has_text="no longer answers").wait_for(timeout=WAIT)
    assert other.locator("#s1-cells tbody tr").count() == 3
    context.close()
