"""The code of a function of one's own: the file that a sweep names, and the modules that it imports."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from pipeline.errors import CodeError
from pipeline.experiments.own.modules import load_function
from pipeline.experiments.own.sources import Source, digest_of, gather, split_entry
from pipeline.numerics.own_names import OwnName

__all__ = ["Code", "Named", "code_of"]


@dataclass(frozen=True)
class Code:
    """The sources of some functions.

    Attributes
    ----------
    file
        Name of the file that a sweep names.
    digest
        Of the sources that results are said to come from; part of the sweep's identity.
    sources
        The file and the modules that it imports; () where the code is not at hand.
    folder
        Folder of the sources.
    """

    file: str
    digest: str
    sources: tuple[Source, ...] = field(default=(), repr=False)
    folder: str = field(default="", compare=False)

    def __hash__(self) -> int:
        return hash((self.file, self.digest))

    @property
    def present(self) -> str:
        """Digest of the code at hand, which differs from `digest` if it has changed since."""
        return digest_of(self.sources)

    def function(self, entry: str) -> Any:
        """Return the function that an entry such as ``mine.py:swish`` names."""
        if not self.sources:
            raise CodeError(f"{entry}: a store keeps no code; add --code {self.file}")
        return load_function(self.sources, self.folder, self.file, split_entry(entry)[1])


def code_of(entry: str, folder: Path) -> Code:
    """Return the code of a function in a file of a folder.

    Raises
    ------
    CodeError
        The file is missing, or lies elsewhere.
    """
    file, _ = split_entry(entry)
    sources = gather(folder, file)
    return Code(file, digest_of(sources), sources, str(folder.resolve()))


Self = TypeVar("Self", bound="Named")


class Named(OwnName):
    """The name of a function of one's own, with its code and what was found out of it.

    Attributes
    ----------
    code
        Its code.
    facts
        What a store keeps of it, so that it can be read where the code is not.
    """

    __slots__ = ("code", "facts")

    code: Code
    facts: Any

    def __new__(cls: type[Self], entry: str, code: Code, facts: Any) -> Self:
        name = super().__new__(cls, entry)
        name.code, name.facts = code, facts
        return name

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (str(self), self.code, self.facts)

    def with_code(self: Self, code: Code) -> Self:
        """Return the name with other code."""
        return type(self)(str(self), code, self.facts)

    def with_digest(self: Self, digest: str) -> Self:
        """Return the name with the digest that its results are said to come from."""
        return self.with_code(replace(self.code, digest=digest))

    def with_facts(self: Self, facts: Any) -> Self:
        """Return the name with other facts."""
        return type(self)(str(self), self.code, facts)

    @property
    def function(self) -> Any:
        """The function itself."""
        return self.code.function(self)
