"""`widthlaw status`: trials by status, and the exit status."""

from __future__ import annotations

import json
import re

from pipeline import store


def test_status_of_a_half_filled_store_counts_and_exits_with_three(widthlaw, half) -> None:
    result = widthlaw("status", half, "--json")
    assert result.returncode == 3
    (record,) = json.loads(result.stdout)
    assert record["trials"] == 3 * 20 * 5
    assert record["done"] == record["pending"] == 150
    assert record["failed"] == 0
    assert record["core-seconds left"] >= 0
    assert re.search(r"\b150\b.*\b150\b", widthlaw("status", half).stdout)


def test_failed_trials_are_not_pending(widthlaw, failed) -> None:
    result = widthlaw("status", failed[1], "--json")
    (record,) = json.loads(result.stdout)
    assert record["failed"] == store.Store(failed[1]).counts()["failed"]
    assert (record["trials"], record["pending"]) == (40, 0)
