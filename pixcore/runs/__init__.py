"""A run: planned, executed, read back."""
