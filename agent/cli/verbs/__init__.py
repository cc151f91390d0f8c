"""The commands, by what they are about; what they do is imported when one is used."""
