"""Verdicts say no more than intervals do, and of the paper only what the paper says.

Critical widths and stores are made here, so that which verdict is right is known.
"""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr

from analysis.claims import Claim, Mark, section3, section4, theorem2
from analysis.claims import rows as rows_module
from analysis.claims.depth import depth, effects
from analysis.claims.rows import Verdict
from analysis.report.summary import Summary
from analysis.study import Study
from analysis.success import Success
from analysis.transitions.estimates import Settings, estimate
from pipeline.trial_status import Status


def given_study(widths: xr.Dataset | None = None, ds: xr.Dataset | None = None) -> Study:
    """Make a study of a store whose critical widths are these, not those of its trials."""
    budget = {"identity_fields": {"descent": {"steps": 20000}}}
    given = xr.Dataset() if ds is None else ds
    study = Study(given.assign_attrs(budget | given.attrs))
    vars(study)["widths"] = xr.Dataset() if widths is None else widths
    return study


def cells(k50, low, high, *, outcome: str = "fitted", edge: float = 100.0, **axes) -> xr.Dataset:
    """Critical widths over d, n and whatever other axes there are; numbers are spread over them."""
    axes = {"d": [10], "n": [100], **axes}
    shape = tuple(len(axis) for axis in axes.values())
    known = {
        "k50": k50,
        "k50_low": low,
        "k50_high": high,
        "k_edge": 1.1 * edge,
        "k_edge_finite": edge,
        "alpha": 0.3,
        "bracket_low": low,
        "bracket_high": high,
        "seeds": 8,
        "outcome": outcome,
        "pending": 0,
    }
    return xr.Dataset({k: (tuple(axes), np.broadcast_to(v, shape)) for k, v in known.items()}, axes)


def censored(**axes) -> xr.Dataset:
    return cells(np.nan, 0.0, np.inf, outcome="censored", **axes)


def unfilled(*names: str, **axes) -> xr.Dataset:
    """A store of which nothing is done."""
    shape = tuple(len(axis) for axis in axes.values())
    numbers = {name: (tuple(axes), np.full(shape, np.nan)) for name in names}
    return xr.Dataset(numbers | {"status": (tuple(axes), np.full(shape, Status.PENDING))}, axes)


def filled(numbers: dict[str, object], **axes) -> xr.Dataset:
    """A store of which everything is done; numbers are spread over its axes."""
    shape = tuple(len(axis) for axis in axes.values())
    known = {"status": Status.DONE, **numbers}
    return xr.Dataset({k: (tuple(axes), np.broadcast_to(v, shape)) for k, v in known.items()}, axes)


EDGES = [
    (220, 200, 240, "off the edge by a factor of 2.2"),
    (45, 40, 50, "off the edge by a factor of 2.2"),
    (110, 60, 400, "within 10% of the edge"),
    (140, 110, 180, "1.4 times the edge, perhaps within 25% given its interval"),
]


@pytest.mark.parametrize(("k50", "low", "high", "verdict"), EDGES)
def test_a_width_off_the_edge_is_a_finding_and_the_theorem_does_not_depart(
    k50, low, high, verdict
) -> None:
    edge, theorem = theorem2.theorem2(given_study(cells(k50, low, high)))
    assert (edge.of_paper, theorem.of_paper) == (False, True)
    assert (edge.mark, edge.detail) == (Mark.FINDING, verdict)
    assert edge.factor == pytest.approx(k50 / 100)
    assert theorem.mark == Mark.LOOSE

    (structured,) = theorem2.stress(given_study(cells(k50, low, high, dataset=["circle"], angle=[0.0])))
    assert not structured.of_paper
    assert (structured.mark, structured.detail) == (Mark.FINDING, verdict)


@pytest.mark.parametrize(("low", "high"), [(0.0, np.inf), (15.0, np.inf), (0.0, 240.0)])
def test_a_width_whose_interval_lacks_an_end_is_not_located(low, high) -> None:
    axes = {"tolerance": [0.1]}
    rows = [
        *theorem2.theorem2(given_study(cells(220, low, high))),
        *theorem2.stress(given_study(cells(220, low, high, dataset=["circle"], angle=[0.0]))),
        *section4.input_layer(given_study(cells(220, low, high, **axes))),
        *section4.joint(given_study(cells(220, low, high, trained=["input", "output"], **axes))),
    ]
    assert len(rows) == 2 + 1 + 2 + 1
    assert {row.mark for row in rows} == {Mark.OPEN}
    assert f"k* = 220 [{low:.0f}, {high:.0f}]" in rows[0].measured


@pytest.mark.parametrize(
    ("k50", "low", "high", "outcome", "seeds", "mark", "told"),
    [
        (34.1, 21, np.inf, "fitted", 8, Mark.DEPARTS, "more than 2.10"),
        (34.1, 19, np.inf, "fitted", 8, Mark.OPEN, "undecided in 1 of 2 cells"),
        (np.nan, 40, np.inf, "censored", 8, Mark.DEPARTS, "more than 4.00"),
        (np.nan, 40, np.inf, "censored", 5, Mark.OPEN, "undecided in 1 of 2 cells"),
        (np.nan, 0, 4, "censored", 8, Mark.DEPARTS, "more than 2.50"),
    ],
)
def test_a_cell_that_is_not_located_counts_against_a_claim_that_its_end_excludes(
    k50, low, high, outcome, seeds, mark, told
) -> None:
    """Beside it is a cell that meets the claim."""
    axes = {"d": [10], "tolerance": [0.1]}
    met = cells(15, 14, 16, n=[100], **axes)
    other = cells(k50, low, high, n=[100], outcome=outcome, **axes)
    other = other.assign(seeds=xr.full_like(met.seeds, seeds))
    row, _ = section4.input_layer(given_study(xr.concat([met, other], "n")))
    assert row.mark == mark
    assert told in row.detail
    assert "in 1 of 2 cells" in row.measured
    (reading,) = row.readings
    assert (len(reading.values), reading.total) == (1, 2)
    assert reading.above == (outcome == "censored" and low > 0)


@pytest.mark.parametrize(
    ("successes", "seeds", "mark"),
    [
        ((0, 0, 0), 8, Mark.DEPARTS),
        ((0, 0, 1), 8, Mark.OPEN),  # of 8 fair coins one or none shows heads in 3.5%
        ((0, 0, 1), 9, Mark.DEPARTS),  # of 9 in 2.0%
        ((0, 0, 3), 8, Mark.OPEN),
        ((0, 0, 0), 5, Mark.OPEN),
    ],
)
def test_a_width_beyond_those_of_the_sweep_counts_if_success_there_is_surely_below_a_half(
    successes, seeds, mark
) -> None:
    """Beside it is a cell that meets the claim k* d/n = 1 within a factor of 2."""
    k = np.array([10, 20, 40])
    succeeded = np.arange(seeds) < np.array(successes)[:, None]
    settings = Settings(True, "logistic", "bootstrap", 0.95, 200, 200, 0)
    found = estimate(succeeded, np.ones_like(succeeded), k, settings)
    axes = {"d": [10], "tolerance": [0.1]}
    other = cells(np.nan, found.bracket_low, np.inf, n=[100], outcome=found.outcome, **axes)
    ends = {name: getattr(found, name) for name in ("k_crossing_low", "k_crossing_high")}
    other = other.assign({name: xr.full_like(other.k50, end) for name, end in ends.items()})
    met = cells(15, 14, 16, n=[100], **axes)
    met = met.assign({name: xr.full_like(met.k50, 15.0) for name in ends})
    row, _ = section4.input_layer(given_study(xr.concat([met, other], "n")))
    assert row.mark == mark


@pytest.mark.parametrize(("low", "mark"), [(3000.0, Mark.DEPARTS), (100.0, Mark.OPEN)])
def test_a_proven_width_below_widths_that_fail_departs(low, mark) -> None:
    store = filled(PROOF, d=[10], n=[100], seed=[0, 1])
    widths = cells(np.nan, low, np.inf, outcome="censored")
    *_, row = theorem2.proof(given_study(widths, store))
    assert row.mark == mark


@pytest.mark.parametrize(
    ("low", "edge", "output"),
    [(300.0, Mark.FINDING, Mark.FINDING), (110.0, Mark.OPEN, Mark.OPEN)],
)
def test_a_width_above_those_of_the_sweep_is_told_beside_the_edge_and_for_v(low, edge, output) -> None:
    above = cells(np.nan, low, np.inf, outcome="censored")
    row, *_ = theorem2.theorem2(given_study(above))
    assert row.mark == edge
    names = ("solution_error", "loss_final", "loss_initial")
    store = unfilled(*names, d=[10], n=[100], width=[1.0], seed=[0]).assign_coords(k=("n", [100]))
    rows = section4.output_layer(given_study(above.expand_dims(tolerance=[0.1]), store))
    assert [row.mark for row in rows if "of order n" in row.claim] == [output]


def test_w_needs_more_units_where_it_fails_at_widths_at_which_v_succeeds() -> None:
    axes = {"d": [10], "n": [100], "tolerance": [0.1]}
    w = cells(np.nan, 300.0, np.inf, outcome="censored", trained=["input"], **axes)
    v = cells(120, 100, 140, trained=["output"], **axes)
    (row,) = section4.joint(given_study(xr.concat([w, v], "trained")))
    assert row.mark == Mark.DEPARTS


def test_a_sufficient_width_is_undecided_where_a_critical_one_is_not_located() -> None:
    known = cells(30, 25, 40, n=[100], tolerance=[0.1])
    unknown = cells(np.nan, 50.0, np.inf, outcome="censored", n=[100], tolerance=[0.1])
    *_, row = section4.input_layer(given_study(xr.concat([known, unknown], "n")))
    assert row.mark == Mark.OPEN
    assert row.detail.startswith("undecided in 1 of 2 cells")


FREEDOM = [  # k* d / n is a tenth of k*
    (34.1, 30, 40, Mark.DEPARTS, "k* d/n differs from 1 by a factor of 3.41 at this budget"),
    (2.5, 2, 3, Mark.DEPARTS, "k* d/n differs from 1 by a factor of 4.00 at this budget"),
    (34.1, 15, 60, Mark.OPEN, "k* d/n differs from 1 by a factor of 3.41"),
    (15, 14, 16, Mark.HOLDS, "kd = n to a factor of 1.50 at this budget"),
]


@pytest.mark.parametrize(("k50", "low", "high", "mark", "verdict"), FREEDOM)
def test_the_count_of_freedom_is_told_by_its_mark(k50, low, high, mark, verdict) -> None:
    row, _ = section4.input_layer(given_study(cells(k50, low, high, tolerance=[0.1])))
    assert row.mark == mark
    assert row.detail.startswith(verdict)
    assert row.factor == pytest.approx(k50 / 10)


SUFFICIENT = [  # n^4 / d^3 is 16
    (1.6, 1.5, 1.7, Mark.LOOSE, "sufficient, loose: by a factor of 1.0e+01"),
    (15, 12, 18, Mark.OPEN, "not located: the width lies within"),
    (30, 25, 40, Mark.FINDING, "finding: its constant is too small in 1 of 1"),
]


@pytest.mark.parametrize(("k50", "low", "high", "mark", "verdict"), SUFFICIENT)
def test_a_width_is_sufficient_only_beyond_the_interval_of_the_critical_one(
    k50, low, high, mark, verdict
) -> None:
    widths = cells(k50, low, high, tolerance=[0.1], n=[20]).assign_coords(d=[21.544346900318843])
    *_, row = section4.input_layer(given_study(widths))
    assert row.mark == mark
    assert row.verdict.startswith(verdict)


@pytest.mark.parametrize(
    ("slowness", "verdict"),
    [
        (4000.0, "finding: it moves with the budget"),  # from k = 40 at 100 steps to k = 4 at 1000
        (0.0, "finding: it does not move beyond the intervals"),
        (30_000.0, "finding: it moves with the budget"),  # k = 300 and 90, of 64 at most, and 30
        (np.nan, "not located"),
    ],
)
def test_a_threshold_moves_with_the_budget_where_the_intervals_say_so(slowness, verdict) -> None:
    """Every seed fits from 10 (1 + seed / 20) units on, where it does after slowness / k steps."""
    k, seed = np.array([2, 3, 4, 6, 8, 11, 16, 23, 32, 45, 64]), np.arange(10)
    jitter = 1 + seed / 20
    steps = np.where(k[:, None] >= 10 * jitter, 50, np.nan)
    if slowness != 0:
        steps = np.ceil(slowness * jitter / k[:, None])
    axes = {"activation": ["relu"], "d": [10], "n": [100], "width": k / 10.0, "seed": seed}
    table = {"steps_to_tolerance": steps[..., None]}
    store = filled(table, **axes, tolerance=[0.1]).assign_coords(k=("width", k))
    store["status"] = store.status.isel(tolerance=0, drop=True)
    store.attrs = {"experiment": "input", "nested": 1, "identity_fields": {"descent": {"steps": 1000}}}
    (row,) = section4.budget(given_study(ds=store))
    assert row.verdict == verdict
    assert (row.mark == Mark.OPEN) == np.isnan(slowness)


@pytest.mark.parametrize(
    ("low", "high", "mark"),
    [
        ([8, 150], [12, 250], Mark.HOLDS),
        ([260, 150], [300, 250], Mark.DEPARTS),
        ([8, 150], [160, 250], Mark.OPEN),
        ([200, 150], [300, 250], Mark.OPEN),
    ],
)
def test_which_layer_needs_fewer_units_is_told_where_intervals_are_disjoint(low, high, mark) -> None:
    middle = np.sqrt(np.multiply(low, high))
    axes = {"tolerance": [0.1], "trained": ["input", "output"]}
    (row,) = section4.joint(given_study(cells(middle, low, high, **axes)))
    assert row.mark == mark


def deep(low, high, d=(10,)) -> Study:
    """Critical widths of one and two layers, equal at all budgets, and a store of one width."""
    axes = {"tolerance": [0.1], "depth": [1, 2]}
    numbers = {"sigma_min": np.reshape(d, (-1, 1, 1, 1)), "kernel_alpha": 1.0}
    store = filled(numbers, depth=[1, 2], d=list(d), n=[100], width=[4.0], seed=range(3))
    store = store.assign_coords(k=("width", [4]), tolerance=[0.1])
    store["steps_to_tolerance"] = xr.full_like(store.sigma_min, np.inf).expand_dims("tolerance", -1)
    store.attrs["identity_fields"] = {"descent": {"steps": 1000}}
    found = cells(np.sqrt(np.multiply(low, high)), low, high, d=list(d), **axes)
    study, budgets = given_study(found, store), (100, 333, 1000)
    study._others[Success(budgets=budgets)] = given_study(found.expand_dims(budget=list(budgets)))
    return study


@pytest.mark.parametrize(
    ("low", "high", "width", "parameters"),
    [
        # kd + k of one layer, kd + k^2 + k of two, with d = 10
        ([50, 8], [60, 9], "depth helps", "depth helps"),
        ([9, 20], [10, 22], "depth hurts", "depth hurts"),
        ([9, 9], [11, 10], "cannot be told", "depth hurts"),
        ([9, 5], [20, 12], "cannot be told", "cannot be told"),
    ],
)
def test_what_depth_does_is_told_where_the_interval_of_the_ratio_excludes_1(
    low, high, width, parameters
) -> None:
    rows = list(effects(deep(low, high)))
    assert [row.word for row in rows] == [width, parameters]
    assert [row.mark == Mark.OPEN for row in rows] == [row.word == "cannot be told" for row in rows]
    assert all("no finite threshold is seen" in row.detail for row in rows)


def test_conditioning_against_depth_is_told_of_every_d() -> None:
    rows = list(depth(deep([50, 8], [60, 9], d=(10, 30))))
    told = [row for row in rows if row.subject == "conditioning of the last layer against depth"]
    assert len(told) == 2
    for row, d, ratio in zip(told, (10, 30), ("5.000", "15.000"), strict=True):
        assert f"(d={d}, n=100, k=4)" in row.claim
        assert row.measured.endswith(f"L=1: {ratio}, L=2: {ratio}")


def test_the_output_layers_width_is_told_of_every_d() -> None:
    sizes = {"d": [10, 30], "n": [50, 100]}
    k50 = np.array([[[60.0], [110]], [[70], [120]]])
    names = ("solution_error", "loss_final", "loss_initial")
    store = unfilled(*names, **sizes, width=[1.0], seed=[0]).assign_coords(k=("n", [50, 100]))
    given = given_study(cells(k50, 50, 130, **sizes, tolerance=[0.1]), store)
    rows = [row for row in section4.output_layer(given) if "of order n" in row.claim]
    for row, d, n in zip(rows, (10, 10, 30, 30), (50, 100, 50, 100), strict=True):
        assert f"(d={d}, n={n})" in row.claim
    assert [row.factor for row in rows] == pytest.approx([1.2, 1.1, 1.4, 1.2])


@pytest.mark.parametrize("n", [[100], [100, 200]])
def test_figure_1_compares_n_only_where_there_are_two(n) -> None:
    names = ("sigma_min", "sigma_max", "edge")
    store = unfilled(*names, dataset=["sphere"], n=n, seed=[0, 1]).assign_coords(k=1600)
    rows = list(theorem2.figure1(given_study(ds=store)))
    assert ["amplifies" in row.claim for row in rows] == [False] * len(n) + [True] * (len(n) > 1)
    assert {row.mark for row in rows} == {Mark.OPEN}
    assert not any("nan" in row.measured for row in rows)


@pytest.mark.parametrize(
    ("largest", "mark"),
    [
        ([2.0, 2.1, 1.9], Mark.HOLDS),
        ([0.8, 0.82, 0.81], Mark.DEPARTS),
        ([0.7, 0.9, 1.5], Mark.OPEN),
        ([0.8], Mark.OPEN),
    ],
)
def test_figure_1_departs_only_where_the_seeds_agree_that_it_does(largest, mark) -> None:
    least = np.stack([np.ones(len(largest)), np.full(len(largest), 0.5)])
    numbers = {"sigma_max": [np.ones(len(largest)), largest], "sigma_min": least, "edge": 1.0}
    store = filled(numbers, dataset=["sphere"], n=[100, 200], seed=range(len(largest)))
    *_, row = theorem2.figure1(given_study(ds=store.assign_coords(k=1600)))
    assert row.mark == mark


def certified(*multiples: float) -> list[Claim]:
    """Claims of a store whose bounds all hold, or beyond a multiple of 1 do not."""
    axes = {"depth": [1, 2], "seed": [0, 1, 2], "multiple": list(multiples)}
    ratio = xr.DataArray([0.5 if at <= 1 else 2.0 for at in multiples], {"multiple": list(multiples)})
    each = xr.DataArray(np.ones((2, 3)), {"depth": [1, 2], "seed": [0, 1, 2]})
    names = ("rate_ratio", "path_ratio", "upper_ratio", "lower_ratio", "shortest_ratio")
    store = xr.Dataset({name: (each * ratio).transpose(*axes) for name in names})
    store = store.assign(
        certified=each.where(each.depth == 1, 0.0),
        status=each.astype(int) * int(Status.DONE),
        beta=2 * each,
        jacobian_alpha=each,
        relative_loss=store.rate_ratio * 0 + 1e-2,
        steps=store.rate_ratio * 0 + 10,
    )
    return list(section3.theorem1(given_study(ds=store)))


def test_a_multiple_below_one_is_within_the_certificate() -> None:
    rows = certified(0.5, 100.0)
    within = [row for row in rows if "at 0.5 times the certified residual" in row.claim]
    beyond = [row for row in rows if "at 100 times the certified residual" in row.claim]
    assert [(row.mark, row.verdict) for row in within] == [(Mark.HOLDS, "holds: 3 of 3 trials")] * 2
    assert [(row.mark, row.verdict) for row in beyond] == [
        (Mark.FINDING, "finding: holds in 0 of 3 trials, beyond the certificate")
    ] * 2


@pytest.mark.parametrize("multiples", [(1.0, 100.0), (100.0, 1.0), (0.5, 1.0)])
def test_what_follows_from_the_bounds_is_read_within_the_certificate(multiples) -> None:
    rows = {row.claim.partition(":")[0]: row for row in certified(*multiples)}
    assert rows["after (5)"].verdict.startswith("holds, loose: 3 of 3 trials, by a factor of 2")
    assert rows["after (5)"].factor == 2


def test_where_no_residual_is_certified_nothing_is_told_of_the_bounds() -> None:
    rows = certified(100.0, 1000.0)
    assert {row.mark for row in rows if "times the certified" not in row.claim} == {Mark.OPEN}
    assert all(row.factor is None for row in rows)
    assert len(rows) == len(certified(1.0, 1000.0))


PROOF = {
    "feature_norm": 0.5,
    "delta_squared": 1.0,
    "truncated_at_sufficient": 0.9,
    "alpha": 1.0,
    "sufficient_width": 150.0,
}
SIZES = {"d": [10, 20], "n": [100, 200]}


@pytest.mark.parametrize(
    ("make", "axes"),
    [
        (theorem2.theorem2, SIZES),
        (theorem2.proof, SIZES),
        (section4.input_layer, {"tolerance": [0.1, 0.01], **SIZES}),
    ],
)
def test_claims_whose_widths_are_not_located_stay_as_open(make, axes) -> None:
    told = list(make(given_study(cells(22, 20, 24, **axes), filled(PROOF, **SIZES, seed=[0]))))
    left = list(make(given_study(censored(**axes), unfilled(*PROOF, **SIZES, seed=[0]))))
    assert [row.claim for row in left] == [row.claim for row in told]
    assert Mark.OPEN not in {row.mark for row in told}
    assert {row.mark for row in left} == {Mark.OPEN}
    assert not any("nan" in f"{row.measured} {row.verdict}" for row in left)
    assert all(row.factor is None for row in left)


@pytest.mark.parametrize(
    ("k50", "low", "high", "mark"),
    [(220, 200, 240, Mark.DEPARTS), (160, 140, 180, Mark.OPEN), (110, 100, 120, Mark.LOOSE)],
)
def test_a_proven_width_below_the_critical_one_departs(k50, low, high, mark) -> None:
    """Its constants are the proof's: no free constant excuses it."""
    store = filled(PROOF, d=[10], n=[100], seed=[0, 1])
    *_, row = theorem2.proof(given_study(cells(k50, low, high), store))
    assert row.mark == mark


@pytest.mark.parametrize(("held", "mark"), [(2, Mark.LOOSE), (1, Mark.DEPARTS)])
def test_a_step_claimed_with_probability_one_half_holds_in_half_of_the_trials(held, mark) -> None:
    norms = {"feature_norm": [0.5] * held + [1.5] * (4 - held)}
    store = filled(PROOF | norms, d=[10], n=[100], seed=range(4))
    row = next(theorem2.proof(given_study(censored(), store)))
    assert f"{held} of 4 trials" in row.detail
    assert row.mark == mark


@pytest.mark.parametrize(
    ("seeds", "mark", "detail"),
    [
        ([0.95, 1.0, 1.1], Mark.FINDING, "it holds in the mean, to 10%"),
        ([1.4, 1.45, 1.5], Mark.FINDING, "it does not hold in the mean"),
        ([0.8, 1.2, 1.6], Mark.OPEN, "too few seeds for a mean"),
        ([1.4], Mark.OPEN, "too few seeds for a mean"),
    ],
)
def test_the_floor_is_told_to_be_off_only_where_the_seeds_agree_that_it_is(seeds, mark, detail) -> None:
    loss = {"loss_final": np.divide(seeds, 2), "loss_initial": 1.0, "solution_error": 0.0}
    store = filled(loss, d=[10], n=[100], width=[0.5], seed=range(len(seeds)))
    given = given_study(censored(tolerance=[0.1]), store.assign_coords(k=("width", [50])))
    (row,) = [row for row in section4.output_layer(given) if "floors" in row.claim]
    assert (row.mark, row.detail, row.of_paper) == (mark, detail, False)


def section4_rows() -> dict[str, list[Claim]]:
    """Claims of Section IV with every mark among them, by the sweep."""
    ends = (np.reshape(row, (1, 3, 1)) for row in ([15.0, 34, 60], [14.0, 30, 15], [16.0, 40, 99]))
    swept = given_study(cells(*ends, n=[100, 101, 102], tolerance=[0.1]))
    ends = (np.reshape(row, (1, 1, 2, 1)) for row in ([20, 40], [18, 36], [22, 44]))
    both = cells(*ends, trained=["input", "output"], tolerance=[0.1])
    loss = {"loss_final": [0.7, 0.75, 0.8], "loss_initial": 1.0, "solution_error": 0.0}
    store = filled(loss, d=[10], n=[100], width=[0.5], seed=range(3)).assign_coords(k=("width", [50]))
    located = cells(110, 100, 120, tolerance=[0.1])
    return {
        "input-layer": list(section4.input_layer(swept)),
        "joint": list(section4.joint(given_study(both))),
        "output-layer": list(section4.output_layer(given_study(located, store))),
    }


def test_rewording_every_verdict_changes_nothing_but_its_words(monkeypatch) -> None:
    before = section4_rows()

    def reworded(mark: Mark, detail: str = "", factor: float | None = None, word: str = "") -> Verdict:
        return Verdict(mark, f"so {len(detail)}", factor, f"thus {mark.name}")

    for module in (section4, rows_module):
        monkeypatch.setattr(module, "Verdict", reworded)
        for name in {"NOT_LOCATED", "OVERLAP"} & set(vars(module)):
            monkeypatch.setattr(module, name, reworded(Mark.OPEN))
    after = section4_rows()

    def facts(found: dict[str, list[Claim]]) -> list[tuple[object, ...]]:
        rows = [row for claims in found.values() for row in claims]
        return [(row.claim, row.measured, row.mark, row.factor, row.group) for row in rows]

    def summary(found: dict[str, list[Claim]]) -> tuple[object, ...]:
        pages = [
            SimpleNamespace(name=name, anchor=name, question="", claims=rows)
            for name, rows in found.items()
        ]
        head = Summary(pages)
        groups = [group for _, part in (*head.parts, *head.findings) for group in part]
        marks = [(g.subject, g.mark, g.factors, g.looseness, g.measured) for g in groups]
        return head.tally, marks, head.counts_of(groups), head.answer, head.headlines

    assert facts(after) == facts(before)
    assert summary(after) == summary(before)
    assert {row.mark for claims in before.values() for row in claims} == set(Mark)
    assert all(row.word.startswith("thus") for claims in after.values() for row in claims)
