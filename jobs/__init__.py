"""The command line: its commands, runs on a cluster, and printed output."""
