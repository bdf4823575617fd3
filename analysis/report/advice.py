"""Why the section of a store shows no critical width, and the commands that could give one."""

from __future__ import annotations

import math
import shlex
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import xarray as xr

from analysis.report.diagram import SIDES, Diagram
from analysis.transitions.scales import other_axes

__all__ = ["FEWEST_WIDTHS", "Advice", "advice_on_sides", "advice_on_widths"]

FEWEST_WIDTHS = 3
"""Stores with fewer widths are not meant to locate a transition."""

NO_WIDTH = ("k", 1.0)
"""Unit and width of trials that have no width."""


@dataclass(frozen=True)
class Advice:
    """Why there is no critical width.

    Attributes
    ----------
    lead, text
        What is missing, in a few words, and why.
    ways
        Commands, and what each does.
    """

    lead: str
    text: str
    ways: list[tuple[str, str]]


def advice_on_widths(ds: xr.Dataset, store: str) -> Advice | None:
    """Return that a store has too few widths for a threshold; None if it has enough."""
    widths = ds.sizes["width"]
    if widths >= FEWEST_WIDTHS:
        return None
    extend = [] if _unit_and_least(ds) == NO_WIDTH else [_extend(ds, store, "above")]
    if widths > 1:
        fit = (_line("fit", store), "fits the widths that are there")
        return Advice(
            "Two widths.", f"The page looks for a threshold from {FEWEST_WIDTHS} on.", [*extend, fit]
        )
    along = [
        (_line("fit", store, "--along", axis), f"seeks the {axis} at which success changes")
        for axis in sorted(other_axes(ds), key="n".__ne__)[:1]
    ]
    return Advice(
        "One width.", "A threshold lies between widths: one width has none.", [*extend, *along]
    )


def advice_on_sides(diagram: Diagram, ds: xr.Dataset, store: str) -> Advice | None:
    """Return where the critical widths lie of which none has an interval; None if one has."""
    sides = diagram.sides()
    if diagram.range_text("") or (diagram.is_located and not sides):
        return None
    text = diagram.outcomes(diagram.frames - 1)
    if diagram.frames > 1:
        text += " at the finest tolerance and the longest budget"
        text += "" if diagram.is_located else ", and none is located elsewhere"
    if sides:
        text += f": {diagram.sides_text()}"
    if not diagram.is_located:
        text += ". There is no law to fit or to draw"
    return Advice("No critical width is located.", f"{text}.", list(_wider(sides, ds, store)))


def _wider(sides: Counter[str], ds: xr.Dataset, store: str) -> Iterator[tuple[str, str]]:
    """Yield the commands that add widths on the sides where critical widths are missed."""
    found = {SIDES[side].end for side in sides}
    _, least = _unit_and_least(ds)
    if "above" in found:
        yield _extend(ds, store, "above")
    if "below" in found and not (_is_whole(ds) and least < 2):  # no width is narrower than 1
        yield _extend(ds, store, "below")


def _extend(ds: xr.Dataset, store: str, end: str) -> tuple[str, str]:
    """Return the command that adds a width twice as far as the last one on a side."""
    widths = ds.width.values
    new = 2 * float(widths.max()) if end == "above" else float(widths.min()) / 2
    text = str(math.floor(new)) if _is_whole(ds) else f"{new:g}"
    name = "larger" if end == "above" else "smaller"
    return _line("extend", store, "--width", text), f"adds a {name} width"


def _unit_and_least(ds: xr.Dataset) -> tuple[str, float]:
    return str(ds.attrs.get("width_unit", "")), float(ds.width.values.min())


def _is_whole(ds: xr.Dataset) -> bool:
    return bool(ds.width.dtype.kind in "iu")


def _line(*words: str) -> str:
    return shlex.join(["widthlaw", *words])
