"""Numbers that others published on the experiments in `jobs/examples`: its file `published.toml`."""

from __future__ import annotations

import tomllib
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from analysis.report.published import Example, Published

__all__ = ["EXAMPLES", "published_numbers"]

EXAMPLES = Path(str(files("jobs") / "examples"))


def published_numbers() -> tuple[Published, ...]:
    """Read the published numbers, each with the sweep of its example; no code runs."""
    from analysis.report.published import Published

    listed = tomllib.loads((EXAMPLES / "published.toml").read_text(encoding="utf-8"))["number"]
    examples = {name: _example(name) for name in {entry["sweep"] for entry in listed}}
    return tuple(Published(examples[entry.pop("sweep")], **entry) for entry in listed)


def _example(name: str) -> Example:
    from analysis.report.published import Example
    from pipeline.experiments.own.sources import digest_of, gather, is_file_entry, split_entry

    folder = EXAMPLES / name
    document = tomllib.loads((folder / f"{name}.toml").read_text(encoding="utf-8"))
    entry = document["experiment"]
    if not is_file_entry(entry):
        return Example(document)
    file, _ = split_entry(entry)
    return Example(document, digest_of(gather(folder, file)))
