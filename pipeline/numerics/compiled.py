"""Compilation of loops: by numba, single-threaded, cached on disk where possible.

Sums may be reordered (the same machine code still gives the same bits every time), but nothing else
is relaxed: infinities and NaN keep their meaning, since divergence is detected by them.

Use `compiled` for the parts, `in_order` for parts whose sums must not be reordered, and `entry` for a
function that Python calls and that takes seconds to compile: the first process on a machine compiles
it while the others wait and then load it.

numba's cache is keyed on a function's own file only, not on its callees. Hence one cache folder per
hash of all compiled sources: another version of widthlaw never runs the machine code of this one.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from importlib.resources import files
from pathlib import Path
from typing import Any

import numba
from platformdirs import user_cache_dir

__all__ = ["compiled", "compiled_sources", "entry", "in_order", "inlined"]

CONFIG: Any = numba.config

REGISTER = Path("numerics", "activations", "__init__.py")

RELAXED = frozenset({"reassoc", "contract", "nsz", "arcp"})


def compiled_sources() -> list[Path]:
    """Return the files that decide the machine code: compiled functions, this file, and the register.

    The register of activations numbers the functions between which the loop chooses.
    """
    package = Path(str(files("pipeline")))
    marks = (b"\nfrom pipeline.numerics.compiled import", b"\nfrom pipeline.numerics import compiled")
    found = {path for path in package.rglob("*.py") if any(mark in path.read_bytes() for mark in marks)}
    return sorted(found | {Path(__file__), package / REGISTER})


def _cache_folder() -> str:
    """Return the cache folder of compiled code, which is inside `NUMBA_CACHE_DIR` if that is set."""
    sources = b"".join(path.read_bytes() for path in compiled_sources())
    digest = hashlib.sha256(sources).hexdigest()
    return str(Path(CONFIG.CACHE_DIR or user_cache_dir("widthlaw")) / digest[:16])


CACHE_FOLDER = _cache_folder()


def compiled(function: Callable[..., Any], **more: Any) -> Any:
    """Compile a function at its first call; later processes load it from the cache folder."""
    # error_model: checks of divisors would prevent vectorisation
    options: Any = {"fastmath": set(RELAXED), "nogil": True, "error_model": "numpy", "cache": True}
    options |= more
    elsewhere = CONFIG.CACHE_DIR
    CONFIG.CACHE_DIR = CACHE_FOLDER
    try:
        return numba.njit(function, **options)
    except RuntimeError:  # no writable folder: every process compiles for itself
        return numba.njit(function, **(options | {"cache": False}))
    finally:
        CONFIG.CACHE_DIR = elsewhere


def inlined(function: Callable[..., Any], **more: Any) -> Any:
    """Compile a function like `compiled`, but inline: a call would count references to its arrays."""
    return compiled(function, forceinline=True, **more)


def in_order(function: Callable[..., Any]) -> Any:
    """Compile a function inline, with its sums in the order in which they are written.

    A call would prevent vectorisation of the loop around it, and the compiler does not inline long
    functions by itself.
    """
    return inlined(function, fastmath=set(RELAXED - {"reassoc"}))


def entry(function: Callable[..., Any]) -> Any:
    """Compile a function like `compiled`, but in one process of the machine at a time."""
    dispatcher = compiled(function)
    ready = False

    @wraps(function)
    def call(*arguments: Any) -> Any:
        nonlocal ready
        if not ready:
            with _alone():
                dispatcher.compile(tuple(map(numba.typeof, arguments)))
            ready = True
        return dispatcher(*arguments)

    call.dispatcher = dispatcher  # type: ignore[attr-defined]
    return call


@contextmanager
def _alone() -> Iterator[None]:
    """Hold this user's lock on compiling, which is released when the process ends, even by a crash."""
    path = Path(tempfile.gettempdir()) / f"widthlaw-compile-{os.getuid()}.lock"
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
