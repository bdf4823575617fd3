"""The provenance of a store's numbers: versions, BLAS, commit, platform, processor and time."""

from __future__ import annotations

import datetime
import platform
import re
import subprocess
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_info

__all__ = ["provenance"]

PACKAGES = ("widthlaw", "numpy", "scipy", "numba", "zarr", "xarray", "dask", "distributed")

PROCESSOR = (
    "vendor_id",
    "cpu family",
    "model",
    "stepping",
    "CPU implementer",
    "CPU part",
    "CPU variant",
)
"""Keys of /proc/cpuinfo that tell a model: the first four of x86, the others of ARM."""


def provenance() -> dict[str, Any]:
    """Return the facts that a reader needs in order to compute the same bits again."""
    return {
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": _processor(),
        "packages": {name: _version(name) for name in PACKAGES},
        "blas": [
            {key: info.get(key) for key in ("internal_api", "version", "architecture")}
            for info in threadpool_info()
            if info.get("user_api") == "blas"
        ],
        **_commit(),
    }


@lru_cache(maxsize=1)
def _processor() -> str:
    """Return the model of the processor: BLAS cuts its blocks, and so rounds its sums, by its caches.

    Two models that run the same kernels of BLAS can differ in the last bits.
    """
    try:
        first = Path("/proc/cpuinfo").read_text(errors="replace").strip().split("\n\n")[0]
    except OSError:  # not Linux
        return platform.processor()
    told = dict(re.findall(r"^([^\t:]+?)\s*:\s*(.+)$", first, re.MULTILINE))
    return ", ".join(f"{key} {told[key]}" for key in PROCESSOR if key in told)


@lru_cache(maxsize=len(PACKAGES))
def _version(name: str) -> str | None:
    """Return the version of a package. Cached, as each search parses a file of metadata."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


@lru_cache(maxsize=1)
def _commit() -> dict[str, Any]:
    """Return the commit of the running checkout and whether it has local changes.

    Both are None for an installed package. Cached, because the imported code does not change.
    """
    folder = Path(str(files("pipeline"))).resolve().parent
    if not (folder / ".git").exists():
        return {"commit": None, "dirty": None}
    try:
        commit = _git(folder, "rev-parse", "HEAD")
        dirty = bool(_git(folder, "status", "--porcelain", "--untracked-files=no"))
    except (OSError, subprocess.SubprocessError):
        return {"commit": None, "dirty": None}
    return {"commit": commit, "dirty": dirty}


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)
    return done.stdout.strip()
