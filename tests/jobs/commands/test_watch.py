"""`widthlaw watch`: who may read the page, what it says of each kind of store, and how it ends."""

from __future__ import annotations

import errno
import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import nullcontext, suppress
from importlib.resources import files
from pathlib import Path
from urllib.parse import urlsplit

import pytest

import pipeline
from analysis.live.page import FILES, parts_of
from analysis.live.view import View
from analysis.success import Success
from jobs.watching import Server
from pipeline import store
from pipeline.execution.compute import compute_block
from pipeline.store import lease
from pipeline.store.files.folder import Folder
from pipeline.store.location import locate
from pipeline.store.names import LEASE

from ...waiting import PATIENCE, wait_until

Watch = Callable[..., "Page"]


class Page:
    """A running command, and its page as a client without a browser reads it."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stderr is not None
        self.process, self.said = process, process.stderr.readline()
        self.address = re.search(r"http://\S+/", self.said).group()  # type: ignore[union-attr]
        self.port = urlsplit(self.address).port
        self.secret = urlsplit(self.address).path.strip("/")

    def get(self, path: str, method: str = "GET", **headers: str) -> tuple[int, str, dict[str, str]]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        found = answer.status, answer.read().decode(), dict(answer.getheaders())
        connection.close()
        return found

    def parts(self) -> dict[str, str]:
        status, body, _ = self.get(f"/{self.secret}/state")
        assert status == 200
        return json.loads(body)["parts"]


@pytest.fixture(scope="module")
def watch(command) -> Iterator[Watch]:
    """Start the command; whatever a test leaves is killed."""
    started: list[subprocess.Popen[str]] = []

    def start(*words: object, **environment: str) -> Page:
        line = [command, "watch", *map(str, words)]
        process = subprocess.Popen(
            line,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env=os.environ | environment,
        )
        started.append(process)
        return Page(process)

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def small(tmp_path_factory, make_sweep) -> Path:
    path = tmp_path_factory.mktemp("stores") / "small.zarr"
    pipeline.run(make_sweep(), path)
    return path


@pytest.fixture(scope="module")
def page(watch, small) -> Page:
    """The page of the small store, which most tests share."""
    return watch(small)


def content_of(path: Path) -> dict[str, tuple[int, bytes]]:
    """Time of the last change and bytes of each file and folder; a file that came and went shows."""
    return {
        str(one): (one.stat().st_mtime_ns, one.read_bytes() if one.is_file() else b"")
        for one in (path, *path.rglob("*"))
    }


@pytest.mark.attack("page")
def test_a_stranger_gets_nothing_on_any_path(page) -> None:
    assert len(page.secret) == 43
    wrong = "A" * 43
    for path in (
        "/",
        "/state",
        f"/{wrong}/",
        f"/{wrong}/state",
        "//",
        "/style.css",
    ):
        for method in ("GET", "HEAD"):
            assert page.get(path, method)[0] == 403, path
    assert page.get(f"/{page.secret[:-1]}/state")[0] == 403
    assert page.get(f"/{page.secret}/../../etc/passwd")[0] == 404
    assert page.get(f"/{page.secret}/state", "POST")[0] == 501
    assert page.get(f"/{page.secret}/state")[0] == 200


@pytest.mark.attack("page")
def test_a_foreign_name_that_leads_here_is_refused_and_a_tunnel_is_not(page) -> None:
    for host in ("evil.example", f"evil.example:{page.port}", "127.0.0.1.evil.example", "", "[::1]:x"):
        assert page.get(f"/{page.secret}/", Host=host)[0] == 403, host
    for host in ("127.0.0.1:9", "localhost:8080", "localhost"):
        assert page.get(f"/{page.secret}/", Host=host)[0] == 200, host


def test_the_page_may_load_nothing_from_elsewhere_and_runs_no_script_of_a_store(page) -> None:
    status, html, headers = page.get(f"/{page.secret}/")
    assert status == 200
    assert "unsafe" not in headers["Content-Security-Policy"]
    assert headers["Content-Security-Policy"].startswith("default-src 'none'; script-src 'self'")
    assert headers["Referrer-Policy"] == "no-referrer"
    named = re.findall(r'(?:href|src)="([^"]+)"', html)
    assert sorted(named) == ["icon.svg", "style.css", "watch.css", "watch.js"]
    for name in named:
        assert page.get(f"/{page.secret}/{name}")[0] == 200
    assert page.get(f"/{page.secret}")[2]["Location"] == f"{page.secret}/"


GONE = {
    "a run that is gone": {"renewed": 1.0, "boot": "another"},
    "a job that is gone": {
        "renewed": None,
        "job": {"system": "slurm", "number": "1", "folder": "/none", "cluster": "c"},
    },
}


@pytest.mark.slow
@pytest.mark.parametrize("holder", ["nobody", *GONE, "a run"])
def test_looking_changes_nothing_in_the_store_and_takes_no_lease(watch, half, tmp_path, holder) -> None:
    path = Path(shutil.copytree(half, tmp_path / "a.zarr"))
    if holder in GONE:
        with lease.hold(locate(path)):
            content = json.loads((path / LEASE).read_bytes())
        (path / LEASE).write_text(json.dumps(content | GONE[holder]))
    with lease.hold(locate(path)) if holder == "a run" else nullcontext():
        before = content_of(path)
        page = watch(path)
        wait_until(lambda: "to be fitted" not in page.parts()["s1-cells"], "all cells are fitted")
        after = content_of(path)
    assert ((path / LEASE).name in map(os.path.basename, before)) == (holder != "nobody")
    if holder == "a run":  # which renews its lease meanwhile, by a new file in the folder
        assert after.keys() == before.keys()
        del after[str(path)], before[str(path)]
        held, holds = (json.loads(found.pop(str(path / LEASE))[1]) for found in (before, after))
        assert holds | {"renewed": 0} == held | {"renewed": 0}
    assert after == before


@pytest.mark.slow
def test_the_page_says_the_critical_widths_that_fit_prints(watch, complete, widthlaw) -> None:
    page = watch(complete)
    wait_until(lambda: "to be fitted" not in page.parts()["s1-cells"], "all cells are fitted")
    rows = re.findall(r"<tr>(.*?)</tr>", page.parts()["s1-cells"], re.DOTALL)[1:]
    shown = [re.findall(r"<td[^>]*>([^<]*)</td>", row) for row in rows]
    fitted = json.loads(widthlaw("fit", complete, "--json").stdout)["critical_widths"]
    assert len(shown) == len(fitted) == 3
    for row, cell in zip(shown, fitted, strict=True):
        assert row[4] == cell["outcome"]
        assert float(row[3].split(" [")[0]) == pytest.approx(cell["k50"], rel=6e-3)


@pytest.mark.slow
def test_a_store_that_is_not_there_yet_is_waited_for_beside_others(
    watch, small, make_sweep, tmp_path
) -> None:
    later = tmp_path / "later.zarr"
    page = watch(later, small)
    parts = page.parts()
    assert "not there yet" in parts["s1-head"]
    assert "100.0% of" in parts["s2-head"]
    sweep = make_sweep()
    store.create(later, sweep, seeds_per_chunk=4)
    wait_until(lambda: "0.0% of" in page.parts()["s1-head"], "the new store is shown")
    for tile in list(store.Store(later, sweep).pending_tiles()):
        store.Store(later, sweep).write(tile, [compute_block(sweep, tile.first)])
    wait_until(lambda: "100.0% of" in page.parts()["s1-head"], "its trials are shown")


@pytest.mark.slow
def test_a_damaged_store_gets_a_sentence_and_the_page_goes_on(watch, make_sweep, tmp_path) -> None:
    damaged, unreadable = tmp_path / "a.zarr", tmp_path / "b.zarr"
    pipeline.run(make_sweep(), damaged)
    pipeline.run(make_sweep(), unreadable)
    chunk = next(file for file in (damaged / "sigma_min" / "c").rglob("*") if file.is_file())
    chunk.write_bytes(bytes([chunk.read_bytes()[0] ^ 1]) + chunk.read_bytes()[1:])
    (unreadable / "zarr.json").write_text("{")
    parts = watch(damaged, unreadable).parts()
    assert "A part of the store cannot be read" in parts["s1-head"]
    assert "damaged" in parts["s1-head"]
    assert 'class="note"' in parts["s2-head"]
    assert parts["s2-cells"] == ""


def test_failed_trials_are_told_with_their_messages(watch, all_failed) -> None:
    parts = watch(all_failed).parts()
    assert re.search(r"\d+ trials?: ", parts["s1-failures"])


def test_a_script_of_another_page_is_refused(page) -> None:
    for origin in (
        "http://evil.example",
        "null",
        "http://localhost:1",
        f"https://127.0.0.1:{page.port}",
    ):
        assert page.get(f"/{page.secret}/state", Origin=origin)[0] == 403, origin
    assert page.get(f"/{page.secret}/state", Origin=f"http://127.0.0.1:{page.port}")[0] == 200
    tunnelled = page.get(f"/{page.secret}/state", Host="localhost:9", Origin="http://localhost:9")
    assert tunnelled[0] == 200


@pytest.mark.slow
def test_ctrl_c_ends_it_and_a_user_of_ssh_is_told_of_the_tunnel(watch, small) -> None:
    page = watch(small, SSH_CONNECTION="10.0.0.9 50000 10.0.0.7 22")
    page.parts()
    page.process.send_signal(signal.SIGINT)
    assert page.process.wait(PATIENCE) == 130
    rest = page.process.stderr.read()  # not by `communicate`, which loses what was read ahead
    assert f"ssh -L {page.port}:127.0.0.1:{page.port} 10.0.0.7" in rest


@pytest.mark.parametrize("line", [("watch",), ("run", "--watch")])
def test_a_port_that_is_taken_is_one_line(page, small, widthlaw, line) -> None:
    ended = widthlaw(*line, small, "--port", page.port)
    assert ended.returncode == 2
    assert ended.stderr.startswith(f"widthlaw: watch --port {page.port}: ")
    assert ended.stderr.count("\n") == 1


def test_a_port_without_a_page_is_wrong_usage(small, widthlaw) -> None:
    ended = widthlaw("run", small, "--port", 8000)
    assert ended.returncode == 2
    assert "add --watch" in ended.stderr


def test_a_run_with_nothing_to_do_names_the_command_that_shows_its_store(small, widthlaw) -> None:
    ended = widthlaw("run", small, "--watch")
    assert ended.returncode == 0
    assert f"watch: nothing is left to run; `widthlaw watch {small}` shows the store" in ended.stderr
    assert "http://" not in ended.stderr


def test_an_error_that_was_not_foreseen_ends_the_command(small, monkeypatch) -> None:
    def fails(*_: object) -> None:
        raise RuntimeError("a fault")

    monkeypatch.setattr(View, "update", fails)
    with Server() as server:
        server.follow([small], Success())
        asking = threading.Thread(target=ask, args=[server])
        asking.start()
        with pytest.raises(RuntimeError, match="a fault"):
            server.serve()
        asking.join()


def ask(server: Server) -> None:
    """Ask a server for its state; whether it answers is its own affair."""
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=PATIENCE)
    connection.request("GET", f"/{server.secret}/state")
    with suppress(http.client.HTTPException, ConnectionError):
        connection.getresponse().read()
    connection.close()


def test_an_outage_leaves_what_was_read_and_is_told(small, monkeypatch) -> None:
    view = View(small, Success())
    while view.update() or view.is_behind:
        pass
    shown = parts_of(view, "s1")
    with monkeypatch.context() as outage:
        outage.setattr(Folder, "fingerprint", stale_handle)
        assert view.update()
        during = parts_of(view, "s1")
        assert not view.update()
    assert "cannot be read now (Stale file handle)" in during["s1-head"]
    assert during["s1-cells"] == shown["s1-cells"] != ""
    assert view.update()
    assert parts_of(view, "s1") == shown


def stale_handle(_: Folder) -> object:
    raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))


@pytest.mark.slow
def test_a_run_with_its_page_ends_and_leaves_no_process(command, write_sweep, tmp_path) -> None:
    line = [command, "run", write_sweep(), "-o", tmp_path / "a.zarr", "--watch"]
    ended = subprocess.run(line, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert ended.returncode == 0, ended.stderr
    assert "it ends with the run" in ended.stderr
    assert f"`widthlaw watch {tmp_path}/a.zarr` shows the store" in ended.stderr
    port = int(re.search(r"127\.0\.0\.1:(\d+)/", ended.stderr).group(1))  # type: ignore[union-attr]
    with pytest.raises(ConnectionRefusedError):
        http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE).connect()


def test_the_files_of_the_page_come_with_the_package() -> None:
    for name, (package, _) in FILES.items():
        assert (files(package) / "templates" / name).is_file(), name
    for name in ("watch.html", "store.html"):
        assert (files("analysis.live") / "templates" / name).is_file(), name
