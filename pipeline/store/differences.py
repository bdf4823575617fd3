"""Differences between two descriptions, as text: the key, the value of a store and that of a sweep."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

__all__ = ["differences"]


def differences(key: str, stored: Any, expected: Any) -> Iterator[str]:
    """Yield a text for each difference.

    Tables are compared key by key; long lists and lists of tables up to the first difference.
    """
    if stored == expected:
        return
    if isinstance(stored, dict) and isinstance(expected, dict):
        for inner in sorted(stored | expected):
            path = f"{key}.{inner}".lstrip(".")
            yield from differences(path, stored.get(inner), expected.get(inner))
    elif key.startswith("dataset") and key.endswith(".rows") and stored and expected:
        yield "the data file has other rows"
    elif stored is None:
        yield f"it has no {key}, this sweep's is {_short(expected)}"
    elif expected is None:
        yield f"its {key} is {_short(stored)}, this sweep has none"
    elif _compare_by_index(stored, expected):
        by_index = (
            list(differences(f"{key}[{index}]", stored[index], value))
            for index, value in enumerate(expected)
        )
        yield from next(filter(None, by_index))
    elif _short(stored) == _short(expected):
        yield f"its {key} has {len(stored)} values, this sweep's {len(expected)}"
    else:
        yield f"its {key} is {_short(stored)}, this sweep's {_short(expected)}"


def _compare_by_index(stored: Any, expected: Any) -> bool:
    """Return True for two lists of one length that hold tables or are too long to print."""
    if not (isinstance(stored, list) and isinstance(expected, list) and len(stored) == len(expected)):
        return False
    long = any(_short(values).endswith("...") for values in (stored, expected))
    return long or any(isinstance(value, dict) for value in expected)


def _short(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 or not isinstance(value, list) else text[:57] + "..."
