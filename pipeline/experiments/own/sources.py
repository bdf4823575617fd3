"""The source of an experiment of one's own: its file, and the modules beside it that it imports.

Which modules these are is read from the import statements, before anything runs. All of them lie in the
folder of the sweep: a sweep that came from elsewhere names no other code. Their digest belongs to the
identity of the sweep, and their texts travel to the workers, which need neither the folder nor an
installation.
"""

from __future__ import annotations

import ast
import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from pipeline.errors import CodeError, shortened
from pipeline.input_files import UnusableFile, read_input

__all__ = ["Source", "digest_of", "gather", "is_file_entry", "split_entry"]

Source = tuple[str, str]
"""Path of a file below its folder, with slashes, and its text."""

LARGEST = 2**20
"""Bytes of one file."""

MOST_FILES = 200

OURS = ("pipeline", "analysis", "jobs")
"""Packages that no module beside a sweep can stand in for."""

EXAMPLE = 'experiment = "mine.py:gap"'


def is_file_entry(entry: str) -> bool:
    """Return True if the name of an experiment is that of a function in a file."""
    return ":" in entry or entry.endswith(".py")


def split_entry(entry: str) -> tuple[str, str]:
    """Return the file and the function that an entry such as ``mine.py:gap`` names.

    Raises
    ------
    CodeError
        It is not a file beside the sweep, and a function in it.
    """
    file, _, function = entry.rpartition(":")
    if not re.fullmatch(r"\w[\w-]*\.py", file) or not function.isidentifier():
        raise CodeError(
            f"got {shortened(repr(entry))}, expected a file beside the sweep and a function in it, "
            f"such as {EXAMPLE}; copy the file into the folder of the sweep"
        )
    return file, function


def gather(folder: Path, file: str) -> tuple[Source, ...]:
    """Return the sources of a file and of all modules of its folder that it imports, sorted by path.

    Parameters
    ----------
    folder
        The folder of the sweep.
    file
        Name of the file in it.

    Raises
    ------
    CodeError
        A file is missing, too large, outside the folder, or no Python.
    """
    home = folder.resolve()
    found: dict[str, str] = {}
    waiting = [file]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found[name] = _text(home, name)
        imported = [*_imported(home, name, found[name])]
        if name == file and file in imported:
            raise CodeError(
                f"{file}: imports {file.removesuffix('.py')}, which is this file itself and hides any "
                "module of that name; rename the file"
            )
        waiting += imported
        if len(found) > MOST_FILES:
            raise CodeError(f"{file}: imports more than {MOST_FILES} files of {home}; install them")
    return tuple(sorted(found.items()))


def digest_of(sources: Iterable[Source]) -> str:
    """Return the SHA-256 of the names and texts of some files."""
    return hashlib.sha256(json.dumps(sorted(sources)).encode()).hexdigest()


def _text(home: Path, name: str) -> str:
    real = Path(os.path.realpath(home / name))
    if not real.is_relative_to(home):
        raise CodeError(
            f"{name}: is a link to {real}, expected a file in {home}: only code beside the sweep runs; "
            "copy it there"
        )
    try:
        return read_input(real, LARGEST)
    except UnusableFile as error:
        raise CodeError(f"{name}: {error} in {home}" if error.missing else f"{name}: {error}") from None


def _imported(home: Path, name: str, text: str) -> Iterator[str]:
    """Yield the files of the folder that a source imports."""
    try:
        tree = ast.parse(text)
    except SyntaxError as error:
        raise CodeError(f"{name}: line {error.lineno}: {error.msg}; repair the file") from None
    except (ValueError, RecursionError, MemoryError):
        raise CodeError(f"{name}: is no Python that can be read; repair the file") from None
    for dotted in _modules(tree, name.split("/")[:-1]):
        parts = dotted.split(".")
        if parts[0] in OURS:
            continue
        for length in range(1, len(parts) + 1):
            base = "/".join(parts[:length])
            for file in (f"{base}/__init__.py", f"{base}.py"):
                if os.path.isfile(home / file):
                    yield file
                    break


def _modules(tree: ast.AST, package: list[str]) -> Iterator[str]:
    """Yield the dotted names that a tree imports, as if its folder were on the path."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            base = [*above, *([node.module] if node.module else [])]
            yield from (".".join([*base, alias.name]) for alias in node.names)
