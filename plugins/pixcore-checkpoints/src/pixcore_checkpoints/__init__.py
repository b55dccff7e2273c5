"""What every adapter with weights does: name what changes when a checkpoint does, and list its files."""
