"""The kinds of figures, in the words of the help: no library is needed to list them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

__all__ = ["KINDS"]

KINDS: Mapping[str, str] = MappingProxyType(
    {
        "spectrum": "singular values of Φ, as in Figure 1 of the paper",
        "density": "eigenvalues of ΦᵀΦ/k with the limiting density",
        "evolution": "outliers, bulk and edges of the spectrum against n, k and d",
        "phase": "share of seeds that succeed, over n and k",
        "success": "success curves, if named or with --along or --lapse",
        "laws": "critical width against n, with the best laws",
        "ratios": "critical width over n, n log n and n log n / α²",
        "collapse": "success curves on one curve, and how the transition sharpens",
        "stress": "α and critical widths of structured data",
        "curves": "loss against steps of descent",
        "budget": "critical width against the budget of steps",
        "slowing": "steps against width, and the width for any budget",
        "thresholds": "critical width of training against n/d",
        "tangent": "least NTK eigenvalue at the start against weights per sample",
        "layers": "success with v, W or both trained",
        "depth": "success and conditioning for each depth",
        "certificate": "bounds of Theorem 1 against what descent does",
        "proof": "each step of the proof of Theorem 2 against what it bounds",
        "generalisation": "gap between test and training loss",
        "values": "each number that trials of one's own return",
        "regression": "limit, distance and rate of linear regression",
    }
)
"""One line for each kind, in the order in which they are drawn."""
