"""Point selectors: from a relevance map to a point prompt."""
