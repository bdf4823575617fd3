"""The sweeps of the paper, and their claims."""

from __future__ import annotations

import pytest

from analysis.claims import PARTS, SECTIONS
from jobs.commands.reproduce import FULL_FACTOR, PAPER, _sweep
from pipeline.sweep import Sweep


def test_every_sweep_of_the_paper_has_its_claims_and_its_part() -> None:
    assert set(SECTIONS) == set(PAPER)
    assert sorted(name for part in PARTS.values() for name in part) == sorted(PAPER)


@pytest.mark.parametrize("name", PAPER)
def test_the_full_paper_has_more_seeds_of_the_same_trials(name: str) -> None:
    plain, full = _sweep(name, full=False), _sweep(name, full=True)
    assert isinstance(full, Sweep)
    assert full.seeds == tuple(range(FULL_FACTOR * len(plain.seeds)))
    assert full.trials == FULL_FACTOR * plain.trials
    assert full.identity == plain.identity
