"""Show when and where grounding emerges (paper, section 3)."""
