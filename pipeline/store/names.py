"""Names of files and arrays of a store that several modules use."""

from __future__ import annotations

__all__ = [
    "CHECKPOINTS",
    "DIGESTS",
    "LEASE",
    "LEASE_BYTES",
    "MESSAGE",
    "PARTIAL",
    "REMOVED",
    "ROOT",
    "SECONDS",
    "STARTS",
    "STATUS",
]

ROOT = "zarr.json"
"""Metadata of a group or an array; a store without its own is not there yet."""

STATUS = "status"
"""Outcome of each trial."""

MESSAGE = "message"
"""Why a trial failed, or a note on it."""

SECONDS = "seconds"
"""Time that trials took: the one variable that is no result, and that is never all NaN."""

LEASE = ".lease.json"
"""Name of the run that is filling the store."""

LEASE_BYTES = 64 * 1024
"""No lease is longer; a longer file counts as none."""

STARTS = ".starts-"
"""Prefix of the files that count the starts of a block that has killed workers."""

PARTIAL = ".partial"
"""Suffix of a file that Zarr has not finished writing."""

DIGESTS = ".digests/"
"""Folder of the files that bind the chunks of a block to their places and to its statuses."""

CHECKPOINTS = ".checkpoints/"
"""Folder of the files from which descents go on, one for each block that has some."""

REMOVED = ".removed-"
"""Prefix of the folder to which files are moved before they are removed together."""
