"""The symbols of the page and what they mean, with formulas in ASCII, as claims have them."""

from __future__ import annotations

__all__ = ["NOTATION", "NOTATION_OF_OWN"]

NOTATION = (
    ("n, d", "the number of samples, and their dimension; X (n × d) has a sample in each row"),
    ("k", "the width: the number of hidden units in a layer"),
    ("L", "the number of hidden layers"),
    ("W, v", "the weights of the input layer (k × d), and of the output layer (k)"),
    ("Phi", "the features, Phi = φ(W X^T) (k × n) with activation φ and random W"),
    ("sigma_min, sigma_max", "the n-th largest and the largest singular value of Phi"),
    (
        "alpha",
        "the square root of the least eigenvalue of the kernel matrix E[φ(Xg) φ(Xg)^T], g ~ N(0, I); "
        "in the claims on Theorem 1, half of the least singular value of the Jacobian at the start",
    ),
    ("k*", "the critical width, from which half of the trials succeed; each section defines success"),
    ("k_inf", "the width below which no budget of steps suffices, by the times of trials"),
    ("theta, r", "the trained weights; the residual, whose relative loss is ||r||^2 / ||r0||^2"),
    ("beta, eta", "the bound on the norm of the Jacobian; the step size"),
    ("delta, Gamma", "the bound on ||φ(z)|| / √n in a proof; the distance that descent travels"),
)
"""Symbols with their meanings, in the order in which a reader meets them."""

NOTATION_OF_OWN = (
    ("n, d, k", "the sizes of a trial; k is called the width"),
    ("k*", "the critical width, from which half of the trials succeed; each section defines success"),
)
"""The symbols of a page on trials of one's own alone, whose function gives all others their meaning."""
