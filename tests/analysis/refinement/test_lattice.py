"""New sizes of a refinement: whole, near what is asked for, and such as the data can have."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from analysis.refinement.lattice import Numbers, Sizes
from analysis.transitions.scales import Scale
from pipeline.sweep_files.load import parse_sweep


def sizes(n: str, dataset: str = '{ kind = "sphere" }', falling: bool = True) -> Sizes:
    sweep = parse_sweep(
        f'name = "s"\nexperiment = "conditioning"\ndataset = {dataset}\nd = [3]\nn = {n}\n'
        "width = { k = [50] }\nseeds = 2\n"
    )
    return Sizes(sweep, "n", Numbers(Scale(True, falling)))


@pytest.mark.parametrize("falling", [False, True])
def test_a_new_size_is_whole_near_and_between(falling) -> None:
    lattice = sizes("[10, 100]", falling=falling)
    number = lattice.numbers.number
    assert lattice.near(number(33), 0.01) == 33
    assert lattice.near(number(33.2), 0.05) == 33  # is there by now
    low, high = sorted((number(33), number(100)))
    assert 33 < lattice.between(low, high) < 100
    low, high = sorted((number(33), number(34)))
    assert lattice.between(low, high) is None


def test_a_new_size_is_one_that_the_data_can_have(tmp_path: Path) -> None:
    triples = sizes("[9, 90]", '{ kind = "triples", angle = [0.1] }')
    assert triples.near(triples.numbers.number(31), 0.05) % 3 == 0
    np.save(tmp_path / "x.npy", np.random.default_rng(0).standard_normal((40, 3)))
    rows = sizes("[10, 20]", f'{{ kind = "file", path = "{tmp_path / "x.npy"}", normalise = true }}')
    assert rows.near(rows.numbers.number(80), 0.1) == 20  # the file has 40 rows
    assert rows.near(rows.numbers.number(30), 0.1) == pytest.approx(30, abs=3)
