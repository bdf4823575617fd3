"""A store in a bucket of an S3 server, be it Amazon's or another's.

Credentials, region and endpoint come from the environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY,
AWS_SESSION_TOKEN, AWS_REGION, AWS_ENDPOINT_URL) of whichever process asks, so no secret is ever
pickled. A server that is away for a while, because it is restarted or the network is, stops nothing:
each request is made again until it is answered or patience ends, those of Zarr and xarray as well.

S3 has no rename. A store appears whole all the same, for its root `zarr.json` comes last, and on the
condition that there is none: before it no reader of Zarr sees anything.
"""

from __future__ import annotations

import shutil
import tempfile
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zarr.storage import ObjectStore

if TYPE_CHECKING:
    pass
from pipeline.store.s3 import (
    PatientStore,
    T,
    as_store_error,
    bucket_and_prefix,
    client_of,
    error_code,
    import_obstore,
    is_refused,
    patience_seconds,
    pause_after,
    pauses_for,
)

__all__ = ["Bucket"]

ROOT = "zarr.json"

UPLOADS = 8
"""Files that are uploaded at a time."""


class Bucket:
    """A store below a prefix of an S3 bucket; it holds nothing but strings, and can be pickled.

    Raises
    ------
    StoreError
        The URL is not s3://bucket/prefix, WIDTHLAW_S3_PATIENCE is no number, or obstore is not
        installed.
    """

    def __init__(self, url: str) -> None:
        bucket_and_prefix(url)
        patience_seconds()
        import_obstore()
        self.name = url.rstrip("/")

    def exists(self) -> bool:
        def ask() -> bool:
            client = client_of(self.name)
            with suppress(FileNotFoundError):
                client.head(ROOT)  # readers may lack the permission to list
                return True
            return any(client.list())

        return self.patiently(ask)

    def writable(self) -> bool:
        return True  # only a write would tell

    def zarr(self) -> ObjectStore[Any]:
        return PatientStore(self.name)

    def read(self, key: str) -> bytes | None:
        return self._found(key)[0]

    def _found(self, key: str) -> tuple[bytes | None, str | None]:
        """The bytes of a file and its e_tag."""

        def ask() -> tuple[bytes | None, str | None]:
            try:
                answer = client_of(self.name).get(key)
                e_tag = answer.meta["e_tag"]  # first: older obstores forget it with the bytes
                return bytes(answer.bytes()), e_tag
            except FileNotFoundError as error:
                if error_code(error) == "NoSuchBucket":
                    raise
                return None, None

        return self.patiently(ask)

    def swap(self, key: str, expected: bytes | None, new: bytes | None) -> bool:
        """Change a small file by a PUT under a condition that the server checks.

        Where the answer to a PUT is lost, what is there afterwards tells: two who change a file to
        the same bytes may then both be told True, so put something of your own into `new`.

        S3 knows no removal under a condition that all servers keep: for `new=None` a change that
        another makes in the milliseconds between our look and our DELETE is removed with the file.
        """
        if expected == new:
            return self.read(key) == expected
        doubtful = False  # whether an earlier PUT may have arrived although its answer did not
        pauses = pauses_for(self.name)
        while True:
            content, e_tag = self._found(key)
            if content != expected:
                return doubtful and content == new
            client = client_of(self.name)
            try:
                if new is None:
                    client.delete(key)
                else:
                    mode: Any = "create" if e_tag is None else {"e_tag": e_tag}
                    client.put(key, new, mode=mode)
                return True
            except Exception as error:
                if is_refused(error):
                    pause = next(pauses, None)
                    if pause is None:
                        raise as_store_error(self.name, error) from error
                else:
                    pause = pause_after(self.name, error, pauses)
                    doubtful = True
            time.sleep(pause)

    def delete(self, key: str) -> None:
        def ask() -> None:
            try:
                client_of(self.name).delete(key)
            except FileNotFoundError as error:
                if error_code(error) == "NoSuchBucket":
                    raise

        self.patiently(ask)

    def files(self, prefix: str = "") -> Iterator[tuple[str, int]]:
        found = self.patiently(lambda: client_of(self.name).list(prefix or None).collect())
        return ((item["path"], item["size"]) for item in found)

    def draft(self) -> Path:
        return Path(tempfile.gettempdir(), f"widthlaw.{uuid.uuid4().hex}.new")

    def publish(self, draft: Path) -> None:
        """Upload what was prepared, the root `zarr.json` last.

        An upload that was cut off leaves files without a root. The same draft can be published over
        them; a draft of other files cannot, for they would become part of its store, and nothing is
        ever removed here that we may not have written.
        """
        found = filter(Path.is_file, draft.rglob("*"))
        files = {file.relative_to(draft).as_posix(): file for file in found}
        root = files.pop(ROOT).read_bytes()
        self._refuse_strangers(files)
        with ThreadPoolExecutor(UPLOADS) as pool:
            list(pool.map(self._create, files, files.values()))
        self._refuse_strangers(files)  # of another that is being published here as well
        if not self.swap(ROOT, None, root):
            raise FileExistsError(f"{self.name} exists")
        shutil.rmtree(draft, ignore_errors=True)

    def _refuse_strangers(self, files: Iterable[str]) -> None:
        for key in {key for key, _ in self.files()}.difference(files):
            raise FileExistsError(f"{self.name} exists: it holds {key}")

    def _create(self, key: str, file: Path) -> None:
        content = file.read_bytes()
        if not self.swap(key, None, content) and self.read(key) != content:
            raise FileExistsError(f"{self.name} exists: it holds another {key}")

    def replace(self, draft: Path) -> None:
        raise NotImplementedError("a bucket cannot exchange one store for another at once")

    def patiently(self, action: Callable[[], T]) -> T:
        """Do something again until the server answers; the last error is raised where it never does.

        Raises
        ------
        StoreError
            There is no such bucket.
        PermissionError
            The credentials do not do, or there are none.
        ConnectionError
            The server was away for longer than our patience.
        """
        pauses = pauses_for(self.name)
        while True:
            try:
                return action()
            except Exception as error:
                pause = pause_after(self.name, error, pauses)
            time.sleep(pause)

    def made(self) -> object:
        return self.patiently(lambda: client_of(self.name).head(ROOT)["e_tag"])
