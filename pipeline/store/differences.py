"""How two descriptions differ, in words: the key, what a store has and what a sweep asks for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

__all__ = ["differences"]


def differences(key: str, stored: Any, asked: Any) -> Iterator[str]:
    """Name what differs: of tables every key, of long lists and lists of tables the first place."""
    if stored == asked:
        return
    if isinstance(stored, dict) and isinstance(asked, dict):
        for inner in sorted(stored | asked):
            at = f"{key}.{inner}".lstrip(".")
            yield from differences(at, stored.get(inner), asked.get(inner))
    elif key.startswith("dataset") and key.endswith(".rows") and stored and asked:
        yield "the data file has other rows"
    elif stored is None:
        yield f"it has no {key}, this sweep's is {_short(asked)}"
    elif asked is None:
        yield f"its {key} is {_short(stored)}, this sweep has none"
    elif _told_by_place(stored, asked):
        places = range(len(asked))
        told = (differences(f"{key}[{place}]", stored[place], asked[place]) for place in places)
        yield from next(said for said in map(list, told) if said)
    elif _short(stored) == _short(asked):
        yield f"its {key} has {len(stored)} values, this sweep's {len(asked)}"
    else:
        yield f"its {key} is {_short(stored)}, this sweep's {_short(asked)}"


def _told_by_place(stored: Any, asked: Any) -> bool:
    """Whether two lists are told apart value by value: they hold tables, or are too long to be read."""
    if not (isinstance(stored, list) and isinstance(asked, list) and len(stored) == len(asked)):
        return False
    long = any(_short(values).endswith("...") for values in (stored, asked))
    return long or any(isinstance(value, dict) for value in asked)


def _short(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 or not isinstance(value, list) else text[:57] + "..."
