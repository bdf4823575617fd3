"""A store in a folder of a local or shared file system."""

from __future__ import annotations

import fcntl
import os
import shutil
import time
import uuid
from collections.abc import Container, Hashable, Iterator, Sequence
from contextlib import contextmanager, suppress
from glob import escape
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import ChunkDamaged, LeaseLost, StoreError
from pipeline.store.files.tree import Refused, Tree
from pipeline.store.names import PARTIAL, REMOVED, ROOT

if TYPE_CHECKING:
    from pipeline.store.files.guarded import GuardedFolder

__all__ = ["MOST_BYTES", "SMALL_BYTES", "Folder"]

MOST_BYTES = 2**26
"""The most bytes of a file that is no chunk: metadata list the values of all axes."""

SMALL_BYTES = 2**20
"""The most bytes of a file that changes by compare-and-swap."""

LOCK_SECONDS = 15.0
"""Time after which a lock that another process holds is given up."""


class Folder:
    """A store in a folder of a local or shared file system."""

    def __init__(self, path: str | Path, tree: Tree | None = None) -> None:
        self.name = str(path)
        self.path = Path(path)
        self._held = tree

    def __reduce__(self) -> tuple[type[Folder], tuple[str]]:
        return type(self), (self.name,)

    def held_open(self) -> Folder:
        return Folder(self.name, Tree(self.path))

    @contextmanager
    def _tree(self) -> Iterator[Tree]:
        """Yield the files: of the folder that is held open, else of the one that is here now."""
        if self._held is not None:
            yield self._held
            return
        with Tree(self.path) as tree:
            yield tree

    def exists(self) -> bool:
        return self.path.exists()

    def writable(self) -> bool:
        return os.access(self.path, os.W_OK)

    def check_room(self) -> None:
        parent = next(folder for folder in self.path.absolute().parents if folder.exists())
        if not (parent.is_dir() and os.access(parent, os.W_OK)):
            raise StoreError(
                f"store {self.name}: cannot be made in {parent}, which is not a writable folder; "
                "give a path with -o on a disk that has room and that you may write to"
            )

    def check_replaceable(self, known: Container[str]) -> None:
        if not (self.writable() and os.access(self.path.absolute().parent, os.W_OK)):
            raise StoreError(
                f"store {self.name}: no permission to write it and its folder; give a new path with "
                "-o NEW"
            )
        names = sorted(entry.name for entry in self.path.iterdir())
        foreign = [name for name in names if not (name in known or _is_temporary(name))]
        if foreign:
            raise StoreError(
                f"store {self.name}: holds {foreign[0]}, which is not widthlaw's and would be lost; "
                "move it away, or give a new path with -o NEW"
            )

    def zarr(self) -> GuardedFolder:
        from pipeline.store.files.guarded import GuardedFolder

        return GuardedFolder(self)

    def read(self, key: str, most: int = MOST_BYTES) -> bytes | None:
        try:
            with self._tree() as tree:
                return tree.read(key, most)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except Refused as error:
            raise ChunkDamaged(self.name, key, error.what) from None

    def peek(self, key: str) -> bytes | None:
        with suppress(ChunkDamaged):
            return self.read(key, SMALL_BYTES)
        return b""

    def write(self, key: str, content: bytes) -> None:
        with self._tree() as tree:
            tree.write(key, content)

    def swap(self, key: str, expected: bytes | None, new: bytes | None) -> bool:
        with self._tree() as tree, _locked(tree, self.name):
            if _content(tree, key) != expected:
                return False
            if new is None or expected == b"":  # a folder in its place would not be replaced
                tree.delete(key)
            if new is not None:
                tree.write(key, new)
        return True

    def delete(self, key: str) -> None:
        with self._tree() as tree:
            tree.delete(key)

    @contextmanager
    def delete_all(self, keys: Sequence[str]) -> Iterator[None]:
        aside = f"{REMOVED}{uuid.uuid4().hex[:8]}"
        moved: list[tuple[str, str]] = []
        with self._tree() as tree:
            try:
                for number, key in enumerate(keys):
                    if tree.move(key, f"{aside}/{number}"):
                        moved.append((key, f"{aside}/{number}"))
                yield
            except BaseException:
                for key, place in reversed(moved):
                    tree.move(place, key)
                raise
            finally:
                tree.delete(aside)

    def files(self, prefix: str = "") -> Iterator[tuple[str, int]]:
        yield from ((key, size) for key, size, what in self._entries(prefix) if not what)

    def stamps(self, prefix: str = "") -> Iterator[tuple[str, Hashable]]:
        with self._walked() as tree:
            yield from tree.stamps(prefix) if tree else ()

    def odd(self) -> Iterator[tuple[str, str]]:
        yield from ((key, what) for key, _, what in self._entries() if what)

    def _entries(self, prefix: str = "") -> Iterator[tuple[str, int, str]]:
        with self._walked() as tree:
            yield from tree.entries(prefix) if tree else ()

    @contextmanager
    def _walked(self) -> Iterator[Tree | None]:
        """Open the folder for a walk through all of it; None if there is none."""
        if not self.exists():
            yield None
            return
        try:
            with self._tree() as tree:
                yield tree
        except PermissionError as error:
            raise StoreError(
                f"store {self.name}: its folder {error.filename} may not be read; "
                f"`chmod -R u+rwX {self.name}` permits it, or copy the store to a path of your own"
            ) from None

    def clean(self) -> None:
        with self._tree() as tree:
            for key, _, _ in list(tree.entries()):
                if key.endswith(PARTIAL):
                    tree.delete(key)
            for name in tree.names():
                if name.startswith(REMOVED):
                    tree.delete(name)
        for draft in self.drafts():
            shutil.rmtree(draft, ignore_errors=True)

    def draft(self) -> Path:
        return self.path.with_name(f".{self.path.name}.{uuid.uuid4().hex[:8]}.new")

    def drafts(self) -> list[Path]:
        path = self.path.absolute()
        return sorted(path.parent.glob(f".{escape(path.name)}.????????.new"))

    def publish(self, draft: Path) -> None:
        if self.path.exists():
            raise FileExistsError(f"{self.path} exists")
        draft.rename(self.path)

    def replace(self, draft: Path, fingerprint: object) -> None:
        _exchange(draft, self.path)
        try:  # now that its name leads to nobody else: no check before could be sure of that
            same = Folder(draft).fingerprint() == fingerprint
        except OSError:
            same = False
        if not same:
            _exchange(draft, self.path)
            raise LeaseLost(f"store {self.name}: another store has taken its place; it is kept")
        shutil.rmtree(draft, ignore_errors=True)

    def fingerprint(self) -> object:
        found = os.stat(self.path)
        return found.st_ino, os.stat(self.path / ROOT).st_mtime_ns


@contextmanager
def _locked(tree: Tree, name: str) -> Iterator[None]:
    """Lock out other processes during a swap; the kernel releases the lock of a dead process."""
    handle = tree.lock_handle(ROOT)
    try:
        with suppress(OSError):  # a file system without locks: a swap is then only nearly atomic
            if not _has_lock(handle):
                raise StoreError(
                    f"store {name}: another process has kept its {ROOT} locked for "
                    f"{LOCK_SECONDS:.0f} s; end it (`fuser -v {name}/{ROOT}` names it), or copy the "
                    "store to a folder of your own"
                )
        yield
    finally:
        os.close(handle)


def _has_lock(handle: int) -> bool:
    """Lock a file; return False if another process does not let go of it.

    A swap takes milliseconds. But whoever may read a file may lock it, and for as long as they like.
    """
    end = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() > end:
                return False
        time.sleep(0.05)


def _content(tree: Tree, key: str) -> bytes | None:
    """Return the bytes of a small file; b"" for a link, a pipe or a huge file in its place."""
    try:
        return tree.read(key, SMALL_BYTES)
    except Refused:
        return b""


def _is_temporary(name: str) -> bool:
    return name.startswith(".") or name.endswith(PARTIAL)


def _exchange(one: Path, other: Path) -> None:
    """Exchange two folders by one system call.

    Raises
    ------
    NotImplementedError
        The operating system or the file system has none.
    """
    import ctypes
    import errno

    AT_FDCWD, RENAME_EXCHANGE = -100, 2  # of Linux's fcntl.h and fs.h
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is None:
        raise NotImplementedError("this system cannot exchange two folders atomically")
    if rename(AT_FDCWD, os.fsencode(one), AT_FDCWD, os.fsencode(other), RENAME_EXCHANGE):
        number = ctypes.get_errno()
        if number in (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP):
            raise NotImplementedError("this file system cannot exchange two folders atomically")
        raise OSError(number, os.strerror(number), str(other))
