"""A store in a bucket of an S3 server, Amazon's or any other.

Credentials, region and endpoint come from the environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY,
AWS_SESSION_TOKEN, AWS_REGION, AWS_ENDPOINT_URL) of the process that makes a request, so no secret is
ever pickled. A server may be unreachable for a while, because it or the network restarts: every
request, also of Zarr and xarray, is retried until it is answered or times out.

S3 has no rename. A store still appears atomically, because its root `zarr.json` is written last, and
only if there is none yet: before that, no reader of Zarr sees anything.
"""

from __future__ import annotations

import shutil
import tempfile
import time
import uuid
from collections.abc import Callable, Container, Hashable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from zarr.storage import ObjectStore

from pipeline.errors import ChunkDamaged, StoreError
from pipeline.store.files import s3
from pipeline.store.files.checked import Guard
from pipeline.store.files.folder import MOST_BYTES, SMALL_BYTES
from pipeline.store.names import ROOT

__all__ = ["Bucket"]

UPLOADS = 8
"""Number of files that are uploaded at the same time."""


class Bucket:
    """A store below a prefix of an S3 bucket; it holds only its URL, so it can be pickled.

    Raises
    ------
    StoreError
        The URL is not s3://bucket/prefix, WIDTHLAW_S3_PATIENCE is not a number, or obstore is not
        installed.
    """

    def __init__(self, url: str) -> None:
        s3.bucket_and_prefix(url)
        s3.patience_seconds()
        s3.import_obstore()
        self.name = url.rstrip("/")

    def exists(self) -> bool:
        def request() -> bool:
            client = s3.client_of(self.name)
            with suppress(FileNotFoundError):
                client.head(ROOT)  # first: readers may lack the permission to list
                return True
            return any(client.list())

        return self.patiently(request)

    def writable(self) -> bool:
        return True  # only a write would show it

    def check_room(self) -> None:
        pass  # only a write would show it

    def check_replaceable(self, known: Container[str]) -> None:
        raise StoreError(
            f"store {self.name}: S3 cannot replace a store atomically; give a new path with -o NEW"
        )

    def zarr(self) -> ObjectStore[Any]:
        return s3.PatientStore(self.name, guard=Guard(self))

    def held_open(self) -> Bucket:
        return self  # a bucket has no folders that another could replace

    def read(self, key: str, most: int = MOST_BYTES) -> bytes | None:
        return self._found(key, most)[0]

    def peek(self, key: str) -> bytes | None:
        with suppress(ChunkDamaged):
            return self.read(key, SMALL_BYTES)
        return b""

    def write(self, key: str, content: bytes) -> None:
        self.patiently(lambda: s3.client_of(self.name).put(key, content))

    def _found(self, key: str, most: int = MOST_BYTES) -> tuple[bytes | None, str | None]:
        """Return the bytes of a file and its e_tag."""

        def request() -> tuple[bytes | None, str | None]:
            try:
                answer = s3.client_of(self.name).get(key)
                if answer.meta["size"] > most:
                    what = f"it has {answer.meta['size']} bytes, expected at most {most}"
                    raise ChunkDamaged(self.name, key, what)
                e_tag = answer.meta["e_tag"]  # first: older versions of obstore lose it with the bytes
                return bytes(answer.bytes()), e_tag
            except FileNotFoundError as error:
                if s3.error_code(error) == "NoSuchBucket":
                    raise
                return None, None

        return self.patiently(request)

    def swap(self, key: str, expected: bytes | None, new: bytes | None) -> bool:
        """Change a small file by a conditional PUT, whose condition the server checks.

        If the answer to a PUT is lost, the content of the file decides. Then two callers who change a
        file to the same bytes may both get True, so `new` should contain something unique.

        Not all servers support a conditional DELETE. So for `new=None`, a change by another process in
        the milliseconds between our GET and our DELETE is lost.
        """
        if expected == new:
            return self.read(key) == expected
        doubtful = False  # True once a PUT may have succeeded although its answer was lost
        pauses = s3.pauses_for(self.name)
        while True:
            content, e_tag = self._found(key)
            if expected is not None and content is not None and len(content) > SMALL_BYTES:
                content = b""
            if content != expected:
                return doubtful and content == new
            client = s3.client_of(self.name)
            try:
                if new is None:
                    client.delete(key)
                else:
                    mode: Any = "create" if e_tag is None else {"e_tag": e_tag}
                    client.put(key, new, mode=mode)
                return True
            except Exception as error:
                if s3.is_refused(error):
                    pause = next(pauses, None)
                    if pause is None:
                        raise s3.as_store_error(self.name, error) from error
                else:
                    pause = s3.pause_after(self.name, error, pauses)
                    doubtful = True
            time.sleep(pause)

    def delete(self, key: str) -> None:
        def request() -> None:
            try:
                s3.client_of(self.name).delete(key)
            except FileNotFoundError as error:
                if s3.error_code(error) == "NoSuchBucket":
                    raise

        self.patiently(request)

    @contextmanager
    def delete_all(self, keys: Sequence[str]) -> Iterator[None]:
        for key in keys:
            self.delete(key)
        yield

    def odd(self) -> Iterator[tuple[str, str]]:
        return iter(())  # a bucket holds nothing but files

    def files(self, prefix: str = "") -> Iterator[tuple[str, int]]:
        found = self.patiently(lambda: s3.client_of(self.name).list(prefix or None).collect())
        return ((item["path"], item["size"]) for item in found)

    def stamps(self, prefix: str = "") -> Iterator[tuple[str, Hashable]]:
        found = self.patiently(lambda: s3.client_of(self.name).list(prefix or None).collect())
        return ((item["path"], (item["e_tag"], item["last_modified"])) for item in found)

    def clean(self) -> None:
        pass  # a PUT leaves nothing half-written

    def draft(self) -> Path:
        return Path(tempfile.gettempdir(), f"widthlaw.{uuid.uuid4().hex}.new")

    def drafts(self) -> list[Path]:
        return []  # they are temporary files of one machine

    def publish(self, draft: Path) -> None:
        """Upload a draft, the root `zarr.json` last.

        An interrupted upload leaves files without a root. The same draft can be published over them. A
        draft of other files cannot: the old files would become part of its store, and we never remove
        files that we may not have written.
        """
        found = filter(Path.is_file, draft.rglob("*"))
        files = {file.relative_to(draft).as_posix(): file for file in found}
        root = files.pop(ROOT).read_bytes()
        self._refuse_strangers(files)
        with ThreadPoolExecutor(UPLOADS) as pool:
            list(pool.map(self._create, files, files.values()))
        self._refuse_strangers(files)  # of another draft that is published at the same time
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

    def replace(self, draft: Path, fingerprint: object) -> None:
        raise NotImplementedError("S3 cannot exchange one store for another atomically")

    def patiently(self, action: Callable[[], s3.T]) -> s3.T:
        """Retry an action until the server answers; raise the last error when retrying times out.

        Raises
        ------
        StoreError
            There is no such bucket.
        PermissionError
            The credentials are missing or not accepted.
        ConnectionError
            The server was unreachable until retrying timed out.
        """
        pauses = s3.pauses_for(self.name)
        while True:
            try:
                return action()
            except Exception as error:
                pause = s3.pause_after(self.name, error, pauses)
            time.sleep(pause)

    def fingerprint(self) -> object:
        return self.patiently(lambda: s3.client_of(self.name).head(ROOT)["e_tag"])
