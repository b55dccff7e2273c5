"""From scored samples to the figures of a table."""
