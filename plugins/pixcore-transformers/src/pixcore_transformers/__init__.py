"""Model adapters for transformers, and the tap that reads attention rows while the fast kernel runs."""
