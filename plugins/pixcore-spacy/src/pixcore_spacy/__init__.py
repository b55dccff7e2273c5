"""attend-and-segment's use of spaCy: noun phrases, and how similar they are to the expression."""
