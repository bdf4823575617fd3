"""Names of files and arrays of a store that several modules use."""

from __future__ import annotations

__all__ = ["LEASE", "LEASE_BYTES", "MESSAGE", "PARTIAL", "ROOT", "SECONDS", "STARTS", "STATUS"]

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
"""No lease is longer; of a longer file no more is read, and it counts as none."""

STARTS = ".starts-"
"""Prefix of the files that count the starts of a block that has killed workers."""

PARTIAL = ".partial"
"""Suffix of a file that Zarr has not finished writing."""
