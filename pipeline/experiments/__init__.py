"""One file per experiment: what it stores, what one seed of it computes, and what that costs.

Each file ends in its `EXPERIMENT`, a record of `pipeline.experiments.trial`. A new experiment is such
a file and a line in `EXPERIMENTS`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from pipeline.experiments import (
    conditioning,
    deep,
    generalisation,
    joint,
    linear,
    output,
    proof,
    spectrum,
    theorem1,
)
from pipeline.experiments import input as input_layer
from pipeline.experiments.trial import Experiment, SeedResult, SeedTrial, Variable

__all__ = ["EXPERIMENTS", "Experiment", "SeedResult", "SeedTrial", "Variable"]

EXPERIMENTS: Mapping[str, Experiment] = MappingProxyType(
    {
        "conditioning": conditioning.EXPERIMENT,
        "spectrum": spectrum.EXPERIMENT,
        "linear": linear.EXPERIMENT,
        "output": output.EXPERIMENT,
        "input": input_layer.EXPERIMENT,
        "joint": joint.EXPERIMENT,
        "deep": deep.EXPERIMENT,
        "theorem1": theorem1.EXPERIMENT,
        "theorem2-proof": proof.EXPERIMENT,
        "generalisation": generalisation.EXPERIMENT,
    }
)
