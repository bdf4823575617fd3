"""The interactive phase diagram of the report: successes at each n and k, for each criterion.

A panel shows the cells of one d, activation, ...: a column for each n, and in it a tile for each
width. A frame is one combination of tolerance and budget, the axes that success adds, and the page has
a slider for each of them. All frames are computed here; the script of the page only switches between
them. The still picture of the same data is `analysis.figures.widths.phase`.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Any

import matplotlib as mpl
import numpy as np
import xarray as xr
from matplotlib.colors import Colormap, to_hex

from analysis.axes import MODEL, own_axes
from analysis.figures.looks.style import PREDICTED, parts_along
from analysis.report.numbers import axis_value, number, whole, wilson, with_interval
from analysis.study import Study
from analysis.success.budgets import budget_grid

__all__ = ["SIDES", "Diagram", "Panel", "Side", "diagram_of", "plain_diagram"]

HEIGHT, TOP, LEFT, BOTTOM = 300.0, 10.0, 62.0, 42.0
ACROSS = 264.0
"""Sizes of a panel in pixels: the field, and the margins for labels."""

MOST_PANELS = 24
FAMILY = (*MODEL, "multiple", "d")
FIXED = {name: PREDICTED[name].capitalize() for name in ("k_edge_finite", "k_edge")} | {"alpha": "α"}
"""Columns of the table of critical widths that are the same in all frames, with their headings."""

MOVING = ("outcome", "bracket_low", "bracket_high", "k_crossing", "fit_p")
NOT_TRIED = "no trial counts"
DEGENERATE = "alpha = 0"
FITS_BADLY = 0.05
"""Goodness-of-fit p-value below which the curve is flagged."""


@dataclass(frozen=True)
class Side:
    """A way in which the widths of a store miss a critical width, and their end at which they do."""

    words: str
    end: str


SIDES = {
    "above": Side("k* lies above the widths", "above"),
    "below": Side("k* lies below the widths", "below"),
    "no upper end": Side("the interval of k* has no upper end", "above"),
    "no lower end": Side("the interval of k* has no lower end", "below"),
}


@dataclass(frozen=True)
class _Scale:
    """A logarithmic axis of widths, which grows upwards."""

    low: float
    high: float

    @classmethod
    def of(cls, k: Any) -> _Scale:
        reach = float(np.max(k) / np.min(k)) ** (0.5 / max(1, np.shape(k)[-1] - 1))
        reach = max(reach, 1.02)
        return cls(float(np.log(np.min(k) / reach)), float(np.log(np.max(k) * reach)))

    def __call__(self, k: float) -> float:
        """Return the position of a width in pixels from the top."""
        share = (np.log(k) - self.low) / (self.high - self.low)
        return round(TOP + HEIGHT * (1 - float(np.clip(share, 0, 1))), 1)

    def inside(self, k: float) -> float | None:
        """Return the position of a width in pixels from the top; None if it is off the axis."""
        is_shown = np.isfinite(k) and self.low < np.log(k) < self.high
        return self(float(k)) if is_shown else None

    def bands(self, k: Any) -> list[dict[str, float]]:
        """Return the top, height and k of the tiles of one column; neighbours meet halfway."""
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
        """Return the positions and labels of round widths."""
        low, high = np.exp(self.low), np.exp(self.high)
        for steps in ((1,), (1, 2, 5), (1, 1.5, 2, 3, 4, 5, 6, 8), tuple(np.arange(1, 10, 0.5))):
            powers = range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)
            values = [step * 10.0**power for power in powers for step in steps]
            shown = [value for value in values if low <= value <= high and value == round(value)]
            if len(shown) >= 3:
                break
        return [(self(value), whole(value)) for value in shown]


@dataclass(frozen=True)
class Panel:
    """The cells of one d, activation, ..., with a column for each n at which trials have run.

    Attributes
    ----------
    name
        Its title.
    columns
        Position, tiles and predicted width of each column.
    ticks
        Positions and labels of round widths.
    width
        Width of the drawing in pixels.
    values
        Variables of the critical widths (frame, column), and counts (frame, column, width).
    """

    name: str
    columns: list[dict[str, Any]]
    ticks: list[tuple[float, str]]
    width: float
    values: dict[str, Any] = field(repr=False)
    scale: _Scale = field(repr=False)

    def pairs(self, frame: int, column: int) -> list[tuple[int, int]]:
        """Return successes and trials of the tiles of a column; -1 trials if success is undefined."""
        if self.values["outcome"][frame, column] == "degenerate":
            return [(0, -1)] * self.values["trials_at"].shape[-1]
        both = (self.values[f"{name}_at"][frame, column] for name in ("successes", "trials"))
        return [(int(successes), int(trials)) for successes, trials in zip(*both, strict=True)]

    def mark(self, frame: int, column: int) -> list[float] | None:
        """Return the positions of k* and the ends of its interval; only k* if the interval is open."""
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
        """Return the critical width and the ends of its interval."""
        k, low, high = (self.values[f"k50{end}"][frame, column] for end in ("", "_low", "_high"))
        return float(k), float(low), float(high)

    def at(self, column: int) -> str:
        """Return the place of a cell as text, `d = 10, n = 40`."""
        return ", ".join(filter(None, [self.name, f"n = {self.columns[column]['n']}"]))

    def lies_above(self, frame: int, column: int) -> bool:
        """Return True if the critical width lies above all widths that were tried."""
        outcome, low = (self.values[name][frame, column] for name in ("outcome", "bracket_low"))
        return bool(outcome == "censored" and low > 0)

    def side(self, frame: int, column: int) -> str:
        """Return how the widths miss a critical width, a key of `SIDES`; "" if they do not."""
        k, low, high = self.width_of(frame, column)
        if np.isfinite(k):
            return "no upper end" if not np.isfinite(high) else "" if low > 0 else "no lower end"
        if self.values["outcome"][frame, column] != "censored":
            return ""
        return "above" if self.lies_above(frame, column) else "below"

    def row(self, frame: int, column: int) -> list[str]:
        """Return the critical width, outcome, p of fit, bracket and median crossing of the seeds."""
        at = {name: self.values[name][frame, column] for name in MOVING}
        ends = [float(at[name]) for name in ("bracket_low", "bracket_high")]
        known = not np.isnan(ends).any()
        return [
            with_interval(*self.width_of(frame, column)),
            self._outcome(str(at["outcome"]), column),
            _fit_text(float(at["fit_p"])),
            " to ".join(whole(np.round(end)) for end in ends) if known else "–",
            whole(np.round(float(at["k_crossing"]))),
        ]

    def _outcome(self, outcome: str, column: int) -> str:
        """Return the outcome of a cell, or the status of its trials if none counts."""
        if outcome != "empty":
            return outcome
        return "pending" if self.values["pending"][:, column].any() else "failed"

    def constants(self, column: int) -> list[str]:
        """Return predicted widths and alpha, if the store has them, and the number of seeds."""
        known = [number(self.values[name][0, column]) for name in FIXED if name in self.values]
        return [*known, whole(self.values["seeds"][:, column].max())]


@dataclass(frozen=True)
class Slider:
    """An axis of success, its title, its values, and their labels."""

    dim: str
    label: str
    values: list[str]
    numbers: list[float]


@dataclass(frozen=True)
class Diagram:
    """All panels and frames of a store; the frames follow the sliders, the last of them fastest."""

    rule: str
    interval: str
    sliders: list[Slider]
    panels: list[Panel]
    left_out: int

    left, foot, middle = LEFT, TOP + HEIGHT, TOP + HEIGHT / 2
    height = TOP + HEIGHT + BOTTOM

    @property
    def frames(self) -> int:
        """Number of frames; the page first shows the last one."""
        return int(np.prod([len(slider.values) for slider in self.sliders], dtype=int))

    @cached_property
    def _pairs(self) -> dict[tuple[int, int], int]:
        """All pairs of counts that occur, with their index."""
        found = {
            pair for frame in range(self.frames) for _, pairs in self._each(frame) for pair in pairs
        }
        return {pair: index for index, pair in enumerate(sorted(found))}

    def _each(self, frame: int) -> Iterator[tuple[Panel, list[tuple[int, int]]]]:
        for panel in self.panels:
            for column in range(len(panel.columns)):
                yield panel, panel.pairs(frame, column)

    @cached_property
    def looks(self) -> list[tuple[str, str]]:
        """Fill and text of each pair of counts that occurs."""
        return [_look(*pair) for pair in self._pairs]

    def counts(self, frame: int) -> list[list[list[int]]]:
        """Return the index of the look of each panel, column and width."""
        return [
            [[self._pairs[pair] for pair in panel.pairs(frame, c)] for c in range(len(panel.columns))]
            for panel in self.panels
        ]

    def marks(self, frame: int) -> list[list[list[float] | None]]:
        """Return the positions of k* and the ends of its interval for each panel and column."""
        return [[panel.mark(frame, c) for c in range(len(panel.columns))] for panel in self.panels]

    def rows(self, frame: int) -> list[list[str]]:
        """Return the rows of the table of critical widths: the columns that depend on the frame."""
        return [panel.row(frame, c) for panel in self.panels for c in range(len(panel.columns))]

    def fixed(self) -> list[list[str]]:
        """Return the rows of the table: the columns that are the same in all frames."""
        return [
            [panel.name, str(column["n"]), *panel.constants(index)]
            for panel in self.panels
            for index, column in enumerate(panel.columns)
        ]

    @property
    def scale(self) -> list[str]:
        """Colours of shares from 0 to 1, for the legend."""
        return [to_hex(_colours()(share)) for share in np.linspace(0, 1, 11)]

    @property
    def columns(self) -> list[str]:
        """Headings of the predicted widths and alpha that the store has."""
        return [name for variable, name in FIXED.items() if variable in self.panels[0].values]

    @cached_property
    def shows(self) -> set[str]:
        """Marks that occur in any frame: `width`, `open`, `edge`, `untried`, `zero`."""
        marks = [
            mark
            for frame in range(self.frames)
            for panel in self.marks(frame)
            for mark in panel
            if mark
        ]
        edges = [column["edge"] for panel in self.panels for column in panel.columns]
        texts = {text for _, text in self.looks}
        found = {
            "width": any(len(mark) > 1 for mark in marks),
            "open": any(len(mark) == 1 for mark in marks),
            "edge": any(edge is not None for edge in edges),
            "untried": NOT_TRIED in texts,
            "zero": DEGENERATE in texts,
        }
        return {name for name, occurs in found.items() if occurs}

    @property
    def is_located(self) -> bool:
        """True if any frame has a critical width."""
        return bool(self.shows & {"width", "open"})

    def range_text(self, units: str) -> str:
        """Return the critical widths of the last frame, from least to largest, as text.

        A width whose interval lacks an end is left out; cells above the widths are counted.
        """
        last, cells = self.frames - 1, self._cells()
        known = sorted(
            (*panel.width_of(last, c), panel.at(c))
            for panel, c in cells
            if len(panel.mark(last, c) or []) > 1
        )
        if not known:
            return ""
        ends = dict.fromkeys(
            with_interval(*width) + (f" ({at})" if units and len(cells) > 1 else "")
            for *width, at in (known[0], known[-1])
        )
        above = sum(panel.lies_above(last, c) for panel, c in cells)
        more = f", above the widths in {above}" if above else ""
        return (
            f"k* = {' to '.join(ends)}{units} on, in {len(known)} of {len(cells)} cells{more}; "
            f"{self._condition()}"
        )

    def sides(self) -> Counter[str]:
        """Return in how many cells of the last frame the widths miss k*, by the keys of `SIDES`."""
        sides = [panel.side(self.frames - 1, c) for panel, c in self._cells()]
        return Counter(side for side in SIDES for _ in range(sides.count(side)))

    def sides_text(self) -> str:
        """Return the same as text."""
        cells = len(self._cells())
        of_all = f"of {cells} cell{'s' * (cells > 1)}"
        return ", ".join(f"{SIDES[side].words} in {n} {of_all}" for side, n in self.sides().items())

    def missed_text(self) -> str:
        """Return the same with the condition of success; "" if the widths miss no k*."""
        return f"{self.sides_text()}; {self._condition()}" if self.sides() else ""

    def _cells(self) -> list[tuple[Panel, int]]:
        return [(panel, c) for panel in self.panels for c in range(len(panel.columns))]

    def _condition(self) -> str:
        rule = [self.rule, *(f"{slider.dim} = {slider.values[-1]}" for slider in self.sliders)]
        return f"success is {', '.join(rule)}"

    def outcomes(self, frame: int) -> str:
        """Return the number of cells with each outcome, as text: `3 cells, all censored`."""
        found = Counter(row[1] for row in self.rows(frame))
        count = f"{found.total()} cell{'s' * (found.total() > 1)}"
        if len(found) == 1:
            return f"{count}, {'all ' * (found.total() > 1)}{next(iter(found))}"
        return f"{count}: {', '.join(f'{times} {word}' for word, times in found.items())}"

    def points(self) -> list[dict[str, Any]]:
        """Return the counts of every frame, panel, column and width, as rows of a table."""
        settings = itertools.product(*(slider.numbers for slider in self.sliders))
        return [
            {
                "panel": panel.name,
                **{slider.dim: value for slider, value in zip(self.sliders, setting, strict=True)},
                "n": column["n"],
                "k": band["k"],
                "successes": successes,
                "trials": max(trials, 0),
            }
            for frame, setting in enumerate(settings)
            for panel in self.panels
            for index, column in enumerate(panel.columns)
            for band, (successes, trials) in zip(
                column["bands"], panel.pairs(frame, index), strict=True
            )
        ]

    def data(self) -> dict[str, Any]:
        """Return the data for the script of the page."""
        frames = range(self.frames)
        return {
            "sliders": [{"dim": s.dim, "values": s.values} for s in self.sliders],
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
        A store and its success. A store of descent gets all budgets of `budget_grid` unless the
        success gives budgets.
    """
    return plain_diagram(_with_budgets(study))


def plain_diagram(study: Study) -> Diagram:
    """Return the phase diagram of a store with the success of the study, and no other budgets."""
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
            for name, part in parts_along(cells, (*own_axes(study.ds), *FAMILY))
            if (panel := _panel(name, part, [slider.dim for slider in sliders])) is not None
        ]
    )
    rule, interval = (str(study.widths.attrs[name]) for name in ("rule", "interval_method"))
    return Diagram(rule, interval, sliders, panels[:MOST_PANELS], max(0, len(panels) - MOST_PANELS))


def _with_budgets(study: Study) -> Study:
    chosen = study.success.condition is not None or study.success.budgets is not None
    if chosen or "tolerance" not in study.widths.dims:
        return study
    return study.at_budgets(budget_grid(study.ds))


def _slider(cells: xr.Dataset, dim: str) -> Slider:
    labels = {"tolerance": "Tolerance of the relative loss", "budget": "Budget"}
    units = {"budget": " steps"}
    values = [axis_value(value) + units.get(dim, "") for value in cells[dim].values]
    return Slider(dim, labels.get(dim, dim), values, [float(value) for value in cells[dim].values])


def _panel(name: str, part: xr.Dataset, moving: list[str]) -> Panel | None:
    """Return the panel of some cells; None if none of their trials has run."""
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
            "x": LEFT + index * across,
            "across": across,
            "bands": scale.bands(widths),
            "edge": scale.inside(values["k_edge_finite"][0, index])
            if "k_edge_finite" in values
            else None,
        }
        for index, (n, widths) in enumerate(zip(part.n.values, k.values, strict=True))
    ]
    return Panel(name, columns, scale.ticks(), LEFT + across * len(columns) + 10, values, scale)


def _by_frame(part: xr.Dataset, name: str, moving: list[str]) -> Any:
    """Return a variable as an array (frame, n) or (frame, n, width)."""
    kept = ["n", "width"] if name.endswith("_at") else ["n"]
    values = part.variables[name]
    if set(values.dims) != {*moving, *kept}:
        like = part.trials_at if name.endswith("_at") else part.k50
        values = part[name].broadcast_like(like).variable
    values = values.transpose(*moving, *kept)
    return values.values.reshape(-1, *(part.sizes[dim] for dim in kept))


def _fit_text(p: float) -> str:
    if np.isnan(p):
        return "–"
    return f"{p:.2f}" + " fits badly" * (p < FITS_BADLY)


@cache
def _colours() -> Colormap:
    return mpl.colormaps["cividis"]  # a copy, each time it is asked for


def _look(successes: int, trials: int) -> tuple[str, str]:
    """Return the fill and the text of a tile."""
    if trials < 0:
        return "url(#zero)", DEGENERATE
    if not trials:
        return "url(#untried)", NOT_TRIED
    share, (low, high) = successes / trials, wilson(successes, trials)
    text = f"{successes} of {trials} succeed: {share:.2f} [{low:.2f}, {high:.2f}]"
    return to_hex(_colours()(share)), text
