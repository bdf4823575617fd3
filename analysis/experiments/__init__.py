"""Analyses that belong to one experiment."""
