"""The kernel of an activation with kinks is the closed form, where there is one, to thirteen digits."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.theory import kernel_matrix
from pipeline.theory.geometry import Rows
from pipeline.theory.kinked import kinked_kernel

RNG = np.random.default_rng(3)


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


ROWS = {
    "sphere": unit(RNG.standard_normal((25, 10))),
    "rows of many norms": RNG.standard_normal((12, 4)) / 2,
    "short": 1e-3 * unit(RNG.standard_normal((8, 5))),
    "long": 10 * unit(RNG.standard_normal((8, 5))),
    "circle": np.stack(
        [np.cos(2 * np.pi * np.arange(13) / 13), np.sin(2 * np.pi * np.arange(13) / 13)], 1
    ),
    "close, equal, opposite": np.array(
        [[1, 0], [np.cos(1e-4), np.sin(1e-4)], [1, 0], [-1, 0], [-np.cos(0.1), np.sin(0.1)], [2, 0]]
    ),
}

PHI = {
    "relu": lambda z: np.maximum(z, 0),
    "abs": np.abs,
    "leaky_relu": lambda z: np.where(z > 0, z, 0.01 * z),
    "sign": np.sign,
    "step": lambda z: (z > 0) * 1.0,
}


@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize("name", PHI)
def test_it_agrees_with_closed_forms(name: str, rows: str) -> None:
    K, exact = kinked_kernel(PHI[name], [0.0], Rows(ROWS[rows])), kernel_matrix(ROWS[rows], name)
    scale = np.sqrt(np.outer(np.diag(exact), np.diag(exact)))
    assert np.abs(K - exact).max() <= (1e-12 * scale).max()
    assert (K == K.T).all()


@pytest.mark.parametrize("rows", ["sphere", "rows of many norms", "close, equal, opposite"])
def test_a_cut_where_nothing_bends_changes_nothing(rows: str) -> None:
    X = ROWS[rows]
    K, exact = kinked_kernel(np.tanh, [-0.3, 1.7], Rows(X)), kernel_matrix(X, "tanh")
    assert np.abs(K - exact).max() <= 2e-13 * np.abs(exact).max()


@pytest.mark.slow
def test_kinks_apart_from_zero_are_integrated_by_parts_too() -> None:
    """|z - 1| is 2 max(z - 1, 0) - (z - 1), and its square has the mean s^2 + 1."""
    X = ROWS["close, equal, opposite"]
    K = kinked_kernel(lambda z: np.abs(z - 1), [1.0], Rows(X))
    np.testing.assert_allclose(np.diag(K), np.sum(X**2, axis=1) + 1, rtol=1e-13)
    assert K[0, 2] == K[0, 0]  # duplicate rows stay duplicate
    g = np.random.default_rng(0).standard_normal((4_000_000, 2)) @ X.T
    drawn = np.abs(g - 1)
    assert np.abs(drawn.T @ drawn / len(g) - K).max() < 5e-3 * K.max()
