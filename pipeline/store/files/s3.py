"""Requests to an S3 server: the client, retries while the server is unreachable, and error messages."""

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

from pipeline.errors import ChunkDamaged, StoreError, installing
from pipeline.store.files.guarded import part

if TYPE_CHECKING:
    from obstore.store import S3Store
    from zarr.abc.store import ByteRequest
    from zarr.core.buffer import Buffer, BufferPrototype

    from pipeline.store.files.checked import Guard

__all__ = [
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
"""Seconds for which requests are retried, unless WIDTHLAW_S3_PATIENCE in the environment is set."""

FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0
"""Seconds between two tries: doubled from the first to the longest, reduced at random by up to half."""


# ---- the server


def bucket_and_prefix(url: str) -> tuple[str, str]:
    """Return the bucket and the prefix of a URL."""
    scheme, _, rest = url.partition("://")
    bucket, _, prefix = rest.rstrip("/").partition("/")
    if "@" in bucket:  # the message must not repeat a possible secret
        raise StoreError(
            f"store {scheme}://...@...: credentials must not be part of a URL; expected "
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
            f"a store on S3 needs obstore, which is not installed: {installing('s3')}"
        ) from None
    return obstore.store


def client_of(name: str) -> S3Store:
    """Return the client for requests, kept until the process or the credentials change."""
    given = tuple(sorted(item for item in os.environ.items() if item[0].startswith("AWS_")))
    return _connect(name, given, os.getpid())


@functools.lru_cache(maxsize=8)
def _connect(name: str, given: tuple[tuple[str, str], ...], process: int) -> S3Store:
    from datetime import timedelta

    bucket, prefix = bucket_and_prefix(name)
    variables = dict(given)
    endpoints = map(variables.get, ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"))
    endpoint = next(filter(None, endpoints), None)
    options: dict[str, Any] = {"endpoint": endpoint} if endpoint else {}
    if endpoint and endpoint.startswith("http://"):  # otherwise secrets are sent by TLS only
        options["client_options"] = {"allow_http": True}
    # No retries of its own: they would multiply ours, and hide that the answer to a PUT was lost.
    once = {"max_retries": 0, "retry_timeout": timedelta(seconds=1)}
    return import_obstore().S3Store(bucket, prefix=prefix or None, retry_config=once, **options)


# ---- patience


_chance = random.SystemRandom()  # forked processes must not wait in step

_last_warning = -float("inf")
"""Time of this process's last warning about an unreachable server."""


def pauses_for(name: str) -> Iterator[float]:
    """Yield the seconds to wait before each further try, until retrying times out."""
    end = time.monotonic() + patience_seconds()
    pause = FIRST_PAUSE
    while (left := end - time.monotonic()) > 0:
        if pause == LONGEST_PAUSE:
            _warn(f"{name}: the server is unreachable; retrying for {left:.0f} s more")
        yield min(left, pause * _chance.uniform(0.5, 1))
        pause = min(2 * pause, LONGEST_PAUSE)


def patience_seconds() -> float:
    text = os.environ.get("WIDTHLAW_S3_PATIENCE", "")
    try:
        return float(text or PATIENCE)
    except ValueError:
        raise StoreError(f"WIDTHLAW_S3_PATIENCE: got {text!r}, expected seconds, such as 300") from None


def _warn(text: str) -> None:
    """Warn the user, but not for each of the many requests that wait at the same time."""
    global _last_warning
    if time.monotonic() - _last_warning > 60:
        _last_warning = time.monotonic()
        logging.getLogger(__name__).warning(text)


def pause_after(name: str, error: Exception, pauses: Iterator[float]) -> float:
    """Return the seconds to wait after an error; raise the error if waiting does not help."""
    if _away(error) and (pause := next(pauses, None)) is not None:
        return pause
    final = as_store_error(name, error)
    setattr(final, WAITED, True)
    if final is error:
        raise error
    raise final from error


WAITED = "widthlaw_waited"
"""Marks an error after which an outer caller need not retry."""


NO_CREDENTIALS = re.compile(r"169\.254\.\d|/latest/api/token|/latest/meta-data")
"""Addresses at which Amazon's machines provide credentials, if the environment has none."""

HOPELESS = re.compile(r"certificate|kind: Builder|Name or service not known|nodename nor servname")
"""Errors of a wrong endpoint: no server answers, but waiting does not help."""

STATUS = re.compile(r"status code: (\d{3})")
AWAY_STATUS = {"408", "429", "500", "502", "503", "504"}
AWAY_CODES = {"InternalError", "RequestTimeout", "ServiceUnavailable", "SlowDown"}


def _away(error: Exception) -> bool:
    """Return True if an error means that the server may answer later.

    obstore has one class for all of these errors, so only the message can be checked.
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
    """Return True if the condition of a PUT did not hold, or another request came first."""
    if isinstance(error, FileNotFoundError):  # the file to be changed was removed meanwhile
        return error_code(error) != "NoSuchBucket"
    return type(error).__name__ in ("AlreadyExistsError", "PreconditionError")


def as_store_error(name: str, error: Exception) -> Exception:
    """Return the error for the user, of a built-in class: those of obstore cannot be pickled."""
    if error_code(error) == "NoSuchBucket":
        bucket, _ = bucket_and_prefix(name)
        return StoreError(f"store {name}: there is no bucket {bucket}; make it, or give another URL")
    if not type(error).__module__.startswith("obstore"):
        return error
    text = f"{name}: {_message(error)}"
    if _is_generic(error) and NO_CREDENTIALS.search(str(error)):
        return PermissionError(
            errno.EACCES,
            f"{name}: no credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
        )
    if _status(error) in ("401", "403"):
        return PermissionError(errno.EACCES, text)
    if _away(error):
        return ConnectionError(errno.EIO, text)
    return OSError(errno.EIO, text)


def _is_generic(error: Exception) -> bool:
    return type(error).__name__ == "GenericError"


def _head(error: Exception) -> str:
    """Return the message without the dump of Rust structures that obstore adds."""
    return str(error).partition("\n\nDebug source")[0]


def _message(error: Exception) -> str:
    """Return the message in one line; of an XML answer only its code and message."""
    head = _head(error)
    message = re.search(r"<Message>(.*?)</Message>", head, re.DOTALL)
    words = head.partition("<?xml")[0] + (f"{error_code(error)}: {message[1]}" if message else "")
    return " ".join(words.split())


def _status(error: Exception) -> str:
    found = STATUS.search(_head(error))
    return found[1] if found else ""


def error_code(error: Exception) -> str:
    """Return S3's code of an error, "" if it has none."""
    found = re.search(r"<Code>(\w+)</Code>", str(error))
    return found[1] if found else ""


# ---- for Zarr


class PatientStore(ObjectStore[Any]):
    """Zarr's store over obstore, which retries each request while the server is unreachable.

    It only reads, and checks every chunk before it is decoded. A pickle holds no client: each process
    connects with its own environment.

    Parameters
    ----------
    name
        URL of the store.
    guard
        The bounds of its files.
    """

    def __init__(self, name: str, guard: Guard) -> None:
        self.name, self._guard = name, guard
        super().__init__(client_of(name), read_only=True)

    def with_read_only(self, read_only: bool = True) -> PatientStore:
        if not read_only:
            raise ValueError(f"store {self.name}: is opened for reading only")
        return self

    def __reduce__(self) -> tuple[type[PatientStore], tuple[str, Guard]]:
        return type(self), (self.name, self._guard)

    async def _patiently(self, request: Callable[[], Awaitable[T]]) -> T:
        pauses = pauses_for(self.name)
        while True:
            try:
                return await request()
            except Exception as error:
                pause = pause_after(self.name, error, pauses)
            await asyncio.sleep(pause)

    async def get(
        self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        most = await asyncio.to_thread(self._guard.most, key)  # it may read metadata

        async def request() -> bytes | None:
            try:
                answer = await self.store.get_async(key)
            except FileNotFoundError as error:
                if error_code(error) == "NoSuchBucket":
                    raise
                return None
            if answer.meta["size"] > most:
                what = f"it has {answer.meta['size']} bytes, expected at most {most}"
                raise ChunkDamaged(self.name, key, what)
            return bytes(await answer.bytes_async())

        raw = await self._patiently(request)
        if raw is None:
            return None
        self._guard.check(key, raw)
        return prototype.buffer.from_bytes(part(raw, byte_range))

    async def get_partial_values(
        self, prototype: BufferPrototype, key_ranges: Iterable[tuple[str, ByteRequest | None]]
    ) -> list[Buffer | None]:
        return [await self.get(key, prototype, byte_range) for key, byte_range in key_ranges]

    async def exists(self, key: str) -> bool:
        request = super().exists
        return await self._patiently(lambda: request(key))

    async def getsize(self, key: str) -> int:
        request = super().getsize
        return await self._patiently(lambda: request(key))

    async def getsize_prefix(self, prefix: str) -> int:
        request = super().getsize_prefix
        return await self._patiently(lambda: request(prefix))

    # A listing comes in pages. All are fetched before the first key is yielded, so that an interrupted
    # listing can be repeated.

    async def list_prefix(self, prefix: str) -> AsyncGenerator[str, None]:
        request = super().list_prefix
        for key in await self._patiently(lambda: _all(request(prefix))):
            yield key

    async def list_dir(self, prefix: str) -> AsyncGenerator[str, None]:
        request = super().list_dir
        for key in await self._patiently(lambda: _all(request(prefix))):
            yield key

    async def list(self) -> AsyncGenerator[str, None]:
        request = super().list
        for key in await self._patiently(lambda: _all(request())):
            yield key


async def _all(items: AsyncIterator[T]) -> list[T]:
    return [item async for item in items]
