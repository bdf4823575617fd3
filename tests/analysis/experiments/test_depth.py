"""Ratios of what deep and shallow networks need have intervals that hold the true ratio."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.experiments.depth import Estimate, ratio_of


def test_the_interval_of_a_ratio_holds_the_true_ratio_in_95_of_100_cases() -> None:
    rng, cases = np.random.default_rng(5), 4000
    held = 0
    for a, b in np.log([8.0, 14.0]) + rng.standard_normal((cases, 2)) * [0.05, 0.12]:
        deep = Estimate(*np.exp([a, a - 1.96 * 0.05, a + 1.96 * 0.05]))
        shallow = Estimate(*np.exp([b, b - 1.96 * 0.12, b + 1.96 * 0.12]))
        found = ratio_of(deep, shallow)
        held += found.low <= 8 / 14 <= found.high
    assert 0.94 < held / cases < 0.96


def test_the_sides_of_an_uneven_interval_go_to_the_right_ends() -> None:
    found = ratio_of(Estimate(1.0, 0.5, 1.0), Estimate(1.0, 1.0, 1.0))
    assert (found.low, found.high) == pytest.approx((0.5, 1.0))
    turned = ratio_of(Estimate(1.0, 1.0, 1.0), Estimate(1.0, 0.5, 1.0))
    assert (turned.low, turned.high) == pytest.approx((1.0, 2.0))


def test_a_width_without_a_lower_end_gives_a_ratio_without_an_upper_end() -> None:
    found = ratio_of(Estimate(8, 7, 9), Estimate(14, 0, 15))
    assert found.high == np.inf
    assert 0 < found.low < 8 / 14
    assert found.excludes_one == 0


@pytest.mark.parametrize(
    ("low", "high", "sign"), [(0.5, 0.9, -1), (0.9, 1.1, 0), (1.1, 2.0, 1), (1.0, 2.0, 0)]
)
def test_a_ratio_tells_a_direction_only_if_its_whole_interval_lies_on_one_side_of_1(
    low, high, sign
) -> None:
    assert Estimate((low + high) / 2, low, high).excludes_one == sign
