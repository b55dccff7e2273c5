"""Referring-segmentation data of a user's own: COCO files with expressions, and RefCOCO/+/g's layout."""
