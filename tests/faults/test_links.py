"""A cable is cut between the scheduler and a worker: nothing is lost, and nobody waits for ever."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from ..cluster.network import Network
from .stand import Bench


@pytest.fixture
def network() -> Iterator[Network]:
    """Workers on hosts a and b, scheduler and driver on host s."""
    if reason := Network.missing():
        pytest.skip(reason)
    with Network() as network:
        yield network


@pytest.mark.parametrize(
    "seconds",
    [
        pytest.param(20, marks=pytest.mark.fault("link cut for 20 s")),
        pytest.param(60, marks=pytest.mark.fault("link cut for 60 s")),
    ],
)
def test_a_cut_link_costs_time_and_nothing_else(network: Network, bench: Bench, seconds: int) -> None:
    bench.scheduler(network.address("s"), at=network.exec("s"))
    first, _ = (bench.worker(host=network.address(h), at=network.exec(h)) for h in ("a", "b"))
    driver = bench.run(at=network.exec("s"))
    first.wait_for_block()
    network.cut("a")
    mended_at = time.monotonic() + seconds
    while driver.poll() is None and time.monotonic() < mended_at:
        time.sleep(0.1)
    network.mend("a")
    bench.ends(driver)
    bench.judge()
