"""Use spaCy as attend-and-segment does: noun phrases, and how similar they are to the expression."""
