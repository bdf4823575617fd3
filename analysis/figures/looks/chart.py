"""A Matplotlib figure that keeps the style it was made in, and shows itself in a notebook.

Ticks get their looks when they are first drawn, which may be long after the figure was made. So a
`Chart` is drawn and saved in the style of its making, whatever the style is by then. It is not
registered with pyplot; Jupyter shows it by `_repr_png_`, without `%matplotlib inline`.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from cycler import cycler
from matplotlib.backend_bases import RendererBase
from matplotlib.figure import Figure

from analysis.figures.looks.words import with_words

__all__ = [
    "LONGEST",
    "STYLE",
    "Chart",
    "captioned",
    "chosen",
    "dot",
    "em",
    "holding",
    "is_column",
    "is_long_column",
    "places",
    "scaled",
    "sized",
    "stroke",
    "styled",
    "uncaptioned",
]

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
"""Okabe and Ito's, which colour-blind readers can distinguish."""

STYLE: Any = {
    "axes.prop_cycle": cycler(color=COLOURS),
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": "medium",
    "axes.titlelocation": "left",
    "axes.titley": 1.0,  # where Matplotlib would put it too, after it has measured all labels again
    "figure.titlesize": "medium",
    "legend.fontsize": "small",
    "legend.frameon": False,
    "mathtext.default": "regular",
    "pdf.fonttype": 42,  # TrueType: journals refuse Type 3
    "ps.fonttype": 42,
    "savefig.dpi": 160,
    "svg.fonttype": "none",
    "svg.hashsalt": "widthlaw",
    "xtick.labelsize": "small",
    "ytick.labelsize": "small",
}
"""The style of figures, as far as the user has set no other. Sizes are relative to `font.size`."""

Size = tuple[float, float | None]
"""Width and height in inches; without a height, the panels decide."""

_SIZE: ContextVar[Size | None] = ContextVar("size", default=None)
_CAPTIONED: ContextVar[bool] = ContextVar("captioned", default=False)
_HELD: ContextVar[frozenset[str]] = ContextVar("held", default=frozenset())

COLUMN = 4.5
"""Width in inches up to which a figure is one for a column of a journal."""

PAGE = 7.5
"""Width in inches up to which a figure is one for a page of a journal, with letters of 8 points."""

LONGEST = 9.0
"""Height in inches of a page of a journal."""

LEAST_ROOM = (7.0, 2.5)
"""Width and height of a panel, in letters, below which it shows nothing."""

COLOUR_BAR = "<colorbar>"
"""Label that Matplotlib gives the axes of a colour bar."""

STACK = 4
"""Number of panels that a column of a journal holds below each other; more stand in pairs."""

CROWDED = 0.65
"""Share of its own width to which a panel may shrink before the next one moves below it."""

NO_ENGINE: Any = {"figure.autolayout": False, "figure.constrained_layout.use": False}
"""Parameters with which a figure that has no layout engine gets none."""


def styled() -> AbstractContextManager[None]:
    """Return a context with `STYLE`, but without the parameters that the user has set.

    A parameter counts as set if it differs from Matplotlib's own default, by a style, by a
    `matplotlibrc` file or by an assignment; or if `holding` names it.
    """
    size = _given()
    letters = {"font.size": 8.0} if size is not None and size[0] <= PAGE else {}
    mine = {name: value for name, value in (STYLE | letters).items() if not _is_set(name)}
    return mpl.rc_context(mine)


@contextmanager
def holding(names: Iterable[str]) -> Iterator[None]:
    """Hold parameters to their present values in all figures that are made inside.

    A style file can set a value that happens to be Matplotlib's default, and means it.
    """
    token = _HELD.set(_HELD.get() | frozenset(names))
    try:
        yield
    finally:
        _HELD.reset(token)


def _is_set(name: str) -> bool:
    return name in _HELD.get() or _is_changed(name)


def _is_changed(name: str) -> bool:
    now: Any = mpl.rcParams
    default: Any = mpl.rcParamsDefault
    return bool(now[name] != default[name])


@contextmanager
def sized(size: Size | None) -> Iterator[None]:
    """Give all figures that are made inside a size in inches; None leaves each its own."""
    token = _SIZE.set(size)
    try:
        yield
    finally:
        _SIZE.reset(token)


@contextmanager
def captioned() -> Iterator[None]:
    """Make all figures inside without the titles that a caption beside them says."""
    token = _CAPTIONED.set(True)
    try:
        yield
    finally:
        _CAPTIONED.reset(token)


def uncaptioned(title: str) -> str:
    """Return a title that says what is drawn, or "" where a caption says it."""
    return "" if _CAPTIONED.get() else title


def em() -> float:
    """Return the size of the letters relative to the size that figures are laid out for."""
    return float(mpl.rcParams["font.size"]) / 10


def stroke(width: float) -> float:
    """Return the width of a line in points, relative to that of the lines of the user's style."""
    return width * float(mpl.rcParams["lines.linewidth"]) / 1.5


def dot(size: float) -> float:
    """Return the size of a marker in points, relative to that of the markers of the user's style."""
    return size * float(mpl.rcParams["lines.markersize"]) / 6


def scaled(look: Mapping[str, Any]) -> dict[str, Any]:
    """Return a look whose lines and markers are relative to those of the user's style."""
    scales = {"linewidth": stroke, "markeredgewidth": stroke, "markersize": dot}
    return {name: scales[name](value) if name in scales else value for name, value in look.items()}


def chosen(name: str, ours: Any) -> Any:
    """Return the user's value of a parameter, or ours where the user has set none."""
    now: Any = mpl.rcParams
    return now[name] if _is_set(name) else ours


def places(count: int, across: int, width: float, *, alike: bool = False) -> int:
    """Return the number of panels side by side: as many as a given size leaves room for.

    Parameters
    ----------
    count
        Number of panels.
    across
        Number of panels side by side in a figure of its own size.
    width
        Width of a panel in inches in such a figure.
    alike
        Whether all panels show the same for other cells, so that they may be small.
    """
    size = _given()
    if size is None:
        return min(across, count)
    most = max(1, min(across, count, int(size[0] / (CROWDED * width * max(em(), 0.9)))))
    if alike and most == 1 and across > 1 and is_long_column(count):
        most = 2
    return most if most >= across else -(-count // -(-count // most))  # rows of the same length


def is_long_column(count: int) -> bool:
    """Return True if figures are made for a column that holds fewer panels below each other."""
    return is_column() and count > STACK


def is_column() -> bool:
    """Return True if figures are made for a column of a journal."""
    size = _given()
    return size is not None and size[0] <= COLUMN


def _given() -> Size | None:
    """Return the size that the user asks for: by `sized`, or by a style."""
    if (size := _SIZE.get()) is not None or not _is_set("figure.figsize"):
        return size
    return float(mpl.rcParams["figure.figsize"][0]), None


class Chart(Figure):
    """A figure for panels of a given width and height in inches, unless a size is asked for.

    Larger letters get a larger figure, so that they have room. The longest height holds for a page or
    a column.
    """

    def __init__(
        self, width: float, height: float, columns: int = 1, rows: int = 1, longest: float | None = None
    ) -> None:
        room = max(1.0, em()) ** 0.5
        given = _given()
        across = given[0] if given else width * columns * room
        tall = given[1] if given else None
        if tall is None:
            narrow = min(1.0, across / (width * columns * room))
            tall = height * rows * room * narrow**0.5
            if given and across <= PAGE and longest:
                tall = min(tall, longest)
        # No matter of style: legends below the panels need it.
        super().__init__(figsize=(across, tall), layout="constrained")
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

    def drop_common_title(self) -> None:
        """Remove the titles of panels that all have the same: it names what the whole figure shows."""
        titled = [axes for axes in self.axes if axes.get_title(loc="left")]
        if len({axes.get_title(loc="left") for axes in titled}) == 1:
            for axes in titled:
                axes.set_title("", loc="left")

    @property
    def is_cramped(self) -> bool:
        """Lay the panels out, and return True if one of them has too little room."""
        with warnings.catch_warnings(record=True) as found:
            warnings.simplefilter("always", UserWarning)  # Matplotlib's, of a panel without any room
            self.draw_without_rendering()
        self.keep_layout()
        letter = float(self._style.get("font.size", 10.0)) * self.dpi / 72
        panels = [axes for axes in self.axes if axes.axison and axes.get_label() != COLOUR_BAR]
        rooms = np.array([axes.get_window_extent().size for axes in panels]).reshape(-1, 2) / letter
        return bool(found) or bool((rooms < LEAST_ROOM).any())

    @property
    def sentence(self) -> str:
        """The sentence that the figure shows instead of panels; "" if it has a panel."""
        if any(axes.axison for axes in self.axes):
            return ""
        words = [text.get_text() for axes in self.axes for text in axes.texts]
        return "; ".join(dict.fromkeys(words))


def _is_own(name: str) -> bool:
    """Return whether a parameter is set, and is not the choice of a window system."""
    return not name.startswith("backend") and _is_set(name)
