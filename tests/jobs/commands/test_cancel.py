"""`widthlaw cancel`: it ends what is proven to fill the store, and can remove any other lease."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict, replace

import pytest

from pipeline import processes, store
from pipeline.store import lease, names
from pipeline.store.location import locate

from ...waiting import PATIENCE

pytestmark = pytest.mark.attack("forged leases")

HOLDER = """
import sys
from pipeline.store import lease
from pipeline.store.location import locate
with lease.hold(locate(sys.argv[1])) as held:
    print("held", flush=True)
    sys.stdin.read()
    held.confirm()
"""


@pytest.fixture
def path(tmp_path, make_sweep):
    store.create(tmp_path / "a.zarr", make_sweep())
    return tmp_path / "a.zarr"


@pytest.fixture
def holder(path):
    """A process, not started by the command, that holds the store."""
    pipe = subprocess.PIPE
    line = [sys.executable, "-c", HOLDER, str(path)]
    with subprocess.Popen(line, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as process:
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def write(path, found: lease.Lease, **changed: object) -> None:
    (path / names.LEASE).write_text(json.dumps(asdict(replace(found, **changed))))


def test_a_run_of_this_machine_is_ended_and_the_store_is_free(path, holder, widthlaw) -> None:
    told = widthlaw("cancel", path)
    assert (told.returncode, told.stderr) == (0, f"{path}: process {holder.pid} ended\n")
    assert holder.wait(PATIENCE) == -15
    assert lease.read(locate(path)) is None
    assert widthlaw("cancel", path).stderr == f"{path}: no run is in progress\n"


def test_a_bystander_lives_and_force_only_removes_the_lease(
    path, holder, widthlaw, assert_refused
) -> None:
    found = lease.read(locate(path))
    with subprocess.Popen(["sleep", "600"]) as bystander:
        write(path, found, pid=bystander.pid, started=processes.start_time(bystander.pid))
        why = f"it got no signal: process {bystander.pid} shows no sign that it fills this store"
        told = widthlaw("cancel", path)
        assert_refused(told, why)
        assert f"`widthlaw cancel --force {path}` only removes its lease" in told.stderr
        told = widthlaw("cancel", "--force", path)
        assert told.returncode == 0
        assert f"its lease is removed; process {bystander.pid} of" in told.stderr
        assert "was not ended" in told.stderr
        assert bystander.poll() is None
        bystander.kill()
    assert lease.read(locate(path)) is None


def test_a_run_whose_lease_was_removed_stops_by_itself(path, holder, widthlaw) -> None:
    write(path, lease.read(locate(path)), boot="another")
    assert "another machine" in widthlaw("cancel", path).stderr
    assert widthlaw("cancel", "--force", path).returncode == 0
    _, errors = holder.communicate("", timeout=PATIENCE)
    assert "LeaseLost" in errors
    assert "its lease was taken away" in errors


def test_a_job_of_an_unknown_system_does_not_hold_for_ever(path, widthlaw, assert_refused) -> None:
    with lease.hold(locate(path)) as held:
        held.pass_on(lease.Job("bad\x1b[31m", "17", "/somewhere"))
    assert_refused(widthlaw("run", path), "job 17 (bad\\x1b[31m) of")
    told = widthlaw("cancel", path)
    assert_refused(told, "this widthlaw knows no batch system 'bad\\x1b[31m', expected one of slurm,")
    assert "--force" in told.stderr
    told = widthlaw("cancel", "--force", path)
    assert told.returncode == 0
    assert "its lease is removed; job 17 (bad\\x1b[31m) of" in told.stderr
    assert widthlaw("run", path, "--workers", 1).returncode == 0


def test_a_lease_of_a_dead_run_is_removed(path, holder, widthlaw) -> None:
    holder.kill()
    holder.wait()
    told = widthlaw("cancel", path)
    assert (told.returncode, told.stderr) == (0, f"{path}: process {holder.pid} had ended before\n")
    assert lease.read(locate(path)) is None


@pytest.mark.parametrize("text", [b"[" * 30_000, b'{"run": 1, "pid": -1}', b"\xff" * 100_000])
def test_a_malformed_lease_troubles_no_command(path, widthlaw, text) -> None:
    (path / names.LEASE).write_bytes(text)
    told = widthlaw("status", path)
    assert told.returncode == 3
    assert "a run is in progress" not in told.stderr
    assert widthlaw("cancel", path).stderr == f"{path}: no run is in progress\n"
    assert widthlaw("run", path, "--workers", 1).returncode == 0


# ---- the run folder


def run_json(**changed: object) -> str:
    """A run.json of 0.4.0, which called the message `said`."""
    fields = {"run": "r", "store": "s", "data_folder": ".", "profile_folder": "."}
    fields |= {"retry_failed": False, "allocation": False, "workers": ["12"], "said": "no disk"}
    return json.dumps(fields | changed)


def test_status_tells_the_last_message_of_a_run_on_one_line(path, widthlaw) -> None:
    folder = path.with_name("a.zarr.run")
    folder.mkdir()
    (folder / "run.json").write_text(run_json())
    assert widthlaw("status", path).stdout.rstrip().endswith("no disk")
    (folder / "run.json").write_text(run_json(said="bad\x1b]0;PWN\x07\nline"))
    told = widthlaw("status", path)
    assert told.stdout.rstrip().endswith(r"bad\x1b]0;PWN\x07\nline")
    assert len(told.stdout.splitlines()) == 2


@pytest.mark.parametrize(
    "text",
    [
        run_json(said=["a", "list"]),
        run_json(workers=["--all"]),
        run_json(workers="12"),
        run_json(starts="three"),
        run_json(said="x" * 2**20),
        "[" * 30_000,
        "[1]",
        "",
    ],
    ids=["message", "worker", "workers", "starts", "long", "deep", "list", "empty"],
)
def test_a_malformed_run_folder_troubles_no_command(path, widthlaw, text) -> None:
    folder = path.with_name("a.zarr.run")
    folder.mkdir()
    (folder / "run.json").write_text(text)
    told = widthlaw("status", path, "--json")
    assert told.returncode == 3
    assert json.loads(told.stdout)[0]["run"] == "-"
