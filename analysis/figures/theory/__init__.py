"""Figures that set the theorems of the paper beside what was measured: the certificate and the proof."""
