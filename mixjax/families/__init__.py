"""The families of components, one file each."""
