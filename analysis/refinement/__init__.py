"""Refinement: the next trials of a store, and the widths that may join its grid."""
