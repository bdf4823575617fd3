"""Training as people train, compiled: methods, mini-batches, schedules, losses, and float32.

Full-batch gradient descent on the squared loss has a loop of its own (`loop`), which is faster. Here
all weights lie in one vector, in the order W, other hidden layers, v; a method is then one pass over
its trained part. The output has a factor: f(x) = scale v^T phi(W x).

A step with a batch takes n / |batch| times the gradient of its samples. Batches are drawn without
replacement: each epoch goes through a new order of the samples, and its last batch may be smaller.
The loss of all samples is computed where an epoch begins, and at the end of the budget; with full
batches, at every step.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pipeline.descent.dispatch import SLOPES, code_of
from pipeline.descent.loop import (
    DIVERGED,
    LARGEST,
    Training,
    _add,
    _bend_rectified,
    _forward,
    _product,
    _scale,
    _square_apart,
)
from pipeline.descent.network import Network
from pipeline.descent.progress import Progress
from pipeline.numerics.compiled import announced, compiled, entry

__all__ = ["LOSSES", "METHODS", "SCHEDULES", "Method", "Outcome", "train_by"]

Array = NDArray[np.float64]

METHODS = ("gd", "momentum", "nesterov", "adam")
SCHEDULES = ("constant", "cosine", "1/t")
LOSSES = ("squared", "logistic", "squared_hinge")
"""Words whose places are the numbers that compiled code knows them by."""

GD, MOMENTUM, NESTEROV, ADAM = range(4)
CONSTANT, COSINE, INVERSE = range(3)
SQUARED, LOGISTIC, SQUARED_HINGE = range(3)


@dataclass(frozen=True)
class Method:
    """The way from gradients to steps.

    Attributes
    ----------
    name
        One of `METHODS`. With momentum m, `momentum` moves by m <- momentum m + g, and theta by
        -eta m; `nesterov` moves theta by -eta (g + momentum m).
    momentum, beta1, beta2, epsilon
        Constants of momentum and Nesterov, and of Adam.
    batch
        Samples of a step; all of them if it is n or more.
    schedule, decay
        One of `SCHEDULES`: eta, eta (1 + cos(pi t / T)) / 2 over the budget T, or
        eta / (1 + t / decay).
    loss
        One of `LOSSES`, a sum over the samples: (f - y)^2 / 2, log(1 + exp(-y f)), or
        max(0, 1 - y f)^2 / 2.
    dtype
        `float64` or `float32`.
    hidden_step, v_step
        Step sizes of later hidden layers and of v, in units of that of W.
    """

    name: str = "gd"
    momentum: float = 0.9
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    batch: int = 10**6
    schedule: str = "constant"
    decay: float = 1000.0
    loss: str = "squared"
    dtype: str = "float64"
    hidden_step: float = 1.0
    v_step: float = 1.0


@dataclass(frozen=True)
class Outcome(Training):
    """The result of one training: as of a descent, with losses ||r||^2, the sum of logistic losses, or
    of squared hinges.

    Attributes
    ----------
    accuracy
        Share of samples whose output has the sign of the label after the last step; 0 counts as
        positive.
    steps_to_accuracy
        The first step at which it is at least the target; inf if there was none.
    steps_to_loss
        The first step at which the loss is at most the target; inf if there was none.
    rises
        Steps at which the loss was above that of the step (or epoch) before.
    """

    accuracy: float
    steps_to_accuracy: float
    steps_to_loss: float
    rises: int


def train_by(
    network: Network,
    X: Array,
    y: Array,
    step_size: float,
    steps: int,
    tolerances: ArrayLike,
    marks: ArrayLike = (),
    method: Method | None = None,
    seed: int = 0,
    target: float = 1.0,
    waits: bool = False,
    target_loss: float | None = None,
    since: Progress | None = None,
) -> Outcome:
    """Train a network in place.

    Parameters
    ----------
    network, X, y, step_size, steps, tolerances, marks
        As for `train`.
    method
        The way from gradients to steps; gradient descent if None.
    seed
        Start of the orders of samples, from 0 to 2^64 - 1.
    target
        Training accuracy whose first step is recorded.
    waits
        True if training goes on until that accuracy is met, beyond the last tolerance.
    target_loss
        Loss that training goes on to as well; None if there is none.
    since
        The state from which to go on, of a training from the same start with a smaller budget; not with
        the schedule `cosine`, whose step sizes depend on the budget.

    Returns
    -------
    Outcome

    Examples
    --------
    >>> import numpy as np
    >>> from pipeline.descent.methods import Method, train_by
    >>> from pipeline.descent.network import Network, balanced
    >>> network = Network("relu", W=np.eye(2), hidden=np.empty((0, 2, 2)), v=balanced(2))
    >>> way = Method("momentum", momentum=0.5)
    >>> done = train_by(network, np.eye(2), np.array([1.0, -1.0]), 0.5, 50, [1e-4], method=way)
    >>> done.accuracy, done.steps_to_accuracy, done.diverged
    (1.0, 0.0, False)
    """
    way = method or Method()
    dtype = np.dtype(way.dtype)
    low = -1.0 if target_loss is None else float(target_loss)
    wanted, marked = np.asarray(tolerances, dtype=np.float64), np.asarray(marks, dtype=np.int64)
    order = np.argsort(-wanted, kind="stable")
    start = network.weights().astype(dtype)
    began = _begun(since, start.size, len(y), wanted.size, marked, seed)
    theta = start.copy() if since is None else since.weights.astype(dtype)
    m, s = (row.astype(dtype) for row in began.moments.reshape(2, -1))
    state, samples = np.array([began.state], dtype=np.uint64), began.order.astype(np.int64)
    reached, (curve, mark) = began.reached.copy(), began.curve_at(marked)
    batch = min(int(way.batch), len(y))
    kept_reached, kept_curve, counts, numbers, kept = _train(
        np.ascontiguousarray(X, dtype=dtype),
        np.ascontiguousarray(y, dtype=dtype),
        (theta, start, m, s),
        np.array([network.scale, way.momentum, way.beta1, way.beta2, way.epsilon], dtype=dtype),
        (network.v.size, len(network.hidden), code_of(network.activation)),
        (network.trains_hidden, network.trains_output),
        (METHODS.index(way.name), SCHEDULES.index(way.schedule), LOSSES.index(way.loss)),
        (float(step_size), float(way.decay), float(target), low),
        (1.0, float(way.hidden_step), float(way.v_step)),
        (int(steps), batch, bool(waits), target_loss is not None),
        (int(began.step), began.met, mark, int(began.rises)),
        (float(began.first), float(began.loss), float(began.accurate_at), float(began.low_at)),
        state,
        samples,
        wanted[order],
        marked,
        reached,
        curve,
    )
    in_order = np.empty_like(reached)
    in_order[order] = reached
    network.load(theta)
    taken, diverged, rises, correct = (int(count) for count in counts)
    first, last, distance, accurate_at, low_at = numbers
    progress, none = None, np.nan
    if taken == steps > 0:
        per_epoch = -(-len(y) // batch)
        high, low_half = divmod(int(state[0]), 2**32)
        progress = Progress(
            step=steps,
            judged=(steps - 1) // per_epoch * per_epoch,
            first=first,
            loss=kept[0],
            reached=kept_reached,
            marks=np.asarray(marked, dtype=np.float64),
            curve=kept_curve,
            weights=theta.astype(np.float64),
            moments=_wide(m, s) if way.name != "gd" else np.empty(0),
            order=_wide(samples) if batch < len(y) else np.empty(0),
            rises=kept[1],
            accurate_at=kept[2],
            low_at=kept[3],
            state_high=high,
            state_low=low_half,
        )
    return Outcome(
        in_order, curve, taken, first, last, distance, bool(diverged), none, none, none,
        correct / len(y), accurate_at, low_at, rises, progress=progress,
    )  # fmt: skip


def _begun(
    since: Progress | None, size: int, n: int, tolerances: int, marks: NDArray[np.int64], seed: int
) -> Progress:
    """Return the state from which a training goes on, with all its rows; its start if None."""
    if since is None:
        none, at = np.full(tolerances, np.inf), np.asarray(marks, dtype=np.float64)
        high, low = divmod(seed, 2**32)
        since = Progress(
            0, -1, 0.0, 0.0, none, at, np.full(marks.size, np.nan), np.empty(0), state_high=high,
            state_low=low,
        )  # fmt: skip
    moments = since.moments if since.moments.size else np.zeros(2 * size)
    order = since.order if since.order.size else np.arange(n, dtype=np.float64)
    return replace(since, moments=moments, order=order)


def _wide(*rows: NDArray[Any]) -> Array:
    """Join rows of any numbers as float64."""
    return np.concatenate(rows).astype(np.float64)


@announced
@entry
def _train(  # type: ignore[no-untyped-def]
    X, y, vectors, constants, shape, trains, kinds, rates, factors, limits, begun, before_it, state,
    order, tolerances, marks, reached, curve,
):  # fmt: skip
    n, d = X.shape
    k, above, _ = shape
    theta, start, m, s = vectors
    eta, decay, target, low = rates
    steps, batch, waits, waits_for_loss = limits
    begin, met, mark, rises = begun
    first, loss, accurate_at, low_at = before_it
    last = k * (d + above * k)  # v follows
    bounds = (0, k * d, last, last + k)
    gradient = np.zeros_like(theta)
    whole = _room(X, k, above, n)
    part, rest = _room(X, k, above, batch), _room(X, k, above, max(n % batch, 1))
    _fill(whole, X, y, np.arange(n))
    per_epoch = -(-n // batch)
    before, taken, diverged, correct = loss, begin, 0, 0
    kept_reached, kept_curve = reached.copy(), curve.copy()
    kept = (loss, float(rises), accurate_at, low_at)
    for step in range(begin, steps + 1):
        if step % per_epoch == 0 or step == steps:
            if step == steps:  # the state before a judgement that a longer training may not make
                kept_reached[:], kept_curve[:] = reached, curve
                kept = (loss, float(rises), accurate_at, low_at)
            taken, before = step, loss
            loss, right = _judge(whole, theta, constants, shape, trains, kinds[2])
            correct = right
            if step == 0:
                first = before = loss
            if not loss <= min(DIVERGED * first, LARGEST):
                diverged = 1
                break
            rises += 1 if loss > before else 0
            if right >= (target - 1e-9) * n and accurate_at == np.inf:
                accurate_at = float(step)
            if loss <= low and low_at == np.inf:
                low_at = float(step)
            while met < tolerances.size and loss <= tolerances[met] * first:
                reached[met] = step
                met += 1
            while mark < marks.size and marks[mark] <= step:
                curve[mark] = loss / first if first > 0 else 0.0
                mark += 1
            goes_on = (waits and accurate_at == np.inf) or (waits_for_loss and low_at == np.inf)
            if (met == tolerances.size and not goes_on) or step == steps:
                break
        if batch == n:
            _differentiate(whole, theta, gradient, constants, shape, trains, 1.0)
        else:
            at = step % per_epoch * batch
            if at == 0:
                _shuffle(order, state)
            room = part if at + batch <= n else rest
            chosen = order[at : at + batch]
            _fill(room, X, y, chosen)
            _judge(room, theta, constants, shape, trains, kinds[2])
            _differentiate(room, theta, gradient, constants, shape, trains, n / chosen.size)
        rate = _rate(kinds[1], eta, step, steps, decay)
        for layer in range(3):  # W, the other hidden layers, v
            one = slice(bounds[layer], bounds[layer + 1])
            if trains[layer // 2]:
                _move(kinds[0], theta[one], gradient[one], m[one], s[one], constants,
                      theta.dtype.type(rate * factors[layer]), step + 1)  # fmt: skip
    distance = np.sqrt(_square_apart(theta, start))
    return (
        kept_reached, kept_curve, (taken, diverged, rises, correct),
        (first, loss, distance, accurate_at, low_at), kept,
    )  # fmt: skip


@compiled
def _room(X, k, above, size):  # type: ignore[no-untyped-def]
    """Return arrays for a pass over a number of samples."""
    kind = X.dtype
    return (
        np.empty((size, X.shape[1]), kind), np.empty((X.shape[1], size), kind), np.empty(size, kind),
        np.empty((above + 1, k, size), kind), np.empty((above + 1, k, size), kind),
        np.empty((k, size), kind), np.empty(size, kind), np.empty(k, kind),
    )  # fmt: skip


@compiled
def _fill(room, X, y, chosen):  # type: ignore[no-untyped-def]
    """Copy the chosen samples."""
    for i in range(chosen.size):
        room[2][i] = y[chosen[i]]
        for j in range(X.shape[1]):
            room[0][i, j] = room[1][j, i] = X[chosen[i], j]


@compiled
def _shuffle(order, state):  # type: ignore[no-untyped-def]
    """Shuffle by Fisher and Yates, with the numbers of splitmix64: the same bits on every platform."""
    for i in range(order.size - 1, 0, -1):
        state[0] += np.uint64(0x9E3779B97F4A7C15)
        z = state[0]
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
        j = np.int64(z % np.uint64(i + 1))
        order[i], order[j] = order[j], order[i]


@compiled
def _parts(theta, shape, d):  # type: ignore[no-untyped-def]
    """Return W, the other hidden layers and v within a vector of all weights."""
    k, above, _ = shape
    first, last = k * d, k * (d + above * k)
    W, hidden = theta[:first].reshape((k, d)), theta[first:last].reshape((above, k, k))
    return W, hidden, theta[last:]


@compiled
def _judge(room, theta, constants, shape, trains, kind):  # type: ignore[no-untyped-def]
    """Return the loss and the number of right signs; leave dL/df in the place of the residual."""
    X, X_T, y, slopes, features, _, signal, u = room
    W, hidden, v = _parts(theta, shape, X.shape[1])
    for unit in range(v.size):
        u[unit] = constants[0] * v[unit]
    loss = _forward(X_T, y, W, hidden, u, shape[2], trains[1], slopes, features, signal)
    right = 0
    for i in range(y.size):
        right += 1 if (signal[i] + y[i] >= 0) == (y[i] >= 0) else 0
    if kind == SQUARED:
        return loss, right
    loss = 0.0
    for i in range(y.size):
        margin = y[i] * (signal[i] + y[i])
        if kind == LOGISTIC:
            fall = np.exp(-abs(margin))
            loss += np.log1p(fall) + (0.0 if margin > 0 else -margin)
            signal[i] = -y[i] * ((fall if margin > 0 else 1.0) / (1.0 + fall))
        else:
            gap = max(0.0, 1.0 - margin)
            loss += gap * gap
            signal[i] = -y[i] * gap
    return loss, right


@compiled
def _differentiate(room, theta, gradient, constants, shape, trains, factor):  # type: ignore[no-untyped-def]
    """Fill the gradient of the trained weights, times a factor, after `_judge`."""
    X, _, _, slopes, features, back, signal, u = room
    _, hidden, _ = _parts(theta, shape, X.shape[1])
    to_W, to_hidden, to_v = _parts(gradient, shape, X.shape[1])
    last, code = shape[1], shape[2]
    for i in range(signal.size):
        signal[i] *= factor
    if trains[0]:
        if code < len(SLOPES) and not trains[1]:
            _bend_rectified(slopes[last], SLOPES[code], u, signal)
        else:
            for unit in range(u.size):
                _scale(slopes[last, unit], u[unit], signal)
    if trains[1]:
        for unit in range(u.size):
            to_v[unit] = constants[0] * _product(features[last, unit], signal)
    if not trains[0]:
        return
    for layer in range(last, 0, -1):
        np.dot(hidden[layer - 1].T, slopes[layer], back)
        np.dot(slopes[layer], features[layer - 1].T, to_hidden[layer - 1])
        for unit in range(u.size):
            _scale(slopes[layer - 1, unit], 1.0, back[unit])
    np.dot(slopes[0], X, to_W)


@compiled
def _rate(schedule, eta, step, steps, decay):  # type: ignore[no-untyped-def]
    """Return the step size of a step."""
    if schedule == COSINE:
        return eta * (1 + np.cos(np.pi * step / steps)) / 2
    if schedule == INVERSE:
        return eta / (1 + step / decay)
    return eta


@compiled
def _move(method, theta, g, m, s, constants, rate, t):  # type: ignore[no-untyped-def]
    """Take step t, counted from 1."""
    if method == GD:
        _add(theta, -rate, g)
    elif method == ADAM:
        b1, b2, epsilon = constants[2], constants[3], constants[4]
        whole1, whole2 = 1 - float(b1) ** t, 1 - float(b2) ** t
        for i in range(theta.size):
            m[i] = b1 * m[i] + (1 - b1) * g[i]
            s[i] = b2 * s[i] + (1 - b2) * g[i] * g[i]
            theta[i] -= rate * (m[i] / whole1) / (np.sqrt(s[i] / whole2) + epsilon)
    else:
        for i in range(theta.size):
            m[i] = constants[1] * m[i] + g[i]
            theta[i] -= rate * (g[i] + constants[1] * m[i] if method == NESTEROV else m[i])
