"""What the model can do. Tools know one door, the sandbox port; a name not listed is an error."""
