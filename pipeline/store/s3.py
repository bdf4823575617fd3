"""Requests to an S3 server: the client, patience with a server that is away, and words for errors."""

from __future__ import annotations

import asyncio
import errno
import functools
import logging
import os
import random
import re
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

from zarr.storage import ObjectStore

from pipeline.errors import StoreError

if TYPE_CHECKING:
    from obstore.store import S3Store
    from zarr.abc.store import ByteRequest
    from zarr.core.buffer import Buffer, BufferPrototype

__all__ = [
    "PATIENCE",
    "PatientStore",
    "T",
    "as_store_error",
    "bucket_and_prefix",
    "client_of",
    "error_code",
    "import_obstore",
    "is_refused",
    "patience_seconds",
    "pause_after",
    "pauses_for",
]

T = TypeVar("T")

PATIENCE = 300.0
"""Seconds for which a server may be away; WIDTHLAW_S3_PATIENCE in the environment says otherwise."""

FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0
"""Seconds between two tries: doubled from the first to the longest, less up to a half by chance."""


# ---- the server


def bucket_and_prefix(url: str) -> tuple[str, str]:
    """The bucket and the prefix that a URL names."""
    scheme, _, rest = url.partition("://")
    bucket, _, prefix = rest.rstrip("/").partition("/")
    if "@" in bucket:  # the message must not repeat what may be a secret
        raise StoreError(
            f"store {scheme}://...@...: credentials do not belong in a URL; expected "
            "s3://bucket/prefix, with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment"
        )
    if scheme != "s3":
        raise StoreError(f"store {url}: got a {scheme}:// URL, expected a path or s3://bucket/prefix")
    if not re.fullmatch(r"[\w.-]+", bucket, re.ASCII):
        raise StoreError(f"store {url}: got {bucket!r} as the bucket, expected s3://bucket/prefix")
    if prefix and not {"", ".", ".."}.isdisjoint(prefix.split("/")):
        raise StoreError(
            f"store {url}: got {prefix!r} as the prefix, expected s3://bucket/prefix without "
            "empty parts, . and .."
        )
    return bucket, prefix


def import_obstore() -> Any:
    try:
        import obstore.store
    except ImportError:
        raise StoreError(
            "a store on S3 needs obstore, which is not installed: pip install 'widthlaw[s3]'"
        ) from None
    return obstore.store


def client_of(name: str) -> S3Store:
    """What makes the requests, kept as long as neither process nor credentials are others."""
    given = tuple(sorted(item for item in os.environ.items() if item[0].startswith("AWS_")))
    return _connect(name, given, os.getpid())


@functools.lru_cache(maxsize=8)
def _connect(name: str, given: tuple[tuple[str, str], ...], process: int) -> S3Store:
    from datetime import timedelta

    bucket, prefix = bucket_and_prefix(name)
    told = dict(given)
    endpoints = map(told.get, ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"))
    endpoint = next(filter(None, endpoints), None)
    options: dict[str, Any] = {"endpoint": endpoint} if endpoint else {}
    if endpoint and endpoint.startswith("http://"):  # else a secret never goes without TLS
        options["client_options"] = {"allow_http": True}
    # No tries of its own: they would multiply ours, and hide that the answer to a PUT was lost.
    once = {"max_retries": 0, "retry_timeout": timedelta(seconds=1)}
    return import_obstore().S3Store(bucket, prefix=prefix or None, retry_config=once, **options)


# ---- patience


_chance = random.SystemRandom()  # processes that were forked off one another must not go in step

_said = -float("inf")
"""When this process last told that a server is away."""


def pauses_for(name: str) -> Iterator[float]:
    """The seconds to wait before each further try, until patience ends; it starts with the first."""
    end = time.monotonic() + patience_seconds()
    pause = FIRST_PAUSE
    while (left := end - time.monotonic()) > 0:
        if pause == LONGEST_PAUSE:
            _say(f"{name}: the server is away; trying again for {left:.0f} s more")
        yield min(left, pause * _chance.uniform(0.5, 1))
        pause = min(2 * pause, LONGEST_PAUSE)


def patience_seconds() -> float:
    text = os.environ.get("WIDTHLAW_S3_PATIENCE", "")
    try:
        return float(text or PATIENCE)
    except ValueError:
        raise StoreError(f"WIDTHLAW_S3_PATIENCE: got {text!r}, expected seconds, such as 300") from None


def _say(text: str) -> None:
    """Tell the user, though not for each of the many requests that wait at the same time."""
    global _said
    if time.monotonic() - _said > 60:
        _said = time.monotonic()
        logging.getLogger(__name__).warning(text)


def pause_after(name: str, error: Exception, pauses: Iterator[float]) -> float:
    """How long to wait after an error; where waiting does not help (any more), the error is raised."""
    if _away(error) and (pause := next(pauses, None)) is not None:
        return pause
    told = as_store_error(name, error)
    setattr(told, WAITED, True)
    if told is error:
        raise error
    raise told from error


WAITED = "widthlaw_waited"
"""Marks an error after which nobody further out in the program has to be patient again."""


NO_CREDENTIALS = re.compile(r"169\.254\.\d|/latest/api/token|/latest/meta-data")
"""Without credentials in the environment Amazon's machines are asked for theirs, at these addresses."""

HOPELESS = re.compile(r"certificate|kind: Builder|Name or service not known|nodename nor servname")
"""What waiting does not mend although no server answered: a wrong endpoint."""

STATUS = re.compile(r"status code: (\d{3})")
AWAY_STATUS = {"408", "429", "500", "502", "503", "504"}
AWAY_CODES = {"InternalError", "RequestTimeout", "ServiceUnavailable", "SlowDown"}


def _away(error: Exception) -> bool:
    """Whether an error means that the server will answer later.

    obstore has one class of error for all of these, and says only in words which one it is.
    """
    if hasattr(error, WAITED):
        return False
    if isinstance(error, (ConnectionError, TimeoutError)):
        return True
    if not _is_generic(error) or NO_CREDENTIALS.search(str(error)):
        return False
    if "HTTP error:" in _head(error):
        return not HOPELESS.search(str(error))
    return _status(error) in AWAY_STATUS or error_code(error) in AWAY_CODES


def is_refused(error: Exception) -> bool:
    """Whether the condition of a PUT did not hold, or was overtaken by another request."""
    if isinstance(error, FileNotFoundError):  # to be changed, but removed meanwhile
        return error_code(error) != "NoSuchBucket"
    return type(error).__name__ in ("AlreadyExistsError", "PreconditionError")


def as_store_error(name: str, error: Exception) -> Exception:
    """What the user is told of an error; errors of Python's own can also go from process to process."""
    if error_code(error) == "NoSuchBucket":
        bucket, _ = bucket_and_prefix(name)
        return StoreError(f"store {name}: there is no bucket {bucket}; make it, or give another URL")
    if not type(error).__module__.startswith("obstore"):
        return error
    said = f"{name}: {_words(error)}"
    if _is_generic(error) and NO_CREDENTIALS.search(str(error)):
        return PermissionError(
            errno.EACCES,
            f"{name}: no credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
        )
    if _status(error) in ("401", "403"):
        return PermissionError(errno.EACCES, said)
    if _away(error):
        return ConnectionError(errno.EIO, said)
    return OSError(errno.EIO, said)


def _is_generic(error: Exception) -> bool:
    return type(error).__name__ == "GenericError"


def _head(error: Exception) -> str:
    """The message, without the listing of Rust's structures that obstore adds to it."""
    return str(error).partition("\n\nDebug source")[0]


def _words(error: Exception) -> str:
    """The message in one line; of an answer in XML only what it says."""
    head = _head(error)
    message = re.search(r"<Message>(.*?)</Message>", head, re.DOTALL)
    words = head.partition("<?xml")[0] + (f"{error_code(error)}: {message[1]}" if message else "")
    return " ".join(words.split())


def _status(error: Exception) -> str:
    found = STATUS.search(_head(error))
    return found[1] if found else ""


def error_code(error: Exception) -> str:
    """S3's own name for an error."""
    found = re.search(r"<Code>(\w+)</Code>", str(error))
    return found[1] if found else ""


# ---- for Zarr


class PatientStore(ObjectStore[Any]):
    """Zarr's store over obstore, each request made again while the server is away.

    All that Zarr asks may be asked twice: chunks are written whole, and removed only by name.
    A pickle holds the name alone: each process connects by its own environment.
    """

    def __init__(self, name: str, *, read_only: bool = False) -> None:
        self.name = name
        super().__init__(client_of(name), read_only=read_only)

    def with_read_only(self, read_only: bool = False) -> PatientStore:
        return type(self)(self.name, read_only=read_only)

    def __reduce__(self) -> tuple[Callable[[], PatientStore], tuple[()]]:
        return functools.partial(type(self), self.name, read_only=self.read_only), ()

    async def _patiently(self, ask: Callable[[], Awaitable[T]]) -> T:
        pauses = pauses_for(self.name)
        while True:
            try:
                return await ask()
            except Exception as error:
                pause = pause_after(self.name, error, pauses)
            await asyncio.sleep(pause)

    async def get(
        self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        ask = super().get
        return await self._patiently(lambda: ask(key, prototype, byte_range))

    async def get_partial_values(
        self, prototype: BufferPrototype, key_ranges: Iterable[tuple[str, ByteRequest | None]]
    ) -> list[Buffer | None]:
        ask, ranges = super().get_partial_values, list(key_ranges)
        return await self._patiently(lambda: ask(prototype, ranges))

    async def exists(self, key: str) -> bool:
        ask = super().exists
        return await self._patiently(lambda: ask(key))

    async def getsize(self, key: str) -> int:
        ask = super().getsize
        return await self._patiently(lambda: ask(key))

    async def getsize_prefix(self, prefix: str) -> int:
        ask = super().getsize_prefix
        return await self._patiently(lambda: ask(prefix))

    async def set(self, key: str, value: Buffer) -> None:
        ask = super().set
        await self._patiently(lambda: ask(key, value))

    async def set_if_not_exists(self, key: str, value: Buffer) -> None:
        ask = super().set_if_not_exists
        await self._patiently(lambda: ask(key, value))

    async def delete(self, key: str) -> None:
        ask = super().delete
        await self._patiently(lambda: ask(key))

    async def delete_dir(self, prefix: str) -> None:
        ask = super().delete_dir
        await self._patiently(lambda: ask(prefix))

    # A listing comes in pages: it is taken to its end before the first key is given away, so that
    # one that breaks off can begin anew.

    async def list_prefix(self, prefix: str) -> AsyncGenerator[str, None]:
        ask = super().list_prefix
        for key in await self._patiently(lambda: _all(ask(prefix))):
            yield key

    async def list_dir(self, prefix: str) -> AsyncGenerator[str, None]:
        ask = super().list_dir
        for key in await self._patiently(lambda: _all(ask(prefix))):
            yield key

    async def list(self) -> AsyncGenerator[str, None]:
        ask = super().list
        for key in await self._patiently(lambda: _all(ask())):
            yield key


async def _all(items: AsyncIterator[T]) -> list[T]:
    return [item async for item in items]
