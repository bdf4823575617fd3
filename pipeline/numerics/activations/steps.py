"""Step and sign, which are 0 at 0."""

from __future__ import annotations

import numpy as np

from pipeline.numerics.activations.record import Activation, Array, Geometry

__all__ = ["RECORDS"]


def _step_kernel(rows: Geometry) -> Array:
    return _nonzero(rows) * (np.pi - rows.angle) / (2 * np.pi)


def _sign_kernel(rows: Geometry) -> Array:
    return _nonzero(rows) * (1 - 2 * rows.angle / np.pi)


def _nonzero(rows: Geometry) -> Array:
    """Return 1 where both rows have a direction."""
    return np.outer(rows.norms > 0, rows.norms > 0).astype(np.float64)


RECORDS = {
    "step": Activation(lambda z: (z > 0).astype(np.float64), _step_kernel, concentrates=True),
    "sign": Activation(lambda z: np.sign(z, out=z), _sign_kernel, concentrates=True),
}
