"""Calls of functions of one's own that cannot disturb what runs beside them."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable
from threading import current_thread, main_thread
from typing import Any

import numpy as np

from pipeline.errors import first_line, shortened

__all__ = ["call_alone", "told"]


def told(value: Any) -> str:
    """Return a value as one line of a message tells it: an array by its type and shape."""
    if isinstance(value, np.ndarray) and value.ndim:
        return f"an array of {value.dtype} of shape {value.shape}"
    return " ".join(shortened(repr(value)).split())


def call_alone(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function; what it prints goes to stderr, and a process that it forks ends with it.

    Raises
    ------
    Exception
        The one of the function; `RuntimeError` for what would end this process, such as `sys.exit()`.
    KeyboardInterrupt
        The user has pressed Ctrl-C. Python tells only its main thread of it, so in a thread of a worker
        it is the function's own.
    """
    process = os.getpid()
    try:
        with contextlib.redirect_stdout(sys.stderr):
            return function(*arguments)
    except Exception:
        raise
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt) and current_thread() is main_thread():
            raise
        raise RuntimeError(f"it ended with {first_line(error)}") from None
    finally:
        if os.getpid() != process:  # a process that it forked came back: it must not go on as we do
            os._exit(0)
