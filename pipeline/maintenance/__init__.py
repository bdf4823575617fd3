"""Stores over time: verified, repaired, recomputed, extended and merged."""
