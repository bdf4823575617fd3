"""What the paper claims, what the stores say, and the verdict.

Each of the paper's sweeps has a function from its study to rows, and a line in `SECTIONS`; `PARTS`
says to which part of the paper it belongs. A store is known by the name of its sweep and by its
experiment; any other has no rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType

from analysis.claims import certificates, conditioning, training
from analysis.claims.rows import Claim, Mark
from analysis.figures import Study

__all__ = ["PARTS", "SECTIONS", "Claim", "Mark", "claims", "claims_of"]

SECTIONS: Mapping[str, tuple[str, Callable[[Study], Iterator[Claim]]]] = MappingProxyType(
    {
        "linear-regression": ("linear", certificates.regression),
        "theorem1": ("theorem1", certificates.theorem1),
        "input-layer": ("input", training.input_layer),
        "budget": ("input", training.budget),
        "output-layer": ("output", training.output_layer),
        "joint": ("joint", training.joint),
        "depth": ("deep", training.depth),
        "theorem2": ("conditioning", conditioning.theorem2),
        "theorem2-proof": ("theorem2-proof", conditioning.proof),
        "alpha-stress": ("conditioning", conditioning.stress),
        "figure1": ("spectrum", conditioning.figure1),
        "spectrum-evolution": ("spectrum", conditioning.evolution),
        "generalisation": ("generalisation", certificates.generalisation),
    }
)
"""Of each sweep its experiment, and what goes through its rows."""

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
    experiment, section = SECTIONS.get(str(study.ds.attrs.get("name")), (None, None))
    if section is None or study.ds.attrs.get("experiment") != experiment:
        return []
    return list(section(study))
