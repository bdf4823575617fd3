"""The process from which `forked.run` forks commands: it has imported what they need, in one thread.

It is a script: its argument names the kind of commands, and each line of its input is one of them, as
JSON. It answers with the number of the process, and then with its exit status. Commands that read
stores do without Dask, so it is hidden from them as it is by the command itself: xarray remembers
whether Dask is there.
"""

from __future__ import annotations

import atexit
import json
import os
import resource
import sys
import threading
import types
from importlib import import_module

OF_ALL = (
    *(f"analysis.{part}" for part in ("stores", "query", "scaling", "slowing", "transitions")),
    *("pipeline.maintenance.verify", "pipeline.maintenance.repair", "jobs.launch"),
)
OF_READS = ("analysis.figures.register", "analysis.report.sections", "scipy.stats")
OF_RUNS = (
    *("distributed.nanny", "pipeline.execution.driver", "pipeline.execution.local"),
    *("pipeline.execution.worker", "pipeline.numerics.random_features", "scipy.linalg"),
)


def limit(limits: dict[int, int]) -> None:
    """Set the limits of this process."""
    for name, most in limits.items():
        resource.setrlimit(name, (most, most))


def serve(kind: str) -> None:
    """Import what commands of a kind need, and fork each command that comes."""
    if kind == "reads":
        sys.modules["dask"] = None  # type: ignore[assignment]
    from jobs.cli import COMMANDS

    of_kind = OF_READS if kind == "reads" else OF_RUNS
    for name in (*OF_ALL, *of_kind, *(f"jobs.commands.{module}" for module, _ in COMMANDS.values())):
        import_module(name)
    if kind == "runs":
        _load_compiler()
    assert threading.active_count() == 1
    for line in sys.stdin:
        if not (child := os.fork()):
            _become(**json.loads(line))
        print(child, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


def _load_compiler() -> None:
    """Let Numba load what it knows of Python and NumPy, as it does before its first call."""
    import numba

    numba.njit(lambda number: number + 1)(1)


def _become(
    line: list[str],
    texts: list[str],
    limits: list[list[int]],
    terminal: dict[str, str | None],
    cwd: str,
) -> None:
    """Be the command: its words, files of output, limits, variables of the terminal, and folder."""
    os.environ.update({name: value for name, value in terminal.items() if value is not None})
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for number, text in enumerate(texts, 1):
        os.dup2(os.open(text, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    sys.stdin, sys.stdout, sys.stderr = (
        os.fdopen(number, mode, closefd=False) for number, mode in enumerate("rww")
    )
    os.chdir(cwd)
    sys.argv = line
    script = types.ModuleType("__main__")  # workers import the script of their driver
    script.__file__ = line[0]
    sys.modules["__main__"] = script
    if sys.modules["dask"] is None:
        del sys.modules["dask"]
    limit(dict(limits))
    os._exit(_exit_status())


def _exit_status() -> int:
    """Run the command as Python would, to the end of the process."""
    from jobs.cli import main

    code: object = 0
    try:
        main()
    except SystemExit as ended:
        code = ended.code
    except BaseException:
        sys.excepthook(*sys.exc_info())
        code = 1
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    return code if isinstance(code, int) else 0


if __name__ == "__main__":
    serve(sys.argv[1])
