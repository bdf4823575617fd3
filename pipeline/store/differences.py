"""Differences between two descriptions, as text: the key, the value of a store and that of a sweep."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

__all__ = ["differences", "other_budget"]


def differences(key: str, stored: Any, expected: Any, other: str = "this sweep") -> Iterator[str]:
    """Yield a text for each difference.

    Tables are compared key by key; long lists and lists of tables up to the first difference.

    Parameters
    ----------
    key
        Dotted key of the two values; "" for whole tables.
    stored, expected
        The values.
    other
        Name of the owner of `expected`.
    """
    if stored == expected:
        return
    if isinstance(stored, dict) and isinstance(expected, dict):
        for inner in sorted(stored | expected):
            path = f"{key}.{inner}".lstrip(".")
            yield from differences(path, stored.get(inner), expected.get(inner), other)
    elif key.startswith("dataset") and key.endswith(".rows") and stored and expected:
        yield "the data file has other rows"
    elif stored is None:
        yield f"it has no {key}, {other}'s is {_short(expected)}"
    elif expected is None:
        yield f"its {key} is {_short(stored)}, {other} has none"
    elif _compare_by_index(stored, expected):
        by_index = (
            list(differences(f"{key}[{index}]", stored[index], value, other))
            for index, value in enumerate(expected)
        )
        yield from next(filter(None, by_index))
    elif _short(stored) == _short(expected):
        yield f"its {key} has {len(stored)} values, {other}'s {len(expected)}"
    else:
        yield f"its {key} is {_short(stored)}, {other}'s {_short(expected)}"


def other_budget(stored: dict[str, Any], expected: dict[str, Any]) -> int | None:
    """Return the steps of stored identity fields that differ in nothing else; None if they do."""
    descents = stored.get("descent"), expected.get("descent")
    if not all(isinstance(descent, dict) for descent in descents):
        return None
    own, other = (dict(descent) for descent in descents if descent is not None)
    steps = own.pop("steps", None)
    alike = isinstance(steps, int) and steps != other.pop("steps", None) and own == other
    return steps if alike and stored | {"descent": 0} == expected | {"descent": 0} else None


def _compare_by_index(stored: Any, expected: Any) -> bool:
    """Return True for two lists of one length that hold tables or are too long to print."""
    if not (isinstance(stored, list) and isinstance(expected, list) and len(stored) == len(expected)):
        return False
    long = any(_short(values).endswith("...") for values in (stored, expected))
    return long or any(isinstance(value, dict) for value in expected)


def _short(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 or not isinstance(value, list) else text[:57] + "..."
