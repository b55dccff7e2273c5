"""Selection strategies: which of the candidate masks is the answer."""
