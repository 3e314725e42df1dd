"""Tables larger than memory, streams without an end, and several processes."""
