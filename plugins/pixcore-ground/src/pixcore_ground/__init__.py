"""Grounds one expression in one image, and draws it."""
