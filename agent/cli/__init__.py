"""What a person or a script types and sees. The only room that prints."""
