"""The page of `widthlaw watch` on stores that are filled elsewhere: in a bucket, and by a cluster."""

from __future__ import annotations

import http.client
import json
import re
import secrets
import subprocess
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import pytest

from analysis.live.view import FITTED_AGAIN, ONCE_FITTED
from pipeline import store
from pipeline.execution.compute import compute_block
from pipeline.store import lease
from pipeline.store.location import locate

from ..waiting import PATIENCE, wait_until
from .test_bucket import use
from .test_submit import PROFILE

pytestmark = pytest.mark.cluster

KEYS = {"n": "[8, 12, 16]", "d": "[4]", "seeds": 20, "width": "{ k_per_n = [1.2, 1.5, 2.0, 3.0, 5.0] }"}


@pytest.fixture
def parts(command) -> Iterator[Callable[..., Callable[[], dict[str, str]]]]:
    """Start the command on a store; return what asks for the parts of its page."""
    started: list[subprocess.Popen[str]] = []

    def watch(path: object) -> Callable[[], dict[str, str]]:
        process = subprocess.Popen([command, "watch", str(path)], stderr=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stderr is not None
        found = re.search(r"http://\S+/", process.stderr.readline())
        assert found is not None
        return lambda: json.loads(asked(f"{found.group()}state"))["parts"]

    yield watch
    for process in started:
        process.kill()
        process.communicate()


def asked(url: str) -> str:
    where = urlsplit(url)
    connection = http.client.HTTPConnection(where.netloc, timeout=PATIENCE)
    connection.request("GET", where.path)
    answer = connection.getresponse().read().decode()
    connection.close()
    return answer


def test_each_block_in_a_bucket_is_shown_as_it_arrives_and_an_outage_is_told(
    parts, s3_server, make_sweep, monkeypatch
) -> None:
    pytest.importorskip("obstore")
    use(s3_server.env, monkeypatch)
    monkeypatch.setenv("WIDTHLAW_S3_PATIENCE", "1")
    url = f"{s3_server.url('watched')}/{secrets.token_hex(4)}/a.zarr"
    ask = parts(url)
    wait_until(lambda: "not there yet" in ask()["s1-head"], "the page waits for the store")
    sweep, done = make_sweep(**KEYS), 0
    store.create(url, sweep, seeds_per_chunk=10)
    keys = files_of(url)
    for tile in list(store.Store(url, sweep).pending_tiles()):
        store.Store(url, sweep).write(tile, [compute_block(sweep, tile.first)])
        done += tile.trials
        wait_until(lambda done=done: f">{done} done" in ask()["s1-head"], f"{done} trials are shown")
    before = wait_until(lambda: whole(ask()), "the page is whole")
    written = files_of(url)
    s3_server.kill()
    wait_until(lambda: OUTAGE in ask()["s1-head"], "the outage is told")
    assert ask()["s1-cells"] == before["s1-cells"] != ""
    s3_server.start()
    wait_until(lambda: ask() == before, "the server is back")
    assert files_of(url) == written
    assert len(written) > len(keys)


OUTAGE = "cannot be read now"


def whole(state: dict[str, str]) -> dict[str, str] | None:
    """The parts of a page if all is fitted, and a busy server has not missed its second."""
    waits = any(words in state["s1-laws"] for words in (ONCE_FITTED, FITTED_AGAIN))
    return None if waits or OUTAGE in state["s1-head"] else state


def files_of(url: str) -> dict[str, object]:
    """Stamps of all files of a store: one that is written again has another."""
    return dict(locate(url).stamps())


def test_a_store_that_a_cluster_fills_is_shown_from_queue_to_end(
    parts, slurm, widthlaw, write_sweep, tmp_path
) -> None:
    path, profile = tmp_path / "a.zarr", tmp_path / "profile.toml"
    profile.write_text(PROFILE.format(more="").replace("workers = 2", "workers = 1"))
    ask = parts(path)
    wait_until(lambda: "not there yet" in ask()["s1-head"], "the page waits for the store")
    told = widthlaw("submit", write_sweep(**KEYS), "-o", path, "--profile", profile)
    assert told.returncode == 0, told.stderr
    wait_until(lambda: "100.0% of" in ask()["s1-head"], "the cluster has filled the store")
    wait_until(lambda: "to be fitted" not in ask()["s1-cells"], "all cells are fitted")
    assert "Where trials succeed" in ask()["s1-phase"]
    wait_until(lambda: lease.read(locate(path)) is None, "the run gives the store back")
