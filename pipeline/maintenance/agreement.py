"""Agreement of two computations of one trial, and labels of trials in messages.

On one platform (processor, system, BLAS and its kernels, versions of the numerical packages) every
bit must be equal. On two platforms values must agree to `RELATIVE` (`SINGLE` where training is in
float32), or to `ABSOLUTE` where they are as small as rounding errors. A number of steps may differ by
one, because the last digit of the loss decides whether it has just reached its tolerance.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.blocks import Tile
from pipeline.sweep import Sweep

__all__ = ["TIMING", "agreement_of", "differing", "one_platform", "tile_label", "trial_label"]

RELATIVE, SINGLE, ABSOLUTE = 1e-8, 1e-4, 1e-12

TIMING = "seconds"
"""The variable that is not compared."""

STEPS = ("steps_to_tolerance", "steps_to_accuracy", "steps_to_loss")

DECISIVE = ("numpy", "scipy", "numba")
"""Packages whose version may change the last bit."""


# ---- agreement


def one_platform(provenances: Iterable[Mapping[str, Any]]) -> bool:
    """Return True if all trials were computed on one platform, according to their provenance.

    Parameters
    ----------
    provenances
        Provenance of stores, with that of their sources inside, or of this process.
    """
    records = [one for given in provenances for one in (given, *given.get("sources", ()))]
    return all(_same_platform(records[0], other) for other in records[1:])


def _same_platform(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    def versions(record: Mapping[str, Any]) -> list[Any]:
        return [record.get("packages", {}).get(name) for name in DECISIVE]

    def libraries(record: Mapping[str, Any]) -> set[Any]:
        return {tuple(sorted(map(str, info.items()))) for info in record.get("blas", ())}

    def machine(record: Mapping[str, Any]) -> list[str]:
        head, _, libc = str(record.get("platform", "")).partition("-with-")
        system, *_release, name = head.split("-") if libc else [head, ""]
        return [system, name, libc]  # the release of Linux changes no bit

    first, second = libraries(one), libraries(other)
    return (
        one.get("processor") is not None  # stores of 0.4.0 do not tell it
        and one["processor"] == other.get("processor")
        and machine(one) == machine(other)
        and versions(one) == versions(other)
        and (first <= second or second <= first)  # which are loaded depends on what was imported
    )


def agreement_of(sweep: Sweep) -> float:
    """Return how far the values of a sweep may differ on two platforms, relative to them."""
    settings = dict(sweep.descent.settings) if sweep.descent is not None else {}
    return SINGLE if "float32" in np.ravel(settings.get("precision", "float64")) else RELATIVE


def differing(
    name: str,
    one: NDArray[Any],
    other: NDArray[Any],
    exact: bool = True,
    relative: float = RELATIVE,
) -> NDArray[np.bool_]:
    """Return a mask of the elements that do not agree; NaN agrees with NaN.

    Parameters
    ----------
    name
        Name of the variable.
    one, other
        Its values, in the same shape.
    exact
        If True, bits must be equal.
    relative
        How far values may differ otherwise, relative to them.
    """
    if one.dtype.kind != "f":
        return np.asarray(one != other, dtype=bool)
    same = np.ascontiguousarray(one).view(np.uint64) == np.ascontiguousarray(other).view(np.uint64)
    if not exact:
        near = np.isclose(one, other, rtol=relative, atol=ABSOLUTE, equal_nan=True)
        if name in STEPS:
            with np.errstate(invalid="ignore"):  # infinity minus infinity: never reached in both
                near |= np.abs(one - other) <= 1
        same |= near
    return np.asarray(~same)


# ---- labels


def trial_label(sweep: Sweep, cell_index: tuple[int, ...], width: int, seed: int) -> str:
    """Return the coordinates of a trial, given its indices: ``d=20 n=100 width=1.5 seed=4``."""
    return f"{_cell_label(sweep, cell_index)} width={sweep.width[width]:g} seed={sweep.seeds[seed]}"


def tile_label(sweep: Sweep, tile: Tile) -> str:
    """Return the coordinates of a tile: ``d=20 n=100-200 seeds 4-7``, with widths unless it has all."""
    block, last = tile.first, tile.blocks[-1]
    label = " ".join(
        f"{axis}={sweep.labels(axis)[at]}" + (f"-{sweep.labels(axis)[end]}" if end != at else "")
        for axis, at, end in zip(sweep.axes, block.cell.index, last.cell.index, strict=True)
    )
    if len(block.cell.widths) < len(sweep.width):
        widths = sweep.width[block.widths]
        label += f" width={widths[0]:g}" + (f"-{widths[-1]:g}" if len(widths) > 1 else "")
    seeds = sweep.seeds[block.seeds]
    if len(seeds) == 1:
        return f"{label} seed {seeds[0]}"
    if seeds == tuple(range(seeds[0], seeds[0] + len(seeds))):
        return f"{label} seeds {seeds[0]}-{seeds[-1]}"
    return f"{label} {len(seeds)} seeds from {seeds[0]} to {seeds[-1]}"


def _cell_label(sweep: Sweep, cell_index: tuple[int, ...]) -> str:
    pairs = zip(sweep.axes, cell_index, strict=True)
    return " ".join(f"{axis}={sweep.labels(axis)[index]}" for axis, index in pairs)
