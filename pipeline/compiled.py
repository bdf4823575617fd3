"""The one way in which loops are compiled: by numba, single-threaded, kept on disk where possible.

Sums may be reordered (the same machine code still gives the same bits every time), but nothing else
is relaxed: infinities and NaN keep their meaning, by which divergence is told.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba

__all__ = ["compiled"]

RELAXED = {"reassoc", "contract", "nsz", "arcp"}


def compiled(function: Callable[..., Any]) -> Any:
    """Compile a function at its first call; later processes load it from numba's cache."""
    try:
        return numba.njit(function, cache=True, fastmath=RELAXED, nogil=True)
    except RuntimeError:  # no folder that may be written: every process compiles for itself
        return numba.njit(function, fastmath=RELAXED, nogil=True)
