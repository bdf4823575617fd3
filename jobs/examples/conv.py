"""Random features of a convolution: how many filters until Phi is as well conditioned as in theory?

A sample is a signal of d points on a ring. Each of k random filters looks at `size` neighbouring points
at each of the d places: features Phi of shape (k d, n), with shared weights. With size = d every filter
sees the whole signal, turned d times. Theorem 2 for dense features asks for sigma_min(Phi) / sqrt(k) of
at least alpha / 2, where alpha^2 is the least eigenvalue of the kernel of infinitely many features; the
same question stands here, with the kernel of the convolution: the sum of those of its patches.
"""

import numpy as np

from pipeline import Trial, experiment, variable
from pipeline.theory import kernel_matrix


@experiment(
    sigma_min=variable("n-th largest singular value of Phi"),
    alpha=variable("square root of the least eigenvalue of the kernel of the convolution"),
    widths="together",
)
def conv(trial: Trial):
    X, size = trial.inputs(), trial.parameters["size"]
    places = (np.arange(size) + np.arange(trial.d)[:, None]) % trial.d  # (d, size), on the ring
    patches = X[:, places] * np.sqrt(trial.d / size)  # (n, d, size), of norm 1 on average
    filters = trial.rng("filters").standard_normal((trial.k, size))
    K = sum(kernel_matrix(patches[:, place], "relu") for place in range(trial.d))
    G, done, least = np.zeros_like(K), 0, []
    for k in trial.widths:  # the widths nest: each adds its filters to the Gram matrix Phi^T Phi
        Phi = np.maximum(np.einsum("ks,nps->kpn", filters[done:k], patches), 0)
        G += np.einsum("kpn,kpm->nm", Phi, Phi, optimize=True)
        least.append(np.sqrt(max(np.linalg.eigvalsh(G)[0], 0.0)))
        done = k
    alpha = np.sqrt(max(np.linalg.eigvalsh(K)[0], 0.0))
    return {"sigma_min": least, "alpha": np.full(len(least), alpha)}
