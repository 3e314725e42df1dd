"""What a mixture is, and what can be asked of it."""
