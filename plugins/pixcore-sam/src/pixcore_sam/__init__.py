"""The SAM family as mask generators."""
