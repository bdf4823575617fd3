"""Figures of success against the width: phase diagrams, critical widths and laws, collapse."""
