"""Ridge regression on random features of real images: its training error, and a prediction of it.

The images are the 8 x 8 digits 7 and 9 that come with scikit-learn: n of 359, centred and scaled to a
mean square norm of 1. Their labels are -1 and 1, and a share `flip` of them is wrong. With features Phi
of shape (k, n) and G = Phi^T Phi / n, ridge regression with the ridge gamma has the training error
|gamma (G + gamma)^-1 y|^2 / n. Its deterministic equivalent has the kernel K of the features in the
place of the random G, as K k / (n (1 + delta)) with a number delta that solves an equation: nothing is
fitted.
"""

from functools import cache

import numpy as np
from scipy.optimize import brentq
from sklearn.datasets import load_digits

from pipeline import Trial, experiment, variable
from pipeline.theory import kernel_matrix


@experiment(
    train_error=variable("training error of ridge regression, mean square"),
    predicted=variable("its deterministic equivalent"),
)
def louart(trial: Trial):
    n, gamma = trial.n, trial.parameters["gamma"]
    X, y = images()
    rows = trial.rng("rows").choice(len(y), n, replace=False)
    X = X[rows] - X[rows].mean(axis=0)
    X /= np.sqrt(np.mean(np.sum(X**2, axis=1)))
    y = np.where(trial.rng("flips").random(n) < trial.parameters["flip"], -y[rows], y[rows])
    eigenvalues, U = np.linalg.eigh(kernel_matrix(X, trial.activation))
    return {
        "train_error": measured(features(trial, X), y, gamma),
        "predicted": equivalent(np.maximum(eigenvalues, 0), U.T @ y, trial.k, gamma),
    }


@cache
def images():
    """Return the images of the digits 7 and 9 as rows of 64 numbers, and labels -1 and 1."""
    X, digit = load_digits(return_X_y=True)
    kept = np.isin(digit, (7, 9))
    return X[kept], digit[kept] - 8.0


def features(trial, X):
    """Return Phi = phi(W X^T), of shape (k, n)."""
    W = trial.rng("W").standard_normal((trial.k, X.shape[1]))
    return {"relu": lambda z: np.maximum(z, 0), "cos": np.cos}[trial.activation](W @ X.T)


def measured(Phi, y, gamma):
    """Return the mean square of the residual gamma (G + gamma)^-1 y of ridge regression."""
    n = len(y)
    return np.mean((gamma * np.linalg.solve(Phi.T @ Phi / n + gamma * np.eye(n), y)) ** 2)


def equivalent(eigenvalues, y, k, gamma):
    """Return the deterministic equivalent of the training error.

    `eigenvalues` are those of K, and y is given in the basis of their eigenvectors. delta solves
    delta = tr(K (psi + gamma)^-1) / n with psi = K k / (n (1 + delta)).
    """
    n = len(y)

    def resolvent(delta):
        psi = eigenvalues * k / (n * (1 + delta))
        return psi, 1 / (psi + gamma)

    def gap(delta):
        return np.mean(eigenvalues * resolvent(delta)[1]) - delta

    delta = brentq(gap, 0, np.mean(eigenvalues) / gamma + 1, xtol=1e-13, rtol=1e-13)
    psi, Q = resolvent(delta)
    spread = np.sum(psi * Q**2) / k / (1 - np.sum((psi * Q) ** 2) / k)
    return gamma**2 * np.mean(y**2 * Q**2 * (1 + spread * psi))
