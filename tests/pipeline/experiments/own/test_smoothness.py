"""Kinks of a function are found, whatever their order, and smooth functions have none."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.experiments.own.smoothness import by_complex_step, by_differences, kinks_of


@pytest.mark.parametrize(
    ("phi", "expected"),
    [
        (lambda z: np.maximum(z, 0), [0.0]),
        (lambda z: np.clip(z, -1, 1), [-1.0, 1.0]),
        (lambda z: np.abs(z - 0.3), [0.3]),
        (lambda z: (z > 0.5) * 1.0, [0.5]),
        (lambda z: np.where(z > 0, z, np.expm1(np.minimum(z, 0))), [0.0]),
        (lambda z: np.maximum(z, 0) ** 3, [0.0]),
        (lambda z: z / (1 + np.abs(z)), [0.0]),
        (lambda z: z * np.clip(z + 3, 0, 6) / 6, [-3.0, 3.0]),
        (np.tanh, []),
        (lambda z: np.tanh(100 * z), []),
        (lambda z: np.sin(30 * z), []),
        (lambda z: z**7, []),
        (lambda z: 0 * z, []),
        (lambda z: np.log1p(np.exp(-np.abs(z))) + np.maximum(z, 0), []),
    ],
)
def test_kinks_are_found_where_they_are(phi, expected) -> None:
    assert kinks_of(phi) == expected


def test_a_kink_at_no_short_decimal_fraction_is_found_to_seven_digits() -> None:
    assert kinks_of(lambda z: np.abs(z - np.pi)) == pytest.approx([np.pi], abs=1e-7)


def test_a_function_that_is_smooth_nowhere_is_given_up() -> None:
    assert kinks_of(lambda z: np.modf(z * 1e6)[0]) is None


def test_derivatives_are_derived_to_many_digits() -> None:
    z = np.linspace(-5, 5, 101)
    np.testing.assert_allclose(by_complex_step(np.tanh, z), 1 / np.cosh(z) ** 2, rtol=1e-12)
    np.testing.assert_allclose(by_differences(np.tanh, z), 1 / np.cosh(z) ** 2, atol=3e-12)


def test_differences_stay_on_the_side_of_a_kink_on_which_they_begin() -> None:
    z = np.array([-0.1, -1e-9, 0.0, 1e-9, 0.1])
    slopes = by_differences(lambda z: np.where(z > 0, 2 * z, -z), z, kinks=[0.0])
    np.testing.assert_allclose(slopes, [-1, -1, -1, 2, 2], rtol=1e-9)
