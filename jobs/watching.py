"""The server of `widthlaw watch`: a page on the loopback interface with a secret in its address.

Any user of the machine reaches the loopback interface, and so does any page in a browser of it. So no
path is answered without the secret, nor a request whose Host is another name than that of this machine
(a foreign page whose name was bound to 127.0.0.1), nor one that the script of another page sends. The
page may load nothing from elsewhere and run no script but its own.
"""

from __future__ import annotations

import hmac
import json
import os
import secrets
import sys
import threading
import time
from collections.abc import Sequence
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import click

from pipeline.errors import InputError

if TYPE_CHECKING:
    from analysis.live.view import View
    from analysis.success import Success
    from pipeline.store.location import StorePath

__all__ = ["Server", "announce", "check_port"]

LOCAL = ("127.0.0.1", "localhost")
"""Names of this machine in an address; a tunnel may end at any port."""

NO_SECRET = "the address lacks the secret that widthlaw printed"

PERIOD = 0.9
"""Seconds before stores are looked at again, however many pages ask."""

FIT_SECONDS = 0.2
"""Time for fits of all stores in one update, which shall take half a second at most."""

S3_SECONDS = "5"
"""Seconds for which a request to a server of buckets is retried: then the page tells of it."""

FINAL = "."
"""The mark of the version after which no other comes."""

OPEN_SECONDS = 10.0
"""A page that has asked so recently is open."""

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class _State:
    """The state of some stores, which is brought up to date when somebody asks."""

    def __init__(self, views: Sequence[View]) -> None:
        self._views = views
        self._lock = threading.Lock()
        self._looked = -PERIOD
        self._version, self._body = "", b""
        self._asked = -OPEN_SECONDS
        self._is_last, self._has_last = False, threading.Event()

    def finish(self) -> None:
        """Wait until a page that is open has the state of this moment; after some seconds, do not."""
        with self._lock:
            self._looked, self._is_last = -PERIOD, True
            is_open = time.monotonic() - self._asked < OPEN_SECONDS
        if is_open:
            self._has_last.wait(OPEN_SECONDS)

    def after(self, seen: str) -> bytes | None:
        """Return the state as JSON, or None if it is the one that was seen."""
        with self._lock:
            if time.monotonic() - self._looked >= PERIOD or not self._version:
                self._update()
                self._looked = time.monotonic()
            self._asked = time.monotonic()
            return self._body if seen != self._version else None

    def has(self, seen: str) -> None:
        """Note that a page has shown a state; after the last one the server may end."""
        with self._lock:
            if seen == self._version and seen.endswith(FINAL):
                self._has_last.set()

    @property
    def _is_final(self) -> bool:
        return self._is_last and not any(view.is_behind for view in self._views)

    def _update(self) -> None:
        from analysis.live.page import digest_of, heading_of, state_of

        for view in self._views:
            view.update(FIT_SECONDS / len(self._views))
        parts, final = state_of(self._views), self._is_final
        self._version = f"{digest_of(parts)}{FINAL if final else ''}"
        title = f"{', '.join(view.name for view in self._views)[:80]} – widthlaw watch"
        state = {
            "version": self._version,
            "title": title,
            "heading": heading_of(self._views),
            "final": final,
            "parts": parts,
        }
        self._body = json.dumps(state).encode()


class Server(ThreadingHTTPServer):
    """Serves a page at `address`, of the stores that it has been told to `follow`.

    Parameters
    ----------
    port
        A port of the loopback interface; 0 takes a free one.

    Attributes
    ----------
    fault
        The error that ended the server, None if none did.

    Raises
    ------
    InputError
        The port cannot be used.
    """

    daemon_threads = True

    def __init__(self, port: int = 0) -> None:
        self.secret = secrets.token_urlsafe(32)
        self.fault: BaseException | None = None
        try:
            super().__init__(("127.0.0.1", port), _Handler)
        except OSError as error:
            raise InputError(
                f"watch --port {port}: {(error.strerror or str(error)).lower()}; give another port, or "
                "none for a free one"
            ) from None

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/{self.secret}/"

    def follow(self, stores: Sequence[StorePath], success: Success) -> None:
        """Show some stores, which need not exist yet, with the success of a trial.

        This imports the analysis, which takes a second. Who opens the page meanwhile waits for it.
        """
        from analysis.live.view import View

        os.environ.setdefault("WIDTHLAW_S3_PATIENCE", S3_SECONDS)
        self.state = _State([View(store, success) for store in stores])

    def serve(self) -> None:
        """Answer until the process is interrupted, or an error occurs that was not foreseen."""
        self.serve_forever()
        if self.fault is not None:
            raise self.fault

    def handle_error(self, *_: Any) -> None:
        error = sys.exc_info()[1]
        if not isinstance(error, (ConnectionError, TimeoutError)):  # a page that was closed, or hangs
            self.fault = error
            self.shutdown()


class _Handler(BaseHTTPRequestHandler):
    """Answers GET and HEAD of those who know the secret; http.server answers 501 to all else."""

    server: Server
    protocol_version = "HTTP/1.1"
    timeout = 60

    def do_GET(self) -> None:
        if not self._is_local():
            return self._refuse(HTTPStatus.FORBIDDEN, "this name is not one of this machine")
        if not self._is_own():
            return self._refuse(HTTPStatus.FORBIDDEN, "this request is one of another page")
        path, _, query = self.path.partition("?")
        secret, slash, name = path.removeprefix("/").partition("/")
        if not hmac.compare_digest(secret.encode(), self.server.secret.encode()):
            return self._refuse(HTTPStatus.FORBIDDEN, NO_SECRET)
        if not slash:
            return self._send(HTTPStatus.PERMANENT_REDIRECT, b"", "text/plain", Location=f"{secret}/")
        if name == "state":
            return self._send_state(parse_qs(query).get("seen", [""])[0])
        return self._send_file(name)

    do_HEAD = do_GET

    def _is_local(self) -> bool:
        name, _, port = self.headers.get("Host", "").partition(":")
        return name in LOCAL and (not port or port.isdecimal())

    def _is_own(self) -> bool:
        """Return whether no script of another page sends this; a browser names the page then."""
        return self.headers.get("Origin") in (None, f"http://{self.headers['Host']}")

    def _send_state(self, seen: str) -> None:
        body = self.server.state.after(seen)
        if body is not None:
            return self._send(HTTPStatus.OK, body, "application/json")
        self._send(HTTPStatus.NO_CONTENT, b"", "application/json")
        return self.server.state.has(seen)

    def _send_file(self, name: str) -> None:
        from analysis.live.page import FILES, file_of, page

        if name == "":
            return self._send(HTTPStatus.OK, page().encode(), "text/html")
        if name in FILES:
            return self._send(HTTPStatus.OK, file_of(name), FILES[name][1])
        return self._refuse(HTTPStatus.NOT_FOUND, "there is no such page")

    def _refuse(self, status: HTTPStatus, reason: str) -> None:
        self._send(status, f"{reason}\n".encode(), "text/plain")

    def _send(self, status: HTTPStatus, body: bytes, kind: str, **more: str) -> None:
        self.send_response(status)
        for name, value in (HEADERS | more).items():
            self.send_header(name, value)
        if status != HTTPStatus.NO_CONTENT:
            self.send_header("Content-Type", f"{kind}; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def version_string(self) -> str:
        return "widthlaw"

    def log_message(self, *_: Any) -> None:
        pass  # a log would repeat the secret


def check_port(port: int) -> None:
    """Refuse a port that cannot be used, before anything starts."""
    Server(port).server_close()


def announce(server: Server, ending: str) -> None:
    """Print where the page is, on stderr, and how to reach it from the machine of a user of SSH."""
    click.echo(f"watch: {server.address} ({ending})", err=True)
    if os.environ.get("SSH_CONNECTION"):
        port = server.server_port
        host = (os.environ["SSH_CONNECTION"].split()[2:3] or ["HOST"])[0]
        click.echo(f"watch: first, on your machine: ssh -L {port}:127.0.0.1:{port} {host}", err=True)
