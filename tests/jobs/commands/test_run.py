"""`widthlaw run`: failed trials, and a store of another sweep."""

from __future__ import annotations

from pipeline import store


def test_a_run_with_failed_trials_exits_with_one_and_counts_them(failed) -> None:
    ran, path = failed
    found = store.Store(path).counts()
    assert found["failed"] > 0 < found["done"]
    assert ran.returncode == 1
    assert f"{found['done']} trials done, {found['failed']} failed" in ran.stderr
    assert "not finite" in ran.stderr
    assert "lists them" in ran.stderr
    assert store.Store(path).messages()[0][1] == found["failed"]
    assert "Traceback" not in ran.stderr


def test_a_run_of_another_sweep_names_the_remedies(widthlaw, own_store, write_sweep) -> None:
    result = widthlaw("run", write_sweep(seeds=9), "-o", own_store)
    assert result.returncode == 2
    assert f"`widthlaw run {own_store}` fills it as it is" in result.stderr
    assert f"`widthlaw extend {own_store} SWEEP` adds what is missing" in result.stderr
