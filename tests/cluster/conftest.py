"""A cluster on this one host: a private Slurm, or hosts in network namespaces."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator

import pytest

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
