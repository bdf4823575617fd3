"""Reports on trials without a result, and errors that name options, in every command."""

from __future__ import annotations

import subprocess

import pytest

from pipeline import store
from pipeline.execution.compute import compute_block

FAILING = {"experiment": "'spectrum'", "activation": "'square'", "d": "[3]", "n": "[4]"}


@pytest.mark.parametrize("verb", ["status", "fit"])
def test_failed_trials_are_a_failure_with_a_reason(widthlaw, failed, verb) -> None:
    path = failed[1]
    result = widthlaw(verb, path)
    assert result.returncode == 1
    assert (
        f"{path}: {store.Store(path).counts()['failed']} trials failed; `widthlaw query"
        in result.stderr
    )
    assert "not finite" in result.stderr
    assert result.stdout


@pytest.mark.parametrize("verb", ["fit", "plot"])
def test_a_store_of_failed_trials_exits_with_one(widthlaw, all_failed, verb) -> None:
    result = widthlaw(verb, all_failed)
    assert result.returncode == 1
    assert f"{all_failed}: 24 trials failed" in result.stderr
    assert "24 x " in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.slow
def test_pending_trials_take_precedence_over_failed_ones(
    widthlaw, make_sweep, all_failed, tmp_path
) -> None:
    keys = {"dataset": '{ kind = "file", path = "rows.npy" }', "seeds": 12, **FAILING}
    sweep = make_sweep(all_failed.parent, **keys)
    path = tmp_path / "both.zarr"
    store.create(path, sweep, seeds_per_chunk=4)
    tile = next(iter(store.Store(path, sweep).pending_tiles()))
    store.Store(path, sweep).write(tile, [compute_block(sweep, tile.first)])
    for verb in ("status", "fit", "query", "plot"):
        result = widthlaw(verb, path)
        assert result.returncode == 3
        assert "24 trials pending" in result.stderr
        assert "12 trials failed" in result.stderr


@pytest.mark.parametrize("verb", ["fit", "plot"])
def test_errors_name_options_as_on_the_command_line(widthlaw, complete, beyond, verb, tmp_path) -> None:
    more = ("-o", tmp_path) if verb == "plot" else ()
    result = widthlaw(verb, complete, "--budget", 10, *more)
    assert result.returncode == 2
    assert result.stderr.startswith(f"widthlaw: {verb} {complete}: --budget: ")
    if verb == "fit":
        result = widthlaw(verb, beyond[0], "--threshold", 0.3)
        assert result.stderr.startswith(f"widthlaw: {verb} {beyond[0]}: --threshold: ")


@pytest.mark.slow
def test_lines_end_with_a_newline_only(command, complete) -> None:
    for line in (["sweeps"], ["status", complete], ["query", complete, "n == 8"], ["fit", complete]):
        result = subprocess.run([command, *line, "--csv"], capture_output=True, check=True)
        assert result.stdout.count(b"\n") > 1
        assert b"\r" not in result.stdout
