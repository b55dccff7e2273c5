"""A promptable mask generator without weights: regions of colour, from part to object."""
