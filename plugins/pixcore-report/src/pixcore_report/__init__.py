"""The report: one HTML page of a run, and two runs side by side."""
