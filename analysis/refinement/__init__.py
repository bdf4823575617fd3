"""Refinement: which trials to run next, and the widths that may join a grid."""
