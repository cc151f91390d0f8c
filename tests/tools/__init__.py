"""What the tools say and do."""
