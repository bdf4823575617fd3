"""Nobody is let in: every connection asks for the key, nothing listens elsewhere, no data are run."""

from __future__ import annotations

import io
import os
import pickle
import stat
import subprocess
import sys
from urllib.error import HTTPError
from urllib.request import urlopen

import numpy as np
import psutil
import pytest
import zarr

import pipeline
from jobs.cluster import credentials
from pipeline import store
from pipeline.errors import InputError

from .waiting import PATIENCE

pytestmark = pytest.mark.attack("other users")

STRANGER = """
import sys
from urllib.error import HTTPError
from urllib.request import urlopen
from distributed import Client, Security
address, kind = sys.argv[1:]
own = Security.temporary() if kind == "another certificate" else None
try:
    client = Client(address, security=own, timeout=5)
    print(client.submit(print, "in").result(timeout=5), "let in")
except Exception as error:
    print("refused", type(error).__name__)
"""


@pytest.fixture(scope="module")
def client():
    with pipeline.local_client(1) as client:
        yield client


@pytest.mark.parametrize("kind", ["no certificate", "another certificate", "no encryption"])
@pytest.mark.parametrize("whom", ["scheduler", "worker", "nanny"])
def test_a_stranger_on_this_machine_is_refused(client, kind, whom) -> None:
    (address, worker), *_ = client.scheduler_info(n_workers=-1)["workers"].items()
    addresses = {"scheduler": client.scheduler.address, "worker": address, "nanny": worker["nanny"]}
    asked = addresses[whom]
    assert asked.startswith("tls://127.0.0.1:")
    if kind == "no encryption":
        asked = asked.replace("tls://", "tcp://")
    line = [sys.executable, "-c", STRANGER, asked, kind]
    told = subprocess.run(line, capture_output=True, text=True, timeout=PATIENCE)
    assert told.stdout.startswith("refused"), told.stdout + told.stderr


def test_a_client_with_the_key_of_the_run_is_let_in(client, tmp_path) -> None:
    credentials.save(client.security, tmp_path / "tls")
    loaded = credentials.load(tmp_path / "tls")
    for file in (tmp_path / "tls").iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    from distributed import Client

    with Client(client.scheduler.address, security=loaded) as second:
        assert second.submit(os.getpid).result() in client.run(os.getpid).values()


def test_credentials_replace_a_file_that_others_could_read(tmp_path) -> None:
    path = tmp_path / "key.pem"
    path.write_text("old")
    path.chmod(0o666)
    reader = path.open()
    credentials.write_private(path, "new")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert (reader.read(), path.read_text()) == ("old", "new")


def test_nothing_of_a_local_run_listens_on_another_interface(client) -> None:
    processes = [psutil.Process(), *psutil.Process().children(recursive=True)]
    listening = [
        connection.laddr.ip
        for process in processes
        for connection in process.net_connections()
        if connection.status == psutil.CONN_LISTEN
    ]
    assert len(listening) >= 4  # the scheduler, its dashboard, a worker, its nanny
    assert set(listening) == {"127.0.0.1"}


def test_the_dashboard_is_on_loopback(client) -> None:
    assert client.dashboard_link.startswith("http://127.0.0.1:")
    assert answer(client, "/status") == 200
    assert answer(client, "/info/main/workers.html") == 200


def test_a_scheduler_without_a_dashboard_tells_nothing() -> None:
    with pipeline.local_client(1, dashboard=False) as client:
        pages = ("/", "/status", "/info/main/workers.html", "/json/identity.json", "/metrics")
        assert {answer(client, page) for page in pages} == {404}


def answer(client, page: str) -> int:
    """The answer of a scheduler's HTTP server, as any user of this machine gets it."""
    services = client.scheduler_info()["services"]
    try:
        with urlopen(f"http://127.0.0.1:{services['dashboard']}{page}", timeout=10) as found:
            return found.status
    except HTTPError as error:
        return error.code


# ---- nothing that is read is run


class Bomb:
    def __init__(self, path) -> None:
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_what_the_following_tests_plant_would_go_off(tmp_path) -> None:
    pickle.loads(pickle.dumps(Bomb(tmp_path / "hit"))).close()
    assert (tmp_path / "hit").exists()


def test_a_data_file_of_pickled_objects_is_refused_and_not_unpickled(tmp_path, make_sweep) -> None:
    buffer = io.BytesIO()
    np.save(buffer, np.array([[Bomb(tmp_path / "hit")]], dtype=object), allow_pickle=True)
    (tmp_path / "rows.npy").write_bytes(buffer.getvalue())
    data = "{ kind = 'file', path = 'rows.npy' }"
    with pytest.raises(InputError):
        make_sweep(tmp_path, dataset=data, d="[1]", n="[1]")
    assert not (tmp_path / "hit").exists()


def test_an_array_of_pickled_objects_in_place_of_a_stores_is_not_unpickled(
    tmp_path, make_sweep
) -> None:
    """Zarr's second format knows a filter that unpickles; only the third, which has none, is read."""
    path = tmp_path / "a.zarr"
    store.create(path, make_sweep())
    for name in ("status", "message"):
        old = path / name
        for file in sorted(old.rglob("*"), reverse=True):
            file.unlink() if file.is_file() else file.rmdir()
        filters = '[{"id": "pickle", "protocol": 5}]'
        (old / ".zarray").write_text(
            '{"chunks": [1], "compressor": null, "dtype": "|O", "fill_value": null, "filters": '
            f'{filters}, "order": "C", "shape": [1], "zarr_format": 2}}'
        )
        (old / "0").write_bytes(pickle.dumps(Bomb(tmp_path / "hit")))
    with pytest.raises(InputError, match="its status cannot be read"):
        store.Store(path).counts()
    assert not (tmp_path / "hit").exists()


def test_a_group_of_zarrs_second_format_is_no_store(tmp_path) -> None:
    zarr.create_group(str(tmp_path / "a.zarr"), zarr_format=2, attributes={"format": "widthlaw"})
    with pytest.raises(InputError, match="holds no store"):
        store.check_store(tmp_path / "a.zarr")
