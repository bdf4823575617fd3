"""The phase diagram of a store: how many trials succeed at every (n, k), for every rule of success.

A panel is a family of cells (one d, activation, ...) with a column for each n and a cell for each
width. A frame is one place on the axes that success adds, tolerance and budget: the page has a slider
for each of them. All frames are computed here; the page's script only shows another one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import matplotlib as mpl
import numpy as np
import xarray as xr
from matplotlib.colors import to_hex

from analysis.axes import MODEL
from analysis.figures.style import parts_along
from analysis.report.numbers import given, number, whole, width_words, wilson
from analysis.study import Study
from analysis.success import Success
from analysis.success.budgets import budget_grid

__all__ = ["Diagram", "diagram_of"]

HEIGHT, TOP, LEFT, BOTTOM = 300.0, 10.0, 62.0, 42.0
ACROSS = 264.0
"""Pixels of a panel: its field, and the margins for the labels."""

MOST_PANELS = 24
FAMILY = (*MODEL, "multiple", "d")
FIXED = {"k_edge_finite": "By the edge", "k_edge": "Edge, n → ∞", "alpha": "α"}
MOVING = ("outcome", "bracket_low", "bracket_high", "k_crossing", "fit_p")
NOT_TRIED = "no trial counts"
DEGENERATE = "alpha = 0"
FITS_BADLY = 0.05
"""Least p of fit that goes without a word."""


@dataclass(frozen=True)
class _Scale:
    """Heights of widths, on a logarithmic axis that grows upwards."""

    low: float
    high: float

    @classmethod
    def of(cls, k: Any) -> _Scale:
        reach = float(np.max(k) / np.min(k)) ** (0.5 / max(1, np.shape(k)[-1] - 1))
        reach = max(reach, 1.02)
        return cls(float(np.log(np.min(k) / reach)), float(np.log(np.max(k) * reach)))

    def __call__(self, k: float) -> float:
        """Pixels from the top."""
        share = (np.log(k) - self.low) / (self.high - self.low)
        return round(TOP + HEIGHT * (1 - float(np.clip(share, 0, 1))), 1)

    def inside(self, k: float) -> float | None:
        """Pixels from the top; None beyond the ends."""
        there = np.isfinite(k) and self.low < np.log(k) < self.high
        return self(float(k)) if there else None

    def bands(self, k: Any) -> list[dict[str, float]]:
        """Top, height and k of the cells of one column; they meet halfway."""
        logs = np.log(np.asarray(k, dtype=float))
        middle = (logs[1:] + logs[:-1]) / 2
        half = np.diff(logs).mean() / 2 if len(logs) > 1 else 0.1
        ends = np.exp(np.concatenate([[logs[0] - half], middle, [logs[-1] + half]]))
        tops = [self(end) for end in ends]
        return [
            {"k": int(at), "y": upper, "height": round(lower - upper, 1)}
            for at, lower, upper in zip(k, tops[:-1], tops[1:], strict=True)
        ]

    def ticks(self) -> list[tuple[float, str]]:
        """Heights and names of round widths."""
        low, high = np.exp(self.low), np.exp(self.high)
        for steps in ((1,), (1, 2, 5), (1, 1.5, 2, 3, 4, 5, 6, 8), tuple(np.arange(1, 10, 0.5))):
            powers = range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)
            values = [step * 10.0**power for power in powers for step in steps]
            there = [value for value in values if low <= value <= high and value == round(value)]
            if len(there) >= 3:
                break
        return [(self(value), whole(value)) for value in there]


@dataclass(frozen=True)
class Panel:
    """One family of cells, with a column for each n at which some have run.

    Attributes
    ----------
    name
        The family, in words.
    columns
        Place, cells and predicted height of every column.
    ticks
        Heights and names of the labelled widths.
    width
        Of the drawing, in pixels.
    values
        What the critical widths hold, (frame, column), and counts, (frame, column, width).
    """

    name: str
    columns: list[dict[str, Any]]
    ticks: list[tuple[float, str]]
    width: float
    values: dict[str, Any] = field(repr=False)
    scale: _Scale = field(repr=False)

    def pairs(self, frame: int, column: int) -> list[tuple[int, int]]:
        """Successes and trials of a column's cells; -1 trials where success has no meaning."""
        if self.values["outcome"][frame, column] == "degenerate":
            return [(0, -1)] * self.values["trials_at"].shape[-1]
        both = (self.values[f"{name}_at"][frame, column] for name in ("successes", "trials"))
        return [(int(won), int(tried)) for won, tried in zip(*both, strict=True)]

    def mark(self, frame: int, column: int) -> list[float] | None:
        """Heights of k* and of the ends of its interval within the cells; k* alone if it is open."""
        k, low, high = self.width_of(frame, column)
        if not np.isfinite(k):
            return None
        if not (low > 0 and np.isfinite(high)):
            return [self.scale(k)]
        bands = self.columns[column]["bands"]
        top, foot = bands[-1]["y"], bands[0]["y"] + bands[0]["height"]
        ends = np.clip([self.scale(low), self.scale(high)], top, foot)
        return [self.scale(k), *(round(float(end), 1) for end in ends)]

    def width_of(self, frame: int, column: int) -> tuple[float, float, float]:
        """Critical width with its interval."""
        k, low, high = (self.values[f"k50{end}"][frame, column] for end in ("", "_low", "_high"))
        return float(k), float(low), float(high)

    def told(self, frame: int, column: int) -> list[str]:
        """Critical width, how it was found and how well, bracket, and the seeds' median crossing."""
        at = {name: self.values[name][frame, column] for name in MOVING}
        ends = [float(at[name]) for name in ("bracket_low", "bracket_high")]
        known = not np.isnan(ends).any()
        return [
            width_words(*self.width_of(frame, column)),
            self._outcome(str(at["outcome"]), column),
            _fit_words(float(at["fit_p"])),
            " to ".join(whole(np.round(end)) for end in ends) if known else "–",
            whole(np.round(float(at["k_crossing"]))),
        ]

    def _outcome(self, outcome: str, column: int) -> str:
        """The outcome; of a cell without a counted trial what became of its trials."""
        if outcome != "empty":
            return outcome
        return "pending" if self.values["pending"][:, column].any() else "failed"

    def about(self, column: int) -> list[str]:
        """Predicted widths and alpha where the store has them, then seeds."""
        known = [number(self.values[name][0, column]) for name in FIXED if name in self.values]
        return [*known, whole(self.values["seeds"][:, column].max())]


@dataclass(frozen=True)
class Slider:
    """An axis of success: what it is called, and its places in words."""

    dim: str
    label: str
    places: list[str]


@dataclass(frozen=True)
class Diagram:
    """What the page draws and its script needs; frames in the order of the sliders, last fastest."""

    rule: str
    interval: str
    sliders: list[Slider]
    panels: list[Panel]
    left_out: int

    left, foot, middle = LEFT, TOP + HEIGHT, TOP + HEIGHT / 2
    height = TOP + HEIGHT + BOTTOM

    @property
    def frames(self) -> int:
        """How many there are; the last is shown first."""
        return int(np.prod([len(slider.places) for slider in self.sliders], dtype=int))

    @cached_property
    def _pairs(self) -> dict[tuple[int, int], int]:
        """All pairs of counts that occur, numbered."""
        found = {
            pair for frame in range(self.frames) for _, pairs in self._each(frame) for pair in pairs
        }
        return {pair: at for at, pair in enumerate(sorted(found))}

    def _each(self, frame: int) -> Iterator[tuple[Panel, list[tuple[int, int]]]]:
        for panel in self.panels:
            for column in range(len(panel.columns)):
                yield panel, panel.pairs(frame, column)

    @cached_property
    def looks(self) -> list[tuple[str, str]]:
        """Fill and words of every pair of counts that occurs."""
        return [_look(*pair) for pair in self._pairs]

    def counts(self, frame: int) -> list[list[list[int]]]:
        """Of every panel, column and width the place of its look."""
        return [
            [[self._pairs[pair] for pair in panel.pairs(frame, c)] for c in range(len(panel.columns))]
            for panel in self.panels
        ]

    def marks(self, frame: int) -> list[list[list[float] | None]]:
        """Of every panel and column the heights of k* and of the ends of its interval."""
        return [[panel.mark(frame, c) for c in range(len(panel.columns))] for panel in self.panels]

    def rows(self, frame: int) -> list[list[str]]:
        """The lines of the table of critical widths: what moves with the frame."""
        return [panel.told(frame, c) for panel in self.panels for c in range(len(panel.columns))]

    def fixed(self) -> list[list[str]]:
        """The lines of the table: what is the same in all frames, names first."""
        return [
            [panel.name, str(column["n"]), *panel.about(place)]
            for panel in self.panels
            for place, column in enumerate(panel.columns)
        ]

    @property
    def scale(self) -> list[str]:
        """Colours of shares from 0 to 1, for the legend."""
        return [to_hex(mpl.colormaps["cividis"](share)) for share in np.linspace(0, 1, 11)]

    @property
    def columns(self) -> list[str]:
        """What the table has beside the critical widths."""
        return [name for variable, name in FIXED.items() if variable in self.panels[0].values]

    @cached_property
    def shows(self) -> set[str]:
        """What is drawn in any frame beside shares: `width`, `open` ones, `edge`, `untried`, `zero`."""
        marks = [
            mark for at in range(self.frames) for panel in self.marks(at) for mark in panel if mark
        ]
        edges = [column["edge"] for panel in self.panels for column in panel.columns]
        said = {words for _, words in self.looks}
        there = {
            "width": any(len(mark) > 1 for mark in marks),
            "open": any(len(mark) == 1 for mark in marks),
            "edge": any(edge is not None for edge in edges),
            "untried": NOT_TRIED in said,
            "zero": DEGENERATE in said,
        }
        return {name for name, is_so in there.items() if is_so}

    @property
    def is_located(self) -> bool:
        """Whether any frame has a critical width."""
        return bool(self.shows & {"width", "open"})

    def outcomes(self, frame: int) -> str:
        """How many cells there are, and how their transitions were found: `3 cells, all censored`."""
        found = Counter(row[1] for row in self.rows(frame))
        count = f"{found.total()} cell{'s' * (found.total() > 1)}"
        if len(found) == 1:
            return f"{count}, {'all ' * (found.total() > 1)}{next(iter(found))}"
        return f"{count}: {', '.join(f'{times} {word}' for word, times in found.items())}"

    def data(self) -> dict[str, Any]:
        """What the page's script reads."""
        frames = range(self.frames)
        return {
            "sliders": [{"dim": s.dim, "places": s.places} for s in self.sliders],
            "looks": self.looks,
            "counts": [self.counts(frame) for frame in frames],
            "marks": [self.marks(frame) for frame in frames],
            "rows": [self.rows(frame) for frame in frames],
        }


def diagram_of(study: Study) -> Diagram:
    """Return the phase diagram of a store.

    Parameters
    ----------
    study
        A store with a rule of success. A store that descends gets all budgets of `budget_grid`, where
        the study names none.
    """
    study = _with_budgets(study)
    counts = {f"{name}_at": counts for name, counts in study.counts.data_vars.items()}
    cells = study.widths.assign(counts).assign(k=study.ds.k)
    own = set(map(str, study.ds.status.dims))
    sliders = [_slider(cells, dim) for dim in map(str, cells.k50.dims) if dim not in own]
    none_ran = bool((cells.outcome == "empty").all())
    panels = (
        []
        if none_ran
        else [
            panel
            for name, part in parts_along(cells, [dim for dim in FAMILY if dim in cells.dims])
            if (panel := _panel(name, part, [slider.dim for slider in sliders])) is not None
        ]
    )
    rule, interval = (str(study.widths.attrs[name]) for name in ("rule", "interval_method"))
    return Diagram(rule, interval, sliders, panels[:MOST_PANELS], max(0, len(panels) - MOST_PANELS))


def _with_budgets(study: Study) -> Study:
    chosen = study.success.condition is not None or study.success.budgets is not None
    if chosen or "tolerance" not in study.widths.dims:
        return study
    return Study(study.ds, Success(budgets=tuple(budget_grid(study.ds))))


def _slider(cells: xr.Dataset, dim: str) -> Slider:
    labels = {"tolerance": "Tolerance of the relative loss", "budget": "Budget"}
    units = {"budget": " steps"}
    places = [given(at) + units.get(dim, "") for at in cells[dim].values]
    return Slider(dim, labels.get(dim, dim), places)


def _panel(name: str, part: xr.Dataset, moving: list[str]) -> Panel | None:
    """The panel of a family; None where none of its trials has run."""
    ran = ((part.outcome != "empty") | (part.pending > 0) | (part.failed > 0)).any(moving)
    part = part.isel(n=np.flatnonzero(ran.values))
    if not part.sizes["n"]:
        return None
    k = part.k.broadcast_like(part.trials_at.isel(dict.fromkeys(moving, 0))).transpose("n", "width")
    scale = _Scale.of(k.values)
    across = ACROSS / max(3, part.sizes["n"])
    values = {str(name): _by_frame(part, str(name), moving) for name in part.drop_vars("k").data_vars}
    columns = [
        {
            "n": int(n),
            "x": LEFT + place * across,
            "across": across,
            "bands": scale.bands(widths),
            "edge": scale.inside(values["k_edge_finite"][0, place])
            if "k_edge_finite" in values
            else None,
        }
        for place, (n, widths) in enumerate(zip(part.n.values, k.values, strict=True))
    ]
    return Panel(name, columns, scale.ticks(), LEFT + across * len(columns) + 10, values, scale)


def _by_frame(part: xr.Dataset, name: str, moving: list[str]) -> Any:
    """A variable of a family as an array (frame, n[, width])."""
    kept = ["n", "width"] if name.endswith("_at") else ["n"]
    like = part.trials_at if name.endswith("_at") else part.k50
    values = part[name].broadcast_like(like).transpose(*moving, *kept)
    return values.values.reshape(-1, *(part.sizes[dim] for dim in kept))


def _fit_words(p: float) -> str:
    if np.isnan(p):
        return "–"
    return f"{p:.2f}" + " fits badly" * (p < FITS_BADLY)


def _look(successes: int, trials: int) -> tuple[str, str]:
    if trials < 0:
        return "url(#zero)", DEGENERATE
    if not trials:
        return "url(#untried)", NOT_TRIED
    share, (low, high) = successes / trials, wilson(successes, trials)
    words = f"{successes} of {trials} trials succeed: {share:.2f} [{low:.2f}, {high:.2f}]"
    return to_hex(mpl.colormaps["cividis"](share)), words
