"""exp and log1p for vectors are those of the library, to a few units in the last place."""

from __future__ import annotations

import mpmath as mp
import numpy as np
import pytest

from pipeline.compiled import compiled
from pipeline.descent.elementary import exp_of_negative, log1p_of_share


@compiled
def each(function, x, out):
    for i in range(x.size):
        out[i] = function(x[i])


def values(function, x: np.ndarray) -> np.ndarray:
    out = np.empty_like(x)
    each(function, x, out)
    return out


def ulps(found: np.ndarray, truth: list[mp.mpf]) -> np.ndarray:
    exact = np.array([float(value) for value in truth])
    return np.abs(found - exact) / np.spacing(np.abs(exact))


def test_exp_is_good_to_two_units_in_the_last_place() -> None:
    x = -np.concatenate([np.linspace(0, 60, 3001), np.geomspace(1e-300, 708, 2000)])
    assert ulps(values(exp_of_negative, x), [mp.exp(mp.mpf(v)) for v in x]).max() <= 2


def test_log1p_is_good_to_three_units_in_the_last_place() -> None:
    s = np.concatenate([np.linspace(0, 1, 3001), np.geomspace(1e-300, 1, 2000)])
    with mp.workdps(30):
        assert ulps(values(log1p_of_share, s), [mp.log1p(mp.mpf(v)) for v in s]).max() <= 3


@pytest.mark.parametrize("x", [-1e4, -np.inf])
def test_exp_far_below_zero_is_as_good_as_zero(x: float) -> None:
    assert 0 <= exp_of_negative(x) < 1e-300


def test_what_is_not_a_number_stays_none() -> None:
    assert np.isnan(exp_of_negative(np.nan))
    assert np.isnan(log1p_of_share(np.nan))


def test_both_become_vectors() -> None:
    for function in (exp_of_negative, log1p_of_share):
        values(function, np.zeros(8))
    assert all(" x double>" in each.inspect_llvm(signature) for signature in each.signatures)
