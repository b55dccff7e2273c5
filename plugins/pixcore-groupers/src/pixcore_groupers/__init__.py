"""Token groupers that need no language model."""
