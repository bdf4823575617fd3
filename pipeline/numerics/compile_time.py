"""The time that this process has spent on compiling, which can be asked for without the compiler."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["SPENT", "compile_seconds"]


@dataclass
class _Spent:
    seconds: float = 0.0


SPENT = _Spent()
"""Counted up by `pipeline.numerics.compiled`."""


def compile_seconds() -> float:
    """Return the time that this process has spent on compiling, loading and waiting for others."""
    return SPENT.seconds
