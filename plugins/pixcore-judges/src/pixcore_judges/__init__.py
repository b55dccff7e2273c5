"""Judges that ask nobody."""
