"""The claims of the paper and findings beside them, each with what the stores show and the verdict.

Each of the paper's sweeps has a function from its study to rows, and a line in `SECTIONS`; `PARTS`
assigns it to a part of the paper. A store is recognised by the name of its sweep, its experiment and
its axes; any other store has no rows.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import xarray as xr

from analysis.axes import SIZES
from analysis.claims import section3, section4, theorem2
from analysis.claims.any_budget import any_budget
from analysis.claims.depth import depth
from analysis.claims.rows import CRITERIA, WORDS, Claim, Mark, Quantity, Reading
from analysis.study import Study
from analysis.unit_rows import note_on_norms

__all__ = [
    "BEYOND",
    "CRITERIA",
    "PARTS",
    "SECTIONS",
    "WORDS",
    "Claim",
    "Mark",
    "Quantity",
    "Reading",
    "claims",
    "claims_of",
    "place_of",
]


Rows = Callable[[Study], Iterator[Claim]]
"""A function from a study to rows."""


@dataclass(frozen=True)
class _Rows:
    """A sweep's experiment, its axes besides d, n, width and seed, and the function of its rows.

    Rows on conditioning are claims of Theorem 2, which is about inputs of norm 1.
    """

    experiment: str
    axes: frozenset[str]
    make: Rows

    def suit(self, ds: xr.Dataset) -> bool:
        """Return True if a store is of such a sweep, whatever its extents."""
        axes = set(map(str, ds.status.dims)) - {*SIZES, "width", "seed"}
        fits = ds.attrs.get("experiment") == self.experiment and axes == self.axes
        return fits and not note_on_norms(ds)


def _rows(experiment: str, make: Rows, *axes: str) -> _Rows:
    return _Rows(experiment, frozenset(axes), make)


def _both(first: Rows, second: Rows) -> Rows:
    return lambda study: itertools.chain(first(study), second(study))


SECTIONS: Mapping[str, _Rows] = MappingProxyType(
    {
        "theorem2": _rows("conditioning", theorem2.theorem2),
        "theorem2-proof": _rows("theorem2-proof", theorem2.proof),
        "alpha-stress": _rows("conditioning", theorem2.stress, "dataset", "angle"),
        "figure1": _rows("spectrum", theorem2.figure1, "dataset"),
        "spectrum-evolution": _rows("spectrum", theorem2.evolution),
        "linear-regression": _rows("linear", section3.regression),
        "theorem1": _rows("theorem1", section3.theorem1, "activation", "trained", "depth"),
        "generalisation": _rows("generalisation", section3.generalisation),
        "input-layer": _rows("input", _both(section4.input_layer, any_budget)),
        "budget": _rows("input", _both(section4.budget, any_budget), "activation"),
        "input-scaling-small": _rows("input", any_budget, "activation"),
        "output-layer": _rows("output", section4.output_layer),
        "joint": _rows("joint", section4.joint, "trained"),
        "depth": _rows("deep", depth, "depth"),
    }
)
"""The rows of each of the paper's sweeps; Theorem 2, the headline, is first."""

BEYOND: Mapping[str, _Rows] = MappingProxyType(
    {"input-scaling": _rows("input", any_budget, "activation")}
)
"""The rows of sweeps that go beyond the paper, which `reproduce` does not run."""

PARTS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "Theorem 2: conditioning of the features": ("theorem2", "theorem2-proof", "alpha-stress"),
        "The paper's Figure 1: the spectrum of the features": ("figure1", "spectrum-evolution"),
        "Section III: descent near a start": ("linear-regression", "theorem1", "generalisation"),
        "Section IV: which layer to train": (
            "input-layer",
            "budget",
            "input-scaling-small",
            "output-layer",
            "joint",
            "depth",
        ),
    }
)
"""Parts of the paper, and the sweeps that test their claims."""


def place_of(name: str) -> int:
    """Return the place of a sweep among those of the paper; sweeps of one's own come after them."""
    return list(SECTIONS).index(name) if name in SECTIONS else len(SECTIONS)


def claims(studies: Iterable[Study]) -> Iterator[Claim]:
    """Yield the rows of stores, in the order of `SECTIONS`."""
    named = [(str(study.ds.attrs.get("name")), study) for study in studies]
    for section in (*SECTIONS, *BEYOND):
        for name, study in named:
            if name == section:
                yield from claims_of(study)


def claims_of(study: Study) -> list[Claim]:
    """Return the rows of one store; none if it is not one of the paper's.

    Parameters
    ----------
    study
        The store with the default rules of success, which the claims use.
    """
    rows = {**SECTIONS, **BEYOND}.get(str(study.ds.attrs.get("name")))
    return list(rows.make(study)) if rows is not None and rows.suit(study.ds) else []
