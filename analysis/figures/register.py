"""The register of figures: which function draws a kind, and which stores it suits.

A new figure is a function in the file of its subject, a line here, and a line in `kinds`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType

import xarray as xr

from analysis.figures.certificate import certificate_figure
from analysis.figures.collapse import collapse_figure
from analysis.figures.density import density_figure
from analysis.figures.descent import curves_caption, curves_figure, depth_figure, layers_figure
from analysis.figures.looks.chart import Chart
from analysis.figures.loss_gap import generalisation_figure
from analysis.figures.own_values import own_numbers, values_figure
from analysis.figures.phase import phase_figure
from analysis.figures.proof_steps import proof_figure
from analysis.figures.regression import regression_figure
from analysis.figures.singular_values import evolution_figure, spectrum_figure
from analysis.figures.slowing import slowing_figure
from analysis.figures.thresholds import budget_figure, thresholds_figure
from analysis.figures.transition import laws_caption, laws_figure, ratios_figure, stress_figure
from analysis.study import Study
from analysis.success import Success
from pipeline.errors import InputError

__all__ = ["FIGURES", "Picture", "draw", "kinds_for"]


@dataclass(frozen=True)
class Picture:
    """A kind of figure.

    Attributes
    ----------
    draw
        Draws the figure of a study; its docstring is the caption.
    suits
        Returns True for the stores that the figure suits.
    more
        Adds sentences to the caption that hold for this store only.
    """

    draw: Callable[[Study], Chart]
    suits: Callable[[xr.Dataset], bool]
    more: Callable[[Study], str] = lambda study: ""

    def caption(self, study: Study) -> str:
        """Return the caption of the figure of a store."""
        return " ".join(f"{self.draw.__doc__ or ''} {self.more(study)}".split())


def _is(ds: xr.Dataset, experiment: str) -> bool:
    return bool(ds.attrs.get("experiment") == experiment)


def _has_widths(ds: xr.Dataset) -> bool:
    """Return True if descent was run at several widths."""
    return "steps_to_tolerance" in ds and ds.sizes["width"] > 1


def _has_thresholds(ds: xr.Dataset) -> bool:
    """Return True if descent was run at several widths and several n."""
    return _has_widths(ds) and ds.sizes["n"] > 1


FIGURES = MappingProxyType(
    {
        "spectrum": Picture(spectrum_figure, lambda ds: _is(ds, "spectrum") and ds.sizes["width"] == 1),
        "density": Picture(density_figure, lambda ds: _is(ds, "spectrum") and ds.sizes["width"] == 1),
        "evolution": Picture(
            evolution_figure, lambda ds: _is(ds, "spectrum") and ds.sizes["width"] > 1
        ),
        "phase": Picture(phase_figure, lambda ds: _is(ds, "conditioning") or _has_widths(ds)),
        "laws": Picture(
            laws_figure, lambda ds: _is(ds, "conditioning") or _has_thresholds(ds), laws_caption
        ),
        "ratios": Picture(ratios_figure, lambda ds: _is(ds, "conditioning")),
        "collapse": Picture(
            collapse_figure,
            lambda ds: _is(ds, "conditioning") and ds.sizes["n"] > 1 and ds.sizes["width"] > 2,
        ),
        "stress": Picture(stress_figure, lambda ds: _is(ds, "conditioning") and "angle" in ds.dims),
        "curves": Picture(curves_figure, lambda ds: "loss_curve" in ds, curves_caption),
        "budget": Picture(budget_figure, lambda ds: _is(ds, "input") or _is(ds, "output")),
        "slowing": Picture(slowing_figure, _has_widths),
        "thresholds": Picture(
            thresholds_figure, lambda ds: _is(ds, "input") and ds.sizes["d"] * ds.sizes["n"] > 1
        ),
        "layers": Picture(layers_figure, lambda ds: _is(ds, "joint")),
        "depth": Picture(depth_figure, lambda ds: _is(ds, "deep")),
        "certificate": Picture(certificate_figure, lambda ds: _is(ds, "theorem1")),
        "proof": Picture(proof_figure, lambda ds: _is(ds, "theorem2-proof")),
        "generalisation": Picture(generalisation_figure, lambda ds: _is(ds, "generalisation")),
        "values": Picture(values_figure, lambda ds: bool(own_numbers(ds))),
        "regression": Picture(regression_figure, lambda ds: _is(ds, "linear")),
    }
)


OF_SUCCESS = ("phase", "laws")
"""Kinds that suit any store with widths, once a success is chosen."""


def kinds_for(ds: xr.Dataset, success: Success = Success()) -> list[str]:  # noqa: B008 (frozen)
    """Return the kinds of figure that suit a store, and a success that was chosen for it."""
    chosen = bool(own_numbers(ds)) and success.condition is not None and ds.sizes["width"] > 1
    return [
        kind
        for kind, picture in FIGURES.items()
        if picture.suits(ds) or (chosen and kind in OF_SUCCESS)
    ]


def draw(ds: xr.Dataset, kind: str, success: Success = Success()) -> Chart:  # noqa: B008 (frozen)
    """Draw a figure of a store.

    Parameters
    ----------
    ds
        An opened store, which is read into memory.
    kind
        One of `kinds_for(ds)`.
    success
        The success of a trial.

    Returns
    -------
    Chart (a matplotlib.figure.Figure)
        Not registered with pyplot; a notebook shows it, `save` writes it, and `data_of` returns its
        numbers. A store that has too little to draw gives a figure with a sentence, `sentence`.

    Raises
    ------
    InputError
        For a kind that does not suit the store, and for a success that does not.
    """
    suited = kinds_for(ds, success)
    if kind not in suited:
        raise InputError(
            f"draw: no figure {kind!r} of a store of {ds.attrs.get('experiment')}; expected one of "
            f"{', '.join(suited) or '(none suits it)'}"
        )
    return FIGURES[kind].draw(Study(ds.load(), success))
