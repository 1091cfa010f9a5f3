"""The vocabulary every other part speaks: standard library only, no I/O, no clock."""
