"""Hosts in network namespaces, joined by a switch: a cluster's network, of which cables can be cut.

Each network has namespaces of its own, and interfaces only inside them. So several can be up at once,
with the same addresses, and the network of the machine stays as it is.
"""

from __future__ import annotations

import functools
import os
import shutil
import signal
import subprocess
import sys
import uuid
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from ..waiting import PATIENCE, wait_until


class Network:
    """A host by each name, all in 10.77.0.0/24; up inside `with`."""

    @staticmethod
    def missing() -> str:
        """Why there can be none here; empty if there can."""
        return _missing()

    def __init__(self, hosts: Sequence[str] = ("a", "b", "s")) -> None:
        self.hosts = tuple(hosts)
        # The pid tells a reader of `ip netns` whose it is; the rest makes it unique.
        self._prefix = f"wl-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        self._switch = f"{self._prefix}-switch"

    def __enter__(self) -> Self:
        try:
            self._up()
        except BaseException:
            self._down()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._down()

    def namespace(self, host: str) -> str:
        if host not in self.hosts:
            raise KeyError(host)
        return f"{self._prefix}-{host}"

    def exec(self, host: str) -> list[str]:
        """What to put before a command that is to run on the host."""
        return ["ip", "netns", "exec", self.namespace(host)]

    def address(self, host: str) -> str:
        return f"10.77.0.{self.hosts.index(host) + 1}"

    def cut(self, host: str) -> None:
        """The switch loses the host's cable: packets vanish, and neither end is told."""
        ip("-n", self._switch, "link", "set", self._port(host), "nomaster")

    def mend(self, host: str) -> None:
        ip("-n", self._switch, "link", "set", self._port(host), "master", "bridge")

    def pids(self, host: str) -> set[int]:
        """Processes on the host."""
        return {int(pid) for pid in ip("netns", "pids", self.namespace(host)).split()}

    def _port(self, host: str) -> str:
        """The switch's end of the cable; a name of an interface has at most 15 characters."""
        return f"port{self.hosts.index(host) + 1}"

    def _up(self) -> None:
        ip("netns", "add", self._switch)
        ip("-n", self._switch, "link", "add", "bridge", "type", "bridge")
        ip("-n", self._switch, "link", "set", "bridge", "up")
        for host in self.hosts:
            name, port = self.namespace(host), self._port(host)
            ip("netns", "add", name)
            ip("-n", name, "link", "set", "lo", "up")
            cable = ("eth0", "type", "veth", "peer", "name", port, "netns", self._switch)
            ip("-n", name, "link", "add", *cable)
            ip("-n", self._switch, "link", "set", port, "master", "bridge", "up")
            ip("-n", name, "addr", "add", f"{self.address(host)}/24", "dev", "eth0")
            ip("-n", name, "link", "set", "eth0", "up")

    def _down(self) -> None:
        there = {line.split()[0] for line in ip("netns", "list").splitlines()}
        for name in [*(self.namespace(host) for host in self.hosts), self._switch]:
            if name in there:
                # A namespace whose name is gone lives on as long as a process is in it.
                wait_until(functools.partial(_kill_all, name), f"{name} is empty")
                ip("netns", "del", name)


def ip(*arguments: str) -> str:
    line = ["ip", *arguments]
    done = subprocess.run(line, capture_output=True, text=True, timeout=PATIENCE, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(line)}: exit status {done.returncode}\n{done.stderr}")
    return done.stdout


def _kill_all(namespace: str) -> bool:
    left = [int(pid) for pid in ip("netns", "pids", namespace).split()]
    for pid in left:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    return not left


@functools.cache
def _missing() -> str:
    if not sys.platform.startswith("linux"):
        return "network namespaces need Linux"
    if os.geteuid() != 0:
        return "network namespaces need root"
    if shutil.which("ip") is None:
        return "network namespaces need ip, of iproute2"
    try:  # Root in a container may be forbidden any of it.
        with Network(hosts=("a",)):
            return ""
    except RuntimeError as error:
        return f"network namespaces cannot be made here: {error}"
