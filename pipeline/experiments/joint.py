"""Training v alone, W alone, or both: a comparison from the same start on the same labels."""

from __future__ import annotations

from dataclasses import replace

from pipeline.experiments import input as input_layer

__all__ = ["EXPERIMENT"]

EXPERIMENT = replace(input_layer.EXPERIMENT, options={"trained": ("both", "input", "output")})
