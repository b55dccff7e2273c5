"""A plugin with one component of every kind and no dependency: what the core's tests run."""
