"""The API to the byte: what a client sends, and exactly what it gets."""
