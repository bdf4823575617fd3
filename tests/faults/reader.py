"""Processes that read a store again and again while a run fills it, until all trials are done.

    python -m tests.faults.reader STORE REFERENCE READERS

starts so many. It ends with 1 when a done trial has not the bits of the reference; else each prints how
often it has read a part of the trials.
"""

from __future__ import annotations

import os
import sys
import time

import numpy as np
import xarray as xr

from analysis import load_store
from pipeline.trial_status import Status

from ..conftest import bits

PAUSE = 16
"""Times the processor time of a read, until the next: eight readers leave the run most of two cores."""


def main(path: str, reference: str, readers: str) -> int:
    """Fork the readers, which share the imports, and wait for them."""
    started = []
    for _ in range(int(readers)):
        if not (reader := os.fork()):
            try:
                status = read(path, reference)
                sys.stdout.flush()
            except BaseException:
                sys.excepthook(*sys.exc_info())
                status = 1
            os._exit(status)
        started.append(reader)
    ended = [os.waitpid(reader, 0)[1] for reader in started]
    return int(any(ended))


def read(path: str, reference: str) -> int:
    """Read and compare until all trials are done."""
    expected = xr.open_zarr(reference).load()
    results = [
        name
        for name, variable in expected.data_vars.items()
        if variable.dims == expected.status.dims and name not in ("seconds", "status", "message")
    ]
    reads, complete = 0, False
    while not complete:
        began = time.process_time()
        found = load_store(path)
        done = found.status.values == Status.DONE
        for name in results:
            one, two = bits(found[name])[done], bits(expected[name])[done]
            if not np.array_equal(one, two):
                print(f"{name} differs in {int((one != two).sum())} of {one.size} done trials")
                return 1
        complete = bool(done.all())
        reads += bool(done.any()) and not complete
        time.sleep(PAUSE * (time.process_time() - began))
    print(reads)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
