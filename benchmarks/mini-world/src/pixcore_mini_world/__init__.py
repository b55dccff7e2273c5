"""The benchmark mini-world: drawn scenes with exact masks for every thing and part."""
