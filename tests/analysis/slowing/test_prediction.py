"""The parts of a prediction, each against its slow and obvious counterpart."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import binom

from analysis.slowing.cells import near, restricted, trials_of
from analysis.slowing.fitting import BOUNDS
from analysis.slowing.likelihood import NAMES, Trials
from analysis.slowing.prediction import _likeness, _scatters
from analysis.slowing.sampling import parameters

from .simulation import BUDGET, store

Floats = NDArray[np.float64]

CELLS = 40
"""Simulated cells whose s and beta are known."""


def cell(seeds: int) -> Trials:
    trials = trials_of(store("model", np.random.default_rng(5), seeds), BUDGET)[0][1]
    return restricted(trials, near(trials))


@pytest.mark.simulation
def test_what_a_short_budget_hardly_tells_has_intervals_that_hold_it() -> None:
    rng, held = np.random.default_rng(2), Counter[str]()
    for _ in range(CELLS):
        ds = store("drawn", rng, 8)
        trials = trials_of(ds, BUDGET)[0][1]
        drawn = parameters(restricted(trials, near(trials)), 500, rng)
        for name in ("s", "log_beta"):
            rank = float((drawn[:, NAMES.index(name)] < ds.attrs[name]).mean())
            held[name] += 0.1 <= rank <= 0.9
    least, most = binom.ppf([1e-3, 1 - 1e-3], CELLS, 0.8)
    assert least <= held["s"] <= most
    assert least <= held["log_beta"] <= most


def test_parameters_stay_within_their_bounds() -> None:
    drawn = parameters(cell(5), 50, np.random.default_rng(0))
    assert drawn.shape == (50, len(NAMES))
    assert ((drawn >= BOUNDS[:, 0]) & (drawn <= BOUNDS[:, 1])).all()


def trials_at(widths: list[int], arrived: list[bool], seeds: int) -> Trials:
    shape = (seeds, len(widths))
    own = np.broadcast_to(np.array(arrived), shape)
    log_k = np.broadcast_to(np.log(widths), shape)
    return Trials(log_k, np.zeros(shape), own, np.ones(shape, dtype=bool))


def test_scatters_of_neighbours_are_drawn_together() -> None:
    now, alike = np.array([0.3, -0.5, 0.8, 0.1]), np.array([0.7, 0.5, 0.6])
    trials = trials_at([10, 12, 15, 18], [False, False, True, False], seeds=1)
    many = np.broadcast_to(now, (40000, 1, 4))
    drawn = _scatters(many, trials, alike, np.random.default_rng(0))[:, 0]
    rng = np.random.default_rng(1)  # all of them, of which those are kept that the trials allow
    whole = [rng.standard_normal(4_000_000)]
    for one in alike:
        whole.append(one * whole[-1] + np.sqrt(1 - one**2) * rng.standard_normal(len(whole[0])))
    kept = np.array(whole).T
    late = (kept[:, [0, 1, 3]] > now[[0, 1, 3]]).all(axis=1)
    kept = kept[late & (np.abs(kept[:, 2] - now[2]) < 0.02)]
    assert len(kept) > 5000
    np.testing.assert_array_equal(drawn[:, 2], now[2])
    np.testing.assert_allclose(drawn.mean(axis=0), kept.mean(axis=0), atol=0.03)
    np.testing.assert_allclose(np.cov(drawn.T), np.cov(kept.T), atol=0.04)


def test_the_likeness_of_neighbours_falls_as_a_power_of_their_ratio() -> None:
    widths, power = [10, 12, 15, 24], 3.0
    gaps = np.diff(np.log(widths))
    rng = np.random.default_rng(0)
    scatter = [rng.standard_normal((20, 300))]
    for gap in gaps:
        alike = np.exp(-power * gap)
        new = rng.standard_normal(scatter[0].shape)
        scatter.append(alike * scatter[-1] + np.sqrt(1 - alike**2) * new)
    trials = trials_at(widths, [True] * 4, seeds=300)
    found = _likeness(np.stack(scatter, axis=-1), trials)
    np.testing.assert_allclose(found, np.exp(-power * gaps), atol=0.06)


def test_scatters_that_oppose_each_other_count_as_independent() -> None:
    scatter = np.random.default_rng(0).standard_normal((5, 40, 3))
    scatter[..., 1] = -scatter[..., 0]
    found = _likeness(scatter, trials_at([10, 12, 15], [True] * 3, seeds=40))
    np.testing.assert_allclose(found, 0, atol=0.01)
