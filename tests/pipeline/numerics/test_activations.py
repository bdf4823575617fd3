"""The activations are their definitions, to the last digits, from the smallest to the largest z."""

from __future__ import annotations

from collections.abc import Callable

import mpmath
import numpy as np
import pytest

from pipeline.numerics.activations import ACTIVATIONS, apply, check_activation

DEFINITIONS: dict[str, Callable[[mpmath.mpf], mpmath.mpf]] = {
    "relu": lambda z: max(z, mpmath.mpf(0)),
    "leaky_relu": lambda z: z if z > 0 else z * mpmath.mpf(0.01),
    "abs": abs,
    "step": lambda z: mpmath.mpf(z > 0),
    "sign": mpmath.sign,
    "erf": mpmath.erf,
    "linear": lambda z: z,
    "square": lambda z: z**2,
    "cos": mpmath.cos,
    "sin": mpmath.sin,
    "tanh": mpmath.tanh,
    "softplus": lambda z: mpmath.log(1 + mpmath.exp(z)),
    "gelu": lambda z: z * mpmath.ncdf(z),
    "sigmoid": lambda z: 1 / (1 + mpmath.exp(-z)),
    "elu": lambda z: z if z > 0 else mpmath.expm1(z),
    "selu": lambda z: SELU_SCALE * (z if z > 0 else SELU_DEPTH * mpmath.expm1(z)),
    "gaussian": lambda z: mpmath.exp(-(z**2) / 2),
    "cube": lambda z: z**3,
    "hermite2": lambda z: (z**2 - 1) / mpmath.sqrt(2),
    "hermite3": lambda z: (z**3 - 3 * z) / mpmath.sqrt(6),
}

SELU_SCALE, SELU_DEPTH = (
    mpmath.mpf("1.0507009873554804934193349852946"),
    mpmath.mpf("1.6732632423543772848170429916717"),
)

ROUNDED_SQUARE = ("gelu", "gaussian", "hermite2", "hermite3")
"""These lose digits as the square of their argument: far out, or near the roots of a polynomial."""

THIRD_DEGREE = ("cube", "hermite3")


POINTS = np.concatenate(
    [[-35.0, -5.5, -1.0, -1e-3, -1e-12, 0.0, 1e-12, 1e-3], np.linspace(0.1, 6, 23), [35.0, 80.0]]
)


def test_the_register_holds_the_twenty_activations() -> None:
    assert set(ACTIVATIONS) == set(DEFINITIONS)
    assert len(ACTIVATIONS) == 20


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_activation_equals_its_definition(activation: str) -> None:
    with mpmath.workdps(60):  # log(1 + e^-80) and its like need the digits
        truth = [float(DEFINITIONS[activation](mpmath.mpf(float(z)))) for z in POINTS]
    rtol = 1e-13 if activation in ROUNDED_SQUARE else 1e-15
    np.testing.assert_allclose(apply(activation, POINTS.copy()), truth, rtol=rtol, atol=0)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_shape_and_type_stay(activation: str) -> None:
    for shape in [(), (0,), (3,), (64, 5), (2, 3, 4)]:
        found = apply(activation, np.full(shape, 0.5))
        assert found.shape == shape
        assert found.dtype == np.float64


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_values_depend_neither_on_layout_nor_on_neighbours(activation: str) -> None:
    z = np.random.default_rng(1).standard_normal((7, 13))
    together = apply(activation, z.copy())
    assert (apply(activation, np.asfortranarray(z)) == together).all()
    assert (apply(activation, np.repeat(z, 2, axis=1)[:, ::2]) == together).all()
    assert all(apply(activation, z[i, j : j + 1].copy())[0] == together[i, j]
               for i, j in np.ndindex(z.shape))  # fmt: skip


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_huge_arguments_neither_overflow_nor_warn(activation: str) -> None:
    huge = 1e100 if activation in THIRD_DEGREE else 1e150  # whose cubes and squares are numbers
    with np.errstate(all="raise", under="ignore"):
        found = apply(activation, np.array([-huge, -1e3, 1e3, huge]))
    assert np.isfinite(found).all()


@pytest.mark.parametrize("activation", sorted(set(ACTIVATIONS) - {"step"}))
def test_nan_stays_nan(activation: str) -> None:
    assert np.isnan(apply(activation, np.array([np.nan])))[0]


def test_the_steps_are_zero_at_zero() -> None:
    for activation in ("step", "sign"):
        assert (apply(activation, np.array([0.0, -0.0])) == 0).all()


def test_a_known_name_passes() -> None:
    for name in ACTIVATIONS:
        check_activation(name)


@pytest.mark.parametrize(
    ("name", "meant"), [("rellu", "relu"), ("ReLU", "relu"), ("leaky-relu", "leaky_relu")]
)
def test_an_unknown_name_is_refused_with_the_nearest_and_all(name: str, meant: str) -> None:
    with pytest.raises(ValueError, match=f"got '{name}' .did you mean '{meant}'") as error:
        check_activation(name)
    assert all(known in str(error.value) for known in ACTIVATIONS)


def test_a_name_like_no_other_is_refused_without_a_guess() -> None:
    with pytest.raises(ValueError, match="got 'quux', expected one of"):
        check_activation("quux")


def test_apply_refuses_an_unknown_name() -> None:
    with pytest.raises(ValueError, match="did you mean 'tanh'"):
        apply("tanhh", np.zeros(3))
