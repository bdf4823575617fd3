"""What depth does to the width and to the weights that are needed, as critical widths say it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from analysis.claims import Mark
from analysis.claims.depth import depth, ratio
from analysis.study import Study

from .test_verdicts import cells, filled, given_study

THRESHOLDS = ["depth", "d", "n", "tolerance", "verdict", "k_inf_low", "k_inf", "k_inf_high"]


def deep(low, high, d=(10,), thresholds=()) -> Study:
    """Critical widths of one and of two layers, and a store with their conditioning."""
    axes = {"tolerance": [0.1], "depth": [1, 2]}
    numbers = {"sigma_min": np.reshape(d, (-1, 1, 1, 1)), "kernel_alpha": 1.0}
    store = filled(numbers, depth=[1, 2], d=list(d), n=[100], width=[4.0], seed=range(3))
    study = given_study(
        cells(np.sqrt(np.multiply(low, high)), low, high, d=list(d), **axes),
        store.assign_coords(k=("width", [4])),
    )
    vars(study)["thresholds"] = pd.DataFrame(list(thresholds), columns=THRESHOLDS)
    vars(study)["held_out"] = pd.DataFrame()
    return study


@pytest.mark.parametrize(
    ("low", "high", "mark", "verdict"),
    [
        # kd + k of one layer, kd + k^2 + k of two, with d = 10
        ([50, 8], [60, 9], Mark.FINDING, "depth lowers the width and lowers the weights"),
        ([9, 20], [10, 22], Mark.FINDING, "depth raises the width and raises the weights"),
        ([9, 9], [11, 10], Mark.FINDING, "depth does not measurably move the width and raises"),
        ([9, 5], [20, 12], Mark.OPEN, "depth does not measurably move the width and does not"),
    ],
)
def test_what_depth_does_is_told_where_the_interval_of_a_ratio_excludes_one(
    low, high, mark, verdict
) -> None:
    row, *_ = depth(deep(low, high))
    assert row.mark == mark
    assert row.detail.startswith(verdict)


def test_widths_at_any_budget_are_compared_at_equal_width_and_at_equal_weights() -> None:
    seen = [
        (1, 10, 100, 0.1, "threshold", 19.0, 20.0, 21.0),
        (2, 10, 100, 0.1, "none seen", *[np.nan] * 3),
        (4, 10, 100, 0.1, "threshold", 9.5, 10.0, 10.5),
    ]
    rows = [row for row in depth(deep([9, 9], [11, 10], thresholds=seen)) if "any budget" in row.claim]
    (row,) = rows
    assert row.factor == pytest.approx(0.5)
    assert row.mark == Mark.FINDING
    # 20 (d + 1) = 220 weights of one layer, and 10 (d + 1) + 3 * 10^2 = 410 of four
    assert "L=4 over L=1, width 0.50 [0.47, 0.54], weights 1.86 [" in row.detail
    assert row.measured.endswith("L=2: no finite threshold is seen")


def test_one_threshold_alone_says_nothing_on_depth() -> None:
    seen = [
        (1, 10, 100, 0.1, "threshold", 19.0, 20.0, 21.0),
        (2, 10, 100, 0.1, "none seen", *[np.nan] * 3),
    ]
    rows = depth(deep([9, 9], [11, 10], thresholds=seen))
    assert [row.mark for row in rows if "any budget" in row.claim] == [Mark.OPEN]


def test_the_interval_of_a_ratio_covers_the_true_ratio_in_95_of_100_cases() -> None:
    rng, spreads, trials = np.random.default_rng(4), np.array([0.03, 0.08]), 4000
    found = rng.standard_normal((trials, 2)) * spreads + np.log([6.0, 15.0])
    low, middle, high = np.exp(found - 1.96 * spreads), np.exp(found), np.exp(found + 1.96 * spreads)
    ends = [ratio(*((low[i, j], middle[i, j], high[i, j]) for j in (0, 1))) for i in range(trials)]
    covered = np.mean([least < 6 / 15 < most for least, _, most in ends])
    assert abs(covered - 0.95) < 4 * np.sqrt(0.95 * 0.05 / trials)


def test_conditioning_against_depth_is_told_of_every_d() -> None:
    rows = list(depth(deep([50, 8], [60, 9], d=(10, 30))))
    told = [row for row in rows if row.subject == "conditioning of the last layer against depth"]
    assert len(told) == 2
    for row, d, ratios in zip(told, (10, 30), ("5.000", "15.000"), strict=True):
        assert f"(d={d}, n=100, k=4)" in row.claim
        assert row.measured.endswith(f"L=1: {ratios}, L=2: {ratios}")
