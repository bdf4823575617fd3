"""The end of failures and the beginning of successes, in rows of counts over ascending widths."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["brackets", "first", "last", "mixed_range", "separated"]

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Indices = npt.NDArray[np.intp]


def first(flags: Bools) -> Indices:
    """Return the index of the first true entry of each row; the row's length if there is none."""
    return np.where(flags.any(axis=1), flags.argmax(axis=1), flags.shape[1])


def last(flags: Bools) -> Indices:
    """Return the index of the last true entry of each row; -1 if there is none."""
    return flags.shape[1] - 1 - first(flags[:, ::-1])


def separated(successes: Floats, failures: Floats) -> Bools:
    """Return the rows whose failures end where their successes begin: any steep curve fits them."""
    found: Bools = last(failures > 0) <= first(successes > 0)
    return found


def brackets(log_k: Floats, successes: Floats, failures: Floats) -> tuple[Floats, Floats]:
    """Return the last width of the failing majority and the first of the succeeding one, per row.

    Widths without trials are ignored.
    """
    tried, at = successes + failures > 0, np.arange(len(log_k))
    before = at < first(tried & (successes >= failures))[:, None]
    after = at > last(tried & (failures >= successes))[:, None]
    low = np.where(tried & before, log_k, -np.inf).max(axis=1)
    high = np.where(tried & after, log_k, np.inf).min(axis=1)
    return low, high


def mixed_range(log_k: Floats, successes: Floats, failures: Floats) -> tuple[float, float]:
    """Return the last width up to which all fail and the first from which all succeed, of one row."""
    before = first(successes[None] > 0)[0] - 1
    after = last(failures[None] > 0)[0] + 1
    return float(log_k[max(before, 0)]), float(log_k[min(after, len(log_k) - 1)])
