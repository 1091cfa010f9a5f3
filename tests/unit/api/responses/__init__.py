"""Tests of the newer API of responses."""
