"""One folder per package, one file per module."""
