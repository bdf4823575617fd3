"""The command line: exit codes, one-line errors, a clean interrupt."""

from __future__ import annotations

import json
import os
import pkgutil
import shutil
import signal
import subprocess
import sys
from importlib import import_module

import psutil
import pytest
from click.testing import CliRunner

import jobs.commands
import pipeline
from jobs.cli import COMMANDS, main
from pipeline import store
from pipeline.execution.compute import compute_block
from pipeline.sweep_files.load import parse_sweep

from ..waiting import PATIENCE, wait_until


def test_help_lists_every_command(widthlaw) -> None:
    result = widthlaw("--help")
    assert result.returncode == 0
    assert all(name in result.stdout for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_and_imports_little_for_it(name) -> None:
    check = (
        "import sys; from jobs.cli import main\n"
        "try: main([sys.argv[1], '--help'])\n"
        "finally: print(*sorted({'numpy', 'zarr', 'xarray', 'pandas', 'dask'} & set(sys.modules)))"
    )
    result = subprocess.run(
        [sys.executable, "-c", check, name],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"COLUMNS": "80"},
    )
    assert max(map(len, result.stdout.splitlines())) <= 80
    assert result.stdout.startswith(f"Usage: -c {name}")
    assert result.stdout.endswith("\n\n"), result.stdout.splitlines()[-1]


@pytest.mark.parametrize("name", COMMANDS)
def test_the_summary_of_a_command_is_the_first_line_of_its_help(name) -> None:
    module, summary = COMMANDS[name]
    command = getattr(import_module(f"jobs.commands.{module}"), name)
    assert command.name == name
    assert command.help.splitlines()[0] == summary


def test_every_command_of_the_folder_is_registered() -> None:
    files = {module.name for module in pkgutil.iter_modules(jobs.commands.__path__)}
    assert files == {module for module, _ in COMMANDS.values()}


def test_bundled_sweeps_are_listed(widthlaw) -> None:
    names = {record["sweep"] for record in json.loads(widthlaw("sweeps", "--json").stdout)}
    assert {"figure1", "spectrum-evolution", "theorem2", "alpha-stress", "tiny"} <= names


@pytest.mark.slow
def test_a_sweep_runs_and_can_be_queried_fitted_and_drawn(widthlaw, write_sweep, tmp_path) -> None:
    path = tmp_path / "small.zarr"
    ran = widthlaw("run", write_sweep(n="[6, 12, 24]"), "-o", path, "--workers", 2, "--dashboard")
    assert ran.returncode == 0, ran.stderr
    assert "dashboard at http://127.0.0.1" in ran.stderr
    assert "any user of this machine can read it" in ran.stderr
    assert ran.stdout == ""
    assert widthlaw("status", path).returncode == 0
    rows = widthlaw("query", path, "n == 12 and seed < 2", "--columns", "sigma_min", "--csv").stdout
    assert len(rows.splitlines()) == 1 + 2 * 3 * 2
    assert len(json.loads(widthlaw("query", path, "n == 6", "--json", "--limit", 4).stdout)) == 4
    fitted = widthlaw("fit", path, "--json")
    assert fitted.returncode == 0, fitted.stderr
    assert len(json.loads(fitted.stdout)["critical_widths"]) == 6
    drawn = widthlaw("plot", path, "-o", tmp_path / "pictures")
    assert drawn.returncode == 0, drawn.stderr
    assert {file.suffix for file in (tmp_path / "pictures").iterdir()} == {".png", ".svg"}
    again = widthlaw("run", tmp_path / "sweep.toml", "-o", path)
    assert "0 computed now" in again.stderr


def test_a_dry_run_touches_nothing(widthlaw, write_sweep, tmp_path) -> None:
    result = widthlaw("run", write_sweep(), "-o", tmp_path / "a.zarr", "--dry-run")
    assert result.returncode == 0
    assert "trials" in result.stdout
    assert not (tmp_path / "a.zarr").exists()


def test_a_dry_run_counts_pending_trials_and_refuses_what_a_run_would(
    widthlaw, make_sweep, write_sweep, tmp_path
) -> None:
    path, sweep = tmp_path / "a.zarr", make_sweep()
    store.create(path, sweep, seeds_per_chunk=4)
    cut = list(store.Store(path, sweep).pending_tiles())
    store.Store(path, sweep).write(cut[0], [compute_block(sweep, cut[0].first)])
    result = widthlaw("run", write_sweep(), "-o", path, "--dry-run")
    assert result.returncode == 0
    left = sweep.trials - cut[0].trials
    assert ["trials", "to", "compute", str(left)] in [
        line.split() for line in result.stdout.splitlines()
    ]
    other = widthlaw("run", write_sweep(entropy=8), "-o", path, "--dry-run")
    assert other.returncode == 2
    assert "belongs to another sweep" in other.stderr


def test_a_damaged_chunk_is_reported_as_damage(widthlaw, make_sweep, tmp_path) -> None:
    path = tmp_path / "a.zarr"
    pipeline.run(make_sweep(), path)
    chunk = next(file for file in (path / "alpha" / "c").rglob("*") if file.is_file())
    chunk.write_bytes(bytes([chunk.read_bytes()[0] ^ 1]) + chunk.read_bytes()[1:])
    result = widthlaw("fit", path)
    assert result.returncode == 1
    assert "its alpha cannot be read (checksum mismatch): the store is damaged" in result.stderr


def test_an_incomplete_store_exits_with_three(widthlaw, make_sweep, tmp_path) -> None:
    store.create(tmp_path / "a.zarr", make_sweep())
    assert widthlaw("status", tmp_path / "a.zarr").returncode == 3


@pytest.mark.slow
@pytest.mark.parametrize(
    ("line", "message"),
    [
        (("run", "teorem2"), "did you mean 'theorem2'"),
        (("run", "tiny", "-o", "{tmp}/folder"), "holds no store"),
        (("status", "{tmp}/nothing.zarr"), "not found"),
        (("query", "{tmp}/small.zarr", "sigma_mim > 0"), "sigma_min"),
        (
            ("query", "{tmp}/small.zarr", "n =="),
            "widthlaw: query {tmp}/small.zarr: syntax error",
        ),
        (("query", "{tmp}/nothing.zarr"), "widthlaw: store {tmp}/nothing.zarr: not found"),
        (("fit", "{tmp}/small.zarr", "--csv", "--json"), "exclude each other"),
        (("run", "tiny", "--workers", 1, "--scheduler", "tcp://127.0.0.1:1"), "exclude each other"),
        (("reproduce", "--workers", 1, "--scheduler", "tcp://127.0.0.1:1"), "exclude each other"),
        (("run", "tiny", "--scheduler", ""), "--scheduler: no address"),
        (("query", "{tmp}/small.zarr", "__import__('os')"), "__import__"),
        (("plot", "{tmp}/small.zarr", "--kind", "spectrum"), "expected one of phase, laws, ratios"),
        (("run", "tiny", "-o", "{tmp}/small.zarr"), "belongs to another sweep"),
        (
            ("run", "tiny", "-o", "{tmp}/t.zarr", "--scheduler", "tcp://127.0.0.1:1"),
            "no Dask scheduler",
        ),
        (("run", "tiny", "--workers", "0"), "--workers"),
    ],
)
def test_wrong_input_exits_with_two_and_a_reason(widthlaw, make_sweep, tmp_path, line, message) -> None:
    (tmp_path / "folder").mkdir()
    store.create(tmp_path / "small.zarr", make_sweep())
    result = widthlaw(*(str(word).replace("{tmp}", str(tmp_path)) for word in line))
    assert result.returncode == 2, result.stderr
    assert message.replace("{tmp}", str(tmp_path)) in result.stderr
    assert "Traceback" not in result.stderr


FOREIGN = {
    "a.toml": "is a sweep, not a store; `widthlaw run {path}` fills its store",
    "a.txt": "is a file, not a store",
    "empty": "holds no store (it has no zarr.json)",
    "array": "holds no store (zarr.json: it does not describe a group",
}
ON_STORES = [
    ["status"],
    ["query"],
    ["fit"],
    ["refine", "--to", "5%"],
    ["plot"],
    ["verify"],
    ["extend", "--seeds", "3"],
    ["cancel"],
    ["merge", "-o", "b.zarr", "tiny.zarr"],
    ["run", "tiny", "-o"],
]


@pytest.mark.parametrize("line", ON_STORES, ids=lambda line: line[0])
def test_what_is_no_store_is_told_in_one_line_as_what_it_is(
    line, make_sweep, tmp_path, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.toml").write_text('name = "a"')
    (tmp_path / "a.txt").write_text("text")
    (tmp_path / "empty").mkdir()
    (tmp_path / "array").mkdir()
    (tmp_path / "array" / "zarr.json").write_text('{"zarr_format": 3, "node_type": "array"}')
    store.create(tmp_path / "tiny.zarr", make_sweep())
    for name, message in FOREIGN.items():
        path = tmp_path / name
        result = CliRunner().invoke(main, [*line, str(path)])
        assert result.exit_code == 2, (name, result.stderr)
        assert f"store {path}: {message.format(path=path)}" in result.stderr
        assert len(result.stderr.splitlines()) == 1
        assert "Error" not in result.stderr


def test_a_folder_that_may_not_be_entered_is_told_with_the_permission(command, tmp_path) -> None:
    """The administrator may enter every folder, so this right is taken from the command."""
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o600)
    line = [command, "run", "tiny", "-o", str(closed / "a.zarr")]
    if os.geteuid() == 0:
        if shutil.which("setpriv") is None:
            pytest.skip("only setpriv takes a right from the administrator")
        line = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", *line]
    result = subprocess.run(line, capture_output=True, text=True)
    assert result.returncode == 2
    assert result.stderr == (
        f"widthlaw: {closed}/a.zarr: permission denied; you need the permission to use it and to enter "
        "the folders above it\n"
    )


def test_a_profile_is_checked_even_where_nothing_is_left_to_run(complete, tmp_path) -> None:
    done = CliRunner().invoke(main, ["run", str(complete), "--profile", "slurmm"])
    assert done.exit_code == 2
    assert "no such profile (did you mean 'slurm'?)" in done.stderr
    dry = ["refine", str(complete), "--to", "50%", "--dry-run", "--profile", "slurm"]
    result = CliRunner().invoke(main, dry)
    assert result.exit_code == 2
    assert "slurm runs jobs: `widthlaw submit" in result.stderr


def test_a_limit_below_what_is_there_is_told(complete) -> None:
    line = ["refine", str(complete), "--to", "1%", "--dry-run", "--trials", "7"]
    result = CliRunner().invoke(main, line)
    assert result.exit_code == 0
    assert f"{complete}: holds 300 trials already: --trials 7 allows no more\n" in result.stderr


def test_a_bundled_sweep_is_printed_as_its_file() -> None:
    result = CliRunner().invoke(main, ["sweeps", "tiny"])
    assert result.exit_code == 0
    assert parse_sweep(result.stdout) == pipeline.load_sweep("tiny")
    assert "did you mean 'tiny'" in CliRunner().invoke(main, ["sweeps", "tinny"]).stderr


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("run theorem2", ["plain,theorem2", "plain,theorem2-proof"]),
        ("sweeps ti", ["plain,tiny"]),
        ("run --profile ls", ["plain,lsf"]),
        ("fit --link p", ["plain,probit"]),
        ("fit --interval s", ["plain,seeds"]),
        ("width --activation soft", ["plain,softplus"]),
        ("status t", ["dir,t"]),
        ("wat", ["plain,watch"]),
        ("watch t", ["dir,t"]),
        ("watch --po", ["plain,--port"]),
        ("run --wa", ["plain,--watch"]),
    ],
)
def test_a_shell_completes_values(command, tmp_path, words, found) -> None:
    line = ["widthlaw", *words.split()]
    asked = {"COMP_WORDS": " ".join(line), "COMP_CWORD": str(len(line) - 1)}
    result = subprocess.run(
        [command],
        env=os.environ | asked | {"_WIDTHLAW_COMPLETE": "bash_complete"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert sorted(result.stdout.split()) == sorted(found), result.stderr


@pytest.mark.parametrize("position", [0, 1, 2])
def test_debug_shows_where_from_anywhere_on_the_line(widthlaw, position) -> None:
    line = ["run", "nothing"]
    result = widthlaw(*line[:position], "--debug", *line[position:])
    assert result.returncode == 2
    assert "Traceback" in result.stderr
    assert result.stderr.splitlines()[-1].startswith("widthlaw: sweep nothing: neither a file nor")


def test_no_option_follows_a_bare_double_dash(widthlaw) -> None:
    result = widthlaw("run", "--", "--debug")
    assert result.returncode == 2
    assert result.stderr.startswith("widthlaw: sweep --debug: neither a file nor")


def started(line: list[str]) -> subprocess.Popen[str]:
    """Start a command that hears Ctrl-C: a shell makes what it starts in the background deaf to it."""
    return subprocess.Popen(
        line,
        start_new_session=True,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


@pytest.mark.slow
def test_an_interrupt_ends_cleanly_and_the_same_command_resumes(
    command, widthlaw, write_sweep, tmp_path, assert_equal_stores
) -> None:
    sweep, path = write_sweep(n="[60, 80]", seeds=600), tmp_path / "a.zarr"
    line = [command, "run", str(sweep), "-o", str(path), "--workers", "2"]
    run = started(line)

    def has_ended_or_written() -> bool:
        return run.poll() is not None or (path.exists() and store.Store(path).counts()["done"] > 0)

    wait_until(has_ended_or_written, "a block is done", pause=0.02)
    assert run.poll() is None
    os.killpg(run.pid, signal.SIGINT)
    errors = run.communicate(timeout=PATIENCE)[1]
    assert run.returncode == 130
    assert "the same command resumes" in errors
    assert "Traceback" not in errors
    assert store.Store(path).counts()["done"] > 0
    assert widthlaw("run", sweep, "-o", path).returncode == 0
    assert widthlaw("run", sweep, "-o", tmp_path / "b.zarr").returncode == 0
    assert_equal_stores(path, tmp_path / "b.zarr")


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_workers_that_start_see_no_interrupt(command, write_sweep, tmp_path, number) -> None:
    """An interrupt is clean from the start of the first child process on."""
    path = tmp_path / "a.zarr"
    sweep = write_sweep(n="[60, 80]", seeds=4000)  # it must not be done before it is interrupted
    line = [command, "run", str(sweep), "-o", str(path), "--workers", "2"]
    run = started(line)
    assert run.stderr is not None
    if number == signal.SIGINT:
        while len(psutil.Process(run.pid).children()) < 2:
            assert run.poll() is None
        os.killpg(run.pid, number)
    else:
        while "dashboard" not in run.stderr.readline():
            assert run.poll() is None
        run.send_signal(number)
    errors = run.communicate(timeout=PATIENCE)[1]
    assert run.returncode == 130
    assert "interrupted" in errors
    assert "Traceback" not in errors


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 2 MB, where mounting is permitted."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("mounting a tmpfs is not permitted here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.attack("odd disks")
def test_a_full_disk_stops_with_one_line_and_the_store_resumes_elsewhere(
    small_disk, widthlaw, write_sweep, tmp_path, assert_equal_stores
) -> None:
    sweep = write_sweep(n="[6, 60]", seeds=3000)
    stopped = widthlaw("run", sweep, "-o", small_disk / "a.zarr", "--workers", 2)
    assert stopped.returncode == 1, stopped.stderr
    assert "stopped writing" in stopped.stderr
    assert "Traceback" not in stopped.stderr
    assert not list(small_disk.rglob("*.partial"))
    shutil.copytree(small_disk / "a.zarr", tmp_path / "a.zarr")
    assert widthlaw("run", sweep, "-o", tmp_path / "a.zarr").returncode == 0
    assert widthlaw("run", sweep, "-o", tmp_path / "b.zarr").returncode == 0
    assert_equal_stores(tmp_path / "a.zarr", tmp_path / "b.zarr")


@pytest.mark.attack("odd disks")
def test_a_read_only_disk_is_refused(small_disk, widthlaw) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    result = widthlaw("run", "tiny", "-o", small_disk / "a.zarr")
    assert result.returncode == 2
    assert "cannot be made in" in result.stderr
