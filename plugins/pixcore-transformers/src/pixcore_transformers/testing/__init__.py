"""Tiny checkpoints of every family, for tests and measurements that need no trained weights and no network."""

from pixcore_transformers.testing.checkpoints import ARCHITECTURES, save_checkpoint
from pixcore_transformers.testing.recipes import HYBRIDS, RECIPES

__all__ = ["ARCHITECTURES", "HYBRIDS", "RECIPES", "save_checkpoint"]
