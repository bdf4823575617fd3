"""The loss of the output layer that random matrix theory expects, with nothing fitted.

Descent on v shrinks the residual's part along a singular vector by 1 - eta k x at every step, x being
the eigenvalue of Phi^T Phi / k. Random labels have equal parts along all of them on average, so the
relative loss is the mean of (1 - eta k x)^(2 t) over the spectrum, and in the limit over the
generalised Marchenko-Pastur law, whose atom of mass 1 - k/n at 0 never shrinks where k < n. The step
is eta = c / (k x_max), x_max being the law's largest quantile.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numpy.typing import ArrayLike

from pipeline.theory import marchenko_pastur

__all__ = ["expected_loss"]

Floats = npt.NDArray[np.float64]


def expected_loss(eigenvalues: ArrayLike, k: float, steps: ArrayLike, step_size: float = 1.0) -> Floats:
    """Expected relative loss ||r_t||^2 / ||r_0||^2 of descent on v from 0, for random labels.

    Parameters
    ----------
    eigenvalues
        (n,) of the population kernel K.
    k
        The width.
    steps
        (s,) numbers of steps t.
    step_size
        c, in units of 1 / sigma_max(Phi)^2; below 2, where descent converges.

    Returns
    -------
    (s,) losses.
    """
    points, weights = marchenko_pastur.nodes(eigenvalues, k)
    largest = marchenko_pastur.quantiles(eigenvalues, k)[-1]
    left = np.abs(1 - step_size * points / largest)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        powers = np.exp(2 * np.multiply.outer(np.asarray(steps, dtype=float), np.log(left)))
    # 0 steps leave all, also of a mode that one step would remove whole: 0 times -inf.
    powers = np.where(np.isnan(powers), 1.0, powers)
    losses: Floats = powers @ weights
    return losses
