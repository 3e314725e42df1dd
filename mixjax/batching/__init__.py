"""Thousands of fits at once."""
