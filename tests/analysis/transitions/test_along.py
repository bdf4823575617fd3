"""Critical values along any axis, rising and falling, on outcomes whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from scipy import special

from analysis import critical_widths, fit_laws, success_counts
from analysis.scaling import distinguishable
from analysis.transitions.scales import Along
from pipeline.errors import InputError, ParameterError

N = np.unique(np.geomspace(20, 400, 22).astype(int))
K, D = np.array([16, 24, 32]), np.array([8, 16, 32])
SPREAD, SEEDS = 0.12, 40
NOISE = np.linspace(-0.2, 1.0, 25)


def critical_n(k: np.ndarray, d: np.ndarray) -> np.ndarray:
    return k * d / 4


def of_n(k: np.ndarray = K, d: np.ndarray = D, n: np.ndarray = N) -> tuple[xr.Dataset, xr.DataArray]:
    """A store in which success falls with n around k d / 4, and who succeeded."""
    rng = np.random.default_rng(3)
    eta = np.log(critical_n(k[None, None], d[:, None, None]) / n[None, :, None]) / SPREAD
    won = rng.random((*eta.shape, SEEDS)) < special.expit(eta)[..., None]
    return stored(won, {"d": d, "n": n, "width": k}, k)


def of_noise() -> tuple[xr.Dataset, xr.DataArray]:
    """A store in which success falls with a noise that is 0 or negative in places, around 0.3."""
    rng = np.random.default_rng(4)
    eta = (0.3 - NOISE) / 0.1
    won = rng.random((len(NOISE), 1, 1, 1, SEEDS)) < special.expit(eta)[:, None, None, None, None]
    return stored(won, {"noise": NOISE, "d": [5], "n": [10], "width": [7]}, np.array([7]))


def stored(won: np.ndarray, axes: dict[str, object], k: np.ndarray) -> tuple[xr.Dataset, xr.DataArray]:
    dims = (*axes, "seed")
    status = xr.DataArray(np.ones(won.shape, np.int8), dims=dims)
    coords = {**axes, "seed": np.arange(won.shape[-1]), "k": ("width", k)}
    ds = xr.Dataset({"status": status}, coords, {"nested": 1, "width_unit": "k"})
    return ds, xr.DataArray(won, dims=dims)


def along(ds: xr.Dataset, won: xr.DataArray, axis: str, **asked: object) -> xr.Dataset:
    return critical_widths(ds, success=won, along=axis, **{"resamples": 200, "tables": 0, **asked})


@pytest.fixture(scope="module")
def values() -> xr.Dataset:
    return along(*of_n(), "n", tables=49)


# ---- the numbers


def test_the_critical_n_of_every_width_and_d_is_found_and_named_after_n(values) -> None:
    assert values.n50.dims == ("d", "width")
    assert "k50" not in values
    assert values.k.values.tolist() == K.tolist()
    assert (values.outcome == "fitted").all()
    truth = critical_n(values.k, values.d).transpose("d", "width").values
    assert values.n50.values == pytest.approx(truth, rel=0.08)
    assert ((values.n50_low < values.n50) & (values.n50 < values.n50_high)).all()
    assert int(((values.n50_low.values <= truth) & (truth <= values.n50_high.values)).sum()) >= 7
    assert (values.slope < 0).all()
    assert (values.slope_low < values.slope).all()
    assert (values.transition_width > 1).all()
    assert (values.fit_p > 0.01).all()
    assert (values.bracket_low < values.bracket_high).all()
    assert set(values.bracket_low.values.ravel()) <= set(N.astype(float))  # exact, after logarithms


def test_the_answer_tells_its_axis_its_direction_and_its_units(values) -> None:
    assert [values.attrs[name] for name in ("along", "direction", "scale")] == ["n", "falling", "log"]
    assert values.n50.attrs["long_name"] == "critical n: success has probability 1/2"
    assert values.slope.attrs["long_name"] == "slope of the curve's linear predictor in log n"
    assert "most trials succeed" in values.bracket_low.attrs["long_name"]


def test_falling_success_has_the_critical_values_of_rising_failure() -> None:
    ds, won = of_n()
    falls, rises = along(ds, won, "n"), along(ds, ~won, "n")
    assert rises.attrs["direction"] == "rising"
    for name in ("n50", "n50_low", "n50_high", "n50_isotonic", "transition_width", "bracket_low"):
        assert falls[name].values == pytest.approx(rises[name].values, rel=1e-6), name
    assert falls.slope.values == pytest.approx(-rises.slope.values, rel=1e-6)


def test_a_direction_against_the_data_locates_nothing() -> None:
    ds, won = of_n()
    assert (along(ds, won, "n", direction="rising").outcome == "unordered").all()


def test_widths_may_fall_too_if_that_is_said() -> None:
    ds, won = of_n()
    whole = along(ds, ~won, "width", direction="falling")
    assert whole.sel(d=16).sel(n=96, method="nearest").outcome == "fitted"
    assert whole.attrs["direction"] == "falling"


def test_the_width_is_the_default_to_the_last_bit() -> None:
    ds, won = of_n()
    default = critical_widths(ds, success=won, resamples=50, tables=9)
    named = critical_widths(
        ds, success=won, resamples=50, tables=9, along=Along("width", "rising", "log")
    )
    assert default.identical(named)


def test_an_axis_with_zeros_has_a_linear_curve() -> None:
    values = along(*of_noise(), "noise").squeeze()
    assert values.attrs["scale"] == "linear"
    assert values.attrs["direction"] == "falling"
    assert float(values.noise50_low) < 0.3 < float(values.noise50_high)
    assert float(values.noise50) == pytest.approx(0.3, abs=0.03)
    # The distance between 90% and 10%, not a ratio.
    assert float(values.transition_width) == pytest.approx(0.2 * np.log(9), rel=0.3)
    assert "noise_crossing" in values


@pytest.mark.parametrize("falling", [True, False])
def test_cells_that_always_or_never_succeed_are_censored_on_their_side(falling) -> None:
    ds, won = of_n()
    lost = won.copy()
    lost[0], lost[1] = True, False
    found = along(ds, lost, "n", direction="falling" if falling else "rising", resamples=20)
    always, never = found.isel(d=0), found.isel(d=1)
    assert (found.isel(d=[0, 1]).outcome == "censored").all()
    above, below = (always, never) if falling else (never, always)
    assert (above.bracket_low == N[-1]).all()
    assert np.isinf(above.bracket_high).all()
    assert (below.bracket_low == 0).all()
    assert (below.bracket_high == N[0]).all()


@pytest.mark.parametrize("falling", [True, False])
def test_a_step_is_bracketed_in_either_direction(falling) -> None:
    ds, won = of_n(k=K[:1], d=D[:1])
    step = (won & False) | (ds.n < 50 if falling else ds.n > 50)
    found = along(ds, step, "n").squeeze()
    assert found.outcome == "separated"
    assert float(found.bracket_low) == N[N < 50].max()
    assert float(found.bracket_high) == N[N > 50].min()
    assert float(found.bracket_low) < float(found.n50) < float(found.bracket_high)


def test_alpha_and_the_spectral_edge_are_offered_along_the_width_only() -> None:
    ds, won = of_n()
    rng = np.random.default_rng(0)
    ds["alpha"] = (("d", "n", "seed"), rng.random((len(D), len(N), SEEDS)))
    assert "alpha" in along(ds, won, "width", resamples=2)
    values = along(ds, won, "n", resamples=2)
    assert not {"alpha", "k_edge", "k_edge_finite"} & set(values)
    assert (values.trials == len(N) * SEEDS).all()
    assert (values.seeds == SEEDS).all()


def test_counts_have_the_axis_in_the_place_of_the_width() -> None:
    ds, won = of_n()
    counts = success_counts(ds, success=won, along="n")
    assert counts.successes.dims == ("d", "width", "n")
    assert counts.successes.sel(d=8).isel(width=0).values.tolist() == (
        won.isel(d=0, width=0).sum("seed").values.tolist()
    )


# ---- laws


def test_the_law_of_the_critical_n_is_found_among_those_of_n(values) -> None:
    laws = fit_laws(values)
    best = laws.iloc[0]
    assert best["law"] == "k d"
    assert best["constant"] == pytest.approx(0.25, rel=0.03)
    free = laws[laws["law"] == "free"].iloc[0]
    assert free["exponent_k_low"] < 1 < free["exponent_k_high"]
    assert free["exponent_d_low"] < 1 < free["exponent_d_high"]
    assert {"error_largest_k", "error_left_out_d", "points_k", "points_d", "telling_k"} <= set(laws)
    assert not [name for name in laws if name.endswith("_alpha")]
    told = distinguishable(laws)
    assert told.startswith("9 points (k = 16, 24, 32; d = 8, 16, 32) rank k d first")
    assert "They exclude" in told


# ---- bad input


def test_an_axis_that_the_store_has_not_is_refused_with_those_that_it_has() -> None:
    ds, won = of_n()
    with pytest.raises(ParameterError, match=r"along: got 'm', which is no axis.*width, d, n"):
        along(ds, won, "m")
    named = ds.assign_coords(d=["a", "b", "c"])
    with pytest.raises(ParameterError, match=r"got 'd', whose values have no order.*one of width, n$"):
        along(named, won.assign_coords(d=named.d), "d")
    ds, won = of_n(d=D[:1])
    with pytest.raises(ParameterError, match="has only d = 8, where nothing can change"):
        along(ds, won, "d")


def test_widths_that_follow_the_axis_are_refused() -> None:
    ds, won = of_n()
    ratio = np.array([1.5, 2.0, 3.0])
    k = xr.DataArray(np.rint(N[:, None] * ratio).astype(int), dims=("n", "width"))
    ds = ds.assign_coords(width=ratio, k=k).assign_attrs(width_unit="k_per_n")
    with pytest.raises(InputError, match=r"along n: .* at k/n = 1.5 k goes from 30 to 600 along n"):
        along(ds, won.assign_coords(width=ratio), "n")
    assert along(ds, won.assign_coords(width=ratio), "d", resamples=2).k.dims == ("n", "width")


@pytest.mark.parametrize(
    ("asked", "text"),
    [
        ({"direction": "up"}, "direction: got 'up'; expected one of rising, falling"),
        ({"scale": "cubic"}, "scale: got 'cubic'; expected one of log, linear"),
        ({"scale": "log"}, "scale: got 'log', but noise = -0.2 occurs; take 'linear'"),
        ({"interval": "profile"}, "interval: a profile assumes"),
    ],
)
def test_words_that_do_not_fit_are_refused(asked, text) -> None:
    with pytest.raises(ParameterError) as caught:
        along(*of_noise(), "noise", **asked)
    assert str(caught.value).startswith(text)
