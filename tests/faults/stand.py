"""The object of the faults: the sweep, a row that judges its store, processes that surely end.

The sweep costs about seven core-seconds in 24 blocks of a third of a second, so that a fault strikes
in the midst of it, and hits a block in the making.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil
import xarray as xr

from jobs.cluster import credentials
from jobs.cluster import job_scripts as queues
from jobs.cluster.credentials import CERTIFICATE, KEY
from jobs.cluster.profile import Profile
from pipeline import store
from pipeline.execution.local import DASK
from pipeline.store.location import locate
from pipeline.store.names import DIGESTS, PARTIAL
from pipeline.sweep import Sweep
from pipeline.sweep_files.load import load_sweep, parse_sweep
from pipeline.trial_status import Status

from ..conftest import equal_stores
from ..waiting import PATIENCE, wait_until
from .table import COLUMNS

WIDTHS = ", ".join(f"{1 + 0.05 * place:.2f}" for place in range(24))

SWEEP = f"""
name = "faults"
experiment = "conditioning"
entropy = 7
dataset = {{ kind = "sphere" }}
d = [20, 40, 80]
n = [400]
width = {{ k_per_n = [{WIDTHS}] }}
seeds = 40
"""

OWN_SWEEP = SWEEP.replace('"conditioning"', '"own.py:gap"').replace("[400]", "[100]")

OWN_CODE = """
import numpy as np
from pipeline import Trial, experiment, variable

@experiment(
    gap=variable("largest minus smallest singular value"),
    values=variable("largest ones", dims=("place",), coords={"place": [1, 2, 3]}),
)
def gap(trial: Trial):
    E = trial.rng("noise").standard_normal((trial.k, trial.n))
    features = np.maximum(trial.weights() @ trial.inputs().T, 0) + np.random.random() * E
    s = np.linalg.svd(features, compute_uv=False)
    return {"gap": s[0] - s[-1], "values": s[:3]}
"""
"""Trials of one's own, which also draw from the generator that all share; in equally many blocks."""

SEEDS_PER_BLOCK = 5

TRIALS_PER_BLOCK = 24 * SEEDS_PER_BLOCK

BEGINS = re.compile(r"begins (\d+) trials of cell")


def the_sweep() -> Sweep:
    return parse_sweep(SWEEP)


def sweep_in(folder: Path, own: bool = False) -> Sweep:
    """Write the sweep of the faults, or that of trials of one's own, and return it."""
    file = folder / "faults.toml"
    file.write_text(OWN_SWEEP if own else SWEEP)
    if own:
        (folder / "own.py").write_text(OWN_CODE)
    return load_sweep(file)


def begun(logs: Iterable[Path]) -> int:
    """Trials that workers have begun, by what they say."""
    texts = [log.read_text(errors="replace") for log in logs]
    return sum(int(trials) for text in texts for trials in BEGINS.findall(text))


@dataclass
class Row:
    """One fault, the store that it strikes, and what became of it."""

    fault: str
    path: Path | str
    reference: xr.Dataset
    workers: int = 2
    survived: bool | None = None
    repeated: int | None = None
    seconds: float | None = None
    megabytes: float | None = None
    _began: float | None = field(default=None, repr=False)

    def begin(self) -> None:
        """Start the clock; only the first time counts."""
        if self._began is None:
            self._began = time.monotonic()

    def stop(self) -> None:
        """Stop the clock; only the first time counts."""
        assert self._began is not None, "the row was never begun"
        if self.seconds is None:
            self.seconds = time.monotonic() - self._began

    def finish(self, logs: Iterable[Path], expected: xr.Dataset | None = None) -> None:
        """Compare the store with an undisturbed one, to the bit: that alone decides about survival.

        Parameters
        ----------
        logs
            Of all workers, for the trials that were computed again.
        expected
            What the store ought to be, where that is not the reference.
        """
        self.stop()
        self.repeated = begun(logs) - self.reference.status.size
        where = locate(self.path)
        equal_stores(self.reference if expected is None else expected, xr.open_zarr(where.zarr()))
        self.survived = True
        hidden = [key for key, _ in where.files() if key.startswith(".") or key.endswith(PARTIAL)]
        left = [key for key in hidden if not key.startswith(DIGESTS)]
        assert not left, "the run left something behind"
        assert self.repeated >= 0, "a log has lost what a worker said"

    def told(self) -> dict[str, Any]:
        """The row of the table."""
        survived = "yes" if self.survived else "no" if self._began is not None else "not run"
        ideal = float(self.reference.seconds.sum()) / self.workers
        values = (self.fault, survived, self.repeated, self.seconds, ideal, self.megabytes)
        return dict(zip(COLUMNS, values, strict=True))

    def done(self) -> int:
        return store.Store(self.path).counts()["done"]


def with_failed(reference: xr.Dataset, trials: Iterable[Mapping[str, int]]) -> xr.Dataset:
    """The reference, had some of its trials killed their process: these have no values of their own."""
    expected = reference.copy(deep=True)
    for trial in trials:
        for name, variable in expected.data_vars.items():
            if "width" in variable.dims and name not in ("status", "message"):
                expected[name][trial] = float("nan")
        expected.status[trial] = Status.FAILED
        expected.message[trial] = (
            "WorkerKilled: its process died 3 times while it computed this trial alone"
        )
    return expected


class Processes:
    """Process groups of ours; none outlives `with`."""

    def __init__(self) -> None:
        self._started: list[subprocess.Popen[bytes]] = []

    def start(
        self, line: Sequence[object], log: Path, env: Mapping[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        """Start a command in a session of its own, with all that it says in a file."""
        with log.open("ab") as out:
            process = subprocess.Popen(
                [str(word) for word in line],
                env=os.environ | (env or {}),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        self._started.append(process)
        return process

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self._started:
            kill_group(process)


def kill_group(process: subprocess.Popen[bytes]) -> None:
    """SIGKILL to all processes of a group of ours, also where its first one has gone."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(20)


@dataclass
class Worker:
    """A worker as its command line starts it: a nanny, and below it the process that computes."""

    process: subprocess.Popen[bytes]
    log: Path

    def pid(self) -> int:
        """The worker process, which a nanny may start anew."""

        def spawned() -> int:
            children = psutil.Process(self.process.pid).children()
            return next((child.pid for child in children if "spawn_main" in line_of(child)), 0)

        return wait_until(spawned, "the nanny has a worker process")

    def ended(self) -> bool:
        return self.process.poll() is not None

    def said(self) -> str:
        return self.log.read_text(errors="replace")

    def computing(self, blocks: int = 2) -> bool:
        """Whether it is at a block now, and has begun so many."""
        said = self.said()
        return len(BEGINS.findall(said)) >= blocks and _says_last(said)

    def deaths(self) -> int:
        """Number of times that the nanny has found its worker process dead."""
        return len(re.findall("Worker process .* was killed by signal", self.said()))

    def wait_for_block(self, blocks: int = 2) -> None:
        wait_until(lambda: self.computing(blocks), "the worker is at a block", pause=0.02)


def _says_last(said: str) -> bool:
    return bool(BEGINS.search(said.rstrip().rsplit("\n", 1)[-1]))


def line_of(process: psutil.Process) -> str:
    """The command line of a process; empty where it is gone."""
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


class Bench:
    """A scheduler, workers and the command that fills the store, each a process group of its own."""

    def __init__(self, processes: Processes, folder: Path, row: Row, command: str) -> None:
        self._processes, self._folder, self._row, self._command = processes, folder, row, command
        self._tls = folder / "tls"
        credentials.save(credentials.fresh(), self._tls)
        self.workers: list[Worker] = []
        self.address = ""
        self._status: int | None = None

    @property
    def logs(self) -> list[Path]:
        return [worker.log for worker in self.workers]

    def scheduler(self, host: str = "127.0.0.1", at: Sequence[str] = (), **settings: str) -> None:
        """Start a scheduler as widthlaw's own are set."""
        file = self._folder / "scheduler.json"
        line = [*at, sys.executable, "-m", "distributed.cli.dask_scheduler", *self._tls_options()]
        line += ["--host", host, "--port", "0", "--scheduler-file", str(file)]
        line += ["--no-dashboard", "--dashboard-address", "127.0.0.1:0"]
        env = _dask_env({**DASK, **settings})
        self._processes.start(line, self._folder / "scheduler.log", env)
        self.address = wait_until(lambda: _address(file), "the scheduler listens")

    def worker(
        self, *options: str, host: str = "127.0.0.1", at: Sequence[str] = (), **env: str
    ) -> Worker:
        """Start a worker as jobs have it, with further options."""
        log = self._folder / f"worker-{len(self.workers)}.log"
        line = [*at, *queues.worker_command(_profile(host), self.address, self._tls), *options]
        worker = Worker(self._processes.start(line, log, env), log)
        self.workers.append(worker)
        return worker

    def _wait_for_workers(self) -> None:
        for worker in self.workers:
            wait_until(lambda worker=worker: "Registered to" in worker.said(), "a worker is there")

    def run(self, at: Sequence[str] = ()) -> subprocess.Popen[bytes]:
        """Start `widthlaw run` on these workers, and the clock of the row."""
        self._wait_for_workers()
        tls = {"ca-file": CERTIFICATE, "client.cert": CERTIFICATE, "client.key": KEY}
        env = _dask_env({f"distributed.comm.tls.{key}": self._tls / file for key, file in tls.items()})
        line = [*at, *run_line(self._command, self._folder, self._row), "--scheduler", self.address]
        self._row.begin()
        return self._processes.start(line, self.said, env)

    def ends(self, driver: subprocess.Popen[bytes]) -> None:
        """Wait until the command has ended."""
        self._status = driver.wait(PATIENCE)
        self._row.stop()

    def judge(self, status: int = 0, expected: xr.Dataset | None = None) -> None:
        """The store is what it ought to be, and so are the command's exit status and words."""
        self._row.finish(self.logs, expected)
        said = self.said.read_text()
        assert self._status == status, said
        assert "Traceback" not in said

    @property
    def said(self) -> Path:
        """The words of the command."""
        return self._folder / "run.log"

    def _tls_options(self) -> list[str]:
        certificate, key = str(self._tls / CERTIFICATE), str(self._tls / KEY)
        return ["--tls-ca-file", certificate, "--tls-cert", certificate, "--tls-key", key]


LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"stderr": {"class": "logging.StreamHandler"}},
    "loggers": {"widthlaw": {"level": "INFO", "handlers": ["stderr"]}},
}
"""Local workers say what they begin, as those in jobs do."""


class Runs:
    """The same command again and again, with a log for each."""

    def __init__(self, processes: Processes, folder: Path, row: Row, command: str) -> None:
        self.workers = row.workers
        self._processes, self._folder, self._row = processes, folder, row
        self._line = run_line(command, folder, row)
        self.logs: list[Path] = []

    def start(self) -> subprocess.Popen[bytes]:
        self.logs.append(self._folder / f"run-{len(self.logs)}.log")
        line = [*self._line, "--workers", str(self.workers)]
        return self._processes.start(line, self.logs[-1], {"DASK_LOGGING": repr(LOGGING)})

    def said(self) -> str:
        """The words of the last one so far."""
        return self.logs[-1].read_text()

    def to_the_end(self) -> int:
        return self.start().wait(PATIENCE)

    def judge(self) -> None:
        """The store is what it ought to be, and none has spoken in tracebacks."""
        self._row.finish(self.logs)
        assert not [log for log in self.logs if "Traceback" in log.read_text()]


def run_line(command: str, folder: Path, row: Row) -> list[str]:
    """`widthlaw run` of the sweep into the row's store."""
    return [command, "run", str(folder / "faults.toml"), "-o", str(row.path)]


def _profile(host: str) -> Profile:
    return Profile(system="slurm", workers=1, memory="1 GB", walltime="01:00:00", host=host)


def _dask_env(settings: Mapping[str, object]) -> dict[str, str]:
    """Variables from which Dask takes settings."""
    return {
        "DASK_" + key.replace(".", "__").replace("-", "_").upper(): str(value)
        for key, value in settings.items()
    }


def _address(file: Path) -> str:
    try:
        return str(json.loads(file.read_text())["address"])
    except (OSError, ValueError):
        return ""
