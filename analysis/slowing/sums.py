"""The sums of the model of times over trials and nodes, compiled; `likelihood.py` tells the model.

The formulas are those of `likelihood.standardised`. One pass over the trials of a seed at each node of
its z gives the likelihood and what its slopes are made of.

numba keeps the machine code of a function by its own file alone: all that is called here lies here.
"""

from __future__ import annotations

import math

import numpy as np

from pipeline.numerics.compiled import compiled, entry, inlined

__all__ = ["integrals"]

# mypy: disable-error-code="no-untyped-def"

HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)
SQRT_2 = math.sqrt(2)

MOST, FACTOR = 50.0, 300.0
"""Exponents lie between the first and its negative, so that no number overflows or is 0.

Those of their two factors have wider bounds: which of both is large says nothing.
"""

STRIDE, MANY, FAINT = 4, 40, 45.0
"""Of more nodes than `MANY`, those between two that are fainter than the best by e^-45 are left out."""

SMALL = 1e-3
"""With a smaller s, q - 1 would lose digits as a difference."""

FAR = -20.0
"""Below it a normal probability is that of its asymptotic series, to 1e-15: `erfc` ends at -37."""


@entry
def integrals(theta, above, log_time, arrived, starts, nodes, log_weights, share, scores):
    """Return the log-likelihood, and fill in the posterior of every seed's z and the gradient.

    Parameters
    ----------
    theta
        The parameters, in the order of `likelihood.NAMES`; s is not 0.
    above, log_time, arrived
        Of every trial, ordered by its seed: log k/k_0, log T, and whether it arrived.
    starts
        The first trial of every seed, and the end of the last.
    nodes, log_weights
        The nodes of every seed's z, (seed, node), and the logarithms of their weights.
    share
        Filled with the posterior probability of every node, (seed, node).
    scores
        Filled with the gradient of the log-likelihood of every seed, (seed, parameter), if it has rows.
    """
    shape, sums, whole = _shape(theta), np.zeros((nodes.shape[1], len(theta))), 0.0
    falls, decays = _factors(shape, above, log_time)
    stride = STRIDE if nodes.shape[1] > MANY and nodes.shape[1] % STRIDE == 1 else 1
    for seed in range(len(nodes)):
        sums[:], most = 0.0, -np.inf
        for start in range(stride):  # first every so many nodes, then those between
            for node in range(start, nodes.shape[1], stride):
                before = node - start
                if start and max(share[seed, before], share[seed, before + stride]) < most - FAINT:
                    share[seed, node] = -np.inf
                    continue
                z, score = nodes[seed, node], log_weights[seed, node]
                lift, stretch = _factor(shape[5] * shape[4] * z), _factor(shape[1] * shape[3] * z)
                for trial in range(starts[seed], starts[seed + 1]):
                    x, y = shape[4] * z - above[trial], log_time[trial] - shape[0] - shape[3] * z
                    late = _late(shape, x, y, falls[trial] * lift, decays[trial] * stretch)
                    log_chance, pull = _outcome(shape, late, arrived[trial])
                    score += log_chance
                    if len(scores):
                        _add_slopes(sums[node], shape, late, arrived[trial], pull, z)
                share[seed, node] = score
                if start == 0:
                    most = max(most, score)
        whole += _normalised(share[seed])
        if len(scores):
            scores[seed] = 0.0
            for node in range(nodes.shape[1]):
                scores[seed] += share[seed, node] * sums[node]
    return whole


@compiled
def _shape(theta):
    """Return the parameters, with those that are stored as logarithms, and what follows from them."""
    a, s, log_b, log_omega, kappa, log_sigma, log_rho, log_beta = theta
    ratio = math.exp(log_rho - log_sigma)
    norm = ratio * ratio + s * s
    scale = math.exp(log_sigma) * math.sqrt(norm)
    offset = math.log(norm) / 2 - log_rho  # of the logarithm of a speed
    return a, s, log_b, math.exp(log_omega), kappa, math.exp(log_beta), ratio, norm, scale, offset


@compiled
def _factors(shape, above, log_time):
    """Return the factors of b x and of q that depend on the trial alone."""
    a, s, log_b, _, _, beta, _, _, _, _ = shape
    falls, decays = np.empty_like(above), np.empty_like(above)
    for trial in range(len(above)):
        falls[trial] = _factor(log_b - beta * above[trial])
        decays[trial] = _factor(-s * (log_time[trial] - a))
    return falls, decays


@inlined
def _late(shape, x, y, rise, q):
    """Return how late a time is in standard deviations, and x, y, b x, q - 1, tau and both roots."""
    _, s, _, _, _, _, ratio, norm, scale, _ = shape
    rise, q = _within(rise), _within(q)
    less = q - 1.0 if abs(s) > SMALL else math.expm1(-s * y)
    place = rise * (norm / ratio) - s / ratio
    time = -less * (ratio / s) - q * (s / ratio)
    time_root, place_root = math.sqrt(1.0 + time * time), math.sqrt(1.0 + place * place)
    late = math.log(_exp_asinh(time, time_root) / _exp_asinh(place, place_root)) / scale
    return late, x, y, rise, less, time, time_root, place_root


@inlined
def _outcome(shape, late, arrived):
    """Return the logarithm of the chance of a trial, and its derivative in how late it is.

    The chance of a trial that arrived has its speed: how fast the residual grows with log T.
    """
    e, _, y, _, _, _, time_root, _ = late
    if arrived:
        speed = _bounded(-shape[1] * y) - math.log(time_root) + shape[9]
        return speed - e * e / 2 - HALF_LOG_2PI, -e
    chance = _log_normal(-e)
    return chance, -math.exp(-e * e / 2 - HALF_LOG_2PI - chance)


@inlined
def _add_slopes(sums, shape, late, arrived, pull, z):
    """Add the derivatives of the logarithm of a chance, in the order of `likelihood.NAMES`."""
    _, s, _, omega, _, beta, ratio, norm, scale, _ = shape
    e, x, y, rise, less, time, time_root, place_root = late
    q = 1.0 + less
    by_time, by_place = pull / (scale * time_root), -pull / (scale * place_root)
    time_y = q * (norm / ratio)
    time_s = ratio * _curve(s, y, less) + (s * y - 1.0) * (q / ratio)
    time_ratio = time + q * (2 * s / ratio)
    in_a = -by_time * time_y
    in_s = by_time * time_s + by_place * (rise * (2 * s / ratio) - 1.0 / ratio) - pull * e * (s / norm)
    in_b = by_place * rise * (norm / ratio)
    in_ratio = by_time * time_ratio + by_place * (rise * (ratio - s * s / ratio) + s / ratio)
    in_ratio -= pull * e * (ratio * ratio / norm)
    if arrived:
        bend = time / (time_root * time_root)
        in_a += s + bend * time_y
        in_s += s / norm - y - bend * time_s
        in_ratio += ratio * ratio / norm - bend * time_ratio
        sums[6] -= 1.0
    sums[0] += in_a
    sums[1] += in_s
    sums[2] += in_b
    sums[3] += in_a * omega * z
    sums[4] += in_b * beta * z
    sums[5] -= in_ratio + pull * e
    sums[6] += in_ratio
    sums[7] += in_b * beta * x


@inlined
def _curve(s, y, less):
    """Return the derivative of (1 - q) / s in s, where less = q - 1: its series, if digits are lost."""
    if abs(s * y) < 1e-4:
        return -y * y / 2 + s * y**3 / 3
    return (y * (1.0 + less) + less / s) / s


@inlined
def _bounded(exponent):
    return min(max(exponent, -MOST), MOST)


@compiled
def _factor(exponent):
    return math.exp(min(max(exponent, -FACTOR), FACTOR))


@inlined
def _within(factor):
    return min(max(factor, math.exp(-MOST)), math.exp(MOST))


@inlined
def _exp_asinh(t, root):
    return t + root if t >= 0.0 else 1.0 / (root - t)


@compiled
def _log_normal(x):
    """Return the logarithm of the probability that a standard normal number is below x."""
    if x > -1.0:
        return math.log1p(-0.5 * math.erfc(x / SQRT_2))
    if x > FAR:
        return math.log(0.5 * math.erfc(-x / SQRT_2))
    series, term = 1.0, 1.0
    for number in range(1, 9):
        term *= -(2 * number - 1) / (x * x)
        series += term
    return -0.5 * x * x - math.log(-x) - HALF_LOG_2PI + math.log(series)


@compiled
def _normalised(score):
    """Turn logarithms into probabilities; return the logarithm of their sum."""
    most = score.max()
    total = 0.0
    for place in range(len(score)):
        score[place] = math.exp(score[place] - most)
        total += score[place]
    for place in range(len(score)):
        score[place] /= total
    return most + math.log(total)
