"""Stores seen live: what the page of `widthlaw watch` and a notebook show while trials arrive.

`kept` holds a copy of a store in memory and reads only what has changed since its last look, `fits` the
critical widths of the cells that have changed, `costs` what the trials took and what is left. `view`
makes plain data of them, `drawing` the HTML and SVG, and `notebook` shows it in a notebook. Nothing here
writes to a store or takes its lease.
"""
