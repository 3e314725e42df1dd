"""Short descriptions of objects, for sessions and notebooks."""
