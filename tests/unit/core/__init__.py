"""Tests of antiphon.core."""
