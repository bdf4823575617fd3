"""Claims of Theorem 2 and its proof, of data on which alpha is small, and of Figure 1."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import xarray as xr
from scipy import special

from analysis import fit_laws
from analysis.claims.rows import (
    Claim,
    Mark,
    cells_of,
    done,
    is_located,
    judged,
    middle,
    spread,
    width_of,
)
from analysis.figures import Study
from pipeline.status import Status

__all__ = ["evolution", "figure1", "proof", "stress", "theorem2"]

FOLLOWS = 1.25
"""Measured over predicted width below which data are said to follow the random-matrix edge."""


def theorem2(study: Study) -> Iterator[Claim]:
    """Each critical width beside the edge's, and how loose the theorem's width is."""
    widths = study.widths
    for cell in cells_of(widths, "d", "n"):
        edge, limit = float(cell.k_edge_finite), float(cell.k_edge)
        predicted = f"{edge:.0f} by the edge, {limit:.0f} for n to infinity"
        off = abs(float(cell.k50) / edge - 1)
        yield Claim(
            f"Theorem 2: width for sigma_min >= alpha sqrt(k)/2 (d={int(cell.d)}, n={int(cell.n)})",
            f"k* = {width_of(cell)}; {predicted if edge == edge else 'alpha is not known'}",
            f"within {off:.0%} of the edge" if is_located(cell) else "not located",
            (Mark.HOLDS if off < FOLLOWS - 1 else Mark.DEPARTS) if is_located(cell) else Mark.OPEN,
            float(cell.k50) / edge if is_located(cell) else None,
            "Theorem 2: width for sigma_min >= alpha sqrt(k)/2, over that of the edge",
        )
    cells = [c for c in cells_of(widths, "d", "n") if is_located(c)]
    factors = [_theorem_width(int(c.n), float(c.alpha)) / float(c.k50) for c in cells]
    if factors:
        factor = middle(factors)
        yield Claim(
            "Theorem 2: k >= n log n log k / alpha^2 is sufficient (constant 1)",
            f"that width over k* = {spread(factors)}; best law by AICc: {_best_law(widths)}",
            f"sufficient, loose by a factor of {factor:.3g}",
            Mark.LOOSE,
            factor,
        )


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
    factor = 1 / middle(share)
    yield Claim(
        "proof, (6): all k rows have ||phi(z)|| <= delta sqrt(n) (with probability 1/2)",
        f"largest ||phi(z)||^2 / n over delta^2 = {spread(share)}",
        **judged(share <= 1, f", loose by a factor of {factor:.2g}", Mark.LOOSE) | {"factor": factor},
    )
    left = (ds.truncated_at_sufficient / ds.alpha**2).values
    left = left[~np.isnan(left)]
    factor = middle(left) / 0.5
    yield Claim(
        "proof: truncation leaves alpha^2 / 2 of K (at the width that the proof asks for)",
        f"lower bound over alpha^2 = {spread(left)}",
        **judged(left >= 0.5, f", loose by a factor of {factor:.2g}", Mark.LOOSE) | {"factor": factor},
    )
    for cell in cells_of(widths, "d", "n"):
        asked = middle(ds.sufficient_width.sel(d=int(cell.d), n=int(cell.n)))
        if is_located(cell):
            factor = asked / float(cell.k50)
            yield Claim(
                f"proof: matrix Chernoff shows a width to suffice (d={int(cell.d)}, n={int(cell.n)})",
                f"{asked:.3g} against k* = {width_of(cell)}",
                f"sufficient, loose by a factor of {factor:.2g}",
                Mark.LOOSE,
                factor,
                "proof: matrix Chernoff shows a width to suffice",
            )


def stress(study: Study) -> Iterator[Claim]:
    """Where data with structure leave the prediction of the edge."""
    for cell in cells_of(study.widths, "dataset", "angle", "d", "n"):
        angle = cell.angle.item()
        where = f"{cell.dataset.item()}, n={cell.n.item()}" + (f", angle={angle:g}" if angle else "")
        edge, alpha, times = float(cell.k_edge_finite), float(cell.alpha), None
        if str(cell.outcome.item()) == "degenerate":
            verdict = "alpha = 0: the theorem says nothing, and no width is predicted"
            mark = Mark.FINDING
        elif is_located(cell):
            times = float(cell.k50) / edge
            follows = times < FOLLOWS
            word = "follows the edge" if follows else "departs from the edge: structure matters"
            verdict = f"{word} ({times:.2g} times its width)"
            mark = Mark.HOLDS if follows else Mark.DEPARTS
        else:
            verdict, mark = "not located", Mark.OPEN
            if edge == edge:
                verdict += f"; the edge predicts {edge:.0f}"
        yield Claim(
            f"structured data ({where})" + (f": alpha = {alpha:.2e}" if alpha == alpha else ""),
            f"k* = {width_of(cell)}" if is_located(cell) else str(cell.outcome.item()),
            verdict,
            mark,
            times,
            f"structured data ({cell.dataset.item()}): width over that of the edge",
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
        few, many = (ds.sel(dataset=name).isel(n=at) for at in (0, -1))
        largest = middle(many.sigma_max / few.sigma_max)
        least = middle(many.sigma_min / few.sigma_min)
        holds = [largest > 1 > least] if largest == largest else []
        yield Claim(
            f"Figure 1: larger n amplifies the large singular values and dampens the small ({name})",
            f"from n={int(few.n)} to {int(many.n)}: sigma_max times {largest:.2f}, "
            f"sigma_min times {least:.2f}",
            **judged(holds) | ({"verdict": "holds" if holds[0] else "does not hold"} if holds else {}),
        )


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
