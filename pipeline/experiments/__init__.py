"""One file per experiment: what it stores, what one seed of it computes, and what that costs.

Each file ends in its `EXPERIMENT`, a record of `pipeline.experiments.base`. A new experiment is such
a file and a line in `MODULES`. A module is imported when its experiment is asked for: the state of a
store can be told without the numerics.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import TYPE_CHECKING

from pipeline.experiments.base import Experiment, SeedResult, SeedTrial, Variable

if TYPE_CHECKING:
    from pipeline.sweep import Sweep

__all__ = [
    "EXPERIMENTS",
    "SECONDS",
    "TRIAL_SECONDS",
    "Experiment",
    "SeedResult",
    "SeedTrial",
    "Variable",
    "experiment_of",
    "variables",
]

MODULES = {
    "conditioning": "conditioning",
    "spectrum": "spectrum",
    "linear": "linear",
    "output": "output",
    "input": "input",
    "joint": "joint",
    "deep": "deep",
    "theorem1": "theorem1",
    "theorem2-proof": "proof",
    "generalisation": "generalisation",
}


class _Register(Mapping[str, Experiment]):
    """Experiments by the names that sweeps have for them."""

    def __getitem__(self, name: str) -> Experiment:
        experiment: Experiment = import_module(f"{__name__}.{MODULES[name]}").EXPERIMENT
        return experiment

    def __iter__(self) -> Iterator[str]:
        return iter(MODULES)

    def __len__(self) -> int:
        return len(MODULES)


EXPERIMENTS = _Register()

SECONDS = Variable("seconds", (), "time of all widths of one seed on one core", "s")
"""A timing, not a result: two stores are equal whatever it says."""

TRIAL_SECONDS = Variable("seconds", ("width",), "time of the trial on one core", "s")


def experiment_of(sweep: Sweep) -> Experiment:
    return EXPERIMENTS[sweep.experiment]


def variables(sweep: Sweep) -> tuple[Variable, ...]:
    """Return the result variables of a sweep, the timing last."""
    experiment = experiment_of(sweep)
    return (*experiment.variables, TRIAL_SECONDS if experiment.independent else SECONDS)
