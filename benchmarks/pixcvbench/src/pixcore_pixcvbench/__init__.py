"""PixCV-Bench: CV-Bench's 2D questions with the objects of interest and their masks (paper, section 2)."""
