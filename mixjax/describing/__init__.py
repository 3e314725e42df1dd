"""Short descriptions of objects for sessions and notebooks, and what was renamed."""
