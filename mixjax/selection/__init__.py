"""Model selection: families, numbers of components and ridges compared."""
