"""Figures that set theory beside measurements: certificate, proof and the linearised theory."""
