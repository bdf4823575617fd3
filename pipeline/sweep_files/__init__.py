"""Sweep files: `toml` and `tables` read them, `checks` validates them, `load` makes a Sweep.

`extents` changes the extents of a Sweep under the same checks. The sweeps that come with widthlaw are
in `bundled`.
"""
