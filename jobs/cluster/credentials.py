"""Certificates of one run: peers without its key are rejected.

Dask executes whatever a peer sends, so every connection is encrypted, and both ends prove that they
have the run's key. On one machine the key stays in memory and in the pipes between the processes; for
jobs on other machines it lies in files that only their owner can read.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from distributed import Security

__all__ = ["CERTIFICATE", "KEY", "fresh", "load", "save", "write_private"]

CERTIFICATE, KEY = "certificate.pem", "key.pem"


def fresh() -> Security:
    """Make a certificate and a key for one run, in memory."""
    from distributed import Security

    return Security.temporary()


def save(security: Security, folder: Path) -> None:
    """Write the credentials of `fresh` into a folder (mode 0700), as files of mode 0600."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)
    config = security.get_tls_config_for_role("scheduler")
    texts = {CERTIFICATE: config["cert"], KEY: config["key"]}
    for name, text in texts.items():
        write_private(folder / name, text)


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can ever read."""
    path.unlink(missing_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)


def load(folder: Path) -> Security:
    """Return the credentials of a folder as paths, so that no secret appears on a command line."""
    from distributed import Security

    certificate, key = str(folder / CERTIFICATE), str(folder / KEY)
    roles = {
        f"tls_{role}_{part}": path
        for role in ("scheduler", "worker", "client")
        for part, path in (("cert", certificate), ("key", key))
    }
    return Security(tls_ca_file=certificate, require_encryption=True, **roles)
