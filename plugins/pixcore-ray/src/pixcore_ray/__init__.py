"""A run's records made by many processes, on one machine or on a cluster: stages on Ray."""
