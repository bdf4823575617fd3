"""Output of the commands: `records` are a few rows, `frames` come a piece at a time."""
