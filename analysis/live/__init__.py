"""Stores seen live: what the page of `widthlaw watch` and a notebook show while trials arrive.

`kept` holds a copy of a store in memory and reads only what has changed since its last look. `fits` has
the critical widths of the cells that have changed, and `costs` what the trials took and what is left.
`view` joins them into what is shown of a store, `curves` places its success curves, `page` makes HTML
of it, and `notebook` shows that in a notebook. Nothing here writes to a store or takes its lease.
"""
