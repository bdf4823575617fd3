"""A cluster on this one host: a private Slurm, hosts in network namespaces, an S3 server."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator

import pytest

from .buckets import S3Server
from .network import Network
from .private_slurm import PrivateSlurm


@pytest.fixture
def short_folder() -> Iterator[str]:
    """As `tmp_path`, with a path that is short enough for Unix sockets below it."""
    with tempfile.TemporaryDirectory(prefix="wl-", ignore_cleanup_errors=True) as folder:
        yield folder


@pytest.fixture
def slurm(short_folder: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[PrivateSlurm]:
    """Two nodes of one CPU; the commands of Slurm, from this process too, see this one."""
    if reason := PrivateSlurm.missing():
        pytest.skip(reason)
    with PrivateSlurm(short_folder) as slurm:
        for name, value in slurm.env.items():
            monkeypatch.setenv(name, value)
        yield slurm


@pytest.fixture
def network() -> Iterator[Network]:
    """Hosts a, b and s at one switch."""
    if reason := Network.missing():
        pytest.skip(reason)
    with Network() as network:
        yield network


@pytest.fixture(scope="session")
def one_s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    if reason := S3Server.missing():
        pytest.skip(reason)
    server = S3Server(tmp_path_factory.mktemp("s3"))
    try:
        yield server
    finally:
        server.kill()


@pytest.fixture
def s3_server(one_s3_server: S3Server) -> S3Server:
    """A server that answers; a test may kill it and start it again, and makes buckets of its own."""
    one_s3_server.start()
    return one_s3_server
