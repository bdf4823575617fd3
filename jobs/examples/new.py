"""One trial: the singular values of noisy random features."""

import numpy as np

from pipeline import Trial, experiment, variable


@experiment(
    gap=variable("largest minus smallest singular value"),
    ratio=variable("smallest over largest singular value"),
)
def gap(trial: Trial):
    X = trial.inputs()  # (n, d)
    W = trial.weights()  # (k, d), N(0, 1)
    E = trial.rng("noise").standard_normal((trial.k, trial.n))  # a stream of the trial's own
    features = np.maximum(W @ X.T, 0) + trial.parameters["noise"] * E
    s = np.linalg.svd(features, compute_uv=False)
    return {"gap": s[0] - s[-1], "ratio": s[-1] / s[0]}
