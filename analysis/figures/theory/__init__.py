"""Figures that set the theorems of the paper beside measurements: certificate and proof."""
