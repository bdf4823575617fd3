"""What a stored trial was made from, drawn again: its inputs follow from entropy, d, n and seed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline import kernels
from pipeline.datasets import draw
from pipeline.errors import StoreError
from pipeline.store import sweep_from
from pipeline.streams import Role, stream

__all__ = ["redrawn_eigenvalues"]


def redrawn_eigenvalues(
    attributes: Mapping[str, Any],
    *,
    d: int,
    n: int,
    seed: int,
    activation: str | None = None,
    dataset: str | None = None,
    angle: float = 0.0,
) -> NDArray[np.float64]:
    """Eigenvalues of the population kernel of one seed's inputs, for stores that do not keep them.

    Parameters
    ----------
    attributes
        Those of the store.
    d, n, seed
        Coordinates of the trial.
    activation, dataset, angle
        Its other coordinates, where the store has such axes; an angle of 0 is none.

    Returns
    -------
    (n,) eigenvalues, ascending.

    Raises
    ------
    StoreError
        The attributes are not those of a store, or the file of its data has gone.
    """
    if not isinstance(attributes.get("identity"), str):
        raise StoreError("the data have no attributes of a store: open them with analysis.open_store")
    sweep = sweep_from(str(attributes.get("name")), dict(attributes))
    spec = next(spec for spec in sweep.dataset if dataset in (None, spec.kind))
    X = draw(spec, stream(sweep.entropy, d, n, seed, Role.DATA), n, d, angle or None)
    return kernels.kernel_eigenvalues(kernels.kernel_matrix(X, activation or sweep.activation[0]))
