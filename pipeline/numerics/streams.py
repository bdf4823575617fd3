"""Random streams: every draw is a pure function of a trial's coordinates.

A stream is named by the sweep's entropy, the trial's (d, n, seed) and the role of the numbers. It
knows nothing of workers, blocks or the extents of the sweep, so a trial has the same value wherever,
whenever and beside whatever it is computed. Activations and datasets share their draws (paired
comparisons); with nested widths all widths of a seed share one stream of weights.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np

__all__ = ["Role", "stream"]


class Role(IntEnum):
    """What a stream is for; the numbers are part of the on-disk identity and never change."""

    DATA = 0
    WEIGHTS = 1
    LABELS = 2
    HIDDEN = 3
    START = 4
    TEACHER = 5
    TEST = 6


def stream(
    entropy: int, d: int, n: int, seed: int, role: Role, k: int | None = None
) -> np.random.Generator:
    """Return the generator of one role of one trial.

    Parameters
    ----------
    entropy, d, n, seed
        The sweep's entropy, input dimension, number of samples and seed.
    role
        What the numbers are for.
    k
        The width, for weights that are redrawn at each width; None where widths nest.
    """
    key = (d, n, seed, int(role)) if k is None else (d, n, seed, int(role), k)
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(entropy, spawn_key=key)))
