"""A Matplotlib figure that keeps the style it was made in, and shows itself in a notebook.

Ticks get their looks when they are first drawn, which may be long after the figure was made. So a
`Chart` is drawn and saved in the style of its making, whatever the style is by then. It is not
registered with pyplot; Jupyter shows it by `_repr_png_`, without `%matplotlib inline`.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import matplotlib as mpl
from cycler import cycler
from matplotlib.backend_bases import RendererBase
from matplotlib.figure import Figure

from analysis.figures.looks.words import with_words

__all__ = ["STYLE", "Chart", "em", "sized", "styled"]

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
"""Okabe and Ito's, which colour-blind readers can distinguish."""

STYLE: Any = {
    "axes.prop_cycle": cycler(color=COLOURS),
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": "medium",
    "axes.titlelocation": "left",
    "axes.titley": 1.0,  # where Matplotlib would put it too, after it has measured all labels again
    "figure.constrained_layout.use": True,
    "figure.titlesize": "medium",
    "legend.fontsize": "small",
    "legend.frameon": False,
    "mathtext.default": "regular",
    "savefig.dpi": 160,
    "svg.fonttype": "none",
    "svg.hashsalt": "widthlaw",
    "xtick.labelsize": "small",
    "ytick.labelsize": "small",
}
"""The style of figures, as far as the user has set no other. Sizes are relative to `font.size`."""

NO_ENGINE: Any = {"figure.autolayout": False, "figure.constrained_layout.use": False}
"""Parameters with which a figure that has no layout engine gets none."""

_SIZE: ContextVar[tuple[float, float] | None] = ContextVar("size", default=None)


def styled() -> AbstractContextManager[None]:
    """Return a context with `STYLE`, but without the parameters that the user has changed.

    A parameter counts as changed if it differs from Matplotlib's own default: by a style, by a
    `matplotlibrc` file or by an assignment.
    """
    mine = {name: value for name, value in STYLE.items() if not _is_changed(name)}
    return mpl.rc_context(mine)


def _is_changed(name: str) -> bool:
    now: Any = mpl.rcParams
    default: Any = mpl.rcParamsDefault
    return bool(now[name] != default[name])


@contextmanager
def sized(size: tuple[float, float] | None) -> Iterator[None]:
    """Give all figures that are made inside a size in inches; None leaves each its own."""
    token = _SIZE.set(size)
    try:
        yield
    finally:
        _SIZE.reset(token)


def em() -> float:
    """Return the size of the letters relative to the size that figures are laid out for."""
    return float(mpl.rcParams["font.size"]) / 10


class Chart(Figure):
    """A figure of a given width and height in inches, unless `sized` says otherwise.

    Larger letters get a larger figure, so that they have room.
    """

    def __init__(self, width: float, height: float) -> None:
        room = max(1.0, em()) ** 0.5
        super().__init__(figsize=_SIZE.get() or (width * room, height * room))
        self._style: Any = {name: mpl.rcParams[name] for name in mpl.rcParams if _is_own(name)}

    def draw(self, renderer: RendererBase) -> None:
        """Draw the figure in its own style."""
        with mpl.rc_context(self._style):
            super().draw(renderer)

    def savefig(self, fname: Any, *args: Any, **kwargs: Any) -> None:
        """Save the figure in its own style; the arguments are Matplotlib's. An SVG has words."""
        with mpl.rc_context(self._style | NO_ENGINE), self._laid_out(kwargs.get("dpi")):
            if (kwargs.get("format") or Path(str(fname)).suffix[1:]) != "svg":
                super().savefig(fname, *args, **kwargs)
                return
            text = io.StringIO()
            super().savefig(text, *args, **kwargs | {"format": "svg"})
        svg = with_words(text.getvalue())
        if isinstance(fname, io.TextIOBase):
            fname.write(svg)
        elif hasattr(fname, "write"):
            fname.write(svg.encode())
        else:
            Path(fname).write_text(svg, encoding="utf-8")

    @contextmanager
    def _laid_out(self, dpi: Any) -> Iterator[None]:
        """Solve the layout at a resolution, and take the engine off in this block.

        With an engine, even one that does nothing, Matplotlib draws the whole figure twice.
        """
        engine, own = self.get_layout_engine(), self.dpi
        if engine is not None:
            dpi = mpl.rcParams["savefig.dpi"] if dpi is None else dpi
            try:
                self.set_dpi(own if dpi == "figure" else dpi)
                engine.execute(self)
            finally:
                self.set_dpi(own)
            self.keep_layout()
        try:
            yield
        finally:
            if engine is not None:
                self.set_layout_engine(engine)

    def keep_layout(self) -> None:
        """Keep the panels where they are from now on: their layout is solved."""
        with mpl.rc_context(NO_ENGINE):
            self.set_layout_engine(None)

    def _repr_png_(self) -> bytes:
        """Return the picture that a notebook shows."""
        picture = io.BytesIO()
        self.savefig(picture, format="png", dpi=self.get_dpi())
        return picture.getvalue()

    def complaint(self) -> str:
        """Lay the panels out, and return what Matplotlib complains of: labels that leave no room."""
        with warnings.catch_warnings(record=True) as found:
            warnings.simplefilter("always", UserWarning)
            self.draw_without_rendering()
        self.set_layout_engine("none")  # it is solved
        return str(found[0].message) if found else ""

    @property
    def sentence(self) -> str:
        """The sentence that the figure shows instead of panels; "" if it has a panel."""
        if any(axes.axison for axes in self.axes):
            return ""
        words = [text.get_text() for axes in self.axes for text in axes.texts]
        return "; ".join(dict.fromkeys(words))


def _is_own(name: str) -> bool:
    """Return whether a parameter is set, and is not the choice of a window system."""
    return not name.startswith("backend") and _is_changed(name)
