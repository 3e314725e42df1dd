"""Tables larger than memory, endless streams, and several processes."""
