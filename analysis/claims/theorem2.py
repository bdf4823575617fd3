"""Claims of Theorem 2 and its proof, of data on which alpha is small, and of Figure 1."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import xarray as xr
from scipy import special

from analysis.claims.rows import (
    Claim,
    Mark,
    cells_of,
    done,
    is_located,
    judged,
    mean_interval,
    middle,
    spread,
    sufficient,
    width_of,
)
from analysis.scaling import fit_laws
from analysis.study import Study
from pipeline.trial_status import Status

__all__ = ["evolution", "figure1", "proof", "stress", "theorem2"]

FOLLOWS = 1.25
"""Measured over predicted width, or its inverse, below which data follow the random-matrix edge."""

EDGE = "Random-matrix edge (no claim of the paper)"


def theorem2(study: Study) -> Iterator[Claim]:
    """Each critical width beside the edge's, and how loose the theorem's width is."""
    widths = study.widths
    width = "width for sigma_min >= alpha sqrt(k)/2"
    for cell in cells_of(widths, "d", "n"):
        edge, limit = float(cell.k_edge_finite), float(cell.k_edge)
        predicted = f"{edge:.0f} by the edge, {limit:.0f} for n to infinity"
        yield Claim(
            f"{EDGE}: {width} (d={int(cell.d)}, n={int(cell.n)})",
            f"k* = {width_of(cell)}; {predicted if edge == edge else 'alpha is not known'}",
            group=f"{EDGE}: {width}, over that of the edge",
            **_beside_the_edge(cell),
        )
    cells = [c for c in cells_of(widths, "d", "n") if is_located(c)]
    asked = [_theorem_width(int(c.n), float(c.alpha)) for c in cells]
    ratios = [k / float(c.k50) for k, c in zip(asked, cells, strict=True)]
    yield Claim(
        "Theorem 2: k >= n log n log k / alpha^2 is sufficient (constant 1)",
        f"that width over k* = {spread(ratios)}; best law by AICc: {_best_law(widths)}",
        **sufficient(asked, cells),
    )


def _beside_the_edge(cell: xr.Dataset) -> dict[str, Any]:
    """Verdict, mark and factor of a critical width beside the edge's: whichever way, a finding.

    It is told to be off the edge only where all of its interval is.
    """
    edge = float(cell.k_edge_finite)
    if not is_located(cell):
        return {"verdict": "not located", "mark": Mark.OPEN}
    if not np.isfinite(edge):
        return {"verdict": "the edge predicts no width", "mark": Mark.FINDING}
    low, times, high = (float(cell[name]) / edge for name in ("k50_low", "k50", "k50_high"))
    if 1 / FOLLOWS < times < FOLLOWS:
        verdict = f"within {abs(times - 1):.0%} of the edge"
    elif low > FOLLOWS or high < 1 / FOLLOWS:
        verdict = f"off the edge by a factor of {max(times, 1 / times):.2g}"
    else:
        verdict = f"{times:.2g} times the edge, by its interval perhaps within {FOLLOWS - 1:.0%} of it"
    return {"verdict": verdict, "mark": Mark.FINDING, "factor": times}


def _best_law(widths: xr.Dataset) -> str:
    try:
        return str(fit_laws(widths).iloc[0]["law"])
    except ValueError:
        return "(too few widths)"


def _theorem_width(n: int, alpha: float) -> float:
    """The k solving k = n log n log k / alpha^2: the larger root."""
    scale = n * np.log(n) / alpha**2
    return float(-scale * special.lambertw(-1 / scale, -1).real)


def proof(study: Study) -> Iterator[Claim]:
    """How loose each step of the proof is, and the width that it shows to suffice."""
    ds, widths = done(study.ds), study.widths
    share = (ds.feature_norm / ds.delta_squared).values[(ds.status == Status.DONE).values]
    yield Claim(
        "proof, (6): all k rows have ||phi(z)|| <= delta sqrt(n) (with probability 1/2)",
        f"largest ||phi(z)||^2 / n over delta^2 = {spread(share)}",
        **_loose(share <= 1, 1 / middle(share), 0.5),
    )
    left = (ds.truncated_at_sufficient / ds.alpha**2).values
    left = left[~np.isnan(left)]
    yield Claim(
        "proof: truncation leaves alpha^2 / 2 of K (at the width that the proof asks for)",
        f"lower bound over alpha^2 = {spread(left)}",
        **_loose(left >= 0.5, middle(left) / 0.5),
    )
    for cell in cells_of(widths, "d", "n"):
        asked = middle(ds.sufficient_width.sel(d=int(cell.d), n=int(cell.n)))
        known = [cell] if is_located(cell) else []
        claim = "proof: matrix Chernoff shows a width to suffice"
        yield Claim(
            f"{claim} (d={int(cell.d)}, n={int(cell.n)})",
            (f"{asked:.3g} against " if asked == asked else "") + f"k* = {width_of(cell)}",
            group=claim,
            **sufficient([asked] * len(known), known, ".2g", Mark.DEPARTS),
        )


def _loose(holds: Any, factor: float, share: float = 1.0) -> dict[str, Any]:
    words = judged(holds, f", loose by a factor of {factor:.2g}", Mark.LOOSE, share)
    return words | {"factor": factor if np.isfinite(factor) else None}


def stress(study: Study) -> Iterator[Claim]:
    """Where data with structure leave the prediction of the edge."""
    for cell in cells_of(study.widths, "dataset", "angle", "d", "n"):
        angle = cell.angle.item()
        where = f"{cell.dataset.item()}, n={cell.n.item()}" + (f", angle={angle:g}" if angle else "")
        edge, alpha = float(cell.k_edge_finite), float(cell.alpha)
        found = _beside_the_edge(cell)
        if str(cell.outcome.item()) == "degenerate":
            found["verdict"] = "alpha = 0: the theorem says nothing, and no width is predicted"
            found["mark"] = Mark.FINDING
        elif found["mark"] == Mark.OPEN and edge == edge:
            found["verdict"] += f"; the edge predicts {edge:.0f}"
        yield Claim(
            f"{EDGE}: structured data ({where})" + (f": alpha = {alpha:.2e}" if alpha == alpha else ""),
            width_of(cell) if np.isnan(float(cell.k50)) else f"k* = {width_of(cell)}",
            group=f"{EDGE}: structured data ({cell.dataset.item()}), width over that of the edge",
            **found,
        )


def figure1(study: Study) -> Iterator[Claim]:
    """Whether sigma_min stays above 0, and what more samples do to both ends of the spectrum."""
    ds = done(study.ds)
    ratio, edge, k = ds.sigma_min / np.sqrt(ds.k), np.sqrt(ds.edge), int(ds.k.max())
    for name in ds.dataset.values:
        for n in ds.n.values:
            here = ratio.sel(dataset=name, n=n).values
            here = here[~np.isnan(here)]
            yield Claim(
                f"Figure 1: sigma_min stays above 0 ({name}, n={n}, k={k})",
                f"sigma_min/sqrt(k) = {np.min(here):.4f} at least; "
                f"{middle(edge.sel(dataset=name, n=n)):.4f} by the left edge"
                if here.size
                else "(none)",
                group=f"Figure 1: sigma_min stays above 0 ({name}, k={k})",
                **judged(here > 0),
            )
        if ds.sizes["n"] > 1:
            yield _both_ends(str(name), *(ds.sel(dataset=name).isel(n=at) for at in (0, -1)))


def _both_ends(name: str, few: xr.Dataset, many: xr.Dataset) -> Claim:
    claim = f"Figure 1: larger n amplifies the large singular values and dampens the small ({name})"
    largest = middle(many.sigma_max / few.sigma_max)
    least = middle(many.sigma_min / few.sigma_min)
    if np.isnan(largest):
        return Claim(claim, "(none)", **judged([]))
    measured = (
        f"from n={int(few.n)} to {int(many.n)}: sigma_max times {largest:.2f}, "
        f"sigma_min times {least:.2f}"
    )
    if largest > 1 > least:
        return Claim(claim, measured, "holds", Mark.HOLDS)
    others = [dim for dim in few.status.dims if dim != "seed"]
    _, up = mean_interval((many.sigma_max / few.sigma_max).mean(others))
    down, _ = mean_interval((many.sigma_min / few.sigma_min).mean(others))
    if up < 1 or down > 1:
        return Claim(claim, measured, "does not hold", Mark.DEPARTS)
    return Claim(claim, measured, "not located well enough: too few seeds to tell", Mark.OPEN)


def evolution(study: Study) -> Iterator[Claim]:
    """How the parts of the spectrum grow with n, d and k: power laws through all cells at once."""
    levels = _levels(study.ds)
    for name, part in (
        ("the largest, sigma_max", "sigma_max"),
        ("the d outliers below it (their median)", "outliers"),
        ("the bulk (its median)", "bulk"),
    ):
        rows = [(row[part], row["n"], row["d"], row["k"]) for row in levels if row[part] > 0]
        yield Claim(
            f"Figure 1 leaves open how singular values of Phi / sqrt(k) evolve: {name}",
            *_power_law(np.array(rows)),
        )
    ratios = [row["sigma_min"] / row["edge"] for row in levels if row["edge"] > 0]
    yield Claim(
        "Figure 1 leaves open how singular values of Phi / sqrt(k) evolve: the least, sigma_min",
        f"sigma_min over that of the limiting law {spread(ratios)} in {len(ratios)} cells",
        "finding: the limiting law of the kernel's spectrum predicts it" if ratios else "not located",
        Mark.FINDING if ratios else Mark.OPEN,
        middle(ratios) if ratios else None,
    )


def _levels(ds: xr.Dataset) -> list[dict[str, float]]:
    """Of every cell with more samples than d + 1 the heights of its spectrum, medians over seeds."""
    levels = []
    kept = ds.stack(cell=[dim for dim in ds.status.dims if dim != "seed"])
    for place in range(kept.sizes["cell"]):
        cell = kept.isel(cell=place)
        cell = cell.isel(seed=np.flatnonzero(cell.status == Status.DONE))
        n, d, k = (int(cell[name]) for name in ("n", "d", "k"))
        if n > d + 1 and cell.sizes["seed"]:
            values = np.median(cell.singular_values.values.T[:n], axis=1) / np.sqrt(k)
            levels.append(
                {"n": n, "d": d, "k": k, "sigma_max": values[0], "sigma_min": values[-1]}
                | {"outliers": np.median(values[1 : d + 1]), "bulk": np.median(values[d + 1 :])}
                | {"edge": float(np.sqrt(np.median(cell.edge)))}
            )
    return levels


def _power_law(rows: np.ndarray[Any, np.dtype[np.float64]]) -> tuple[str, str, Mark]:
    """Exponents of n, d and k of the first column, by least squares in logarithms."""
    design = np.column_stack([np.ones(len(rows)), np.log(rows[:, 1:])]) if len(rows) else rows
    if len(rows) < 5 or np.linalg.matrix_rank(design) < 4:
        return "(too few cells)", "not located", Mark.OPEN
    y = np.log(rows[:, 0])
    found, *_ = np.linalg.lstsq(design, y, rcond=None)
    residual = float(np.sqrt(np.mean((y - design @ found) ** 2)))
    powers = zip("ndk", found[1:], strict=True)
    law = " ".join(f"{name}^({round(power, 2) + 0.0:.2f})" for name, power in powers)
    return f"{law} in {len(rows)} cells", f"finding, to {residual:.0%} (rms)", Mark.FINDING
