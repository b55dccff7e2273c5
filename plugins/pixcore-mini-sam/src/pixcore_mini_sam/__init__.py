"""A small SAM, trained on mini-world."""
