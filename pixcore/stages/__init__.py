"""The stages of a run, and how their records are kept."""
