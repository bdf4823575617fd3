"""Random draws and their numerics: data, weights, activations, features and singular values.

Public interface: `singular_values`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline.numerics.random_features import singular_values

__all__ = ["singular_values"]

_HOMES = {
    "singular_values": "pipeline.numerics.random_features",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:  # imported on first use, so that one module does not cost the import of all
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
