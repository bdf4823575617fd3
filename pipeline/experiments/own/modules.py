"""Modules from texts: the sources of an experiment become modules under a private name.

So a worker needs no file of them, they hide no installed module of the same name, and two versions of
one file can run in one process. An import statement in such a module looks among its own sources
first, as it would beside a script, and then wherever Python looks.
"""

from __future__ import annotations

import builtins
import contextlib
import hashlib
import linecache
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from pipeline.errors import CodeError, first_line
from pipeline.experiments.own.sources import Source, digest_of

__all__ = ["load_function"]

PREFIX = "_widthlaw_own_"

_SPACES: dict[str, _Space] = {}
"""The sets of sources that this process knows, by the name of their private package."""


def load_function(sources: tuple[Source, ...], folder: str, file: str, function: str) -> Any:
    """Return a function of a file, whose module runs at the first call in a process.

    Parameters
    ----------
    sources
        The file, and the modules that it imports.
    folder
        Their folder, as `__file__` tells it; it need not exist here.
    file, function
        The file among the sources, and a name in it.

    Raises
    ------
    CodeError
        The file raises, or has no such name.
    """
    name = PREFIX + hashlib.sha256(f"{digest_of(sources)} {folder}".encode()).hexdigest()[:16]
    if name not in _SPACES:
        _SPACES[name] = _Space(name, sources, folder)
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.append(_Finder())
    try:
        with contextlib.redirect_stdout(sys.stderr):  # the data on stdout are ours
            module = import_module(f"{name}.{file.removesuffix('.py')}")
    except CodeError as error:
        raise CodeError(f"{file}: {error}") from None
    except (Exception, SystemExit) as error:
        raise CodeError(
            f"{file}: line {_line(error, folder)}: {first_line(error)}; repair it, or install what it "
            "needs"
        ) from error
    if not hasattr(module, function):
        raise CodeError(
            f"{file}: has no function {function!r}; expected the name of one of its functions"
        )
    return getattr(module, function)


def _line(error: BaseException, folder: str) -> str:
    """Return the line of the folder's files at which an error passed last."""
    line, trace = "1", error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename.startswith(f"{folder}/"):
            line = str(trace.tb_lineno)
        trace = trace.tb_next
    return line


class _Space:
    """One set of sources, and the private package that holds its modules."""

    def __init__(self, package: str, sources: tuple[Source, ...], folder: str) -> None:
        self.package, self.folder = package, folder
        self.modules: dict[str, Source | None] = {"": None}
        for path, text in sources:
            parts = path.removesuffix(".py").split("/")
            for length in range(1, len(parts)):  # folders without an __init__.py are packages too
                self.modules.setdefault(".".join(parts[:length]), None)
            dotted = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            self.modules[dotted] = (path, text)
        self.builtins = {**vars(builtins), "__import__": self._import}

    def is_package(self, dotted: str) -> bool:
        source = self.modules[dotted]
        return source is None or source[0].endswith("__init__.py")

    def _import(
        self,
        name: str,
        globals: Mapping[str, object] | None = None,
        locals: Mapping[str, object] | None = None,
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> ModuleType:
        top = name.partition(".")[0]
        if level or top not in self.modules:
            return builtins.__import__(name, globals, locals, fromlist or (), level)
        module = import_module(f"{self.package}.{name}")
        for item in fromlist or ():
            if f"{name}.{item}" in self.modules:
                import_module(f"{self.package}.{name}.{item}")
        return module if fromlist else sys.modules[f"{self.package}.{top}"]


class _Finder(MetaPathFinder, Loader):
    """Finds the modules of private packages, and of nothing else."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        package, _, dotted = fullname.partition(".")
        space = _SPACES.get(package)
        if space is None or dotted not in space.modules:
            return None
        return ModuleSpec(fullname, self, is_package=space.is_package(dotted))

    def exec_module(self, module: ModuleType) -> None:
        package, _, dotted = module.__name__.partition(".")
        space = _SPACES[package]
        source = space.modules[dotted]
        if source is None:
            return
        path, text = source
        file = f"{space.folder}/{path}"
        linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
        module.__file__ = file
        module.__dict__["__builtins__"] = space.builtins
        run: Callable[..., None] = exec
        run(compile(text, file, "exec", dont_inherit=True), module.__dict__)
