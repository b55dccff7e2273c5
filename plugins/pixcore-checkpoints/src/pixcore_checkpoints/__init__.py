"""What every adapter with weights does: name what changes when a checkpoint does, list its files, read its config."""
