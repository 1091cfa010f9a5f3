"""What the documents claim, held against the code."""
