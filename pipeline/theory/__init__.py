"""Exact theory: population kernels, and the generalised Marchenko-Pastur law of their eigenvalues.

Public interface: `kernel_matrix` and `alpha` of a dataset, `left_edge` and `critical_width` of the
eigenvalues of a kernel.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline.theory.kernels import alpha, kernel_matrix
    from pipeline.theory.marchenko_pastur import critical_width, left_edge

__all__ = ["alpha", "critical_width", "kernel_matrix", "left_edge"]

_HOMES = {
    "alpha": "pipeline.theory.kernels",
    "kernel_matrix": "pipeline.theory.kernels",
    "critical_width": "pipeline.theory.marchenko_pastur",
    "left_edge": "pipeline.theory.marchenko_pastur",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:  # imported on first use, so that one module does not cost the import of all
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
