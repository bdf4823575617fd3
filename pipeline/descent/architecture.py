"""The shape of a network: which of its weights can be trained, and how many there are."""

from __future__ import annotations

from typing import TypeVar

__all__ = ["TRAINED", "parameter_count"]

Width = TypeVar("Width", int, float)

TRAINED = ("output", "input", "both")
"""Choices of the trained weights: v, all hidden weights, or both."""


def parameter_count(k: Width, d: int, depth: int = 1, trained: str = "both") -> Width:
    """Return the number of trained weights of a network.

    Parameters
    ----------
    k
        Width of every hidden layer; need not be whole, as critical widths are not.
    d, depth
        Input dimension and number of hidden layers.
    trained
        One of `TRAINED`.
    """
    hidden = k * d + (depth - 1) * k * k
    return hidden * (trained != "output") + k * (trained != "input")
