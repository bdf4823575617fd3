"""How it is launched: the command line, the bundled sweeps, and the paper from end to end."""
