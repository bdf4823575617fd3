"""Random streams: every draw is a pure function of a trial's coordinates.

A stream is identified by the sweep's entropy, the trial's (d, n, seed) and the role of the numbers. It
does not depend on workers, blocks or the extents of the sweep, so that a trial always has the same
value. Activations and datasets share their draws (paired comparisons); with nested widths, all widths
of a seed share one stream of weights.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np

__all__ = ["Role", "stream"]


class Role(IntEnum):
    """The purpose of a stream. The numbers are part of the on-disk identity and never change."""

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
        The purpose of the numbers.
    k
        The width, for weights that are redrawn at each width; None if widths are nested.
    """
    key = (d, n, seed, int(role)) if k is None else (d, n, seed, int(role), k)
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(entropy, spawn_key=key)))
