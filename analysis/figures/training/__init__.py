"""Figures of training: loss curves, layers, depth, linear regression, and the gap to the test loss."""
