"""The data of a figure as a link that needs no file beside the page: a zip with one CSV, as a data URL.

CSV of all figures would be larger than the page; zipped it is a tenth of that. Equal data give equal
bytes.
"""

from __future__ import annotations

import base64
import io
import zipfile
from dataclasses import dataclass

import pandas as pd

__all__ = ["Download", "csv_of", "download_of"]

EPOCH = (1980, 1, 1, 0, 0, 0)
"""The date of the file in a zip, so that it does not depend on the time."""


@dataclass(frozen=True)
class Download:
    """A file to download: its name, its data URL, and the number of rows of the CSV in it."""

    name: str
    url: str
    rows: int


def csv_of(table: pd.DataFrame) -> str:
    """Return a table as CSV, with four digits of each number; whole numbers have all of theirs."""
    floats = table.select_dtypes("float")
    short = floats.apply(lambda column: column.map(_short, na_action="ignore"))
    return table.assign(**short).to_csv(index=False, lineterminator="\n")


def _short(value: float) -> str:
    return f"{value:.0f}" if value.is_integer() and abs(value) < 1e9 else f"{value:.4g}"


def download_of(name: str, csv: str) -> Download:
    """Return a CSV as a zipped file to download.

    Parameters
    ----------
    name
        Name of the CSV without its ending.
    csv
        Its text, of a heading and rows.
    """
    packed = io.BytesIO()
    entry = zipfile.ZipInfo(f"{name}.csv", EPOCH)
    entry.create_system, entry.external_attr = 3, 0o644 << 16
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr(entry, csv, zipfile.ZIP_DEFLATED, compresslevel=9)
    url = f"data:application/zip;base64,{base64.b64encode(packed.getvalue()).decode()}"
    return Download(f"{name}.csv.zip", url, csv.count("\n") - 1)
