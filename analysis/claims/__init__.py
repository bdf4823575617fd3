"""What the paper claims, what the stores say, and the verdict.

Each of the paper's sweeps has a function from its study to rows, and a line in `SECTIONS`; `PARTS`
says to which part of the paper it belongs. A store is known by the name of its sweep, its experiment
and its axes; any other has no rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import xarray as xr

from analysis.claims import section3 as certificates
from analysis.claims import section4 as training
from analysis.claims import theorem2 as conditioning
from analysis.claims.rows import Claim, Mark
from analysis.study import Study

__all__ = ["PARTS", "SECTIONS", "Claim", "Mark", "claims", "claims_of"]


@dataclass(frozen=True)
class _Rows:
    """Of a sweep: its experiment, its axes beside d, n, width and seed, and what makes its rows."""

    experiment: str
    axes: frozenset[str]
    make: Callable[[Study], Iterator[Claim]]

    def suit(self, ds: xr.Dataset) -> bool:
        """Whether a store is such a sweep's, whatever its extents are."""
        axes = set(map(str, ds.status.dims)) - {"d", "n", "width", "seed"}
        return ds.attrs.get("experiment") == self.experiment and axes == self.axes


def _rows(experiment: str, make: Callable[[Study], Iterator[Claim]], *axes: str) -> _Rows:
    return _Rows(experiment, frozenset(axes), make)


SECTIONS: Mapping[str, _Rows] = MappingProxyType(
    {
        "linear-regression": _rows("linear", certificates.regression),
        "theorem1": _rows("theorem1", certificates.theorem1, "activation", "trained", "depth"),
        "input-layer": _rows("input", training.input_layer),
        "budget": _rows("input", training.budget, "activation"),
        "output-layer": _rows("output", training.output_layer),
        "joint": _rows("joint", training.joint, "trained"),
        "depth": _rows("deep", training.depth, "depth"),
        "theorem2": _rows("conditioning", conditioning.theorem2),
        "theorem2-proof": _rows("theorem2-proof", conditioning.proof),
        "alpha-stress": _rows("conditioning", conditioning.stress, "dataset", "angle"),
        "figure1": _rows("spectrum", conditioning.figure1, "dataset"),
        "spectrum-evolution": _rows("spectrum", conditioning.evolution),
        "generalisation": _rows("generalisation", certificates.generalisation),
    }
)
"""The rows of each of the paper's sweeps, in the order of the paper."""

PARTS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "Section III: descent near a start": ("linear-regression", "theorem1", "generalisation"),
        "Section IV: which layer to train": ("input-layer", "budget", "output-layer", "joint", "depth"),
        "Theorem 2: conditioning of the features": ("theorem2", "theorem2-proof", "alpha-stress"),
        "Figure 1: the spectrum of the features": ("figure1", "spectrum-evolution"),
    }
)
"""Parts of the paper, and the sweeps that speak of them."""


def claims(studies: Iterable[Study]) -> Iterator[Claim]:
    """Go through the rows of stores, in the order of `SECTIONS`."""
    named = [(str(study.ds.attrs.get("name")), study) for study in studies]
    for section in SECTIONS:
        for name, study in named:
            if name == section:
                yield from claims_of(study)


def claims_of(study: Study) -> list[Claim]:
    """Return the rows of one store; of a store that is none of the paper's, none.

    Parameters
    ----------
    study
        The store by the default rules of success, which the claims speak of.
    """
    rows = SECTIONS.get(str(study.ds.attrs.get("name")))
    return list(rows.make(study)) if rows is not None and rows.suit(study.ds) else []
