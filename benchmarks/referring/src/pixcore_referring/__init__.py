"""Public benchmarks of referring and reasoning segmentation, each read from the layout that it is released in."""
