"""The trial that a function of one's own gets: its coordinates, its draws, and nothing else.

Every draw is a pure function of the coordinates, as for the experiments that come with widthlaw, so a
trial has the same value wherever and whenever it runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import InputError
from pipeline.experiments.base import SeedTrial
from pipeline.numerics.streams import named_stream

__all__ = ["Diverged", "Seed", "Trial"]

Array = NDArray[np.float64]


class Diverged(Exception):
    """A trial of one's own diverges: its status is then `diverged`, and the message is kept.

    Examples
    --------
    >>> loss = 1e300
    >>> if loss > 1e6:
    ...     raise Diverged("the loss grew beyond 1e6")
    Traceback (most recent call last):
        ...
    pipeline.experiments.own.trial.Diverged: the loss grew beyond 1e6
    """


class Seed:
    """The common part of the trials of one seed: X and W, drawn once, and the parameters.

    Parameters
    ----------
    trial
        The coordinates.
    parameters
        The values of the table [parameters] here.
    """

    def __init__(self, trial: SeedTrial, parameters: Mapping[str, Any]) -> None:
        self.trial, self.parameters = trial, parameters
        self.n, self.d, self.seed = trial.cell.n, trial.cell.d, trial.seed

    @cached_property
    def inputs(self) -> Array:
        if self.trial.cell["dataset"] is None:
            raise InputError('the sweep has no dataset; add dataset = { kind = "sphere" } to it')
        return self.trial.inputs()

    @cached_property
    def widest(self) -> Array:
        """W of the largest width of the seed: where widths nest, its first k rows are W of width k."""
        k = max(self.trial.widths)
        return self.trial.weights(k).standard_normal((k, self.d))


class Trial:
    """One trial: the point of a sweep at which an experiment is run.

    Attributes
    ----------
    n, d, k, seed
        Number of samples, input dimension, width and seed; 1 where the sweep leaves a size out.
    widths
        All widths of the seed that one call serves, of an experiment with `widths="together"`; `k` is
        then the largest of them.
    parameters
        The values of the table [parameters]: of a list, the one of this trial.
    activation
        Name of the sweep's activation; None if it has none.

    Examples
    --------
    A sweep hands one to the function that it names:

    >>> from pipeline import Trial, experiment, variable
    >>> @experiment(largest=variable("largest singular value of W"))
    ... def norm(trial: Trial):
    ...     return {"largest": np.linalg.norm(trial.weights(), 2)}
    """

    __slots__ = ("_seed", "activation", "d", "k", "n", "parameters", "seed", "widths")

    def __init__(self, seed: Seed, widths: tuple[int, ...]) -> None:
        self._seed = seed
        self.n, self.d, self.seed, self.k, self.widths = seed.n, seed.d, seed.seed, max(widths), widths
        self.parameters: Mapping[str, Any] = dict(seed.parameters)
        self.activation: str | None = seed.trial.cell["activation"]

    def __repr__(self) -> str:
        return f"Trial(n={self.n}, d={self.d}, k={self.k}, seed={self.seed}, {dict(self.parameters)})"

    def inputs(self) -> Array:
        """Return X of the sweep's dataset, shape (n, d): the same at every width and parameter."""
        return self._seed.inputs.copy()

    def weights(self) -> Array:
        """Return W with N(0, 1) entries, shape (k, d).

        Where widths nest, the first rows of one matrix serve all widths of a seed.
        """
        if self._seed.trial.nested:
            return self._seed.widest[: self.k].copy()
        return self._seed.trial.weights(self.k).standard_normal((self.k, self.d))

    def labels(self) -> Array:
        """Return random labels +1 and -1, shape (n,)."""
        return self._seed.trial.signs()

    def rng(self, name: str, *keys: str | int | float) -> np.random.Generator:
        """Return a stream of random numbers of this trial's own.

        It depends on the sweep's entropy, d, n, the seed, the name and the keys, and on k where widths
        do not nest; on no parameter, so that all values of a parameter see the same draws. Give a
        parameter as a key where they should differ.

        Parameters
        ----------
        name
            Its name; the same name gives the same numbers from the beginning.
        *keys
            Numbers and words that choose another stream.
        """
        trial = self._seed.trial
        k = None if trial.nested else self.k
        return named_stream(trial.entropy, self.d, self.n, self.seed, (name, *keys), k)
