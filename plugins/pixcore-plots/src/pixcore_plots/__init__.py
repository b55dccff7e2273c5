"""The plots that a reviewer asks for, each with its matched control in it, and the one way in which plots are drawn."""
