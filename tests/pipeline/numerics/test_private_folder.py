"""No other user of the machine makes a run fail, wait or execute code: tried as real other users."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ...waiting import PATIENCE

OWNER, STRANGER = 60001, 60002

FOLDER = "import pipeline.numerics.compiled as compiled; print(compiled.CACHE_FOLDER)"

DOUBLE = """
import sys
from pipeline.numerics import compiled
from pipeline.numerics.compiled import entry

if len(sys.argv) > 1:
    compiled.PATIENCE = float(sys.argv[1])

@entry
def double(x):
    return 2 * x

print(double(21))
"""

pytestmark = [
    pytest.mark.attack("other users"),
    pytest.mark.skipif(
        os.geteuid() != 0 or shutil.which("setpriv") is None, reason="only root can become other users"
    ),
]


@pytest.fixture
def shared() -> Iterator[Path]:
    """A folder like /tmp: of root, open to all, with the sticky bit."""
    folder = Path(tempfile.mkdtemp(prefix="shared-"))
    folder.chmod(0o1777)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def home(shared) -> Path:
    """The home of the user who runs widthlaw."""
    return made(shared / "home", OWNER, 0o700)


@pytest.fixture
def run(shared, home) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run a script as another user, whose temporary folder is the shared one."""
    script = shared / "script.py"

    def run(
        text: str, *arguments: str, user: int = OWNER, check: bool = True, **environment: Path | None
    ):
        script.write_text(text)
        given = {"HOME": home, "TMPDIR": shared, "PYTHONDONTWRITEBYTECODE": "1", **environment}
        # Reading alone is allowed to these users: Python may be installed in a home of root.
        read = "+dac_read_search"
        user_line = [f"--reuid={user}", f"--regid={user}", "--clear-groups"]
        line = ["setpriv", *user_line, f"--inh-caps={read}", f"--ambient-caps={read}"]
        return subprocess.run(
            [*line, sys.executable, script, *arguments],
            cwd=shared,
            env={"PATH": os.defpath, "PYTHONPATH": str(Path.cwd())}
            | {key: str(value) for key, value in given.items() if value is not None},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=check,
        )

    return run


def made(folder: Path, user: int, mode: int) -> Path:
    folder.mkdir(parents=True)
    os.chown(folder, user, user)
    folder.chmod(mode)
    return folder


def written(file: Path, user: int, text: str = "") -> Path:
    file.write_text(text)
    os.chown(file, user, user)
    return file


def test_a_folder_of_ones_own_is_used_and_made_for_oneself_alone(run, shared) -> None:
    own = made(shared / "numba", OWNER, 0o755)
    done = run(FOLDER, NUMBA_CACHE_DIR=own)
    (found,) = own.iterdir()
    assert (done.stdout.strip(), done.stderr) == (str(found), "")
    assert found.stat().st_mode & 0o777 == 0o700


def test_missing_folders_are_made_closed(run, home) -> None:
    done = run("import os; os.umask(0)\n" + FOLDER)
    assert done.stdout.startswith(f"{home}/.cache/widthlaw/")
    assert done.stderr == ""
    for folder in (home / ".cache", *(home / ".cache").rglob("*")):
        assert folder.stat().st_mode & 0o777 == 0o700


def open_to_all(shared: Path) -> Path:
    return made(shared / "numba", OWNER, 0o1777)


def of_a_stranger(shared: Path) -> Path:
    return made(shared / "numba", STRANGER, 0o755)


def in_a_folder_open_to_all(shared: Path) -> Path:
    return made(made(shared / "open", OWNER, 0o777) / "numba", OWNER, 0o700)


def in_a_folder_of_a_stranger(shared: Path) -> Path:
    return made(made(shared / "theirs", STRANGER, 0o755) / "numba", OWNER, 0o700)


def behind_a_link_to_a_strangers(shared: Path) -> Path:
    link = shared / "link"
    link.symlink_to(of_a_stranger(shared))
    os.lchown(link, OWNER, OWNER)
    return link


def a_file(shared: Path) -> Path:
    return written(shared / "numba", OWNER)


@pytest.mark.parametrize(
    ("prepared", "reason"),
    [
        (open_to_all, "others can write in {}/numba (mode 1777)"),
        (of_a_stranger, "{}/numba belongs to the user 60002"),
        (in_a_folder_open_to_all, "others can write in {}/open (mode 0777)"),
        (in_a_folder_of_a_stranger, "{}/theirs belongs to the user 60002"),
        (behind_a_link_to_a_strangers, "{}/numba belongs to the user 60002"),
        (a_file, "{}/numba: File exists"),
    ],
)
def test_a_folder_that_others_can_change_is_refused(run, shared, home, prepared, reason) -> None:
    done = run(FOLDER, NUMBA_CACHE_DIR=prepared(shared))
    assert done.stdout.startswith(f"{home}/.cache/widthlaw/")
    (line,) = done.stderr.splitlines()
    assert line.startswith("NUMBA_CACHE_DIR is not used: " + reason.format(shared))
    assert line.endswith("/.cache/widthlaw is used instead")


def no_home(shared: Path) -> Path | None:
    return None


def a_missing_home(shared: Path) -> Path:
    return Path("/proc/none")


def a_home_of_a_stranger(shared: Path) -> Path:
    return made(shared / "theirs", STRANGER, 0o755)


def a_cache_open_to_all(shared: Path) -> Path:
    made(shared / "home" / ".cache", OWNER, 0o700)
    made(shared / "home" / ".cache" / "widthlaw", OWNER, 0o777)
    return shared / "home"


@pytest.mark.parametrize(
    "prepared", [no_home, a_missing_home, a_home_of_a_stranger, a_cache_open_to_all]
)
def test_without_a_folder_a_run_compiles_for_itself(run, shared, prepared) -> None:
    done = run(DOUBLE, HOME=prepared(shared))
    assert done.stdout == "42\n"
    (line,) = done.stderr.splitlines()
    assert line.startswith("compiled code is not kept, and every process compiles for itself: ")
    assert not list(shared.rglob("*.nbi"))
    assert not (shared / "~").exists()


def test_a_process_does_not_repeat_the_warning_of_the_one_that_started_it(run, shared) -> None:
    again = f"{FOLDER}\nimport subprocess, sys; subprocess.run([sys.executable, '-c', {FOLDER!r}])"
    done = run(again, NUMBA_CACHE_DIR=of_a_stranger(shared))
    assert len(done.stderr.splitlines()) == 1, done.stderr


def test_what_a_stranger_plants_in_an_open_cache_is_not_run(run, shared) -> None:
    """The stranger makes the cache by a run of his own, puts in his pickle, and opens it to all."""
    cache, hit = made(shared / "numba", STRANGER, 0o700), shared / "hit"
    assert run(DOUBLE, user=STRANGER, NUMBA_CACHE_DIR=cache).stdout == "42\n"
    (index,) = cache.rglob("*.nbi")
    index.write_bytes(bomb(hit))
    for path in (cache, *cache.rglob("*")):
        path.chmod(0o1777)
    done = run(DOUBLE, NUMBA_CACHE_DIR=cache)
    assert done.stdout == "42\n"
    assert done.stderr.startswith("NUMBA_CACHE_DIR is not used: ")
    assert not hit.exists()


def bomb(hit: Path) -> bytes:
    """A pickle that makes a file when it is read."""
    return f"cposix\nsystem\n(S'touch {hit}'\ntR.".encode()


@pytest.mark.parametrize("whose", [OWNER, STRANGER])
def test_a_planted_index_runs_only_if_it_is_ones_own(run, home, whose) -> None:
    """The first case shows that the attack is real: the index that is one's own does run."""
    hit = home / "hit"
    assert run(DOUBLE).stdout == "42\n"
    (index,) = home.rglob("*.nbi")
    index.write_bytes(bomb(hit))
    os.chown(index, whose, whose)
    done = run(DOUBLE, check=False)
    assert hit.exists() == (whose == OWNER)
    if whose == STRANGER:
        assert done.stdout == "42\n"
        assert f"{index} belongs to the user 60002" in done.stderr


# ---- the lock


def test_nothing_in_the_shared_temporary_folder_is_opened(run, shared) -> None:
    """The lock of version 0.4.0 lay there: others could hold it, or lead it elsewhere."""
    lock = shared / f"widthlaw-compile-{OWNER}.lock"
    lock.symlink_to(shared / "victim")
    done = run(DOUBLE)
    assert (done.stdout, done.stderr) == ("42\n", "")
    assert not (shared / "victim").exists()


def test_a_lock_that_is_held_is_waited_for_only_a_while(run, home) -> None:
    assert run(DOUBLE).stdout == "42\n"
    (lock,) = home.rglob("compile-*.lock")
    assert (lock.stat().st_uid, lock.stat().st_mode & 0o777) == (OWNER, 0o600)
    with lock.open("r+b") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        done = run(DOUBLE, "0.2")
    assert done.stdout == "42\n"
    assert done.stderr == "another process compiles for over 0.2 s; this one does not wait\n"


@pytest.mark.parametrize("kind", ["link", "folder", "foreign"])
def test_a_lock_that_cannot_be_opened_is_done_without(run, shared, home, kind) -> None:
    assert run(DOUBLE).stdout == "42\n"
    (lock,) = home.rglob("compile-*.lock")
    lock.unlink()
    if kind == "link":
        lock.symlink_to(shared / "victim")
    elif kind == "folder":
        made(lock, OWNER, 0o700)
    else:
        written(lock, STRANGER)
    assert run(DOUBLE).stdout == "42\n"
    assert not (shared / "victim").exists()
