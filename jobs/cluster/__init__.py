"""Runs on a cluster: profiles, job scripts, the queue, and the controller that holds a run."""
