"""Tests of antiphon.cli."""
