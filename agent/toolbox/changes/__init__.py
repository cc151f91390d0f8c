"""Changes of files: where they belong, what they make, all or nothing."""
