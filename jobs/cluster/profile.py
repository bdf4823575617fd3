"""Profiles: small TOML files that describe where workers run.

Some are bundled; those in the user's configuration folder take precedence. A profile is checked like a
sweep: one message lists all its problems. None of its commands runs before a job is submitted.
"""

from __future__ import annotations

import importlib.resources
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    Field,
    PrivateAttr,
    StrictInt,
)
from pydantic import ValidationError as PydanticError

from jobs.cluster.systems import SYSTEMS
from pipeline.errors import InputError, listing, nearest_name, shortened
from pipeline.input_files import UnusableFile, read_input
from pipeline.sweep_files.documents import LARGEST, BadDocument, read_document
from pipeline.sweep_files.toml import CLOSED, Problems, name_of, problems_of

__all__ = ["Profile", "ProfileError", "is_bundled", "load_profile", "profile_files"]

NEEDED = ("workers", "memory", "walltime")
"""Keys that a batch system requires."""

CONNECTION = {"address", "tls_ca_file", "tls_cert", "tls_key"}
OTHER_SYSTEMS = {"local": {"workers"}, "address": CONNECTION, "kubernetes": CONNECTION}
"""Keys besides `system` of profiles without a batch system."""

LEAST_MEMORY = 100 * 10**6
"""Bytes; Python with NumPy and Dask uses about as much before the first trial."""


class ProfileError(InputError):
    """A profile contains something impossible; one message lists all its problems."""


def _seconds(value: object) -> int:
    parts = re.fullmatch(
        r"(?:(\d{1,5})-)?(\d{1,5}):([0-5]\d):([0-5]\d)", value if isinstance(value, str) else ""
    )
    days, hours, minutes, seconds = (int(part or 0) for part in parts.groups()) if parts else (0,) * 4
    total = ((days * 24 + hours) * 60 + minutes) * 60 + seconds
    if total == 0:
        raise ValueError('"HH:MM:SS" or "D-HH:MM:SS", such as "12:00:00"')
    return total


def _bytes(value: object) -> int:
    text = value if isinstance(value, str) else ""
    parts = re.fullmatch(r"(\d{1,12}(?:\.\d{1,12})?) ?([kMGT])(i?)B", text)
    number, prefix, binary = parts.groups() if parts else ("0", "k", "")
    size = int(float(number) * (1024 if binary else 1000) ** ("kMGT".index(prefix) + 1))
    if size < LEAST_MEMORY:
        raise ValueError('a size of 100 MB or more, such as "2 GB"')
    return size


def _line(value: str) -> str:
    if not value.strip() or re.search(r"[\r\n\0]", value):
        raise ValueError("one line of text")
    return value


def _word(value: str) -> str:
    if not re.fullmatch(r"[^\s\"'`$;&|<>\\]+", value):
        raise ValueError("a name without spaces or shell metacharacters")
    return value


def _address(value: str) -> str:
    if not re.fullmatch(r"\w+://\S+:\d+", value):
        raise ValueError('an address such as "tls://10.0.0.1:8786"')
    return value


_Line = Annotated[str, AfterValidator(_line)]
_Word = Annotated[str, AfterValidator(_word)]
_Seconds = Annotated[int, BeforeValidator(_seconds)]
_Bytes = Annotated[int, BeforeValidator(_bytes)]
_Patience = Annotated[StrictInt, Field(ge=10, le=86400)]


class Controller(BaseModel):
    """The small job that runs scheduler and client; None means the value of the workers' jobs."""

    model_config = CLOSED

    memory: _Bytes = 2 * 10**9
    walltime: _Seconds | None = None
    queue: _Word | None = None
    directives: tuple[_Line, ...] | None = None


class Profile(BaseModel):
    """The system that runs workers, and their resources; memory in bytes, times in seconds."""

    model_config = CLOSED

    system: Annotated[str, name_of(lambda: dict.fromkeys([*SYSTEMS, *OTHER_SYSTEMS]))]
    workers: Annotated[StrictInt, Field(ge=1, le=100_000)] | None = None
    workers_per_job: Annotated[StrictInt, Field(ge=1, le=1024)] = 1
    memory: _Bytes | None = None
    walltime: _Seconds | None = None
    queue: _Word | None = None
    account: _Word | None = None
    directives: tuple[_Line, ...] = ()
    prologue: tuple[_Line, ...] = ()
    interface: _Word | None = None
    host: _Word | None = None
    python: _Line = Field(default_factory=lambda: sys.executable)
    launcher: _Line | None = None
    death_timeout: _Patience = 60
    worker_ttl: _Patience = 120
    controller: Controller = Controller()
    address: Annotated[str, AfterValidator(_address)] | None = None
    tls_ca_file: _Line | None = None
    tls_cert: _Line | None = None
    tls_key: _Line | None = None

    _path: Path = PrivateAttr(default=Path("profile.toml"))
    _text: str = PrivateAttr(default="")

    @property
    def path(self) -> Path:
        """The file of the profile."""
        return self._path

    @property
    def text(self) -> str:
        """The text of the file."""
        return self._text

    @property
    def name(self) -> str:
        return self.path.stem

    @property
    def about(self) -> str:
        """The comment at the head of the file, which describes the profile."""
        first = (self.text.splitlines() or [""])[0]
        return first.lstrip("# ").strip() if first.startswith("#") else ""

    @property
    def job_memory(self) -> int:
        """The memory of one worker; only profiles of batch systems have it."""
        return self._required("memory")

    @property
    def job_walltime(self) -> int:
        """The walltime of a job; only profiles of batch systems have it."""
        return self._required("walltime")

    def _required(self, key: str) -> int:
        value = getattr(self, key)
        if value is None:
            raise ProfileError(f"profile {self.name}: {self.system} starts no jobs, and has no {key}")
        return int(value)


def _user_folder() -> Path | None:
    """Return the folder of the user's own profiles; WIDTHLAW_CONFIG moves it. None without a home."""
    import platformdirs

    moved = os.environ.get("WIDTHLAW_CONFIG")
    try:
        folder = Path(moved) if moved else platformdirs.user_config_path("widthlaw")
    except RuntimeError:  # neither HOME nor an entry in the list of users
        return None
    return folder / "profiles"


def profile_files() -> dict[str, Path]:
    """Return all profiles, name to file: the user's and the bundled ones."""
    folders = filter(None, (_bundled_folder(), _user_folder()))
    files = [file for folder in folders for file in sorted(folder.glob("*.toml"))]
    return {file.stem: file for file in files}


def is_bundled(file: Path) -> bool:
    """Return True if a profile came with widthlaw."""
    return file.parent == _bundled_folder()


def _bundled_folder() -> Path:
    return Path(str(importlib.resources.files("jobs") / "profiles"))


def load_profile(name_or_path: str | Path, folder: Path | None = None) -> Profile:
    """Read a profile from a .toml file, or by its name.

    Parameters
    ----------
    name_or_path
        A path that ends with .toml, or the name of a profile (`widthlaw profiles` lists them).
    folder
        Folder of relative paths in the profile; its own folder if None.

    Returns
    -------
    Profile

    Raises
    ------
    ProfileError
        The message lists every problem of the file: key, got, expected, repair.
    """
    known = profile_files()
    path = Path(name_or_path)
    if path.suffix != ".toml":
        if str(name_or_path) not in known:
            meant = nearest_name(str(name_or_path), known)
            raise ProfileError(
                f"profile {shortened(str(name_or_path))}: no such profile{meant}; "
                f"known are {', '.join(known)}, or give a path that ends with .toml"
            )
        path = known[str(name_or_path)]
    try:
        text = read_input(path, LARGEST)
    except UnusableFile as error:
        raise ProfileError(
            f"profile {path}: {error}; `widthlaw profiles` lists the readable ones"
        ) from None
    return _parsed(text, path.absolute(), folder or path.absolute().parent)


def _parsed(text: str, path: Path, folder: Path) -> Profile:
    try:
        document = read_document(text)
    except BadDocument as error:
        raise ProfileError(f"profile {path}: {error}") from None
    profile, problems = _read(document)
    if "system" in profile.model_fields_set:
        _check(profile, document, folder, problems)
    if problems:
        raise ProfileError(listing(f"profile {path}", problems))
    files = {key: str(_file(value, folder)) for key, value in _files(profile).items()}
    profile = profile.model_copy(update=files)
    profile._path, profile._text = path, text
    return profile


def _read(document: dict[str, Any]) -> tuple[Profile, Problems]:
    """Return the valid keys of a file, and a problem for each invalid one."""
    try:
        return Profile.model_validate(document), Problems()
    except PydanticError as error:
        paths, problems = problems_of(error, Profile, document)
    faulty = {path[0] for path in paths}
    sound = {key: value for key, value in document.items() if key not in faulty}
    if "system" not in sound:
        return Profile.model_construct(_fields_set=set()), problems
    return Profile.model_validate(sound), problems


def _check(profile: Profile, document: Mapping[str, Any], folder: Path, problems: Problems) -> None:
    """Check the keys against each other, and against the system."""
    possible = _possible_keys(profile.system)
    written = [key for key in document if key in Profile.model_fields and key != "system"]
    for key in written:
        if key not in possible:
            problems.add(key, f"a profile of {profile.system} has no such key; remove it")
    if profile.system in SYSTEMS:
        _check_job(profile, document, problems)
    if profile.interface and profile.host:
        problems.add("host", "got interface too, expected one of them; remove one")
    if (profile.tls_cert is None) != (profile.tls_key is None):
        problems.add("tls_cert", "needs tls_key, and tls_key needs it; give both")
    for key, value in _files(profile).items():
        if not os.path.isfile(_file(value, folder)):
            got = shortened(repr(value))
            problems.add(key, f"got {got}, expected a file, but {_file(value, folder)} is not one")


def _possible_keys(system: str) -> set[str]:
    """Return the keys that a profile of a system can have."""
    if system in OTHER_SYSTEMS:
        return OTHER_SYSTEMS[system]
    return set(Profile.model_fields) - CONNECTION - SYSTEMS[system].lacks


def _check_job(profile: Profile, document: Mapping[str, Any], problems: Problems) -> None:
    """Check the keys that a batch system requires, and their form."""
    for key in NEEDED:
        if key not in document:
            problems.add(key, f"missing, a profile of {profile.system} needs it")
    if profile.workers is not None and profile.workers_per_job > profile.workers:
        problems.add(
            "workers_per_job",
            f"got {profile.workers_per_job}, but there are {profile.workers} workers; "
            "expected at most that many",
        )
    tables = {"directives": profile.directives, "controller.directives": profile.controller.directives}
    for key, lines in tables.items():
        for line in lines or ():
            _check_directive(key, line, profile.system, problems)
    if profile.controller.queue and "queue" in SYSTEMS[profile.system].lacks:
        problems.add("controller.queue", f"a profile of {profile.system} has no such key; remove it")


def _check_directive(key: str, line: str, system: str, problems: Problems) -> None:
    known = SYSTEMS[system]
    if line.startswith(known.prefix):
        bare = line.removeprefix(known.prefix).strip()
        problems.add(key, f"got {line!r}, expected it without {known.prefix}; write {bare!r}")
    elif not re.match(known.directive, line):
        problems.add(key, f"got {line!r}, expected {known.directive_example}")


def _files(profile: Profile) -> dict[str, str]:
    """Return the given keys that name files."""
    given = {key: getattr(profile, key) for key in ("tls_ca_file", "tls_cert", "tls_key")}
    return {key: value for key, value in given.items() if value is not None}


def _file(name: str, folder: Path) -> Path:
    """Return the path of a file that a profile names, relative to the profile's folder."""
    return folder / os.path.expanduser(name)  # the method of Path fails for unknown users
