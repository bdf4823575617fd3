"""Sweep files: TOML is read (`toml`, `tables`), checked (`checks`) and made into a Sweep (`load`)."""
