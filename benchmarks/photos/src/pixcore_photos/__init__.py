"""A few real photographs with masks and questions, for whatever needs no drawn scene."""
