"""The model mini: a small LLaVA trained from scratch, without masks, that ships inside the package."""
