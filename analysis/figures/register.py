"""The register of figures: which function draws a kind, and which stores it suits.

A new figure is a function in the package of its subject, a line here, and a line in `kinds`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType

import xarray as xr

from analysis.figures.captions import criterion, intervals, trials
from analysis.figures.lacks import few, nothing, one_cell, several_widths, without_angles
from analysis.figures.looks.chart import Chart, captioned
from analysis.figures.own.values import own_numbers, values_figure
from analysis.figures.spectra.density import density_figure
from analysis.figures.spectra.singular_values import evolution_figure, spectrum_figure
from analysis.figures.theory.certificate import certificate_figure
from analysis.figures.theory.proof_steps import proof_figure
from analysis.figures.theory.tangent import tangent_figure
from analysis.figures.training.descent import curves_caption, curves_figure, depth_figure, layers_figure
from analysis.figures.training.loss_gap import generalisation_figure
from analysis.figures.training.regression import regression_figure
from analysis.figures.widths.along import laws_along_figure, phase_along_figure, success_figure
from analysis.figures.widths.collapse import collapse_figure
from analysis.figures.widths.phase import phase_caption, phase_figure
from analysis.figures.widths.slowing import slowing_figure
from analysis.figures.widths.thresholds import budget_figure, budgeted, thresholds_figure
from analysis.figures.widths.transition import laws_caption, laws_figure, ratios_figure, stress_figure
from analysis.study import Study
from analysis.success import Success
from analysis.transitions.scales import Along, one_width_words
from pipeline.errors import InputError

__all__ = ["FIGURES", "Picture", "draw", "kinds_for", "lacking", "on_request", "picture_of"]


@dataclass(frozen=True)
class Picture:
    """A kind of figure.

    Attributes
    ----------
    draw
        Draws the figure of a study; its docstring is the first part of the caption.
    suits
        Returns True for the stores whose experiment the figure suits.
    lacks
        Returns what such a store has too little of for the figure, in words; "" if it has enough.
    unasked
        Returns False for the stores of which the figure is drawn only if it is named.
    more
        Adds sentences to the caption that hold for this store only.
    counts
        Returns the study whose successes the figure shows; None if it shows none.
    has_intervals
        Whether the figure shows intervals of critical widths.
    """

    draw: Callable[[Study], Chart]
    suits: Callable[[xr.Dataset], bool]
    lacks: Callable[[xr.Dataset], str] = nothing
    unasked: Callable[[xr.Dataset], bool] = lambda ds: True
    more: Callable[[Study], str] = lambda study: ""
    counts: Callable[[Study], Study] | None = None
    has_intervals: bool = True

    def can_show(self, ds: xr.Dataset) -> bool:
        """Return whether a store is of an experiment that the figure suits, and has enough for it."""
        return self.suits(ds) and not self.lacks(ds)

    def caption(self, study: Study) -> str:
        """Return the caption of the figure of a store: plain text, without a line break."""
        parts = [self.draw.__doc__ or "", self.more(study)]
        if self.counts is not None:
            counted = self.counts(study)
            parts += [criterion(counted), intervals(counted) if self.has_intervals else ""]
        return " ".join(" ".join([*parts, trials(study.ds)]).split())

    def captioned(self, study: Study) -> tuple[Chart, str]:
        """Return the figure without the titles that its caption says, and the caption."""
        with captioned():
            figure = self.draw(study)
        figure.drop_common_title()
        return figure, self.caption(study)


def _own(study: Study) -> Study:
    return study


def _default(study: Study) -> Study:
    return study.default


def _is(ds: xr.Dataset, experiment: str) -> bool:
    return bool(ds.attrs.get("experiment") == experiment)


def _descends(ds: xr.Dataset) -> bool:
    return "steps_to_tolerance" in ds


def _has_k(ds: xr.Dataset) -> bool:
    """Return True for conditioning, for descents and for their linearisation."""
    return _is(ds, "conditioning") or _is(ds, "tangent") or _descends(ds)


def _for_phase(ds: xr.Dataset) -> str:
    """Return what the phase diagram lacks; that of conditioning has a prediction at any width."""
    return "" if _is(ds, "conditioning") else one_width_words(ds)


def _for_laws(ds: xr.Dataset) -> str:
    return "" if _is(ds, "conditioning") else one_width_words(ds) or few(ds, "n")


MOST_TIMES = 20_000
"""The most times to a tolerance of which slowing down is drawn unasked: its fits take longest."""


FIGURES = MappingProxyType(
    {
        "spectrum": Picture(spectrum_figure, lambda ds: _is(ds, "spectrum"), several_widths),
        "density": Picture(density_figure, lambda ds: _is(ds, "spectrum"), several_widths),
        "evolution": Picture(
            evolution_figure, lambda ds: _is(ds, "spectrum"), lambda ds: few(ds, "width")
        ),
        "phase": Picture(phase_figure, _has_k, _for_phase, more=phase_caption, counts=_own),
        # Only if a lapse rate was asked for (`kinds_for`).
        "success": Picture(success_figure, lambda ds: False, counts=_own),
        "laws": Picture(laws_figure, _has_k, _for_laws, more=laws_caption, counts=_own),
        "ratios": Picture(ratios_figure, lambda ds: _is(ds, "conditioning"), counts=_own),
        "collapse": Picture(
            collapse_figure,
            lambda ds: _is(ds, "conditioning"),
            lambda ds: few(ds, "n") or few(ds, "width", 3),
            counts=_own,
            has_intervals=False,
        ),
        "stress": Picture(
            stress_figure, lambda ds: _is(ds, "conditioning"), without_angles, counts=_own
        ),
        "curves": Picture(curves_figure, lambda ds: "loss_curve" in ds, more=curves_caption),
        "budget": Picture(
            budget_figure, lambda ds: _is(ds, "input") or _is(ds, "output"), counts=budgeted
        ),
        "slowing": Picture(
            slowing_figure,
            lambda ds: _descends(ds) and not _is(ds, "linear"),  # which has no width
            lambda ds: few(ds, "width"),
            unasked=lambda ds: ds.steps_to_tolerance.size <= MOST_TIMES,
        ),
        "thresholds": Picture(
            thresholds_figure, lambda ds: _is(ds, "input"), one_cell, counts=_default
        ),
        "tangent": Picture(tangent_figure, lambda ds: _is(ds, "tangent"), lambda ds: few(ds, "width")),
        "layers": Picture(layers_figure, lambda ds: _is(ds, "joint"), counts=_default),
        "depth": Picture(depth_figure, lambda ds: _is(ds, "deep"), counts=_default),
        "certificate": Picture(certificate_figure, lambda ds: _is(ds, "theorem1")),
        "proof": Picture(proof_figure, lambda ds: _is(ds, "theorem2-proof"), counts=_own),
        "generalisation": Picture(generalisation_figure, lambda ds: _is(ds, "generalisation")),
        "values": Picture(values_figure, lambda ds: bool(own_numbers(ds))),
        "regression": Picture(regression_figure, lambda ds: _is(ds, "linear")),
    }
)


ALONG = MappingProxyType(
    {
        "phase": Picture(phase_along_figure, lambda ds: True, counts=_own),
        "success": FIGURES["success"],
        "laws": Picture(laws_along_figure, lambda ds: True, counts=_own),
        "values": FIGURES["values"],
    }
)
"""The kinds of figures of a transition along another axis than the width."""


def picture_of(kind: str, study: Study) -> Picture:
    """Return the picture of a kind, one of `kinds_for` the study."""
    return FIGURES[kind] if study.along.is_width else ALONG[kind]


OF_SUCCESS = ("phase", "laws")
"""Kinds that suit any store with widths, once a success is chosen."""


def kinds_for(
    ds: xr.Dataset,
    success: Success = Success(),  # noqa: B008 (frozen)
    along: Along = Along(),  # noqa: B008 (frozen)
    lapse: bool | str = False,
) -> list[str]:
    """Return the kinds of figure that suit a store, and the question that was asked of it."""
    if not along.is_width:
        return [kind for kind in ALONG if kind != "values"]
    kinds = _kinds_of_widths(ds, success)
    if lapse and "phase" in kinds:
        kinds.insert(kinds.index("phase") + 1, "success")
    return kinds


def on_request(kinds: list[str], ds: xr.Dataset, along: Along = Along()) -> list[str]:  # noqa: B008
    """Return these kinds of a store, and those that are drawn only if they are named."""
    known = FIGURES if along.is_width else ALONG
    more = ["success"] if "phase" in kinds else []
    more += [kind for kind in known if FIGURES[kind].can_show(ds)]
    return list(dict.fromkeys([*kinds, *more]))


def lacking(ds: xr.Dataset, kind: str) -> str:
    """Return what a store has too little of for a kind of figure that suits its experiment, in words.

    It is "" for a store that has enough, and for a store of another experiment.
    """
    picture = FIGURES.get(kind)
    return picture.lacks(ds) if picture is not None and picture.suits(ds) else ""


def _kinds_of_widths(ds: xr.Dataset, success: Success) -> list[str]:
    chosen = "own" in ds.attrs and success.condition is not None and ds.sizes["width"] > 1
    return [
        kind
        for kind, picture in FIGURES.items()
        if (picture.can_show(ds) and picture.unasked(ds)) or (chosen and kind in OF_SUCCESS)
    ]


def draw(ds: xr.Dataset, kind: str, success: Success = Success()) -> Chart:  # noqa: B008 (frozen)
    """Draw a figure of a store.

    Parameters
    ----------
    ds
        An opened store, which is read into memory.
    kind
        One of `kinds_for(ds)`, or a kind that is drawn only if it is named.
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
    suited = on_request(kinds_for(ds, success), ds)
    if kind not in suited:
        why = lacking(ds, kind)
        of = f": {why}" if why else f" of a store of {ds.attrs.get('experiment')}"
        some = ", ".join(suited) or "(none suits it)"
        raise InputError(f"draw: no figure {kind!r}{of}; expected one of {some}")
    return FIGURES[kind].draw(Study(ds.load(), success))
