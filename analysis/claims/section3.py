"""Claims of Section III: linear regression, Theorem 1, and the gap of test and training loss."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import xarray as xr

from analysis.claims.rows import Claim, Mark, done, judged, middle, spread
from analysis.experiments.generalisation import gap_slope
from analysis.study import Study
from pipeline.trial_status import Status

__all__ = ["generalisation", "regression", "theorem1"]


def regression(study: Study) -> Iterator[Claim]:
    """Where descent on a linear model ends, how far that is, and how fast it gets there."""
    ds = done(study.ds).isel(width=0)
    there = (ds.status == Status.DONE).values
    error = ds.limit_error.values[there]
    yield Claim(
        "Section III: descent tends to theta^+ + Pi_null theta_0",
        f"relative distance from it {np.max(error, initial=0):.1e} at most",
        **judged(error < 1e-6),
    )
    ratio = ds.distance_ratio.values[there]
    yield Claim(
        "Section III: that is the solution nearest to theta_0, at ||X^+ (y - X theta_0)||",
        f"distance over it {spread(ratio, '.6f')}",
        **judged(np.abs(ratio - 1) < 1e-6),
    )
    yield Claim(
        "Section III, as printed: the distance is ||theta^+||",
        f"distance over it {spread(ds.length_ratio)}",
        "departs: it holds only where theta_0 has no part in the row space"
        if there.any()
        else "not located",
        Mark.DEPARTS if there.any() else Mark.OPEN,
    )
    off = ((1 - ds.rate) / (1 - ds.rate_predicted)).values[there]
    yield Claim(
        "the slowest mode sets the rate, 1 - eta sigma_min^2",
        f"(1 - rate) over the predicted {spread(off)}",
        **judged(np.abs(off - 1) < 0.1, " to 10%"),
    )


def theorem1(study: Study) -> Iterator[Claim]:
    """Bounds (4) and (5) at every step, what follows from them, and how loose that is."""
    ds = study.ds
    yield from _at_every_step(ds)
    within = ds.multiple.values[ds.multiple.values <= 1]
    at = ds.sel(multiple=within.max() if within.size else ds.multiple.values[0])
    there = (at.status == Status.DONE) & (at.multiple <= 1)
    yield from _after_the_bounds(at, (at.certified == 1) & there & (at.steps > 0))
    if (ds.depth > 1).any():
        measured = (at.certified == 0) & (at.jacobian_alpha > 0) & there
        worst = np.maximum(at.rate_ratio, at.path_ratio).values[measured.values]
        yield Claim(
            "two hidden layers, constants measured along one direction, no certificate: (4) and (5)",
            f"worst of both ratios {spread(worst)}",
            **_no_claim(judged(worst <= 1)),
        )


def _at_every_step(ds: xr.Dataset) -> Iterator[Claim]:
    """Also beyond the certified residual, of which the theorem says nothing."""
    proven = (ds.certified == 1) & (ds.status == Status.DONE)
    for place, multiple in enumerate(ds.multiple.values):
        at = ds.isel(multiple=place)
        told = ("" if multiple == 1 else f"{multiple:g} times ") + "the certified residual"
        more = ", beyond the certificate" if multiple > 1 else ""
        for name, words in (("rate_ratio", "(4)"), ("path_ratio", "(5)")):
            worst = at[name].values[(proven & (at.steps > 0)).values]
            verdict = judged(worst <= 1, more)
            yield Claim(
                f"Theorem 1 {words} at every step, at {told}",
                f"left over right side {spread(worst)}",
                **(_no_claim(verdict) if more else verdict),
            )


def _no_claim(verdict: dict[str, Any]) -> dict[str, Any]:
    """A verdict on what the theorem does not claim."""
    return verdict | ({} if verdict["mark"] == Mark.OPEN else {"mark": Mark.FINDING})


def _after_the_bounds(first: xr.Dataset, proven: xr.DataArray) -> Iterator[Claim]:
    held = proven.values
    bound = 4 * (first.beta / first.jacobian_alpha) ** 2 * -np.log(first.relative_loss) / 2
    excess = (bound / first.steps).values[held]
    yield Claim(
        "after (4): 4 (beta/alpha)^2 log(1/eps) steps suffice (the text drops the 4)",
        f"bound over steps taken {spread(excess)}",
        **_loose(excess >= 1, middle(excess), f"; without the 4 in {int((excess >= 4).sum())}"),
    )
    high = first.upper_ratio.values[held]
    yield Claim(
        "after (5): distance at most 5 ||r0|| / alpha",
        f"distance over it {spread(high)}",
        **_loose(high <= 1, 1 / middle(high)),
    )
    low = first.lower_ratio.values[held]
    yield Claim(
        "no solution nearer than ||r0|| / beta",
        f"(||r0|| - ||r_T||) / beta over the distance {spread(low)}",
        **_loose(low <= 1, 1 / middle(low)),
    )
    ended = held & (first.relative_loss < 1e-6).values
    ratio = first.shortest_ratio.values[ended]
    yield Claim(
        "descent finds a solution with near shortest distance to theta_0 (relative loss below 1e-6)",
        f"distance over the linearised shortest {spread(ratio)}",
        **judged(np.abs(ratio - 1) < 0.1, " to 10%"),
    )


def _loose(holds: object, factor: float, more: str = "") -> dict[str, Any]:
    """A bound that must hold in every trial, and by what factor it is loose in the middle one."""
    words = f", loose by a factor of {factor:.3g}{more}"
    return judged(holds, words, Mark.LOOSE) | {"factor": factor if np.isfinite(factor) else None}


def generalisation(study: Study) -> Iterator[Claim]:
    """How the gap of test and training loss falls with n."""
    claim = "Section III: the gap of test and training loss decays as Gamma / sqrt(n)"
    cells = [dim for dim in study.ds.status.dims if dim not in ("n", "seed")]
    if any(study.ds.sizes[dim] > 1 for dim in cells):
        yield Claim(claim, "several d or widths: no single slope", "not located", Mark.OPEN)
        return
    slope = gap_slope(study.ds)
    low, high = slope["low"], slope["high"]
    measured = f"slope of log(gap/Gamma) on log n = {slope['slope']:.2f} [{low:.2f}, {high:.2f}]"
    if not low <= high:  # NaN: too few n, or too few seeds
        yield Claim(claim, "no slope with an interval", "not located", Mark.OPEN)
    elif low <= -0.5 <= high:
        yield Claim(claim, measured, "-1/2 within the interval", Mark.HOLDS)
    else:
        faster = "faster" if high < -0.5 else "slower"
        yield Claim(claim, measured, f"finding: it decays {faster} than the bound here", Mark.FINDING)
