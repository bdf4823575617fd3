"""Small stores of descent and of theory, and what their figures hold, for the tests of figures."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipeline.sweep import Sweep
from pipeline.sweep_files.load import parse_sweep

DESCENT = "{ steps = 400, tolerances = [0.5, 0.1] }"
SMALL = {"d": "[4]", "n": "[12]", "seeds": 6, "descent": DESCENT}
STORES = {
    "input": SMALL
    | {
        "experiment": "'input'",
        "d": "[3, 4]",
        "n": "[12, 24]",
        "width": "{ kd_per_n = [0.7, 1.4, 2.1, 3.0, 4.0, 6.0, 8.0, 12.0] }",
    },
    "output": SMALL
    | {"experiment": "'output'", "width": "{ k_per_n = { start = 0.4, stop = 5.0, num = 8 } }"},
    "joint": SMALL
    | {
        "experiment": "'joint'",
        "trained": "['output', 'input', 'both']",
        "width": "{ k = [2, 4, 6, 10, 16, 24, 48] }",
    },
    "tangent": {
        "experiment": "'tangent'",
        "trained": "['input', 'output', 'both']",
        "d": "[4]",
        "n": "[12, 16]",
        "width": "{ kd_per_n = [0.7, 1.5, 3.0, 6.0, 12.0, 24.0] }",
        "seeds": 6,
    },
    "deep": SMALL
    | {
        "experiment": "'deep'",
        "trained": "'both'",
        "depth": "[1, 2]",
        "width": "{ k = [2, 4, 8, 16, 32, 48] }",
    },
    "theorem1": SMALL
    | {
        "experiment": "'theorem1'",
        "activation": "['relu', 'softplus']",
        "trained": "['output', 'input']",
        "depth": "[1, 2]",
        "n": "[5]",
        "width": "{ k = [4, 20] }",
        "seeds": 3,
        "descent": "{ steps = 200, tolerances = [1e-6], multiples = [1, 1e6] }",
    },
    "proof": {
        "experiment": "'theorem2-proof'",
        "d": "[4]",
        "n": "[8, 16]",
        "width": "{ k_per_n = { start = 1.1, stop = 9.0, num = 8 } }",
        "seeds": 12,
    },
    "generalisation": SMALL
    | {"experiment": "'generalisation'", "n": "[8, 16, 32]", "width": "{ k_per_n = [0.5] }"},
    "linear": {
        "experiment": "'linear'",
        "activation": "'linear'",
        "dataset": "{ kind = 'gaussian' }",
        "d": "[10]",
        "n": "[2, 4, 6]",
        "seeds": 5,
        "width": None,
        "descent": "{ steps = 5000, tolerances = [1e-2, 1e-12] }",
    },
}
KINDS = {
    "input": ["curves", "budget", "thresholds"],
    "output": ["curves", "budget"],
    "joint": ["curves", "layers"],
    "tangent": ["tangent"],
    "deep": ["curves", "depth"],
    "theorem1": ["certificate"],
    "proof": ["proof"],
    "generalisation": ["curves", "generalisation"],
    "linear": ["curves", "regression"],
}
EVERY = [(name, kind) for name, kinds in KINDS.items() for kind in kinds]


def widthless(keys: dict[str, object]) -> Sweep:
    """A sweep that has no width to give: the fixture's would have one."""
    lines = ['name = "small"', "entropy = 7", *(f"{key} = {value}" for key, value in keys.items())]
    return parse_sweep("\n".join(lines), folder=None)


def panels(figure: Figure) -> list[Axes]:
    return [axes for axes in figure.axes if axes.axison]


def titled(figure: Figure, words: str) -> Axes:
    (found,) = (axes for axes in panels(figure) if words in axes.get_title(loc="left"))
    return found


def data_lines(axes: Axes, **look: str) -> list[np.ndarray]:
    """Points of the lines that are not empty, and of one style, colour or marker."""
    found = [line for line in axes.lines if len(line.get_ydata())]
    for key, value in look.items():
        found = [line for line in found if getattr(line, f"get_{key}")() == value]
    return [np.asarray(line.get_xydata(), dtype=float) for line in found]


def curves_of(axes: Axes) -> list[np.ndarray]:
    """Curves of success: lines without a marker, other than those that mark a level or a width."""
    return [xy for xy in data_lines(axes, marker="None") if len(xy) > 2]


def on_its_curve(curve: np.ndarray, k50: float) -> bool:
    """Return True if a curve over widths passes one half at the critical width."""
    k, heights = curve.T
    return bool(np.isclose(np.interp(np.log(k50), np.log(k), heights), 0.5, atol=1e-9))


def marks_at_half(axes: Axes) -> np.ndarray:
    """Return the abscissae of the critical widths, which are at one half."""
    bars = [bar.lines[0].get_xydata()[0] for bar in axes.containers]
    assert all(height == 0.5 for _, height in bars)
    return np.array([x for x, _ in bars])
