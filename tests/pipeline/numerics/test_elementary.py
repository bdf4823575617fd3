"""exp, expm1, log1p, tanh and erf for vectors are the exact ones, to a few units in the last place."""

from __future__ import annotations

import mpmath as mp
import numpy as np
import pytest

from pipeline.numerics.compiled import compiled
from pipeline.numerics.elementary import (
    erf_of_positive,
    exp_of_negative,
    expm1_of_negative,
    log1p_of_share,
    tanh_of_positive,
)


@compiled
def each(function, x, out):
    for i in range(x.size):
        out[i] = function(x[i])


def values(function, x: np.ndarray) -> np.ndarray:
    out = np.empty_like(x)
    each(function, x, out)
    return out


@compiled
def each_of_three(function, x, out):
    for i in range(x.size):
        out[0, i], out[1, i], out[2, i] = function(x[i])


@compiled
def expm1_thrice(x):
    value, slope = expm1_of_negative(x)
    return value, slope, value


@compiled
def tanh_thrice(x):
    value, slope = tanh_of_positive(x)
    return value, slope, value


def triples(function, x: np.ndarray) -> np.ndarray:
    out = np.empty((3, x.size))
    each_of_three(function, x, out)
    return out


def ulps(found: np.ndarray, truth: list[mp.mpf]) -> np.ndarray:
    exact = np.array([float(value) for value in truth])
    return np.abs(found - exact) / np.spacing(np.abs(exact))


def test_exp_is_good_to_two_units_in_the_last_place() -> None:
    x = -np.concatenate([np.linspace(0, 60, 3001), np.geomspace(1e-300, 708, 2000)])
    assert ulps(values(exp_of_negative, x), [mp.exp(mp.mpf(v)) for v in x]).max() <= 2


def test_expm1_and_its_slope_are_good_to_three_units_in_the_last_place() -> None:
    x = -np.concatenate([np.linspace(0, 60, 3001), np.geomspace(1e-300, 700, 2000)])
    value, slope, _ = triples(expm1_thrice, x)
    with mp.workdps(330):
        assert ulps(value, [mp.expm1(mp.mpf(v)) for v in x]).max() <= 3
    assert ulps(slope, [mp.exp(mp.mpf(v)) for v in x]).max() <= 2


def test_log1p_is_good_to_three_units_in_the_last_place() -> None:
    s = np.concatenate([np.linspace(0, 1, 3001), np.geomspace(1e-300, 1, 2000)])
    with mp.workdps(30):
        assert ulps(values(log1p_of_share, s), [mp.log1p(mp.mpf(v)) for v in s]).max() <= 3


POSITIVE = np.concatenate([np.linspace(0, 26.5, 5001), np.geomspace(1e-300, 26.5, 2000)])


def test_tanh_and_its_slope_are_good_to_four_units_in_the_last_place() -> None:
    value, slope, _ = triples(tanh_thrice, POSITIVE)
    with mp.workdps(60):
        exact = [mp.mpf(v) for v in POSITIVE]
        assert ulps(value, [mp.tanh(v) for v in exact]).max() <= 4
        assert ulps(slope, [mp.sech(v) ** 2 for v in exact]).max() <= 4


def test_erf_erfc_and_the_bell_are_good_to_six_units_in_the_last_place() -> None:
    value, complement, bell = triples(erf_of_positive, POSITIVE)
    with mp.workdps(40):
        exact = [mp.mpf(v) for v in POSITIVE]
        assert ulps(value, [mp.erf(v) for v in exact]).max() <= 6
        assert ulps(complement, [mp.erfc(v) for v in exact]).max() <= 6
        assert ulps(bell, [mp.exp(-(v**2)) for v in exact]).max() <= 6


@pytest.mark.parametrize("x", [26.7, 28.5, 1e200, np.inf])
def test_far_from_zero_erf_and_tanh_are_one(x: float) -> None:
    assert erf_of_positive(x) == (1.0, 0.0, 0.0)
    assert tanh_of_positive(x)[0] == 1.0


@pytest.mark.parametrize("x", [-1e4, -np.inf])
def test_exp_far_below_zero_is_as_good_as_zero(x: float) -> None:
    assert 0 <= exp_of_negative(x) < 1e-300
    value, slope = expm1_of_negative(x)
    assert value == -1
    assert 0 <= slope < 1e-300


def test_what_is_not_a_number_stays_none() -> None:
    assert np.isnan(exp_of_negative(np.nan))
    assert np.isnan(log1p_of_share(np.nan))
    assert np.isnan([*erf_of_positive(np.nan), *tanh_of_positive(np.nan)]).all()
    assert np.isnan(expm1_of_negative(np.nan)).all()


def test_all_become_vectors() -> None:
    for function in (exp_of_negative, log1p_of_share):
        values(function, np.zeros(8))
    for function in (erf_of_positive, tanh_thrice, expm1_thrice):
        triples(function, np.zeros(8))
    for loop, functions in ((each, 2), (each_of_three, 3)):
        assert len(loop.signatures) == functions
        assert all(" x double>" in loop.inspect_llvm(signature) for signature in loop.signatures)
