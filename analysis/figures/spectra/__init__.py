"""Figures of the singular values and eigenvalues of Φ."""
