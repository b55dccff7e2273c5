"""Scores predictions made elsewhere, or a run's own."""
