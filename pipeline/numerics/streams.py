"""Random streams: every draw is a pure function of a trial's coordinates.

A stream is identified by the sweep's entropy, the trial's (d, n, seed) and the role of the numbers. It
does not depend on workers, blocks or the extents of the sweep, so that a trial always has the same
value. Activations and datasets share their draws (paired comparisons); with nested widths, all widths
of a seed share one stream of weights.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from enum import IntEnum
from typing import Any

import numpy as np

__all__ = ["Role", "named_stream", "stream"]


class Role(IntEnum):
    """The purpose of a stream. The numbers are part of the on-disk identity and never change."""

    DATA = 0
    WEIGHTS = 1
    LABELS = 2
    HIDDEN = 3
    START = 4
    TEACHER = 5
    TEST = 6
    NAMED = 7
    BATCH = 8
    NOISE = 9
    FLIP = 10
    OUTPUT = 11
    BIAS = 12


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


def named_stream(
    entropy: int, d: int, n: int, seed: int, name: Sequence[Any], k: int | None = None
) -> np.random.Generator:
    """Return a generator that belongs to a name, in trials of a user's own.

    Parameters
    ----------
    entropy, d, n, seed
        As for `stream`.
    name
        Words and numbers; equal ones give the same stream.
    k
        The width, for streams of each width; None if all widths of a seed share one.

    Raises
    ------
    TypeError
        A part of the name is neither a word nor a number.
    """
    text = json.dumps([[_plain(part) for part in name], k], allow_nan=False)
    words = np.frombuffer(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest(), dtype="<u4")
    key = (d, n, seed, int(Role.NAMED), *words.tolist())
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(entropy, spawn_key=key)))


def _plain(part: Any) -> str | int | float:
    """Return a part of a name as JSON writes it the same way everywhere."""
    value = part.item() if isinstance(part, np.generic) else part
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise TypeError(f"the name of a stream: got {part!r}, expected words and numbers")
    return value
