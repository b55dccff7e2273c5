"""How far a run is, as bars on a terminal."""
