"""Claims of Section III: linear regression, Theorem 1, and the gap of test and training loss."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import xarray as xr

from analysis.claims.rows import (
    NOT_LOCATED,
    Claim,
    Mark,
    Verdict,
    bound,
    counted,
    done,
    middle,
    spread,
)
from analysis.experiments.generalisation import gap_slope
from analysis.study import Study
from pipeline.trial_status import Status

__all__ = ["generalisation", "regression", "theorem1"]

EXACT = 1e-6
"""Relative error up to which an identity counts as met, and loss below which descent has ended."""

NEAR = 0.1
"""Relative error up to which an approximation counts as met."""


def regression(study: Study) -> Iterator[Claim]:
    """Yield the claims on descent on a linear model: its limit, the distance, and the rate."""
    ds = done(study.ds).isel(width=0)
    there = (ds.status == Status.DONE).values
    error = ds.limit_error.values[there]
    yield counted(error < EXACT).on(
        "Section III: descent tends to theta^+ + Pi_null theta_0",
        f"relative distance from it {np.max(error, initial=0):.1e} at most",
        criterion=f"that distance is below {EXACT:g} in every trial",
        figure="regression",
    )
    ratio = ds.distance_ratio.values[there]
    yield counted(np.abs(ratio - 1) < EXACT).on(
        "Section III: that is the solution nearest to theta_0, at ||X^+ (y - X theta_0)||",
        f"distance over it {spread(ratio, '.6f')}",
        criterion=f"the ratio is 1 to {EXACT:g} in every trial",
        figure="regression",
    )
    printed = Verdict(Mark.DEPARTS, "it holds only where theta_0 has no part in the row space")
    yield (printed if there.any() else NOT_LOCATED).on(
        "Section III, as printed: the distance is ||theta^+||",
        f"distance over it {spread(ds.length_ratio)}",
        criterion="the ratio is 1 from any theta_0",
        figure="regression",
    )
    off = ((1 - ds.rate) / (1 - ds.rate_predicted)).values[there]
    yield counted(np.abs(off - 1) < NEAR, f", to {NEAR:.0%}").on(
        "the slowest mode sets the rate, 1 - eta sigma_min^2",
        f"(1 - rate) over the predicted {spread(off)}",
        criterion=f"the ratio is 1 to {NEAR:.0%} in every trial",
        figure="regression",
    )


def theorem1(study: Study) -> Iterator[Claim]:
    """Yield the claims on bounds (4) and (5) at every step, and on the consequences."""
    ds = study.ds
    yield from _at_every_step(ds)
    within = ds.multiple.values[ds.multiple.values <= 1]
    at = ds.sel(multiple=within.max() if within.size else ds.multiple.values[0])
    there = (at.status == Status.DONE) & (at.multiple <= 1)
    yield from _after_the_bounds(at, (at.certified == 1) & there & (at.steps > 0))
    if (ds.depth > 1).any():
        measured = (at.certified == 0) & (at.jacobian_alpha > 0) & there
        worst = np.maximum(at.rate_ratio, at.path_ratio).values[measured.values]
        yield _not_claimed(worst <= 1).on(
            "two hidden layers, constants measured along one direction, no certificate: (4) and (5)",
            f"worst of both ratios {spread(worst)}",
            of_paper=False,
        )


def _at_every_step(ds: xr.Dataset) -> Iterator[Claim]:
    """Yield both bounds at every multiple, also beyond the certified residual."""
    proven = (ds.certified == 1) & (ds.status == Status.DONE)
    for index, multiple in enumerate(ds.multiple.values):
        at = ds.isel(multiple=index)
        residual = ("" if multiple == 1 else f"{multiple:g} times ") + "the certified residual"
        for name, equation in (("rate_ratio", "(4)"), ("path_ratio", "(5)")):
            worst = at[name].values[(proven & (at.steps > 0)).values]
            held = worst <= 1
            beyond = ", beyond the certificate"
            yield (_not_claimed(held, beyond) if multiple > 1 else counted(held)).on(
                f"Theorem 1 {equation} at every step, at {residual}",
                f"left over right side {spread(worst)}",
                criterion="" if multiple > 1 else "left <= right in every certified trial",
                figure="certificate",
                of_paper=bool(multiple <= 1),
            )


def _not_claimed(holds: object, about: str = "") -> Verdict:
    """Return the count of trials as a finding: the theorem does not claim that it holds."""
    return counted(holds, about, Mark.FINDING, share=0.0)


def _after_the_bounds(first: xr.Dataset, proven: xr.DataArray) -> Iterator[Claim]:
    held = proven.values
    steps = 4 * (first.beta / first.jacobian_alpha) ** 2 * -np.log(first.relative_loss) / 2
    excess = (steps / first.steps).values[held]
    without = f"; without the 4 in {int((excess >= 4).sum())}"
    yield bound(excess >= 1, middle(excess), about=without).on(
        "after (4): 4 (beta/alpha)^2 log(1/eps) steps suffice (the text drops the 4)",
        f"bound over steps taken {spread(excess)}",
        criterion="no certified trial takes more steps than the bound",
        figure="certificate",
    )
    high = first.upper_ratio.values[held]
    yield bound(high <= 1, 1 / middle(high)).on(
        "after (5): distance at most 5 ||r0|| / alpha",
        f"distance over it {spread(high)}",
        criterion="the ratio is at most 1 in every certified trial",
        figure="certificate",
    )
    low = first.lower_ratio.values[held]
    yield bound(low <= 1, 1 / middle(low)).on(
        "no solution nearer than ||r0|| / beta",
        f"(||r0|| - ||r_T||) / beta over the distance {spread(low)}",
        criterion="the ratio is at most 1 in every certified trial",
        figure="certificate",
    )
    ended = held & (first.relative_loss < EXACT).values
    ratio = first.shortest_ratio.values[ended]
    yield counted(np.abs(ratio - 1) < NEAR, f", to {NEAR:.0%}").on(
        f"descent finds a solution with near shortest distance to theta_0 (loss below {EXACT:.0e})",
        f"distance over the linearised shortest {spread(ratio)}",
        criterion=f"the ratio is 1 to {NEAR:.0%} in every certified trial",
        figure="certificate",
    )


def generalisation(study: Study) -> Iterator[Claim]:
    """Yield the finding on the decay with n of the gap of test and training loss."""
    claim = "decay of the gap of test and training loss, against Gamma / sqrt(n) of Section III"
    more: dict[str, Any] = {"figure": "generalisation", "of_paper": False}
    axes = [dim for dim in study.ds.status.dims if dim not in ("n", "seed")]
    if any(study.ds.sizes[dim] > 1 for dim in axes):
        yield NOT_LOCATED.on(claim, "several d or widths: no single slope", **more)
        return
    slope = gap_slope(study.ds)
    low, high = slope["low"], slope["high"]
    measured = f"slope of log(gap/Gamma) on log n = {slope['slope']:.2f} [{low:.2f}, {high:.2f}]"
    if not low <= high:  # NaN: too few n, or too few seeds
        yield NOT_LOCATED.on(claim, "no slope with an interval", **more)
    elif low <= -0.5 <= high:
        yield Verdict(Mark.FINDING, "-1/2 is within the interval").on(claim, measured, **more)
    else:
        faster = "faster" if high < -0.5 else "slower"
        detail = f"it decays {faster} than the bound here"
        yield Verdict(Mark.FINDING, detail).on(claim, measured, **more)
