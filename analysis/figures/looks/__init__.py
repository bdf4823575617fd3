"""What all figures share: their style, scales, letters and parts, and the data behind what is drawn."""
