"""The figures of a run as a table on a terminal."""
