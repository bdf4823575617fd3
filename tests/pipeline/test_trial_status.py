"""Statuses are keys: whatever depends on a status names all of them."""

from __future__ import annotations

import pytest

from pipeline.trial_status import Status, lookup, requested_trials


def test_a_table_by_status_names_every_status() -> None:
    table = lookup({status: 10 * status for status in reversed(Status)})
    assert all(table[status] == 10 * status for status in Status)
    with pytest.raises(AssertionError, match="FAILED"):
        lookup({status: 0 for status in Status if status != Status.FAILED})


def test_trials_that_are_not_part_of_a_store_are_not_counted() -> None:
    counts = {status.word: 1 for status in Status}
    assert requested_trials(counts) == 5
    assert requested_trials(counts | {"excluded": 9, "not_requested": 9}) == 5
