"""Experiments that installed packages register, by the entry-point group `widthlaw.experiments`.

    [project.entry-points."widthlaw.experiments"]
    gap = "my_package.trials:gap"

A sweep names them, `experiment = "gap"`. Workers need the package too.
"""

from __future__ import annotations

import hashlib
import inspect
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from pipeline.errors import CodeError, first_line, not_one_of

__all__ = ["GROUP", "digest_of", "load", "registered"]

GROUP = "widthlaw.experiments"


@lru_cache(maxsize=1)
def registered() -> dict[str, EntryPoint]:
    """Return the registered experiments by name; nothing is imported."""
    return {point.name: point for point in entry_points(group=GROUP)}


def load(name: str) -> Any:
    """Return the function of a registered experiment.

    Raises
    ------
    CodeError
        No installed package registers it, or its module raises.
    """
    if name not in registered():
        raise CodeError(f"{not_one_of(name, registered())}; install the package that registers it")
    try:
        return registered()[name].load()
    except Exception as error:
        raise CodeError(
            f"{registered()[name].value}: {first_line(error)}; repair the package"
        ) from error


def digest_of(name: str) -> str:
    """Return the SHA-256 of the source of the module of a registered experiment."""
    function = load(name)
    module = inspect.getmodule(function)
    try:
        text = inspect.getsource(module if module is not None else function)
    except (OSError, TypeError):
        raise CodeError(
            f"{name}: its source cannot be read; install the package with its sources"
        ) from None
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
