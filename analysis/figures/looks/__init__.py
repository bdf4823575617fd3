"""The common part of figures: style, scales, letters and parts, and the data behind what is drawn."""
