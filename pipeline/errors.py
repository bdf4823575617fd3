"""Errors in the input, each with a message written for the person who has to fix it.

A message states the location, the value found, the value expected and the repair. The command line
prints it as it is, without a traceback, and exits with status 2.
"""

from __future__ import annotations

import difflib
import errno
from collections.abc import Iterable
from dataclasses import dataclass

__all__ = [
    "LIMITS",
    "ChunkDamaged",
    "CodeError",
    "CommandError",
    "DataError",
    "InputError",
    "LeaseLost",
    "ParameterError",
    "Problem",
    "StoreDamaged",
    "StoreError",
    "StoreExists",
    "StoreFull",
    "StoreHeld",
    "SweepError",
    "WorkersLost",
    "first_line",
    "installing",
    "listed",
    "listing",
    "nearest_name",
    "not_one_of",
    "remedy",
    "shortened",
]

MOST_LISTED = 8
"""Items of a list that a message repeats."""

LONGEST = 200
"""Letters of a value that a message repeats; a hostile file can hold a million."""


class InputError(ValueError):
    """Something given to widthlaw cannot be used; nothing was changed."""


class CommandError(InputError):
    """An input error whose message already names the command and the store."""


class ParameterError(InputError):
    """A parameter of a function has a value that cannot be used.

    Attributes
    ----------
    parameter
        Its name; the command line shows the option of that name instead.
    text
        The rest of the message.
    """

    def __init__(self, parameter: str, text: str) -> None:
        super().__init__(f"{parameter}: {text}")
        self.parameter, self.text = parameter, text

    def __reduce__(self) -> tuple[type[ParameterError], tuple[str, str]]:
        return type(self), (self.parameter, self.text)


@dataclass(frozen=True)
class Problem:
    """One problem of a sweep file.

    Attributes
    ----------
    key
        The dotted key it concerns, such as ``dataset.path``; "" for the file as a whole.
    text
        Description of the problem, for the message.
    """

    key: str
    text: str


class SweepError(InputError):
    """A sweep file describes something impossible; one message lists all its problems.

    Attributes
    ----------
    problems
        The same problems one by one; () where none of them belongs to a key.
    """

    def __init__(self, message: str = "", problems: Iterable[Problem] = ()) -> None:
        super().__init__(message)
        self.problems = tuple(problems)


class CodeError(InputError):
    """A file with an experiment of one's own cannot be used."""


class DataError(InputError):
    """A data file cannot serve as a dataset."""


class StoreError(InputError):
    """A path holds no store, or a store of another sweep."""


class StoreDamaged(StoreError):
    """An array of a store cannot be read.

    Attributes
    ----------
    store
        Path or URL of the store.
    array
        Name of the array.
    what
        What is wrong with it, such as "checksum mismatch".
    """

    def __init__(self, store: str, array: str, what: str) -> None:
        super().__init__(
            f"store {store}: its {array} cannot be read ({what}): the store is damaged; "
            f"`widthlaw verify {store}` shows the damage, and with --repair makes its trials pending"
        )
        self.store, self.array, self.what = store, array, what

    def __reduce__(self) -> tuple[type[StoreDamaged], tuple[str, str, str]]:
        return type(self), (self.store, self.array, self.what)


class ChunkDamaged(StoreDamaged):
    """Some chunks of an array cannot be read; others may be sound."""


class StoreExists(StoreError):
    """A store that was to be made is there by now: somebody else has made it meanwhile."""


class StoreHeld(StoreError):
    """Another run is filling the store, or a queued job holds it."""


class LeaseLost(RuntimeError):
    """Another run has taken the store over; what this one has written stays valid."""


class StoreFull(OSError):
    """Writing to the store failed (disk full, quota, permission, lost mount)."""


class WorkersLost(RuntimeError):
    """The scheduler, or all workers, went away during a run."""


# ---- parts of messages

LIMITS = {
    errno.EMFILE: "raise the limit on open files, as with `ulimit -n 4096`, or take fewer workers",
    errno.ENFILE: "close other programs: this machine has too many open files",
    errno.EFBIG: "raise the limit on the size of files, as with `ulimit -f unlimited`",
}
"""The repair of a limit of this process or machine, by the number of its error."""

SHORTAGES = LIMITS | {
    errno.EAGAIN: "raise the limit on processes, as with `ulimit -u 4096`, or take fewer workers",
    errno.ENOMEM: "free some memory, or take fewer workers",
    errno.ENOSPC: "free some space in the folder of temporary files, or set TMPDIR to another one",
    errno.EDQUOT: "free some space in the folder of temporary files, or set TMPDIR to another one",
}
"""The same, and the repair of a shortage outside a store."""


def remedy(error: OSError) -> str:
    """Return the repair of a shortage outside a store; "" if the error is none."""
    return SHORTAGES.get(error.errno or 0, "")


def first_line(error: BaseException) -> str:
    """Return the type of an error and the first line of its text, whatever its author wrote."""
    try:
        text = str(error)
    except Exception:  # an exception of a user's own may raise even here
        text = "its text cannot be read"
    name, lines = type(error).__name__, text.strip().splitlines()
    line = f"{name}: {lines[0]}"[:500] if lines else name
    return line.encode("utf-8", "replace").decode()


def installing(extra: str) -> str:
    """Return the command that installs an extra of this project, such as ``s3``.

    It names the checkout, because the public index may give our name to somebody else's package.
    """
    return f"pip install -e '.[{extra}]' in the checkout of widthlaw"


def listing(where: str, problems: Iterable[Problem]) -> str:
    """Return one message about all problems of a file, each named once.

    Parameters
    ----------
    where
        The name of the file in the message.
    problems
        At least one.
    """
    lines = list(dict.fromkeys(f"{p.key}: {p.text}" if p.key else p.text for p in problems))
    if len(lines) == 1:
        return f"{where}: {lines[0]}"
    return f"{where}: {len(lines)} problems" + "".join(f"\n  {line}" for line in lines)


def not_one_of(name: str, names: Iterable[str]) -> str:
    """Return the text for a name that is not among the known ones, with the nearest of them."""
    known = list(names)
    return f"got {shortened(repr(name))}{nearest_name(name, known)}, expected one of {', '.join(known)}"


def nearest_name(name: str, names: Iterable[str]) -> str:
    """Return " (did you mean 'relu'?)" with the known name nearest to a misspelt one, or ""."""
    close = difflib.get_close_matches(name[:LONGEST].lower(), list(names), n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""


def listed(items: Iterable[object]) -> str:
    """Return items with commas between, without those in the middle if there are many."""
    texts = [shortened(str(item)) for item in items]
    middle = ["..."] if len(texts) > MOST_LISTED else []
    head = texts[: MOST_LISTED - 1] if middle else texts
    return ", ".join([*head, *middle, *(texts[-1:] if middle else [])])


def shortened(text: str) -> str:
    """Return a text without the middle part if it is too long for a message."""
    half = LONGEST // 2
    return text if len(text) <= LONGEST else f"{text[:half]} ... {text[-half:]}"
