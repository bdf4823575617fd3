"""Full-batch gradient descent, compiled: one loop for every layer and depth.

The loss is half the squared residual, L = ||y - f||^2 / 2. One pass over the network gives the
residual and the derivatives; BLAS computes the matrix products, and everything else works on one row
at a time while the row is in cache. The loop stops as soon as the last tolerance is met, and at
divergence: a residual that is not finite, or a relative loss above `DIVERGED`. An increase alone is not
divergence, since the loss of ReLU networks rises on many steps while it falls overall.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pipeline.descent.dispatch import SLOPES, activate, code_of
from pipeline.descent.network import Network
from pipeline.descent.progress import Progress
from pipeline.numerics.compiled import announced, compiled, entry

__all__ = ["DIVERGED", "LEAST_TOLERANCE", "Training", "train"]

Array = NDArray[np.float64]

DIVERGED = 1e6
"""Relative loss above which descent counts as diverged and stops."""

LARGEST = np.finfo(np.float64).max
"""A larger loss, including the first one, is not finite: descent stops."""

LEAST_TOLERANCE = 1e-26
"""Smallest relative loss ||r||^2 / ||r0||^2 in float64: residuals are rounded at about 1e-14."""


@dataclass(frozen=True)
class Training:
    """The result of one descent.

    Attributes
    ----------
    steps_to_tolerance
        (tolerances,) the first step at which the relative loss ||r||^2 / ||r0||^2 is at or below
        each tolerance; inf if there was none.
    curve
        (marks,) relative loss at the marked steps; NaN after the last step taken.
    steps
        Updates made.
    loss_initial, loss_final
        ||r||^2 before the first and after the last of them.
    distance
        ||theta - theta0|| over the trained weights.
    diverged
        True if the relative loss exceeded `DIVERGED` or was not finite.
    rate_ratio, path_ratio
        Left over right side of (4) and of (5), the largest over all steps; NaN unless `alpha` was
        given.
    last_ratio
        Residual of the last step over that of the one before.
    progress
        The state from which a larger budget goes on, if it was the budget that ended the descent.
    """

    steps_to_tolerance: Array
    curve: Array
    steps: int
    loss_initial: float
    loss_final: float
    distance: float
    diverged: bool
    rate_ratio: float
    path_ratio: float
    last_ratio: float
    progress: Progress | None = field(default=None, kw_only=True)


def train(
    network: Network,
    X: Array,
    y: Array,
    step_size: float,
    steps: int,
    tolerances: ArrayLike,
    marks: ArrayLike = (),
    alpha: float = 0.0,
    since: Progress | None = None,
) -> Training:
    """Run gradient descent (2) on the trained weights of a network, in place.

    Parameters
    ----------
    network
        The start; its weights are overwritten by those of the last step.
    X, y
        Inputs (n, d) and labels (n,).
    step_size
        eta.
    steps
        Largest number of updates.
    tolerances
        Tolerances of the relative loss, in any order; the loop ends when the smallest is met.
    marks
        Steps at which to record the loss, ascending.
    alpha
        The constant of Assumption 1; if it is above 0, the two sides of (4) and (5) are compared at
        every step.
    since
        The state from which to go on, of a descent from the same start with a smaller budget; not with
        `alpha`.

    Returns
    -------
    Training

    Examples
    --------
    >>> import numpy as np
    >>> from pipeline.descent import train
    >>> from pipeline.descent.network import Network, balanced
    >>> network = Network("relu", W=np.eye(2), hidden=np.empty((0, 2, 2)), v=balanced(2))
    >>> done = train(network, np.eye(2), np.array([1.0, -1.0]), 1.0, 50, tolerances=[1e-4])
    >>> done.steps_to_tolerance, done.diverged
    (array([7.]), False)
    """
    wanted, marked = np.asarray(tolerances, dtype=np.float64), np.asarray(marks, dtype=np.int64)
    order = np.argsort(-wanted, kind="stable")
    start = network.copy()
    if since is None:
        begin, first, loss, met, mark = 0, 0.0, 0.0, 0, 0
        reached, curve = np.full(wanted.size, np.inf), np.full(marked.size, np.nan)
    else:
        begin, first, loss, met = int(since.step), since.first, since.loss, since.met
        reached, (curve, mark) = since.reached.copy(), since.curve_at(marked)
        network.load(since.weights)
    counts, numbers = _descend(
        np.ascontiguousarray(X),
        np.ascontiguousarray(X.T),
        np.ascontiguousarray(y),
        (network.W, network.hidden, network.v),
        (start.W, start.hidden, start.v),
        code_of(network.activation),
        network.trains_hidden,
        network.trains_output,
        float(step_size),
        (begin, int(steps), met, mark),
        (float(first), float(loss)),
        wanted[order],
        marked,
        float(alpha),
        reached,
        curve,
    )
    in_order = np.empty_like(reached)
    in_order[order] = reached
    taken, diverged = counts
    first, last, distance, rate, path, ratio, before = numbers
    progress = None
    if taken == steps > 0 and not alpha:
        at, row = np.asarray(marked, dtype=np.float64), network.weights()
        progress = Progress(steps, steps, first, before, reached, at, curve, row)
    return Training(
        in_order, curve, int(taken), first, last, distance, bool(diverged), rate, path, ratio,
        progress=progress,
    )  # fmt: skip


@announced
@entry
def _descend(  # type: ignore[no-untyped-def]
    X, X_T, y, weights, start, code, trains_hidden, trains_output, eta, counts, losses, tolerances,
    marks, alpha, reached, curve,
):  # fmt: skip
    W, hidden, v = weights
    W0, hidden0, v0 = start
    begin, steps, met, mark = counts
    first, loss = losses
    k, n, above = W.shape[0], X.shape[0], hidden.shape[0]
    slopes, features = np.empty((above + 1, k, n)), np.empty((above + 1, k, n))
    back, G, H = np.empty((k, n)), np.empty(W.shape), np.empty((k, k))
    residual = np.empty(n)
    before, taken, diverged = loss, begin, 0
    rate_ratio, path_ratio, bound = np.nan, np.nan, 1.0
    for step in range(begin, steps + 1):
        taken, before = step, loss
        loss = _forward(X_T, y, W, hidden, v, code, trains_output, slopes, features, residual)
        if step == 0:
            first = before = loss
        if not loss <= min(DIVERGED * first, LARGEST):
            diverged = 1
            break
        while met < tolerances.size and loss <= tolerances[met] * first:
            reached[met] = step
            met += 1
        while mark < marks.size and marks[mark] <= step:
            curve[mark] = loss / first if first > 0 else 0.0
            mark += 1
        if alpha > 0 and step > 0:
            bound *= 1 - eta * alpha**2 / 4
            gone = np.sqrt(_apart(W, W0, hidden, hidden0, v, v0))
            norm, start = np.sqrt(loss), np.sqrt(first)
            rate_ratio = max(0.0 if step == 1 else rate_ratio, norm / (bound * start))
            path_ratio = max(0.0 if step == 1 else path_ratio, (alpha / 5 * gone + norm) / start)
        if met == tolerances.size or step == steps:
            break
        _update(
            X, W, hidden, v, code, trains_hidden, trains_output,
            eta, slopes, features, residual, back, G, H,
        )  # fmt: skip
    distance = np.sqrt(_apart(W, W0, hidden, hidden0, v, v0))
    last_ratio = np.sqrt(loss / before) if before > 0 else 0.0
    return (taken, diverged), (first, loss, distance, rate_ratio, path_ratio, last_ratio, before)


@compiled
def _forward(X_T, y, W, hidden, v, code, keeps, slopes, features, residual):  # type: ignore[no-untyped-def]
    """Fill derivatives, features and f - y; return its square.

    The last layer's features are summed up immediately and stored only if v is trained.
    """
    last = hidden.shape[0]
    for layer in range(last + 1):
        z = slopes[layer]
        if layer == 0:
            np.dot(W, X_T, z)
        else:
            np.dot(hidden[layer - 1], features[layer - 1], z)
        if layer < last:
            for unit in range(z.shape[0]):
                activate(code, z[unit], features[layer, unit])
    for i in range(residual.size):
        residual[i] = -y[i]  # -y as a whole would allocate at every step
    if code < len(SLOPES) and not keeps:
        _add_rectified(residual, v, slopes[last], SLOPES[code])
    else:
        for unit in range(v.size):
            a = features[last, unit] if keeps else features[last, 0]
            activate(code, slopes[last, unit], a)
            _add(residual, v[unit], a)
    loss = 0.0
    for i in range(residual.size):
        loss += residual[i] * residual[i]
    return loss


@compiled
def _update(  # type: ignore[no-untyped-def]
    X, W, hidden, v, code, trains_hidden, trains_output, eta, slopes, features, residual, back, G, H
):
    """Take one step against the gradient, from the last layer to the first."""
    last = hidden.shape[0]
    if trains_hidden:
        if code < len(SLOPES) and not trains_output:
            _bend_rectified(slopes[last], SLOPES[code], v, residual)
        else:
            for unit in range(v.size):
                _scale(slopes[last, unit], v[unit], residual)
    if trains_output:
        for unit in range(v.size):
            v[unit] -= eta * _product(features[last, unit], residual)
    if not trains_hidden:
        return
    for layer in range(last, 0, -1):
        above = hidden[layer - 1]
        np.dot(above.T, slopes[layer], back)
        np.dot(slopes[layer], features[layer - 1].T, H)
        _add(above.reshape(-1), -eta, H.reshape(-1))
        for unit in range(v.size):
            _scale(slopes[layer - 1, unit], 1.0, back[unit])
    np.dot(slopes[0], X, G)
    _add(W.reshape(-1), -eta, G.reshape(-1))


# The last layer of a rectifier network need not store phi or phi': small ones take a fifth less time.


@compiled
def _add_rectified(total, v, Z, slope):  # type: ignore[no-untyped-def]
    """Add v^T phi(Z) to `total`."""
    slope = Z.dtype.type(slope)  # a float64 would make all of it float64
    for unit in range(Z.shape[0]):
        for i in range(Z.shape[1]):
            total[i] += v[unit] * (Z[unit, i] if Z[unit, i] > 0 else slope * Z[unit, i])


@compiled
def _bend_rectified(Z, slope, v, residual):  # type: ignore[no-untyped-def]
    """Overwrite Z by phi'(Z) v residual^T."""
    one, slope = Z.dtype.type(1.0), Z.dtype.type(slope)
    for unit in range(Z.shape[0]):
        for i in range(Z.shape[1]):
            Z[unit, i] = v[unit] * residual[i] * (one if Z[unit, i] > 0 else slope)


@compiled
def _apart(W, W0, hidden, hidden0, v, v0):  # type: ignore[no-untyped-def]
    """Return the squared distance of all weights from their start."""
    total = _square_apart(W.reshape(-1), W0.reshape(-1)) + _square_apart(v, v0)
    return total + _square_apart(hidden.reshape(-1), hidden0.reshape(-1))


# The loops below run over whole slices, from 0: numba can then vectorise them.


@compiled
def _square_apart(a, b):  # type: ignore[no-untyped-def]
    total = 0.0
    for i in range(a.size):
        total += (a[i] - b[i]) * (a[i] - b[i])
    return total


@compiled
def _add(a, factor, b):  # type: ignore[no-untyped-def]
    for i in range(a.size):
        a[i] += factor * b[i]


@compiled
def _scale(a, factor, b):  # type: ignore[no-untyped-def]
    for i in range(a.size):
        a[i] *= factor * b[i]


@compiled
def _product(a, b):  # type: ignore[no-untyped-def]
    total = 0.0
    for i in range(a.size):
        total += a[i] * b[i]
    return total
