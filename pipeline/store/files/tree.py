"""The files below a folder that is held open: nothing outside of it is read or changed.

Someone else may have made the folder. So no symbolic link below it is followed, only regular files are
read, and none that is larger than it can be. The folder is held by its handle, not by its name: if
another folder takes its place, it is the first one that is still read and written.
"""

from __future__ import annotations

import os
import stat
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pipeline.store.names import PARTIAL, REMOVED

__all__ = ["Refused", "Tree"]

FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
BELOW = FOLDER | os.O_NOFOLLOW
FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # a pipe would block otherwise
NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC

MOST_LEVELS = 32
"""Levels of folders that are looked into; a store has one for each of its dimensions, and two more."""

KINDS = {
    stat.S_IFLNK: "it is a symbolic link",
    stat.S_IFDIR: "it is a folder",
    stat.S_IFIFO: "it is a named pipe",
    stat.S_IFSOCK: "it is a socket",
    stat.S_IFCHR: "it is a device",
    stat.S_IFBLK: "it is a device",
}


class Refused(Exception):
    """A file of the folder is not read, because it is not what a store holds.

    Attributes
    ----------
    what
        What is wrong with it, such as "it is a symbolic link".
    """

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what


class Tree:
    """The files below one folder.

    Parameters
    ----------
    path
        The folder; it may itself be reached by links.

    Raises
    ------
    OSError
        There is no such folder, or it cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self._root = os.open(path, FOLDER)

    def close(self) -> None:
        """Let go of the folder."""
        root, self._root = self._root, -1
        if root >= 0:
            os.close(root)

    def __del__(self) -> None:
        if hasattr(self, "_root"):
            self.close()

    def __enter__(self) -> Tree:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def read(self, key: str, most: int) -> bytes | None:
        """Return the bytes of a file, None if there is none.

        Parameters
        ----------
        key
            Its path below the folder.
        most
            The most bytes that it can have.

        Raises
        ------
        Refused
            It is no regular file, lies behind a link, is too large or cannot be read.
        """
        try:
            with self._folder_of(key) as (folder, name):
                handle = os.open(name, FILE, dir_fd=folder)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise Refused(self._why(key, error)) from None
        try:
            return _content(handle, most)
        except OSError as error:
            raise Refused(self._why(key, error)) from None
        finally:
            os.close(handle)

    def _why(self, key: str, error: OSError) -> str:
        """Return why the file of a key cannot be read: what the first odd part of its path is."""
        parts = key.split("/")
        for number in range(1, len(parts) + 1):
            part = "/".join(parts[:number])
            with suppress(OSError):
                kind = stat.S_IFMT(self._stat(part).st_mode)
                if kind != (stat.S_IFREG if number == len(parts) else stat.S_IFDIR):
                    what = KINDS.get(kind, "it is a file where a folder should be")
                    return what if number == len(parts) else f"{part}: {what}"
        return error.strerror or str(error)

    def _stat(self, key: str) -> os.stat_result:
        with self._folder_of(key) as (folder, name):
            return os.stat(name, dir_fd=folder, follow_symlinks=False)

    def write(self, key: str, content: bytes) -> None:
        """Write a file atomically, with the folders above it; a link in its place is replaced.

        Raises
        ------
        OSError
            It cannot be written; a part of the path may be a link.
        """
        with self._folder_of(key, make=True) as (folder, name):
            draft = f"{name}.{uuid.uuid4().hex[:8]}{PARTIAL}"
            try:
                handle = os.open(draft, NEW_FILE, 0o666, dir_fd=folder)
                with os.fdopen(handle, "wb") as file:
                    file.write(content)
                os.rename(draft, name, src_dir_fd=folder, dst_dir_fd=folder)
            except BaseException:
                with suppress(OSError):
                    os.unlink(draft, dir_fd=folder)
                raise

    def move(self, key: str, to: str) -> bool:
        """Move a file, link or folder within the tree; return False if there is none."""
        try:
            with (
                self._folder_of(key) as (source, name),
                self._folder_of(to, make=True) as (target, new),
            ):
                os.rename(name, new, src_dir_fd=source, dst_dir_fd=target)
        except FileNotFoundError:
            return False
        return True

    def delete(self, key: str) -> None:
        """Remove a file, a link, or a folder with all that is in it; nothing if there is none."""
        with suppress(FileNotFoundError), self._folder_of(key) as (folder, name):
            try:
                os.unlink(name, dir_fd=folder)
            except (IsADirectoryError, PermissionError) as error:  # macOS answers EPERM for a folder
                if not stat.S_ISDIR(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
                    raise error
                _remove_folder(folder, name)

    def names(self) -> list[str]:
        """Return the names in the folder itself."""
        return os.listdir(self._root)

    def entries(self, prefix: str = "") -> Iterator[tuple[str, int, str]]:
        """Yield (key, bytes, "") of each file below a prefix, and (key, 0, what) of all that is odd."""
        for key, found, what in self._found(prefix):
            yield key, 0 if what else found.st_size, what

    def stamps(self, prefix: str = "") -> Iterator[tuple[str, tuple[int, ...]]]:
        """Yield (key, stamp) of each file below a prefix; another stamp for a file written again."""
        for key, found, what in self._found(prefix):
            if not what:
                yield key, (found.st_ino, found.st_mtime_ns, found.st_size)

    def _found(self, prefix: str) -> Iterator[tuple[str, os.stat_result, str]]:
        """Yield (key, stat, what) of everything below a prefix; `what` is "" for a file."""
        try:
            with self._folder_of(prefix.strip("/") or ".") as (folder, name):
                top = os.open(name, BELOW, dir_fd=folder)
        except OSError:
            return
        try:
            yield from _entries(top, prefix.strip("/"), MOST_LEVELS)
        finally:
            os.close(top)

    def lock_handle(self, key: str) -> int:
        """Return a handle for locking: of a file, or of the folder itself if there is no such file."""
        try:  # NFS locks only files that are open for writing, which a folder cannot be
            return os.open(key, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=self._root)
        except OSError:
            return os.dup(self._root)

    @contextmanager
    def _folder_of(self, key: str, make: bool = False) -> Iterator[tuple[int, str]]:
        """Open the folder of a key, part by part and through no link; yield it and the last part."""
        *parts, name = key.split("/")
        handle = os.dup(self._root)
        try:
            for part in parts:
                inner = _open_folder(handle, part, make)
                os.close(handle)
                handle = inner
            yield handle, name
        finally:
            os.close(handle)


def _open_folder(parent: int, name: str, make: bool) -> int:
    try:
        return os.open(name, BELOW, dir_fd=parent)
    except FileNotFoundError:
        if not make:
            raise
    with suppress(FileExistsError):  # another process has just made it
        os.mkdir(name, dir_fd=parent)
    return os.open(name, BELOW, dir_fd=parent)


def _content(handle: int, most: int) -> bytes:
    found = os.fstat(handle)
    if not stat.S_ISREG(found.st_mode):
        raise Refused(KINDS.get(stat.S_IFMT(found.st_mode), "it is no regular file"))
    if found.st_size > most:
        raise Refused(f"it has {found.st_size} bytes, expected at most {most}")
    with os.fdopen(os.dup(handle), "rb") as file:
        content = file.read(most + 1)
    if len(content) > most:  # it has grown meanwhile
        raise Refused(f"it has more than {most} bytes")
    return content


def _entries(folder: int, prefix: str, levels: int) -> Iterator[tuple[str, os.stat_result, str]]:
    with os.scandir(folder) as found:
        members = list(found)
    for member in members:
        key = f"{prefix}/{member.name}" if prefix else member.name
        try:
            mode = member.stat(follow_symlinks=False)
            if not stat.S_ISDIR(mode.st_mode):
                odd = not stat.S_ISREG(mode.st_mode)
                yield key, mode, KINDS[stat.S_IFMT(mode.st_mode)] if odd else ""
                continue
            if not levels:
                yield key, mode, "it is a folder deeper than any of a store"
                continue
            inner = os.open(member.name, BELOW, dir_fd=folder)
        except FileNotFoundError:  # another process has just renamed or removed it
            continue
        try:
            yield from _entries(inner, key, levels - 1)
        finally:
            os.close(inner)


def _remove_folder(parent: int, name: str) -> None:
    """Remove a folder with all that is in it; links inside are removed, not followed.

    Folders inside are first moved beside it. So however deep they lie, few are open at a time.
    """
    folders = [name]
    while folders:
        name = folders.pop()
        handle = os.open(name, BELOW, dir_fd=parent)
        try:
            for member in os.listdir(handle):
                if stat.S_ISDIR(os.stat(member, dir_fd=handle, follow_symlinks=False).st_mode):
                    folders.append(f"{REMOVED}{uuid.uuid4().hex[:8]}")
                    os.rename(member, folders[-1], src_dir_fd=handle, dst_dir_fd=parent)
                else:
                    os.unlink(member, dir_fd=handle)
        finally:
            os.close(handle)
        os.rmdir(name, dir_fd=parent)
