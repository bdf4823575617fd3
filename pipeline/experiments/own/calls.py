"""Calls of functions of one's own that cannot disturb what runs beside them."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from pipeline.errors import first_line, shortened
from pipeline.keyboard import may_be_ctrl_c

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
        The user may have pressed Ctrl-C (`keyboard`); one of the function's own is an outcome.
    """
    process = os.getpid()
    try:
        with contextlib.redirect_stdout(sys.stderr):
            return function(*arguments)
    except Exception:
        raise
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt) and may_be_ctrl_c():
            raise
        raise RuntimeError(f"it ended with {first_line(error)}") from None
    finally:
        if os.getpid() != process:  # a process that it forked came back: it must not go on as we do
            os._exit(0)
