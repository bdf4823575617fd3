"""`widthlaw watch`: a page on stores that follows them while trials arrive."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from jobs.options import PORT, STORE, success_options, width_only_option

if TYPE_CHECKING:
    from analysis.success import Success
    from jobs.watching import Server
    from pipeline.store.location import StorePath

__all__ = ["watch", "watching"]


@click.command()
@click.argument("stores", type=STORE, nargs=-1, required=True)
@click.option(
    "--port", type=PORT, default=0, help="Port of the page on 127.0.0.1.  [default: a free one]"
)
@click.option("--with-run", is_flag=True, hidden=True)
@success_options
@width_only_option
def watch(stores: Sequence[StorePath], port: int, with_run: bool, success: Success) -> None:
    """Show STORES on a page that follows them while trials arrive.

    The page has the phase diagram, success curves, critical widths, laws, the cost of each cell and
    failed trials. It only reads: the run, here or on a cluster, is not touched. A store may be one that
    a run has yet to make. Only those who have the printed address can open the page. Ctrl-C ends the
    command.
    """
    from jobs.watching import Server, announce

    with Server(port) as server:
        announce(server, "it ends with the run" if with_run else "Ctrl-C ends it")
        server.follow(stores, success)
        if with_run:
            _end_with_run(server)
        server.serve()


def _end_with_run(server: Server) -> None:
    """End the server when standard input ends, with the run that started this process."""

    def wait() -> None:
        sys.stdin.buffer.read()
        server.state.finish()
        server.shutdown()

    threading.Thread(target=wait, daemon=True).start()


@contextmanager
def watching(path: StorePath, port: int) -> Iterator[None]:
    """Show a store on a page while this block fills it, by a process of its own.

    That process hears no Ctrl-C. It ends when this one closes its end of a pipe, or is gone.
    """
    own = "from jobs.cli import main; main()"
    line = [sys.executable, "-c", own, "watch", "--with-run", f"--port={port}", str(path)]
    process = subprocess.Popen(
        line, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True
    )
    assert process.stdin is not None
    try:
        yield
    finally:
        process.stdin.close()
        process.wait()
