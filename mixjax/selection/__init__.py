"""Which mixture: families, numbers of components and ridges against each other."""
