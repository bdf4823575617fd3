"""What the experiments on random features share: one seed's data, kernel, weights and widths.

A seed draws X, computes the population kernel K and with it alpha and the predicted left edge at
every width, then visits the widths in increasing order. A width that raises is recorded as failed
with its message and the others go on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pipeline import kernels, marchenko_pastur
from pipeline.datasets import DatasetSpec, draw
from pipeline.spectrum import NestedFeatures
from pipeline.streams import Role, stream

__all__ = [
    "SHARED_VARIABLES",
    "SeedResult",
    "SeedTrial",
    "Variable",
    "kernel_seconds",
    "run_widths",
]

Array = NDArray[np.float64]

SHARE, SCALES = 0.9, 4.0
"""The guess at the smallest eigenvalue stays below both this share of the edge, for the bias of the
limit where n/d is large, and this many Tracy-Widom scales, for chance where n is small. A guess that
is too high costs a second factorisation; a lower one costs steps. Measured for n of 100 to 800."""


@dataclass(frozen=True)
class Variable:
    """An array of a store.

    Attributes
    ----------
    dims
        Dimensions beyond the cell's and the seed's: `width` and `index` in this order.
    """

    name: str
    dims: tuple[str, ...]
    long_name: str
    units: str = "1"


@dataclass(frozen=True)
class SeedTrial:
    """The coordinates of all trials of one seed of one cell; what they compute depends on no more."""

    entropy: int
    nested: bool
    activation: str
    dataset: DatasetSpec
    angle: float | None
    d: int
    n: int
    widths: tuple[int, ...]
    seed: int
    index_size: int

    def weights(self, k: int) -> np.random.Generator:
        """Return the stream of W, one for all widths where they nest."""
        own = None if self.nested else k
        return stream(self.entropy, self.d, self.n, self.seed, Role.WEIGHTS, own)

    def inputs(self) -> Array:
        """Draw X, shape (n, d)."""
        data = stream(self.entropy, self.d, self.n, self.seed, Role.DATA)
        return draw(self.dataset, data, self.n, self.d, self.angle)


@dataclass
class SeedResult:
    """What one seed left: arrays by variable, and for each width the message of its failure or ''."""

    values: dict[str, Array] = field(default_factory=dict)
    messages: list[str] = field(default_factory=list)


SHARED_VARIABLES = (
    Variable("sigma_min", ("width",), "n-th largest singular value of Phi"),
    Variable("sigma_max", ("width",), "largest singular value of Phi"),
    Variable("edge", ("width",), "predicted smallest eigenvalue of Phi^T Phi / k (left edge)"),
    Variable("alpha", (), "square root of the smallest eigenvalue of K (Assumption 4)"),
    Variable("kernel_eigenvalues", ("index",), "eigenvalues of the population kernel K, ascending"),
)


def run_widths(
    trial: SeedTrial,
    variables: Sequence[Variable],
    measure: Callable[[NestedFeatures, int, float], dict[str, Array | float]],
) -> SeedResult:
    """Run all widths of one seed.

    Parameters
    ----------
    trial
        The seed's coordinates.
    variables
        What `measure` and this function fill.
    measure
        From (features, k, floor) to the values of one width, `floor` being a cautious guess at the
        smallest eigenvalue of Phi^T Phi / k, `index` padded by this function.

    Returns
    -------
    SeedResult
    """
    sizes = {"width": len(trial.widths), "index": trial.index_size}
    result = SeedResult(
        {v.name: np.full([sizes[dim] for dim in v.dims], np.nan) for v in variables},
        [""] * len(trial.widths),
    )
    X = trial.inputs()
    K = kernels.kernel_matrix(X, trial.activation)
    if not np.isfinite(K).all():
        raise FloatingPointError("the kernel is not finite: the inputs overflow in phi")
    eigenvalues = kernels.kernel_eigenvalues(K)
    edges, scales = marchenko_pastur.edge_and_scale(eigenvalues, np.array(trial.widths))
    floors = np.clip(edges - SCALES * scales, 0, SHARE * edges)
    result.values["alpha"][...] = kernels.alpha_from_eigenvalues(eigenvalues)
    result.values["kernel_eigenvalues"][: trial.n] = eigenvalues
    result.values["edge"][:] = edges
    features: NestedFeatures | None = None
    for place, (k, floor) in enumerate(zip(trial.widths, floors.tolist(), strict=True)):
        if features is None or not trial.nested:
            features = NestedFeatures(X, trial.activation, trial.weights(k))
        try:
            for name, value in measure(features, k, floor).items():
                where = result.values[name][place]
                if where.ndim:
                    where[: np.size(value)] = value
                else:
                    result.values[name][place] = value
        except Exception as error:  # a failed trial is an outcome: stored, and the others go on
            result.messages[place] = describe(error)
    return result


def describe(error: Exception) -> str:
    """One line for a failure, as stored."""
    return f"{type(error).__name__}: {error}".splitlines()[0][:500]


def kernel_seconds(n: int, widths: Sequence[int]) -> float:
    """Estimated time of a seed's X, K, its eigenvalues and the edges."""
    return 3e-4 + 2e-8 * n**2 + 6e-11 * n**3 + (1.2e-5 + 3e-8 * n) * len(widths)
