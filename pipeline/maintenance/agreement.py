"""When do two computations of one trial agree? And how a trial is told in a message.

On one platform (machine, BLAS and its kernels, versions of the numerical packages) every bit must be
equal. On two, values must agree to `RELATIVE`, or to `ABSOLUTE` where they are of the size of
rounding, and a number of steps may differ by one: a loss that comes to just its tolerance is decided
by the last digit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.blocks import Block
from pipeline.sweep import Sweep

__all__ = ["TIMING", "differing", "one_platform", "told_block", "told_trial"]

RELATIVE, ABSOLUTE = 1e-8, 1e-12

TIMING = "seconds"
"""The variable that never agrees."""

STEPS = "steps_to_tolerance"

DECISIVE = ("numpy", "scipy", "numba")
"""Packages whose version may move the last bit."""


def one_platform(provenances: Iterable[Mapping[str, Any]]) -> bool:
    """Whether all trials were computed on one platform, as far as the provenance of stores tells.

    Parameters
    ----------
    provenances
        Of stores, each with those of the stores that it was made of, or of this process.
    """
    told = [one for given in provenances for one in (given, *given.get("sources", ()))]
    return all(_alike(told[0], other) for other in told[1:])


def _alike(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    def versions(told: Mapping[str, Any]) -> list[Any]:
        return [told.get("packages", {}).get(name) for name in DECISIVE]

    def libraries(told: Mapping[str, Any]) -> set[Any]:
        return {tuple(sorted(map(str, info.items()))) for info in told.get("blas", ())}

    def machine(told: Mapping[str, Any]) -> list[str]:
        words = str(told.get("platform", "")).split("-")
        return [words[0], *words[2:]]  # the version of the kernel moves no bit

    first, second = libraries(one), libraries(other)
    return (
        machine(one) == machine(other)
        and versions(one) == versions(other)
        and (first <= second or second <= first)  # which are loaded depends on what was imported
    )


def differing(
    name: str, one: NDArray[Any], other: NDArray[Any], exact: bool = True
) -> NDArray[np.bool_]:
    """Where two arrays of a variable do not agree; NaN agrees with NaN.

    Parameters
    ----------
    name
        The variable.
    one, other
        Of the same shape.
    exact
        Whether bits must be equal.
    """
    if one.dtype.kind != "f":
        return np.asarray(one != other, dtype=bool)
    same = np.ascontiguousarray(one).view(np.uint64) == np.ascontiguousarray(other).view(np.uint64)
    if not exact:
        near = np.isclose(one, other, rtol=RELATIVE, atol=ABSOLUTE, equal_nan=True)
        if name == STEPS:
            with np.errstate(invalid="ignore"):  # never and never
                near |= np.abs(one - other) <= 1
        same |= near
    return np.asarray(~same)


def told_trial(sweep: Sweep, index: tuple[int, ...], width: int, seed: int) -> str:
    """The coordinates of a trial, given its place on each axis: ``d=20 n=100 width=1.5 seed=4``."""
    return f"{_told_cell(sweep, index)} width={sweep.width[width]:g} seed={sweep.seeds[seed]}"


def told_block(sweep: Sweep, block: Block) -> str:
    """The coordinates of a block: ``d=20 n=100 seeds 4-7``, with its widths where it has not all."""
    told = _told_cell(sweep, block.cell.index)
    if len(block.cell.widths) < len(sweep.width):
        widths = sweep.width[block.widths]
        told += f" width={widths[0]:g}" + (f"-{widths[-1]:g}" if len(widths) > 1 else "")
    seeds = sweep.seeds[block.seeds]
    if len(seeds) == 1:
        return f"{told} seed {seeds[0]}"
    if seeds == tuple(range(seeds[0], seeds[0] + len(seeds))):
        return f"{told} seeds {seeds[0]}-{seeds[-1]}"
    return f"{told} {len(seeds)} seeds from {seeds[0]} to {seeds[-1]}"


def _told_cell(sweep: Sweep, index: tuple[int, ...]) -> str:
    at = zip(sweep.axes, index, strict=True)
    return " ".join(f"{axis}={sweep.labels(axis)[i]}" for axis, i in at)
