"""A script that starts workers while it is imported: one sentence, not a traceback of every process.

Every worker process imports the script that started it. A script without `if __name__ == "__main__":`
starts workers there as well, which Python forbids, and Dask reports with hundreds of lines. Here such a
worker leaves a file for its parent and ends; the parent finds the file, and says what to change.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pipeline.errors import InputError

__all__ = ["leave_if_imported", "noticed"]

VARIABLE = "WIDTHLAW_UNGUARDED"
"""Holds the path of the file while workers start."""

LOGGERS = ("distributed.nanny", "distributed.scheduler", "distributed.core")


def leave_if_imported() -> None:
    """End this process if it is a worker that still imports the script which started it."""
    if not getattr(multiprocessing.current_process(), "_inheriting", False):  # as Python itself asks
        return
    if sign := os.environ.get(VARIABLE):
        with suppress(OSError):
            Path(sign).touch()
        os._exit(1)


@contextmanager
def noticed(folder: Path) -> Iterator[None]:
    """Start workers in this block; if they end because the script is not guarded, say so.

    Parameters
    ----------
    folder
        A folder that only this user can write to.

    Raises
    ------
    InputError
        In place of the exception of the block.
    """
    sign = folder / "unguarded"

    def is_news(record: logging.LogRecord) -> bool:
        return not sign.exists()

    loggers = [logging.getLogger(name) for name in LOGGERS]
    os.environ[VARIABLE] = str(sign)
    for logger in loggers:
        logger.addFilter(is_news)
    try:
        yield
    except Exception:
        if not sign.exists():
            raise
        script = getattr(sys.modules["__main__"], "__file__", None) or "this script"
        raise InputError(
            f"{script}: starts workers as soon as it is imported, but every worker imports it; put the "
            'lines that start workers below `if __name__ == "__main__":`'
        ) from None
    finally:
        del os.environ[VARIABLE]
        for logger in loggers:
            logger.removeFilter(is_news)
