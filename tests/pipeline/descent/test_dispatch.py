"""phi and phi' of every activation that can be trained through, to the last digits, at any argument."""

from __future__ import annotations

import mpmath as mp
import numpy as np
import pytest

from pipeline.descent.dispatch import DERIVATIVES, activate, code_of
from pipeline.numerics.activations import apply
from pipeline.numerics.activations.rectifiers import LEAKY_SLOPE

NAMES = tuple(DERIVATIVES)
RECTIFIERS = ("relu", "leaky_relu")
JUMPING = (*RECTIFIERS, "selu")
POLYNOMIALS = ("square", "cube", "hermite2", "hermite3")
BOUNDED = tuple(name for name in NAMES if name not in POLYNOMIALS)
BENT = tuple(name for name in NAMES if name not in (*RECTIFIERS, "cube", "hermite3"))

MAGNITUDES = [5e-324, 1e-310, 1e-300, 1e-160, 1e-20, 1e-8, 0.3, 1.0, 2**0.5, 5.0, 18.0, 30.0, 36.0]
EXTREMES = np.array(
    [0.0, *MAGNITUDES, 40.0, 200.0, 700.0, *(-z for z in MAGNITUDES), -40.0, -200.0, -700.0]
)

SELU_SCALE = mp.mpf("1.0507009873554804934193349852946")
SELU_DEPTH = mp.mpf("1.6732632423543772848170429916717")

EXACT = {
    "relu": (lambda z: max(z, mp.mpf(0)), lambda z: mp.mpf(z > 0)),
    "leaky_relu": (
        lambda z: z if z > 0 else mp.mpf(0.01) * z,
        lambda z: mp.mpf(1) if z > 0 else mp.mpf(0.01),
    ),
    "softplus": (lambda z: mp.log1p(mp.exp(z)), lambda z: 1 / (1 + mp.exp(-z))),
    "tanh": (mp.tanh, lambda z: mp.sech(z) ** 2),
    "erf": (mp.erf, lambda z: 2 / mp.sqrt(mp.pi) * mp.exp(-(z**2))),
    "gelu": (
        lambda z: z * mp.erfc(-z / mp.sqrt(2)) / 2,
        lambda z: mp.erfc(-z / mp.sqrt(2)) / 2 + z * mp.exp(-(z**2) / 2) / mp.sqrt(2 * mp.pi),
    ),
    "sigmoid": (lambda z: 1 / (1 + mp.exp(-z)), lambda z: mp.exp(-z) / (1 + mp.exp(-z)) ** 2),
    "linear": (lambda z: z, lambda z: mp.mpf(1)),
    "elu": (lambda z: z if z > 0 else mp.expm1(z), lambda z: mp.exp(min(z, 0))),
    "selu": (
        lambda z: SELU_SCALE * (z if z > 0 else SELU_DEPTH * mp.expm1(z)),
        lambda z: SELU_SCALE * (1 if z > 0 else SELU_DEPTH * mp.exp(z)),
    ),
    "gaussian": (lambda z: mp.exp(-(z**2) / 2), lambda z: -z * mp.exp(-(z**2) / 2)),
    "square": (lambda z: z**2, lambda z: 2 * z),
    "cube": (lambda z: z**3, lambda z: 3 * z**2),
    "hermite2": (lambda z: (z**2 - 1) / mp.sqrt(2), lambda z: mp.sqrt(2) * z),
    "hermite3": (lambda z: (z**3 - 3 * z) / mp.sqrt(6), lambda z: (z**2 - 1) * mp.sqrt(1.5)),
}


def rows(name: str, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """phi and phi' of a row that is left as it was."""
    slope, value = np.array(z, dtype=np.float64), np.empty(len(z))
    activate(code_of(name), slope, value)
    return value, slope


def test_every_row_is_an_activation_with_exact_bounds() -> None:
    assert set(EXACT) == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_phi_is_that_of_the_register(name: str) -> None:
    z = np.concatenate([EXTREMES, np.linspace(-40, 40, 4001)])
    np.testing.assert_allclose(rows(name, z)[0], apply(name, z.copy()), rtol=5e-13, atol=1e-300)


@pytest.mark.parametrize("name", NAMES)
def test_extreme_arguments_keep_their_digits(name: str) -> None:
    phi, slope = EXACT[name]
    with mp.workdps(800):  # tanh of 700 differs from 1 in the 608th digit
        values = np.array([float(phi(mp.mpf(float(z)))) for z in EXTREMES])
        slopes = np.array([float(slope(mp.mpf(float(z)))) for z in EXTREMES])
    found = rows(name, EXTREMES)
    np.testing.assert_allclose(found[0], values, rtol=5e-13, atol=1e-307)
    np.testing.assert_allclose(found[1], slopes, rtol=5e-13, atol=1e-307)


@pytest.mark.parametrize("name", BOUNDED)
def test_no_argument_up_to_half_the_largest_gives_anything_that_is_not_finite(name: str) -> None:
    largest = np.finfo(np.float64).max / 2  # SELU multiplies by 1.05
    value, slope = rows(name, np.array([largest, -largest, 1e200, -1e200]))
    assert np.isfinite(value).all()
    assert np.isfinite(slope).all()


@pytest.mark.parametrize("name", NAMES)
def test_the_slope_is_the_derivative(name: str) -> None:
    z = np.linspace(-6, 6, 1202)  # 0 is not among them
    h = 1e-5
    difference = (rows(name, z + h)[0] - rows(name, z - h)[0]) / (2 * h)
    np.testing.assert_allclose(rows(name, z)[1], difference, atol=2e-9)


@pytest.mark.parametrize("name", BOUNDED)
def test_slope_is_the_supremum_of_the_derivative(name: str) -> None:
    z = np.concatenate([np.linspace(-30, 30, 600_001), EXTREMES])
    most = np.abs(rows(name, z)[1]).max()
    bound = DERIVATIVES[name].slope
    assert bound * (1 - 1e-6) <= most <= bound * (1 + 1e-15)


@pytest.mark.parametrize("name", POLYNOMIALS)
def test_the_slope_of_a_polynomial_has_no_bound(name: str) -> None:
    assert DERIVATIVES[name].slope == np.inf
    assert np.abs(rows(name, np.array([1e100]))[1])[0] > 1e99
    assert DERIVATIVES[name].bend == (np.inf if name in ("cube", "hermite3") else rows(name, [1.0])[1])


@pytest.mark.parametrize("name", BENT)
def test_bend_is_the_supremum_of_the_second_derivative(name: str) -> None:
    bound, h = DERIVATIVES[name].bend, 1e-5
    assert bound is not None
    assert DERIVATIVES[name].jump == 0 or name in JUMPING
    z = np.linspace(-12, 12, 240_001)
    z = np.append(z[np.abs(z) > h], -1.01 * h)  # on either side of a jump
    bends = np.abs(rows(name, z + h)[1] - rows(name, z - h)[1]) / (2 * h)
    assert bound * (1 - 2e-5) <= bends.max() <= bound + 1e-9  # differences are rounded at eps / h


@pytest.mark.parametrize("name", JUMPING)
def test_at_a_kink_the_slope_jumps(name: str) -> None:
    assert (DERIVATIVES[name].bend is None) == (name in RECTIFIERS)
    _, slope = rows(name, np.array([-5e-324, -0.0, 0.0, 5e-324]))
    assert abs(slope[3] - slope[0]) == DERIVATIVES[name].jump
    below = {"relu": 0.0, "leaky_relu": LEAKY_SLOPE, "selu": DERIVATIVES[name].slope}
    assert (slope[:3] == below[name]).all()


@pytest.mark.parametrize("name", NAMES)
def test_not_a_number_stays_one(name: str) -> None:
    value, _ = rows(name, np.array([np.nan, 1.0]))
    assert np.isnan(value[0])
    assert np.isfinite(value[1])


@pytest.mark.parametrize("name", NAMES)
def test_rows_of_float32_are_those_of_float64_to_their_rounding(name: str) -> None:
    largest = float(np.finfo(np.float32).max) / 2
    inside = np.concatenate([np.linspace(-30, 30, 100_001), EXTREMES, [1e4, -1e4]])
    beyond = [] if name in POLYNOMIALS else [1e30, -1e30, largest, -largest]
    z = np.concatenate([inside, beyond]).astype(np.float32)
    value, slope = np.empty_like(z), z.copy()
    activate(code_of(name), slope, value)
    exact, derivative = rows(name, z.astype(np.float64))
    assert value.dtype == slope.dtype == np.float32
    np.testing.assert_allclose(value, exact, rtol=5e-7, atol=5e-7)
    np.testing.assert_allclose(slope, derivative, rtol=1e-6, atol=1e-6)
    activate(code_of(name), nan := np.full(9, np.nan, np.float32), empty := np.empty_like(nan))
    assert np.isnan(empty).all()


@pytest.mark.parametrize("name", NAMES)
def test_a_number_does_not_depend_on_its_place_in_the_row(name: str) -> None:
    z = np.random.default_rng(0).standard_normal(37)
    value, slope = rows(name, z)
    for size in (1, 2, 5, 36):
        np.testing.assert_array_equal(rows(name, z[-size:])[0], value[-size:])
        np.testing.assert_array_equal(rows(name, z[-size:])[1], slope[-size:])
