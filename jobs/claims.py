"""What the paper claims, what the stores say, and the verdict: the rows of `widthlaw reproduce`.

A sufficient condition is never refuted by a smaller width that works: its verdict is by what factor
it is loose. What is certified must hold in all trials; what is measured says in how many it does.
Each sweep has a function of its study and a line in `SECTIONS`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import xarray as xr
from scipy import special

from analysis import critical_widths, fit_laws
from analysis.budgets import budget_of
from analysis.figures import Study
from analysis.generalisation import gap_slope
from pipeline.status import Status

__all__ = ["claims"]

Row = dict[str, str]
Studies = Mapping[str, Study]

FOLLOWS = 1.25
"""Measured over predicted width below which data are said to follow the random-matrix edge."""


def claims(studies: Studies) -> Iterator[Row]:
    """Go through the rows of all sweeps whose stores are there."""
    for name, section in SECTIONS.items():
        if name in studies:
            yield from section(studies[name])


def _row(claim: str, measured: str, verdict: str) -> Row:
    return {"claim": claim, "measured": measured, "verdict": verdict}


def _of(holds: Any) -> str:
    """`holds in 40 of 40` for an array of booleans."""
    flags = np.asarray(holds).ravel()
    return f"holds in {int(flags.sum())} of {flags.size}"


def _range(values: Any, form: str = ".3g") -> str:
    """Median and extremes of numbers."""
    flat = np.asarray(values, dtype=float).ravel()
    flat = flat[~np.isnan(flat)]
    return f"{np.median(flat):{form}} ({flat.min():{form}} to {flat.max():{form}})"


def _width(cell: xr.Dataset, scale: float = 1.0, form: str = ".0f") -> str:
    outcome = str(cell.outcome.item())
    if outcome in ("fitted", "separated"):
        low, mid, high = (float(cell[name]) * scale for name in ("k50_low", "k50", "k50_high"))
        return f"{mid:{form}} [{low:{form}}, {high:{form}}]"
    return outcome


def _located(cell: xr.Dataset) -> bool:
    return str(cell.outcome.item()) in ("fitted", "separated")


def _cells(widths: xr.Dataset, *dims: str) -> Iterator[xr.Dataset]:
    """The cells along some dimensions, in order, without those that were never asked for."""
    stacked = widths.stack(cell=dims)
    for place in range(stacked.sizes["cell"]):
        cell = stacked.isel(cell=place)
        if str(cell.outcome.item()) != "empty":
            yield cell


# ---- Section III: linear regression and Theorem 1


def _regression(study: Study) -> Iterator[Row]:
    ds = study.ds.isel(width=0)
    error = ds.limit_error.values
    yield _row(
        "Section III: descent tends to theta^+ + Pi_null theta_0",
        f"relative distance from it {error.max():.1e} at most",
        _of(error < 1e-6),
    )
    ratio = ds.distance_ratio.values
    yield _row(
        "Section III: that is the solution nearest to theta_0, at ||X^+ (y - X theta_0)||",
        f"distance over it {_range(ratio, '.6f')}",
        _of(np.abs(ratio - 1) < 1e-6),
    )
    yield _row(
        "Section III, as printed: the distance is ||theta^+||",
        f"distance over it {_range(ds.length_ratio)}",
        "holds only where theta_0 has no part in the row space",
    )
    off = (1 - ds.rate) / (1 - ds.rate_predicted)
    yield _row(
        "the slowest mode sets the rate, 1 - eta sigma_min^2",
        f"(1 - rate) over the predicted {_range(off)}",
        _of(np.abs(off - 1) < 0.1) + " to 10%",
    )


def _theorem1(study: Study) -> Iterator[Row]:
    ds = study.ds
    done = ds.status == Status.DONE
    proven = (ds.certified == 1) & done
    for place, multiple in enumerate(ds.multiple.values):
        at = ds.isel(multiple=place)
        told = "the certified residual" if multiple == 1 else f"{multiple:g} times it"
        for name, words in (("rate_ratio", "(4)"), ("path_ratio", "(5)")):
            worst = at[name].values[(proven & (at.steps > 0)).values]
            yield _row(
                f"Theorem 1 {words} at every step, at {told}",
                f"left over right side {_range(worst)}",
                _of(worst <= 1) + ("" if multiple == 1 else ", beyond the certificate"),
            )
    first = ds.isel(multiple=0)
    held = (proven & (first.steps > 0)).values
    ended = held & (first.relative_loss < 1e-6).values
    ratio = first.shortest_ratio.values[ended]
    low, high = first.lower_ratio.values[held], first.upper_ratio.values[held]
    bound = 4 * (first.beta / first.jacobian_alpha) ** 2 * -np.log(first.relative_loss) / 2
    excess = (bound / first.steps).values[held]
    yield _row(
        "after (4): 4 (beta/alpha)^2 log(1/eps) steps suffice (the text drops the 4)",
        f"bound over steps taken {_range(excess)}",
        f"sufficient, loose by a factor of {np.median(excess):.2g}; without the 4 {_of(excess >= 4)}",
    )
    yield _row(
        "after (5): distance at most 5 ||r0|| / alpha",
        f"distance over it {_range(high)}",
        f"{_of(high <= 1)}, loose by a factor of {1 / np.median(high):.3g}",
    )
    yield _row(
        "no solution nearer than ||r0|| / beta",
        f"(||r0|| - ||r_T||) / beta over the distance {_range(low)}",
        f"{_of(low <= 1)}, loose by a factor of {1 / np.median(low):.3g}",
    )
    yield _row(
        "descent finds a solution with near shortest distance to theta_0 (relative loss below 1e-6)",
        f"distance over the linearised shortest {_range(ratio)}",
        f"{_of(np.abs(ratio - 1) < 0.1)} to 10%",
    )
    measured = ((ds.certified == 0) & (ds.jacobian_alpha > 0) & done).values
    if measured.any():
        worst = np.maximum(first.rate_ratio, first.path_ratio).values[measured]
        yield _row(
            "two hidden layers, constants measured along one direction, no certificate: (4) and (5)",
            f"worst of both ratios {_range(worst)}",
            _of(worst <= 1),
        )


# ---- Section IV: the input layer, the output layer, both


def _input(study: Study) -> Iterator[Row]:
    widths = study.widths
    for tolerance in widths.tolerance.values:
        cells = [c for c in _cells(widths.sel({"tolerance": tolerance}), "d", "n") if _located(c)]
        ratios = [float(c.k50 * c.d / c.n) for c in cells]
        if not ratios:
            continue
        yield _row(
            f"ReLU input layer: kd degrees of freedom fit n samples (relative loss {tolerance:g})",
            f"k* d/n = {_range(ratios)} in {len(ratios)} cells",
            f"kd = n holds to a factor of {max(max(ratios), 1 / min(ratios)):.2f} at this budget",
        )
    finest = widths.isel(tolerance=-1)
    cells = [c for c in _cells(finest, "d", "n") if _located(c)]
    loose = [float(c.n**4 / c.d**3 / c.k50) for c in cells]
    if loose:
        yield _row(
            "k >= n^4/d^3 is sufficient for ReLU (input layer, constant 1)",
            f"n^4/d^3 over k* = {_range(loose)}",
            f"sufficient, loose by a factor of {np.median(loose):.1e}",
        )


def _budget(study: Study) -> Iterator[Row]:
    top = budget_of(study.ds)
    budgets = [top // 10, top // 3, top]
    widths = critical_widths(study.ds, budgets=budgets)
    d, n = int(widths.d.item()), int(widths.n.item())
    for activation in widths.activation.values:
        for tolerance in widths.tolerance.values:
            row = widths.sel({"activation": activation, "tolerance": tolerance}).squeeze(("d", "n"))
            told = [f"{b:g} steps: {_width(row.sel(budget=b), d / n, '.2f')}" for b in budgets]
            yield _row(
                f"threshold k* d/n for {activation}, relative loss {tolerance:g} (d={d}, n={n})",
                "; ".join(told),
                "moves with tolerance and budget",
            )
        smooth = widths.sel(activation=activation).isel(tolerance=-1, budget=-1).squeeze()
        if activation != "relu" and _located(smooth):
            loose = float(n**2 / d / smooth.k50)
            yield _row(
                f"k >= n^2/d is sufficient for smooth activations ({activation}, constant 1)",
                f"n^2/d over k* = {loose:.3g}",
                f"sufficient, loose by a factor of {loose:.2g}",
            )


def _output(study: Study) -> Iterator[Row]:
    ds, widths = study.ds, study.widths
    wide = (ds.k / ds.n >= 2).broadcast_like(ds.status) & (ds.status == Status.DONE)
    error = ds.solution_error.values[wide.values]
    yield _row(
        "descent on v tends to the pseudo-inverse solution (k >= 2n, full budget)",
        f"relative distance from it {_range(error, '.1e')}",
        _of(error < 1e-3) + " to 1e-3",
    )
    narrow = ((ds.k / ds.n).broadcast_like(ds.status) < 0.8) & (ds.status == Status.DONE)
    floor = (ds.loss_final / ds.loss_initial / (1 - ds.k / ds.n)).values[narrow.values]
    yield _row(
        "below n units no v fits: the relative loss of random signs floors near 1 - k/n",
        f"loss over it {floor.mean():.3f} in the mean, {_range(floor)}",
        "holds in the mean" if abs(floor.mean() - 1) < 0.1 else "does not hold in the mean",
    )
    for n in widths.n.values:
        told = []
        for place, tolerance in enumerate(widths.tolerance.values):
            cell = widths.sel(n=n).isel(tolerance=place).squeeze("d")
            told.append(f"{tolerance:g}: {_width(cell, 1 / n, '.2f')}")
            most = float(cell.k50) / n
        yield _row(
            f"k of order n suffices for zero training error by v alone (n={n})",
            "k*/n for relative loss " + "; ".join(told),
            "not located" if np.isnan(most) else f"holds, with a constant of {most:.2f} at the finest",
        )


def _joint(study: Study) -> Iterator[Row]:
    widths = study.widths.isel(tolerance=-1).squeeze(("d", "n"))
    told = [f"{name}: k* = {_width(widths.sel(trained=name))}" for name in widths.trained.values]
    d, n = int(widths.d), int(widths.n)
    yield _row(
        f"W has more parameters than v, so it needs fewer units (d={d}, n={n})",
        "; ".join(told),
        "holds in width; the proofs' bounds have it the other way round"
        if float(widths.k50.sel(trained="input")) < float(widths.k50.sel(trained="output"))
        else "does not hold here",
    )


def _depth(study: Study) -> Iterator[Row]:
    widths = study.widths.isel(tolerance=-1).squeeze(("d", "n"))
    d, n = int(widths.d), int(widths.n)
    located = {}
    for depth in widths.depth.values:
        cell = widths.sel(depth=depth)
        if _located(cell):
            k = float(cell.k50)
            located[int(depth)] = (k, (k * d + (depth - 1) * k**2 + k) / n)
    told = [f"L={L}: k* = {k:.1f}, parameters/n = {p:.2f}" for L, (k, p) in located.items()]
    if len(located) > 1:
        first, last = located[min(located)], located[max(located)]
        yield _row(
            f"bounds for deep networks ask for more width (d={d}, n={n}, all weights trained)",
            "; ".join(told),
            f"depth {'lowers' if last[0] < first[0] else 'raises'} the width and "
            f"{'lowers' if last[1] < first[1] else 'raises'} the parameters that are needed",
        )
    ds = study.ds.isel(width=-1)
    ratio = (ds.sigma_min / np.sqrt(ds.k) / ds.kernel_alpha).squeeze(("d", "n"))
    told = [f"L={int(L)}: {float(ratio.sel(depth=L).median()):.3f}" for L in ds.depth.values]
    yield _row(
        f"conditioning of the last layer against depth (k={int(ds.k.max())})",
        "sigma_min/sqrt(k) over alpha of the kernel, " + ", ".join(told),
        "finding, no claim",
    )


# ---- Theorem 2, its proof, Figure 1


def _theorem2(study: Study) -> Iterator[Row]:
    widths = study.widths
    for cell in _cells(widths, "d", "n"):
        edge, limit = float(cell.k_edge_finite), float(cell.k_edge)
        yield _row(
            f"Theorem 2: width for sigma_min >= alpha sqrt(k)/2 (d={int(cell.d)}, n={int(cell.n)})",
            f"k* = {_width(cell)}; {edge:.0f} by the edge, {limit:.0f} for n to infinity",
            f"within {abs(float(cell.k50) / edge - 1):.0%} of the edge"
            if _located(cell)
            else "not located",
        )
    cells = [c for c in _cells(widths, "d", "n") if _located(c)]
    loose = [_theorem_width(int(c.n), float(c.alpha)) / float(c.k50) for c in cells]
    yield _row(
        "Theorem 2: k >= n log n log k / alpha^2 is sufficient (constant 1)",
        f"that width over k* = {_range(loose)}; best law by AICc: {fit_laws(widths).iloc[0]['law']}",
        f"sufficient, loose by a factor of {np.median(loose):.3g}",
    )


def _theorem_width(n: int, alpha: float) -> float:
    """The k solving k = n log n log k / alpha^2: the larger root."""
    scale = n * np.log(n) / alpha**2
    return float(-scale * special.lambertw(-1 / scale, -1).real)


def _proof(study: Study) -> Iterator[Row]:
    ds, widths = study.ds, study.widths
    share = (ds.feature_norm / ds.delta_squared).values
    yield _row(
        "proof, (6): all k rows have ||phi(z)|| <= delta sqrt(n) (with probability 1/2)",
        f"largest ||phi(z)||^2 / n over delta^2 = {_range(share)}",
        f"{_of(share <= 1)}, loose by a factor of {1 / np.median(share):.2g}",
    )
    left = (ds.truncated_at_sufficient / ds.alpha**2).values
    yield _row(
        "proof: truncation leaves alpha^2 / 2 of K (at the width that the proof asks for)",
        f"lower bound over alpha^2 = {_range(left)}",
        f"{_of(left >= 0.5)}, loose by a factor of {np.median(left) / 0.5:.2g}",
    )
    for cell in _cells(widths, "d", "n"):
        asked = float(ds.sufficient_width.sel(d=cell.d, n=cell.n).median())
        if _located(cell):
            yield _row(
                f"proof: matrix Chernoff shows a width to suffice (d={int(cell.d)}, n={int(cell.n)})",
                f"{asked:.3g} against k* = {_width(cell)}",
                f"sufficient, loose by a factor of {asked / float(cell.k50):.2g}",
            )


def _stress(study: Study) -> Iterator[Row]:
    for cell in _cells(study.widths, "dataset", "angle", "d", "n"):
        angle = cell.angle.item()
        where = f"{cell.dataset.item()}, n={cell.n.item()}" + (f", angle={angle:g}" if angle else "")
        edge = float(cell.k_edge_finite)
        if np.isnan(edge):
            verdict = "alpha = 0: the theorem says nothing, and no width is predicted"
        elif _located(cell):
            times = float(cell.k50) / edge
            word = "follows the edge" if times < FOLLOWS else "departs from the edge: structure matters"
            verdict = f"{word} ({times:.2g} times its width)"
        else:
            verdict = f"the edge predicts {edge:.0f}"
        yield _row(
            f"structured data ({where}): alpha = {float(cell.alpha):.2e}",
            f"k* = {_width(cell)}" if _located(cell) else str(cell.outcome.item()),
            verdict,
        )


def _figure1(study: Study) -> Iterator[Row]:
    ds = study.ds
    ratio, edge, k = ds.sigma_min / np.sqrt(ds.k), np.sqrt(ds.edge), int(ds.k.max())
    for name in ds.dataset.values:
        for n in ds.n.values:
            here = {"dataset": name, "n": n}
            least = float(ratio.sel(here).min())
            yield _row(
                f"Figure 1: sigma_min stays above 0 ({name}, n={n}, k={k})",
                f"sigma_min/sqrt(k) = {least:.4f} at least; "
                f"{float(edge.sel(here).median()):.4f} by the left edge",
                _of((ratio.sel(here) > 0).values),
            )
        few, many = (ds.sel(dataset=name).isel(n=at) for at in (0, -1))
        largest = float((many.sigma_max / few.sigma_max).median())
        least = float((many.sigma_min / few.sigma_min).median())
        yield _row(
            f"Figure 1: larger n amplifies the large singular values and dampens the small ({name})",
            f"from n={int(few.n)} to {int(many.n)}: sigma_max times {largest:.2f}, "
            f"sigma_min times {least:.2f}",
            "holds" if largest > 1 > least else "does not hold",
        )


def _generalisation(study: Study) -> Iterator[Row]:
    slope = gap_slope(study.ds)
    low, high = slope["low"], slope["high"]
    yield _row(
        "Section III: the gap of test and training loss decays as Gamma / sqrt(n)",
        f"slope of log(gap/Gamma) on log n = {slope['slope']:.2f} [{low:.2f}, {high:.2f}]",
        "-1/2 within the interval"
        if low <= -0.5 <= high
        else f"a finding: it decays {'faster' if high < -0.5 else 'slower'} than the bound here",
    )


SECTIONS: Mapping[str, Callable[[Study], Iterator[Row]]] = {
    "linear-regression": _regression,
    "theorem1": _theorem1,
    "input-layer": _input,
    "budget": _budget,
    "output-layer": _output,
    "joint": _joint,
    "depth": _depth,
    "theorem2": _theorem2,
    "theorem2-proof": _proof,
    "alpha-stress": _stress,
    "figure1": _figure1,
    "generalisation": _generalisation,
}
