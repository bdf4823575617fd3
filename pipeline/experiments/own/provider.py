"""The functions of one's own that a sweep names: from the file beside it, or from the words of a store.

A sweep file runs its file. A store keeps facts and digests only, so what it provides can be read,
planned and merged, and runs once it gets its code (`store.code`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from pipeline.errors import CodeError
from pipeline.experiments.own.activations import Facts, OwnActivation, facts_of
from pipeline.experiments.own.code import Code, Named, code_of
from pipeline.experiments.own.datasets import (
    DatasetFacts,
    LabelsFacts,
    OwnDataset,
    OwnLabels,
    dataset_facts,
    try_labels,
)
from pipeline.experiments.own.record import Own, from_code

__all__ = ["FromFile", "FromStore", "Provider", "as_attributes", "functions_from", "with_file"]


class Provider(Protocol):
    """A source of the functions of a sweep."""

    def experiment(self, entry: str) -> Own:
        """Return the experiment of an entry such as ``mine.py:gap``."""

    def activation(self, entry: str) -> OwnActivation:
        """Return the activation of an entry."""

    def dataset(self, entry: str, n: int, d: int, normalise: bool, entropy: int) -> OwnDataset:
        """Return the dataset of an entry, which may be tried at some n and d."""

    def labels(self, entry: str, n: int, d: int) -> OwnLabels:
        """Return the labels of an entry, which may be tried at some n and d."""


class FromFile:
    """The functions in the folder of a sweep file.

    Parameters
    ----------
    folder
        The folder. This is the one place where a user's code is run: a file that the sweep on this
        command line names.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def experiment(self, entry: str) -> Own:
        return from_code(entry, self._folder)

    def activation(self, entry: str) -> OwnActivation:
        code = code_of(entry, self._folder)
        return OwnActivation(entry, code, facts_of(entry, code))

    def dataset(self, entry: str, n: int, d: int, normalise: bool, entropy: int) -> OwnDataset:
        code = code_of(entry, self._folder)
        return OwnDataset(entry, code, dataset_facts(entry, code, n, d, normalise, entropy))

    def labels(self, entry: str, n: int, d: int) -> OwnLabels:
        code = code_of(entry, self._folder)
        try_labels(entry, code, n, d)
        return OwnLabels(entry, code, LabelsFacts())


class FromStore:
    """The functions that a store tells of, without their code.

    Parameters
    ----------
    own
        Its experiment of one's own; None if it has none.
    functions
        Its other functions by entry.
    """

    def __init__(self, own: Own | None, functions: Mapping[str, Named]) -> None:
        self._own, self._functions = own, functions

    def experiment(self, entry: str) -> Own:
        if self._own is None:
            raise CodeError(f"{entry} is code, which only a sweep file can name")
        return replace(self._own, entry=entry)

    def activation(self, entry: str) -> OwnActivation:
        return self._named(entry, OwnActivation)

    def dataset(self, entry: str, n: int, d: int, normalise: bool, entropy: int) -> OwnDataset:
        return self._named(entry, OwnDataset)

    def labels(self, entry: str, n: int, d: int) -> OwnLabels:
        return self._named(entry, OwnLabels)

    def _named(self, entry: str, kind: Any) -> Any:
        found = self._functions.get(entry)
        if not isinstance(found, kind):
            raise CodeError(f"{entry} is code, which only a sweep file can name")
        return found


KINDS: dict[str, tuple[type[Named], Any]] = {
    "activation": (OwnActivation, Facts),
    "dataset": (OwnDataset, DatasetFacts),
    "labels": (OwnLabels, LabelsFacts),
}
"""For each role of a function, the class of its name, and that of its facts."""


def as_attributes(functions: Iterable[Any]) -> dict[str, Any]:
    """Return functions as the attributes of a store keep them, without their code."""
    kept = list(functions)
    roles = {kind: role for role, (kind, _) in KINDS.items()}
    facts = {str(one): {"role": roles[type(one)]} | one.facts.as_json() for one in kept}
    return {"file": kept[0].code.file, "digest": kept[0].code.digest, "facts": facts}


def functions_from(found: Any) -> dict[str, Named]:
    """Return the functions that the attributes of a store tell of, by entry.

    Raises
    ------
    TypeError, KeyError, ValueError, AttributeError
        They tell of none.
    """
    if not isinstance(found["file"], str) or not isinstance(found["digest"], str):
        raise TypeError("names that are no text")
    code = Code(found["file"], found["digest"])
    functions = {}
    for entry, facts in found["facts"].items():
        kind, known = KINDS[facts["role"]]
        functions[entry] = kind(entry, code, known.from_json(facts))
    return functions


def with_file(name: Any, file: Path) -> Named:
    """Return a function with the code of a file, which may be other code than that of its digest.

    Raises
    ------
    CodeError
        The file cannot be used, has another name or no such function, or the function has changed its
        kinks or its derivative.
    """
    if file.name != name.code.file:
        raise CodeError(
            f"{file}: is not called {name.code.file}, as in the sweep; give the file of that name"
        )
    code = code_of(str(name), file.parent)
    function: Named = name.with_code(replace(code, digest=name.code.digest))
    if isinstance(name, OwnActivation) and code.digest != name.code.digest:
        now = facts_of(str(name), code)
        if now != name.facts:
            raise CodeError(
                f"{file}: {name} has other kinks, or another derivative, than when the store was made; "
                "run it into a new store"
            )
    return function
