"""Figures of success against the width: phase diagrams, critical widths with their laws, and collapse."""
