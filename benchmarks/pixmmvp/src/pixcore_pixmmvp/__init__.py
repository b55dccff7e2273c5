"""PixMMVP: MMVP's 150 pairs of questions with referring expressions and masks (paper, section 2)."""
