"""`widthlaw merge`: stores become one."""

from __future__ import annotations

import pytest

import pipeline
from pipeline import store


@pytest.mark.slow
def test_stores_are_merged(widthlaw, own_store, make_sweep, tmp_path) -> None:
    other, out = tmp_path / "b.zarr", tmp_path / "m.zarr"
    pipeline.run(make_sweep(seeds="[20, 21]"), other)
    planned = widthlaw("merge", own_store, other, "-o", out, "--dry-run")
    assert planned.returncode == 0
    assert not out.exists()
    result = widthlaw("merge", own_store, other, "-o", out)
    assert result.returncode == 0, result.stderr
    assert "has 120 trials with an outcome and 0 pending" in result.stderr
    assert "seeds" in result.stdout
    assert widthlaw("status", out).returncode == 0


@pytest.mark.slow
def test_stores_that_cannot_be_merged_are_refused_in_one_line(
    widthlaw, own_store, make_sweep, tmp_path, assert_refused
) -> None:
    other, out = tmp_path / "b.zarr", tmp_path / "m.zarr"
    store.create(other, make_sweep(entropy=8))
    for more, message in [
        ([], "merge: got 1 store, expected two or more"),
        ([own_store], "is listed twice; remove one"),
        ([other], "its entropy is 7, store "),
        ([tmp_path / "none"], "none: not found"),
    ]:
        assert_refused(widthlaw("merge", own_store, *more, "-o", out), message)
