"""Answers from a server or a file; attention, where there is any, from a replay by a local checkpoint."""
