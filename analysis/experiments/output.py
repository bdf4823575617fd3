"""The expected loss of the output layer by random matrix theory, with nothing fitted.

At every step, descent on v shrinks the component of the residual along a singular vector by a factor of
1 - eta k x, where x is the eigenvalue of Phi^T Phi / k. Random labels have equal components on average,
so the relative loss is the mean of (1 - eta k x)^(2 t) over the spectrum. In the limit that is the
generalised Marchenko-Pastur law, whose atom of mass 1 - k/n at 0 never shrinks if k < n. The step is
eta = c / (k x_max), where x_max is the law's largest quantile.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numpy.typing import ArrayLike

from pipeline.theory import marchenko_pastur

__all__ = ["expected_loss"]

Floats = npt.NDArray[np.float64]


def expected_loss(eigenvalues: ArrayLike, k: float, steps: ArrayLike, step_size: float = 1.0) -> Floats:
    """Return the expected relative loss ||r_t||^2 / ||r_0||^2 of descent on v from 0.

    Parameters
    ----------
    eigenvalues
        (n,) eigenvalues of the population kernel K.
    k
        The width.
    steps
        (s,) numbers of steps t.
    step_size
        c, in units of 1 / sigma_max(Phi)^2; descent converges below 2.

    Returns
    -------
    numpy.ndarray
        (s,) losses, for random labels.
    """
    points, weights = marchenko_pastur.nodes(eigenvalues, k)
    largest = marchenko_pastur.quantiles(eigenvalues, k)[-1]
    left = np.abs(1 - step_size * points / largest)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        powers = np.exp(2 * np.multiply.outer(np.asarray(steps, dtype=float), np.log(left)))
    # 0 steps keep everything, even a mode that one step would remove entirely: 0 times -inf.
    powers = np.where(np.isnan(powers), 1.0, powers)
    losses: Floats = powers @ weights
    return losses
