"""Models that must run in their own environment: `adapter` is this side of the socket, `side` the other."""
