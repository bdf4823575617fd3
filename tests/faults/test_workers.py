"""Workers that are killed, hang, or compute what kills them: the others finish, with the same bits."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from ..waiting import wait_until
from .stand import Bench, Row, kill_group, with_failed
from .table import OF_ONES_OWN

WORKER_TTL = {"distributed.scheduler.worker-ttl": "10s"}

POISON = str(Path(__file__).with_name("poison.py"))

AXES = ("d", "n")

MOST_DEATHS = 8
"""Of workers under one trial: twice of its task, once of its seed, three times alone; two to spare."""


@pytest.mark.parametrize(
    "own",
    [
        pytest.param("", marks=pytest.mark.fault("kill -9 of a worker"), id="built-in"),
        pytest.param(
            OF_ONES_OWN, marks=pytest.mark.fault(f"kill -9 of a worker{OF_ONES_OWN}"), id="own"
        ),
    ],
)
def test_a_killed_worker_is_started_again(bench: Bench, own: str) -> None:
    bench.scheduler()
    first, _ = bench.worker(), bench.worker()
    driver = bench.run()
    first.wait_for_block()
    killed = first.pid()
    os.kill(killed, signal.SIGKILL)
    bench.ends(driver)
    bench.judge()
    assert first.pid() != killed


@pytest.mark.fault("kill -9 of worker and nanny")
def test_the_others_finish_for_a_worker_that_is_gone(bench: Bench) -> None:
    bench.scheduler()
    first, _ = bench.worker(), bench.worker()
    driver = bench.run()
    first.wait_for_block()
    kill_group(first.process)
    bench.ends(driver)
    bench.judge()


@pytest.mark.fault("hung worker, for good")
def test_the_others_finish_for_a_worker_that_hangs(bench: Bench) -> None:
    bench.scheduler(**WORKER_TTL)
    first, _ = bench.worker(), bench.worker()
    driver = bench.run()
    first.wait_for_block()
    os.kill(first.pid(), signal.SIGSTOP)
    bench.ends(driver)
    bench.judge()


@pytest.mark.fault("hung worker, back when all is done")
def test_a_writer_that_comes_too_late_does_no_harm(bench: Bench) -> None:
    bench.scheduler(**WORKER_TTL)
    # A nanny would be told by the scheduler to kill it, and nothing would come late.
    first, _ = bench.worker("--no-nanny"), bench.worker()
    driver = bench.run()
    first.wait_for_block()
    os.kill(first.process.pid, signal.SIGSTOP)
    begun_by_it = first.said()
    bench.ends(driver)
    assert first.computing()
    assert first.said() == begun_by_it
    os.kill(first.process.pid, signal.SIGCONT)
    wait_until(first.ended, "the late writer has come to its end")
    bench.judge()


@pytest.mark.parametrize(
    "trials",
    [
        pytest.param(
            [((1, 0), 7, 12)],
            marks=pytest.mark.fault("trial that kills its process"),
            id="one",
        ),
        pytest.param(
            [((1, 0), 7, 12), ((2, 0), 23, 39)],
            marks=pytest.mark.fault("two such trials in different blocks"),
            id="two",
        ),
    ],
)
def test_a_trial_that_kills_its_process_fails_alone(row: Row, bench: Bench, trials) -> None:
    bench.scheduler()
    for _ in range(2):
        bench.worker("--preload", POISON, POISON=json.dumps(trials))
    driver = bench.run()
    bench.ends(driver)
    places = [
        {**dict(zip(AXES, cell, strict=True)), "width": width, "seed": seed}
        for cell, width, seed in trials
    ]
    bench.judge(status=1, expected=with_failed(row.reference, places))
    assert f"{len(trials)} failed" in bench.said.read_text()
    assert sum(worker.deaths() for worker in bench.workers) <= MOST_DEATHS * len(trials)
