"""Claims of Theorem 2 and its proof, of data on which alpha is small, and of Figure 1."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from scipy import special

from analysis.claims.rows import (
    NOT_LOCATED,
    SUFFICES,
    Claim,
    Mark,
    Quantity,
    Reading,
    Verdict,
    bound,
    cells_of,
    counted,
    done,
    is_located,
    looseness_of,
    mean_interval,
    middle,
    reach_of,
    reading_of,
    spread,
    sufficient,
    width_of,
)
from analysis.experiments.spectrum import Levels, levels_of
from analysis.study import Study
from pipeline.trial_status import Status

__all__ = ["evolution", "figure1", "proof", "stress", "theorem2"]

FOLLOWS = 1.25
"""Data follow the random-matrix edge if measured over predicted width, or its inverse, is below it."""

EDGE = "random-matrix edge"

OFF = f"off the edge if the whole interval of k* differs from it by more than a factor of {FOLLOWS:g}"


# --- the critical width ---------------------------------------------------------------------------


def theorem2(study: Study) -> Iterator[Claim]:
    """Yield each critical width beside the edge's, and how loose the theorem's width is."""
    widths = study.widths
    width = "width for sigma_min >= alpha sqrt(k)/2"
    for cell in cells_of(widths, "d", "n"):
        edge, limit = float(cell.k_edge_finite), float(cell.k_edge)
        predicted = f"{edge:.0f} by the edge, {limit:.0f} for n to infinity"
        yield _beside_the_edge(cell).on(
            f"{EDGE}: {width} (d={int(cell.d)}, n={int(cell.n)})",
            f"k* = {_in_units_of_n(cell)}; {predicted if edge == edge else 'alpha is not known'}",
            f"{EDGE}: {width}, over that of the edge",
            criterion=OFF,
            figure="laws",
            of_paper=False,
            readings=_near_the_edge(cell),
        )
    cells = list(cells_of(widths, "d", "n"))
    proven = [_theorem_width(int(c.n), float(c.alpha)) for c in cells]
    ratios = [k / float(c.k50) for k, c in zip(proven, cells, strict=True) if is_located(c)]
    yield sufficient(proven, cells).on(
        "Theorem 2: k >= n log n log k / alpha^2 is sufficient (constant 1)",
        f"that width over k* = {spread(ratios)}; best law by AICc: {_best_law(study)}",
        criterion=SUFFICES,
        figure="ratios",
        readings=looseness_of(Quantity.THEOREM2, cells, proven),
    )


def _near_the_edge(cell: xr.Dataset) -> tuple[Reading, ...]:
    """Return k*/n of a cell and k* over the width of the edge, as far as they are known."""
    edge = float(cell.k_edge_finite)
    own = reading_of(Quantity.FEATURES, [cell], [1 / float(cell.n)])
    return own + reading_of(Quantity.EDGE, [cell], [1 / edge]) if np.isfinite(edge) else own


def _in_units_of_n(cell: xr.Dataset) -> str:
    """Return a critical width, also as a multiple of n: `213 [207, 218], 2.13 n`."""
    times = f", {float(cell.k50) / float(cell.n):.2f} n" if is_located(cell) else ""
    return width_of(cell) + times


def _beside_the_edge(cell: xr.Dataset) -> Verdict:
    """Compare a critical width with the edge's, which is a finding either way.

    The width is off the edge only if its whole interval is.
    """
    edge = float(cell.k_edge_finite)
    if not is_located(cell):
        return _beyond_the_edge(cell)
    if not np.isfinite(edge):
        return Verdict(Mark.FINDING, "the edge predicts no width")
    low, times, high = (float(cell[name]) / edge for name in ("k50_low", "k50", "k50_high"))
    if 1 / FOLLOWS < times < FOLLOWS:
        detail = f"within {abs(times - 1):.0%} of the edge"
    elif low > FOLLOWS or high < 1 / FOLLOWS:
        detail = f"off the edge by a factor of {max(times, 1 / times):.2g}"
    else:
        detail = f"{times:.2g} times the edge, perhaps within {FOLLOWS - 1:.0%} given its interval"
    return Verdict(Mark.FINDING, detail, times)


def _beyond_the_edge(cell: xr.Dataset) -> Verdict:
    """Compare a width that is not located with the edge's: its one end may lie far off."""
    low, high = (end / float(cell.k_edge_finite) for end in reach_of(cell))
    if low > FOLLOWS or high < 1 / FOLLOWS:
        return Verdict(Mark.FINDING, f"off the edge by a factor of more than {max(low, 1 / high):.2g}")
    return NOT_LOCATED


def _best_law(study: Study) -> str:
    try:
        best = study.laws.iloc[0]
    except ValueError:
        return "(too few widths)"
    return f"{best['law']} ({best['points']} points: {best['points_at']})"


def _theorem_width(n: int, alpha: float) -> float:
    """Return the k that solves k = n log n log k / alpha^2: the larger root."""
    scale = n * np.log(n) / alpha**2
    return float(-scale * special.lambertw(-1 / scale, -1).real)


def proof(study: Study) -> Iterator[Claim]:
    """Yield how loose each step of the proof is, and the width that it shows to suffice."""
    ds, widths = done(study.ds), study.widths
    share = (ds.feature_norm / ds.delta_squared).values[(ds.status == Status.DONE).values]
    yield bound(share <= 1, 1 / middle(share), 2, share=0.5).on(
        "proof, (6): all k rows have ||phi(z)|| <= delta sqrt(n) (with probability 1/2)",
        f"largest ||phi(z)||^2 / n over delta^2 = {spread(share)}",
        criterion="the ratio is at most 1 in at least half of the trials",
        figure="proof",
    )
    left = (ds.truncated_at_sufficient / ds.alpha**2).values
    left = left[~np.isnan(left)]
    yield bound(left >= 0.5, middle(left) / 0.5, 2).on(
        "proof: truncation leaves alpha^2 / 2 of K (at the width that the proof needs)",
        f"lower bound over alpha^2 = {spread(left)}",
        criterion="the ratio is at least 1/2 in every trial",
        figure="proof",
    )
    claim = "proof: matrix Chernoff shows a width to suffice"
    for cell in cells_of(widths, "d", "n"):
        proven = middle(ds.sufficient_width.sel(d=int(cell.d), n=int(cell.n)))
        yield sufficient([proven], [cell], ".2g", Mark.DEPARTS).on(
            f"{claim} (d={int(cell.d)}, n={int(cell.n)})",
            (f"{proven:.3g} against " if proven == proven else "") + f"k* = {width_of(cell)}",
            claim,
            criterion="the proven width lies above the 95% interval of k*",
            figure="proof",
        )


def stress(study: Study) -> Iterator[Claim]:
    """Yield the critical widths of structured data beside those of the edge."""
    for cell in cells_of(study.widths, "dataset", "angle", "d", "n"):
        angle, kind = cell.angle.item(), cell.dataset.item()
        data = f"{kind}, n={cell.n.item()}" + (f", angle={angle:g}" if angle else "")
        alpha = float(cell.alpha)
        yield _structured(cell).on(
            f"{EDGE}: structured data ({data})" + (f": {_told(cell)}" if alpha == alpha else ""),
            width_of(cell) if np.isnan(float(cell.k50)) else f"k* = {width_of(cell)}",
            f"{EDGE}: structured data ({kind}), width over that of the edge",
            criterion=OFF,
            figure="stress",
            of_paper=False,
        )


def _structured(cell: xr.Dataset) -> Verdict:
    if str(cell.outcome.item()) == "degenerate":
        detail = f"{_told(cell)}: the theorem says nothing, and no width is predicted"
        return Verdict(Mark.FINDING, detail)
    verdict, edge = _beside_the_edge(cell), float(cell.k_edge_finite)
    if verdict.mark == Mark.OPEN and edge == edge:
        return replace(verdict, detail=f"the edge predicts {edge:.0f}")
    return verdict


def _told(cell: xr.Dataset) -> str:
    """Return alpha of a cell as text, or what is known of an alpha of 0."""
    alpha = float(cell.alpha)
    error = float(cell.alpha_error) if "alpha_error" in cell else np.nan
    if alpha > 0:
        return f"alpha = {alpha:.2e}"
    if error > 0:
        return f"alpha is lost to rounding (at most {error:.1e})"
    return "alpha = 0" + (" exactly" if error == 0 else "")


# --- the spectrum ---------------------------------------------------------------------------------


def figure1(study: Study) -> Iterator[Claim]:
    """Yield the smallest singular values, and the effect of more samples on both ends."""
    ds = done(study.ds)
    ratio, edge, k = ds.sigma_min / np.sqrt(ds.k), np.sqrt(ds.edge), int(ds.k.max())
    for name in ds.dataset.values:
        for n in ds.n.values:
            here = ratio.sel(dataset=name, n=n).values
            here = here[~np.isnan(here)]
            yield counted(here > 0).on(
                f"the paper's Figure 1: sigma_min stays above 0 ({name}, n={n}, k={k})",
                f"sigma_min/sqrt(k) = {np.min(here):.4f} at least; "
                f"{middle(edge.sel(dataset=name, n=n)):.4f} by the left edge"
                if here.size
                else "(none)",
                f"the paper's Figure 1: sigma_min stays above 0 ({name}, k={k})",
                criterion="sigma_min > 0 in every trial",
                figure="spectrum",
            )
        if ds.sizes["n"] > 1:
            yield _both_ends(str(name), *(ds.sel(dataset=name).isel(n=at) for at in (0, -1)))


def _both_ends(name: str, few: xr.Dataset, many: xr.Dataset) -> Claim:
    ends = "larger n amplifies the large singular values and dampens the small"
    claim = f"the paper's Figure 1: {ends} ({name})"
    more: dict[str, Any] = {
        "criterion": "the median of sigma_max grows with n, and that of sigma_min falls",
        "figure": "spectrum",
    }
    largest = middle(many.sigma_max / few.sigma_max)
    least = middle(many.sigma_min / few.sigma_min)
    if np.isnan(largest):
        return counted([]).on(claim, "(none)", **more)
    measured = (
        f"from n={int(few.n)} to {int(many.n)}: sigma_max times {largest:.2f}, "
        f"sigma_min times {least:.2f}"
    )
    if largest > 1 > least:
        return Verdict(Mark.HOLDS).on(claim, measured, **more)
    others = [dim for dim in few.status.dims if dim != "seed"]
    _, up = mean_interval((many.sigma_max / few.sigma_max).mean(others))
    down, _ = mean_interval((many.sigma_min / few.sigma_min).mean(others))
    if up < 1 or down > 1:
        return Verdict(Mark.DEPARTS, "it does not hold").on(claim, measured, **more)
    return Verdict(Mark.OPEN, "too few seeds to decide").on(claim, measured, **more)


def evolution(study: Study) -> Iterator[Claim]:
    """Yield the growth of the parts of the spectrum with n, d and k, as power laws in all cells."""
    cells = list(_spectra(study.ds))
    claim = "singular values of Phi / sqrt(k)"
    more: dict[str, Any] = {"figure": "evolution", "of_paper": False}
    for name, part in (
        ("the largest, sigma_max", "sigma_max"),
        ("the d outliers below it (their median)", "outliers"),
        ("the bulk (its median)", "bulk"),
    ):
        heights = [(float(getattr(levels, part)), *sizes) for levels, sizes in cells]
        measured, verdict = _power_law([row for row in heights if row[0] > 0])
        yield verdict.on(f"{claim}: {name}", measured, **more)
    ratios = [levels.sigma_min / levels.edge for levels, _ in cells if levels.edge > 0]
    detail = "the limiting law of the kernel's spectrum predicts it"
    yield (Verdict(Mark.FINDING, detail, middle(ratios)) if ratios else NOT_LOCATED).on(
        f"{claim}: the least, sigma_min",
        f"sigma_min over that of the limiting law {spread(ratios)} in {len(ratios)} cells",
        **more,
    )


def _spectra(ds: xr.Dataset) -> Iterator[tuple[Levels, tuple[int, int, int]]]:
    """Yield the levels and n, d, k of every cell and width with a bulk: more than d + 1 samples."""
    stacked = ds.stack(cell=[dim for dim in ds.status.dims if dim != "seed"])
    for index in range(stacked.sizes["cell"]):
        cell = stacked.isel(cell=index)
        n, d, k = (int(cell[name]) for name in ("n", "d", "k"))
        if n > d + 1 and (cell.status == Status.DONE).any():
            yield levels_of(cell), (n, d, k)


def _power_law(rows: Sequence[tuple[float, ...]]) -> tuple[str, Verdict]:
    """Fit exponents of n, d and k to heights, by least squares in logarithms.

    Parameters
    ----------
    rows
        A height with its n, d and k each.

    Returns
    -------
    measured, verdict
    """
    table: npt.NDArray[np.float64] = np.array(rows)
    design = np.column_stack([np.ones(len(table)), np.log(table[:, 1:])]) if len(table) else table
    if len(table) < 5 or np.linalg.matrix_rank(design) < 4:
        return "(too few cells)", NOT_LOCATED
    y = np.log(table[:, 0])
    found, *_ = np.linalg.lstsq(design, y, rcond=None)
    residual = float(np.sqrt(np.mean((y - design @ found) ** 2)))
    powers = zip("ndk", found[1:], strict=True)
    law = " ".join(f"{name}^({round(power, 2) + 0.0:.2f})" for name, power in powers)
    return f"{law} in {len(table)} cells", Verdict(Mark.FINDING, f"to {residual:.0%} (rms)")
