"""The planning simulation."""
