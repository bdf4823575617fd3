"""Running blocks: `compute` runs one, `fill` writes it, `driver` hands them to the workers."""
