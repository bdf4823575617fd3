"""Stores over time: verify, repair, recompute, extend, request single trials, and merge."""
