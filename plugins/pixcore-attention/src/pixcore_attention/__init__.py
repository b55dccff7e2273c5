"""Attention extractors (rows to maps) and map transforms (maps to maps)."""
