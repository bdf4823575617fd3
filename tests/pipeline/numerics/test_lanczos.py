"""Extreme eigenvalues by Lanczos are those of LAPACK, with the same bits in every process."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from scipy import linalg

from pipeline.numerics import lanczos
from pipeline.numerics.lanczos import DOUBT, largest_eigenvalue, smallest_eigenvalue

SPECTRA = {
    "even": lambda n: np.linspace(1, 2, n),
    "one outlier": lambda n: np.r_[np.linspace(1, 2, n - 1), 1000.0],
    "wide": lambda n: np.geomspace(1e-6, 1, n),
    "pairs": lambda n: np.repeat(np.linspace(1, 3, (n + 1) // 2), 2)[:n],
    "equal": np.ones,
    "one small": lambda n: np.r_[1e-3, np.ones(n - 1)],
}

SCRIPT = """
import numpy as np
from pipeline.numerics import lanczos

A = np.random.default_rng(3).standard_normal((90, 40))
print(lanczos.smallest_eigenvalue(np.asfortranarray(A.T @ A)).hex())
stats = lanczos._iterate.dispatcher.stats
print(sum(stats.cache_misses.values()), sum(stats.cache_hits.values()))
"""


def matrix(spectrum: str, n: int) -> np.ndarray:
    values = SPECTRA[spectrum](n)
    Q = np.linalg.qr(np.random.default_rng(n).standard_normal((n, n)))[0]
    return np.asfortranarray(Q * values @ Q.T)


@pytest.mark.parametrize("spectrum", SPECTRA)
@pytest.mark.parametrize("n", [2, 3, 4, 5, 7, 30, 101])
def test_both_ends_are_those_of_lapack(spectrum: str, n: int) -> None:
    A = matrix(spectrum, n)
    truth = np.linalg.eigvalsh(A)
    assert largest_eigenvalue(A) == pytest.approx(truth[-1], rel=1e-10)
    assert smallest_eigenvalue(A) == pytest.approx(truth[0], rel=1e-9)


def test_a_shift_above_the_spectrum_is_told() -> None:
    assert np.isnan(smallest_eigenvalue(matrix("even", 9), 1.01))
    assert smallest_eigenvalue(matrix("even", 9), 0.99) == pytest.approx(1, rel=1e-12)


@pytest.mark.parametrize("n", range(1, 14))
def test_four_columns_at_a_time_and_the_rest_solve_the_system(n: int) -> None:
    A = matrix("even", max(n, 2))[:n, :n]
    factor, x, found = np.asfortranarray(np.linalg.cholesky(A)), np.arange(1.0, n + 1), np.empty(n)
    lanczos._solve(factor, x, found)
    np.testing.assert_allclose(found, np.linalg.solve(A, x), rtol=1e-13)


@pytest.mark.parametrize("spectrum", SPECTRA)
def test_an_estimate_that_rules_convergence_out_is_right_or_says_that_it_failed(spectrum: str) -> None:
    A, n = matrix(spectrum, 60), 60
    basis, diagonal, beside = np.empty((41, n)), np.empty(40), np.empty(40)
    basis[0] = lanczos._start(n)
    taken, _ = lanczos._extend(A, False, basis, diagonal, beside, 0, 40)
    compared = 0
    for done in range(8, taken, 2):
        before = linalg.eigh_tridiagonal(diagonal[: done - 2], beside[: done - 3])[0][-1]
        value, last = lanczos._estimate(diagonal[:done], beside[: done - 1], before)
        truth, true_last = lanczos._top_ritz(diagonal[:done], beside[: done - 1])
        if beside[done - 1] * true_last > lanczos.TOLERANCE * truth and not np.isnan(value):
            assert true_last / DOUBT < last < true_last * DOUBT
            compared += 1
    assert compared or spectrum in ("equal", "one outlier", "one small")


@pytest.mark.slow
def test_a_process_that_loads_the_compiled_function_has_the_bits_of_the_one_that_compiled(
    tmp_path,
) -> None:
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}
    line = [sys.executable, "-c", SCRIPT]
    found = [
        subprocess.run(line, env=environment, capture_output=True, text=True, check=True).stdout.split()
        for _ in range(2)
    ]
    assert [counts for _, *counts in found] == [["1", "0"], ["0", "1"]]
    assert found[0][0] == found[1][0]
