"""Tests of the older API of text completions."""
