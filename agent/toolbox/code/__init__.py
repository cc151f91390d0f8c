"""What a file of code holds: outlines and syntax errors, by grammars or without."""
