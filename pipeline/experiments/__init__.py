"""One file per experiment: the arrays that it stores, the computation of one seed, and its cost.

Each file ends with its `EXPERIMENT`, a record of `pipeline.experiments.base`. A module is imported when
its experiment is used: the state of a store can be shown without the numerics.

Additions, and the places that each of them touches:

- an experiment, activation or dataset of one's own: no file here, but one beside the sweep (`own`);
- an experiment: one file here, and a line in `MODULES`;
- an activation: one record in `pipeline/numerics/activations`, and a line in `MODULES` there;
- a kind of dataset: one record in `pipeline/numerics/datasets.py`, and a line in `KINDS`;
- a leading axis of stores: a line in `pipeline/axes.py`, and `options` of the experiments that take it;
- a scaling law: a line in `LAWS` of `analysis/scaling/laws.py`;
- a figure: one function in `analysis/figures`, and a line in `FIGURES`;
- a batch system: one file in `jobs/cluster/systems`, and a line in `SYSTEMS`.

Sweep files, checks, stores, costs and reports follow from these records.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import TYPE_CHECKING

from pipeline.errors import CodeError
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
    "experiment_of",
    "require_code",
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
    "tangent": "tangent",
    "generalisation": "generalisation",
}


class _Register(Mapping[str, Experiment]):
    """Experiments by the names that sweep files use."""

    def __getitem__(self, name: str) -> Experiment:
        experiment: Experiment = import_module(f"{__name__}.{MODULES[name]}").EXPERIMENT
        return experiment

    def __iter__(self) -> Iterator[str]:
        return iter(MODULES)

    def __len__(self) -> int:
        return len(MODULES)


EXPERIMENTS = _Register()

SECONDS = Variable("seconds", (), "time of all widths of one seed on one core", "s")
"""A timing, not a result: it is ignored in comparisons of stores."""

TRIAL_SECONDS = Variable("seconds", ("width",), "time of the trial on one core", "s")


def experiment_of(sweep: Sweep) -> Experiment:
    """Return the experiment of a sweep."""
    if sweep.own is not None:
        from pipeline.experiments.own.build import built

        return built(sweep.own, sweep.constants, tuple(name for name, _ in sweep.parameters))
    if sweep.functionals is not None:
        from pipeline.experiments.functionals import with_functionals

        return with_functionals(sweep.functionals)
    return EXPERIMENTS[sweep.experiment]


def require_code(sweep: Sweep, where: str) -> None:
    """Refuse to run trials of a sweep whose code is not at hand.

    Parameters
    ----------
    sweep
        The sweep, perhaps of a store.
    where
        The store or the sweep, for the message.

    Raises
    ------
    CodeError
        Something in it is one's own, and the sweep comes from a store, which keeps no code.
    """
    entry, file = "", ""
    if sweep.own is not None and not sweep.own.is_runnable:
        entry, file = sweep.experiment, sweep.own.file
    for name in sweep.functions:
        if not name.code.sources:
            entry, file = str(name), name.code.file
    if entry:
        raise CodeError(
            f"{where}: its trials run {entry}, and a store keeps no code; add --code {file}, the file "
            "that you trust"
        )


def variables(sweep: Sweep) -> tuple[Variable, ...]:
    """Return the result variables of a sweep with its numerics, the timing last."""
    experiment = experiment_of(sweep)
    known = [one for one in experiment.variables if one.since <= sweep.numerics_version]
    if sweep.descent is not None and not sweep.descent.is_paper:
        from pipeline.experiments.training import named_by_loss

        known = [*named_by_loss(known, sweep.descent.other_loss), *experiment.measured]
    return (*known, TRIAL_SECONDS if experiment.independent else SECONDS)
