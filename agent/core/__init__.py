"""The vocabulary: frozen types without I/O. Every room may import this one; it imports none."""
