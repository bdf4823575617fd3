"""Hosts of a network reach each other, unless a cable is cut."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ..waiting import PATIENCE, wait_until
from .network import Network

pytestmark = pytest.mark.cluster

ECHO = """
import socket
with socket.create_server(("", 5000)) as server:
    while True:
        connection, _ = server.accept()
        with connection:
            while line := connection.recv(100):
                connection.sendall(line)
"""

SAY = """
import socket, sys
with socket.create_connection((sys.argv[1], 5000), timeout=1) as connection:
    connection.sendall(b"hello")
    assert connection.recv(100) == b"hello"
"""

TALK = """
import socket, sys
with socket.create_connection((sys.argv[1], 5000)) as connection:
    for line in sys.stdin.buffer:
        connection.sendall(line)
        sys.stdout.buffer.write(connection.recv(100))
        sys.stdout.flush()
"""


def reaches(network: Network, source: str, target: str) -> bool:
    """Whether a new connection gets an answer within a second."""
    line = [*network.exec(source), sys.executable, "-c", SAY, network.address(target)]
    return (
        subprocess.run(line, stderr=subprocess.DEVNULL, timeout=PATIENCE, check=False).returncode == 0
    )


@pytest.fixture
def server(network: Network) -> Iterator[None]:
    """An echo on host s."""
    with subprocess.Popen([*network.exec("s"), sys.executable, "-c", ECHO]) as server:
        wait_until(lambda: reaches(network, "a", "s"), "the server answers")
        yield
        server.kill()


@pytest.mark.usefixtures("server")
def test_a_cut_cable_stops_traffic_of_its_host_alone_and_a_mended_one_restores_it(
    network: Network,
) -> None:
    network.cut("a")
    assert not reaches(network, "a", "s")
    assert reaches(network, "b", "s")

    network.mend("a")
    wait_until(lambda: reaches(network, "a", "s"), "the cable is mended")


@pytest.mark.usefixtures("server")
def test_an_open_connection_outlives_a_cut(network: Network) -> None:
    line = [*network.exec("a"), sys.executable, "-uc", TALK, network.address("s")]
    with subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as talk:
        assert talk.stdin is not None
        assert talk.stdout is not None
        talk.stdin.write(b"before\n")
        talk.stdin.flush()
        assert talk.stdout.readline() == b"before\n"

        network.cut("a")
        talk.stdin.write(b"during\n")
        talk.stdin.flush()
        assert not reaches(network, "a", "s")
        assert talk.poll() is None

        network.mend("a")
        assert talk.stdout.readline() == b"during\n"


def test_hosts_are_apart_from_the_machine_and_from_other_networks(network: Network) -> None:
    interfaces = set(Path("/sys/class/net").iterdir())
    with Network() as other:
        assert other.address("s") == network.address("s")
        with subprocess.Popen([*other.exec("s"), sys.executable, "-c", ECHO]) as server:
            wait_until(lambda: reaches(other, "a", "s"), "the server answers")
            assert not reaches(network, "a", "s")
            assert set(Path("/sys/class/net").iterdir()) == interfaces
            server.kill()


def test_processes_on_its_hosts_end_with_the_network(network: Network) -> None:
    with Network(hosts=("a",)) as other:
        sleeper = subprocess.Popen([*other.exec("a"), "sleep", "600"])
        wait_until(lambda: sleeper.pid in other.pids("a"), "the process is on its host")
    assert sleeper.wait(20) != 0

    listed = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True).stdout
    assert network.namespace("a") in listed
    assert other.namespace("a") not in listed
