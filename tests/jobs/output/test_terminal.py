"""Nothing from elsewhere reaches a terminal raw: every command meets a hostile store on a real one."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import zarr

import pipeline
from pipeline import store
from pipeline.store import lease, names
from pipeline.store.location import locate
from pipeline.store.template import attributes_digest
from pipeline.trial_status import Status

pytestmark = pytest.mark.attack("terminal escapes")

HOSTILE = "x\x1b]0;PWN\x07\x1b[31m\x9b2J\x7f\u202eevil\u2066\r\nwidthlaw: all is well"
"""It sets the title of the window, recolours and clears the screen, and turns text around."""

SHOWN = r"x\x1b]0;PWN\x07\x1b[31m\x9b2J\x7f\u202eevil\u2066\r"
"""The same text on a terminal, up to its line end."""

RAW = re.compile("[\x00-\x09\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""All that a terminal obeys but the ends of lines, which it gets as CR and LF."""

KEYS = {"n": "[6, 12]", "d": "[4]", "width": "{ k_per_n = [1.2, 2.0, 4.0] }"}


@pytest.fixture(scope="module")
def made(tmp_path_factory, make_sweep) -> Path:
    """A sound store: its name is hostile, and so are the messages of its failed and pending trials."""
    path = tmp_path_factory.mktemp("hostile") / "a.zarr"
    pipeline.run(make_sweep(**KEYS), path)
    group = zarr.open_group(path, mode="r+")
    group.attrs["name"] = HOSTILE
    group.attrs["digest"] = attributes_digest(dict(group.attrs))
    statuses, messages = group["status"][:], group["message"][:]
    statuses[..., :2], messages[..., :2] = Status.FAILED, HOSTILE
    group["status"][:], group["message"][:] = statuses, messages
    zarr.consolidate_metadata(path)
    return path


@pytest.fixture
def hostile(made, tmp_path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "a.zarr"))


def test_the_test_itself_would_see_what_is_written_raw(on_terminal) -> None:
    _, output = on_terminal([sys.executable, "-c", f"print({HOSTILE!r})"])
    assert len(RAW.findall(output)) >= 7


COMMANDS = {
    "status": ["status", "{store}"],
    "status --csv": ["status", "{store}", "--csv"],
    "status --json": ["status", "{store}", "--json"],
    "query": ["query", "{store}", "status == 'failed'", "--columns", "n,seed,message"],
    "query --csv": ["query", "{store}", "status == 'failed'", "--columns", "message", "--csv"],
    "query --by": ["query", "{store}", "--by", "message"],
    "run": ["run", "{store}"],
    "run again": ["run", "{store}", "--retry-failed", "--workers", "1"],
    "run --dry-run": ["run", "{store}", "--dry-run"],
    "fit": ["fit", "{store}"],
    "fit of two": ["fit", "{store}", "{other}"],
    "fit --csv": ["fit", "{store}", "--csv"],
    "plot": ["plot", "{store}", "-o", "{folder}/figures"],
    "report": ["report", "{store}", "-o", "{folder}/r.html"],
    "verify": ["verify", "{store}"],
    "extend": ["extend", "{store}", "--seeds", "10"],
    "merge": ["merge", "{store}", "{other}", "-o", "{folder}/c.zarr"],
    "refine": ["refine", "{store}", "--to", "2%", "--dry-run", "-o", "{folder}/d.zarr"],
    "submit": ["submit", "{store}", "--profile", "slurm", "--dry-run"],
    "an error": ["query", "{store}", HOSTILE],
    "wrong usage": [HOSTILE],
    "a wrong option": ["status", "{store}", f"--{HOSTILE}"],
    "a missing file": ["status", HOSTILE],
    "with a traceback": ["--debug", "status", HOSTILE],
}
TELL = {"status", "status --csv", "query", "query --csv", "query --by", "run", "fit", "report",
        "an error", "wrong usage", "a wrong option", "a missing file", "with a traceback"}  # fmt: skip
"""Commands that are known to show the text."""


@pytest.mark.parametrize("name", COMMANDS)
def test_no_command_writes_a_control_character_of_a_store(
    hostile, tmp_path, make_sweep, terminal, name
) -> None:
    other = tmp_path / "b.zarr"
    if any("{other}" in word for word in COMMANDS[name]):
        pipeline.run(make_sweep(**KEYS | {"seeds": 9}), other)
    line = [
        word if word == HOSTILE else word.format(store=hostile, other=other, folder=tmp_path)
        for word in COMMANDS[name]
    ]
    _, output = terminal(*line)
    found = RAW.findall(output)
    if name == "run again":  # the bar starts every drawing with a carriage return, which is no match
        assert "trial/s" in output
    assert not found, output
    assert not (name in TELL and SHOWN not in output), output


@pytest.mark.parametrize("name", ["status", "run", "verify", "cancel"])
def test_the_holder_of_a_forged_lease_is_named_without_control_characters(
    hostile, terminal, name
) -> None:
    with lease.hold(locate(hostile)):
        fields = json.loads((hostile / names.LEASE).read_text())
    fields |= {"user": HOSTILE, "host": HOSTILE, "boot": "another"}
    (hostile / names.LEASE).write_text(json.dumps(fields))
    _, output = terminal(name, hostile)
    assert not RAW.findall(output), output
    assert SHOWN in output
    assert not re.search(r"^widthlaw: all is well", output, re.MULTILINE)


def test_what_the_last_run_left_is_shown_without_control_characters(
    tmp_path, make_sweep, terminal
) -> None:
    path = tmp_path / "a.zarr"
    store.create(path, make_sweep())
    fields = {"run": "r", "store": "s", "data_folder": ".", "profile_folder": ".", "workers": []}
    fields |= {"retry_failed": False, "allocation": False, "message": HOSTILE}
    (tmp_path / "a.zarr.run").mkdir()
    (tmp_path / "a.zarr.run" / "run.json").write_text(json.dumps(fields))
    _, output = terminal("status", path)
    assert not RAW.findall(output), output
    assert SHOWN in output


def test_a_sweep_file_and_a_profile_are_quoted_without_control_characters(tmp_path, terminal) -> None:
    quoted = json.dumps(HOSTILE)
    sweep, profile = tmp_path / "s.toml", tmp_path / "p.toml"
    sweep.write_text(f"name = {quoted}\nexperiment = {quoted}\n{quoted} = 1\nactivation = {quoted}\n")
    profile.write_text(f"system = {quoted}\n{quoted} = 1\n")
    for line in (["run", sweep], ["submit", "tiny", "--profile", profile], ["sweeps"], ["profiles"]):
        status, output = terminal(*line, cwd=tmp_path)
        assert not RAW.findall(output), output
        assert (status == 2) == (r"\x1b" in output)


def test_a_file_name_of_other_bytes_is_shown(tmp_path, terminal) -> None:
    name = os.fsdecode(b"a\xff\x1b[31m.zarr")
    status, output = terminal("status", name, cwd=tmp_path)
    assert status == 2
    assert r"a\udcff\x1b[31m.zarr: not found" in output


def test_a_pipe_gets_the_escapes_too(hostile, widthlaw) -> None:
    told = widthlaw("status", hostile)
    assert SHOWN in told.stdout
    assert not RAW.findall(told.stdout + told.stderr)


def test_json_is_exact(hostile, widthlaw) -> None:
    assert json.loads(widthlaw("status", hostile, "--json").stdout)[0]["name"] == HOSTILE
    rows = widthlaw("query", hostile, "status == 'failed'", "--columns", "message", "--json")
    assert json.loads(rows.stdout)[0]["message"] == HOSTILE


def test_a_narrow_encoding_is_no_failure(hostile, command) -> None:
    env = os.environ | {"PYTHONIOENCODING": "ascii"}
    told = subprocess.run([command, "status", "σ.zarr"], capture_output=True, env=env, check=False)
    assert told.returncode == 2
    assert rb"store \u03c3.zarr: not found" in told.stderr


def test_a_report_has_no_control_character(hostile, tmp_path, widthlaw) -> None:
    page = tmp_path / "r.html"
    told = widthlaw("report", hostile, "-o", page)
    assert told.returncode == 1, told.stderr  # some trials failed
    text = page.read_text(encoding="utf-8")
    assert not RAW.findall(text)
    assert SHOWN in text
