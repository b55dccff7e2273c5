"""What a run will ask of paid services, and what changed when they were asked again."""
