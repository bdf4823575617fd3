"""The lease: one run at a time, taken over from dead holders, and its loss is noticed."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace

import pytest

import pipeline
from pipeline import processes, store
from pipeline.errors import LeaseLost, StoreHeld
from pipeline.store import lease, names
from pipeline.store.location import locate

from ...waiting import PATIENCE, wait_until

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


@pytest.mark.attack("forged leases")
def test_a_process_that_has_taken_the_number_of_a_dead_holder_does_not_hold(where) -> None:
    with lease.hold(where):
        mine = lease.read(where)
    write(where, replace(mine, started=mine.started - 100))
    lease.refuse(where)


def test_the_lease_is_renewed_while_it_is_held(where, monkeypatch) -> None:
    monkeypatch.setattr(lease, "RENEWED_EVERY", 0.01)
    with lease.hold(where):
        first = lease.read(where).renewed
        wait_until(lambda: lease.read(where).renewed != first, "the lease is renewed")


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


# ---- a lease from elsewhere

OURS = {
    "run": "r",
    "holder": "h",
    "user": "u",
    "host": "elsewhere",
    "pid": 7,
    "started": 1.0,
    "since": 1.0,
    "renewed": 2e9,
    "job": None,
}
"""The fields of a lease of 0.4.0."""

WAITING = {"system": "slurm", "number": "17", "folder": "/somewhere", "cluster": "c"}


def as_text(**changed: object) -> bytes:
    return json.dumps(OURS | {"renewed": time.time()} | changed).encode()


def test_a_lease_of_an_older_version_holds_the_store_for_a_minute(where) -> None:
    assert where.swap(names.LEASE, None, as_text(host=socket.gethostname()))
    found = lease.read(where)
    assert (found.pid, found.here, found.stale) == (7, False, False)
    with pytest.raises(StoreHeld, match="process 7 of u on"):
        lease.refuse(where)
    write(where, replace(found, renewed=time.time() - lease.STALE - 1))
    lease.refuse(where)


@pytest.mark.attack("forged leases")
@pytest.mark.parametrize("ahead", [lease.STALE + 5, 1e9])
def test_a_lease_that_was_renewed_in_the_future_is_stale(where, ahead) -> None:
    assert where.swap(names.LEASE, None, as_text(renewed=time.time() + ahead))
    assert lease.read(where).stale
    with lease.hold(where):
        assert not lease.read(where).stale


MALFORMED = {
    "empty": b"",
    "cut off": b"{",
    "a list": b"[1]",
    "no bytes of text": b"\xff\xfe",
    "a field missing": b'{"run": 1}',
    "deep lists": b"[" * 30_000 + b"]" * 30_000,
    "a deep field": b'{"run": ' + b'{"a":' * 5_000 + b"1" + b"}" * 5_001,
    "a long number": b'{"pid": ' + b"9" * 20_000 + b"}",
    "too long": as_text(user="u") + b" " * names.LEASE_BYTES,
    "a long name": as_text(user="u" * 300),
    "no run": as_text(run=""),
    "process -1": as_text(pid=-1),
    "process 0": as_text(pid=0),
    "a huge process": as_text(pid=2**31),
    "process as text": as_text(pid="7"),
    "process as truth": as_text(pid=True),
    "renewed as text": as_text(renewed="now"),
    "renewed NaN": as_text(renewed=float("nan")),
    "renewed infinite": as_text(renewed=float("inf")),
    "renewed beyond all time": as_text(renewed=1e300),
    "renewed before all time": as_text(renewed=-1e300),
    "waiting without a job": as_text(renewed=None),
    "a number as job": as_text(job=3),
    "an option as job number": as_text(job=WAITING | {"number": "--all"}),
    "a job number of other digits": as_text(job=WAITING | {"number": "\u0661"}),
    "a list as batch system": as_text(job=WAITING | {"system": ["slurm"]}),
}


def test_what_the_following_tests_change_is_a_lease(where) -> None:
    for text in (as_text(), as_text(job=WAITING), as_text(job=WAITING, renewed=None)):
        assert where.swap(names.LEASE, where.read(names.LEASE), text)
        assert lease.read(where).run == "r"


@pytest.mark.attack("forged leases")
@pytest.mark.parametrize("kind", MALFORMED)
def test_a_file_that_is_no_lease_holds_nothing(where, kind) -> None:
    assert where.swap(names.LEASE, None, MALFORMED[kind])
    assert lease.read(where) is None
    lease.refuse(where)
    with lease.hold(where):
        assert lease.read(where) is not None
    assert lease.read(where) is None


@pytest.mark.attack("forged leases")
@pytest.mark.parametrize("kind", ["pipe", "link to endless bytes", "link to itself"])
def test_something_that_is_no_plain_file_holds_nothing(where, kind) -> None:
    file = where.path / names.LEASE
    if kind == "pipe":
        os.mkfifo(file)
    else:
        file.symlink_to("/dev/zero" if kind == "link to endless bytes" else file)
    assert lease.read(where) is None
    with lease.hold(where):
        assert lease.read(where) is not None


@pytest.mark.attack("forged leases")
def test_of_a_huge_file_no_more_is_read_than_a_lease_may_have(where) -> None:
    with (where.path / names.LEASE).open("wb") as file:
        file.truncate(2**40)  # a hole
    assert where.peek(names.LEASE) == b""
    assert lease.read(where) is None
    with lease.hold(where):
        assert lease.read(where) is not None


# ---- containers

CONTAINER = ["unshare", "--uts", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c"]
NAMED = 'hostname same && exec "$@"'


@pytest.fixture
def container():
    """The start of a command that runs as process 1 of its own namespace, on a host named `same`."""
    line = [*CONTAINER, NAMED, "sh"]
    if subprocess.run([*line, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this user may not make namespaces")
    return line


@pytest.mark.attack("forged leases")
def test_containers_of_one_host_name_do_not_take_each_others_live_lease(where, container) -> None:
    line = [*container, sys.executable, "-c", HOLDER, where.name]
    pipe = subprocess.PIPE
    with subprocess.Popen(line, stdin=pipe, stdout=pipe, text=True) as first:
        assert first.stdout.readline() == "held\n"
        found = lease.read(where)
        assert (found.host, found.pid, found.here) == ("same", 1, False)
        second = subprocess.run(line, capture_output=True, text=True, timeout=PATIENCE, check=False)
        assert "StoreHeld" in second.stderr
        assert second.stdout == ""
        assert lease.read(where).holder == found.holder
        assert "another container" in lease.end(where, found)
        first.communicate("")


@pytest.mark.attack("forged leases")
def test_a_holder_that_sees_the_processes_of_others_is_one_elsewhere(where, container) -> None:
    """A namespace whose /proc is still that of the host: number 1 there is another process."""
    line = [word for word in container if word != "--mount-proc"]
    pipe = subprocess.PIPE
    line = [*line, sys.executable, "-c", HOLDER, where.name]
    with subprocess.Popen(line, stdin=pipe, stdout=pipe, text=True) as first:
        assert first.stdout.readline() == "held\n"
        second = subprocess.run(line, capture_output=True, text=True, timeout=PATIENCE, check=False)
        assert "StoreHeld" in second.stderr
        first.communicate("")


# ---- the proof before a signal


def test_a_holder_is_proven_by_its_mark_and_ended(where, holder) -> None:
    assert lease.end(where, lease.read(where)) == ""
    assert holder.wait(PATIENCE) == -signal.SIGTERM


@pytest.mark.attack("forged leases")
def test_a_bystander_that_a_forged_lease_names_gets_no_signal(where, holder) -> None:
    theirs = lease.read(where)
    with subprocess.Popen(["sleep", "600"]) as bystander:
        forged = replace(theirs, pid=bystander.pid, started=processes.start_time(bystander.pid))
        assert forged.here
        assert not forged.stale
        assert "shows no sign that it fills this store" in lease.end(where, forged)
        assert bystander.poll() is None
        bystander.kill()


@pytest.mark.attack("forged leases")
def test_a_lease_that_was_copied_from_another_store_proves_nothing(where, holder, tmp_path) -> None:
    copy = locate(tmp_path / "b.zarr")
    assert "shows no sign that it fills this store" in lease.end(copy, lease.read(where))
    assert holder.poll() is None


@pytest.mark.attack("forged leases")
def test_a_later_process_of_the_same_number_gets_no_signal(where, holder) -> None:
    found = lease.read(where)
    assert "has ended" in lease.end(where, replace(found, started=found.started - 1))
    assert holder.poll() is None


@pytest.mark.attack("forged leases")
@pytest.mark.skipif(os.geteuid() != 0, reason="only root starts processes of others")
def test_a_process_of_another_user_gets_no_signal_and_is_not_taken_for_dead(where) -> None:
    with lease.hold(where):
        mine = lease.read(where)
    with subprocess.Popen(["sleep", "600"], user=65534) as other:
        forged = replace(mine, pid=other.pid, started=processes.start_time(other.pid))
        assert not forged.stale
        assert "belongs to another user" in lease.end(where, forged)
        assert other.poll() is None
        other.kill()
