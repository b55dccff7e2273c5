"""Places that models write in their answers, as prompts for a mask generator."""
