"""A store in a bucket, told of a real server that is killed now and then."""

from __future__ import annotations

import asyncio
import csv
import json
import os
import pickle
import secrets
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dask
import numpy as np
import pytest
import xarray as xr
import zarr
from zarr.codecs import Crc32cCodec, ZstdCodec
from zarr.core.buffer import default_buffer_prototype
from zarr.storage import MemoryStore

import analysis
import pipeline
from pipeline.errors import StoreError
from pipeline.maintenance.longer import lengthen
from pipeline.maintenance.verify import damage
from pipeline.store import lease, stored_sweep
from pipeline.store.chunks import Coder
from pipeline.store.code import accept_code
from pipeline.store.files import bucket
from pipeline.store.files import s3 as module
from pipeline.store.files.bucket import Bucket
from pipeline.store.files.folder import Folder
from pipeline.store.location import Location, locate
from pipeline.store.names import LEASE, LEASE_BYTES

from ..waiting import PATIENCE
from .buckets import S3Server, free_ports

pytestmark = pytest.mark.cluster

pytest.importorskip("obstore")

FILES = {f"status/c/{i}": bytes([i]) * (i + 1) for i in range(40)} | {"zarr.json": b"{}"}


def fill(folder: Path, files: dict[str, bytes] = FILES) -> Path:
    for key, content in files.items():
        (folder / key).parent.mkdir(parents=True, exist_ok=True)
        (folder / key).write_bytes(content)
    return folder


def contents(where: Location) -> dict[str, bytes | None]:
    return {key: where.read(key) for key in dict(where.files())}


@pytest.fixture
def s3(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Bucket:
    """An empty prefix of a bucket, with what it takes in the environment."""
    use(s3_server.env, monkeypatch)
    monkeypatch.setenv("WIDTHLAW_S3_PATIENCE", "60")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))  # drafts that stay are removed with it
    monkeypatch.setattr(module, "LONGEST_PAUSE", 0.4)  # the server comes back after three seconds
    return Bucket(f"{s3_server.url('widthlaw')}/{secrets.token_hex(4)}/store")


def use(env: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in env.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """An endpoint at which nobody listens."""
    endpoint = f"http://127.0.0.1:{free_ports(1)[0]}"
    keys = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret"}
    use({"AWS_ENDPOINT_URL": endpoint, **keys}, monkeypatch)


@pytest.fixture
def never_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    def pauses(name: str) -> Any:
        pytest.fail("it is tried again")
        yield

    monkeypatch.setattr(module, "pauses_for", pauses)


def first_pause(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """What is set when a request is about to be made again."""
    waiting, pause = threading.Event(), module.pause_after

    def noticed(*arguments: Any) -> float:
        waiting.set()
        return pause(*arguments)

    monkeypatch.setattr(module, "pause_after", noticed)
    return waiting


def in_other_process(script: str, *arguments: str) -> subprocess.Popen[str]:
    line = [sys.executable, "-c", script, *arguments]
    return subprocess.Popen(line, stdout=subprocess.PIPE, text=True)


# ---- what every place does


@pytest.fixture(params=["folder", "bucket"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> Location:
    if request.param == "folder":
        return locate(tmp_path / "store")
    return locate(request.getfixturevalue("s3").name)


def test_where_nothing_is_there_is_nothing_to_read(where: Location) -> None:
    assert not where.exists()
    assert where.read("zarr.json") is None
    assert list(where.files()) == []


def test_what_is_published_is_there_and_nothing_else(where: Location) -> None:
    draft = fill(where.draft())
    where.publish(draft)
    assert where.exists()
    assert where.writable()
    assert contents(where) == FILES
    assert dict(where.files()) == {key: len(content) for key, content in FILES.items()}
    assert not draft.exists()


def test_a_store_is_not_published_over_another(where: Location) -> None:
    where.publish(fill(where.draft()))
    with pytest.raises(FileExistsError):
        where.publish(fill(where.draft(), {"zarr.json": b"other", "status/c/0": b"other"}))
    assert contents(where) == FILES


def test_a_file_changes_only_from_what_is_expected(where: Location) -> None:
    where.publish(fill(where.draft()))
    steps = [
        (None, b"a", True),
        (None, b"b", False),
        (b"b", b"c", False),
        (b"a", b"c", True),
        (b"c", b"c", True),
        (b"a", None, False),
        (b"c", None, True),
        (b"c", None, False),
        (b"c", b"d", False),
        (None, None, True),
        (None, b"e", True),
    ]
    content = None
    for expected, new, done in steps:
        assert where.swap("lease", expected, new) is done
        content = new if done else content
        assert where.read("lease") == content


def test_a_file_is_removed_if_it_is_there(where: Location) -> None:
    where.publish(fill(where.draft()))
    for _ in range(2):
        where.delete("status/c/0")
    assert contents(where) == {key: FILES[key] for key in FILES if key != "status/c/0"}


def test_a_lease_that_is_too_long_holds_nothing_and_is_replaced(where: Location) -> None:
    where.publish(fill(where.draft()))
    assert where.swap(LEASE, None, b'"' + b"x" * LEASE_BYTES + b'"')
    assert lease.read(where) is None
    with lease.hold(where):
        assert lease.read(where).pid == os.getpid()
    assert lease.read(where) is None


def test_keys_are_those_below_a_folder(where: Location) -> None:
    where.publish(fill(where.draft(), {"zarr.json": b"", "a/b/c": b"1", "a/bb": b"22"}))
    assert dict(where.files("a")) == {"a/b/c": 1, "a/bb": 2}
    assert dict(where.files("a/b")) == {"a/b/c": 1}
    assert dict(where.files("none")) == {}


def test_arrays_are_read_and_not_written_by_zarr(where: Location) -> None:
    values = np.random.default_rng(0).normal(size=(7, 50))
    draft = where.draft()
    group = zarr.create_group(str(draft), zarr_format=3)
    codecs = [ZstdCodec(level=1), Crc32cCodec()]
    shape: dict[str, Any] = {"shape": (7, 50), "chunks": (2, 20), "dimension_names": ("a", "b")}
    group.create_array("x", dtype=float, compressors=codecs, **shape)[...] = values
    zarr.consolidate_metadata(str(draft))
    where.publish(draft)
    made = where.fingerprint()
    with pytest.raises(ValueError, match="read"):
        zarr.open_group(where.zarr(), mode="r+")["x"][...] = values
    # Read in this process: workers of an open client know nothing of credentials that a test sets.
    for chunks in (None, {}):
        with dask.config.set(scheduler="threads"), xr.open_zarr(where.zarr(), chunks=chunks) as found:
            np.testing.assert_array_equal(found["x"], values)
    assert where.fingerprint() == made


def test_what_was_here_before_is_told_from_what_is_here(where: Location) -> None:
    seen = set()
    for version in (b"1", b"22"):
        where.publish(fill(where.draft(), {"zarr.json": version}))
        seen.add(where.fingerprint())
        if isinstance(where, Folder):  # not removed: its number could be given out again
            where.path.rename(f"{where.path}-{len(seen)}")
        else:
            where.delete("zarr.json")
    assert len(seen) == 2


# ---- several at once


RACE = """
import sys
from pipeline.store.files.bucket import Bucket
bucket, me = Bucket(sys.argv[1]), sys.argv[2].encode()
print(*[i for i in range(60) if bucket.swap(f"first/{i}", None, me)])
done = 0
while done < 40:
    found = bucket.read("count")
    done += bucket.swap("count", found, b"%d" % (int(found or 0) + 1))
"""


def test_of_processes_that_race_for_a_file_one_wins_and_no_change_is_lost(s3: Bucket) -> None:
    racers = [in_other_process(RACE, s3.name, name) for name in ("one", "two")]
    wins = [set(map(int, racer.communicate(timeout=PATIENCE)[0].split())) for racer in racers]
    assert [racer.returncode for racer in racers] == [0, 0]
    assert not wins[0] & wins[1]
    assert wins[0] | wins[1] == set(range(60))
    for name, won in zip((b"one", b"two"), wins, strict=True):
        assert {s3.read(f"first/{i}") for i in won} <= {name}
    assert s3.read("count") == b"80"


PUBLISH = """
import os, random, sys, threading
from pathlib import Path
from pipeline.store.files.bucket import Bucket
url, draft, after = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
swap, lock = Bucket.swap, threading.Lock()

def killing(*arguments):
    global after
    with lock:
        after -= 1
        if after == 0:
            threading.Timer(random.uniform(0, 0.005), os.kill, (os.getpid(), 9)).start()
    return swap(*arguments)

Bucket.swap = killing
Bucket(url).publish(draft)
threading.Event().wait()
"""


def test_an_upload_that_is_killed_leaves_no_root_without_its_files(s3: Bucket, tmp_path: Path) -> None:
    draft = fill(tmp_path / "draft")
    for after in (1, 7, len(FILES) // 2, len(FILES) - 1, len(FILES)):
        one = Bucket(f"{s3.name}-{after}")
        upload = in_other_process(PUBLISH, one.name, str(draft), str(after))
        upload.communicate(timeout=PATIENCE)
        assert upload.returncode == -9
        fill(draft)
        found = contents(one)
        if "zarr.json" in found:
            assert found == FILES
        else:
            one.publish(draft)  # what was cut off can be taken up
            fill(draft)
            assert contents(one) == FILES


def test_an_upload_that_was_cut_off_does_not_mix_with_another_store(s3: Bucket, tmp_path: Path) -> None:
    assert s3.swap("status/c/0", None, b"of another")
    for files in ({"zarr.json": b"{}"}, {"zarr.json": b"{}", "status/c/0": b"of this"}):
        with pytest.raises(FileExistsError, match="status/c/0"):
            s3.publish(fill(tmp_path / str(len(files)), files))
    assert contents(s3) == {"status/c/0": b"of another"}


def test_a_bucket_exchanges_no_stores(s3: Bucket, tmp_path: Path) -> None:
    with pytest.raises(NotImplementedError, match="exchange"):
        s3.replace(tmp_path, None)


# ---- a server that goes away and comes back


class Written:
    """An array `x` that is written chunk by chunk, as a store writes its own."""

    def __init__(self, where: Bucket, size: int) -> None:
        self._where, self._size, self._step = where, size, min(100, size)
        files: dict[str, Any] = {}
        shape: dict[str, Any] = {"shape": (size,), "chunks": (self._step,), "dimension_names": ("a",)}
        codecs = [ZstdCodec(level=1), Crc32cCodec()]
        zarr.create_array(MemoryStore(files), name="x", dtype="f8", compressors=codecs, **shape)
        metadata = bytes(files["x/zarr.json"].to_bytes())
        self._coder = Coder(metadata)
        where.write("x/zarr.json", metadata)

    def __setitem__(self, index: Any, values: np.ndarray) -> None:
        start, stop, _ = (slice(None) if index is ... else index).indices(self._size)
        for at in range(start, stop, self._step):
            key, part = f"c/{at // self._step}", values[at - start : at - start + self._step]
            self._where.write(f"x/{key}", self._coder.encode(key, part))


def array_in(where: Bucket, size: int) -> Written:
    return Written(where, size)


def test_a_write_to_a_dead_server_ends_when_it_is_back(
    s3: Bucket, s3_server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    array, values = array_in(s3, 1000), np.random.default_rng(1).normal(size=1000)
    waiting = first_pause(monkeypatch)
    s3_server.kill()
    with ThreadPoolExecutor(1) as pool:
        write = pool.submit(array.__setitem__, slice(None), values)
        assert waiting.wait(PATIENCE)
        assert not write.done()
        s3_server.start()
        write.result(timeout=PATIENCE)
    np.testing.assert_array_equal(zarr.open_array(s3.zarr(), path="x", mode="r")[...], values)


def test_every_chunk_that_is_written_is_there_after_the_server_was_killed_meanwhile(
    s3: Bucket, s3_server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    array, values = array_in(s3, 30_000), np.random.default_rng(2).normal(size=30_000)
    waiting, begun = first_pause(monkeypatch), threading.Event()

    def write() -> None:
        for start in range(0, len(values), 100):
            array[start : start + 100] = values[start : start + 100]
            begun.set()

    with ThreadPoolExecutor(1) as pool:
        whole = pool.submit(write)
        assert begun.wait(PATIENCE)
        s3_server.kill()
        assert waiting.wait(PATIENCE)
        s3_server.start()
        whole.result(timeout=PATIENCE)
    np.testing.assert_array_equal(zarr.open_array(s3.zarr(), path="x", mode="r")[...], values)


def test_reads_and_changes_wait_for_the_server(
    s3: Bucket, s3_server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    s3.write("zarr.json", b'{"zarr_format": 3, "node_type": "group", "attributes": {}}')
    array_in(s3, 5)[...] = np.arange(5.0)
    assert s3.swap("lease", None, b"mine")
    waiting = first_pause(monkeypatch)
    s3_server.kill()
    actions: list[tuple[Callable[[], Any], Any]] = [
        (s3.exists, True),
        (s3.fingerprint, s3.fingerprint),
        (lambda: {"zarr.json", "lease"} <= set(dict(s3.files())), True),
        (lambda: s3.read("lease"), b"mine"),
        (lambda: s3.swap("other", None, b"new"), True),
        (lambda: s3.delete("none"), None),
        (lambda: zarr.open_group(s3.zarr(), mode="r")["x"][...].tolist(), [0, 1, 2, 3, 4]),
        (lambda: sorted(zarr.open_group(s3.zarr(), mode="r").array_keys()), ["x"]),
    ]
    with ThreadPoolExecutor(len(actions)) as pool:
        running = [pool.submit(action) for action, _ in actions]
        assert waiting.wait(PATIENCE)
        s3_server.start()
        for done, (_, expected) in zip(running, actions, strict=True):
            assert done.result(timeout=PATIENCE) == (expected() if callable(expected) else expected)


class Unreliable:
    """A client whose PUTs lose their answers, the first time; or never arrive."""

    def __init__(self, client: Any, arrives: bool, meanwhile: Callable[[], Any]) -> None:
        self.client, self.arrives, self.meanwhile = client, arrives, meanwhile

    def __getattr__(self, name: str) -> Any:
        return getattr(self.client, name)

    def put(self, *arguments: Any, **keys: Any) -> Any:
        if not self.meanwhile:
            return self.client.put(*arguments, **keys)
        if self.arrives:
            self.client.put(*arguments, **keys)
        meanwhile, self.meanwhile = self.meanwhile, None  # type: ignore[assignment]
        meanwhile()
        raise ConnectionError("reset by peer")


@pytest.mark.parametrize("before", [None, b"before"])
@pytest.mark.parametrize(
    ("arrives", "other", "done"),
    [(True, None, True), (False, None, True), (False, b"other", False), (True, b"other", False)],
)
def test_where_the_answer_to_a_change_is_lost_what_is_there_tells(
    s3: Bucket,
    monkeypatch: pytest.MonkeyPatch,
    before: bytes | None,
    arrives: bool,
    other: bytes | None,
    done: bool,
) -> None:
    client = module.client_of(s3.name)
    if before:
        client.put("lease", before)
    meanwhile = (lambda: client.put("lease", other)) if other else (lambda: None)
    unreliable = Unreliable(client, arrives, meanwhile)
    monkeypatch.setattr(module, "client_of", lambda name: unreliable)
    assert s3.swap("lease", before, b"mine") is done
    assert s3.read("lease") == (b"mine" if done else other)


# ---- what waiting does not mend


ASKED: dict[str, Callable[[Bucket, Path], Any]] = {
    "exists": lambda where, draft: where.exists(),
    "fingerprint": lambda where, draft: where.fingerprint(),
    "files": lambda where, draft: where.files(),
    "read": lambda where, draft: where.read("lease"),
    "swap": lambda where, draft: where.swap("lease", None, b"mine"),
    "delete": lambda where, draft: where.delete("lease"),
    "publish": lambda where, draft: where.publish(draft),
    "make an array": lambda where, draft: array_in(where, 10),
}
"""All that can be asked of a server."""


@pytest.mark.parametrize("what", ASKED)
def test_a_wrong_secret_is_told_at_once(
    s3: Bucket, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, never_waits: None, what: str
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    with pytest.raises(PermissionError, match=f"{s3.name}.*403") as told:
        ASKED[what](s3, fill(tmp_path / "draft"))
    assert "wrong" not in str(told.value)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("what", sorted(set(ASKED) - {"fingerprint"}))
def test_a_missing_bucket_is_told_at_once(
    s3: Bucket, tmp_path: Path, never_waits: None, what: str
) -> None:
    none = Bucket("s3://no-such-bucket/store")
    with pytest.raises(StoreError, match="no-such-bucket/store: there is no bucket no-such-bucket"):
        ASKED[what](none, fill(tmp_path / "draft"))


def test_without_credentials_they_are_asked_for(
    no_server: None, never_waits: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", os.environ["AWS_ENDPOINT_URL"])
    with pytest.raises(PermissionError, match="set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"):
        Bucket("s3://bucket/store").exists()


@pytest.mark.parametrize(
    ("endpoint", "said"),
    [("https://no-such-host.invalid", "no-such-host.invalid"), ("ftp://127.0.0.1", "ftp")],
)
def test_a_wrong_endpoint_is_told_at_once(
    no_server: None, never_waits: None, monkeypatch: pytest.MonkeyPatch, endpoint: str, said: str
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    with pytest.raises(OSError, match=said):
        Bucket("s3://bucket/store").exists()


@pytest.mark.parametrize("what", ASKED)
def test_a_server_that_never_comes_is_told_when_patience_ends(
    no_server: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, what: str
) -> None:
    monkeypatch.setenv("WIDTHLAW_S3_PATIENCE", "0.1")
    draft = fill(tmp_path / "draft")
    with pytest.raises(ConnectionError, match=r"s3://bucket/store.*127\.0\.0\.1"):
        ASKED[what](Bucket("s3://bucket/store"), draft)
    assert (draft / "zarr.json").exists()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A clock that goes only by sleeping."""
    clock = SimpleNamespace(now=0.0)

    def sleep(seconds: float) -> None:
        clock.now += seconds

    clock.monotonic, clock.sleep = lambda: clock.now, sleep
    for each in (bucket, module):
        monkeypatch.setattr(each, "time", clock)
    return clock


@pytest.mark.parametrize(("patience", "least", "most"), [("3", 5, 10), ("300", 60, 140), ("0", 1, 1)])
def test_tries_become_rarer_until_patience_ends(
    monkeypatch: pytest.MonkeyPatch, clock: SimpleNamespace, patience: str, least: int, most: int
) -> None:
    monkeypatch.setenv("WIDTHLAW_S3_PATIENCE", patience)
    tries = []

    def action() -> None:
        tries.append(clock.now)
        raise ConnectionRefusedError(str(len(tries)))

    with pytest.raises(ConnectionRefusedError) as told:
        Bucket("s3://bucket/store").patiently(action)
    assert str(told.value) == str(len(tries))
    assert least <= len(tries) <= most
    assert tries[-1] == pytest.approx(float(patience))


def test_patience_begins_with_the_first_error_and_is_not_multiplied_by_patience_within(
    monkeypatch: pytest.MonkeyPatch, clock: SimpleNamespace
) -> None:
    monkeypatch.setenv("WIDTHLAW_S3_PATIENCE", "10")
    where = Bucket("s3://bucket/store")

    def action() -> None:
        clock.sleep(100)
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        where.patiently(lambda: where.patiently(lambda: where.patiently(action)))
    assert 200 <= clock.now <= 220  # two tries


@pytest.mark.parametrize("error", [KeyError, PermissionError, FileNotFoundError, FileExistsError])
def test_other_errors_are_not_waited_for(never_waits: None, error: type[Exception]) -> None:
    def action() -> None:
        raise error

    with pytest.raises(error):
        Bucket("s3://bucket/store").patiently(action)


def test_patience_is_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WIDTHLAW_S3_PATIENCE", "long")
    with pytest.raises(StoreError, match="WIDTHLAW_S3_PATIENCE: got 'long', expected seconds"):
        Bucket("s3://bucket/store")


def test_while_a_request_waits_others_go_on(no_server: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WIDTHLAW_S3_PATIENCE", "1000")
    waiting = first_pause(monkeypatch)

    async def both() -> None:
        store = Bucket("s3://bucket/store").zarr()
        request = asyncio.create_task(store.get("zarr.json", default_buffer_prototype()))
        while not waiting.is_set():
            await asyncio.sleep(0)
        request.cancel()
        with pytest.raises(asyncio.CancelledError):
            await request

    asyncio.run(asyncio.wait_for(both(), 60))


# ---- what is asked for


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("gs://bucket/store", "got a gs:// URL, expected a path or s3://bucket/prefix"),
        ("file:///tmp/store", "got a file:// URL, expected"),
        ("s3://", "got '' as the bucket, expected s3://bucket/prefix"),
        ("s3:///store", "got '' as the bucket, expected"),
        ("s3://bucket:80/store", "got 'bucket:80' as the bucket, expected"),
        ("s3://bucket/a//b", "without empty parts"),
        ("s3://bucket/../b", "without empty parts"),
        ("s3://key:secret@bucket/store", "credentials must not be part of a URL"),
    ],
)
def test_a_url_that_names_no_bucket_is_refused(url: str, said: str) -> None:
    with pytest.raises(StoreError) as told:
        locate(url)
    assert said in str(told.value)
    assert "secret@" not in str(told.value)


def test_without_obstore_the_extra_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("obstore", "obstore.store"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(StoreError, match=r"pip install -e '\.\[s3\]' in the checkout"):
        locate("s3://bucket/store")


def test_no_secret_is_pickled_and_each_process_takes_its_own(
    s3: Bucket, s3_server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    array_in(s3, 10)[...] = np.arange(10)
    where, store = pickle.dumps(s3), pickle.dumps(s3.zarr().with_read_only(True))
    for pickled in (where, store):
        assert s3_server.env["AWS_ACCESS_KEY_ID"].encode() not in pickled
        assert s3_server.env["AWS_SECRET_ACCESS_KEY"].encode() not in pickled
    assert pickle.loads(where).read("x/zarr.json") == s3.read("x/zarr.json")
    again = pickle.loads(store)
    assert again.read_only
    assert again == s3.zarr().with_read_only(True)
    np.testing.assert_array_equal(zarr.open_array(again, path="x", mode="r")[...], np.arange(10))
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another")
    with pytest.raises(PermissionError):
        zarr.open_array(pickle.loads(store), path="x", mode="r")


def test_trials_of_ones_own_fill_a_bucket_and_go_on_with_accepted_code(
    s3: Bucket, tmp_path: Path, assert_equal_stores: Callable[..., None]
) -> None:
    code = (
        "from pipeline import Trial, experiment, variable\n\n"
        "@experiment(value=variable('a value'))\ndef one(trial: Trial):\n"
        "    return {'value': trial.rng('x').random() * trial.parameters['scale']}\n"
    )
    (tmp_path / "one.py").write_text(code)
    file = tmp_path / "one.toml"
    file.write_text(
        'name = "one"\nexperiment = "one.py:one"\nwidth = [1, 2]\nseeds = 5\n'
        "[parameters]\nscale = [1, 2]\n"
    )
    loaded = pipeline.load_sweep(file)
    assert pipeline.run(loaded, s3.name).trials == 20
    pipeline.run(loaded, tmp_path / "local.zarr")
    assert_equal_stores(analysis.open_store(s3.name), tmp_path / "local.zarr")
    (tmp_path / "one.py").write_text(code + "\n# the same values\n")
    changed = pipeline.load_sweep(file)
    with pytest.raises(StoreError, match="its trials come from other code"):
        pipeline.run(changed, s3.name)
    accept_code(s3.name, changed)
    assert pipeline.run(changed, s3.name).trials == 0
    assert damage(s3.name) == []


def test_a_larger_budget_goes_to_a_new_prefix_with_the_checkpoints(
    s3: Bucket, make_sweep: Callable[..., Any], assert_equal_stores: Callable[..., None], tmp_path: Path
) -> None:
    def sweep(steps: int) -> Any:
        descent = f"{{ steps = {steps}, tolerances = [0.5, 0.03], checkpoints = true }}"
        keys = {"experiment": "'input'", "width": "{ kd_per_n = [1.0, 3.0] }", "seeds": 2}
        return make_sweep(descent=descent, **keys)

    pipeline.run(sweep(30), s3.name)
    with pytest.raises(StoreError, match="give a new path with -o NEW"):
        lengthen(s3.name, 600)
    new = f"{s3.name}-long"
    change = lengthen(s3.name, 600, new)
    assert change.continued == {"": change.pending}
    assert change.pending > 0
    assert pipeline.run(stored_sweep(new), new).trials == change.pending
    pipeline.run(sweep(600), tmp_path / "whole.zarr")
    opened = xr.open_zarr(locate(new).zarr())
    assert_equal_stores(opened, tmp_path / "whole.zarr")
    assert damage(new) == []


NOISE = """
import math
from pipeline import Trial, experiment, variable

@experiment(margin=variable("distance to failure"))
def noise(trial: Trial):
    noise = trial.rng("x").logistic() * trial.parameters["scale"]
    return {"margin": math.log(trial.k / 10) + noise}
"""


def test_commands_on_trials_of_ones_own_work_in_a_bucket(
    s3: Bucket, tmp_path: Path, widthlaw: Callable[..., Any], assert_equal_stores: Callable[..., None]
) -> None:
    code, file = tmp_path / "noise.py", tmp_path / "noise.toml"
    code.write_text(NOISE)
    keys = 'name = "noise"\nexperiment = "noise.py:noise"\nwidth = [5, 8, 10, 13, 20]\n'
    file.write_text(f"{keys}seeds = 8\n[parameters]\nscale = [0.1, 0.2]\n")
    larger = f"{s3.name}-larger"

    def done(*line: object) -> str:
        told = widthlaw(*line)
        assert told.returncode == 0, told.stderr
        return str(told.stdout)

    done("run", file, "-o", s3.name, "--workers", 1)
    done("extend", s3.name, "--seeds", 12, "-o", larger, "--code", code)
    done("run", larger, "--code", code, "--workers", 1)
    (tmp_path / "whole.toml").write_text(file.read_text().replace("seeds = 8", "seeds = 12"))
    pipeline.run(pipeline.load_sweep(tmp_path / "whole.toml"), tmp_path / "whole.zarr")
    assert_equal_stores(analysis.open_store(larger), tmp_path / "whole.zarr")
    rows = list(csv.DictReader(done("query", larger, "margin > 0", "--csv").splitlines()))
    assert 40 < len(rows) < 80
    assert {row["scale"] for row in rows} == {"0.1", "0.2"}
    fitted = json.loads(done("fit", larger, "--success", "margin > 0", "--json"))["critical_widths"]
    assert [cell["k50"] for cell in fitted] == pytest.approx([10, 10], rel=0.3)
    done("verify", larger, "--sample", 10, "--code", code)
    refused = widthlaw("verify", larger, "--sample", 10)
    assert refused.returncode == 2
    assert "a store keeps no code; add --code noise.py" in refused.stderr
