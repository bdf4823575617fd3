"""Hosts in network namespaces, for one test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .network import Network


@pytest.fixture
def network() -> Iterator[Network]:
    """Hosts a, b and s at one switch."""
    if reason := Network.missing():
        pytest.skip(reason)
    with Network() as network:
        yield network
