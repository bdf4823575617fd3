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
