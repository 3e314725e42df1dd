"""What compresses rows, a file each."""
