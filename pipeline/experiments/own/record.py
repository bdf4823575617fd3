"""An experiment of one's own as a sweep holds it: names, digest, declaration, cost, and its sources.

The sources are missing in the sweep of a store, which keeps no code: such a sweep can be read, verified
and merged. `with_code` gives it the code again, if that is the code that made the store.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from pipeline.errors import CodeError
from pipeline.experiments.own import installed
from pipeline.experiments.own.declaration import Declaration, declaration_of
from pipeline.experiments.own.modules import load_function
from pipeline.experiments.own.sources import Source, digest_of, gather, is_file_entry, split_entry

__all__ = ["Cost", "Own", "cost_of", "from_attributes", "from_code", "function_of"]


@dataclass(frozen=True)
class Cost:
    """The measured cost of a trial: seconds * (n d k / size)^power on one core, and its memory.

    Attributes
    ----------
    seconds
        Time of the dearest trial that was measured.
    size
        Its n d k.
    power
        Growth of the time with n d k.
    memory
        Bytes that the largest trial took.
    complete
        False if a trial ended the process that measured it, or took too long: the times are guesses.
    """

    seconds: float
    size: float
    power: float
    memory: float = 0.0
    complete: bool = True

    def at(self, size: float) -> float:
        """Return the seconds of a trial of this n d k."""
        return self.seconds * (max(size, 1.0) / self.size) ** self.power

    def memory_at(self, size: float) -> float:
        """Return the bytes of a trial of this n d k: what was measured, or in proportion more."""
        return self.memory * max(1.0, size / self.size)


@dataclass(frozen=True)
class Own:
    """An experiment of one's own.

    Attributes
    ----------
    entry
        Its name in the sweep: ``mine.py:gap``, or a registered name.
    digest
        Of the sources that its results are said to come from; part of the sweep's identity.
    declaration
        The arrays that it returns.
    cost
        The measured cost; None until it is measured.
    sources
        Its file and the modules that it imports; () where the code is not at hand.
    folder
        Folder of the sources.
    """

    entry: str
    digest: str
    declaration: Declaration
    cost: Cost | None = None
    sources: tuple[Source, ...] = field(default=(), repr=False)
    folder: str = field(default="", compare=False)

    def __hash__(self) -> int:
        return hash((self.entry, self.digest))  # quickly: it is looked up for every seed

    @property
    def is_runnable(self) -> bool:
        """True if its code is at hand."""
        return bool(self.sources) or not is_file_entry(self.entry)

    @property
    def file(self) -> str:
        """Name of the file; "" for a registered experiment."""
        return split_entry(self.entry)[0] if is_file_entry(self.entry) else ""

    def attributes(self) -> dict[str, Any]:
        """Return it as the attributes of a store keep it, without its code."""
        cost = None
        if self.cost is not None:
            cost = asdict(self.cost)
            if self.cost.complete:  # as in stores before there was such a word
                del cost["complete"]
        own = {"entry": self.entry, "digest": self.digest, "cost": cost}
        return own | self.declaration.as_json()

    def with_code(self, file: Path) -> Own:
        """Return it with the code of a file, which may be other code than that of the digest.

        Raises
        ------
        CodeError
            The file cannot be used, has no such function, or declares other arrays.
        """
        if not is_file_entry(self.entry):
            raise CodeError(
                f"{file}: the experiment {self.entry} is installed, not a file; remove --code"
            )
        name, function = split_entry(self.entry)
        if file.name != name:
            raise CodeError(
                f"{file}: is not called {name}, as in the sweep; give the file of that name"
            )
        found = from_code(self.entry, file.parent)
        if found.declaration != self.declaration:
            raise CodeError(
                f"{file}: {function} declares other arrays than the store has; run it into a new store"
            )
        return replace(self, sources=found.sources, folder=found.folder)

    @property
    def is_measured(self) -> bool:
        """True if the cost is that of the code at hand, which has ended no process that measured it."""
        return self.cost is not None and self.cost.complete and self.digest == self.code_digest

    @property
    def code_digest(self) -> str:
        """Digest of the code at hand, which differs from `digest` if it has changed since."""
        if not is_file_entry(self.entry):
            return installed.digest_of(self.entry)
        return digest_of(self.sources)


def from_code(entry: str, folder: Path) -> Own:
    """Return the experiment that a sweep file names, by running its file.

    Parameters
    ----------
    entry
        ``mine.py:gap``, or the name of a registered experiment.
    folder
        The folder of the sweep file.

    Raises
    ------
    CodeError
        There is no such function, or it is not decorated.
    """
    if is_file_entry(entry):
        file, _ = split_entry(entry)
        sources = gather(folder, file)
        own = Own(
            entry,
            digest_of(sources),
            Declaration((), ()),
            sources=sources,
            folder=str(folder.resolve()),
        )
    else:
        own = Own(entry, installed.digest_of(entry), Declaration((), ()))
    found = declaration_of(function_of(own))
    if found is None:
        raise CodeError(
            f"{entry}: is not decorated, expected @experiment(...) above it, with a variable(...) for "
            "each array that it returns"
        )
    return replace(own, declaration=found)


def function_of(own: Own) -> Any:
    """Return the function of an experiment whose code is at hand.

    Raises
    ------
    CodeError
        Its module raises, or it is not there.
    """
    if not is_file_entry(own.entry):
        return installed.load(own.entry)
    file, function = split_entry(own.entry)
    return load_function(own.sources, own.folder, file, function)


def from_attributes(found: Any) -> Own:
    """Return the experiment that the attributes of a store describe, without its code.

    Raises
    ------
    CodeError, TypeError, KeyError, ValueError, AttributeError
        They describe none.
    """
    if not isinstance(found["entry"], str) or not isinstance(found["digest"], str):
        raise TypeError("names that are no text")
    return Own(
        found["entry"],
        found["digest"],
        Declaration.from_json(found),
        cost_of(found["cost"]),
    )


def cost_of(found: Mapping[str, Any] | None) -> Cost | None:
    """Return the cost that the attributes of a store hold; None if it was not measured."""
    if found is None:
        return None
    numbers = {key: float(found[key]) for key in ("seconds", "size", "power", "memory")}
    most = {"seconds": 1e9, "size": 1e30, "power": 10.0, "memory": 1e15}
    if not all(0 <= number <= most[key] for key, number in numbers.items()) or numbers["size"] < 1:
        raise ValueError("a cost that no trial has")
    return Cost(**numbers, complete=found.get("complete", True) is True)
