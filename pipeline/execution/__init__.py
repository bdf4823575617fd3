"""Running blocks: `compute` runs one, `fill` writes it, `driver` distributes them to workers."""
