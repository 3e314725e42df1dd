"""From rows to a mixture: starts, solvers, the loop that drives them, and outcomes."""
