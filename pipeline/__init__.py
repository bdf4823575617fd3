"""From a sweep file to a filled store.

The journey of one trial: a TOML file becomes a validated `Sweep` (`sweep_files`, `sweep`), which is
cut into `Block`s, runs of seeds of one cell, in `Tile`s that share chunks (`blocks`); Dask hands tiles
to workers in a bounded window (`execution`); an experiment turns each seed into named numbers
(`experiments`), from streams that depend on the trial's coordinates alone (`numerics`); the tile is the
only writer of its chunks in the store, status last (`store`); and `xarray.open_zarr` reads it. `theory`
has the exact answers that trials are compared with, `descent` the training of networks, and
`maintenance` verifies, repairs, extends and merges stores.

Glossary: *n, d, k* samples, input dimension, width. *Phi* = phi(W X^T), shape (k, n), the random
features. *Gram matrix* Phi^T Phi, (n, n). *K* = E[phi(Xg) phi(Xg)^T], the population kernel; *alpha*
the root of its smallest eigenvalue. *edge* the predicted smallest eigenvalue of Phi^T Phi / k.
*J* the Jacobian of the outputs in the trained weights, (n, p); *J J^T* the empirical NTK. *r* = f - y
the residual; *relative loss* ||r||^2 / ||r0||^2. *Budget* the steps that a descent may take. *Trial*
one (d, n, width, seed) at one value of every other leading axis; *cell* all widths and seeds of one
combination of the leading axes (activation, dataset, angle, trained, depth, d, n).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline.execution.driver import run
    from pipeline.execution.local import local_client
    from pipeline.experiments.own.activations import activation
    from pipeline.experiments.own.declaration import experiment, variable
    from pipeline.experiments.own.trial import Diverged, Trial
    from pipeline.sweep import Sweep
    from pipeline.sweep_files.load import load_sweep

__all__ = [
    "Diverged",
    "Sweep",
    "Trial",
    "activation",
    "experiment",
    "load_sweep",
    "local_client",
    "run",
    "variable",
]

PACKAGES = ("descent", "errors", "numerics", "theory")
"""The packages and modules below this one with documented names of their own."""

_HOME = {
    "Diverged": "pipeline.experiments.own.trial",
    "Trial": "pipeline.experiments.own.trial",
    "activation": "pipeline.experiments.own.activations",
    "experiment": "pipeline.experiments.own.declaration",
    "variable": "pipeline.experiments.own.declaration",
    "Sweep": "pipeline.sweep",
    "load_sweep": "pipeline.sweep_files.load",
    "local_client": "pipeline.execution.local",
    "run": "pipeline.execution.driver",
}


def __getattr__(name: str) -> Any:
    # Imported on first use: `widthlaw --help` must not pay for Dask.
    from importlib import import_module
    from importlib.util import find_spec

    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    if not name.startswith("_") and find_spec(
        f"{__name__}.{name}"
    ):  # as in pipeline.theory.kernels.alpha
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module 'pipeline' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*PACKAGES, *__all__, *(name for name in globals() if name.startswith("__"))})
