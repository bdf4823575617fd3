"""`widthlaw watch`: a page on stores that follows them while trials arrive."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from jobs.options import STORE, success_options

if TYPE_CHECKING:
    from analysis.success import Success
    from jobs.watching import Server
    from pipeline.store.location import StorePath

__all__ = ["watch", "watching"]


@click.command()
@click.argument("stores", type=STORE, nargs=-1, required=True)
@click.option(
    "--port", type=click.IntRange(0, 65535), default=0, help="Port on 127.0.0.1.  [default: a free one]"
)
@click.option("--with-run", is_flag=True, hidden=True)
@success_options
def watch(stores: Sequence[StorePath], port: int, with_run: bool, success: Success) -> None:
    """Show STORES on a page that follows them while trials arrive.

    The page has the phase diagram, success curves, critical widths, laws, the cost of each cell and
    failed trials. It only reads: the run, here or on a cluster, is not touched. A store may be one that
    a run has yet to make. Only who has the printed address can open the page. Ctrl-C ends the command.
    """
    from jobs.watching import Server, announce
    from pipeline.errors import InputError

    try:
        server = Server(stores, success, port)
    except OSError as error:
        raise InputError(
            f"watch --port {port}: {(error.strerror or str(error)).lower()}; give another port, or "
            "none for a free one"
        ) from None
    with server:
        if with_run:
            announce(server, "it ends with the run")
            _serve_with_run(server)
        else:
            announce(server, "Ctrl-C ends it")
            server.serve_forever()


def _serve_with_run(server: Server) -> None:
    """Serve until standard input ends, with the run that started this process."""
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdin.buffer.read()
    server.state.finish()


@contextmanager
def watching(path: StorePath) -> Iterator[None]:
    """Show a store on a page while this block fills it, by a process of its own.

    That process hears no Ctrl-C. It ends when this one closes its end of a pipe, or is gone.
    """
    line = [sys.executable, "-c", "from jobs.cli import main; main()", "watch", "--with-run", str(path)]
    process = subprocess.Popen(
        line, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True
    )
    assert process.stdin is not None
    try:
        yield
    finally:
        process.stdin.close()
        process.wait()
