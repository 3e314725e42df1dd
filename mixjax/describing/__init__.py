"""How objects read in a session."""
