"""`widthlaw watch`: a page on stores that follows them while trials arrive."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from jobs.options import STORE, success_options

if TYPE_CHECKING:
    from analysis.success import Success
    from pipeline.store.location import StorePath

__all__ = ["watch"]


@click.command()
@click.argument("stores", type=STORE, nargs=-1, required=True)
@click.option(
    "--port", type=click.IntRange(0, 65535), default=0, help="Port on 127.0.0.1.  [default: a free one]"
)
@success_options
def watch(stores: Sequence[StorePath], port: int, success: Success) -> None:
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
            f"watch --port {port}: {(error.strerror or str(error)).lower()}; give another, or none for a "
            "free one"
        ) from None
    with server:
        announce(server, "Ctrl-C ends it")
        server.serve_forever()
