"""Single files: found, read and written, as text, as bytes, as pictures, as documents."""
