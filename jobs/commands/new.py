"""`widthlaw new`: the first files of an experiment of one's own."""

from __future__ import annotations

import importlib.resources
import re
from pathlib import Path

import click

__all__ = ["new"]


@click.command()
@click.argument("name")
def new(name: str) -> None:
    """Write the first files of an experiment of your own.

    NAME.toml is a sweep that runs in seconds, and the function in NAME.py one of its trials. Change
    both as you like. Files that exist are not touched.
    """
    from pipeline.errors import InputError

    path = Path(name).with_suffix("") if name.endswith((".toml", ".py")) else Path(name)
    if not re.fullmatch(r"[A-Za-z]\w*", path.name):
        raise InputError(f"new {name}: expected a name of letters, digits and _, such as mine")
    files = {path.with_name(f"{path.name}.{end}"): end for end in ("toml", "py")}
    if _is_importable(path.name):
        raise InputError(
            f"new {name}: {path.name} is also a module of Python or of an installed package, which its "
            f"file could not import; choose another name, such as my_{path.name}"
        )
    for file in files:
        if file.exists():
            raise InputError(f"new {name}: {file} is there already; choose another name")
    if not path.parent.is_dir():
        raise InputError(f"new {name}: there is no folder {path.parent}; make it first")
    templates = importlib.resources.files("jobs") / "examples"
    for file, end in files.items():
        text = (templates / f"new.{end}").read_text(encoding="utf-8")
        text = text.replace('"mine"', f'"{path.name}"').replace('"mine.py:', f'"{path.name}.py:')
        file.write_text(text, encoding="utf-8")
        click.echo(file)
    sweep, *_ = files
    click.echo(f"`widthlaw run {sweep}` fills {path.name}.zarr", err=True)


def _is_importable(name: str) -> bool:
    """Return True if Python or an installed package has a module of a name."""
    import sys
    from importlib.machinery import PathFinder

    from pipeline.experiments.own.sources import OURS

    elsewhere = [folder for folder in sys.path if folder and Path(folder).resolve() != Path.cwd()]
    return (
        name in {*sys.stdlib_module_names, *OURS} or PathFinder.find_spec(name, elsewhere) is not None
    )
