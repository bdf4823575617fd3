"""A folder that only this user can change, for files that are executed when they are read back.

numba's cache holds pickles and machine code: whoever can write there, or put another folder in its
place, runs code as its reader. So a folder is used only if it and everything in it belongs to this
user, nobody else may enter it, and no other user can rename a folder on the way to it. A folder with
the sticky bit, such as /tmp, is no danger on the way: there everyone renames only what is his own.
"""

from __future__ import annotations

import grp
import os
import pwd
import stat
from pathlib import Path

__all__ = ["NotPrivate", "private_folder"]

CLOSED = 0o700


class NotPrivate(Exception):
    """Other users could change a folder, or it cannot be made; the message tells which and why."""


def private_folder(top: Path, name: str) -> Path:
    """Return the folder of a name within a folder of this user's own; both are made if missing.

    Parameters
    ----------
    top
        Must belong to this user, and may be open to others for reading.
    name
        Of the folder within, which others cannot even enter.

    Returns
    -------
    Path
        Without symbolic links, so that a link that is changed later does not lead elsewhere.

    Raises
    ------
    NotPrivate
        Another user could change one of the two, or they cannot be made or written.
    """
    try:
        top = Path(os.path.realpath(top))
        _make(top)
        for parent in top.parents:
            _check_parent(parent)
        _check_own(top, top.lstat())
        _refuse_open(top, top.lstat())
        folder = top / name
        _make(folder)
        _check_sealed(folder)
    except OSError as error:
        raise NotPrivate(f"{error.filename}: {error.strerror}") from None
    except ValueError as error:  # a NUL in the path
        raise NotPrivate(f"{str(top)!r}: {error}") from None
    return folder


def _make(folder: Path) -> None:
    """Make a folder and its parents, closed to others whatever the umask is."""
    if folder.is_dir():
        return
    _make(folder.parent)
    try:
        folder.mkdir(CLOSED)
    except FileExistsError:
        if not folder.is_dir():  # another process may have made it meanwhile
            raise


def _check_parent(folder: Path) -> None:
    """Refuse a parent in which another user could exchange our folder for another one."""
    found = folder.lstat()
    # In a container without privileges, files of the system's root show as those of nobody.
    if found.st_uid not in {0, os.getuid(), os.lstat("/").st_uid}:
        raise NotPrivate(f"{folder} belongs to {_user(found.st_uid)}")
    if not found.st_mode & stat.S_ISVTX:
        _refuse_open(folder, found)


def _check_sealed(folder: Path) -> None:
    """Refuse a folder that others may enter, or that holds anything which is not this user's."""
    found = folder.lstat()
    _check_own(folder, found)
    if found.st_mode & 0o077:
        mode = stat.S_IMODE(found.st_mode)
        raise NotPrivate(f"{folder} is open to others (mode {mode:04o}, expected 0700)")
    if not os.access(folder, os.W_OK):
        raise NotPrivate(f"{folder} cannot be written")
    for parent, folders, files in os.walk(folder):
        for entry in (Path(parent, name) for name in folders + files):
            _check_own(entry, entry.lstat())


def _check_own(path: Path, found: os.stat_result) -> None:
    """Refuse what another user made, and links and pipes: we make folders and files only."""
    if found.st_uid != os.getuid():
        raise NotPrivate(f"{path} belongs to {_user(found.st_uid)}")
    if not (stat.S_ISDIR(found.st_mode) or stat.S_ISREG(found.st_mode)):
        raise NotPrivate(f"{path} is neither a folder nor a file")


def _refuse_open(folder: Path, found: os.stat_result) -> None:
    """Refuse a folder in which other users can make, rename or remove something."""
    by_group = found.st_mode & stat.S_IWGRP and not _is_own_group(found.st_gid)
    if by_group or found.st_mode & stat.S_IWOTH:
        mode = stat.S_IMODE(found.st_mode)
        raise NotPrivate(f"others can write in {folder} (mode {mode:04o})")


def _is_own_group(number: int) -> bool:
    """Return True if a group holds this user alone, as many systems make one for every user."""
    try:
        user, group = pwd.getpwuid(os.getuid()), grp.getgrgid(number)
    except KeyError:
        return False
    alone = set(group.gr_mem) <= {user.pw_name}
    return alone and number == user.pw_gid and group.gr_name == user.pw_name


def _user(number: int) -> str:
    try:
        return f"the user {pwd.getpwuid(number).pw_name}"
    except KeyError:
        return f"the user {number}"
