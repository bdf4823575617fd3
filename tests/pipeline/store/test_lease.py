"""The lease: one run at a time, taken over from dead holders, and its loss is noticed."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import replace

import pytest

import pipeline
from pipeline import store
from pipeline.errors import LeaseLost, StoreHeld
from pipeline.store import lease, names
from pipeline.store.location import locate

HOLDER = """
import sys, time
from pipeline.store import lease, names
from pipeline.store.location import locate
with lease.hold(locate(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def where(tmp_path, make_sweep):
    path = tmp_path / "a.zarr"
    store.create(path, make_sweep())
    return locate(path)


@pytest.fixture
def holder(where):
    """Another process that holds the store until its input ends."""
    line = [sys.executable, "-c", HOLDER, where.name]
    with subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def write(where, found: lease.Lease) -> None:
    assert where.swap(names.LEASE, where.read(names.LEASE), lease._text(found))


def test_a_store_has_no_lease_before_and_after_a_run(where, make_sweep) -> None:
    assert lease.read(where) is None
    pipeline.run(make_sweep(), where.name)
    assert lease.read(where) is None


def test_a_held_store_refuses_others_and_names_the_holder(where, holder) -> None:
    with pytest.raises(StoreHeld, match=f"process {holder.pid} of .* on .*, last heard of . s ago"):
        lease.refuse(where)
    with pytest.raises(StoreHeld), lease.hold(where):
        pass


def test_a_killed_holder_of_this_machine_is_followed_at_once(where, holder) -> None:
    holder.kill()
    holder.wait()
    assert lease.read(where).stale
    with lease.hold(where):
        assert not lease.read(where).stale


def test_a_holder_elsewhere_is_followed_when_it_has_been_silent_for_long(where) -> None:
    with lease.hold(where):
        mine = lease.read(where)
    there = replace(
        mine, host="elsewhere", boot="of elsewhere", pid=1, renewed=time.time() - lease.STALE + 5
    )
    write(where, there)
    with pytest.raises(StoreHeld, match="on elsewhere"):
        lease.refuse(where)
    write(where, replace(there, renewed=time.time() - lease.STALE - 1))
    lease.refuse(where)


def test_a_process_that_has_taken_the_number_of_a_dead_holder_does_not_hold(where) -> None:
    with lease.hold(where):
        mine = lease.read(where)
    write(where, replace(mine, started=mine.started - 100))
    lease.refuse(where)


def test_the_lease_is_renewed_while_it_is_held(where, monkeypatch) -> None:
    monkeypatch.setattr(lease, "RENEWED_EVERY", 0.01)
    with lease.hold(where):
        first = lease.read(where).renewed
        deadline = time.monotonic() + 30
        while lease.read(where).renewed == first:
            assert time.monotonic() < deadline


@pytest.mark.parametrize("gone", [True, False], ids=["taken away", "taken over"])
def test_a_run_that_has_lost_its_lease_stops(where, make_sweep, monkeypatch, gone) -> None:
    monkeypatch.setattr(lease, "RENEWED_EVERY", 0.01)
    with lease.hold(where) as held:
        mine = lease.read(where)
        if gone:
            assert lease.drop(where, mine)
        else:
            write(where, replace(mine, holder="another", run="another"))
        held._thread.join(30)
        with pytest.raises(LeaseLost, match="taken away" if gone else "taken over"):
            pipeline.run(make_sweep(), where.name, held=held)
    assert store.Store(where.name).counts()["done"] == 0
    assert gone == (lease.read(where) is None)  # what another holds is not given back


def test_of_two_that_take_a_stale_lease_one_has_it(where) -> None:
    race = """
import sys, time
from pipeline.store import lease, names
from pipeline.errors import StoreHeld
from pipeline.store.location import locate
sys.stdin.readline()
try:
    with lease.hold(locate(sys.argv[1])):
        print("held", flush=True)
        sys.stdin.read()
except StoreHeld:
    print("refused", flush=True)
"""
    line = [sys.executable, "-c", race, where.name]
    pipe = subprocess.PIPE
    racers = [subprocess.Popen(line, stdin=pipe, stdout=pipe, text=True) for _ in range(4)]
    try:
        for racer in racers:
            racer.stdin.write("go\n")
            racer.stdin.flush()
        answers = sorted(racer.stdout.readline() for racer in racers)
    finally:
        for racer in racers:
            racer.kill()
            racer.communicate()
    assert answers == ["held\n", "refused\n", "refused\n", "refused\n"]


def test_a_waiting_job_holds_the_store_and_the_run_it_was_submitted_for_gets_it(where) -> None:
    job = lease.Job("slurm", "17", "/somewhere")
    with lease.hold(where, run="r") as held:
        held.pass_on(job)
    waiting = lease.read(where)
    assert (waiting.run, waiting.job, waiting.renewed) == ("r", job, None)
    with pytest.raises(StoreHeld, match=r"job 17 \(slurm\) of .* waits to fill it"):
        lease.refuse(where)
    with lease.hold(where, run="r", job=job):
        assert lease.read(where).renewed is not None
    assert lease.read(where) is None


def test_a_job_that_runs_before_its_submission_has_ended_keeps_the_store(where) -> None:
    job = lease.Job("slurm", "17", "/somewhere")
    with lease.hold(where, run="r") as submission, lease.hold(where, run="r", job=job):
        running = lease.read(where)
        submission.pass_on(job)
        assert lease.read(where) == running


@pytest.mark.parametrize("text", [b"", b"{", b"[1]", b'{"run": 1}', json.dumps({"job": 3}).encode()])
def test_a_file_that_is_no_lease_holds_nothing(where, text) -> None:
    assert where.swap(names.LEASE, None, text)
    lease.refuse(where)
    with lease.hold(where):
        assert lease.read(where) is not None
