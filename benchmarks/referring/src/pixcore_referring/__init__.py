"""Public benchmarks of grounding, each read from the layout that it is released in."""
