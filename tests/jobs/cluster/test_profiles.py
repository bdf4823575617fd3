"""A profile is valid, or refused with a list of all its problems; listing profiles has no effect."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from jobs.cluster.profile import ProfileError, load_profile, profile_files

BUNDLED = {"address", "htcondor", "kubernetes", "local", "lsf", "oar", "pbs", "sge", "slurm"}

SLURM = """# Nights on the big partition.
system = "slurm"
workers = 8
workers_per_job = 4
memory = "2 GB"
walltime = "1-00:30:00"
"""


@pytest.fixture(autouse=True)
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A private configuration folder."""
    folder = tmp_path / "config"
    (folder / "profiles").mkdir(parents=True)
    monkeypatch.setenv("WIDTHLAW_CONFIG", str(folder))
    return folder


@pytest.fixture
def write(config: Path) -> Callable[..., Path]:
    """Write a user's profile for Slurm, with keys replaced or added; values are TOML."""

    def written(name: str = "mine", **keys: str) -> Path:
        kept = [line for line in SLURM.splitlines() if line.split(" = ")[0] not in keys]
        file = config / "profiles" / f"{name}.toml"
        file.write_text("\n".join([*kept, *(f"{key} = {value}" for key, value in keys.items()), ""]))
        return file

    return written


@pytest.mark.parametrize("name", sorted(BUNDLED))
def test_bundled_profiles_load_and_state_their_purpose(name) -> None:
    profile = load_profile(name)
    assert profile.system == profile.name == name
    assert profile.about.endswith(".")


@pytest.mark.parametrize("name", sorted(BUNDLED))
def test_the_keys_in_the_comments_of_a_bundled_profile_are_keys(name, tmp_path) -> None:
    """Users remove the `#`: the result must be a profile, except for keys that exclude each other."""
    lines = profile_files()[name].read_text().splitlines()
    bare = [line.removeprefix("# ") if " = " in line else line for line in lines]
    for file in ("ca.pem", "client.pem", "client-key.pem"):
        (tmp_path / file).touch()
    (tmp_path / "mine.toml").write_text("\n".join(line for line in bare if not line.startswith("host")))
    assert load_profile(tmp_path / "mine.toml").system == name


def test_a_users_profile_takes_precedence_over_a_bundled_one(write) -> None:
    assert set(profile_files()) == BUNDLED
    file = write("slurm")
    assert load_profile("slurm").path == file
    assert load_profile("slurm").workers_per_job == 4


def test_sizes_and_times_are_bytes_and_seconds(write) -> None:
    profile = load_profile(write(memory="'1.5 GiB'", death_timeout="90"))
    assert profile.memory == 1.5 * 2**30
    assert profile.walltime == 24 * 3600 + 30 * 60
    assert profile.controller.memory == 2 * 10**9
    assert profile.controller.walltime is None
    assert profile.about == "Nights on the big partition."


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        ({"wrokers": "3"}, ["wrokers: unknown key (did you mean 'workers'?)", "known are system"]),
        ({"system": "'slrum'"}, ["system: got 'slrum' (did you mean 'slurm'?)", "expected one of"]),
        ({"workers": "0"}, ["workers: got 0"]),
        ({"workers": "2.0"}, ["workers: got 2.0, expected a whole number, such as 2"]),
        ({"walltime": "'90'"}, ["walltime: got '90'", '"HH:MM:SS"', 'such as "12:00:00"']),
        ({"walltime": "'00:00:00'"}, ["walltime: got '00:00:00'"]),
        ({"walltime": "'01:60:00'"}, ["walltime: got '01:60:00'"]),
        ({"walltime": "3600"}, ["walltime: got 3600"]),
        ({"walltime": "01:00:00"}, ["walltime: got 01:00:00", '"HH:MM:SS"']),
        ({"memory": "'2'"}, ["memory: got '2', expected a size of 100 MB or more, such as \"2 GB\""]),
        ({"memory": "'2 MB'"}, ["memory: got '2 MB'"]),
        ({"memory": "2"}, ["memory: got 2"]),
        ({"workers_per_job": "9"}, ["workers_per_job: got 9, but there are 8 workers"]),
        ({"walltime": f"'{'9' * 5000}:00:00'"}, ["walltime: got '999", '"HH:MM:SS"']),
        ({"walltime": f"'{'9' * 5000}-00:00:00'"}, ["walltime: got '999", '"HH:MM:SS"']),
        ({"memory": f"'{'9' * 5000} GB'"}, ["memory: got '999", "expected a size of 100 MB or more"]),
        ({"workers": "0x" + "f" * 50_000}, ["workers: got a whole number of 200000 bits"]),
        ({"queue": f"'{'a b' * 9999}'"}, ["queue: got 'a ba b", "expected a name without spaces"]),
        ({"queue": "'a b'"}, ["queue: got 'a b', expected a name without spaces"]),
        ({"directives": "'--exclusive'"}, ["directives: got '--exclusive', expected a list"]),
        ({"directives": "['#SBATCH --exclusive']"}, ["without #SBATCH; write '--exclusive'"]),
        ({"prologue": '["a\\nb"]'}, ["prologue[0]", "expected one line of text"]),
        ({"interface": "'ib0'", "host": "'127.0.0.1'"}, ["host: got interface too"]),
        ({"address": "'tcp://a:1'"}, ["address: a profile of slurm has no such key; remove it"]),
        ({"controller": "{ memry = '1 GB' }"}, ["controller.memry: unknown key", "'memory'"]),
        ({"controller": "{ walltime = '1h' }"}, ["controller.walltime: got '1h'"]),
        ({"controller": "{ directives = ['#SBATCH -x'] }"}, ["controller.directives", "write '-x'"]),
        ({"memory": "'2'", "walltime": "'2'"}, ["2 problems", "memory: got", "walltime: got"]),
        ({"memory": "'2'", "workers_per_job": "9"}, ["2 problems", "memory: got", "workers_per_job"]),
        ({"system": "'local'"}, ["memory: a profile of local has no such key", "walltime: a profile"]),
        ({"system": "'htcondor'", "queue": "'q'"}, ["queue: a profile of htcondor has no such key"]),
        ({"system": "'htcondor'", "directives": "['x']"}, ["directives: got 'x'", "submit file"]),
        ({"system": "'sge'", "launcher": "'mpiexec'"}, ["launcher: a profile of sge has no such key"]),
    ],
)
def test_every_problem_is_named(write, change, parts) -> None:
    file = write(**change)
    with pytest.raises(ProfileError) as error:
        load_profile("mine")
    assert str(error.value).startswith(f"profile {file}: ")
    for part in parts:
        assert part in str(error.value)


@pytest.mark.parametrize("key", ["workers", "memory", "walltime"])
def test_a_batch_system_needs_these_keys(config, key) -> None:
    kept = [line for line in SLURM.splitlines() if not line.startswith(f"{key} ")]
    (config / "profiles" / "mine.toml").write_text("\n".join(kept))
    with pytest.raises(ProfileError, match=f"{key}: missing, a profile of slurm needs it"):
        load_profile("mine")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("system = 'address'\naddress = '10.0.0.1'", 'such as "tls://10.0.0.1:8786"'),
        ("system = 'address'\ntls_cert = 'a.pem'", "needs tls_key"),
        ("system = 'address'\ntls_ca_file = 'a.pem'", "tls_ca_file: got 'a.pem', expected a file"),
        ("system = 'address'\ntls_ca_file = '~nobody-here/a.pem'", "tls_ca_file: got '~nobody-here"),
        (f"system = 'address'\ntls_ca_file = '{'a' * 300}'", "tls_ca_file: got 'aaa"),
        ("system = 'address'\ntls_ca_file = '/dev/zero'", "expected a file, but /dev/zero is not one"),
        ("workers = 3", "system: missing, this key is needed"),
        ("system = ", "not valid TOML"),
    ],
)
def test_other_invalid_profiles_are_refused(tmp_path, text, message) -> None:
    (tmp_path / "a.toml").write_text(text)
    with pytest.raises(ProfileError) as error:
        load_profile(tmp_path / "a.toml")
    assert message in str(error.value)


def test_paths_are_relative_to_the_profile(tmp_path) -> None:
    (tmp_path / "ca.pem").touch()
    (tmp_path / "a.toml").write_text("system = 'address'\ntls_ca_file = 'ca.pem'")
    assert load_profile(tmp_path / "a.toml").tls_ca_file == str(tmp_path / "ca.pem")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("slrum", "no such profile (did you mean 'slurm'?); known are address, "),
        ("{tmp}/none.toml", "none.toml: not found"),
        ("{tmp}/folder.toml", "folder.toml: got a folder, expected a file"),
        ("{tmp}/bytes.toml", "bytes.toml: cannot be read (it is not text in UTF-8)"),
    ],
)
def test_an_unreadable_profile_is_refused(tmp_path, name, message) -> None:
    (tmp_path / "folder.toml").mkdir()
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ProfileError) as error:
        load_profile(name.format(tmp=tmp_path))
    assert message in str(error.value)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become a user without a home")
def test_a_user_without_a_home_has_the_bundled_profiles(command) -> None:
    read = "+dac_read_search"  # Python may be installed in a home of root
    user = ["setpriv", "--reuid=60001", f"--inh-caps={read}", f"--ambient-caps={read}"]
    line = "from jobs.cluster.profile import profile_files; print(len(profile_files()))"
    done = subprocess.run(
        [*user, Path(command).with_name("python"), "-c", line],
        env={"PATH": os.defpath},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == f"{len(BUNDLED)}\n"


def listed(widthlaw) -> dict[str, dict[str, str]]:
    result = widthlaw("profiles", "--json")
    assert result.returncode == 0, result.stderr
    return {record["profile"]: record for record in json.loads(result.stdout)}


def test_profiles_are_listed_with_the_reason_why_they_are_unusable(
    widthlaw, write, monkeypatch
) -> None:
    file, broken = write(), write("broken", memory="'2'", walltime="'2'")
    monkeypatch.setenv("PATH", os.devnull)
    records = listed(widthlaw)
    assert set(records) == BUNDLED | {"mine", "broken"}
    assert records["local"]["usable"] == "yes"
    assert records["local"]["from"] == "bundled"
    assert records["mine"]["from"] == str(file)
    assert "no sbatch on PATH" in records["slurm"]["why not"]
    assert "--scheduler ADDRESS" in records["kubernetes"]["why not"]
    assert "needs an address" in records["address"]["why not"]
    assert records["broken"]["usable"] == "no"
    assert f"profile {broken}: 2 problems" in records["broken"]["why not"]
    assert "\n" not in records["broken"]["why not"]


def test_a_profile_is_usable_where_its_submit_command_is(widthlaw, tmp_path, monkeypatch) -> None:
    command = tmp_path / "bsub"
    command.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert listed(widthlaw)["lsf"]["usable"] == "yes"
    assert not (tmp_path / "ran").exists()


def test_listing_writes_nothing_and_runs_nothing(widthlaw, write, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("DASK_CONFIG", str(tmp_path / "dask"))
    write(prologue=f"['touch {tmp_path}/ran', '$(touch {tmp_path}/ran)']", python=f"'{tmp_path}/p'")
    text = widthlaw("profiles")
    assert text.returncode == 0
    assert text.stdout.startswith("profile ")
    assert widthlaw("profiles", "--csv").stdout.startswith("profile,system,usable,from,about,why not\n")
    assert {file.name for file in tmp_path.iterdir()} == {"config"}


def test_a_missing_package_is_named(write, monkeypatch) -> None:
    from jobs.cluster import job_scripts as queues

    monkeypatch.setattr(queues, "find_spec", lambda name: None)
    monkeypatch.setattr(queues.shutil, "which", lambda name: f"/usr/bin/{name}")
    assert "pip install -e '.[cluster]' in the checkout" in str(
        queues.why_unusable(load_profile(write()))
    )


def test_listing_imports_no_dask_jobqueue(command) -> None:
    line = "import sys; from jobs.commands.listing import profile_records; profile_records(); "
    line += "sys.exit('dask_jobqueue' in sys.modules or 'distributed' in sys.modules)"
    python = Path(command).with_name("python")
    assert subprocess.run([python, "-c", line], check=False).returncode == 0
