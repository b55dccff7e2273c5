"""mini-world: a procedural benchmark of drawn scenes with exact masks for every thing and part."""
