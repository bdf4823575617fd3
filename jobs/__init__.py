"""How it is launched: the command line, the bundled sweeps and profiles, the paper from end to end."""
