"""Pictures of masks and points, for the packages that show them."""
