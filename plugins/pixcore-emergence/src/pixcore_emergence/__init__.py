"""When and where grounding emerges (paper, section 3)."""
