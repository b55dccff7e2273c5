"""LLaVA-Grounding 7B as a pixcore plugin; `plugin` is what pixcore imports, everything else is imported on use."""
