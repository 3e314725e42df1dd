"""Mixtures, their densities, conditionals and explanations, and the M-step."""
